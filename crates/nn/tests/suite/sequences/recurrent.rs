//! Recurrent layers with lengths, states, projections, peepholes and leaks, and single cells.

use super::{check, devices, fill, lattice, values};
use wgrad_graph::{DType, Device, Generator, Tensor};
use wgrad_nn::{
    Context, Gru, GruCell, Lstm, LstmCell, Module, Nonlinearity, RecurrentOptions, Rnn, RnnCell,
    SimpleRnn, compile, gradients,
};

const LENGTHS: [usize; 4] = [5, 7, 1, 3];

/// `x [4, 7, 3]` with the worst there is where there is padding.
fn padded(device: &Device) -> Tensor {
    padded_to(7, &LENGTHS, device)
}

fn padded_to(time: usize, lengths: &[usize], device: &Device) -> Tensor {
    let mut x = super::numbers(500, lengths.len() * time * 3);
    for (row, &n) in x.chunks_mut(time * 3).zip(lengths) {
        for (i, v) in row.iter_mut().enumerate().skip(n * 3) {
            *v = [f32::NAN, f32::INFINITY, 1e30][i % 3];
        }
    }
    Tensor::from_slice(&x, &[lengths.len(), time, 3], device)
}

#[test]
fn two_hundred_steps_equal_pytorchs() {
    let lengths = [120, 200, 1, 37];
    let options = RecurrentOptions::default()
        .batch_first(true)
        .bidirectional(true);
    for d in devices() {
        let (cx, rng) = (&mut Context::eval(), &mut Generator::new(0));
        let x = padded_to(200, &lengths, &d);
        let mut lstm = Lstm::new(3, 5, &options, rng, &d);
        fill(&mut lstm, &d);
        let (y, (h, c)) = lstm.forward_lengths(&x, &lengths, None, cx);
        check("lstm_200_steps", &lstm, &[("x", &x)], &[&y, &h, &c]);
        let mut gru = Gru::new(3, 5, &options, rng, &d);
        fill(&mut gru, &d);
        let (y, h) = gru.forward_lengths(&x, &lengths, None, cx);
        check("gru_200_steps", &gru, &[("x", &x)], &[&y, &h]);
    }
}

/// One form of the three layers: outputs and last states.
fn three(name: &str, options: RecurrentOptions, lengths: Option<&[usize]>, given: bool) {
    let batch_first = options.batch_first(true);
    let states = 1 + usize::from(options.bidirectional);
    let states = states * options.num_layers;
    for d in devices() {
        let cx = &mut Context::eval();
        let x = match lengths {
            Some(_) => padded(&d),
            None => lattice(500, &[4, 7, 3], &d),
        };
        let h: [Tensor; 2] = std::array::from_fn(|k| lattice(501 + k, &[states, 4, 5], &d));
        let rng = &mut Generator::new(0);
        let mut rnn = Rnn::new(3, 5, &batch_first, rng, &d);
        let mut gru = Gru::new(3, 5, &batch_first, rng, &d);
        let mut lstm = Lstm::new(3, 5, &batch_first, rng, &d);
        for model in [&mut rnn as &mut dyn Module, &mut gru, &mut lstm] {
            fill(model, &d);
        }
        let (first, both) = (given.then_some(&h[0]), given.then_some((&h[0], &h[1])));
        let mut inputs = vec![("x", &x)];
        inputs.extend(first.map(|h| ("state0", h)));
        let (y, last) = match lengths {
            Some(n) => rnn.forward_lengths(&x, n, first, cx),
            None => rnn.forward(&x, first, cx),
        };
        check(&format!("rnn_{name}"), &rnn, &inputs, &[&y, &last]);
        let (y, last) = match lengths {
            Some(n) => gru.forward_lengths(&x, n, first, cx),
            None => gru.forward(&x, first, cx),
        };
        check(&format!("gru_{name}"), &gru, &inputs, &[&y, &last]);
        inputs.extend(both.map(|(_, c)| ("state1", c)));
        let (y, (h, c)) = match lengths {
            Some(n) => lstm.forward_lengths(&x, n, both, cx),
            None => lstm.forward(&x, both, cx),
        };
        check(&format!("lstm_{name}"), &lstm, &inputs, &[&y, &h, &c]);
    }
}

#[test]
fn layers_equal_pytorchs() {
    let options = RecurrentOptions::default().num_layers(2);
    three("stacked", options.bias(false), None, true);
    three(
        "lengths",
        RecurrentOptions::default(),
        Some(&LENGTHS),
        false,
    );
    let both = options.bidirectional(true);
    three("lengths_bidirectional", both, Some(&LENGTHS), true);
}

