//! A radial basis network: hidden units answer to a place, `exp(−γ ‖x − c‖²)`, and the output is linear in them, so it is
//! solved, not descended. Centres by k-means. Rings, which no line separates. Source: Broomhead, Lowe, 1988.

use crate::lesson::{Lesson, Result};
use wgrad::plot::{Figure, Surface};
use wgrad::{DType, Generator, KMeansOptions, Tensor, kmeans};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let n = 600;
    // An inner ring of class 0, an outer of class 1.
    let class = Tensor::arange(n, device).bitwise_and(&Tensor::scalar(1.0, DType::I32, device));
    let turn = rng.uniform(&[n], device) * std::f64::consts::TAU;
    let radius = class.cast(DType::F32) * 1.2 + 1.0 + rng.normal(&[n], device) * 0.2;
    let x = Tensor::stack(&[&(&radius * turn.cos()), &(&radius * turn.sin())], 1);
    let y = class.cast(DType::F32).reshape(&[-1, 1]) * 2.0 - 1.0;

    let right = |features: &Tensor| -> wgrad::Result<(f64, Tensor)> {
        let one = Tensor::ones(&[features.size(0), 1], DType::F32, device);
        let features = Tensor::cat(&[features, &one], 1);
        let weight = features.lstsq(&y, None);
        let same = (features.matmul(&weight).sign() * &y).gt_scalar(0.0);
        Ok((same.cast(DType::F32).mean().item::<f32>()?.into(), weight))
    };
    let (linear, _) = right(&x)?;
    let centres = kmeans(&x, &KMeansOptions::new(16), &mut rng)?.centers;
    let units = |x: &Tensor| (x.cdist(&centres, 2.0).square() * -1.5).exp();
    let (radial, weight) = right(&units(&x))?;
    lesson.at_most("a linear model gets right", linear, 0.65)?;
    lesson.at_least("16 radial units get right", radial, 0.96)?;

    let side = 81;
    let line = Tensor::linspace(-3.2, 3.2, side, device);
    let grid = Tensor::stack(
        &[&line.repeat(&[side]), &line.repeat_interleave(side, 0)],
        1,
    );
    let one = Tensor::ones(&[side * side, 1], DType::F32, device);
    let said = Tensor::cat(&[&units(&grid), &one], 1)
        .matmul(&weight)
        .gt_scalar(0.0)
        .cast(DType::F32);
    let part = |class: usize, of: isize| -> wgrad::Result<Vec<f32>> {
        let all = x.get((.., of)).to_vec::<f32>()?;
        Ok(all.into_iter().skip(class).step_by(2).collect())
    };
    let c = |of: isize| centres.get((.., of)).to_vec::<f32>();
    let figure = Figure::new("Rings and radial units")
        .x("x₁")
        .y("x₂")
        .equal()
        .regions(&Surface::new(
            (-3.2, 3.2),
            (-3.2, 3.2),
            side,
            side,
            &said.to_vec::<f32>()?,
        ))
        .scatter("inner ring", &part(0, 0)?, &part(0, 1)?)
        .scatter("outer ring", &part(1, 0)?, &part(1, 1)?)
        .scatter("centres", &c(0)?, &c(1)?);
    lesson.figure("rings", "Units that answer to a place", &figure)
}
