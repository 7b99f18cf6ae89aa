//! Long sequences, which recurrent layers compute as a loop in the graph: against the same layers on pieces of them, which
//! are recorded step by step.

use super::{close, spread, values};
use wgrad_graph::{Device, Generator, Tensor, eval, grad};
use wgrad_nn::{
    Adam, Context, Gru, Lstm, Module, Optimizer, RecurrentOptions, Rnn, compile, gradients,
};

const STEPS: usize = 150;
const PIECE: usize = 50;

fn devices() -> Vec<Device> {
    #[cfg(feature = "gpu")]
    return std::iter::once(Device::cpu()).chain(super::gpu()).collect();
    #[cfg(not(feature = "gpu"))]
    vec![Device::cpu()]
}

fn input(device: &Device) -> Tensor {
    Tensor::from_slice(&spread(STEPS * 2 * 3), &[STEPS, 2, 3], device)
}

/// A layer on a sequence, from a state: outputs and the last state.
type Forward<'a> = &'a dyn Fn(&Tensor, Option<&[Tensor]>) -> (Tensor, Vec<Tensor>);

/// Outputs, last states and gradients of the whole are those of the pieces.
fn check(layer: &dyn Module, x: &Tensor, forward: Forward) {
    let (whole, last) = forward(x, None);
    let mut state: Option<Vec<Tensor>> = None;
    let mut outputs = Vec::new();
    for at in 0..STEPS / PIECE {
        let piece = x.narrow(0, at * PIECE, PIECE);
        let (y, next) = forward(&piece, state.as_deref());
        outputs.push(y);
        state = Some(next);
    }
    let pieces = Tensor::cat(&outputs.iter().collect::<Vec<_>>(), 0);
    close(&values(&whole), &values(&pieces), 1e-5);
    for (got, want) in last.iter().zip(state.iter().flatten()) {
        close(&values(got), &values(want), 1e-5);
    }
    let parameters = layer.parameters();
    let leaves: Vec<&Tensor> = parameters.iter().chain([x]).collect();
    let loss = |y: &Tensor, last: &[Tensor]| y.square().sum() + last[0].sum();
    let got = grad(&loss(&whole, &last), &leaves).expect("gradients of the loop");
    let state = state.expect("pieces");
    let want = grad(&loss(&pieces, &state), &leaves).expect("gradients of the pieces");
    for (got, want) in got.iter().zip(&want) {
        close(&values(got), &values(want), 1e-4);
    }
}

#[test]
fn long_sequences_are_their_pieces() {
    for d in devices() {
        let x = input(&d);
        let options = RecurrentOptions::default().num_layers(2);
        let mut rng = Generator::new(3);
        let lstm = Lstm::new(3, 5, &options, &mut rng, &d);
        check(&lstm, &x, &|x, state| {
            let state = state.map(|s| (&s[0], &s[1]));
            let (y, (h, c)) = lstm.forward(x, state, &mut Context::eval());
            (y, vec![h, c])
        });
        let gru = Gru::new(3, 5, &options, &mut rng, &d);
        check(&gru, &x, &|x, state| {
            let (y, h) = gru.forward(x, state.map(|s| &s[0]), &mut Context::eval());
            (y, vec![h])
        });
        let rnn = Rnn::new(3, 5, &options, &mut rng, &d);
        check(&rnn, &x, &|x, state| {
            let (y, h) = rnn.forward(x, state.map(|s| &s[0]), &mut Context::eval());
            (y, vec![h])
        });
    }
}

#[test]
fn long_padded_sequences_are_those_without_padding() {
    for d in devices() {
        let x = input(&d);
        let options = RecurrentOptions::default().bidirectional(true);
        let lstm = Lstm::new(3, 5, &options, &mut Generator::new(4), &d);
        let lengths = [STEPS, STEPS - 11];
        let (y, (h, _)) = lstm.forward_lengths(&x, &lengths, None, &mut Context::eval());
        for (i, n) in lengths.into_iter().enumerate() {
            let alone = x.select(1, i as isize).narrow(0, 0, n);
            let (want, (last, _)) = lstm.forward(&alone, None, &mut Context::eval());
            let got = y.select(1, i as isize);
            close(&values(&got.narrow(0, 0, n)), &values(&want), 1e-5);
            close(&values(&h.select(1, i as isize)), &values(&last), 1e-5);
            assert!(
                values(&got.narrow(0, n, STEPS - n))
                    .iter()
                    .all(|&v| v == 0.0)
            );
        }
    }
}

#[test]
fn a_compiled_step_trains_on_long_sequences() {
    for d in devices() {
        let make = || {
            let mut rng = Generator::new(5);
            let lstm = Lstm::new(3, 5, &RecurrentOptions::default(), &mut rng, &d);
            (lstm, Adam::new(1e-2))
        };
        let loss = |lstm: &Lstm, x: &Tensor| {
            let (y, _) = lstm.forward(x, None, &mut Context::eval());
            (y - 0.3).square().mean()
        };
        let mut compiled = make();
        let mut step = compile(|(lstm, adam): &mut (Lstm, Adam), x: &[Tensor]| {
            let loss = loss(lstm, &x[0]);
            let gradients = gradients(&loss, lstm)?;
            adam.step(lstm, &gradients)?;
            Ok(loss)
        });
        let mut plain = make();
        for round in 0..4 {
            let x = input(&d) * (1.0 + f64::from(round));
            eval(&[&x]).expect("an input");
            let got = step.call(&mut compiled, &[&x]).expect("a step");
            let want = loss(&plain.0, &x);
            let gradients = gradients(&want, &plain.0).expect("gradients");
            plain.1.step(&mut plain.0, &gradients).expect("a step");
            close(&values(&got), &values(&want), 1e-5);
        }
        let pairs = compiled
            .0
            .parameters()
            .into_iter()
            .zip(plain.0.parameters());
        for (got, want) in pairs {
            close(&values(&got), &values(&want), 1e-4);
        }
    }
}
