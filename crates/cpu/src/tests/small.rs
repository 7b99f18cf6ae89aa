//! The smallest cases that reach each part of the executor that the compiler does not check: for Miri, which takes a
//! thousandfold time (`cargo xtask sanitize miri`), and quick anywhere else. Under Miri small work is shared among threads
//! too, so that it sees what they touch.

use super::*;
use crate::conv::unfold::Unfold;
use crate::conv::way::{Forward, Way, WeightGrad};
use crate::conv::winograd::{Filters, Winograd};
use crate::matmul::gemm;
use crate::storage::HostBuffer;
use crate::tests::contraction::{check_matmul, check_within, shape};
use crate::tests::segments::same_bits;
use crate::threads::par::with_threads;
use crate::{Executor, Memory, Prepared, conv};
use wgrad_graph::planning;
use wgrad_graph::{AttentionOptions, ConvOptions, Device, Tensor, grad};

fn tensor(seed: u64, shape: &[usize]) -> Tensor {
    let n = shape.iter().product();
    Tensor::from_slice(&Rng(seed).floats(n), shape, &Device::cpu())
}

#[test]
fn products_in_panels_and_as_they_lie() {
    for layout in 0..5 {
        check_matmul([2, 3, 5, 4], layout);
        check_matmul([1, 1, 6, 5], layout);
    }
    // Few rows along a transposed matrix.
    check_matmul([1, 2, 5, 67], 2);
    for layouts in [[0, 0], [1, 2], [4, 1]] {
        gemm::tests::check_all([7, 9, 5], layouts, layouts[0] == 0);
    }
}

#[test]
fn convolutions_in_place_unfolded_and_with_few_channels() {
    let one = [1; 3];
    for (channels, input, kernel, stride) in [
        // Read in a padded plane, and its gradient of the weight; planes of one pixel too.
        ([2, 1, 2, 4], [1, 4, 5], [1, 3, 3], one),
        ([1, 1, 12, 4], [1, 3, 2], [1, 3, 3], one),
        ([2, 1, 12, 4], [1, 1, 1], [1, 3, 3], one),
        // Few channels, positions side by side.
        ([2, 1, 1, 4], [1, 2, 9], [1, 3, 3], one),
        // Unfolded, summed row by row, folded.
        ([2, 2, 2, 2], [1, 5, 4], [1, 2, 3], [1, 2, 1]),
    ] {
        let reach = kernel.map(|k| k / 2);
        check_within(shape(channels, input, kernel, stride, reach, one), 1e-4);
    }
}

/// Stride 2 by phases: a window that reaches over each side, phases with windows of their own, and one tap.
#[test]
fn strided_by_phases() {
    let one = [1; 3];
    for (kernel, padding, side) in [(4, 1, 6), (3, 1, 3), (3, 0, 5)] {
        let (input, kernel) = ([1, side, side], [1, kernel, kernel]);
        let (stride, padding) = ([1, 2, 2], [0, padding, padding]);
        let conv = shape([2, 1, 8, 8], input, kernel, stride, padding, one);
        assert!(conv::ways(&conv).contains(&Way::Forward(Forward::Phases)));
        check_within(conv, 1e-4);
    }
}

#[test]
fn winograd_both_ways() {
    let (channels, side) = (16, 6);
    let conv = shape(
        [1, 1, channels, channels],
        [1, side, side],
        [1, 3, 3],
        [1; 3],
        [0, 1, 1],
        [1; 3],
    );
    let unfold = Unfold {
        input: conv.input,
        output: conv.output,
        kernel: conv.kernel,
        stride: conv.stride,
        dilation: conv.dilation,
        padding: conv.padding.map(|p| p as i64),
    };
    let [x, y] = [1, 2].map(|seed| held(&Rng(seed).floats(channels * side * side)));
    let [x, y]: [&[f32]; 2] = [&x, &y].map(|b| bytemuck::cast_slice(b.bytes()));
    let weight = Rng(3).floats(channels * channels * 9);
    // Terms of a few results are enough; the whole is compared elsewhere.
    let at = |x: &[f32], c: usize, i: usize, j: usize, t: usize| match (i + t / 3, j + t % 3) {
        (i @ 1..=6, j @ 1..=6) => f64::from(x[(c * side + i - 1) * side + j - 1]),
        _ => 0.0,
    };
    let plan = Winograd::new(&unfold, channels, channels);
    let mut packed = held(&vec![f32::NAN; plan.packed_len(1)]);
    let mut out = held(&vec![f32::NAN; channels * side * side]);
    with_threads(2, |par| {
        let filters = Filters {
            weight: (&weight[..]).into(),
            groups: 1,
            adjoint: false,
        };
        plan.pack(filters, packed.slice_mut(), par);
        let out = out.slice_mut::<f32>().into();
        plan.run(x.into(), (packed.slice_mut(), 1), out, par);
    });
    let got: &[f32] = out.slice_mut();
    for (o, i, j) in [(0, 0, 0), (15, 5, 5), (7, 3, 4)] {
        let terms = (0..channels * 9).map(|ct| {
            at(x, ct / 9, i, j, ct % 9) * f64::from(weight[(o * channels + ct / 9) * 9 + ct % 9])
        });
        close(&[got[(o * side + i) * side + j]], &[terms.sum()], 1e-4);
    }
    let gradient = crate::plan::Conv {
        kind: crate::plan::ConvKind::WeightGrad,
        ..conv
    };
    let mut out = held(&vec![f32::NAN; weight.len()]);
    let way = Way::WeightGrad(WeightGrad::Winograd);
    let sums = conv::choice::with(way, || conv::sums(&gradient)).expect("partial sums");
    with_threads(2, |par| sums.run(x.into(), y.into(), out.slice_mut(), par));
    let got: &[f32] = out.slice_mut();
    for (o, c, t) in [(0, 0, 0), (15, 15, 8), (3, 9, 4)] {
        let terms = (0..side * side)
            .map(|p| f64::from(y[o * side * side + p]) * at(x, c, p / side, p % side, t));
        close(&[got[(o * channels + c) * 9 + t]], &[terms.sum()], 1e-4);
    }
}

