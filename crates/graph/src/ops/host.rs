//! A function that runs on the host: its operands are read back, the result is uploaded. For what no kernel computes
//! (matrix decompositions, operations of one's own). It cuts a run into segments, see `eval`; no planner sees it.
//! The function is an entry of a static table that says everything a primitive says: shape, value in f64, derivative
//! in terms of other operations. Operands and result share one float dtype.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::Sample;
use crate::dtype::DType;
use crate::reference::Array;
use crate::ops::elementwise::same_dtype;
use crate::tensor::Tensor;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A host function: an operation of one's own is a `static` of this type, recorded by [`Tensor::apply`].
///
/// ```
/// use wgrad_graph::ops::{Derivative, host::{Function, Host}};
/// use wgrad_graph::{Device, Tensor, grad};
/// static CUBE: Function = Function {
///     name: "cube",
///     batched: true,
///     shape: |_, x| Ok(x[0].shape.to_vec()),
///     run: |_, x, _| Ok(x[0].data.iter().map(|v| v * v * v).collect()),
///     derivative: |_, cx, g| Derivative::Of(vec![Some(g * cx.inputs[0].square() * 3.0)]),
/// };
/// let device = Device::cpu();
/// let x = Tensor::new(&[2.0f32], &device);
/// let y = Tensor::apply(Host::new(&CUBE, &[]), &[&x], &device);
/// assert_eq!(y.to_vec::<f32>()?, [8.0]);
/// assert_eq!(grad(&y, &[&x])?[0].to_vec::<f32>()?, [12.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
pub struct Function {
    /// Its name, in errors.
    pub name: &'static str,
    /// Whether `shape` and `run` take any number of leading dimensions and work on each of their elements.
    pub batched: bool,
    /// The result's shape from the attributes and operands, or what is wrong with them.
    pub shape: fn(&[i64], &[Operand]) -> Result<Vec<usize>, String>,
    /// The result's elements, row-major, from the attributes, the operands and the result's shape; or why there is
    /// none: reading the result is then an error.
    pub run: fn(&[i64], &[&Array], &[usize]) -> Result<Vec<f64>, String>,
    /// Gradients of the operands from the attributes, the node and the result's gradient.
    pub derivative: fn(&[i64], &Derive, &Tensor) -> Derivative,
}

/// See the module.
#[derive(Clone)]
pub struct Host {
    function: &'static Function,
    attributes: Vec<i64>,
}

impl Host {
    /// `function` with its attributes.
    pub fn new(function: &'static Function, attributes: &[i64]) -> Host {
        let attributes = attributes.to_vec();
        Host {
            function,
            attributes,
        }
    }

    /// The value, checked to have as many elements as the shape.
    pub(crate) fn run(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Result<Array, String> {
        let data = (self.function.run)(&self.attributes, x, shape)?;
        let want = crate::shape::numel(shape);
        if data.len() != want {
            return Err(format!("gave {} elements instead of {want}", data.len()));
        }
        Ok(Array {
            shape: shape.to_vec(),
            dtype,
            data,
        })
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({}, {:?})", self.function.name, self.attributes)
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Host) -> bool {
        std::ptr::eq(self.function, other.function) && self.attributes == other.attributes
    }
}

impl Eq for Host {}

impl Hash for Host {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.function.name, &self.attributes).hash(state);
    }
}

impl Primitive for Host {
    const NAME: &'static str = "host";

    fn name(&self) -> &'static str {
        self.function.name
    }

    fn shape(&self, x: &[Operand]) -> Result<Vec<usize>, String> {
        (self.function.shape)(&self.attributes, x)
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        let Some(first) = x.first() else {
            return Err("takes at least one operand".into());
        };
        same_dtype(x)?;
        if first.dtype.is_float() {
            Ok(first.dtype)
        } else {
            Err(format!("takes floats, not {}", first.dtype))
        }
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        (self.function.derivative)(&self.attributes, cx, upstream)
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        let count = x[0].size(0);
        if self.function.batched || count == 0 {
            return Tensor::record(self.clone(), &x.iter().collect::<Vec<_>>());
        }
        let one = |i: usize| {
            let own: Vec<Tensor> = x.iter().map(|t| t.select(0, i as isize)).collect();
            Tensor::record(self.clone(), &own.iter().collect::<Vec<_>>())
        };
        let all: Vec<Tensor> = (0..count).map(one).collect();
        Tensor::stack(&all.iter().collect::<Vec<_>>(), 0)
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        // The evaluators call `run` themselves, for its error.
        self.run(x, shape, dtype)
            .unwrap_or_else(|_| Array::full(shape, dtype, f64::NAN))
    }

    fn lower(&self) -> Lowered {
        // Its value is in a buffer before a plan is made.
        Lowered::Input
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        #[cfg(feature = "linalg")]
        return crate::linalg::samples();
        #[cfg(not(feature = "linalg"))]
        Vec::new()
    }

    fn tolerance() -> super::Tolerance {
        super::Tolerance {
            rtol: 1e-4,
            atol: 1e-4,
        }
    }
}
