//! The user's step as a compiled function of a state and a batch that gives named scalars, and reading those back seldom.
//! Knows no loop.

use super::describe::{Description, Watch};
use super::error::{Result, TrainError};
use super::event::StepRecord;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wgrad_data::Batch;
use wgrad_graph::{DType, Error, ErrorKind, Tensor};
use wgrad_nn::{Compiled, Module, compile};

/// Steps whose scalars are left on the device at most, and for how long.
const MAX_PENDING: usize = 64;
const MAX_AGE: Duration = Duration::from_millis(400);

/// What a step gives: scalars by name, each a tensor of one element. A tensor alone is called `loss`.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// use wgrad_train::Scalars;
/// let t = Tensor::new(&[1.0f32], &Device::cpu());
/// let both = (t.clone(), [("hits", t.clone()), ("norm", t)]);
/// let names: Vec<String> = both.into_named().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["loss", "hits", "norm"]);
/// ```
pub trait Scalars {
    /// Names and tensors, in order.
    fn into_named(self) -> Vec<(String, Tensor)>;
}

impl Scalars for Tensor {
    fn into_named(self) -> Vec<(String, Tensor)> {
        vec![("loss".to_string(), self)]
    }
}

impl<N: Into<String>, const K: usize> Scalars for [(N, Tensor); K] {
    fn into_named(self) -> Vec<(String, Tensor)> {
        self.into_iter().map(|(n, t)| (n.into(), t)).collect()
    }
}

impl<N: Into<String>> Scalars for Vec<(N, Tensor)> {
    fn into_named(self) -> Vec<(String, Tensor)> {
        self.into_iter().map(|(n, t)| (n.into(), t)).collect()
    }
}

impl<A: Scalars, B: Scalars> Scalars for (A, B) {
    fn into_named(self) -> Vec<(String, Tensor)> {
        let mut all = self.0.into_named();
        all.extend(self.1.into_named());
        all
    }
}

/// The user's function, with the batch as tensors.
type User<'a, S> =
    Box<dyn FnMut(&mut S, &[Tensor]) -> wgrad_graph::Result<Vec<(String, Tensor)>> + 'a>;

/// The function that is compiled: all scalars as one f32 tensor.
type Packed<'a, S> = Box<dyn FnMut(&mut S, &[Tensor]) -> wgrad_graph::Result<Tensor> + 'a>;

/// A compiled function of the user's.
pub(super) struct Stepper<'a, S: Module> {
    user: Rc<RefCell<User<'a, S>>>,
    compiled: Compiled<S, Tensor, Packed<'a, S>>,
    shared: Rc<RefCell<Shared>>,
}

/// What is known of the function since it was called first.
#[derive(Default)]
struct Shared {
    names: Option<Arc<[String]>>,
    description: Option<Description>,
}

impl<'a, S: Module + 'a> Stepper<'a, S> {
    /// `what` names the function in errors.
    pub(super) fn new<B, R>(
        what: &'static str,
        mut function: impl FnMut(&mut S, B) -> wgrad_graph::Result<R> + 'a,
    ) -> Stepper<'a, S>
    where
        B: Batch,
        R: Scalars,
    {
        let user: User<'a, S> = Box::new(move |state, inputs| {
            function(state, B::from_tensors(inputs)).map(R::into_named)
        });
        let user = Rc::new(RefCell::new(user));
        let shared = Rc::new(RefCell::new(Shared::default()));
        let (inner, known) = (user.clone(), shared.clone());
        let packed: Packed<'a, S> = Box::new(move |state, inputs| {
            let watch = known
                .borrow()
                .description
                .is_none()
                .then(|| Watch::of(state));
            let named = (inner.borrow_mut())(state, inputs)?;
            let mut known = known.borrow_mut();
            let packed = pack(what, &mut known.names, &named)?;
            if let Some(watch) = watch {
                known.description = Some(watch.describe(&named));
            }
            Ok(packed)
        });
        Stepper {
            user,
            compiled: compile(packed),
            shared,
        }
    }

    /// Traces and plans the function for this batch without running it; the most memory that it will take, if it runs as a
    /// plan.
    pub(super) fn prepare(
        &mut self,
        state: &mut S,
        batch: &[Tensor],
    ) -> wgrad_graph::Result<Option<u64>> {
        let inputs: Vec<&Tensor> = batch.iter().collect();
        let cost = self.compiled.cost(state, &inputs)?;
        Ok(cost.map(|cost| cost.peak_bytes))
    }

    /// Calls it; the scalars stay on the device.
    pub(super) fn call(
        &mut self,
        state: &mut S,
        batch: &impl Batch,
    ) -> wgrad_graph::Result<Tensor> {
        let inputs = batch.tensors();
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        self.compiled.call(state, &inputs)
    }

    /// The function itself, not compiled: what it gives has been recorded from the state and the batch.
    pub(super) fn record(
        &mut self,
        state: &mut S,
        batch: &impl Batch,
    ) -> wgrad_graph::Result<Vec<(String, Tensor)>> {
        (self.user.borrow_mut())(state, &batch.tensors())
    }

    /// The scalars' names, once it has been called or prepared.
    pub(super) fn names(&self) -> Arc<[String]> {
        self.shared.borrow().names.clone().unwrap_or_default()
    }

    /// What was seen of its graph when it was called first.
    pub(super) fn description(&self) -> Option<Description> {
        self.shared.borrow().description.clone()
    }
}

