//! What element-wise primitives share: the shape rule, the reference loop, the lowering. An element-wise op file
//! implements [`Elementwise`] and names itself to [`elementwise!`].

#[cfg(any(test, feature = "samples"))]
use super::Sample;
use super::{Derivative, Derive, Operand, Tolerance};
use crate::dtype::DType;
use crate::plan::ScalarOp;
use crate::tensor::Tensor;
use std::fmt::Debug;
use std::hash::Hash;

/// A primitive that computes each element from the elements at the same place of its operands.
pub(crate) trait Elementwise:
    Clone + Debug + PartialEq + Eq + Hash + Send + Sync + 'static
{
    /// The kernel expression; its name is the primitive's.
    fn scalar(&self) -> &'static ScalarOp;
    /// Number of operands.
    const ARITY: usize = 1;
    /// Result dtype; by default that of the operand, which must be a float.
    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        same_dtype(x)?;
        if x[0].dtype.is_float() {
            Ok(x[0].dtype)
        } else {
            Err(format!("takes floats, not {}", x[0].dtype))
        }
    }
    /// Gradients of the operands.
    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative;
    /// One element in f64. `dtype` is the dtype of the last operand.
    fn eval(&self, x: &[f64], dtype: DType) -> f64;
    /// See [`super::Primitive::simplify`].
    fn simplify(&self, _constant: &dyn Fn(usize) -> Option<f64>) -> Option<usize> {
        None
    }
    /// See [`super::Primitive::samples`].
    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>>;
    /// See [`super::Primitive::tolerance`].
    fn tolerance() -> Tolerance {
        Tolerance {
            rtol: 2e-6,
            atol: 1e-7,
        }
    }
}

/// All operands have one dtype.
pub(crate) fn same_dtype(x: &[Operand]) -> Result<(), String> {
    match x.iter().find(|o| o.dtype != x[0].dtype) {
        Some(o) => Err(format!(
            "operands differ in dtype: {} and {}",
            x[0].dtype, o.dtype
        )),
        None => Ok(()),
    }
}

/// All operands have one shape, and there are `arity` of them.
pub(crate) fn same_shape(x: &[Operand], arity: usize) -> Result<Vec<usize>, String> {
    if x.len() != arity {
        return Err(format!("takes {arity} operands, got {}", x.len()));
    }
    match x.iter().find(|o| o.shape != x[0].shape) {
        Some(o) => Err(format!(
            "operands differ in shape: {:?} and {:?}",
            x[0].shape, o.shape
        )),
        None => Ok(x[0].shape.to_vec()),
    }
}

/// Implements `Primitive` for an [`Elementwise`] type under the given name.
macro_rules! elementwise {
    ($t:ty, $name:literal) => {
        impl $crate::ops::Primitive for $t {
            const NAME: &'static str = $name;

            fn shape(&self, x: &[$crate::ops::Operand]) -> Result<Vec<usize>, String> {
                $crate::ops::elementwise::same_shape(x, <$t as $crate::ops::Elementwise>::ARITY)
            }

            fn dtype(&self, x: &[$crate::ops::Operand]) -> Result<$crate::dtype::DType, String> {
                $crate::ops::Elementwise::dtype(self, x)
            }

            fn derivative(
                &self,
                cx: &$crate::ops::Derive,
                upstream: &$crate::tensor::Tensor,
            ) -> $crate::ops::Derivative {
                $crate::ops::Elementwise::derivative(self, cx, upstream)
            }

            fn batch(&self, x: &[$crate::tensor::Tensor]) -> $crate::tensor::Tensor {
                $crate::tensor::Tensor::record(self.clone(), &x.iter().collect::<Vec<_>>())
            }

            fn reference(
                &self,
                x: &[&$crate::reference::Array],
                shape: &[usize],
                dtype: $crate::dtype::DType,
            ) -> $crate::reference::Array {
                let operand = x[x.len() - 1].dtype;
                $crate::reference::Array::map(x, shape, dtype, |v| {
                    $crate::ops::Elementwise::eval(self, v, operand)
                })
            }

            fn lower(&self) -> $crate::ops::Lowered {
                $crate::ops::Lowered::Elementwise($crate::ops::Elementwise::scalar(self))
            }

            fn simplify(&self, constant: &dyn Fn(usize) -> Option<f64>) -> Option<usize> {
                $crate::ops::Elementwise::simplify(self, constant)
            }

            #[cfg(any(test, feature = "samples"))]
            fn samples() -> Vec<$crate::ops::Sample<Self>> {
                <$t as $crate::ops::Elementwise>::samples()
            }

            fn tolerance() -> $crate::ops::Tolerance {
                <$t as $crate::ops::Elementwise>::tolerance()
            }
        }
    };
}
pub(crate) use elementwise;
