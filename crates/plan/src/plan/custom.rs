//! A kernel of the user's own, as a plan holds it. Plain data but for the cpu function.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The cpu function of a custom kernel: operands and result as f32, row-major, with their shapes.
pub type CustomCpu = dyn Fn(&[(&[f32], &[usize])], &mut [f32], &[usize]) + Send + Sync;

/// What runs for a custom operation: f32 in, f32 out.
#[derive(Clone)]
pub struct CustomKernel {
    /// Name for messages.
    pub name: String,
    /// A WGSL module with a compute function `main`: bindings 0, 1, … of group 0 are the operands (`var<storage,
    /// read>`, `array<f32>`), the next one is the result (`read_write`), and, if `params` is not empty, the next is
    /// a uniform with these words. At least one invocation for each element of the result is dispatched; grids of
    /// more than 65,535 workgroups are folded into y and z.
    pub wgsl: Arc<str>,
    /// Words of the uniform.
    pub params: Vec<u32>,
    /// What runs on the cpu.
    pub cpu: Arc<CustomCpu>,
}

/// A call of a custom kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Custom {
    /// The kernel.
    pub kernel: CustomKernel,
    /// Shapes of the operands.
    pub inputs: Vec<Vec<usize>>,
    /// Shape of the result.
    pub output: Vec<usize>,
}

impl PartialEq for CustomKernel {
    fn eq(&self, other: &Self) -> bool {
        self.wgsl == other.wgsl && self.params == other.params && Arc::ptr_eq(&self.cpu, &other.cpu)
    }
}

impl Eq for CustomKernel {}

impl Hash for CustomKernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.wgsl.hash(state);
        self.params.hash(state);
    }
}

impl fmt::Debug for CustomKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomKernel({})", self.name)
    }
}
