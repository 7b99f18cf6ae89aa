//! Which media belong in the model? Forward selection adds the term that helps most, backward selection drops the one that
//! helps least; both leave newspapers out. Measures that forgive size: adjusted R², AIC, BIC. Source: James, Witten, Hastie,
//! Tibshirani, An Introduction to Statistical Learning, 3.2.2 and 6.1.

use crate::lesson::{Lesson, Result};
use wgrad::data::table::Table;
use wgrad::plot::Figure;
use wgrad::stats::{self, Criterion, Direction, LinearModel, select};

pub fn run(lesson: &mut Lesson) -> Result {
    let Some(file) = lesson.data("islr/Advertising.csv") else {
        lesson.say("This lesson is about that file: Advertising.csv of ISLR, www.statlearning.com");
        return Ok(());
    };
    let table = Table::read_csv(file)?;
    let mut columns = stats::Table::new();
    for name in ["TV", "radio", "newspaper", "sales"] {
        columns = columns.numbers(name, table.matrix(&[name])?.data())?;
    }
    let full = "sales ~ TV + radio + newspaper";
    for (name, direction) in [
        ("forward", Direction::Forward),
        ("backward", Direction::Backward),
    ] {
        let chosen = select(full, &columns, direction, Criterion::Bic)?;
        let terms: Vec<String> = chosen
            .formula()
            .terms
            .iter()
            .map(ToString::to_string)
            .collect();
        lesson.say(format!(
            "{name}: {} steps, {}",
            chosen.steps.len() - 1,
            terms.join(" + ")
        ));
        lesson.close(&format!("{name}: terms"), terms.len() as f64, 2.0, 0.0)?;
        let without = terms.iter().filter(|t| *t == "newspaper").count();
        lesson.close(&format!("{name}: newspapers"), without as f64, 0.0, 0.0)?;
    }
    let formulas = [
        "sales ~ TV",
        "sales ~ radio",
        "sales ~ newspaper",
        "sales ~ TV + radio",
        "sales ~ TV + newspaper",
        "sales ~ radio + newspaper",
        full,
    ];
    let mut bic = Vec::new();
    let mut lines = String::from("R²      adjusted  AIC    BIC\n");
    for formula in formulas {
        let m = LinearModel::fit(formula, &columns)?;
        lines += &format!(
            "{:.4}  {:.4}    {:.1}  {:.1}  {formula}\n",
            m.r_squared, m.adjusted_r_squared, m.aic, m.bic
        );
        bic.push(m.bic);
    }
    lesson.say(lines);
    let best = (0..bic.len())
        .min_by(|a, b| bic[*a].total_cmp(&bic[*b]))
        .ok_or("a model")?;
    lesson.close("least BIC: TV and radio, the fourth", best as f64, 3.0, 0.0)?;
    let names = [
        "TV",
        "radio",
        "news",
        "TV, radio",
        "TV, news",
        "radio, news",
        "all",
    ];
    let figure = Figure::new("Seven models of sales")
        .y("BIC")
        .size(800, 400)
        .bar("", &names, &bic);
    lesson.figure("bic", "Lower is better", &figure)
}
