//! Attention: every text through naga, and rounds of any length. Its numbers are compared in the workspace's own tests, on each
//! executor with the composition.

use super::Data;
use super::contract::Case;
use super::rounds::bounded;
use super::texts::validate;
use crate::dtype::DType;
use crate::plan::*;

const RESULTS: [AttentionResult; 5] = [
    AttentionResult::Out,
    AttentionResult::Normalizer,
    AttentionResult::Query,
    AttentionResult::Key,
    AttentionResult::Value,
];

/// The kernel that gives one result, its inputs' lengths and that of the result.
fn kernel(
    result: AttentionResult,
    [queries, keys]: [usize; 2],
    [d, e]: [usize; 2],
    mask: bool,
) -> (Kernel, Vec<usize>, usize) {
    let e = if result == AttentionResult::Normalizer {
        0
    } else {
        e
    };
    let heads = |rows: usize, width: usize| Heads {
        offset: 0,
        batch: [0, rows * width],
        row: width,
        col: 1,
    };
    let mut sizes = vec![(queries, d), (keys, d), (keys, e)];
    if result.is_gradient() {
        sizes.extend([(queries, e), (queries, 3)]);
    }
    sizes.extend(mask.then_some((queries, keys)));
    let attention = Attention {
        results: vec![result],
        batch: [1, 2],
        queries,
        keys,
        features: d,
        value_features: e,
        scale: 1.0f32.to_bits(),
        causal: false,
        mask,
        inputs: sizes
            .iter()
            .map(|&(rows, width)| heads(rows, width))
            .collect(),
    };
    let out = match result {
        AttentionResult::Out => queries * e,
        AttentionResult::Normalizer => queries * 2,
        AttentionResult::Query => queries * d,
        AttentionResult::Key => keys * d,
        AttentionResult::Value => keys * e,
    };
    let inputs = sizes.iter().map(|&(rows, width)| 2 * rows * width);
    (Kernel::Attention(attention), inputs.collect(), 2 * out)
}

/// Each result, of features of several sizes, with a mask and without.
pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for result in RESULTS {
        for features in [[1, 1], [64, 64], [33, 128], [128, 128]] {
            for mask in [false, true] {
                let (kernel, inputs, out) = kernel(result, [40, 50], features, mask);
                let inputs = inputs.iter().map(|&n| Data::random(DType::F32, n, 1));
                all.push((kernel, inputs.collect(), (DType::F32, out)));
            }
        }
    }
    all
}

#[test]
fn texts_are_valid() {
    let mut seen = Vec::new();
    for (kernel, inputs, out) in cases() {
        seen.extend(validate(&kernel, &inputs, out));
    }
    for label in ["attention", "attention queries", "attention keys"] {
        assert!(seen.contains(&label), "no case runs `{label}`");
    }
}

#[test]
fn attentions_of_any_length_stay_within_the_rounds() {
    for result in RESULTS {
        for length in [1, 31, 1000, 5000, 9300, 20_000, 65_536, 1 << 20] {
            for sizes in [[length, 70], [70, length]] {
                for features in [[1, 1], [64, 64], [128, 128]] {
                    let (kernel, inputs, out) = kernel(result, sizes, features, true);
                    let inputs: Vec<_> = inputs.iter().map(|&n| (DType::F32, n)).collect();
                    bounded(kernel, &inputs, (DType::F32, out));
                }
            }
        }
    }
}
