//! An extreme learning machine: the hidden layer is random and stays so, the output layer is solved by least squares with a
//! little ridge: `β = (HᵀH + λI)⁻¹ Hᵀ Y`. No descent at all. Source: Huang, Zhu, Siew, 2006.

use crate::lesson::{Lesson, Result};
use wgrad::plot::Figure;
use wgrad::{DType, Generator, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (train, test) = lesson.digits()?;
    let n = lesson.pick(20_000, 4000).min(train.len());
    let set = |set: &wgrad::data::ImageDataset, n: usize| {
        let x = Tensor::from_slice(&set.images()[..n * 784], &[n, 784], device).cast(DType::F32)
            / 255.0;
        (
            x,
            Tensor::from_slice(&set.labels()[..n], &[n], device).cast(DType::I32),
        )
    };
    let ((x, y), (unseen, truth)) = (set(&train, n), set(&test, 2000.min(test.len())));
    let targets = y.one_hot(10).cast(DType::F32);
    let mut rng = Generator::new(lesson.seed);
    let sizes = lesson.pick(
        vec![50usize, 100, 200, 400, 800, 1600],
        vec![50usize, 200, 800],
    );
    let mut shares = Vec::new();
    for &units in &sizes {
        let weight = rng.normal(&[784, units], device) * 0.1;
        let bias = rng.normal(&[units], device) * 0.1;
        let hidden = |x: &Tensor| (x.matmul(&weight) + &bias).tanh();
        let h = hidden(&x);
        let ridge = Tensor::eye(units, DType::F32, device) * (1e-3 * n as f64);
        let beta = (h.t().matmul(&h) + ridge).solve(&h.t().matmul(&targets));
        let said = hidden(&unseen).matmul(&beta).argmax(1, false);
        shares.push(f64::from(
            said.eq(&truth).cast(DType::F32).mean().item::<f32>()?,
        ));
    }
    lesson.say(format!("units {sizes:?}: right {shares:.3?}"));
    lesson.at_least(
        "right with the most units",
        shares[shares.len() - 1],
        lesson.pick(0.9, 0.87),
    )?;
    lesson.at_least(
        "gained from the fewest",
        shares[shares.len() - 1] - shares[0],
        0.1,
    )?;
    let figure = Figure::new("Random hidden units, solved outputs")
        .x("hidden units")
        .y("unseen digits right")
        .log_x()
        .percent_y()
        .dotted_line("extreme learning machine", &sizes, &shares);
    lesson.figure("units", "More random units, better outputs", &figure)
}
