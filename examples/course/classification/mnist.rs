//! Softmax regression on MNIST: `p = softmax(W x + b)`, the negative logarithm of the right class's probability as loss. From
//! scratch, with the gradient that a pencil finds, `(p − y) xᵀ`, and concise, with a layer; 92 % of the test images are
//! right. Each row of W is a template of its digit. Source: Zhang et al., Dive into Deep Learning, 4.4 and 4.5.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Linear, Sgd, compile, gradients};
use wgrad::plot::{Figure, Picture};
use wgrad::{DType, Generator, Optimizer, Reduction, Tensor};

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let rng = &mut Generator::new(lesson.seed);
    let (images, epochs) = lesson.pick((60_000, 6), (4000, 4));
    let (train, test) = lesson.some_digits(images, lesson.pick(10_000, 2000))?;
    let (x_test, y_test) = test.gather(&Tensor::arange(test.len(), device));
    let x_test = x_test.flatten(1, -1);
    let right = |logits: &Tensor| -> wgrad::Result<f64> {
        let right = logits.argmax(1, false).eq(&y_test).cast(DType::F32);
        Ok(right.mean().item::<f32>()?.into())
    };
    let (batch, rate) = (200, 0.3);

    // From scratch: the state is two tensors, the gradient is written out.
    let mut scratch = (
        Tensor::zeros(&[784, 10], DType::F32, device),
        Tensor::zeros(&[10], DType::F32, device),
    );
    let mut by_hand = compile(|(w, b): &mut (Tensor, Tensor), index: &[Tensor]| {
        let (x, y) = train.gather(&index[0]);
        let (x, hot) = (x.flatten(1, -1), y.one_hot(10).cast(DType::F32));
        let z = x.matmul(w) + &*b;
        let loss = -(z.log_softmax(1) * &hot).sum() / x.size(0) as f64;
        let wrong = (z.softmax(1) - &hot) / x.size(0) as f64; // p − y, by the batch
        *w = &*w - x.t().matmul(&wrong) * rate;
        *b = &*b - wrong.sum_dims(&[0], false) * rate;
        Ok(loss)
    });
    // Concise.
    let mut concise = (Linear::new(784, 10, rng, device), Sgd::new(rate));
    let mut by_layer = compile(|(net, sgd): &mut (Linear, Sgd), index: &[Tensor]| {
        let (x, y) = train.gather(&index[0]);
        let logits = net.forward(&x.flatten(1, -1));
        let loss = logits.cross_entropy(&y, Reduction::Mean);
        let gradients = gradients(&loss, net)?;
        sgd.step(net, &gradients)?;
        Ok(loss)
    });
    let mut shares = [Vec::new(), Vec::new()];
    for _ in 0..epochs {
        let order = rng.permutation(images, device);
        for at in (0..images).step_by(batch) {
            let some = order.narrow(0, at, batch);
            by_hand.call(&mut scratch, &[&some])?;
            by_layer.call(&mut concise, &[&some])?;
        }
        shares[0].push(right(&(x_test.matmul(&scratch.0) + &scratch.1))?);
        shares[1].push(right(&concise.0.forward(&x_test))?);
    }
    let least = lesson.pick(0.918, 0.78);
    lesson.at_least(
        "from scratch: test images right",
        shares[0][epochs - 1],
        least,
    )?;
    lesson.at_least("concise: test images right", shares[1][epochs - 1], least)?;
    let apart = (shares[0][epochs - 1] - shares[1][epochs - 1]).abs();
    lesson.at_most("difference of both", apart, 0.01)?;

    let count: Vec<usize> = (1..=epochs).collect();
    let figure = Figure::new("Softmax regression on MNIST")
        .x("epoch")
        .y("test images right")
        .percent_y()
        .dotted_line("from scratch", &count, &shares[0])
        .dotted_line("concise", &count, &shares[1]);
    lesson.figure("right", "Half a page, 92 %", &figure)?;
    let w = scratch.0.t().to_vec::<f32>()?;
    let templates: Vec<Picture> = w
        .chunks_exact(784)
        .enumerate()
        .map(|(digit, w)| Picture::floats(28, 28, w, (-0.6, 0.6)).caption(digit.to_string()))
        .collect();
    let figure = Figure::new("Weights of each digit").image_grid(5, &templates);
    lesson.figure(
        "templates",
        "White speaks for the digit, black against it",
        &figure,
    )
}
