//! Matmul and Conv.

use super::*;
use crate::conv;
use crate::plan::{Conv, ConvKind, Matmul, Matrix};

const F: DType = DType::F32;

#[test]
fn matmuls() {
    let sizes = [
        (1, 3, 4, 5),
        (1, 1, 1, 1),
        (2, 1, 70, 33),
        (3, 65, 1, 129),
        (1, 1, 1, 500),
        (4, 17, 19, 23),
        (1, 128, 256, 784),
        (1, 200, 130, 257),
        (2, 0, 3, 4),
        (2, 3, 0, 4),
        (2, 3, 4, 0),
        (0, 2, 2, 2),
        (9, 33, 31, 64),
        (1, 700, 1, 900),
        (1, 1, 700, 900),
        (2, 150, 160, 170),
    ];
    for (batch, m, n, k) in sizes {
        for layout in 0..5 {
            check_matmul([batch, m, n, k], layout);
        }
    }
}

/// A product of operands that lie in one of five ways, the last element of each at the end of its buffer.
pub(crate) fn check_matmul([batch, m, n, k]: [usize; 4], layout: usize) {
    let mut a = Matrix {
        offset: 0,
        batch: m * k,
        row: k,
        col: 1,
    };
    let mut b = Matrix {
        offset: 0,
        batch: k * n,
        row: n,
        col: 1,
    };
    match layout {
        1 => (a.row, a.col) = (1, m),
        2 => (b.row, b.col) = (1, k),
        3 => (a.offset, a.batch, b.offset, b.col) = (2, 0, 3, 0),
        4 => (a.row, a.col, b.row, b.col) = (2 * k, 2, 2 * n, 2),
        _ => {}
    }
    let len = |x: Matrix, rows: usize, cols: usize| match batch * rows * cols {
        0 => 0,
        _ => x.offset + (batch - 1) * x.batch + (rows - 1) * x.row + (cols - 1) * x.col + 1,
    };
    let x = Rng(1).floats(len(a, m, k));
    let y = Rng(2).floats(len(b, k, n));
    let mut want = Vec::new();
    for p in 0..batch {
        for i in 0..m {
            for j in 0..n {
                let left = |l| f64::from(x[a.offset + p * a.batch + i * a.row + l * a.col]);
                let right = |l| f64::from(y[b.offset + p * b.batch + l * b.row + j * b.col]);
                want.push((0..k).map(|l| left(l) * right(l)).sum());
            }
        }
    }
    let kernel = Kernel::Matmul(Matmul {
        batch,
        m,
        n,
        k,
        a,
        b,
    });
    let inputs = [(F, bytes(&x)), (F, bytes(&y))];
    let (got, _) = run(&kernel, &inputs, F, want.len(), &[]);
    close(&values(&got), &want, 2e-5);
    check_halves(&kernel, [&x, &y], want.len());
}

/// Operands of two bytes give the bits that they give when they are widened first, beside each other and beside f32.
fn check_halves(kernel: &Kernel, operands: [&[f32]; 2], len: usize) {
    let of = |dtype: DType, floats: &[f32]| -> (Vec<u8>, Vec<f32>) {
        let f16s = || floats.iter().map(|&x| half::f16::from_f32(x));
        let bf16s = || floats.iter().map(|&x| half::bf16::from_f32(x));
        match dtype {
            DType::F16 => (
                bytes(&f16s().collect::<Vec<_>>()).to_vec(),
                f16s().map(half::f16::to_f32).collect(),
            ),
            DType::BF16 => (
                bytes(&bf16s().collect::<Vec<_>>()).to_vec(),
                bf16s().map(half::bf16::to_f32).collect(),
            ),
            _ => (bytes(floats).to_vec(), floats.to_vec()),
        }
    };
    for dtypes in [[DType::BF16, DType::BF16], [DType::F16, F], [F, DType::F16]] {
        let [(a, wide_a), (b, wide_b)] = [0, 1].map(|i| of(dtypes[i], operands[i]));
        let inputs = [(dtypes[0], &a[..]), (dtypes[1], &b[..])];
        let (got, _) = run(kernel, &inputs, F, len, &[]);
        let inputs = [(F, bytes(&wide_a)), (F, bytes(&wide_b))];
        let (want, _) = run(kernel, &inputs, F, len, &[]);
        assert!(got == want, "{dtypes:?} of {kernel:?}");
    }
}

