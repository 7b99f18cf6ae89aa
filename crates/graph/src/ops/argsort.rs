//! Positions (i32) that sort each row of the last dimension; stable, also when descending; NaN counts as greatest.
//! Sorting gathers there. Derivative: none, an index.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;
use std::cmp::Ordering;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArgSort {
    /// Greatest first.
    pub descending: bool,
}

/// Order of two values with NaN greatest and −0 equal to 0.
fn order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

impl Primitive for ArgSort {
    const NAME: &'static str = "argsort";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        if x[0].shape.is_empty() { Err("needs at least one dimension".into()) } else { Ok(x[0].shape.to_vec()) }
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        match x[0].dtype {
            DType::Bool | DType::U8 => Err(format!("takes numbers, not {}", x[0].dtype)),
            _ => Ok(DType::I32),
        }
    }

    fn derivative(&self, _: &Derive, _: &Tensor) -> Derivative {
        Derivative::Of(vec![None])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        Tensor::record(self.clone(), &[&x[0]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let n = shape[shape.len() - 1];
        let mut out = Array::full(shape, dtype, 0.0);
        if n == 0 {
            return out;
        }
        for (row, out) in x[0].data.chunks(n).zip(out.data.chunks_mut(n)) {
            let mut positions: Vec<usize> = (0..n).collect();
            positions.sort_by(|&a, &b| {
                let o = order(row[a], row[b]);
                if self.descending { o.reverse() } else { o }
            });
            out.iter_mut().zip(positions).for_each(|(o, p)| *o = p as f64);
        }
        out
    }

    fn lower(&self) -> Lowered {
        Lowered::ArgSort { descending: self.descending }
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        let mut all = Vec::new();
        for descending in [false, true] {
            for shape in [vec![5], vec![3, 7], vec![1], vec![2, 0], vec![2, 300]] {
                all.push(Sample::special(ArgSort { descending }, vec![SampleInput::ints(&shape, DType::F32, -5, 5)]));
            }
            let special = [1.0, f64::NAN, f64::INFINITY, -0.0, 0.0, f64::NEG_INFINITY, f64::NAN];
            all.push(Sample::special(ArgSort { descending }, vec![SampleInput::values(&[7], DType::F32, &special)]));
            all.push(Sample::special(ArgSort { descending }, vec![SampleInput::ints(&[2, 9], DType::I32, -9, 9)]));
        }
        all
    }
}
