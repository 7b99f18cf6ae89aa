//! Depth against width: networks of about as many weights, one to four hidden layers, on ripples `cos(4π ‖x‖²)` over a square.
//! The distance from the centre must be found first and the wave of it second: a composition, which depth is made for.
//! Source: Goodfellow, Bengio, Courville, Deep Learning, 6.4.1.

use crate::lesson::{Lesson, Result};
use std::f64::consts::PI;
use wgrad::nn::{Adam, Context, Linear, Relu, Sequential, compile, gradients, init};
use wgrad::plot::{Figure, Grid, Surface};
use wgrad::{Device, Generator, Module, Optimizer, Reduction, Tensor};

fn ripples(x: &Tensor) -> Tensor {
    (x.square().sum_dims(&[1], true) * (4.0 * PI)).cos()
}

/// `depth` hidden layers of `width` rectifiers.
fn network(depth: usize, width: usize, rng: &mut Generator, device: &Device) -> Sequential {
    let mut net = Sequential::new();
    let mut from = 2;
    for _ in 0..depth {
        let mut linear = Linear::new(from, width, rng, device);
        linear.weight = init::kaiming_normal(&[width, from], 0.0, init::Fan::In, rng, device);
        net = net.push(linear).push(Relu);
        from = width;
    }
    net.push(Linear::new(from, 1, rng, device))
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let steps = lesson.pick(4000, 1200);
    let side = 41;
    let line = Tensor::linspace(-1.0, 1.0, side, device);
    let grid = Tensor::stack(
        &[&line.repeat(&[side]), &line.repeat_interleave(side, 0)],
        1,
    );
    let truth = ripples(&grid);
    let picture = |title: String, z: &Tensor| -> wgrad::Result<Figure> {
        let z = Surface::new((-1.0, 1.0), (-1.0, 1.0), side, side, &z.to_vec::<f32>()?);
        Ok(Figure::new(title)
            .x("x₁")
            .y("x₂")
            .size(370, 330)
            .surface(&z))
    };
    let mut all = Grid::new(3).figure(picture("What is to be learned".into(), &truth)?);
    let (mut depths, mut losses) = (Vec::new(), Vec::new());
    for (depth, width) in [(1, 600), (2, 47), (3, 33), (4, 27)] {
        let net = network(depth, width, rng, device);
        let weights = net.num_parameters();
        let mut state = (net, Adam::new(3e-3), Context::train(lesson.seed));
        let mut step = compile(
            |(net, adam, cx): &mut (Sequential, Adam, Context), _: &[Tensor]| {
                let x = cx.rng.uniform(&[256, 2], device) * 2.0 - 1.0;
                cx.next_step();
                let loss = net.forward(&x, cx).mse_loss(&ripples(&x), Reduction::Mean);
                let gradients = gradients(&loss, net)?;
                adam.step(net, &gradients)?;
                Ok(loss)
            },
        );
        for at in 0..steps {
            state.1.set_lr(3e-3 * (1.0 - at as f64 / steps as f64));
            step.call(&mut state, &[])?;
        }
        let said = state.0.forward(&grid, &mut Context::eval());
        let loss = said.mse_loss(&truth, Reduction::Mean).item::<f32>()?;
        lesson.say(format!("depth {depth}: {weights} weights, loss {loss:.4}"));
        let title = format!("{depth} x {width} units");
        all = all.figure(picture(title, &said)?);
        depths.push(depth);
        losses.push(f64::from(loss));
    }
    lesson.at_least(
        "loss of one layer by that of three",
        losses[0] / losses[2],
        lesson.pick(3.0, 1.25),
    )?;
    lesson.at_most(
        "loss of three layers; the wave's own variance is 0.5",
        losses[2],
        lesson.pick(0.15, 0.32),
    )?;
    lesson.grid("ripples", "As many weights, more layers", &all)?;
    let figure = Figure::new("Depth with about 2,400 weights")
        .x("hidden layers")
        .y("mean squared error")
        .log_y()
        .dotted_line("test loss", &depths, &losses);
    lesson.figure("loss", "Deeper is better at a composition", &figure)
}
