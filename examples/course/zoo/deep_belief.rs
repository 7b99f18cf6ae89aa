//! A deep belief network stacks restricted Boltzmann machines: what the hidden units of one do is what the next learns from.
//! Trained without labels, layer by layer, it helps where labels are few: here they only train the output layer. Source:
//! Hinton, Osindero, Teh, A Fast Learning Algorithm for Deep Belief Nets, 2006.

use crate::lesson::{Lesson, Result};
use wgrad::nn::Context;
use wgrad::nn::{Adam, Linear, Sequential, Sigmoid, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{DType, Device, Generator, Optimizer, Reduction, Tensor};

/// Weights and hidden biases after contrastive divergence on `x [n, from]`.
fn pretrain(
    x: &Tensor,
    to: usize,
    rounds: usize,
    rng: &mut Generator,
) -> wgrad::Result<(Tensor, Tensor)> {
    let (n, from, device) = (x.size(0), x.size(1), x.device());
    let zeros = |n: usize| Tensor::zeros(&[n], DType::F32, device);
    let mut state = (
        rng.normal(&[from, to], device) * 0.01,
        zeros(from),
        zeros(to),
        Generator::new(7),
    );
    type State = (Tensor, Tensor, Tensor, Generator);
    let mut step = compile(|(w, b, c, draws): &mut State, v: &[Tensor]| {
        let v = &v[0];
        let h = (v.matmul(w) + &*c).sigmoid();
        let drawn = draws.bernoulli_of(&h, h.shape()).cast(DType::F32);
        let dream = (drawn.matmul(&w.t()) + &*b).sigmoid();
        let dreamt = (dream.matmul(w) + &*c).sigmoid();
        let rate = 0.1 / v.size(0) as f64;
        *w = &*w + (v.t().matmul(&h) - dream.t().matmul(&dreamt)) * rate;
        *b = &*b + (v - &dream).sum_dims(&[0], false) * rate;
        *c = &*c + (&h - &dreamt).sum_dims(&[0], false) * rate;
        draws.next_step();
        Ok(())
    });
    for _ in 0..rounds {
        let order = rng.permutation(n, device);
        for at in (0..n / 100 * 100).step_by(100) {
            step.call(&mut state, &[&x.index_select(0, &order.narrow(0, at, 100))])?;
        }
    }
    Ok((state.0, state.2))
}

/// The share of `test` that a network gets right whose output layer alone is trained on the few labelled examples.
fn tune(
    mut net: Sequential,
    few: &(Tensor, Tensor),
    test: &(Tensor, Tensor),
    steps: usize,
) -> wgrad::Result<f64> {
    let (mut adam, mut context) = (Adam::new(1e-2).weight_decay(1e-3), Context::train(1));
    for _ in 0..steps {
        let loss = net
            .forward(&few.0, &mut context)
            .cross_entropy(&few.1, Reduction::Mean);
        let gradients = gradients(&loss, &net)?.freeze(|name| !name.starts_with("out"));
        adam.step(&mut net, &gradients)?;
    }
    let said = net.forward(&test.0, &mut Context::eval()).argmax(1, false);
    Ok(said
        .eq(&test.1)
        .cast(DType::F32)
        .mean()
        .item::<f32>()?
        .into())
}

fn stack(sizes: &[usize; 3], rng: &mut Generator, device: &Device) -> (Linear, Linear, Linear) {
    let [from, middle, top] = *sizes;
    (
        Linear::new(from, middle, rng, device),
        Linear::new(middle, top, rng, device),
        Linear::new(top, 10, rng, device),
    )
}

fn network((a, b, out): (Linear, Linear, Linear)) -> Sequential {
    let net = Sequential::new()
        .with("first", a)
        .with("sigmoid1", Sigmoid)
        .with("second", b);
    net.with("sigmoid2", Sigmoid).with("out", out)
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let (train, test) = lesson.digits()?;
    let (n, labelled, rounds, steps) = lesson.pick((20_000, 200, 15, 600), (6000, 200, 12, 400));
    let set = |set: &wgrad::data::ImageDataset, n: usize| {
        let x = Tensor::from_slice(&set.images()[..n * 784], &[n, 784], device).cast(DType::F32)
            / 255.0;
        (
            x,
            Tensor::from_slice(&set.labels()[..n], &[n], device).cast(DType::I32),
        )
    };
    let (x, y) = set(&train, n.min(train.len()));
    let few = (x.narrow(0, 0, labelled), y.narrow(0, 0, labelled));
    let unseen = set(&test, 2000.min(test.len()));

    let mut rng = Generator::new(lesson.seed);
    let sizes = [784, 200, 100];
    let plain = tune(
        network(stack(&sizes, &mut rng, device)),
        &few,
        &unseen,
        steps,
    )?;
    let (mut first, mut second, out) = stack(&sizes, &mut rng, device);
    let (w1, c1) = pretrain(&x, 200, rounds, &mut rng)?;
    let above = (x.matmul(&w1) + &c1).sigmoid().detach()?;
    let (w2, c2) = pretrain(&above, 100, rounds, &mut rng)?;
    (first.weight, first.bias) = (w1.t(), Some(c1));
    (second.weight, second.bias) = (w2.t(), Some(c2));
    let deep = tune(network((first, second, out)), &few, &unseen, steps)?;
    lesson.say(format!(
        "{labelled} labels: {:.1} % right from random weights, {:.1} % after pretraining",
        100.0 * plain,
        100.0 * deep
    ));
    lesson.at_least("right after pretraining", deep, lesson.pick(0.7, 0.7))?;
    lesson.at_least("gained by pretraining", deep - plain, 0.02)?;
    let names = ["random weights", "layers pretrained"];
    let figure = Figure::new(format!("{labelled} labelled digits"))
        .y("unseen digits right")
        .percent_y()
        .bar("network of two hidden layers", &names, &[plain, deep]);
    lesson.figure(
        "few_labels",
        "Learning from unlabelled digits first",
        &figure,
    )
}
