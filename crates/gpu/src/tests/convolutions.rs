//! Convolutions of every stride, dilation, padding, grouping and ragged size against obvious loops, with the kernels of each
//! target; numbers that are not finite where clamped addresses read them.

use super::contract::{Case, conv, conv_case, expected, set_output};
use super::{Data, check};
use crate::plan::*;

const KINDS: [ConvKind; 3] = [ConvKind::Forward, ConvKind::InputGrad, ConvKind::WeightGrad];

/// Whole numbers of a generator.
struct Draws(u64);

impl Draws {
    fn next(&mut self, from: usize, to: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        from + (self.0 >> 33) as usize % (to - from + 1)
    }
}

/// A convolution of random sizes in `dims` dimensions.
fn drawn(kind: ConvKind, draws: &mut Draws, dims: usize) -> Conv {
    let groups = draws.next(1, 3);
    let channels = [draws.next(1, 7), draws.next(1, 7)];
    let mut c = conv(kind, groups, channels, [1; 3], [1; 3]);
    for d in 3 - dims..3 {
        c.kernel[d] = draws.next(1, 4);
        c.stride[d] = draws.next(1, 4);
        c.dilation[d] = draws.next(1, 3);
        c.padding[d] = draws.next(0, 2);
        let reach = c.dilation[d] * (c.kernel[d] - 1) + 1;
        let least = reach.saturating_sub(2 * c.padding[d]).max(1);
        c.input[d] = least + draws.next(0, 9);
    }
    set_output(&mut c);
    c
}

/// Sizes that choose each text and each of its variants.
fn chosen(kind: ConvKind) -> Vec<Conv> {
    let mut all = Vec::new();
    // Depthwise, taps unrolled or not, lines of several lengths.
    for (taps, stride, dilation, size) in [
        (1, 1, 1, 9),
        (2, 2, 1, 10),
        (3, 1, 1, 7),
        (3, 2, 1, 13),
        (3, 3, 1, 11),
        (3, 1, 2, 9),
        (4, 2, 1, 12),
        (5, 1, 1, 14),
        (5, 2, 1, 15),
        (6, 2, 2, 23),
        (7, 1, 1, 10),
        (7, 2, 1, 19),
        (8, 1, 1, 12),
        (9, 3, 1, 16),
    ] {
        let mut c = conv(kind, 3, [1, 1], [1, size, size + 3], [1, taps, taps]);
        c.stride = [1, stride, stride];
        c.dilation = [1, dilation, dilation];
        c.padding = [0, taps / 2, taps / 2];
        set_output(&mut c);
        all.push(c);
        // More than a channel to a group.
        let others = [[2, 3], [1, 9], [9, 1]];
        [c.in_channels, c.out_channels] = others[(taps + stride) % 3];
        c.groups = 2;
        all.push(c);
    }
    // Many planes of one line; lines that many threads share.
    let mut narrow = conv(kind, 40, [1, 1], [1, 1, 3], [1, 1, 3]);
    narrow.padding = [0, 0, 1];
    set_output(&mut narrow);
    all.push(narrow);
    all.push(conv(kind, 2, [1, 1], [1, 3, 700], [1, 2, 3]));
    // One that workgroups share.
    all.push(conv(kind, 1, [1, 1], [1, 1, 9001], [1, 1, 3]));
    // Strides beyond the kernel and the image, and phases that meet no tap or few.
    for (taps, stride, dilation, size) in [
        (1, 2, 1, 8),
        (2, 5, 1, 17),
        (3, 2, 2, 12),
        (3, 4, 2, 19),
        (3, 6, 4, 25),
        (4, 4, 1, 16),
        (2, 9, 3, 6),
        (3, 50, 1, 9),
    ] {
        for channels in [[37, 6], [1, 2]] {
            let mut c = conv(kind, 1, channels, [1, size, size + 1], [1, taps, taps]);
            c.stride = [1, stride, stride];
            c.dilation = [1, dilation, dilation];
            c.padding = [0, 1, 1];
            set_output(&mut c);
            all.push(c);
        }
    }
    // Rows for a tile of 32, sums over several of its depths.
    let mut c = conv(kind, 1, [20, 24], [1, 9, 11], [1, 3, 3]);
    c.padding = [0, 1, 1];
    set_output(&mut c);
    all.push(c);
    c.stride = [1, 2, 2];
    set_output(&mut c);
    all.push(c);
    // Large ones, for tiles of 128.
    let mut c = conv(kind, 1, [100, 99], [1, 9, 11], [1, 2, 2]);
    c.stride = [1, 2, 1];
    c.padding = [0, 1, 0];
    set_output(&mut c);
    all.push(c);
    all
}

