//! Recurrent layers against plain loops, and their forms against each other.

use super::{close, devices, spread, values};
use wgrad_graph::{DType, Device, Generator, Tensor};
use wgrad_nn::{
    Context, Gru, Layer, Lstm, Module, Nonlinearity, RecurrentOptions, Rnn, Sequential, gradients,
};

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A step: input and state projections, hidden and cell state.
type Cell = dyn Fn(&[f64], &[f64], &mut [f64], &mut [f64]);

/// Rows of a parameter.
fn rows(model: &dyn Module, name: &str) -> Vec<Vec<f64>> {
    let all = model.named_parameters();
    let (_, t) = all.iter().find(|(n, _)| n == name).unwrap();
    values(t)
        .chunks(if t.rank() == 2 { t.size(1) } else { 1 })
        .map(<[f64]>::to_vec)
        .collect()
}

fn product(w: &[Vec<f64>], b: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
    w.iter()
        .zip(b)
        .map(|(w, b)| b[0] + w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>())
        .collect()
}

/// The last hidden state of one layer over rows of `x`, by `cell(input product, state product, h, c)`.
fn run(model: &dyn Module, x: &[f64], inputs: usize, hidden: usize, cell: &Cell) -> Vec<f64> {
    let names =
        ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"].map(|n| rows(model, n));
    let (mut h, mut c) = (vec![0.0; hidden], vec![0.0; hidden]);
    for x in x.chunks(inputs) {
        cell(
            &product(&names[0], &names[2], x),
            &product(&names[1], &names[3], &h),
            &mut h,
            &mut c,
        );
    }
    h
}

#[test]
fn cells_follow_their_formulas() {
    for d in devices() {
        let (rng, options, cx) = (
            &mut Generator::new(3),
            RecurrentOptions::default(),
            &mut Context::eval(),
        );
        let x = Tensor::from_slice(&spread(15), &[5, 3], &d);
        let xs = values(&x);
        let rnn = Rnn::new(3, 4, &options, rng, &d).nonlinearity(Nonlinearity::Relu);
        let want = run(&rnn, &xs, 3, 4, &|a, b, h, _| {
            (0..4).for_each(|i| h[i] = (a[i] + b[i]).max(0.0))
        });
        close(&values(&rnn.forward(&x, None, cx).1), &want, 1e-5);
        let lstm = Lstm::new(3, 4, &options, rng, &d);
        let want = run(&lstm, &xs, 3, 4, &|a, b, h, c| {
            for i in 0..4 {
                let at = |gate: usize| a[gate * 4 + i] + b[gate * 4 + i];
                c[i] = sigmoid(at(1)) * c[i] + sigmoid(at(0)) * at(2).tanh();
                h[i] = sigmoid(at(3)) * c[i].tanh();
            }
        });
        close(&values(&lstm.forward(&x, None, cx).1.0), &want, 1e-5);
        let gru = Gru::new(3, 4, &options, rng, &d);
        let want = run(&gru, &xs, 3, 4, &|a, b, h, _| {
            for i in 0..4 {
                let (r, z) = (sigmoid(a[i] + b[i]), sigmoid(a[4 + i] + b[4 + i]));
                h[i] = (1.0 - z) * (a[8 + i] + r * b[8 + i]).tanh() + z * h[i];
            }
        });
        close(&values(&gru.forward(&x, None, cx).1), &want, 1e-5);
    }
}

#[test]
fn forms_of_the_same_sequence_agree() {
    let d = Device::cpu();
    let options = RecurrentOptions::default()
        .num_layers(2)
        .bidirectional(true)
        .proj_size(2);
    let make = |options: &RecurrentOptions| Lstm::new(3, 4, options, &mut Generator::new(5), &d);
    let (time_first, batch_first) = (make(&options), make(&options.batch_first(true)));
    let x = Tensor::from_slice(&spread(2 * 6 * 3), &[6, 2, 3], &d);
    let cx = &mut Context::eval();
    let (y, (h, c)) = time_first.forward(&x, None, cx);
    assert_eq!(
        (y.shape(), h.shape(), c.shape()),
        (&[6, 2, 4][..], &[4, 2, 2][..], &[4, 2, 4][..])
    );
    let (turned, _) = batch_first.forward(&x.transpose(0, 1), None, cx);
    close(&values(&turned.transpose(0, 1)), &values(&y), 1e-6);
    let (alone, _) = time_first.forward(&x.select(1, 1), None, cx);
    close(&values(&alone), &values(&y.select(1, 1)), 1e-6);
    // Forwards, the last output is the last state; backwards, the first.
    close(
        &values(&y.select(0, 5).narrow(-1, 0, 2)),
        &values(&h.select(0, 2)),
        1e-6,
    );
    close(
        &values(&y.select(0, 0).narrow(-1, 2, 2)),
        &values(&h.select(0, 3)),
        1e-6,
    );
    // A sequence in two parts goes on from the state between them.
    let one = Lstm::new(
        3,
        4,
        &RecurrentOptions::default(),
        &mut Generator::new(5),
        &d,
    );
    let (first, (h, c)) = one.forward(&x.narrow(0, 0, 2), None, cx);
    let (second, _) = one.forward(&x.narrow(0, 2, 4), Some((&h, &c)), cx);
    close(
        &values(&Tensor::cat(&[&first, &second], 0)),
        &values(&one.forward(&x, None, cx).0),
        1e-6,
    );
}

#[test]
fn parameters_have_their_names_and_train() {
    let d = Device::cpu();
    let options = RecurrentOptions::default()
        .num_layers(2)
        .bias(false)
        .bidirectional(true)
        .dropout(0.5);
    let mut gru = Gru::new(3, 4, &options, &mut Generator::new(0), &d);
    let names: Vec<String> = gru.named_parameters().into_iter().map(|(n, _)| n).collect();
    assert_eq!(names.len(), 8);
    assert_eq!(
        names[..4],
        [
            "weight_ih_l0",
            "weight_hh_l0",
            "weight_ih_l0_reverse",
            "weight_hh_l0_reverse"
        ]
    );
    assert_eq!(gru.parameters()[4].shape(), [12, 8]);
    let x = Tensor::ones(&[4, 2, 3], DType::F32, &d);
    let loss = Layer::forward(&mut gru, &x, &mut Context::train(1))
        .square()
        .sum();
    assert!(
        gradients(&loss, &gru)
            .unwrap()
            .of()
            .iter()
            .all(|g| g.abs().sum().item::<f32>().unwrap() > 0.0)
    );
    let net = Sequential::new().with("gru", gru);
    assert_eq!(net.named_parameters()[0].0, "gru.weight_ih_l0");
}

#[test]
fn wrong_shapes_give_invalid_tensors() {
    let d = Device::cpu();
    let make = |options: RecurrentOptions| Rnn::new(3, 4, &options, &mut Generator::new(0), &d);
    let rnn = make(RecurrentOptions::default());
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &d);
    let cx = &mut Context::eval();
    for shape in [&[3][..], &[2, 5], &[0, 2, 3], &[1, 1, 1, 3]] {
        assert!(
            rnn.forward(&zeros(shape), None, cx).1.check().is_err(),
            "{shape:?}"
        );
    }
    assert!(
        rnn.forward(&zeros(&[5, 2, 3]), Some(&zeros(&[1, 1, 4])), cx)
            .0
            .check()
            .is_err()
    );
    assert!(
        make(RecurrentOptions::default().num_layers(0))
            .forward(&zeros(&[5, 2, 3]), None, cx)
            .0
            .check()
            .is_err()
    );
}