#[test]
fn other_forms_equal_pytorchs() {
    let options = RecurrentOptions::default();
    for d in devices() {
        let (cx, rng) = (&mut Context::eval(), &mut Generator::new(0));
        let x = padded(&d);
        let projected = options.batch_first(true).bidirectional(true).proj_size(2);
        let mut lstm = Lstm::new(3, 5, &projected, rng, &d);
        fill(&mut lstm, &d);
        let (h, c) = (lattice(501, &[2, 4, 2], &d), lattice(502, &[2, 4, 5], &d));
        let (y, last) = lstm.forward_lengths(&x, &LENGTHS, Some((&h, &c)), cx);
        let inputs = [("x", &x), ("state0", &h), ("state1", &c)];
        check(
            "lstm_lengths_projected",
            &lstm,
            &inputs,
            &[&y, &last.0, &last.1],
        );

        let mut rnn = Rnn::new(3, 5, &options.batch_first(true), rng, &d);
        rnn = rnn.nonlinearity(Nonlinearity::Relu);
        fill(&mut rnn, &d);
        let lengths = Tensor::new(&[5, 7, 1, 3], &d);
        let (y, h) = rnn.forward_lengths(&x, &lengths, None, cx);
        check("rnn_relu_lengths", &rnn, &[("x", &x)], &[&y, &h]);

        let x = lattice(500, &[7, 4, 3], &d);
        for (name, options) in [
            ("lstm_peepholes", options.peepholes(true)),
            ("lstm_coupled", options.peepholes(true).coupled_gates(true)),
        ] {
            let mut lstm = Lstm::new(3, 5, &options, rng, &d);
            fill(&mut lstm, &d);
            let (y, (h, c)) = lstm.forward(&x, None, cx);
            check(name, &lstm, &[("x", &x)], &[&y, &h, &c]);
        }
        let mut simple = SimpleRnn::new(3, 5, &options, rng, &d);
        fill(&mut simple, &d);
        let (y, h) = simple.forward(&x, None, cx);
        check("simple_rnn", &simple, &[("x", &x)], &[&y, &h]);
        for (name, options, leak) in [
            ("rnn_leaky", options, 0.25),
            ("rnn_skip", options.skip(3), 1.0),
        ] {
            let mut rnn = Rnn::new(3, 5, &options, rng, &d).leak(leak);
            fill(&mut rnn, &d);
            let (y, h) = rnn.forward(&x, None, cx);
            check(name, &rnn, &[("x", &x)], &[&y, &h]);
            // In two parts, with the state carried.
            let (first, h) = rnn.forward(&x.narrow(0, 0, 4), None, cx);
            let (second, _) = rnn.forward(&x.narrow(0, 4, 3), Some(&h), cx);
            let parts = Tensor::cat(&[&first, &second], 0);
            super::super::close(&values(&parts), &values(&y), 1e-6);
        }
    }
}

#[test]
fn cells_equal_pytorchs() {
    for d in devices() {
        let rng = &mut Generator::new(0);
        let x = lattice(500, &[4, 3], &d);
        let (h, c) = (lattice(501, &[4, 5], &d), lattice(502, &[4, 5], &d));
        let inputs = [("x", &x), ("state0", &h), ("state1", &c)];
        let mut rnn = RnnCell::new(3, 5, true, rng, &d).nonlinearity(Nonlinearity::Relu);
        fill(&mut rnn, &d);
        check(
            "rnn_cell",
            &rnn,
            &inputs[..2],
            &[&rnn.forward(&x, Some(&h))],
        );
        let mut gru = GruCell::new(3, 5, true, rng, &d);
        fill(&mut gru, &d);
        check(
            "gru_cell",
            &gru,
            &inputs[..2],
            &[&gru.forward(&x, Some(&h))],
        );
        let mut lstm = LstmCell::new(3, 5, &RecurrentOptions::default(), rng, &d);
        fill(&mut lstm, &d);
        let (h2, c2) = lstm.forward(&x, Some((&h, &c)));
        check("lstm_cell", &lstm, &inputs, &[&h2, &c2]);
        assert!(rnn.forward(&h, None).check().is_err());
        assert!(lstm.forward(&x, Some((&x, &c))).0.check().is_err());
    }
}

#[test]
fn bad_lengths_are_errors() {
    for d in devices() {
        let cx = &mut Context::eval();
        let gru = Gru::new(
            3,
            4,
            &RecurrentOptions::default(),
            &mut Generator::new(0),
            &d,
        );
        let x = Tensor::ones(&[5, 2, 3], DType::F32, &d);
        let error = |lengths: &[usize], cx: &mut Context| {
            let (y, _) = gru.forward_lengths(&x, lengths, None, cx);
            y.check().map(|_| ()).unwrap_err().to_string()
        };
        assert!(error(&[5, 6], cx).contains("length 6 of sequence 1 is not within 1..=5"));
        assert!(error(&[0, 5], cx).contains("length 0 of sequence 0"));
        assert!(error(&[5], cx).contains("1 lengths for 2 sequences"));
        for bad in [[0, 5], [5, 6], [-1, 2]] {
            let lengths = Tensor::new(&bad, &d);
            let (y, h) = gru.forward_lengths(&x, &lengths, None, cx);
            assert!(y.to_vec::<f32>().is_err(), "{bad:?} on {d}");
            assert!(h.to_vec::<f32>().is_err(), "{bad:?} on {d}");
        }
        for bad in [Tensor::new(&[1f32, 2.0], &d), Tensor::new(&[1, 2, 3], &d)] {
            let (y, _) = gru.forward_lengths(&x, &bad, None, cx);
            assert!(y.check().is_err());
        }
    }
}

#[test]
fn one_plan_serves_all_lengths() {
    let d = Device::cpu();
    let gru = Gru::new(
        3,
        4,
        &RecurrentOptions::default(),
        &mut Generator::new(0),
        &d,
    );
    let mut state = gru.clone();
    let mut step = compile(|gru: &mut Gru, inputs: &[Tensor]| {
        let (y, _) = gru.forward_lengths(&inputs[0], &inputs[1], None, &mut Context::eval());
        let loss = y.square().sum();
        let g = gradients(&loss, gru)?;
        Ok((loss, g.global_norm()))
    });
    let x = lattice(7, &[5, 2, 3], &d);
    for lengths in [[1usize, 5], [3, 3], [5, 2]] {
        let (y, _) = gru.forward_lengths(&x, &lengths, None, &mut Context::eval());
        let given = lengths.map(|n| n as i32);
        let (loss, _) = step
            .call(&mut state, &[&x, &Tensor::new(&given, &d)])
            .unwrap();
        super::super::close(&values(&loss), &values(&y.square().sum()), 1e-5);
    }
    assert_eq!(step.traces(), 1);
}
