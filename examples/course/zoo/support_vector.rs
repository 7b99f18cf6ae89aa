//! A support vector machine: the widest street between two classes, by the hinge loss and a small weight decay,
//! `λ/2 ‖w‖² + mean max(0, 1 − y (w·x + b))`. Only examples at the street's edge carry it: the support vectors. Source: Cortes,
//! Vapnik, Support-Vector Networks, 1995.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Linear, gradients};
use wgrad::plot::{Figure, Surface};
use wgrad::{Generator, Optimizer, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let mut rng = Generator::new(lesson.seed);
    let n = 120;
    let y: Vec<f32> = (0..n)
        .map(|i| if i % 2 == 0 { -1.0 } else { 1.0 })
        .collect();
    let y = Tensor::from_slice(&y, &[n, 1], device);
    // Two bands along x₂ = ±(0.6 or more): the street is 1.2 wide and level.
    let along = rng.uniform(&[n, 1], device) * 6.0 - 3.0;
    let up = rng.uniform(&[n, 1], device) * 1.4 + 0.6;
    let x = Tensor::cat(&[&along, &(&y * up)], 1);

    let (mut net, decay) = (Linear::new(2, 1, &mut rng, device), 1e-3);
    let mut adam = Adam::new(0.05);
    let mut losses = Vec::new();
    let steps = 3000;
    for step in 0..steps {
        adam.set_lr(0.05 * (1.0 - step as f64 / steps as f64));
        let hinge = (&y * net.forward(&x) * -1.0 + 1.0).relu().mean();
        let loss = hinge + net.weight.square().sum() * (0.5 * decay);
        let gradients = gradients(&loss, &net)?;
        adam.step(&mut net, &gradients)?;
        losses.push(loss.item::<f32>()?);
    }
    let margin = (&y * net.forward(&x)).to_vec::<f32>()?;
    let wrong = margin.iter().filter(|m| **m <= 0.0).count();
    let support: Vec<usize> = (0..n).filter(|&i| margin[i] < 1.05).collect();
    let width = 2.0 / f64::from(net.weight.norm().item::<f32>()?);
    lesson.close("mistakes", wrong as f64, 0.0, 0.0)?;
    lesson.close("width of the street", width, 1.25, 0.1)?;
    lesson.at_most("support vectors, of 120", support.len() as f64, 20.0)?;

    let w = net.weight.to_vec::<f32>()?;
    let b = net
        .bias
        .as_ref()
        .ok_or("the layer has a bias")?
        .item::<f32>()?;
    let street = Surface::of((-3.2, 3.2), (-2.2, 2.2), 161, 111, |x, y| {
        (f64::from(w[0]) * x + f64::from(w[1]) * y + f64::from(b)).clamp(-1.2, 1.2)
    });
    let place = x.to_vec::<f32>()?;
    let some = |keep: &dyn Fn(usize) -> bool, of: usize| -> Vec<f32> {
        (0..n)
            .filter(|&i| keep(i))
            .map(|i| place[2 * i + of])
            .collect()
    };
    let (even, odd, edge) = (
        |i: usize| i.is_multiple_of(2),
        |i: usize| !i.is_multiple_of(2),
        |i: usize| support.contains(&i),
    );
    let figure = Figure::new("The widest street")
        .x("x₁")
        .y("x₂")
        .equal()
        .contour(&street, 6)
        .scatter("−1", &some(&even, 0), &some(&even, 1))
        .scatter("+1", &some(&odd, 0), &some(&odd, 1))
        .scatter("support vectors", &some(&edge, 0), &some(&edge, 1));
    lesson.figure("street", "Few examples carry the boundary", &figure)
}
