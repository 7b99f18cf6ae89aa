//! Loops in the graph: a step that is recorded once and runs many times, with its derivative and its batched form. It must
//! not run anything.
//!
//! ```text
//!  scan ──► body (a graph as data) ──► ops::loop_, one node ──► ops::pick, a node for each result
//!           ▲            ▲
//!        backward      batch       each makes another body, and a loop of it
//! ```

mod backward;
mod batch;
mod body;
mod late;
mod record;
#[cfg(all(test, feature = "cpu"))]
mod tests;

pub(crate) use backward::derivative;
pub(crate) use batch::{batch, batched_pick};
pub(crate) use body::{Body, site_in};
pub(crate) use record::embedded;

use crate::checkpoint::Tensors;
#[cfg(any(test, feature = "samples"))]
use crate::device::Device;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::loop_::Output;
#[cfg(any(test, feature = "samples"))]
use crate::ops::loop_::{Loop, Spec};
use crate::tensor::{Tensor, next_id};
use record::{Given, Rounds, from_rows, looped, of, pick, rows};
use std::panic::Location;

/// Optional arguments of [`scan`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanOptions {
    /// The dimension of the inputs that the steps go along, and that of the outputs which they are stacked in; may count
    /// from the end.
    pub dim: isize,
    /// Begin with the last slice. Outputs lie in the order of the inputs all the same.
    pub reverse: bool,
    /// How many steps there are, where there are no inputs that tell it.
    pub length: Option<usize>,
    /// A gradient computes matrix products and convolutions of a step again, as all else, unless it is told to keep them: then
    /// it takes memory for those of all steps, and is faster by their time.
    pub keep_products: bool,
}

