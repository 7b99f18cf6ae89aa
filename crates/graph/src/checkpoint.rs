//! Gradient checkpointing: recomputing in the backward pass what the forward pass need not keep. Records one node; the
//! rest is that node's derivative rule (`ops::checkpoint`) and the planner. Runs nothing.

use crate::ops::Op;
use crate::ops::checkpoint::Checkpoint;
use crate::tensor::{Tensor, next_id};
use rustc_hash::FxHashSet;
use std::panic::Location;

/// What a function may give to [`checkpoint`]: a tensor, or tuples, arrays, vectors and options of such.
pub trait Tensors {
    /// The same with each tensor replaced.
    fn map_tensors(self, f: &mut dyn FnMut(Tensor) -> Tensor) -> Self;
}

impl Tensors for () {
    fn map_tensors(self, _: &mut dyn FnMut(Tensor) -> Tensor) -> Self {}
}

impl Tensors for Tensor {
    fn map_tensors(self, f: &mut dyn FnMut(Tensor) -> Tensor) -> Self {
        f(self)
    }
}

impl<T: Tensors> Tensors for Vec<T> {
    fn map_tensors(self, f: &mut dyn FnMut(Tensor) -> Tensor) -> Self {
        self.into_iter().map(|t| t.map_tensors(f)).collect()
    }
}

impl<T: Tensors> Tensors for Option<T> {
    fn map_tensors(self, f: &mut dyn FnMut(Tensor) -> Tensor) -> Self {
        self.map(|t| t.map_tensors(f))
    }
}

impl<T: Tensors, const N: usize> Tensors for [T; N] {
    fn map_tensors(self, f: &mut dyn FnMut(Tensor) -> Tensor) -> Self {
        self.map(|t| t.map_tensors(f))
    }
}

impl<A: Tensors, B: Tensors> Tensors for (A, B) {
    fn map_tensors(self, f: &mut dyn FnMut(Tensor) -> Tensor) -> Self {
        (self.0.map_tensors(f), self.1.map_tensors(f))
    }
}

impl<A: Tensors, B: Tensors, C: Tensors> Tensors for (A, B, C) {
    fn map_tensors(self, f: &mut dyn FnMut(Tensor) -> Tensor) -> Self {
        let (a, b, c) = self;
        (a.map_tensors(f), b.map_tensors(f), c.map_tensors(f))
    }
}

impl<A: Tensors, B: Tensors, C: Tensors, D: Tensors> Tensors for (A, B, C, D) {
    fn map_tensors(self, f: &mut dyn FnMut(Tensor) -> Tensor) -> Self {
        let (a, b, c, d) = self;
        (
            a.map_tensors(f),
            b.map_tensors(f),
            c.map_tensors(f),
            d.map_tensors(f),
        )
    }
}

/// Gives what `f` gives, but computes it a second time when a gradient needs its intermediate results, instead of
/// keeping them from the forward to the backward pass (Chen, Xu, Zhang and Guestrin 2016, "Training Deep Nets with
/// Sublinear Memory Cost"). A chain of `n` equal layers cut into `√n` checkpoints keeps about `2 √n` results instead of
/// `n`, for one more forward pass.
///
/// Whatever `f` uses counts as input, arguments and captured tensors alike, so values and gradients (of any order, with
/// respect to any tensor) are those of calling `f` itself; random numbers that `f` draws are the same both times.
/// Checkpoints may be nested. Kept are the tensors that were there before `f` ran. Nothing is saved where the gradient
/// of a tensor made inside `f` is asked for, or where [`vmap`](crate::vmap) is applied to a checkpoint from outside
/// (inside, around gradients too, it saves as usual).
///
/// ```
/// use wgrad_graph::{Device, Tensor, checkpoint, grad};
/// let d = Device::cpu();
/// let (x, w) = (Tensor::new(&[0.5f32, -1.0], &d), Tensor::new(&[2.0f32, 3.0], &d));
/// let y = checkpoint(|| (&x * &w).tanh().exp());
/// let plain = (&x * &w).tanh().exp();
/// let (a, b) = (grad(&y.sum(), &[&x, &w])?, grad(&plain.sum(), &[&x, &w])?);
/// assert_eq!(a[1].to_vec::<f32>()?, b[1].to_vec::<f32>()?);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn checkpoint<T: Tensors>(f: impl FnOnce() -> T) -> T {
    let first = next_id();
    let location = Location::caller();
    f().map_tensors(&mut |y| marked(&y, first, location))
}

/// `y` as a checkpoint over what was recorded before `first`.
fn marked(y: &Tensor, first: u64, location: &'static Location<'static>) -> Tensor {
    let boundary = boundary(y, first);
    if y.check().is_err() || boundary.is_empty() || boundary.iter().any(|b| b.same(y)) {
        return y.clone();
    }
    let mut inputs = vec![y];
    inputs.extend(&boundary);
    Tensor::record_on(Checkpoint.into(), &inputs, y.device().clone(), location)
}

/// What `y` depends on that was recorded before `first`, and leaves, each once, in the order of recording.
fn boundary(y: &Tensor, first: u64) -> Vec<Tensor> {
    let _unchanged = crate::history::hold();
    let mut seen = FxHashSet::default();
    let mut stack = vec![y.clone()];
    let mut found = Vec::new();
    while let Some(t) = stack.pop() {
        if !seen.insert(t.0.id) {
            continue;
        }
        if t.0.id < first || matches!(t.0.op, Op::Input(_)) {
            found.push(t);
        } else {
            stack.extend(t.inputs().iter().cloned());
        }
    }
    found.sort_unstable_by_key(|t| t.0.id);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes;
    use crate::{DType, Device, Generator, grad};

    /// Temporary bytes and steps of the plan for a chain of 16 layers and its gradients, `each` layers to a checkpoint.
    fn plan(each: usize) -> (usize, usize) {
        let device = Device::reference();
        let leaf = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &device).detach();
        let weights: Vec<Tensor> = (0..16).map(|_| leaf(&[64, 64]).expect("a leaf")).collect();
        let mut rng = Generator::new(1);
        let mut x = leaf(&[512, 64]).expect("a leaf");
        for part in weights.chunks(each.max(1)) {
            let mut run = || {
                part.iter().fold(x.clone(), |x, w| {
                    let mask = rng.bernoulli(0.9, &[512, 64], &device);
                    let y = x.matmul(w).tanh();
                    Tensor::where_(&mask, &y, &y.zeros_like())
                })
            };
            x = if each == 0 { run() } else { checkpoint(run) };
        }
        let loss = x.square().sum();
        let gradients = grad(&loss, &weights.iter().collect::<Vec<_>>()).expect("gradients");
        let graph = passes::collect(&gradients.iter().collect::<Vec<_>>()).graph();
        let plan = passes::plan(&graph, &device.0.limits);
        (plan.temps.iter().sum(), plan.steps.len())
    }

    #[test]
    fn memory_shrinks_for_one_more_forward_pass() {
        let ((plain, steps), (kept, more)) = (plan(0), plan(4));
        let one = 512 * 64 * 4;
        println!("{plain} bytes in {steps} steps; {kept} bytes in {more} steps");
        assert!(plain >= 16 * one, "{plain} bytes without checkpoints");
        assert!(kept <= plain * 6 / 10, "{kept} of {plain} bytes");
        assert!(more > steps && more < 2 * steps, "{more}, {steps} steps");
    }
}
