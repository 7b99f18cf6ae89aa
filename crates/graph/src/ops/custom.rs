//! An operation of the user's own: shape rule, WGSL, cpu function, reference and derivative are given as data and
//! closures. Derivative: the user's; without one it is marked not differentiable.

use super::{Derivative, Derive, Lowered, Operand, Primitive};
#[cfg(any(test, feature = "samples"))]
use super::Sample;
use crate::dtype::DType;
use crate::reference::Array;
use crate::plan::{CustomCpu, CustomKernel};
use crate::tensor::Tensor;
use std::any::TypeId;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

type ShapeRule = dyn Fn(&[&[usize]]) -> Result<Vec<usize>, String> + Send + Sync;
type Reference = dyn Fn(&[&Array], &[usize]) -> Vec<f64> + Send + Sync;
type DerivativeRule = dyn Fn(&[Tensor], &Tensor, &Tensor) -> Vec<Option<Tensor>> + Send + Sync;

/// The definition of a custom operation on f32 tensors; make it once and apply it often. One that is made anew for each
/// use is the same operation, with the same plan, if its functions capture nothing and text and words are the same. Where
/// they capture something each one gets a plan of its own, and the third that is applied gives a warning.
///
/// ```
/// use wgrad_graph::{CustomOp, Device, Tensor, grad};
/// let cube = CustomOp::new("cube", "
///     @group(0) @binding(0) var<storage, read> in_x: array<f32>;
///     @group(0) @binding(1) var<storage, read_write> out_y: array<f32>;
///     @compute @workgroup_size(64)
///     fn main(@builtin(global_invocation_id) id: vec3u) {
///         if id.x < arrayLength(&out_y) { out_y[id.x] = in_x[id.x] * in_x[id.x] * in_x[id.x]; }
///     }")
///     .cpu(|x, y, _| y.iter_mut().zip(x[0].0).for_each(|(y, x)| *y = x * x * x))
///     .reference(|x, _| x[0].data.iter().map(|x| x * x * x).collect())
///     .derivative(|x, _, g| vec![Some(g * x[0].square() * 3.0)]);
/// let x = Tensor::new(&[2.0f32, -1.0], &Device::cpu());
/// let y = cube.apply(&[&x]);
/// assert_eq!(y.to_vec::<f32>()?, [8.0, -1.0]);
/// assert_eq!(grad(&y.sum(), &[&x])?[0].to_vec::<f32>()?, [12.0, 3.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone)]
pub struct CustomOp(Arc<Definition>);

#[derive(Clone)]
struct Definition {
    kernel: CustomKernel,
    shape: Arc<ShapeRule>,
    reference: Option<Arc<Reference>>,
    derivative: Option<Arc<DerivativeRule>>,
    /// Of cpu function, shape rule, reference and derivative.
    codes: [Option<Code>; 4],
    applied: Applied,
}

/// What is known of a function: its type, and whether that is all there is to it, because it captures nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Code {
    of: TypeId,
    whole: bool,
}

impl Code {
    fn of<F: 'static>(_: &F) -> Option<Code> {
        Some(Code { of: TypeId::of::<F>(), whole: size_of::<F>() == 0 })
    }
}

/// Whether a definition has been applied; its copy has not.
#[derive(Default)]
struct Applied(AtomicBool);

impl Clone for Applied {
    fn clone(&self) -> Applied {
        Applied::default()
    }
}

/// Definitions that differ only in what their functions capture, of which so many may be applied without a warning.
const MAX_ALIKE: u32 = 2;

/// Kinds of definitions that are counted; all are forgotten when there are more.
const MAX_COUNTED: usize = 1024;

/// How many definitions of one kind have been applied.
static COUNTED: Mutex<BTreeMap<u64, u32>> = Mutex::new(BTreeMap::new());

impl Definition {
    /// Whether two definitions do the same, as far as that can be seen.
    fn does_as(&self, other: &Definition) -> bool {
        let whole = |i: usize| self.codes[i] == other.codes[i] && self.codes[i].is_none_or(|c| c.whole);
        let (a, b) = (&self.kernel, &other.kernel);
        a.name == b.name
            && a.wgsl == b.wgsl
            && a.params == b.params
            && (whole(0) || Arc::ptr_eq(&a.cpu, &b.cpu))
            && (whole(1) || Arc::ptr_eq(&self.shape, &other.shape))
            && (whole(2) || same(&self.reference, &other.reference))
            && (whole(3) || same(&self.derivative, &other.derivative))
    }

