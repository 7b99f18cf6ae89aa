//! `atan2(y, x)`, the angle of the point `(x, y)` in `[-π, π]`, with C's special cases.
//! Derivative: `x / (x² + y²)` for y and `-y / (x² + y²)` for x; NaN at the origin (PyTorch's).

use super::{Derivative, Derive, Elementwise, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::simd::block2;
use crate::math;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;

/// See the module. Operands `y`, `x`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Atan2;

static SCALAR: ScalarOp = ScalarOp {
    name: "atan2",
    wgsl: |x, _, _| format!("w_atan2({}, {})", x[0], x[1]),
    cpu: |_, _| Some(block2!(|y: f32, x: f32| -> f32 { math::atan2(y, x) })),
    cost: 15,
    ..ScalarOp::PLAIN
};

const TWO_60: f64 = (1u64 << 60) as f64;
const TWO_90: f64 = TWO_60 * (1u64 << 30) as f64;

impl Elementwise for Atan2 {
    const ARITY: usize = 2;

    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let (y, x) = (&cx.inputs[0], &cx.inputs[1]);
        // Powers of 2 bring the squares back into range; infinities stay what they are.
        let size = x.abs().maximum(&y.abs());
        let unit = size.full_like(1.0);
        let huge = size.gt_scalar(TWO_60);
        let tiny = size.lt_scalar(1.0 / TWO_60);
        let scale = Tensor::where_(&huge, &size.full_like(1.0 / TWO_90), &unit);
        let scale = Tensor::where_(&tiny, &size.full_like(TWO_90), &scale);
        let (x, y) = (x * &scale, y * &scale);
        let scaled = upstream / (x.square() + y.square()) * scale;
        Derivative::Of(vec![Some(&scaled * x), Some(-(&scaled * y))])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        x[0].atan2(x[1])
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let f = |shape: &[usize]| {
            vec![
                SampleInput::f32(shape, -2.0, 2.0),
                SampleInput::f32(shape, 0.5, 2.0),
            ]
        };
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let y = [
            0.0, 0.0, -0.0, 1.0, -1.0, 1.0, -1.0, nan, 1.0, inf, inf, -inf, 1.0, 1.0,
        ];
        let x = [
            1.0, -1.0, 1.0, 0.0, 0.0, -1.0, -1.0, 1.0, nan, inf, -inf, 1.0, inf, -inf,
        ];
        vec![
            Sample::new(Atan2, f(&[3, 5])),
            Sample::new(
                Atan2,
                vec![
                    SampleInput::f32(&[130], 0.5, 2.0),
                    SampleInput::f32(&[130], -2.0, 2.0),
                ],
            ),
            Sample::new(Atan2, f(&[1])),
            Sample::new(Atan2, f(&[0])),
            Sample::special(
                Atan2,
                vec![
                    SampleInput::values(&[14], DType::F32, &y),
                    SampleInput::values(&[14], DType::F32, &x),
                ],
            ),
        ]
    }
}

elementwise!(Atan2, "atan2");
