//! The value in another dtype, any to any.
//!
//! To floats: to nearest even. To truth values: `x != 0`, so true for NaN. Float to integer:
//! towards zero, saturating, 0 for NaN (PyTorch leaves the last two open; this is WGSL's and Rust's
//! rule). Integer to integer: wraps. Derivative: the upstream gradient in the operand's dtype,
//! between floats; none flows through other casts.

use super::{Derivative, Derive, Elementwise, Operand, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::{Class, DType};
use crate::simd::block1;
use crate::simd::half_precision::ROUND_F16;
use crate::math;
use crate::plan::{Function, BlockFn, ScalarOp};
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cast {
    /// The dtype of the result.
    pub to: DType,
}

static TO_F32: ScalarOp = ScalarOp {
    name: "cast_f32",
    wgsl: |x, from, _| wgsl_f32(x[0], from),
    cpu: |from, _| {
        Some(match from {
            Class::F32 => block1!(|x: u32| -> u32 { x }),
            Class::I32 => block1!(|x: i32| -> f32 { x as f32 }),
            Class::U32 => block1!(|x: u32| -> f32 { x as f32 }),
            Class::Bool => block1!(|x: bool| -> f32 { if x { 1.0 } else { 0.0 } }),
        })
    },
    cost: 1,
    function: Function::ToF32,
    ..ScalarOp::PLAIN
};

// Rounds in the register, which is f32: a fused reader must see what a stored half would hold.
// No integer rounds twice on its way: those that f32 cannot hold are beyond f16's range.
static TO_F16: ScalarOp = ScalarOp {
    name: "cast_f16",
    wgsl: |x, from, _| format!("w_f16_to_f32(w_f16_from_f32({}))", wgsl_f32(x[0], from)),
    cpu: |from, _| {
        Some(match from {
            Class::F32 => ROUND_F16,
            Class::I32 => block1!(|x: i32| -> f32 { through_f16(x as f32) }),
            Class::U32 => block1!(|x: u32| -> f32 { through_f16(x as f32) }),
            Class::Bool => block1!(|x: bool| -> f32 { if x { 1.0 } else { 0.0 } }),
        })
    },
    cost: 1,
    function: Function::ToF16,
    ..ScalarOp::PLAIN
};

// As above, but integers between floats of its range may have more bits than an f32.
static TO_BF16: ScalarOp = ScalarOp {
    name: "cast_bf16",
    wgsl: |x, from, _| {
        let x = x[0];
        let single = match from {
            Class::F32 => x.to_string(),
            Class::I32 => format!("(select(1.0, -1.0, {x} < 0) * w_f32_sticky(bitcast<u32>(abs({x}))))"),
            Class::U32 => format!("w_f32_sticky({x})"),
            Class::Bool => format!("f32({x})"),
        };
        format!("w_bf16_to_f32(w_bf16_from_f32({single}))")
    },
    cpu: |from, _| {
        Some(match from {
            Class::F32 => block1!(|x: f32| -> f32 { through_bf16(x) }),
            Class::I32 => block1!(|x: i32| -> f32 {
                let size = through_bf16(math::f32_sticky(x.unsigned_abs()));
                if x < 0 { -size } else { size }
            }),
            Class::U32 => block1!(|x: u32| -> f32 { through_bf16(math::f32_sticky(x)) }),
            Class::Bool => block1!(|x: bool| -> f32 { if x { 1.0 } else { 0.0 } }),
        })
    },
    cost: 1,
    function: Function::ToBf16,
    ..ScalarOp::PLAIN
};

static TO_I32: ScalarOp = ScalarOp {
    name: "cast_i32",
    wgsl: |x, from, _| match from {
        // The greatest f32 below 2^31 is 2^31 - 128.
        Class::F32 => format!(
            "select(select(i32(clamp({0}, -2147483648.0, 2147483520.0)), 2147483647, \
             {0} >= 2147483648.0), 0, w_is_nan({0}))",
            x[0]
        ),
        _ => format!("i32({})", x[0]),
    },
    cpu: |from, _| {
        Some(match from {
            Class::F32 => block1!(|x: f32| -> i32 { x as i32 }),
            _ => block1!(|x: u32| -> u32 { x }),
        })
    },
    cost: 1,
    ..ScalarOp::PLAIN
};

static TO_U32: ScalarOp = ScalarOp {
    name: "cast_u32",
    wgsl: |x, from, _| match from {
        // The greatest f32 below 2^32 is 2^32 - 256.
        Class::F32 => format!(
            "select(select(u32(clamp({0}, 0.0, 4294967040.0)), 4294967295u, \
             {0} >= 4294967296.0), 0u, w_is_nan({0}))",
            x[0]
        ),
        _ => format!("u32({})", x[0]),
    },
    cpu: |from, _| {
        Some(match from {
            Class::F32 => block1!(|x: f32| -> u32 { x as u32 }),
            _ => block1!(|x: u32| -> u32 { x }),
        })
    },
    cost: 1,
    ..ScalarOp::PLAIN
};

static TO_U8: ScalarOp = ScalarOp {
    name: "cast_u8",
    wgsl: |x, from, _| match from {
        Class::F32 => format!(
            "select(u32(clamp({0}, 0.0, 255.0)), 0u, w_is_nan({0}))",
            x[0]
        ),
        _ => format!("(u32({}) & 255u)", x[0]),
    },
    cpu: |from, _| {
        Some(match from {
            Class::F32 => block1!(|x: f32| -> u32 { u32::from(x as u8) }),
            _ => block1!(|x: u32| -> u32 { x & 255 }),
        })
    },
    cost: 1,
    ..ScalarOp::PLAIN
};

static TO_BOOL: ScalarOp = ScalarOp {
    name: "cast_bool",
    wgsl: |x, from, _| match from {
        // By the bits: a float comparison may flush subnormals and assume that there is no NaN.
        Class::F32 => format!("((bitcast<u32>({}) & 0x7fffffffu) != 0u)", x[0]),
        Class::I32 => format!("({} != 0)", x[0]),
        Class::U32 => format!("({} != 0u)", x[0]),
        Class::Bool => x[0].to_string(),
    },
    cpu: |from, _| {
        Some(match from {
            Class::F32 => block1!(|x: f32| -> bool { x != 0.0 }),
            _ => to_bool as BlockFn,
        })
    },
    cost: 1,
    ..ScalarOp::PLAIN
};

block1!(to_bool, |x: u32| -> bool { x != 0 });

fn wgsl_f32(x: &str, from: Class) -> String {
    if from == Class::F32 {
        x.to_string()
    } else {
        format!("f32({x})")
    }
}

#[inline(always)]
fn through_f16(x: f32) -> f32 {
    math::f16_to_f32(math::f16_from_f32(x))
}

#[inline(always)]
fn through_bf16(x: f32) -> f32 {
    math::bf16_to_f32(math::bf16_from_f32(x))
}

impl Elementwise for Cast {
    fn scalar(&self) -> &'static ScalarOp {
        match self.to {
            DType::F32 => &TO_F32,
            DType::F16 => &TO_F16,
            DType::BF16 => &TO_BF16,
            DType::I32 => &TO_I32,
            DType::U32 => &TO_U32,
            DType::U8 => &TO_U8,
            DType::Bool => &TO_BOOL,
        }
    }

    fn dtype(&self, _: &[Operand]) -> Result<DType, String> {
        Ok(self.to)
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        let from = cx.inputs[0].dtype();
        let smooth = from.is_float() && self.to.is_float();
        Derivative::Of(vec![smooth.then(|| upstream.cast(from))])
    }

    fn eval(&self, x: &[f64], from: DType) -> f64 {
        let x = x[0];
        let wrap = |bits: u32| (x as i64 & ((1 << bits) - 1)) as f64;
        match self.to {
            DType::F32 | DType::F16 | DType::BF16 => x,
            DType::Bool => f64::from(u8::from(x != 0.0)),
            DType::I32 if from.is_float() => f64::from(x as i32),
            DType::U32 if from.is_float() => f64::from(x as u32),
            DType::U8 if from.is_float() => f64::from(x as u8),
            DType::I32 => f64::from(x as i64 as i32),
            DType::U32 => wrap(32),
            DType::U8 => wrap(8),
        }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let mut all = Vec::new();
        for from in DType::ALL {
            for to in DType::ALL.into_iter().filter(|&to| to != from) {
                let values = sample_values(from);
                let input = SampleInput::values(&[values.len()], from, values);
                all.push(Sample::special(Cast { to }, vec![input]));
            }
        }
        for half in [DType::F16, DType::BF16] {
            let narrow = |shape: &[usize]| {
                vec![SampleInput {
                    dtype: half,
                    ..SampleInput::f32(shape, -2.0, 2.0)
                }]
            };
            let single = |shape: &[usize]| vec![SampleInput::f32(shape, -2.0, 2.0)];
            all.push(Sample::new(Cast { to: DType::F32 }, narrow(&[5, 7])));
            all.push(Sample::new(Cast { to: DType::F32 }, narrow(&[131])));
            for shape in [&[5, 7][..], &[1], &[0, 3]] {
                all.push(Sample::new(Cast { to: half }, single(shape)));
            }
        }
        all.push(Sample::special(
            Cast { to: DType::U8 },
            vec![SampleInput::f32(&[131], 0.0, 256.0)],
        ));
        all
    }
}

