//! Who defaults on a credit card? Logistic regression of 10,000 card holders on their balance, by maximum likelihood. Newton's
//! method: `w ← w + (Xᵀ D X)⁻¹ Xᵀ (y − p)` with `D = diag(p (1 − p))`; standard errors are the roots of the diagonal of
//! `(Xᵀ D X)⁻¹`. From scratch, and concise by `wgrad::stats`. Source: James, Witten, Hastie, Tibshirani, An Introduction to
//! Statistical Learning, table 4.1.

use crate::lesson::{Lesson, Result};
use wgrad::data::table::Table;
use wgrad::plot::Figure;
use wgrad::stats::{self, LogisticModel};
use wgrad::{DType, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let Some(file) = lesson.data("islr/Default.csv") else {
        lesson.say("This lesson is about that file: Default.csv of ISLR, www.statlearning.com");
        return Ok(());
    };
    let device = &lesson.device.clone();
    let table = Table::read_csv(file)?;
    let balance = table.matrix(&["balance"])?.tensor(device);
    let (defaults, levels) = table.codes("default")?;
    lesson.say(format!("{} card holders, default: {levels:?}", table.len()));
    let y = Tensor::new(&defaults, device)
        .cast(DType::F32)
        .reshape(&[-1, 1]);

    // In f32 a balance in thousands keeps the sums exact enough.
    let x = Tensor::cat(&[&balance.ones_like(), &(&balance / 1000.0)], 1);
    let mut w = Tensor::zeros(&[2, 1], DType::F32, device);
    let mut spread = Tensor::eye(2, DType::F32, device);
    for _ in 0..10 {
        let p = x.matmul(&w).sigmoid();
        let curvature = x.t().matmul(&(&x * (&p * (1.0 - &p))));
        spread = curvature.inv();
        w = (&w + spread.matmul(&x.t().matmul(&(&y - &p)))).detach()?;
    }
    let w = w.to_vec::<f32>()?;
    let errors = spread.diagonal(0, 0, 1).sqrt().to_vec::<f32>()?;
    let per = [1.0, 1000.0]; // back from thousands
    let tables = [("intercept", -10.6513, 0.3612), ("balance", 0.0055, 0.0002)];
    for (at, (name, value, error)) in tables.into_iter().enumerate() {
        let tolerance = if at == 0 { 1e-3 } else { 5e-5 };
        lesson.close(name, f64::from(w[at]) / per[at], value, tolerance)?;
        lesson.close(
            &format!("{name}, standard error"),
            f64::from(errors[at]) / per[at],
            error,
            tolerance,
        )?;
    }
    let chance = |balance: f32| f64::from(1.0 / (1.0 + (-(w[0] + w[1] * balance / 1000.0)).exp()));
    lesson.close(
        "chance of default at a balance of 1,000",
        chance(1000.0),
        0.00576,
        2e-5,
    )?;
    lesson.close("at 2,000", chance(2000.0), 0.586, 1e-3)?;

    // Concise.
    let columns = stats::Table::new()
        .tensor("balance", &balance.flatten(0, -1))?
        .numbers("default", &defaults)?;
    let model = LogisticModel::fit("default ~ balance", &columns)?;
    lesson.say(model.to_string());
    let slope = model.coefficient("balance")?;
    lesson.close(
        "balance by stats",
        slope.estimate,
        f64::from(w[1]) / 1000.0,
        1e-7,
    )?;
    lesson.close("its z", slope.statistic, 24.95, 0.05)?;

    let all: Vec<f32> = (0..=270).map(|i| i as f32 * 10.0).collect();
    let curve: Vec<f64> = all.iter().map(|b| chance(*b)).collect();
    let balances = balance.to_vec::<f32>()?;
    let figure = Figure::new("Default by balance")
        .x("balance, $")
        .y("default, and its probability")
        .scatter("card holders", &balances, &defaults)
        .line("logistic regression", &all, &curve);
    lesson.figure("curve", "A probability that stays between 0 and 1", &figure)
}
