//! Distillation: a small network learns from what a large one says, softened by a temperature, `softmax(z / T)`: that a 7 looks
//! a little like a 3 is told, too, so that a student that never saw a 3 knows most of them. Source: Hinton, Vinyals, Dean,
//! Distilling the Knowledge in a Neural Network, 2015, section 3.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Linear, Relu, Sequential, compile, gradients, loss};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Optimizer, Reduction, Tensor};

fn network(hidden: usize, rng: &mut Generator, device: &Device) -> Sequential {
    Sequential::new()
        .push(Linear::new(784, hidden, rng, device))
        .push(Relu)
        .push(Linear::new(hidden, 10, rng, device))
}

fn says(net: &mut Sequential, x: &Tensor) -> Tensor {
    net.forward(x, &mut Context::eval())
}

/// Trains on rows of x by a loss of the logits, the rows' targets `[n]` and `[n, 10]`.
fn fit(
    net: Sequential,
    (x, y, soft): (&Tensor, &Tensor, &Tensor),
    steps: usize,
    rng: &mut Generator,
    loss: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor,
) -> wgrad::Result<Sequential> {
    let mut state = (net, Adam::new(1e-3));
    let mut step = compile(|(net, adam): &mut (Sequential, Adam), index: &[Tensor]| {
        let [x, y, soft] = [x, y, soft].map(|t| t.index_select(0, &index[0]));
        let loss = loss(&says(net, &x), &y, &soft);
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    for _ in 0..steps {
        let some = rng.integers(0, x.size(0) as i32, &[100], x.device());
        step.call(&mut state, &[&some])?;
    }
    Ok(state.0)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (images, tests, steps) = lesson.pick((20_000, 5000, 1500), (4000, 1000, 400));
    let (train, test) = lesson.some_digits(images, tests)?;
    let (x, y) = train.gather(&Tensor::arange(images, device));
    let (x, y) = (x.flatten(1, -1).detach()?, y.detach()?);
    let (x_test, y_test) = test.gather(&Tensor::arange(tests, device));
    let (x_test, y_test) = (x_test.flatten(1, -1).detach()?, y_test.detach()?);
    let none = y.one_hot(10).cast(DType::F32).detach()?;
    let hard = |z: &Tensor, y: &Tensor, _: &Tensor| z.cross_entropy(y, Reduction::Mean);
    let mut teacher = fit(network(400, rng, device), (&x, &y, &none), steps, rng, hard)?;

    // All images but the threes, and what the teacher says of them.
    let others: Vec<i32> = y
        .to_vec::<i32>()?
        .iter()
        .enumerate()
        .filter(|(_, digit)| **digit != 3)
        .map(|(at, _)| at as i32)
        .collect();
    let others = Tensor::new(&others, device);
    let (x, y) = (
        x.index_select(0, &others).detach()?,
        y.index_select(0, &others).detach()?,
    );
    let told = says(&mut teacher, &x).detach()?;
    let by_labels = fit(network(30, rng, device), (&x, &y, &told), steps, rng, hard)?;
    let temperature = 20.0;
    let distilled = fit(
        network(30, rng, device),
        (&x, &y, &told),
        steps,
        rng,
        |z, y, told| loss::distillation(z, told, y, temperature, 1.0),
    )?;

    let threes = y_test.eq_scalar(3.0);
    let mut shares = Vec::new();
    for (name, mut net) in [
        ("teacher", teacher),
        ("student of labels", by_labels),
        ("student of the teacher", distilled),
    ] {
        let right = says(&mut net, &x_test).argmax(1, false).eq(&y_test);
        let all = right.cast(DType::F32).mean().item::<f32>()?;
        let of_threes = right
            .masked_select(&threes)
            .cast(DType::F32)
            .mean()
            .item::<f32>()?;
        lesson.say(format!(
            "{name}: {all:.4} of all right, {of_threes:.4} of the threes"
        ));
        shares.push([f64::from(all), f64::from(of_threes)]);
    }
    let [teacher, by_labels, distilled] = [shares[0], shares[1], shares[2]];
    lesson.at_least("teacher: images right", teacher[0], lesson.pick(0.94, 0.85))?;
    lesson.at_most("student of labels: threes right", by_labels[1], 0.0)?;
    let (least, threes) = lesson.pick((0.85, 0.3), (0.7, 0.25));
    lesson.at_least("student of the teacher: threes right", distilled[1], threes)?;
    lesson.at_least("student of the teacher: images right", distilled[0], least)?;
    let names = ["all digits", "threes"];
    let figure = Figure::new("Students that never saw a 3")
        .y("test images right")
        .percent_y()
        .y_range(0.0, 1.0)
        .bar("teacher, 400 hidden units", &names, &shares[0])
        .bar("30 units, by labels", &names, &shares[1])
        .bar("30 units, by the teacher", &names, &shares[2]);
    lesson.figure("threes", "What is said between the lines", &figure)
}
