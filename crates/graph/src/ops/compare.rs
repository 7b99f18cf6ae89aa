//! Comparisons of two operands of one dtype, as truth values. Floats compare as IEEE 754 says: with
//! NaN every comparison is false but `Ne`, which is true. False is less than true.
//! Derivative: none flows through a truth value.

use super::elementwise::same_dtype;
use super::{Derivative, Derive, Elementwise, Operand, elementwise};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::{Class, DType};
use crate::simd::block2;
use crate::plan::{Function, ScalarOp};
use crate::tensor::Tensor;

/// Which comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareKind {
    /// `a = b`.
    Eq,
    /// `a ≠ b`.
    Ne,
    /// `a < b`.
    Lt,
    /// `a ≤ b`.
    Le,
    /// `a > b`.
    Gt,
    /// `a ≥ b`.
    Ge,
}

impl CompareKind {
    /// Every kind.
    pub const ALL: [CompareKind; 6] = [
        CompareKind::Eq,
        CompareKind::Ne,
        CompareKind::Lt,
        CompareKind::Le,
        CompareKind::Gt,
        CompareKind::Ge,
    ];
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Compare {
    /// Which comparison.
    pub kind: CompareKind,
}

/// The scalar operation of one comparison.
macro_rules! comparison {
    ($name:literal, $op:tt, $function:expr) => {
        ScalarOp {
            name: $name,
            wgsl: |x, class, _| wgsl(x, class, stringify!($op)),
            cpu: |class, _| {
                Some(match class {
                    Class::F32 => block2!(|a: f32, b: f32| -> bool { a $op b }),
                    Class::I32 => block2!(|a: i32, b: i32| -> bool { a $op b }),
                    Class::U32 | Class::Bool => block2!(|a: u32, b: u32| -> bool { a $op b }),
                })
            },
            cost: 1,
            function: $function,
            ..ScalarOp::PLAIN
        }
    };
}

static EQ: ScalarOp = comparison!("eq", ==, Function::Equal);
static NE: ScalarOp = comparison!("ne", !=, Function::NotEqual);
static LT: ScalarOp = comparison!("lt", <, Function::Less);
static LE: ScalarOp = comparison!("le", <=, Function::AtMost);
static GT: ScalarOp = comparison!("gt", >, Function::Greater);
static GE: ScalarOp = comparison!("ge", >=, Function::AtLeast);

fn wgsl(x: &[&str], class: Class, op: &str) -> String {
    match (class, op) {
        // `!=` may become an ordered comparison, which is false with NaN.
        (Class::F32, "!=") => format!("(!({} == {}))", x[0], x[1]),
        (Class::Bool, "<" | "<=" | ">" | ">=") => format!("(u32({}) {op} u32({}))", x[0], x[1]),
        _ => format!("({} {op} {})", x[0], x[1]),
    }
}

impl Elementwise for Compare {
    const ARITY: usize = 2;

    fn scalar(&self) -> &'static ScalarOp {
        match self.kind {
            CompareKind::Eq => &EQ,
            CompareKind::Ne => &NE,
            CompareKind::Lt => &LT,
            CompareKind::Le => &LE,
            CompareKind::Gt => &GT,
            CompareKind::Ge => &GE,
        }
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        same_dtype(x)?;
        Ok(DType::Bool)
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(vec![None, None])
    }

    fn eval(&self, x: &[f64], _: DType) -> f64 {
        let holds = match self.kind {
            CompareKind::Eq => x[0] == x[1],
            CompareKind::Ne => x[0] != x[1],
            CompareKind::Lt => x[0] < x[1],
            CompareKind::Le => x[0] <= x[1],
            CompareKind::Gt => x[0] > x[1],
            CompareKind::Ge => x[0] >= x[1],
        };
        f64::from(u8::from(holds))
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let floats = (
            [nan, 1.0, nan, inf, -inf, 0.0, 1.5],
            [1.0, nan, nan, inf, 1.0, -0.0, 1.25],
        );
        let integers = (
            [-2147483648.0, 3.0, 3.0, -1.0],
            [2147483647.0, -3.0, 3.0, 0.0],
        );
        let words = ([0.0, 3.0, 4294967295.0], [2147483648.0, 3.0, 1.0]);
        let bytes = ([0.0, 200.0, 255.0], [255.0, 200.0, 1.0]);
        let truth = ([0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]);
        let mut all = Vec::new();
        for kind in CompareKind::ALL {
            let mut special = |shape: &[usize], dtype, a: &[f64], b: &[f64]| {
                let inputs = vec![
                    SampleInput::values(shape, dtype, a),
                    SampleInput::values(shape, dtype, b),
                ];
                all.push(Sample::special(Compare { kind }, inputs));
            };
            special(&[7], DType::F32, &floats.0, &floats.1);
            special(&[130], DType::F32, &[1.0, 2.0, 3.0], &[2.0, 1.0]);
            special(&[1], DType::F32, &[1.0], &[1.0]);
            special(&[0, 3], DType::F32, &[1.0], &[1.0]);
            special(&[4], DType::I32, &integers.0, &integers.1);
            special(&[3], DType::U32, &words.0, &words.1);
            special(&[3], DType::U8, &bytes.0, &bytes.1);
            special(&[4], DType::Bool, &truth.0, &truth.1);
        }
        all
    }
}

elementwise!(Compare, "compare");
