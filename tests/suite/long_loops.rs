//! What long loops take, as their plans say: a gradient stores, for each step, the states before it and what the weights' gradients
//! are summed from after the loop, nothing else; pieces in checkpoints bound that too.

use crate::models::own_devices;
use wgrad::nn::{Context, Lstm, RecurrentOptions, compile, gradients};
use wgrad::{DType, Device, Generator, Module, Result, ScanOptions, Tensor, checkpoint, scan};

const BATCH: usize = 32;
const WIDTH: usize = 64;
/// Bytes of one state of all sequences.
const STATE: f64 = (4 * BATCH * WIDTH) as f64;

/// The states `(h, c)` after the steps of `x`.
type Run<M> = fn(&M, &Tensor, Option<&(Tensor, Tensor)>) -> (Tensor, Tensor);

fn layer(net: &Lstm, x: &Tensor, state: Option<&(Tensor, Tensor)>) -> (Tensor, Tensor) {
    let state = state.map(|(h, c)| (h, c));
    net.forward(x, state, &mut Context::eval()).1
}

/// A user's own cell.
#[derive(Module)]
struct Cell {
    input: Tensor,
    state: Tensor,
}

fn own_cell(net: &Cell, x: &Tensor, state: Option<&(Tensor, Tensor)>) -> (Tensor, Tensor) {
    let zeros = || Tensor::zeros(&[BATCH, WIDTH], DType::F32, x.device());
    let state = state.cloned().unwrap_or_else(|| (zeros(), zeros()));
    let step = |(h, c): (Tensor, Tensor), x: Tensor| {
        let gates = x.matmul(&net.input) + h.matmul(&net.state);
        let gate = |i: usize| gates.narrow(1, i * WIDTH, WIDTH);
        let c = gate(0).sigmoid() * c + gate(1).sigmoid() * gate(2).tanh();
        ((gate(3).sigmoid() * c.tanh(), c), ())
    };
    scan(state, x.clone(), &ScanOptions::default(), step).0
}

/// Bytes of temporaries for the gradients of a sequence of so many steps, in checkpoints of `piece` steps each.
fn bytes<M: Module>(
    net: impl Fn() -> M,
    run: Run<M>,
    (steps, piece): (usize, usize),
    device: &Device,
) -> f64 {
    let x = Tensor::zeros(&[steps, BATCH, WIDTH], DType::F32, device).detach();
    let mut step = compile(move |net: &mut M, x: &[Tensor]| -> Result<Vec<Tensor>> {
        let mut state = None;
        for from in (0..steps).step_by(piece) {
            let x = x[0].narrow(0, from, piece);
            let run = || run(net, &x, state.as_ref());
            state = Some(if piece < steps {
                checkpoint(run)
            } else {
                run()
            });
        }
        let loss = state.map(|(h, _)| h.square().mean()).expect("a step");
        let gradients = gradients(&loss, net)?;
        Ok(gradients.iter().map(|(_, g)| g.clone()).collect())
    });
    let cost = step.cost(&mut net(), &[&x.expect("an input")]);
    let cost = cost.expect("a cost").expect("a plan");
    println!(
        "{device}: {steps} steps in pieces of {piece}: {} bytes, {:.2} states a step",
        cost.temporary_bytes,
        cost.temporary_bytes as f64 / STATE / steps as f64
    );
    cost.temporary_bytes as f64
}

/// Fails if a step takes more than `states`, or pieces of 128 steps do not bound that to theirs, to `share` of the whole.
fn check<M: Module>(net: impl Fn(&Device) -> M, run: Run<M>, states: f64, share: f64) {
    for device in own_devices() {
        let bytes = |steps, piece| bytes(|| net(&device), run, (steps, piece), &device);
        let (half, all) = (bytes(1024, 1024), bytes(2048, 2048));
        let each = (all - half) / STATE / 1024.0;
        assert!(each < states, "{device}: {each} states a step");
        let (half, pieces) = (bytes(1024, 128), bytes(2048, 128));
        assert!(pieces < all * share, "{device}: {pieces} of {all}");
        // The states between pieces, and a part of the weights' gradients.
        let each = (pieces - half) / STATE / 8.0;
        assert!(each < 40.0, "{device}: {each} states a piece");
    }
}

/// The inputs' products, the states' products and the gradients of both have the size of four states, and there are two states.
#[test]
fn an_lstm_stores_its_states_and_products() {
    let options = RecurrentOptions::default();
    let rng = || Generator::new(1);
    check(
        |device| Lstm::new(WIDTH, WIDTH, &options, &mut rng(), device),
        layer,
        14.1,
        0.1,
    );
}

/// Two states. Within a piece the gradients of the gates are stored too, for all of it: one product is faster than one a step.
#[test]
fn a_loop_stores_its_states() {
    let cell = |device: &Device| Cell {
        input: Tensor::ones(&[WIDTH, 4 * WIDTH], DType::F32, device) * 0.1,
        state: Tensor::ones(&[WIDTH, 4 * WIDTH], DType::F32, device) * 0.1,
    };
    check(cell, own_cell, 2.1, 0.6);
}
