//! Runs the host steps that some tensors need, before those are planned: operands of all steps that are ready are
//! computed in one run and read back, the functions run, the results are uploaded. Plans nothing itself.

use crate::device::Kind;
use crate::error::{Error, ErrorKind, Result};
use crate::eval::{Value, eval_planned};
use crate::ops::Op;
use crate::reference::{Array, host_error, to_bytes, to_f64};
use crate::tensor::Tensor;
use rustc_hash::{FxHashMap, FxHashSet};

/// Whether a host step has to run before `tensors` can be planned. The reference runs its own.
pub(crate) fn needed(tensors: &[&Tensor]) -> bool {
    tensors
        .iter()
        .any(|t| t.awaits_host() && !matches!(t.device().0.kind, Kind::Reference))
}

/// [`realise`], waiting for it.
///
/// # Errors
/// As [`realise`]; in a browser, that a GPU has to be waited for.
pub(crate) fn realise_blocking(tensors: &[&Tensor]) -> Result<()> {
    #[cfg(not(target_arch = "wasm32"))]
    return pollster::block_on(realise(tensors));
    #[cfg(target_arch = "wasm32")]
    match unrealised(tensors)
        .iter()
        .find(|t| !matches!(t.0.value.get(), Some(Value::Host(_))) && on_gpu(t))
    {
        Some(t) => {
            let message =
                "reads its operands back, which cannot be waited for here; use eval_async";
            Err(Error::new(ErrorKind::Unsupported, t.op_name(), message).at(t.location()))
        }
        None => at_once(realise(tensors)).unwrap_or(Ok(())),
    }
}

/// What a future gives that has nothing to wait for: its first poll is the last.
#[cfg(target_arch = "wasm32")]
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    use std::task::{Context, Poll, Waker};
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[cfg(target_arch = "wasm32")]
fn on_gpu(t: &Tensor) -> bool {
    #[cfg(feature = "gpu")]
    return matches!(t.device().0.kind, Kind::Gpu(_));
    #[cfg(not(feature = "gpu"))]
    let _ = t;
    #[cfg(not(feature = "gpu"))]
    false
}

/// Gives every host step below `tensors` its value.
///
/// # Errors
/// A function's own error with the place where the step was recorded; running, reading or uploading fails.
pub(crate) async fn realise(tensors: &[&Tensor]) -> Result<()> {
    let tensors: Vec<&Tensor> = tensors
        .iter()
        .copied()
        .filter(|t| !matches!(t.device().0.kind, Kind::Reference))
        .collect();
    for ready in by_level(&tensors) {
        // Another thread may have run some of them.
        let ready: Vec<&Tensor> = ready.iter().filter(|t| t.awaits_host()).collect();
        let operands: Vec<Tensor> = ready.iter().flat_map(|t| t.operands()).collect();
        eval_planned(&operands.iter().collect::<Vec<_>>())?;
        for step in ready {
            run(step).await?;
        }
    }
    Ok(())
}

/// Host steps without a value at or below `tensors`: those that wait for no other, those that wait for these alone, and
/// so on.
fn by_level(tensors: &[&Tensor]) -> Vec<Vec<Tensor>> {
    let mut waiting = Vec::new();
    visit(tensors, |t| t.awaits_host(), |t| waiting.push(t.clone()));
    waiting.sort_unstable_by_key(|t| t.0.id);
    // By id, how many host steps stand one above the other up to a node.
    let mut heights: FxHashMap<u64, usize> = FxHashMap::default();
    let mut levels: Vec<Vec<Tensor>> = Vec::new();
    for t in waiting {
        let below = t.inputs().iter().filter_map(|i| heights.get(&i.0.id)).max();
        let height = below.copied().unwrap_or(0);
        let is_step = matches!(t.0.op, Op::Host(_));
        heights.insert(t.0.id, height + usize::from(is_step));
        if is_step {
            levels.resize_with(levels.len().max(height + 1), Vec::new);
            levels[height].push(t);
        }
    }
    levels
}

/// Host steps without a value at or below `tensors`, each once.
pub(crate) fn unrealised(tensors: &[&Tensor]) -> Vec<Tensor> {
    let mut steps = Vec::new();
    visit(
        tensors,
        |t| t.awaits_host(),
        |t| {
            if matches!(t.0.op, Op::Host(_)) {
                steps.push(t.clone());
            }
        },
    );
    steps.sort_unstable_by_key(|t| t.0.id);
    steps
}

/// Calls `found` on every node at or below `tensors`, following nodes that `follow`.
fn visit(tensors: &[&Tensor], follow: impl Fn(&Tensor) -> bool, mut found: impl FnMut(&Tensor)) {
    let mut seen = FxHashSet::default();
    let mut stack: Vec<Tensor> = tensors.iter().map(|&t| t.clone()).collect();
    while let Some(t) = stack.pop() {
        if !follow(&t) || !seen.insert(t.0.id) {
            continue;
        }
        found(&t);
        stack.extend(t.inputs().iter().cloned());
    }
}

async fn run(t: &Tensor) -> Result<()> {
    let Op::Host(step) = &t.0.op else {
        return Err(Error::new(
            ErrorKind::Internal,
            t.op_name(),
            "is no host step",
        ));
    };
    let inputs = t.operands();
    let mut arrays = Vec::with_capacity(inputs.len());
    for input in &inputs {
        let data = to_f64(&input.read_value().await?, input.dtype());
        arrays.push(Array {
            shape: input.shape().to_vec(),
            dtype: input.dtype(),
            data,
        });
    }
    let operands: Vec<&Array> = arrays.iter().collect();
    let result = step
        .run(&operands, t.shape(), t.dtype())
        .map_err(|m| host_error(t, m))?;
    // Another thread may have been first; its value is the same.
    let _ =
        t.0.value
            .set(Value::upload(t.device(), &to_bytes(&result))?);
    Ok(())
}

impl Tensor {
    /// Names of the host steps this tensor is made of, whether they have run or not, in order of recording.
    /// Each stops a run, reads its operands back and works on the host; none means the device does everything.
    pub fn host_steps(&self) -> Vec<&'static str> {
        let mut steps = Vec::new();
        visit(
            &[self],
            |_| true,
            |t| {
                if matches!(t.0.op, Op::Host(_)) {
                    steps.push((t.0.id, t.op_name()));
                }
            },
        );
        steps.sort_unstable();
        steps.into_iter().map(|(_, name)| name).collect()
    }
}
