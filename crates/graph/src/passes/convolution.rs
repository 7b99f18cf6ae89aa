//! Sizes of convolutions and windows as kernels take them, and which convolutions are plain products. Knows no slot.

use crate::ops::conv::Geometry;
use crate::ops::window_sum::Frame;
use crate::plan::{Conv, ConvKind, Matmul, Matrix, Window, WindowKind};
use crate::shape::numel;

/// The last `spatial` entries of a list of three, `fill` before them.
fn three_of(list: impl ExactSizeIterator<Item = usize>, fill: usize) -> [usize; 3] {
    let mut out = [fill; 3];
    let start = 3 - list.len();
    for (o, v) in out[start..].iter_mut().zip(list) {
        *o = v;
    }
    out
}

/// Sizes of the three products from the operands' and the result's shapes.
pub(super) fn conv(kind: ConvKind, g: &Geometry, a: &[usize], b: &[usize], out: &[usize]) -> Conv {
    let (x, w, y) = match kind {
        ConvKind::Forward => (a, b, out),
        ConvKind::InputGrad => (out, b, a),
        ConvKind::WeightGrad => (a, out, b),
    };
    let sizes = |s: &[usize]| three_of(s[2..].iter().copied(), 1);
    Conv {
        kind,
        batch: x[0],
        groups: g.groups,
        in_channels: w[1],
        out_channels: w[0] / g.groups,
        input: sizes(x),
        output: sizes(y),
        kernel: sizes(w),
        stride: three_of(g.stride.iter().copied(), 1),
        padding: three_of(g.padding.iter().map(|p| p.0), 0),
        dilation: three_of(g.dilation.iter().copied(), 1),
    }
}

/// The convolution as a product of matrices, where each tap meets one element of the input and none is left: an image is a row,
/// and so is a filter. The outermost convolution of a discriminator is one, and the first transposed one of a generator.
pub(super) fn product(conv: &Conv) -> Option<Matmul> {
    let covered = conv.kernel == conv.input && conv.output == [1; 3];
    let plain = conv.padding == [0; 3] && conv.groups == 1;
    // Taps that are further apart than the input is wide do not lie inside it.
    let dense = (0..3).all(|d| conv.dilation[d] == 1 || conv.kernel[d] == 1);
    if !(covered && plain && dense) {
        return None;
    }
    let (images, filters) = (conv.batch, conv.out_channels);
    let each = conv.in_channels * conv.kernel.iter().product::<usize>();
    let rows = |row: usize| Matrix {
        offset: 0,
        batch: 0,
        row,
        col: 1,
    };
    let columns = |col: usize| Matrix {
        row: 1,
        col,
        ..rows(1)
    };
    let (m, n, k, a, b) = match conv.kind {
        ConvKind::Forward => (images, filters, each, rows(each), columns(each)),
        ConvKind::InputGrad => (images, each, filters, rows(filters), rows(each)),
        ConvKind::WeightGrad => (filters, each, images, columns(filters), rows(each)),
    };
    Some(Matmul {
        batch: 1,
        m,
        n,
        k,
        a,
        b,
    })
}

pub(super) fn window(kind: WindowKind, f: &Frame, x: &[usize], y: &[usize]) -> Window {
    let lead = x.len() - f.kernel.len();
    Window {
        kind,
        planes: numel(&x[..lead]),
        input: three_of(x[lead..].iter().copied(), 1),
        output: three_of(y[lead..].iter().copied(), 1),
        kernel: three_of(f.kernel.iter().copied(), 1),
        stride: three_of(f.stride.iter().copied(), 1),
        padding: three_of(f.padding.iter().map(|p| p.0), 0),
        dilation: three_of(f.dilation.iter().copied(), 1),
    }
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use crate::passes::tests::planned;
    use crate::plan::Kernel;
    use crate::{ConvOptions, ConvTransposeOptions, Device, Generator, Tensor, grad};

    /// Taps that cover the input, and a transposed convolution of one position, are products, and give what the definition does.
    #[test]
    fn convolutions_of_one_position_are_products() {
        let results = |device: &Device, transposed: bool| {
            let mut rng = Generator::new(1);
            let mut of = |shape: &[usize]| rng.uniform(shape, device).detach().expect("numbers");
            let (x, w) = match transposed {
                false => (of(&[3, 5, 4, 7]), of(&[6, 5, 4, 7])),
                true => (of(&[3, 5, 1, 1]), of(&[5, 6, 4, 7])),
            };
            let y = match transposed {
                false => x.conv2d(&w, None, &ConvOptions::default()),
                true => x.conv_transpose2d(&w, None, &ConvTransposeOptions::default()),
            };
            let gradients = grad(&(&y * &y).sum(), &[&x, &w]).expect("gradients");
            [vec![y], gradients].concat()
        };
        for transposed in [false, true] {
            let got = results(&Device::cpu(), transposed);
            let plan = planned(&got.iter().collect::<Vec<_>>());
            let convs = plan
                .steps
                .iter()
                .filter(|s| matches!(s.kernel, Kernel::Conv(_)));
            assert_eq!(convs.count(), 0, "{plan:?}");
            for (got, want) in got.iter().zip(results(&Device::reference(), transposed)) {
                assert_eq!(got.shape(), want.shape());
                let [got, want] = [got, &want].map(|t: &Tensor| t.to_vec::<f32>().expect("values"));
                let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4 * (1.0 + b.abs());
                assert!(got.iter().zip(&want).all(close), "{got:?}\n{want:?}");
            }
        }
        // Padding, groups, and taps apart are no plain products.
        let device = Device::cpu();
        let ones = |shape: &[usize]| Tensor::ones(shape, crate::DType::F32, &device);
        let others = [
            (
                ones(&[2, 4, 3, 3]),
                ones(&[2, 2, 3, 3]),
                ConvOptions::default().groups(2),
            ),
            (
                ones(&[2, 1, 3, 3]),
                ones(&[1, 1, 3, 3]),
                ConvOptions::default().padding([1, 1]).stride([3, 3]),
            ),
        ];
        for (x, w, options) in others {
            let plan = planned(&[&x.conv2d(&w, None, &options)]);
            assert!(
                plan.steps
                    .iter()
                    .any(|s| matches!(s.kernel, Kernel::Conv(_))),
                "{plan:?}"
            );
        }
    }
}