/// A loop that is recorded once, however many steps it has: `f` is called with a state and one slice of each input and gives
/// the next state and an output. As JAX's `lax.scan`:
///
/// ```text
///  (c₁, y₀) = f(c₀, x₀), (c₂, y₁) = f(c₁, x₁), …        gives (c_n, [y₀, y₁, …])
/// ```
///
/// `init` is c₀, `inputs` have the slices along dimension [`ScanOptions::dim`], all of one size; without inputs `()` is given
/// and [`ScanOptions::length`] says how many steps there are, which may be none. States, inputs and outputs are tensors, or
/// tuples, arrays, vectors and options of such. A state keeps its shape and dtype. `f` may use any other tensor, which all
/// steps share, and gradients flow to those too. It runs once, on stand-ins without values, so it cannot read any. Slices are
/// those of `narrow` without the dimension. The loop has derivatives of any order, takes part in [`vmap`](crate::vmap),
/// [`checkpoint`](crate::checkpoint()) and compiled functions, and may stand in another.
///
/// A plan holds the step once. A gradient keeps the states before each step and computes the rest of a step again
/// (but see [`ScanOptions::keep_products`]); where those are too many, a loop over loops keeps only the states before each
/// inner one, and those within one of them.
///
/// What cannot be done makes all results invalid: a state that changes its shape or dtype, inputs of different lengths, a
/// step that draws random numbers (which would be the same in every step: draw them before, for all steps) or that needs
/// the host.
///
/// ```
/// use wgrad_graph::{DType, Device, ScanOptions, Tensor, grad, scan};
/// let d = Device::cpu();
/// // A leaky sum: s' = a s + x, y = s'.
/// let a = Tensor::new(&[0.5f32], &d);
/// let x = Tensor::from_slice(&[1.0f32, 2.0, 4.0], &[3, 1], &d);
/// let zero = Tensor::zeros(&[1], DType::F32, &d);
/// let (last, all) = scan(zero, x.clone(), &ScanOptions::default(), |s, x| {
///     let s = &a * s + x;
///     (s.clone(), s)
/// });
/// assert_eq!(all.to_vec::<f32>()?, [1.0, 2.5, 5.25]);
/// let g = grad(&last.sum(), &[&a, &x])?;
/// assert_eq!(g[0].to_vec::<f32>()?, [3.0]); // 2 a x₀ + x₁
/// assert_eq!(g[1].to_vec::<f32>()?, [0.25, 0.5, 1.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// An ordinary differential equation, `y' = −k y` from 1, in 10,000 steps by the midpoint rule, and how its end follows from `k`:
///
/// ```
/// use wgrad_graph::{Device, ScanOptions, Tensor, grad, scan};
/// let d = Device::cpu();
/// let (k, y) = (Tensor::new(&[0.7f32], &d), Tensor::new(&[1.0f32], &d));
/// let (steps, dt) = (10_000, 1e-4);
/// let options = ScanOptions { length: Some(steps), ..ScanOptions::default() };
/// let (end, ()) = scan(y, (), &options, |y, ()| {
///     let slope = |y: &Tensor| -(&k * y);
///     let half = &y + slope(&y) * (0.5 * dt);
///     (&y + slope(&half) * dt, ())
/// });
/// let dk = &grad(&end, &[&k])?[0];
/// assert!((end.item::<f32>()? - (-0.7f32).exp()).abs() < 1e-3);
/// assert!((dk.item::<f32>()? + (-0.7f32).exp()).abs() < 1e-3);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn scan<C: Tensors, X: Tensors, Y: Tensors>(
    init: C,
    inputs: X,
    options: &ScanOptions,
    f: impl FnOnce(C, X) -> (C, Y),
) -> (C, Y) {
    let location = Location::caller();
    let first = next_id();
    let (mut carries, mut slices) = (Vec::new(), Vec::new());
    let init = init.map_tensors(&mut |t| list(&mut carries, t));
    let inputs = inputs.map_tensors(&mut |t| list(&mut slices, t));
    let checked = Checked::new(carries, slices, options, location);
    let mut stand_ins = Vec::new();
    let mut stand_in = |t: Tensor, shape: &[usize]| {
        let symbol = match &checked {
            Ok(_) => Tensor::symbol(shape, t.dtype(), t.device()),
            Err(e) => Tensor::invalid(e.clone(), shape, t.dtype(), t.device()),
        };
        list(&mut stand_ins, symbol)
    };
    let state = init.map_tensors(&mut |t| stand_in(t.clone(), t.shape()));
    let slice = inputs.map_tensors(&mut |t| stand_in(t.clone(), &without(t.shape(), options.dim)));
    let (state, outputs) = f(state, slice);
    let (mut next, mut each) = (Vec::new(), Vec::new());
    let state = state.map_tensors(&mut |t| list(&mut next, t));
    let outputs = outputs.map_tensors(&mut |t| list(&mut each, t));
    let done = checked.and_then(|c| c.record((&stand_ins, first), &next, &each));
    let mut results = done.as_ref().map(|list| list.iter());
    let mut result = |t: Tensor| match &mut results {
        Ok(list) => list.next().cloned().unwrap_or(t),
        Err(e) => Tensor::invalid((*e).clone(), &[], t.dtype(), t.device()),
    };
    let state = state.map_tensors(&mut result);
    (state, outputs.map_tensors(&mut result))
}

/// Notes a tensor and hands it on.
fn list(all: &mut Vec<Tensor>, t: Tensor) -> Tensor {
    all.push(t.clone());
    t
}

/// A shape without a dimension, as far as it has it.
fn without(shape: &[usize], dim: isize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if let Ok(dim) = crate::shape::dim(dim, shape.len())
        && dim < shape.len()
    {
        shape.remove(dim);
    }
    shape
}

/// What a loop is to run on.
struct Checked {
    carries: Vec<Tensor>,
    /// With the dimension of the steps first.
    slices: Vec<Tensor>,
    length: usize,
    dim: isize,
    reverse: bool,
    keep_products: bool,
    location: &'static Location<'static>,
}

impl Checked {
    fn new(
        carries: Vec<Tensor>,
        slices: Vec<Tensor>,
        options: &ScanOptions,
        location: &'static Location<'static>,
    ) -> Result<Checked> {
        let fail = |m: String| Err(Error::new(ErrorKind::Shape, "scan", m).at(location));
        for t in carries.iter().chain(&slices) {
            t.check()?;
        }
        let mut length = options.length;
        let mut moved = Vec::with_capacity(slices.len());
        for (i, t) in slices.iter().enumerate() {
            let rank = t.rank();
            let dim = match crate::shape::dim(options.dim, rank) {
                Ok(dim) if dim < rank => dim,
                _ => {
                    let shape = t.shape();
                    return fail(format!(
                        "input {i} of shape {shape:?} has no dimension {}",
                        options.dim
                    ));
                }
            };
            match length.replace(t.shape()[dim]) {
                Some(before) if before != t.shape()[dim] => {
                    let (have, shape) = (t.shape()[dim], t.shape());
                    return fail(format!(
                        "input {i} of shape {shape:?} has {have} slices along dimension {} instead of {before}",
                        options.dim
                    ));
                }
                _ => moved.push(t.movedim(dim as isize, 0)),
            }
        }
        match length {
            None => fail("without inputs, the length has to be given".into()),
            Some(length) => Ok(Checked {
                carries,
                slices: moved,
                length,
                dim: options.dim,
                reverse: options.reverse,
                keep_products: options.keep_products,
                location,
            }),
        }
    }

