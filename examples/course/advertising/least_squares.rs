//! Sales in 200 markets by what was spent on television, radio and newspapers. Least squares by `X = Q R`, `w = R⁻¹ Qᵀ y`;
//! standard errors by `s² (Xᵀ X)⁻¹ = s² R⁻¹ R⁻ᵀ` with `s² = RSS / (n − p)`; t = w / its error. Alone newspapers seem to sell;
//! beside radio they do not: they are bought where radio is. Source: James, Witten, Hastie, Tibshirani, An Introduction to
//! Statistical Learning, 3.1, 3.2 and tables 3.3 to 3.5.

use crate::lesson::{Lesson, Result};
use wgrad::data::table::Table;
use wgrad::plot::{Figure, Grid};
use wgrad::{DType, Tensor, Triangle};

/// Weights, their standard errors, and the share of the variance explained.
fn fit(x: &Tensor, y: &Tensor) -> wgrad::Result<(Vec<f32>, Vec<f32>, f64)> {
    let (n, p) = (x.size(0), x.size(1));
    let (q, r) = x.qr(false);
    let w = r.solve_triangular(&q.t().matmul(y), Triangle::Upper, true, false);
    let rss = (x.matmul(&w) - y).square().sum();
    let tss = (y - y.mean()).square().sum();
    let eye = Tensor::eye(p, DType::F32, x.device());
    let inverse = r.solve_triangular(&eye, Triangle::Upper, true, false);
    let variance = inverse.square().sum_dims(&[1], false) * &rss / (n - p) as f64;
    let explained = 1.0 - f64::from((rss / tss).item::<f32>()?);
    Ok((w.to_vec()?, variance.sqrt().to_vec()?, explained))
}

/// Of the rows of `columns`.
fn correlations(lesson: &mut Lesson, columns: &Tensor) -> Result {
    let correlations = columns.corrcoef();
    lesson.say(format!(
        "correlations of TV, radio, newspaper, sales\n{correlations}"
    ));
    for (name, at, want) in [
        ("TV and sales", (0, 3), 0.7822),
        ("radio and newspaper", (1, 2), 0.3541),
        ("newspaper and sales", (2, 3), 0.2283),
    ] {
        lesson.close(
            &format!("correlation of {name}"),
            correlations.get(at).item::<f32>()?.into(),
            want,
            1e-3,
        )?;
    }
    let names = ["TV", "radio", "newspaper", "sales"];
    let figure = Figure::new("Correlations")
        .size(440, 400)
        .heat_map(4, 4, &correlations.to_vec::<f32>()?)
        .row_names(&names)
        .column_names(&names);
    lesson.figure(
        "correlations",
        "Newspapers are bought where radio is",
        &figure,
    )
}

pub fn run(lesson: &mut Lesson) -> Result {
    let Some(file) = lesson.data("islr/Advertising.csv") else {
        lesson.say("This lesson is about that file: Advertising.csv of ISLR, www.statlearning.com");
        return Ok(());
    };
    let device = &lesson.device.clone();
    let table = Table::read_csv(file)?;
    let media = ["TV", "radio", "newspaper"];
    let x = table.matrix(&media)?.tensor(device);
    let y = table.matrix(&["sales"])?.tensor(device);
    let one = Tensor::ones(&[x.size(0), 1], DType::F32, device);

    let alone = [
        (7.0325, 0.0475, 0.0027),
        (9.312, 0.203, 0.020),
        (12.351, 0.055, 0.017),
    ];
    let mut all = Grid::new(3);
    for (at, (name, (b, w, error))) in media.iter().zip(alone).enumerate() {
        let column = x.narrow(1, at, 1);
        let (got, errors, explained) = fit(&Tensor::cat(&[&one, &column], 1), &y)?;
        lesson.close(&format!("{name} alone: intercept"), got[0].into(), b, 1e-3)?;
        lesson.close(&format!("{name} alone: slope"), got[1].into(), w, 6e-4)?;
        lesson.close(
            &format!("{name} alone: its standard error"),
            errors[1].into(),
            error,
            6e-4,
        )?;
        let ends = [0.0, column.amax().item::<f32>()?];
        all = all.figure(
            Figure::new(format!("{name}, R² {explained:.2}"))
                .x(format!("{name}, thousands of $"))
                .y("sales, thousands of units")
                .size(340, 320)
                .scatter("markets", &column.to_vec::<f32>()?, &y.to_vec::<f32>()?)
                .line("least squares", &ends, &ends.map(|v| got[0] + got[1] * v)),
        );
    }
    lesson.grid("alone", "Each alone", &all)?;

    let (w, errors, explained) = fit(&Tensor::cat(&[&one, &x], 1), &y)?;
    let wanted = [
        ("intercept", 2.939, 0.3119, 9.42),
        ("TV", 0.046, 0.0014, 32.81),
        ("radio", 0.189, 0.0086, 21.89),
        ("newspaper", -0.001, 0.0059, -0.18),
    ];
    for (at, (name, weight, error, t)) in wanted.into_iter().enumerate() {
        lesson.close(name, w[at].into(), weight, 6e-4)?;
        lesson.close(
            &format!("{name}: standard error"),
            errors[at].into(),
            error,
            1e-4,
        )?;
        lesson.close(
            &format!("{name}: t"),
            f64::from(w[at] / errors[at]),
            t,
            0.02,
        )?;
    }
    lesson.close("R²", explained, 0.8972, 1e-4)?;

    correlations(lesson, &Tensor::cat(&[&x, &y], 1).t())
}
