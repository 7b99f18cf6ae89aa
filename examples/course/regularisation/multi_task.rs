//! Multi-task learning: tasks that need the same things share the layers that find them. 20 regressions of the same three
//! hidden features, 30 examples each: learned together, they find the features that none finds alone. Source: Goodfellow,
//! Bengio, Courville, Deep Learning, 7.7; Caruana 1993.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Linear, Sequential, Tanh, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{Generator, Optimizer, Reduction, Tensor};

const INPUTS: usize = 10;
const TASKS: usize = 20;

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let steps = lesson.pick(600, 250);
    let features = rng.normal(&[INPUTS, 3], device) * 0.5;
    let tasks = rng.normal(&[3, TASKS], device);
    let truth = |x: &Tensor| x.matmul(&features).tanh().matmul(&tasks);
    let x = rng.normal(&[30, INPUTS], device);
    let y = (truth(&x) + rng.normal(&[30, TASKS], device) * 0.1).detach()?;
    let x_test = rng.normal(&[1000, INPUTS], device);
    let y_test = truth(&x_test).detach()?;

    // The test error of a network with 3 hidden units on some of the tasks.
    let mut learn = |from: usize, count: usize| -> wgrad::Result<f64> {
        let net = Sequential::new()
            .with("shared", Linear::new(INPUTS, 6, rng, device))
            .with("tanh", Tanh)
            .with("tasks", Linear::new(6, count, rng, device));
        let (y, y_test) = (y.narrow(1, from, count), y_test.narrow(1, from, count));
        let mut state = (net, Adam::new(0.02));
        let mut step = compile(|(net, adam): &mut (Sequential, Adam), _: &[Tensor]| {
            let said = net.forward(&x, &mut Context::eval());
            let loss = said.mse_loss(&y, Reduction::Mean);
            let gradients = gradients(&loss, net)?;
            adam.step(net, &gradients)?;
            Ok(loss)
        });
        for _ in 0..steps {
            step.call(&mut state, &[])?;
        }
        let said = state.0.forward(&x_test, &mut Context::eval());
        Ok(said
            .mse_loss(&y_test, Reduction::Mean)
            .item::<f32>()?
            .into())
    };
    let counts = [1usize, 2, 5, 10, 20];
    let mut errors = Vec::new();
    for count in counts {
        let groups = (TASKS / count).min(lesson.pick(20, 5));
        let mut sum = 0.0;
        for group in 0..groups {
            sum += learn(group * count, count)?;
        }
        errors.push(sum / groups as f64);
    }
    lesson.at_most(
        "test error of 20 tasks together by that of each alone",
        errors[4] / errors[0],
        lesson.pick(0.6, 0.75),
    )?;
    let figure = Figure::new("30 examples of 20 tasks")
        .x("tasks that share a hidden layer")
        .y("test error of a task")
        .log_x()
        .log_y()
        .dotted_line("mean over the tasks", &counts, &errors);
    lesson.figure(
        "sharing",
        "The more tasks share, the fewer examples each needs",
        &figure,
    )
}
