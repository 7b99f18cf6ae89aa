//! Penalties and where they drive the weights of a linear model. L2, `λ ‖w‖²`: every weight shrinks, none is 0. L1, `λ ‖w‖₁`:
//! weights reach 0 one after the other, those of the useless inputs first. L2 in closed form; L1 by proximal steps
//! `w ← S(w − η ∇, η λ)` with the soft threshold `S(w, t) = sign(w) max(|w| − t, 0)`. Source: Goodfellow, Bengio, Courville,
//! Deep Learning, 7.1; Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 3.4.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Grid};
use wgrad::{DType, Generator, Tensor};

const INPUTS: usize = 10;
/// The rest of the inputs do nothing.
const TRUTH: [f32; 3] = [3.0, -2.0, 1.0];

fn draw(title: &str, lambdas: &[f64], path: &[Vec<f32>]) -> Figure {
    let mut figure = Figure::new(title).x("λ").y("weight").log_x().size(440, 380);
    for at in 0..INPUTS {
        let weights: Vec<f32> = path.iter().map(|w| w[at]).collect();
        figure = match at < 3 {
            true => figure.line(
                &format!("w{}, truly {}", at + 1, TRUTH[at]),
                lambdas,
                &weights,
            ),
            false => figure.dashed("useless", lambdas, &weights),
        };
    }
    figure
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let n = 100.0;
    let x = rng.normal(&[100, INPUTS], device);
    let mut w = [0.0f32; INPUTS];
    w[..3].copy_from_slice(&TRUTH);
    let y = x.matmul(&Tensor::from_slice(&w, &[INPUTS, 1], device)) + rng.normal(&[100, 1], device);
    let gram = (x.t().matmul(&x) / n).detach()?;
    let moment = (x.t().matmul(&y) / n).detach()?;

    let lambdas: Vec<f64> = (0..=40)
        .map(|i| 10f64.powf(1.0 - 0.1 * f64::from(i)))
        .collect();
    let eye = Tensor::eye(INPUTS, DType::F32, device);
    let (mut ridge, mut lasso) = (Vec::new(), Vec::new());
    let mut now = Tensor::zeros(&[INPUTS, 1], DType::F32, device);
    let rate = 1.0 / f64::from(gram.eigvalsh(wgrad::Triangle::Lower).amax().item::<f32>()?);
    for &lambda in &lambdas {
        ridge.push((&gram + &eye * lambda).solve(&moment).to_vec::<f32>()?);
        // From the last lambda's weights on, which are near.
        for _ in 0..60 {
            let stepped = &now - (gram.matmul(&now) - &moment) * rate;
            now = stepped.softshrink(rate * lambda).detach()?;
        }
        lasso.push(now.to_vec::<f32>()?);
    }
    let nonzero = |w: &[f32]| w.iter().filter(|v| **v != 0.0).count();
    // Where the best lambda for telling inputs apart lies, a fifth or so.
    let middle = lambdas.iter().position(|l| *l < 0.21).ok_or("a lambda")?;
    lesson.close(
        "L1 at λ = 0.2: weights that are not 0",
        nonzero(&lasso[middle]) as f64,
        3.0,
        1.0,
    )?;
    let useful = lasso[middle][..3].iter().filter(|v| **v != 0.0).count();
    lesson.close("of the three that should not", useful as f64, 3.0, 0.0)?;
    lesson.close(
        "L1 at λ = 10: weights that are not 0",
        nonzero(&lasso[0]) as f64,
        0.0,
        0.0,
    )?;
    lesson.close(
        "L2 at λ = 10: weights that are not 0",
        nonzero(&ridge[0]) as f64,
        10.0,
        0.0,
    )?;
    let length = |w: &[f32]| f64::from(w.iter().map(|v| v * v).sum::<f32>()).sqrt();
    lesson.at_most(
        "L2: length at λ = 10 by that at 0.001",
        length(&ridge[0]) / length(&ridge[40]),
        0.3,
    )?;
    let apart = ridge[40]
        .iter()
        .zip(&lasso[40])
        .map(|(a, b)| f64::from((a - b).abs()))
        .fold(0.0, f64::max);
    lesson.at_most(
        "at λ = 0.001 both are near least squares and each other",
        apart,
        0.02,
    )?;

    let grid = Grid::new(2)
        .figure(draw("L2 shrinks", &lambdas, &ridge))
        .figure(draw("L1 selects", &lambdas, &lasso));
    lesson.grid("paths", "Ten weights as the penalty grows", &grid)
}
