//! Fused attention: the same bits on any number of threads, near to sums in f64, at ragged sizes.

use super::*;
use crate::tests::segments::{planned, same_bits};
use wgrad_graph::ops::Op;
use wgrad_graph::ops::attention::Attention;
use wgrad_graph::ops::attention_scores::Scores;
use wgrad_graph::{Device, Tensor, grad};

fn tensor(rng: &mut Rng, shape: &[usize]) -> Tensor {
    let n = shape.iter().product();
    Tensor::from_slice(&rng.floats(n), shape, &Device::cpu())
}

/// The result and gradients of an attention whose heads lie as layers lay them, `[batch, length, heads, features]`.
fn results([a, b, l, s, d, e]: [usize; 6], kind: usize, rng: &mut Rng) -> Vec<Tensor> {
    let [q, k, v] = [(l, d), (s, d), (s, e)].map(|(n, width)| tensor(rng, &[a, n, b, width]));
    let heads = [&q, &k, &v].map(|t| t.permute(&[0, 2, 1, 3]));
    let mut inputs: Vec<Tensor> = heads.to_vec();
    match kind {
        2 => inputs.push(tensor(rng, &[1, b, l, s])),
        3 => inputs.push(tensor(rng, &[a, 1, 1, s]).gt_scalar(-0.5)),
        _ => {}
    }
    let scores = Scores::new(0.4, kind == 1);
    let op = Op::from(Attention { scores });
    let y = Tensor::apply(op, &inputs.iter().collect::<Vec<_>>(), q.device());
    let g = tensor(rng, &[a, b, l, e]);
    let mut all = grad(&(&y * g).sum(), &[&q, &k, &v]).expect("gradients");
    all.push(y);
    all
}

/// One case of random sizes.
pub(crate) fn ragged(rng: &mut Rng) {
    let mut size = |most: usize| 1 + rng.below(most);
    let sizes = [size(2), size(3), size(150), size(150), size(70), size(70)];
    let kind = rng.below(4);
    let all = results(sizes, kind, rng);
    same_bits(&all.iter().collect::<Vec<_>>());
}

#[test]
fn bits_do_not_depend_on_threads() {
    let rng = &mut Rng(1);
    // One head, whose keys several tasks share; heads for all; several blocks of rows.
    for sizes in [
        [1, 1, 700, 900, 16, 16],
        [2, 3, 130, 200, 8, 24],
        [1, 2, 1100, 300, 4, 4],
    ] {
        for kind in 0..4 {
            let all = results(sizes, kind, rng);
            same_bits(&all.iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn results_of_one_pass_are_one_step() {
    let all = results([2, 2, 40, 50, 8, 8], 2, &mut Rng(2));
    let (plan, ..) = planned(&all.iter().collect::<Vec<_>>());
    let steps = plan.steps.iter().filter_map(|s| match &s.kernel {
        Kernel::Attention(a) => Some((a.results.len(), s.outputs().count())),
        _ => None,
    });
    assert_eq!(steps.collect::<Vec<_>>(), [(2, 2), (3, 3)]);
    // Heads are read where they lie.
    let copies = plan.steps.iter().filter(|s| {
        s.inputs
            .iter()
            .any(|&i| plan.slots[i].len == 2 * 40 * 2 * 8)
    });
    let maps = copies
        .filter(|s| matches!(s.kernel, Kernel::Map(_)))
        .count();
    assert!(maps <= 4, "{maps} maps");
}

/// The sum of a long row is as exact as that of a short one: with equal scores every result is the mean of the values.
#[test]
fn the_error_does_not_grow_with_the_length() {
    for length in [100, 100_000] {
        let device = Device::cpu();
        let q = Tensor::zeros(&[1, 1, 1, 4], wgrad_graph::DType::F32, &device);
        let k = Tensor::zeros(&[1, 1, length, 4], wgrad_graph::DType::F32, &device);
        let v: Vec<f32> = Rng(3).floats(length).iter().map(|x| x + 1.5).collect();
        let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / length as f64;
        let v = Tensor::from_slice(&v, &[1, 1, length, 1], &device);
        let op = Op::from(Attention {
            scores: Scores::new(1.0, false),
        });
        let y = Tensor::apply(op, &[&q, &k, &v], &device);
        let got = f64::from(y.to_vec::<f32>().expect("a value")[0]);
        assert!((got - mean).abs() < 4e-6, "{length}: {got} and {mean}");
    }
}