/// Matrices large enough that several threads share one product.
#[test]
fn large_products_do_not_depend_on_threads() {
    for (m, n, k) in [
        (512, 512, 512),
        (384, 700, 1300),
        (1000, 64, 800),
        (64, 1000, 800),
        (300, 300, 4000),
    ] {
        let x = Rng(1).floats(m * k);
        let y = Rng(2).floats(k * n);
        let a = Matrix {
            offset: 0,
            batch: 0,
            row: k,
            col: 1,
        };
        let b = Matrix {
            offset: 0,
            batch: 0,
            row: n,
            col: 1,
        };
        let kernel = Kernel::Matmul(Matmul {
            batch: 1,
            m,
            n,
            k,
            a,
            b,
        });
        let (got, _) = run(&kernel, &[(F, bytes(&x)), (F, bytes(&y))], F, m * n, &[]);
        let got = values::<f32>(&got);
        for (i, j) in [(0, 0), (m - 1, n - 1), (m / 2, n / 3)] {
            let want: f64 = (0..k)
                .map(|l| f64::from(x[i * k + l]) * f64::from(y[l * n + j]))
                .sum();
            close(&[got[i * n + j]], &[want], 1e-4);
        }
    }
}

pub(crate) fn shape(
    [batch, groups, in_channels, out_channels]: [usize; 4],
    input: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    padding: [usize; 3],
    dilation: [usize; 3],
) -> Conv {
    let output = [0, 1, 2].map(|d| {
        let reach = dilation[d] * (kernel[d] - 1) + 1;
        (input[d] + 2 * padding[d])
            .checked_sub(reach)
            .map_or(0, |room| room / stride[d] + 1)
    });
    let kind = ConvKind::Forward;
    Conv {
        kind,
        batch,
        groups,
        in_channels,
        out_channels,
        input,
        output,
        kernel,
        stride,
        padding,
        dilation,
    }
}

/// The three products by their definition: calls `f(y, x, weight)` for every term.
fn terms(c: &Conv, mut f: impl FnMut(usize, usize, usize)) {
    let plane = |s: [usize; 3]| s.iter().product::<usize>();
    for n in 0..c.batch {
        for (g, o, i) in indices(&[c.groups, c.out_channels, c.in_channels])
            .iter()
            .map(|v| (v[0], v[1], v[2]))
        {
            let (o, i_all) = (g * c.out_channels + o, g * c.in_channels + i);
            for (at_y, p) in indices(&c.output).iter().enumerate() {
                for (at_t, t) in indices(&c.kernel).iter().enumerate() {
                    let q = [0, 1, 2].map(|d| p[d] * c.stride[d] + t[d] * c.dilation[d]);
                    if (0..3).all(|d| q[d] >= c.padding[d] && q[d] - c.padding[d] < c.input[d]) {
                        let q = [0, 1, 2].map(|d| q[d] - c.padding[d]);
                        let y = (n * c.groups * c.out_channels + o) * plane(c.output) + at_y;
                        let x = (n * c.groups * c.in_channels + i_all) * plane(c.input);
                        let x = x + (q[0] * c.input[1] + q[1]) * c.input[2] + q[2];
                        f(y, x, (o * c.in_channels + i) * plane(c.kernel) + at_t);
                    }
                }
            }
        }
    }
}

/// Results up to which every way is tried with every dtype.
const SMALL: usize = 3000;

pub(crate) fn check_within(c: Conv, tolerance: f64) {
    let plane = |s: [usize; 3]| s.iter().product::<usize>();
    let (nx, ny) = (
        c.batch * c.groups * c.in_channels * plane(c.input),
        c.batch * c.groups * c.out_channels * plane(c.output),
    );
    let nw = c.groups * c.out_channels * c.in_channels * plane(c.kernel);
    let (x, y, w) = (Rng(1).floats(nx), Rng(2).floats(ny), Rng(3).floats(nw));
    let (mut dy, mut dx, mut dw) = (vec![0.0; ny], vec![0.0; nx], vec![0.0; nw]);
    terms(&c, |iy, ix, iw| {
        dy[iy] += f64::from(x[ix]) * f64::from(w[iw]);
        dx[ix] += f64::from(y[iy]) * f64::from(w[iw]);
        dw[iw] += f64::from(x[ix]) * f64::from(y[iy]);
    });
    let products = [
        (ConvKind::Forward, &x, &w, dy),
        (ConvKind::InputGrad, &y, &w, dx),
        (ConvKind::WeightGrad, &x, &y, dw),
    ];
    for (kind, a, b, want) in products {
        let kernel = Kernel::Conv(Conv { kind, ..c });
        let check = || {
            let (got, _) = run(&kernel, &[(F, bytes(a)), (F, bytes(b))], F, want.len(), &[]);
            close(&values(&got), &want, tolerance);
        };
        check();
        check_halves(&kernel, [a, b], want.len());
        // Every other way has to give the same; of two bytes an element where that takes no time.
        for way in conv::ways(&Conv { kind, ..c }) {
            conv::choice::with(way, check);
            if want.len() < SMALL {
                conv::choice::with(way, || check_halves(&kernel, [a, b], want.len()));
            }
        }
    }
}

