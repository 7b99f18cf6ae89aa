//! Rain or not, from yesterday's and today's temperature. A linear model of 0 and 1, a sigmoid unit, and a softmax over two
//! classes, `softmax(z)₁ = σ(z₁ − z₂)`: the same kind of boundary, but only the last two give probabilities. With a third
//! class, sigmoid units are asked each for itself and need not add up to 1; softmax does. Source: Goodfellow, Bengio,
//! Courville, Deep Learning, 6.2.2.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Linear, Sgd, gradients};
use wgrad::plot::{Figure, Grid, Surface};
use wgrad::{DType, Device, Generator, Optimizer, Reduction, Tensor};

/// Temperatures in units of 10 °C, and the weather: 0 dry, 1 rain (it grew colder), 2 snow (colder, and below 0).
fn weather(n: usize, rng: &mut Generator, device: &Device) -> (Tensor, Tensor) {
    let yesterday = rng.uniform(&[n], device) * 3.0 - 0.5;
    let change = rng.normal(&[n], device) * 0.7;
    let today = &yesterday + &change;
    let noise = rng.normal(&[n], device) * 0.15;
    let wet = (&change + noise).lt_scalar(0.0).cast(DType::I32);
    let cold = today.lt_scalar(0.2).cast(DType::I32);
    let class = &wet + &wet * cold;
    (Tensor::stack(&[&yesterday, &today], 1), class)
}

/// Full-batch descent on a loss of the logits.
fn fit(
    x: &Tensor,
    outputs: usize,
    rng: &mut Generator,
    loss: impl Fn(&Tensor) -> Tensor,
) -> wgrad::Result<Linear> {
    let mut net = Linear::new(2, outputs, rng, x.device());
    let mut sgd = Sgd::new(0.5).momentum(0.9);
    for _ in 0..300 {
        let loss = loss(&net.forward(x));
        let gradients = gradients(&loss, &net)?;
        sgd.step(&mut net, &gradients)?;
    }
    Ok(net)
}

fn share(right: &Tensor) -> wgrad::Result<f64> {
    Ok(right.cast(DType::F32).mean().item::<f32>()?.into())
}

/// Points of the plane that is drawn, each way, and its ends in units of 10 °C.
const SIDE: usize = 81;
const RANGE: (f64, f64) = (-3.0, 4.5);

/// What a model says over the plane, and the days.
fn draw((x, class): (&Tensor, &Tensor), title: &str, says: &Tensor) -> wgrad::Result<Figure> {
    let (points, classes) = (x.to_vec::<f32>()?, class.to_vec::<i32>()?);
    let part = |wanted: i32, at: usize| -> Vec<f32> {
        let rows = points.chunks_exact(2).zip(&classes);
        let rows = rows.filter(|(_, class)| **class == wanted);
        rows.map(|(p, _)| p[at] * 10.0).collect()
    };
    let says = says.cast(DType::F32).to_vec::<f32>()?;
    let range = (RANGE.0 * 10.0, RANGE.1 * 10.0);
    let mut figure = Figure::new(title)
        .x("yesterday, °C")
        .y("today, °C")
        .size(400, 380)
        .regions(&Surface::new(range, range, SIDE, SIDE, &says));
    for (at, name) in ["dry", "rain", "snow"].iter().enumerate() {
        figure = figure.scatter(name, &part(at as i32, 0), &part(at as i32, 1));
    }
    Ok(figure)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (x, class) = weather(600, rng, device);
    let wet = class.gt_scalar(0.0);
    let y = wet.cast(DType::F32).reshape(&[-1, 1]);
    let number = wet.cast(DType::I32);

    let linear = fit(&x, 1, rng, |z| z.mse_loss(&y, Reduction::Mean) * 0.1)?;
    let sigmoid = fit(&x, 1, rng, |z| {
        z.binary_cross_entropy_with_logits(&y, Reduction::Mean)
    })?;
    let softmax = fit(&x, 2, rng, |z| z.cross_entropy(&number, Reduction::Mean))?;
    let rain = [
        linear.forward(&x).select(1, 0),
        sigmoid.forward(&x).sigmoid().select(1, 0),
        softmax.forward(&x).softmax(1).select(1, 1),
    ];
    for (name, p) in ["linear", "sigmoid", "softmax"].iter().zip(&rain) {
        let right = share(&p.gt_scalar(0.5).eq(&wet))?;
        lesson.at_least(&format!("{name}: days right"), right, 0.9)?;
    }
    let z = softmax.forward(&x);
    let same = (z.select(1, 1) - z.select(1, 0)).sigmoid() - &rain[2];
    let off = same.abs().amax().item::<f32>()?;
    lesson.at_most("softmax of two against σ(z₁ − z₀)", off.into(), 1e-5)?;
    let beyond = share(&rain[0].lt_scalar(0.0).logical_or(&rain[0].gt_scalar(1.0)))?;
    lesson.at_least("linear: share of answers beyond 0 and 1", beyond, 0.02)?;

    // Three classes.
    let hot = class.one_hot(3).cast(DType::F32);
    let each = fit(&x, 3, rng, |z| {
        z.binary_cross_entropy_with_logits(&hot, Reduction::Mean)
    })?;
    let all = fit(&x, 3, rng, |z| z.cross_entropy(&class, Reduction::Mean))?;
    let sums = each.forward(&x).sigmoid().sum_dims(&[1], false);
    let off = (&sums - 1.0).abs().mean().item::<f32>()?;
    lesson.at_least("sigmoids per class: sums off 1 by", off.into(), 0.03)?;
    let softmax_right = share(&all.forward(&x).argmax(1, false).eq(&class))?;
    let sigmoid_right = share(&each.forward(&x).argmax(1, false).eq(&class))?;
    lesson.say(format!(
        "three classes: sigmoids {sigmoid_right:.3}, softmax {softmax_right:.3} right"
    ));
    lesson.at_least("softmax of three: days right", softmax_right, 0.85)?;

    let line = Tensor::linspace(RANGE.0, RANGE.1, SIDE, device);
    let (across, up) = (line.repeat(&[SIDE]), line.repeat_interleave(SIDE, 0));
    let plane = Tensor::stack(&[&across, &up], 1);
    let data = (&x, &class);
    let grid = Grid::new(2)
        .figure(draw(
            data,
            "Linear, above ½",
            &linear.forward(&plane).gt_scalar(0.5),
        )?)
        .figure(draw(
            data,
            "Sigmoid, above ½",
            &sigmoid.forward(&plane).gt_scalar(0.0),
        )?)
        .figure(draw(
            data,
            "A sigmoid per class",
            &each.forward(&plane).argmax(1, false),
        )?)
        .figure(draw(
            data,
            "Softmax",
            &all.forward(&plane).argmax(1, false),
        )?);
    lesson.grid("boundaries", "Rain from two temperatures", &grid)
}
