//! The tables of An Introduction to Statistical Learning, where its data are there: `Advertising.csv` and `Default.csv` in
//! `WGRAD_DATA_ISLR`, or in `../shared/data/islr` beside the repository.

use crate::assert_close;
use crate::reference::{check_linear, check_logistic, document};
use std::path::PathBuf;
use wgrad_stats::*;

/// The rows of a file without quotes within fields, or none, said plainly.
fn rows(file: &str) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let beside = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/data/islr"
    ));
    let folder = std::env::var_os("WGRAD_DATA_ISLR").map_or(beside, PathBuf::from);
    let path = folder.join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("{} is absent: its tables are not compared", path.display());
        return None;
    };
    let fields = |line: &str| -> Vec<String> {
        line.split(',')
            .map(|f| f.trim().trim_matches('"').to_owned())
            .collect()
    };
    let mut lines = text.lines().filter(|l| !l.is_empty()).map(fields);
    Some((lines.next()?, lines.collect()))
}

fn column(data: &(Vec<String>, Vec<Vec<String>>), name: &str) -> Vec<String> {
    let at = data.0.iter().position(|n| n == name).unwrap();
    data.1.iter().map(|row| row[at].clone()).collect()
}

fn values(data: &(Vec<String>, Vec<Vec<String>>), name: &str) -> Vec<f64> {
    column(data, name)
        .iter()
        .map(|v| v.parse().unwrap())
        .collect()
}

fn advertising() -> Option<Table> {
    let data = rows("Advertising.csv")?;
    let mut table = Table::new();
    for name in ["TV", "radio", "newspaper", "sales"] {
        table = table.numbers(name, &values(&data, name)).unwrap();
    }
    Some(table)
}

#[test]
fn advertising_as_the_course_prints_it() {
    let Some(table) = advertising() else { return };
    let model = LinearModel::fit("sales ~ .", &table).unwrap();
    let printed = [
        ("Intercept", 2.939, 0.3119, 9.42),
        ("TV", 0.046, 0.0014, 32.81),
        ("radio", 0.189, 0.0086, 21.89),
        ("newspaper", -0.001, 0.0059, -0.18),
    ];
    for (name, estimate, standard_error, t) in printed {
        let c = model.coefficient(name).unwrap();
        assert!((c.estimate - estimate).abs() <= 5.01e-4, "{c:?}");
        assert!(
            (c.standard_error - standard_error).abs() <= 5.01e-5,
            "{c:?}"
        );
        assert!((c.statistic - t).abs() <= 5.01e-3, "{c:?}");
    }
    assert!((model.r_squared - 0.897).abs() < 5e-4);
    let interaction = LinearModel::fit("sales ~ TV * radio", &table).unwrap();
    assert!((interaction.r_squared - 0.968).abs() < 5e-4);
    let product = interaction.coefficient("TV:radio").unwrap();
    assert!((product.estimate - 0.0011).abs() < 5e-5 && product.p_value < 1e-4);
    let text = model.to_string();
    for part in [
        "OLS Regression Results",
        "570.3",
        "1.58e-96",
        "0.897",
        "780.4",
        "-386.18",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(text.lines().all(|l| l.chars().count() <= 78), "{text}");
    println!("{text}");
}

#[test]
fn advertising_as_statsmodels_has_it() {
    let Some(table) = advertising() else { return };
    let document = document();
    let new = table.pick(&[0, 1, 2]);
    for expect in document["advertising"].as_array().unwrap() {
        let formula = expect["formula"].as_str().unwrap();
        let model = LinearModel::fit(formula, &table).unwrap();
        check_linear(&model, expect, &new);
    }
}

#[test]
fn default_as_statsmodels_has_it() {
    let Some(data) = rows("Default.csv") else {
        return;
    };
    let table = Table::new()
        .categories("z", &column(&data, "default"))
        .and_then(|t| t.categories("student", &column(&data, "student")))
        .and_then(|t| t.numbers("balance", &values(&data, "balance")))
        .and_then(|t| t.numbers("income", &values(&data, "income")))
        .unwrap();
    let document = document();
    for expect in document["default"].as_array().unwrap() {
        let formula = expect["formula"].as_str().unwrap();
        let model = LogisticModel::fit(formula, &table).unwrap();
        check_logistic(&model, expect);
        println!("{model}");
    }
    let model = LogisticModel::fit("z ~ balance + income + student", &table).unwrap();
    let printed = [
        ("Intercept", -10.8690, 0.4923, -22.08),
        ("balance", 0.0057, 0.0002, 24.74),
        ("income", 0.0000, 0.0000, 0.37),
        ("student[T.Yes]", -0.6468, 0.2362, -2.74),
    ];
    for (name, estimate, standard_error, z) in printed {
        let c = model.coefficient(name).unwrap();
        assert!((c.estimate - estimate).abs() <= 5.01e-5, "{c:?}");
        // The course has 0.236257 as 0.2362.
        assert!((c.standard_error - standard_error).abs() < 1e-4, "{c:?}");
        assert!((c.statistic - z).abs() <= 5.01e-3, "{c:?}");
    }
    // A student with a balance of 1500 dollars and an income of 40,000.
    let new = Table::new()
        .numbers("balance", &[1500.0, 1500.0])
        .and_then(|t| t.numbers("income", &[40_000.0, 40_000.0]))
        .and_then(|t| t.categories("student", &["Yes", "No"]))
        .unwrap();
    let p = model.predict(&new, 0.95).unwrap();
    assert_close(p[0].probability, 0.058, 0.02, "of a student");
    assert_close(p[1].probability, 0.105, 0.02, "of another one");
}