    /// Warns where definitions are made again and again that cannot be seen to be the same.
    fn count(&self) {
        if self.applied.0.swap(true, Ordering::Relaxed) || self.codes.iter().flatten().all(|c| c.whole) {
            return;
        }
        let mut hasher = DefaultHasher::new();
        (&self.kernel.name, &self.kernel.wgsl, &self.codes).hash(&mut hasher);
        let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.len() >= MAX_COUNTED {
            counted.clear();
        }
        let count = counted.entry(hasher.finish()).or_default();
        *count += 1;
        if *count == MAX_ALIKE + 1 {
            tracing::warn!(
                "the custom operation {} is made for the third time with functions that capture values: each has a plan of \
                 its own; make it once, or give the values as params",
                self.kernel.name
            );
        }
    }
}

fn same<T: ?Sized>(a: &Option<Arc<T>>, b: &Option<Arc<T>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

impl CustomOp {
    /// An operation whose result has its first operand's shape; see [`CustomKernel::wgsl`] for the module's form.
    pub fn new(name: impl Into<String>, wgsl: impl Into<String>) -> CustomOp {
        let nan = |_: &[(&[f32], &[usize])], out: &mut [f32], _: &[usize]| out.fill(f32::NAN);
        let first = |x: &[&[usize]]| x.first().map(|s| s.to_vec()).ok_or_else(|| "needs an operand".to_string());
        let codes = [Code::of(&nan), Code::of(&first), None, None];
        let cpu: Arc<CustomCpu> = Arc::new(nan);
        let kernel = CustomKernel { name: name.into(), wgsl: wgsl.into().into(), params: Vec::new(), cpu };
        let shape: Arc<ShapeRule> = Arc::new(first);
        let applied = Applied::default();
        CustomOp(Arc::new(Definition { kernel, shape, reference: None, derivative: None, codes, applied }))
    }

    fn with(self, change: impl FnOnce(&mut Definition)) -> CustomOp {
        let mut definition = Definition::clone(&self.0);
        change(&mut definition);
        CustomOp(Arc::new(definition))
    }

    /// With a function for the cpu: operands with shapes, result, its shape. Without one the result is NaN there.
    pub fn cpu(self, f: impl Fn(&[(&[f32], &[usize])], &mut [f32], &[usize]) + Send + Sync + 'static) -> CustomOp {
        self.with(|d| {
            d.codes[0] = Code::of(&f);
            d.kernel.cpu = Arc::new(f);
        })
    }

    /// With words for the kernel's uniform.
    pub fn params(self, params: &[u32]) -> CustomOp {
        self.with(|d| d.kernel.params = params.to_vec())
    }

    /// With a rule for the result's shape.
    pub fn shape(self, f: impl Fn(&[&[usize]]) -> Result<Vec<usize>, String> + Send + Sync + 'static) -> CustomOp {
        self.with(|d| {
            d.codes[1] = Code::of(&f);
            d.shape = Arc::new(f);
        })
    }

    /// With a function in f64 for the reference; without one it calls the cpu function.
    pub fn reference(self, f: impl Fn(&[&Array], &[usize]) -> Vec<f64> + Send + Sync + 'static) -> CustomOp {
        self.with(|d| {
            d.codes[2] = Code::of(&f);
            d.reference = Some(Arc::new(f));
        })
    }

    /// With a derivative: operands, result and upstream gradient give each operand's gradient, `None` for zero.
    pub fn derivative(
        self,
        f: impl Fn(&[Tensor], &Tensor, &Tensor) -> Vec<Option<Tensor>> + Send + Sync + 'static,
    ) -> CustomOp {
        self.with(|d| {
            d.codes[3] = Code::of(&f);
            d.derivative = Some(Arc::new(f));
        })
    }

    /// Records the operation.
    #[track_caller]
    pub fn apply(&self, inputs: &[&Tensor]) -> Tensor {
        if inputs.is_empty() {
            let name = self.0.kernel.name.as_str();
            let error = crate::Error::new(crate::ErrorKind::Value, name, "needs an operand");
            return Tensor::invalid(error, &[], DType::F32, &crate::Device::reference());
        }
        self.0.count();
        let shapes = inputs.iter().map(|t| t.shape().to_vec()).collect();
        Tensor::record(Custom { op: self.clone(), shapes }, inputs)
    }
}

/// A custom operation with the shapes it is applied to.
#[derive(Clone)]
pub struct Custom {
    op: CustomOp,
    shapes: Vec<Vec<usize>>,
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Custom({})", self.op.0.kernel.name)
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        (Arc::ptr_eq(&self.op.0, &other.op.0) || self.op.0.does_as(&other.op.0)) && self.shapes == other.shapes
    }
}

