//! Convolutions of random geometry, those of single planes and those of several images at once, beside their definition.

use super::contraction::{check_within, shape};
use super::run;
use crate::conv;
use crate::conv::way::{Forward, Way};
use crate::dtype::DType;
use crate::plan::{Conv, ConvKind, Kernel};

/// Numbers from `low` to `high`, both possible.
struct Draw(u64);

impl Draw {
    fn next(&mut self, low: usize, high: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        low + (self.0 >> 33) as usize % (high - low + 1)
    }

    /// A convolution without depth of planes up to `side` wide that has results.
    fn conv(&mut self, sizes: [usize; 4], side: usize) -> Conv {
        loop {
            let mut two = |low: usize, high: usize| [self.next(low, high), self.next(low, high)];
            let (input, kernel) = (two(1, side), two(1, 5));
            let (stride, padding, dilation) = (two(1, 3), two(0, 4), two(1, 2));
            let flat = |[h, w]: [usize; 2], depth: usize| [depth, h, w];
            let conv = shape(
                sizes,
                flat(input, 1),
                flat(kernel, 1),
                flat(stride, 1),
                flat(padding, 0),
                flat(dilation, 1),
            );
            if !conv.output.contains(&0) {
                return conv;
            }
        }
    }
}

const CASES: usize = if cfg!(miri) { 3 } else { 120 };

#[test]
fn groups_of_one_plane() {
    let mut draw = Draw(1);
    for _ in 0..CASES {
        let sizes = [draw.next(1, 6), draw.next(1, 5), 1, draw.next(1, 3)];
        check_within(draw.conv(sizes, 40), 1e-4);
    }
}

#[test]
fn groups_of_one_plane_of_few_positions() {
    let mut draw = Draw(4);
    for _ in 0..2 * CASES {
        let sizes = [draw.next(1, 9), draw.next(1, 40), 1, draw.next(1, 3)];
        check_within(draw.conv(sizes, 4), 1e-4);
    }
}

#[test]
fn several_images_at_once() {
    let mut draw = Draw(2);
    for i in 0..CASES {
        let channels = if i % 8 == 0 { 90 } else { 20 };
        let sizes = [
            draw.next(1, 9),
            draw.next(1, 2),
            draw.next(1, channels),
            draw.next(4, channels),
        ];
        check_within(draw.conv(sizes, if i % 8 == 0 { 6 } else { 18 }), 1e-4);
    }
    // A weight that does not stay in the cache, a plane cut into tiles, and planes of one position.
    let one = [1; 3];
    if !cfg!(miri) {
        check_within(
            shape([5, 1, 80, 100], [1, 5, 4], [1, 3, 3], one, [0, 1, 1], one),
            1e-4,
        );
        check_within(
            shape(
                [2, 1, 9, 5],
                [1, 23, 31],
                [1, 4, 4],
                [1, 2, 2],
                [0, 1, 1],
                one,
            ),
            1e-4,
        );
        check_within(
            shape([7, 1, 12, 10], [1, 7, 7], [1, 7, 7], one, [0; 3], one),
            1e-4,
        );
        check_within(
            shape(
                [3, 1, 6, 5],
                [3, 4, 5],
                [2, 3, 2],
                [2, 1, 1],
                [1, 1, 0],
                one,
            ),
            1e-4,
        );
    }
}

/// Three or four taps, stride 2, any padding: what is computed by phases, of one vector of images and of several, of planes smaller
/// than a tile and larger.
#[test]
fn strided_convolutions_by_phases() {
    let mut draw = Draw(5);
    let mut seen = 0;
    let cases = CASES.min(24);
    for i in 0..cases {
        let channels = if i % 8 == 0 { 40 } else { 12 };
        let sizes = [
            draw.next(2, 35),
            draw.next(1, 2),
            draw.next(8, channels),
            draw.next(8, channels),
        ];
        let side = if i % 8 == 4 { 25 } else { 9 };
        let mut two = |low: usize, high: usize| [draw.next(low, high), draw.next(low, high)];
        let (input, kernel, padding) = (two(1, side), two(3, 4), two(0, 5));
        let flat = |[h, w]: [usize; 2], depth: usize| [depth, h, w];
        let conv = shape(
            sizes,
            flat(input, 1),
            flat(kernel, 1),
            [1, 2, 2],
            flat(padding, 0),
            [1; 3],
        );
        if conv.output.contains(&0) {
            continue;
        }
        seen += usize::from(conv::ways(&conv).contains(&Way::Forward(Forward::Phases)));
        // A sum of some thousand terms is off by as much of the largest of its tile.
        check_within(conv, 4e-4);
    }
    assert!(2 * seen > cases, "{seen} of {cases} by phases");
}

