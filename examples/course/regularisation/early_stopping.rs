//! Early stopping: keep the weights of the lowest validation loss, stop when it has not fallen for a while. The validation
//! examples are not lost: a second run uses all examples, either from the beginning for as many steps as were best, or on
//! from the weights kept, until the validation examples' loss is as low as the training loss was at the stop. Source:
//! Goodfellow, Bengio, Courville, Deep Learning, 7.8, algorithms 7.1 to 7.3.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Compiled, Context, Linear, Relu, Sequential, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Module, Optimizer, Reduction, Tensor};

type State = (Sequential, Adam);

fn fresh(seed: u64, device: &Device) -> State {
    let rng = &mut Generator::new(seed);
    let net = Sequential::new()
        .with("hidden", Linear::new(784, 128, rng, device))
        .with("relu", Relu)
        .with("out", Linear::new(128, 10, rng, device));
    (net, Adam::new(1e-3))
}

fn loss(net: &mut Sequential, (x, y): (&Tensor, &Tensor)) -> Tensor {
    net.forward(x, &mut Context::eval())
        .cross_entropy(y, Reduction::Mean)
}

fn right(net: &mut Sequential, (x, y): (&Tensor, &Tensor)) -> wgrad::Result<f64> {
    let said = net.forward(x, &mut Context::eval()).argmax(1, false);
    Ok(said.eq(y).cast(DType::F32).mean().item::<f32>()?.into())
}

/// A step on a batch of 50 of these examples.
fn train<F>(
    step: &mut Compiled<State, Tensor, F>,
    state: &mut State,
    (x, y): (&Tensor, &Tensor),
    rng: &mut Generator,
) -> wgrad::Result<()>
where
    F: FnMut(&mut State, &[Tensor]) -> wgrad::Result<Tensor>,
{
    let some = rng.integers(0, x.size(0) as i32, &[50], x.device());
    step.call(
        state,
        &[&x.index_select(0, &some), &y.index_select(0, &some)],
    )?;
    Ok(())
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (tests, every, patience) = lesson.pick((10_000, 10, 15), (2000, 10, 8));
    let (set, test) = lesson.some_digits(600, tests)?;
    let (x, y) = set.gather(&Tensor::arange(600, device));
    let (x, y) = (x.flatten(1, -1).detach()?, y.detach()?);
    let (x_test, y_test) = test.gather(&Tensor::arange(tests, device));
    let (x_test, y_test) = (x_test.flatten(1, -1).detach()?, y_test.detach()?);
    let all = (&x, &y);
    let part = (x.narrow(0, 0, 400).detach()?, y.narrow(0, 0, 400).detach()?);
    let held = (x.narrow(0, 400, 200), y.narrow(0, 400, 200));
    let (part, held, test) = ((&part.0, &part.1), (&held.0, &held.1), (&x_test, &y_test));

    let mut step = compile(|(net, adam): &mut State, b: &[Tensor]| {
        let loss = loss(net, (&b[0], &b[1]));
        let gradients = gradients(&loss, net)?;
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    let rng = &mut Generator::new(lesson.seed);
    let mut state = fresh(lesson.seed, device);
    let mut best = (f32::INFINITY, 0, f32::INFINITY, state.0.state());
    let (mut steps, mut train_losses, mut held_losses) = (Vec::new(), Vec::new(), Vec::new());
    let mut count = 0;
    // Algorithm 7.1.
    while count - best.1 <= every * patience {
        for _ in 0..every {
            train(&mut step, &mut state, part, rng)?;
        }
        count += every;
        let on_train = loss(&mut state.0, part).item::<f32>()?;
        let on_held = loss(&mut state.0, held).item::<f32>()?;
        if on_held < best.0 {
            best = (on_held, count, on_train, state.0.state());
        }
        steps.push(count);
        train_losses.push(on_train);
        held_losses.push(on_held);
    }
    let (least, stop, reached, kept) = best;
    lesson.say(format!("best after {stop} of {count} steps"));
    let last = held_losses[held_losses.len() - 1];
    let rise = f64::from(last - least);
    lesson.at_least("validation loss at the end beyond the least", rise, 0.003)?;
    let fall = f64::from(train_losses[train_losses.len() - 1] / reached);
    lesson.at_most("training loss at the end by that at the best", fall, 0.8)?;
    state.0.load_state(&kept)?;
    let stopped = right(&mut state.0, test)?;

    // Algorithm 7.2: all examples, from the beginning, as many steps.
    let mut again = fresh(lesson.seed, device);
    for _ in 0..stop {
        train(&mut step, &mut again, all, rng)?;
    }
    let again = right(&mut again.0, test)?;
    // Algorithm 7.3: all examples, from the weights kept, until the held ones' loss is as low.
    let mut on = fresh(lesson.seed, device);
    on.0.load_state(&kept)?;
    let mut more = 0;
    while more < 2000 && loss(&mut on.0, held).item::<f32>()? > reached {
        for _ in 0..every {
            train(&mut step, &mut on, all, rng)?;
        }
        more += every;
    }
    let on = right(&mut on.0, test)?;
    lesson.say(format!("400 examples, stopped: {stopped:.4}; all 600 again: {again:.4}; all 600 on, {more} steps: {on:.4}"));
    lesson.at_least("stopped: test images right", stopped, lesson.pick(0.8, 0.7))?;
    lesson.at_least("from the beginning: beyond that", again - stopped, 0.0)?;
    lesson.at_least("going on: beyond that", on - stopped, 0.0)?;
    let figure = Figure::new("400 digits")
        .x("step")
        .y("cross-entropy, nats")
        .log_y()
        .line("training", &steps, &train_losses)
        .line("validation", &steps, &held_losses)
        .vertical("weights kept", stop as f64);
    lesson.figure("losses", "One falls on, the other turns", &figure)
}