impl Eq for Custom {}

impl Hash for Custom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.op.0.kernel.hash(state);
        self.shapes.hash(state);
    }
}

impl Custom {
    fn output(&self) -> Result<Vec<usize>, String> {
        (self.op.0.shape)(&self.shapes.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

impl Primitive for Custom {
    const NAME: &'static str = "custom";

    fn shape(&self, _: &[Operand]) -> Result<Vec<usize>, String> {
        self.output().map_err(|m| format!("{}: {m}", self.op.0.kernel.name))
    }

    fn dtype(&self, x: &[Operand]) -> Result<DType, String> {
        match x.iter().find(|o| o.dtype != DType::F32) {
            Some(o) => Err(format!("{} takes f32, not {}", self.op.0.kernel.name, o.dtype)),
            None => Ok(DType::F32),
        }
    }

    fn derivative(&self, cx: &Derive, upstream: &Tensor) -> Derivative {
        match &self.op.0.derivative {
            Some(rule) => Derivative::Of(rule(cx.inputs, cx.output, upstream)),
            None => Derivative::NotDifferentiable,
        }
    }

    fn batch(&self, x: &[Tensor]) -> Tensor {
        // The user's kernel knows nothing of batches: it runs for each example.
        let n = x[0].shape()[0];
        let one = |i: usize| {
            let examples: Vec<Tensor> = x.iter().map(|t| t.select(0, i as isize)).collect();
            self.op.apply(&examples.iter().collect::<Vec<_>>())
        };
        let all: Vec<Tensor> = (0..n).map(one).collect();
        Tensor::stack(&all.iter().collect::<Vec<_>>(), 0)
    }

    fn reference(&self, x: &[&Array], shape: &[usize], dtype: DType) -> Array {
        let n = crate::shape::numel(shape);
        let mut data = match &self.op.0.reference {
            Some(f) => f(x, shape),
            None => {
                let narrow: Vec<Vec<f32>> = x.iter().map(|a| a.data.iter().map(|&v| v as f32).collect()).collect();
                let operands: Vec<(&[f32], &[usize])> =
                    narrow.iter().zip(x).map(|(v, a)| (v.as_slice(), a.shape.as_slice())).collect();
                let mut out = vec![0.0f32; n];
                (self.op.0.kernel.cpu)(&operands, &mut out, shape);
                out.into_iter().map(f64::from).collect()
            }
        };
        data.resize(n, f64::NAN);
        Array { shape: shape.to_vec(), dtype, data }
    }

    fn lower(&self) -> Lowered {
        Lowered::Custom(self.op.0.kernel.clone())
    }

    #[cfg(any(test, feature = "samples"))]
    fn samples() -> Vec<Sample<Self>> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, passes};

    fn made(scale: Option<f32>, word: u32) -> CustomOp {
        let op = CustomOp::new("scaled", "").params(&[word]).shape(|x| Ok(x[0].to_vec()));
        match scale {
            Some(s) => op.cpu(move |x, y, _| y.iter_mut().zip(x[0].0).for_each(|(y, x)| *y = s * x)),
            None => op.cpu(|x, y, _| y.copy_from_slice(x[0].0)),
        }
    }

    #[test]
    fn operations_made_anew_share_a_plan_unless_they_capture() {
        let x = Tensor::new(&[1.0f32, 2.0], &Device::reference());
        let graph = |op: &CustomOp| passes::collect(&[&op.apply(&[&x])]).graph();
        let matches = |op: &CustomOp, graph: &passes::Graph| passes::collect(&[&op.apply(&[&x])]).matches(graph);
        let plain = graph(&made(None, 1));
        assert!(matches(&made(None, 1), &plain));
        assert!(!matches(&made(None, 2), &plain) && !matches(&made(Some(1.0), 1), &plain));
        let one = made(Some(1.0), 1);
        let captured = graph(&one);
        assert!(matches(&one, &captured) && matches(&one.clone().params(&[1]), &captured));
        assert!(!matches(&made(Some(1.0), 1), &captured));
    }
}
