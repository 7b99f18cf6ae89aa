//! Linear against logistic regression as classifiers. Squared error punishes answers that are too right: far points of a
//! class drag the line over to them and others to the wrong side. Cross-entropy hardly notices them. Source: Bishop, Pattern
//! Recognition and Machine Learning, 4.1.3 and figure 4.4.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Linear, gradients};
use wgrad::plot::{Figure, Grid};
use wgrad::{DType, Generator, Optimizer, Reduction, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let blob = |n: usize, center: [f32; 2], rng: &mut Generator| {
        rng.normal(&[n, 2], device) * 0.5 + Tensor::new(&center, device)
    };
    let (left, right) = (blob(60, [-1.0, 1.0], rng), blob(60, [1.0, -1.0], rng));
    let far = blob(25, [7.0, -6.0], rng);
    let mut wrong = Vec::new();
    let mut all = Grid::new(2);
    for (title, b) in [
        ("Without far points", right.clone()),
        (
            "With far points of class 1",
            Tensor::cat(&[&right, &far], 0),
        ),
    ] {
        let x = Tensor::cat(&[&left, &b], 0);
        let (n, zeros) = (x.size(0), Tensor::zeros(&[60], DType::F32, device));
        let y = Tensor::cat(&[&zeros, &Tensor::ones(&[n - 60], DType::F32, device)], 0);
        let y = y.reshape(&[-1, 1]);

        // Least squares in closed form, on 1, x₁, x₂.
        let with_one = Tensor::cat(&[&Tensor::ones(&[n, 1], DType::F32, device), &x], 1);
        let linear = with_one.lstsq(&(&y - 0.5), None).to_vec::<f32>()?;

        let (mut net, mut adam) = (Linear::new(2, 1, rng, device), Adam::new(0.1));
        for _ in 0..200 {
            let loss = net
                .forward(&x)
                .binary_cross_entropy_with_logits(&y, Reduction::Mean);
            let gradients = gradients(&loss, &net)?;
            adam.step(&mut net, &gradients)?;
        }
        let bias = net.bias.as_ref().ok_or("the layer has a bias")?;
        let logistic = Tensor::cat(&[bias, &net.weight.flatten(0, -1)], 0).to_vec::<f32>()?;

        let points = x.to_vec::<f32>()?;
        let mistakes = |w: &[f32]| {
            let says = |p: &[f32]| w[0] + w[1] * p[0] + w[2] * p[1] > 0.0;
            let all = points.chunks_exact(2).enumerate();
            all.filter(|(at, p)| says(p) != (*at >= 60)).count()
        };
        wrong.push((mistakes(&linear), mistakes(&logistic)));
        let column = |from: usize, to: usize, at: usize| -> Vec<f32> {
            points[2 * from..2 * to]
                .chunks_exact(2)
                .map(|p| p[at])
                .collect()
        };
        let boundary = |w: &[f32]| [-3.0f32, 9.0].map(|x| -(w[0] + w[1] * x) / w[2]);
        all = all.figure(
            Figure::new(title)
                .x("x₁")
                .y("x₂")
                .size(420, 380)
                .x_range(-3.0, 9.0)
                .y_range(-8.0, 4.0)
                .scatter("class 0", &column(0, 60, 0), &column(0, 60, 1))
                .scatter("class 1", &column(60, n, 0), &column(60, n, 1))
                .line("linear", &[-3.0f32, 9.0], &boundary(&linear))
                .line("logistic", &[-3.0f32, 9.0], &boundary(&logistic)),
        );
    }
    lesson.at_most(
        "linear, without far points: mistakes",
        wrong[0].0 as f64,
        2.0,
    )?;
    lesson.at_least("linear, with far points: mistakes", wrong[1].0 as f64, 3.0)?;
    lesson.at_most(
        "logistic, with far points: mistakes",
        wrong[1].1 as f64,
        2.0,
    )?;
    lesson.grid("far", "Too right is wrong for squared error", &all)
}