fn check(c: Conv) {
    check_within(c, 1e-4);
}

/// Batch, groups and channels in and out of a group; then input, kernel, stride, padding and dilation.
type Geometry = (
    [usize; 4],
    [usize; 3],
    [usize; 3],
    [usize; 3],
    [usize; 3],
    [usize; 3],
);

#[test]
fn convolutions_of_every_kind() {
    let one = [1; 3];
    let none = [0; 3];
    let geometries: [Geometry; 18] = [
        // The layers of a small network.
        ([3, 1, 1, 32], [1, 28, 28], [1, 3, 3], one, [0, 1, 1], one),
        ([5, 1, 32, 16], [1, 14, 14], [1, 3, 3], one, [0, 1, 1], one),
        ([70, 1, 2, 8], [1, 5, 7], [1, 3, 3], one, [0, 1, 1], one),
        // 1x1, with and without stride and padding.
        ([2, 1, 9, 11], [1, 6, 5], one, one, none, one),
        ([2, 1, 9, 11], [1, 7, 9], one, [1, 2, 3], none, one),
        ([2, 1, 3, 5], [1, 4, 4], one, one, [0, 1, 2], one),
        // Strides, dilations, groups, padding beyond the kernel's reach.
        (
            [2, 2, 3, 4],
            [1, 11, 13],
            [1, 3, 5],
            [1, 2, 3],
            [0, 2, 1],
            [1, 2, 1],
        ),
        (
            [2, 1, 3, 5],
            [1, 11, 13],
            [1, 3, 2],
            one,
            [0, 4, 3],
            [1, 1, 3],
        ),
        ([2, 1, 3, 5], [1, 8, 8], [1, 3, 3], [1, 5, 4], none, one),
        ([1, 1, 3, 5], [1, 30, 40], [1, 5, 5], one, [0, 2, 2], one),
        // Depthwise, one and two output channels a group.
        ([2, 12, 1, 1], [1, 9, 10], [1, 3, 3], one, [0, 1, 1], one),
        (
            [2, 6, 1, 2],
            [1, 9, 10],
            [1, 3, 3],
            [1, 2, 2],
            [0, 1, 1],
            one,
        ),
        // One dimension and three.
        (
            [2, 1, 4, 6],
            [1, 1, 500],
            [1, 1, 7],
            one,
            [0, 0, 3],
            [1, 1, 2],
        ),
        (
            [2, 1, 2, 3],
            [5, 6, 7],
            [2, 3, 3],
            [2, 1, 2],
            [1, 1, 0],
            [1, 2, 1],
        ),
        ([2, 2, 2, 3], [4, 5, 6], [3, 3, 2], one, [1, 2, 1], one),
        // Nothing.
        ([0, 1, 2, 3], [1, 4, 4], [1, 3, 3], one, none, one),
        ([2, 1, 2, 3], [1, 2, 4], [1, 3, 3], one, none, one),
        ([2, 1, 0, 3], [1, 4, 4], [1, 3, 3], one, none, one),
    ];
    for (sizes, input, kernel, stride, padding, dilation) in geometries {
        check(shape(sizes, input, kernel, stride, padding, dilation));
    }
}

#[test]
fn tiled_convolution() {
    // Wide enough that positions are cut into tiles inside lines.
    check(shape(
        [1, 1, 40, 4],
        [1, 3, 3000],
        [1, 3, 3],
        [1; 3],
        [0, 1, 1],
        [1; 3],
    ));
    check(shape(
        [1, 1, 40, 4],
        [1, 3, 3000],
        [1, 3, 3],
        [1, 1, 2],
        [0, 1, 1],
        [1; 3],
    ));
}

