//! The operand, kept apart: what is computed from the result is not merged with what is computed from the operand
//! itself, so it is computed again, later. A recomputation stands on barriers (JAX calls it `optimization_barrier`).
//! Costs nothing: the planner takes it away after it has merged common subexpressions. Derivative: the identity.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::{Sample, SampleInput};
use crate::dtype::DType;
use crate::reference::Array;
use crate::tensor::Tensor;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Barrier;

/// The tensor behind a barrier of its own.
pub(super) fn on(t: &Tensor) -> Tensor {
    Tensor::record_on(Barrier.into(), &[t], t.device().clone(), t.location())
}

impl Primitive for Barrier {
    const NAME: &'static str = "barrier";

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        Ok(x[0].shape.to_vec())
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        Ok(x[0].dtype)
    }

    fn derivative(&self, _: &Derive, upstream: &Tensor) -> Derivative {
        Derivative::Of(vec![Some(upstream.clone())])
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        Tensor::record(self.clone(), &[&x[0]])
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        Array {
            shape: shape.to_vec(),
            dtype,
            data: x[0].data.clone(),
        }
    }

    fn lower(&self) -> Lowered {
        Lowered::Barrier
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Barrier, vec![SampleInput::f32(&[3, 2], -1.0, 1.0)]),
            Sample::special(Barrier, vec![SampleInput::ints(&[4], DType::I32, -5, 5)]),
        ]
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance {
            rtol: 0.0,
            atol: 0.0,
        }
    }
}