/// What no tap reads changes no result, whatever it is: the last line and column of maps where the stride leaves some over.
#[test]
fn what_no_tap_reads_does_not_matter() {
    for (side, kernel, output) in [(8, 3, 3), (12, 3, 5), (7, 4, 2), (13, 4, 5)] {
        let (input, taps) = ([1, side, side], [1, kernel, kernel]);
        let conv = shape([2, 1, 8, 8], input, taps, [1, 2, 2], [0; 3], [1; 3]);
        assert_eq!(conv.output, [1, output, output]);
        let last = |i: usize| (i % side == side - 1) || (i / side % side == side - 1);
        let x = |left: f32| -> Vec<f32> {
            let values = 0..2 * 8 * side * side;
            let value = |i: usize| if last(i) { left } else { (i % 7) as f32 - 3.0 };
            values.map(value).collect()
        };
        let y: Vec<f32> = (0..2 * 8 * output * output)
            .map(|i| (i % 5) as f32 - 2.0)
            .collect();
        let w: Vec<f32> = (0..8 * 8 * kernel * kernel)
            .map(|i| (i % 3) as f32 - 1.0)
            .collect();
        for (kind, other, len) in [
            (ConvKind::Forward, &w, y.len()),
            (ConvKind::WeightGrad, &y, w.len()),
        ] {
            let conv = Conv { kind, ..conv };
            for way in conv::ways(&conv) {
                let of = |left: f32| {
                    let x = x(left);
                    let operands = [&x, other].map(|v| (DType::F32, bytemuck::cast_slice(v)));
                    conv::choice::with(way, || {
                        run(&Kernel::Conv(conv), &operands, DType::F32, len, &[]).0
                    })
                };
                let want = of(0.0);
                for left in [1e30, f32::NAN, f32::INFINITY] {
                    assert!(of(left) == want, "{way:?} {side} {kernel}: {left}");
                }
            }
        }
    }
}

/// A stride without a next position is no size of anything.
#[test]
fn one_position_whatever_the_stride() {
    for stride in [5, 1000, (1 << 31) - 1] {
        for sizes in [[2, 1, 8, 8], [3, 4, 1, 2], [2, 1, 3, 2]] {
            let (input, kernel) = ([1, 6, 7], [1, 5, 3]);
            let one = [1; 3];
            let conv = shape(sizes, input, kernel, [1, stride, stride], [0, 1, 0], one);
            assert_eq!(conv.output, [1, 1, 1]);
            check_within(conv, 1e-4);
        }
    }
}

/// What is summed over a long map or a long line is as exact as over a short one.
#[test]
fn errors_do_not_grow_with_the_map() {
    if cfg!(miri) {
        return;
    }
    let one = [1; 3];
    let flat = |sizes, input| shape(sizes, input, [1, 3, 3], one, [0, 1, 1], one);
    let line = |sizes| shape(sizes, [1, 1, 1 << 19], [1, 1, 3], one, [0, 0, 1], one);
    let convs = [
        flat([1, 1, 3, 4], [1, 1024, 700]),
        flat([4, 1, 2, 4], [1, 300, 400]),
        flat([1, 2, 1, 2], [1, 1024, 700]),
        line([1, 2, 1, 1]),
    ];
    for conv in convs {
        let conv = Conv {
            kind: ConvKind::WeightGrad,
            ..conv
        };
        let plane = |s: [usize; 3]| s.iter().product::<usize>();
        let planes = conv.batch * conv.groups;
        let x = vec![0.1f32; planes * conv.in_channels * plane(conv.input)];
        let y = vec![1.0f32; planes * conv.out_channels * plane(conv.output)];
        let taps = plane(conv.kernel);
        let len = conv.groups * conv.in_channels * conv.out_channels * taps;
        // The tap in the middle meets all of the map.
        let want = conv.batch as f64 * plane(conv.input) as f64 * f64::from(0.1f32);
        for way in conv::ways(&conv) {
            conv::choice::with(way, || {
                let operands = [&x, &y].map(|v| (DType::F32, bytemuck::cast_slice(v)));
                let (got, _) = run(&Kernel::Conv(conv), &operands, DType::F32, len, &[]);
                let got: &[f32] = bytemuck::cast_slice(&got);
                for middle in got.iter().skip(taps / 2).step_by(taps) {
                    let error = (f64::from(*middle) / want - 1.0).abs();
                    assert!(error < 1e-5, "{conv:?} {way:?}: off by {error:.1e}");
                }
            });
        }
    }
}
