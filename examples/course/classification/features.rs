//! A boundary that is no line, from a model that is linear in its weights: with squares and the product of both inputs as
//! features, logistic regression draws any conic. Source: Bishop, Pattern Recognition and Machine Learning, 4.3.1.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Linear, gradients};
use wgrad::plot::{Figure, Grid, Surface};
use wgrad::{DType, Generator, Optimizer, Reduction, Tensor};

fn plain(x: &Tensor) -> Tensor {
    x.clone()
}

fn conic(x: &Tensor) -> Tensor {
    let product = (x.get((.., 0)) * x.get((.., 1))).reshape(&[-1, 1]);
    Tensor::cat(&[x, &x.square(), &product], 1)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let x = rng.uniform(&[500, 2], device) * 4.0 - 2.0;
    // Inside an ellipse that is turned.
    let (a, b) = (x.get((.., 0)), x.get((.., 1)));
    let inside = ((&a + &b).square() * 0.5 + (&a - &b).square() * 1.2).lt_scalar(2.0);
    let y = inside.cast(DType::F32).reshape(&[-1, 1]);
    let (points, truth) = (x.to_vec::<f32>()?, inside.to_vec::<bool>()?);
    let part = |class: bool, at: usize| -> Vec<f32> {
        let rows = points.chunks_exact(2).zip(&truth);
        rows.filter(|(_, t)| **t == class)
            .map(|(p, _)| p[at])
            .collect()
    };
    let side = 81;
    let line = Tensor::linspace(-2.0, 2.0, side, device);
    let plane = Tensor::stack(
        &[&line.repeat(&[side]), &line.repeat_interleave(side, 0)],
        1,
    );
    let (mut all, mut shares) = (Grid::new(2), Vec::new());
    let models: [(&str, fn(&Tensor) -> Tensor); 2] =
        [("x₁, x₂", plain), ("x₁, x₂, x₁², x₂², x₁x₂", conic)];
    for (name, features) in models {
        let inputs = features(&x);
        let (mut net, mut adam) = (Linear::new(inputs.size(1), 1, rng, device), Adam::new(0.1));
        for _ in 0..300 {
            let logits = net.forward(&inputs);
            let loss = logits.binary_cross_entropy_with_logits(&y, Reduction::Mean);
            let gradients = gradients(&loss, &net)?;
            adam.step(&mut net, &gradients)?;
        }
        let says = net.forward(&inputs).select(1, 0).gt_scalar(0.0);
        let right = says.eq(&inside).cast(DType::F32).mean().item::<f32>()?;
        shares.push(f64::from(right));
        let regions = net.forward(&features(&plane)).gt_scalar(0.0);
        let regions = regions.cast(DType::F32).to_vec::<f32>()?;
        all = all.figure(
            Figure::new(name)
                .x("x₁")
                .y("x₂")
                .size(400, 380)
                .regions(&Surface::new(
                    (-2.0, 2.0),
                    (-2.0, 2.0),
                    side,
                    side,
                    &regions,
                ))
                .scatter("outside", &part(false, 0), &part(false, 1))
                .scatter("inside", &part(true, 0), &part(true, 1)),
        );
    }
    lesson.at_most("two inputs: points right", shares[0], 0.85)?;
    lesson.at_least("with squares and product: points right", shares[1], 0.97)?;
    lesson.grid("conic", "Linear in the weights, not in the inputs", &all)
}
