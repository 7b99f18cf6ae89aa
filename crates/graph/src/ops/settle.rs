//! `x`, or ±200 where it is finite and beyond: what a gate such as a sigmoid or Φ is given, which is 0 or 1 long before.
//! NaN and infinities stay. A primitive and not five operations, as it stands in every activation with a gate.
//! Derivative: 1, but 0 where the value is replaced: a gradient times `x` may overflow before it meets the gate's slope of 0.

use super::{Derivative, Derive, Elementwise, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::{Class, DType};
use crate::plan::ScalarOp;
use crate::simd::block1;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settle;

static SCALAR: ScalarOp = ScalarOp {
    name: "settle",
    // By bits, as compilers may take it that there are no infinities: above 200 and finite.
    wgsl: |x, _, _| {
        let size = format!("(bitcast<u32>({}) & 0x7fffffffu)", x[0]);
        let beyond = format!("{size} > 0x43480000u && {size} < 0x7f800000u");
        format!("select({0}, select(-200.0, 200.0, {0} > 0.0), {beyond})", x[0])
    },
    cpu: |class, _| match class {
        Class::F32 => Some(block1!(|x: f32| -> f32 {
            let beyond = x.abs() > 200.0 && x.abs() <= f32::MAX;
            if beyond { 200f32.copysign(x) } else { x }
        })),
        _ => None,
    },
    cost: 2,
    ..ScalarOp::PLAIN
};

impl Elementwise for Settle {
    fn scalar(&self) -> &'static ScalarOp {
        &SCALAR
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let replaced = cx.inputs[0].abs().gt(&cx.output.abs());
        Derivative::Of(vec![Some(upstream.masked_fill(&replaced, 0.0))])
    }

    fn eval(&self, x: &[f64], dtype: DType) -> f64 {
        let beyond = x[0].abs() > 200.0 && x[0].abs() <= dtype.range().1;
        if beyond { 200f64.copysign(x[0]) } else { x[0] }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let f32_of = |values: &[f64]| SampleInput::values(&[values.len()], DType::F32, values);
        vec![
            Sample::new(Settle, vec![SampleInput::f32(&[5, 7], -3.0, 3.0)]),
            Sample::new(Settle, vec![SampleInput::f32(&[130], 201.0, 1e6)]),
            Sample::new(Settle, vec![SampleInput::f32(&[1], -900.0, -300.0)]),
            Sample::new(Settle, vec![SampleInput::f32(&[0, 3], -3.0, 3.0)]),
            Sample::special(
                Settle,
                vec![f32_of(&[
                    0.0,
                    -0.0,
                    f64::NAN,
                    f64::INFINITY,
                    f64::NEG_INFINITY,
                    200.0,
                    -200.0,
                    200.000_02,
                    -3.402_823_4e38,
                    3.402_823_4e38,
                ])],
            ),
        ]
    }
}

elementwise!(Settle, "settle");