/// Enough channels for the ways that write no unfolded input, cut into bands and into runs of the sums.
#[test]
fn flat_convolutions() {
    let one = [1; 3];
    let geometries: [Geometry; 10] = [
        ([2, 1, 90, 5], [1, 12, 11], [1, 3, 3], one, [0, 1, 1], one),
        ([1, 1, 24, 16], [1, 70, 60], [1, 5, 5], one, [0, 2, 2], one),
        ([3, 2, 13, 6], [1, 40, 33], [1, 3, 3], one, [0, 1, 1], one),
        (
            [3, 2, 13, 6],
            [1, 40, 33],
            [1, 3, 3],
            [1, 2, 2],
            [0, 1, 1],
            one,
        ),
        (
            [19, 1, 17, 14],
            [1, 9, 10],
            [1, 2, 3],
            [1, 1, 2],
            [0, 1, 0],
            [1, 2, 1],
        ),
        ([2, 1, 16, 15], [1, 9, 9], [1, 3, 3], one, [0, 4, 3], one),
        (
            [2, 1, 40, 33],
            [1, 7, 7],
            [1, 4, 2],
            one,
            [0, 0, 1],
            [1, 1, 3],
        ),
        ([2, 1, 12, 20], [1, 1, 130], [1, 1, 7], one, [0, 0, 3], one),
        ([2, 1, 12, 20], [1, 6, 2], [1, 3, 3], one, [0, 1, 1], one),
        ([1, 1, 12, 4], [1, 3, 1100], [1, 3, 3], one, [0, 1, 1], one),
    ];
    for (sizes, input, kernel, stride, padding, dilation) in geometries {
        check(shape(sizes, input, kernel, stride, padding, dilation));
    }
}

/// Three by three taps and channels enough for Winograd's algorithm: sides odd and even, tasks of several images and of
/// some lines, groups, padding beyond the taps' reach, sums cut into runs, more zeros behind the last element or none.
#[test]
fn winograd_convolutions() {
    let one = [1; 3];
    for (channels, input, padding) in [
        ([5, 1, 32, 64], [14, 14], [1, 1]),
        ([9, 1, 16, 17], [8, 9], [1, 1]),
        ([4, 1, 40, 30], [13, 11], [0, 0]),
        ([2, 1, 17, 16], [7, 40], [2, 0]),
        ([3, 2, 16, 19], [9, 8], [3, 4]),
        ([8, 1, 772, 16], [6, 6], [1, 1]),
        ([1, 1, 20, 16], [100, 30], [0, 2]),
    ] {
        let [height, width] = input;
        let conv = shape(
            channels,
            [1, height, width],
            [1, 3, 3],
            one,
            [0, padding[0], padding[1]],
            one,
        );
        // Where taps meet nothing but zeros a result is as far from zero as its neighbours' rounding.
        let positions = conv.batch * conv.output[1] * conv.output[2];
        let longest = positions.max(9 * conv.in_channels.max(conv.out_channels));
        let tolerance = 4e-6 * (longest as f64).sqrt();
        check_within(conv, tolerance);
        let changes: &[isize] = if conv.in_channels > 100 {
            &[]
        } else {
            &[-1, 2]
        };
        for &change in changes {
            let output = conv.output.map(|n| n.saturating_add_signed(change));
            let output = [1, output[1], output[2]];
            check_within(Conv { output, ..conv }, tolerance);
        }
    }
}

/// The product of all sizes is 2^64, of which nothing is left in a number of 64 bits.
#[test]
fn sums_of_more_terms_than_can_be_counted_are_not_nothing() {
    let line = [1, 1, 1 << 24];
    let conv = Conv {
        kind: ConvKind::WeightGrad,
        output: line,
        ..shape(
            [1, 1, 16, 16],
            line,
            [1, 1, 1 << 8],
            [1; 3],
            [0, 0, 127],
            [1; 3],
        )
    };
    assert!(crate::conv::sums(&conv).is_some());
}

#[test]
fn nan_and_infinity_pass_through_products() {
    let conv = shape(
        [1, 1, 1, 4],
        [1, 4, 4],
        [1, 3, 3],
        [1; 3],
        [0, 1, 1],
        [1; 3],
    );
    let mut x = vec![1.0f32; 16];
    x[15] = f32::NAN;
    let (got, _) = run(
        &Kernel::Conv(conv),
        &[(F, bytes(&x)), (F, bytes(&[1.0f32; 36]))],
        F,
        64,
        &[],
    );
    let got = values::<f32>(&got);
    assert!(got[15].is_nan() && got[10].is_nan());
    assert_eq!((got[0], got[5]), (4.0, 9.0));
}