#[test]
fn rows_and_their_sums() {
    crate::tests::rows::check(&[5], &[3], &mut Rng(11));
    crate::tests::rows::check(&[20], &[2], &mut Rng(13));
}

/// Parts of a batch, each taken by one thread through all steps; sums over the parts.
#[test]
fn segments_part_by_part() {
    let n = if cfg!(miri) { 6 } else { 200 };
    let [q, k, v] = [1, 2, 3].map(|seed| tensor(seed, &[8, n, 2]));
    let y = q.scaled_dot_product_attention(&k, &v, &AttentionOptions::default());
    assert!(!same_bits(&[&y]).is_empty());
    let side = if cfg!(miri) { 8 } else { 72 };
    let (x, w1, w2) = (
        tensor(1, &[16, 1, 2, side]),
        tensor(2, &[4, 1, 3, 3]),
        tensor(3, &[4, 4, 3, 3]),
    );
    let options = ConvOptions::default().padding([1, 1]);
    let h = x.conv2d(&w1, None, &options).relu();
    let loss = h.conv2d(&w2, None, &options).square().sum();
    let grads = grad(&loss, &[&w1, &w2]).expect("gradients");
    let segments = same_bits(&[&grads[0], &grads[1]]);
    assert!(!cfg!(miri) || !segments.is_empty());
}

#[test]
fn updates_where_the_old_values_lie() {
    for n in [1, 19, 33] {
        updates(n);
    }
}

/// Updates of `n` elements as optimisers do them, also where the old values lie.
pub(crate) fn updates(n: usize) {
    let old = [1, 2, 3].map(|seed| tensor(seed, &[n]));
    let ([p, m, v], g) = (&old, tensor(4, &[n]));
    let m = m * 0.9 + &g * 0.1;
    let v = v.square() * 0.99 + g.square() * 0.01;
    let p = p - &m / (v.sqrt() * 1.5 + 1e-3) * 0.01;
    let new = [&p, &m, &v];
    same_bits(&new);
    let planned = planning::planned(&new, &old.each_ref().map(Some)).expect("a plan");
    let (plan, scalars) = (planned.plan, planned.scalars);
    assert_eq!(plan.in_place.len(), 3);
    let leaves: Vec<&HostBuffer> = planned.leaves.iter().collect();
    let (prepared, mut memory) = (Prepared::new(&plan), Memory::new(&plan));
    let copies = (old.each_ref()).map(|t| held(&t.to_vec::<f32>().expect("values")));
    memory.offer(copies.into_iter().map(Some).collect());
    let (executor, status) = (Executor::with_threads(3), AtomicU32::new(0));
    let got = executor.run_in(&mut memory, (&plan, &prepared), &leaves, &scalars, &status);
    for (got, want) in got.expect("room").iter().zip(new) {
        let want = want.to_vec::<f32>().expect("values");
        assert!(*got.bytes() == *bytes(&want), "{n}");
    }
}

/// Results of operands of shape `[n, m]`, one of which is 0.
fn of_nothing([n, m]: [usize; 2], device: &Device) -> Vec<Tensor> {
    let tensor = |shape: &[usize]| {
        let n = shape.iter().product();
        Tensor::from_slice(&Rng(1).floats(n), shape, device)
    };
    let x = tensor(&[n, m]);
    vec![
        x.softmax(1),
        x.log_softmax(0),
        &x - x.mean_dims(&[1], true),
        x.sum_dims(&[0], false),
        x.cumsum(1),
        x.matmul(&tensor(&[m, 4])),
        x.t().matmul(&tensor(&[n, 4])),
        Tensor::cat(&[&x, &tensor(&[2, m])], 0) * 2.0,
        x.sort(1, false).0,
    ]
}

/// Where there is nothing to compute with, nothing is read, divided by or cut.
#[test]
fn nothing_is_computed_from_nothing() {
    for shape in [[0, 3], [3, 0], [0, 0]] {
        let [cpu, reference] = [Device::cpu(), Device::reference()].map(|d| of_nothing(shape, &d));
        same_bits(&cpu.iter().collect::<Vec<_>>());
        for (y, want) in cpu.iter().zip(&reference) {
            let [y, want] = [y, want].map(|t| t.to_vec::<f32>().expect("values"));
            close(
                &y,
                &want.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(),
                1e-6,
            );
        }
    }
}

#[test]
fn pooled_memory_goes_from_thread_to_thread() {
    let rounds = if cfg!(miri) { 4 } else { 400 };
    std::thread::scope(|scope| {
        for thread in 0..3u8 {
            scope.spawn(move || {
                for round in 0..rounds {
                    let len = 1 + (usize::from(thread) * 37 + round * 101) % 300;
                    let mut buffer = HostBufferMut::scratch(len).expect("room");
                    buffer.bytes_mut().fill(thread);
                    let shared = buffer.freeze();
                    let other = shared.clone();
                    std::thread::scope(|inner| {
                        inner.spawn(move || assert!(other.bytes().iter().all(|&b| b == thread)));
                    });
                    let again = shared.into_mut().expect("nobody else holds it");
                    assert!(again.len() == len && again.bytes().iter().all(|&b| b == thread));
                }
            });
        }
    });
}