/// Strides and sizes whose quotients reciprocals do not give.
fn huge(kind: ConvKind) -> Vec<Conv> {
    let sizes = [
        ([5, 6], 7_001, 3, 3_000, 1_000),
        ([1, 2], 150_000, 2, 70_000, 3),
    ];
    let each = sizes.map(|(channels, size, taps, stride, dilation)| {
        let mut c = conv(kind, 1, channels, [1, 1, size], [1, 1, taps]);
        c.batch = 1;
        c.stride = [1, 1, stride];
        c.dilation = [1, 1, dilation];
        set_output(&mut c);
        c
    });
    each.to_vec()
}

/// One plane of everything in depth, and a window that lies before it or behind it: nothing meets.
fn beside(kind: ConvKind) -> Vec<Conv> {
    let sizes = [
        (3, [1, 1], [4, 4]),
        (2, [1, 2], [4, 9]),
        (1, [20, 24], [9, 11]),
        (1, [100, 99], [9, 11]),
    ];
    let each = sizes.map(|(groups, channels, [h, w])| {
        let mut c = conv(kind, groups, channels, [1, h, w], [1, 3, 3]);
        c.stride = [3, 1, 1];
        c.padding = [1, 0, 1];
        set_output(&mut c);
        assert_eq!(c.output[0], 1);
        c
    });
    each.to_vec()
}

/// All of these and some at random.
pub(super) fn cases() -> Vec<Case> {
    let mut draws = Draws(11);
    let mut all: Vec<Conv> = KINDS
        .into_iter()
        .flat_map(|kind| [chosen(kind), beside(kind), huge(kind)].concat())
        .collect();
    for round in 0..3 {
        all.extend(KINDS.map(|kind| drawn(kind, &mut draws, 1 + round % 3)));
    }
    all.into_iter().map(conv_case).collect()
}

fn agrees((kernel, inputs, out): Case) {
    let expected = expected(&kernel, &inputs, out.1);
    check(kernel, &inputs, &Data::f32(expected), 5e-5);
}

#[test]
fn all_strides_dilations_paddings_and_groups_agree_with_loops() {
    let mut draws = Draws(7);
    for round in 0..12 {
        for kind in KINDS {
            agrees(conv_case(drawn(kind, &mut draws, 1 + round % 3)));
        }
    }
}

#[test]
fn every_text_and_variant_agrees_with_loops() {
    for c in KINDS.into_iter().flat_map(chosen) {
        agrees(conv_case(c));
    }
}

#[test]
fn sizes_beyond_reciprocals_agree_with_loops() {
    for c in KINDS.into_iter().flat_map(huge) {
        agrees(conv_case(c));
    }
}

#[test]
fn what_is_not_finite_spreads_no_further_than_its_products() {
    for c in KINDS.into_iter().flat_map(chosen).step_by(3) {
        let (kernel, mut inputs, out) = conv_case(c);
        // Padding is multiplied by what slides over it; what is added up directly takes four neighbours of a line, with zeros
        // for those beyond its end.
        let padded = c.padding != [0; 3] || c.kind == ConvKind::InputGrad;
        let ragged = c.kind == ConvKind::WeightGrad && !c.output[2].is_multiple_of(4);
        for (input, finite) in inputs.iter_mut().zip([ragged, padded]) {
            if finite {
                continue;
            }
            let last = input.values.len() - 1;
            input.values[0] = f64::INFINITY;
            input.values[last] = f64::NEG_INFINITY;
        }
        agrees((kernel, inputs, out));
    }
}

#[test]
fn windows_beside_the_only_plane_meet_nothing() {
    for c in KINDS.into_iter().flat_map(beside) {
        let (kernel, inputs, out) = conv_case(c);
        check(kernel, &inputs, &Data::f32(vec![0.0; out.1]), 0.0);
    }
}

#[test]
fn convolutions_of_nothing_are_zero() {
    for kind in KINDS {
        let mut c = conv(kind, 2, [3, 4], [1, 5, 5], [1, 3, 3]);
        c.batch = 0;
        let (kernel, inputs, out) = conv_case(c);
        check(kernel, &inputs, &Data::f32(vec![0.0; out.1]), 0.0);
    }
}
