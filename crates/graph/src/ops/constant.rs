//! A number, rank 0. Its value is an input of the plan, not part of it: only whether it is exactly 0, 1 or −1
//! enters the plan's key, so a changing learning rate reuses the plan. A number in a cell never enters it.
//! Derivative: nothing flows further.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::Sample;
use crate::dtype::DType;
use crate::reference::Array;
use crate::number::Number;
use crate::tensor::Tensor;
use std::hash::{Hash, Hasher};

/// See the module.
#[derive(Clone, Debug)]
pub struct Constant {
    value: Source,
    dtype: DType,
}

#[derive(Clone, Debug)]
enum Source {
    Fixed(f64),
    Cell(Number),
}

impl Constant {
    /// A number that is known now.
    pub fn new(value: f64, dtype: DType) -> Constant {
        Constant { value: Source::Fixed(value), dtype }
    }

    /// What the cell holds when the tensor is computed.
    pub(crate) fn cell(number: Number, dtype: DType) -> Constant {
        Constant { value: Source::Cell(number), dtype }
    }

    /// Whether the value is that of a cell, which changes.
    pub(crate) fn is_cell(&self) -> bool {
        matches!(self.value, Source::Cell(_))
    }

    fn value(&self) -> f64 {
        match &self.value {
            Source::Fixed(value) => *value,
            Source::Cell(number) => number.peek(),
        }
    }

    /// The value if it is part of a plan's structure.
    pub(crate) fn literal(&self) -> Option<i32> {
        let Source::Fixed(value) = self.value else { return None };
        [0, 1, -1].into_iter().find(|&v| value == f64::from(v) && !(v == 0 && value.is_sign_negative()))
    }

    /// The value as a 32-bit register holds it.
    pub(crate) fn bits(&self) -> u32 {
        let value = self.value();
        match self.dtype {
            DType::F32 => (value as f32).to_bits(),
            DType::F16 => half::f16::from_f64(value).to_f32().to_bits(),
            DType::BF16 => (self.dtype.rounded(value) as f32).to_bits(),
            DType::I32 => value as i64 as i32 as u32,
            DType::U32 | DType::U8 => value as i64 as u32,
            DType::Bool => u32::from(value != 0.0),
        }
    }
}

impl PartialEq for Constant {
    fn eq(&self, other: &Self) -> bool {
        self.dtype == other.dtype && self.literal() == other.literal()
    }
}

impl Eq for Constant {}

impl Hash for Constant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.dtype, self.literal()).hash(state);
    }
}

impl Primitive for Constant {
    const NAME: &'static str = "constant";

    fn shape(&self, _: &[Operand]) -> Result<Vec<usize>, String> {
        Ok(Vec::new())
    }

    fn dtype(&self, _: &[Operand]) -> Result<DType, String> {
        Ok(self.dtype)
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(Vec::new())
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        // Without operands there is nothing to batch.
        x[0].clone()
    }

    fn reference(&self, _: &[&Array], shape: &[usize], dtype: DType) -> Array {
        Array::full(shape, dtype, self.value())
    }

    fn lower(&self) -> Lowered {
        Lowered::Constant { literal: self.literal(), bits: self.bits() }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        [0.0, 1.0, -1.0, 2.5, f64::NAN, f64::INFINITY]
            .map(|value| Sample::special(Constant::new(value, DType::F32), Vec::new()))
            .to_vec()
    }
}