/// All scalars as one tensor, `f32[n]`, in order.
fn pack(
    what: &'static str,
    known: &mut Option<Arc<[String]>>,
    named: &[(String, Tensor)],
) -> wgrad_graph::Result<Tensor> {
    let fail = |kind, message: String| Err(Error::new(kind, what, message));
    let names: Vec<String> = named.iter().map(|(name, _)| name.clone()).collect();
    if names.is_empty() {
        return fail(ErrorKind::Value, "it gives no scalar".to_string());
    }
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return fail(
                ErrorKind::Value,
                format!("it gives two scalars named {name}"),
            );
        }
    }
    if let Some(before) = known.as_ref().filter(|k| k[..] != names[..]) {
        let message = format!(
            "it gave the scalars {} before and gives {} now",
            before.join(", "),
            names.join(", ")
        );
        return fail(ErrorKind::Value, message);
    }
    let mut rows = Vec::with_capacity(named.len());
    for (name, tensor) in named {
        tensor.check()?;
        if tensor.numel() != 1 {
            let message = format!("the scalar {name} has the shape {:?}", tensor.shape());
            let error = Error::new(ErrorKind::Shape, what, message);
            return Err(error.at(tensor.location()));
        }
        rows.push(tensor.cast(DType::F32).reshape(&[1]));
    }
    let packed = match &rows[..] {
        [one] => one.clone(),
        all => Tensor::cat(&all.iter().collect::<Vec<_>>(), 0),
    };
    packed.check()?;
    known.get_or_insert_with(|| names.into());
    Ok(packed)
}

/// Scalars that are still on the device.
#[derive(Default)]
pub(super) struct Pending {
    steps: Vec<(u64, usize, Tensor)>,
    since: Option<Instant>,
}

impl Pending {
    pub(super) fn push(&mut self, step: u64, samples: usize, scalars: Tensor) {
        self.since.get_or_insert_with(Instant::now);
        self.steps.push((step, samples, scalars));
    }

    /// Now and then, so that the device never waits for the reader.
    pub(super) fn is_due(&self) -> bool {
        self.steps.len() >= MAX_PENDING || self.since.is_some_and(|t| t.elapsed() > MAX_AGE)
    }

    pub(super) fn clear(&mut self) {
        *self = Pending::default();
    }

    /// All of them, in one read.
    pub(super) fn read(&mut self, names: &Arc<[String]>) -> Result<Vec<StepRecord>> {
        self.since = None;
        let steps = std::mem::take(&mut self.steps);
        let tensors: Vec<&Tensor> = steps.iter().map(|(_, _, t)| t).collect();
        let range = match (steps.first(), steps.last()) {
            (Some(first), Some(last)) if first.0 < last.0 => {
                format!("steps {} to {}", first.0, last.0)
            }
            (Some(first), _) => format!("step {}", first.0),
            _ => return Ok(Vec::new()),
        };
        let values = read_rows(&tensors).map_err(TrainError::doing(range))?;
        let rows = values.chunks(names.len().max(1));
        let records = steps
            .iter()
            .zip(rows)
            .map(|((step, samples, _), row)| StepRecord {
                step: *step,
                samples: *samples,
                names: names.clone(),
                values: row.iter().map(|&v| f64::from(v)).collect(),
            });
        Ok(records.collect())
    }
}

/// Several tensors of one length, one after the other. Of a GPU in one read; a host has them at hand.
pub(super) fn read_rows(tensors: &[&Tensor]) -> wgrad_graph::Result<Vec<f32>> {
    let Some(first) = tensors.first() else {
        return Ok(Vec::new());
    };
    if tensors.len() > 1 && first.device().to_string().starts_with("gpu") {
        return Tensor::cat(tensors, 0).to_vec::<f32>();
    }
    let mut all = Vec::new();
    for t in tensors {
        all.extend(t.to_vec::<f32>()?);
    }
    Ok(all)
}