    /// The loop over a step that has made the states `next` and the outputs `each`; its results.
    fn record(
        self,
        (stand_ins, first): (&[Tensor], u64),
        next: &[Tensor],
        each: &[Tensor],
    ) -> Result<Vec<Tensor>> {
        let n = self.carries.len();
        let all: Vec<Tensor> = next.iter().chain(each).cloned().collect();
        for t in &all {
            t.check()?;
        }
        self.check_states(next)?;
        let Some(device) = stand_ins.iter().chain(&all).map(Tensor::device).next() else {
            return Ok(Vec::new());
        };
        let align = device.0.limits.align;
        let operand = |i: usize| match i.checked_sub(n) {
            None => self.carries[i].clone(),
            Some(j) => rows(&self.slices[j], align),
        };
        let given = Given {
            stand_ins,
            carries: n,
            slices: self.slices.len(),
            operand: &operand,
            first,
            device,
            location: self.location,
        };
        let rounds = Rounds {
            length: self.length,
            reverse: self.reverse,
            align,
            keep_products: self.keep_products,
        };
        let node = looped(&given, rounds, &all)?;
        self.results(&node, each)
    }

    fn check_states(&self, next: &[Tensor]) -> Result<()> {
        let fail = |kind, m: String| Err(Error::new(kind, "scan", m).at(self.location));
        if next.len() != self.carries.len() {
            let message = format!(
                "the state is {} tensors before a step and {} after it",
                self.carries.len(),
                next.len()
            );
            return fail(ErrorKind::Shape, message);
        }
        for (i, (new, old)) in next.iter().zip(&self.carries).enumerate() {
            let kind = match new.dtype() == old.dtype() {
                false => ErrorKind::DType,
                true if new.shape() != old.shape() => ErrorKind::Shape,
                true => continue,
            };
            let show = |t: &Tensor| format!("{}{:?}", t.dtype(), t.shape());
            let message = format!(
                "carry {i} is {} before a step and {} after it (made at {})",
                show(old),
                show(new),
                new.location()
            );
            return fail(kind, message);
        }
        Ok(())
    }

    /// The last states and the stacked outputs.
    fn results(&self, node: &Tensor, each: &[Tensor]) -> Result<Vec<Tensor>> {
        let Some(l) = of(node) else {
            return Ok(Vec::new());
        };
        let mut results = Vec::new();
        for output in l.outputs() {
            match output {
                Output::Carry(_) => results.push(pick(node, l, output)),
                Output::Each(j) => {
                    let stacked = from_rows(&pick(node, l, output), each[j].shape());
                    let moved = stacked.movedim(0, self.dim);
                    moved.check()?;
                    results.push(moved);
                }
                Output::Before(_) | Output::Kept(_) => {}
            }
        }
        Ok(results)
    }
}

/// A loop over what `f` makes of operands of these shapes, for samples; of these are carries and slices as many as said.
#[cfg(any(test, feature = "samples"))]
pub(crate) fn sample(
    shapes: &[&[usize]],
    [carries, slices]: [usize; 2],
    (length, reverse, align): (usize, bool, usize),
    f: &dyn Fn(&[Tensor]) -> Vec<Tensor>,
) -> Loop {
    let device = Device::reference();
    let first = next_id();
    let symbol = |shape: &&[usize]| Tensor::symbol(shape, crate::DType::F32, &device);
    let stand_ins: Vec<Tensor> = shapes.iter().map(symbol).collect();
    let traced = body::trace(&stand_ins, &f(&stand_ins), first).expect("a sample");
    Loop::new(Spec {
        body: traced.body,
        carries,
        slices,
        length,
        reverse,
        align,
        kept: Vec::new(),
    })
}