/// Values at the limits of the targets.
#[cfg(any(test, feature = "samples"))]
fn sample_values(from: DType) -> &'static [f64] {
    match from {
        DType::F32 | DType::F16 | DType::BF16 => &[
            0.0,
            -0.0,
            0.5,
            -0.5,
            1.9,
            -1.9,
            255.0,
            255.9,
            256.0,
            -3.0,
            2049.0,
            65504.0,
            65519.0,
            65520.0,
            1e-7,
            3e9,
            -3e9,
            5e9,
            2147483520.0,
            1e30,
            // Beside the middle of bf16's 1 and its next, its greatest number, and the f32 that rounds to infinity.
            1.00390625,
            1.01171875,
            1.0039063692092896,
            3.3895313892515355e38,
            3.3961775292304957e38,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ],
        DType::I32 => &[
            0.0,
            1.0,
            -1.0,
            255.0,
            256.0,
            -300.0,
            2049.0,
            65520.0,
            16777217.0,
            // Just above the middle of two neighbours in bf16, by less than f32 sees.
            16842753.0,
            -16842753.0,
            1073741825.0,
            2147483647.0,
            -2147483648.0,
        ],
        DType::U32 => &[
            0.0,
            1.0,
            255.0,
            256.0,
            2049.0,
            65520.0,
            16777217.0,
            16842753.0,
            2155872257.0,
            2147483648.0,
            4294967295.0,
        ],
        DType::U8 => &[0.0, 1.0, 7.0, 254.0, 255.0],
        DType::Bool => &[0.0, 1.0, 1.0],
    }
}

elementwise!(Cast, "cast");
