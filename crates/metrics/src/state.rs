//! What metrics hold on the device: exact counts, sums that stay right however many batches come, and how many samples could
//! not be used. Knows no metric.
//!
//! Counts are two i32 words, of 2^29 and what is above it. A sum in f32 of many equal parts stops growing at 2^24 of them, so
//! there are [`LEVELS`] sums: the first takes up to 16 batches, is then added to the second and begins anew, and so
//! on, as the digits of a counter. No addition meets a sum that is much greater than what is added, whatever a compiler does to
//! the order of operations (a compensated sum would be undone by one that may reassociate). The host adds the levels in
//! f64. A batch's own sum has an error that does not grow with its length.

use wgrad_graph::replay::is_tracing;
use wgrad_graph::{DType, Device, Error, ErrorKind, Result, Tensor, eval_update};
use wgrad_nn::Module;

pub(crate) const LEVELS: usize = 8;

/// Batches of 16^8 samples' sums: digits of four bits.
const BITS: usize = 4;

const LOW_BITS: u32 = 29;

/// A batch may count no more than this in one update.
pub(crate) const MAX_BATCH: usize = 1 << 30;

/// What is wrong with samples, as positions among the faults.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    Label,
    Nan,
    Weight,
    Probability,
    Room,
}

const FAULTS: [(Fault, &str); 5] = [
    (Fault::Label, "samples have a label outside of the classes"),
    (Fault::Nan, "samples have a NaN in prediction or target"),
    (
        Fault::Weight,
        "weights are negative, infinite or not a number",
    ),
    (Fault::Probability, "predictions are no probabilities"),
    (Fault::Room, "samples came after the capacity was used up"),
];

/// Sums that many batches are added to.
#[derive(Clone, Module)]
#[module(crate = wgrad_nn)]
pub(crate) struct Sums {
    /// `[LEVELS, columns]`
    #[module(buffer)]
    levels: Tensor,
    /// i32 `[]`: the digits say which level goes on to the next.
    #[module(buffer)]
    updates: Tensor,
}

impl Sums {
    fn new(columns: usize, device: &Device) -> Self {
        Sums {
            levels: Tensor::zeros(&[LEVELS, columns], DType::F32, device),
            updates: Tensor::zeros(&[], DType::I32, device),
        }
    }

    /// Whether nothing was added yet; bool `[]`.
    pub(crate) fn is_empty(&self) -> Tensor {
        self.updates.eq_scalar(0.0)
    }

    pub(crate) fn levels(&self) -> &Tensor {
        &self.levels
    }

    /// The same sums with other levels.
    pub(crate) fn with_levels(&self, levels: Tensor) -> Self {
        Sums {
            levels,
            updates: self.updates.clone(),
        }
    }

    /// Adds one batch's sums `[columns]`.
    fn add(&self, batch: &Tensor) -> Self {
        let device = self.levels.device();
        let updates = &self.updates + 1;
        // Level i takes over when the last i digits are 0; all below it are passed on then.
        let masks: Vec<i32> = (0..LEVELS).map(|i| (1 << (BITS * i)) - 1).collect();
        let masks = Tensor::from_slice(&masks, &[LEVELS, 1], device);
        let takes = updates.bitwise_and(&masks).eq_scalar(0.0);
        let none = Tensor::zeros(&[1, 1], DType::I32, device).ne_scalar(0.0);
        let passes = Tensor::cat(&[&takes.narrow(0, 1, LEVELS - 1), &none], 0);
        let zero = Tensor::scalar(0.0, DType::F32, device);
        let carried = Tensor::where_(&takes, &self.levels, &zero).sum_dims(&[0], true);
        let kept = Tensor::where_(&takes, &(carried + batch), &self.levels);
        Sums {
            levels: Tensor::where_(&passes, &zero, &kept),
            updates,
        }
    }

    /// The sums of both.
    fn merged(&self, other: &Self) -> Self {
        Sums {
            levels: &self.levels + &other.levels,
            updates: self.updates.maximum(&other.updates),
        }
    }
}

/// All that a metric sums.
#[derive(Clone, Module)]
#[module(crate = wgrad_nn)]
pub(crate) struct State {
    /// i32 `[counts]`, below 2^29.
    #[module(buffer)]
    low: Tensor,
    /// i32 `[counts]`, how often 2^29 is above that.
    #[module(buffer)]
    high: Tensor,
    /// Made when the first batch needs it.
    #[module(buffer)]
    sums: Option<Sums>,
    /// i32 `[FAULTS]`
    #[module(buffer)]
    faults: Tensor,
    /// Columns of the sums.
    #[module(constant)]
    columns: usize,
}

/// What one batch adds.
pub(crate) struct Addition {
    /// i32 `[counts]`.
    pub(crate) counts: Option<Tensor>,
    /// f32 `[columns]`.
    pub(crate) sums: Option<Tensor>,
    /// i32 `[FAULTS]`.
    pub(crate) faults: Tensor,
}

/// A state that was read.
pub(crate) struct Totals {
    pub(crate) counts: Vec<f64>,
    /// Zeros if there are none.
    pub(crate) sums: Vec<f64>,
}

impl State {
    /// No samples. With `summed` there are sums from the beginning.
    pub(crate) fn new(counts: usize, columns: usize, summed: bool, device: &Device) -> Self {
        let zeros = |n: usize| Tensor::zeros(&[n.max(1)], DType::I32, device);
        State {
            low: zeros(counts),
            high: zeros(counts),
            sums: summed.then(|| Sums::new(columns, device)),
            faults: zeros(FAULTS.len()),
            columns,
        }
    }

    pub(crate) fn device(&self) -> &Device {
        self.faults.device()
    }

    pub(crate) fn sums(&self) -> Option<&Sums> {
        self.sums.as_ref()
    }

    pub(crate) fn set_sums(&mut self, sums: Sums) {
        self.sums = Some(sums);
    }

    /// The same metric without samples. Sums stay if there were some, so that a compiled step keeps its shape.
    pub(crate) fn emptied(&self) -> Self {
        State::new(
            self.low.numel(),
            self.columns,
            self.sums.is_some(),
            self.device(),
        )
    }

    /// This state and one more batch.
    pub(crate) fn plus(&mut self, addition: &Addition) -> Self {
        let mut next = self.clone();
        if let Some(counts) = &addition.counts {
            next.carry(&(&self.low + counts), &self.high);
        }
        if let Some(batch) = &addition.sums {
            let device = self.device().clone();
            let columns = self.columns;
            let sums = self.sums.get_or_insert_with(|| Sums::new(columns, &device));
            next.sums = Some(sums.add(batch));
        }
        next.fail(&addition.faults);
        next
    }

    fn carry(&mut self, low: &Tensor, high: &Tensor) {
        let device = low.device();
        let word = |value: i32| Tensor::scalar(f64::from(value), DType::I32, device);
        self.high = high + low.bitwise_right_shift(&word(LOW_BITS as i32));
        self.low = low.bitwise_and(&word((1 << LOW_BITS) - 1));
    }

    fn fail(&mut self, more: &Tensor) {
        let most = Tensor::scalar(f64::from(1 << 29), DType::I32, more.device());
        self.faults = (&self.faults + more).minimum(&most);
    }

    /// This state and another one, which has the same columns; both may lie on different devices.
    pub(crate) fn merged(&mut self, other: &Self) -> Result<Self> {
        let device = self.device().clone();
        let mut next = self.clone();
        let here = |t: &Tensor| moved(t, &device);
        next.carry(
            &(&self.low + here(&other.low)?),
            &(&self.high + here(&other.high)?),
        );
        next.fail(&here(&other.faults)?);
        if let Some(theirs) = &other.sums {
            let theirs = Sums {
                levels: here(&theirs.levels)?,
                updates: here(&theirs.updates)?,
            };
            let columns = self.columns;
            let sums = self.sums.get_or_insert_with(|| Sums::new(columns, &device));
            next.sums = Some(sums.merged(&theirs));
        }
        Ok(next)
    }

    /// The totals from what was read, in visiting order.
    ///
    /// # Errors
    /// Samples that could not be used, all of them in one error; a state of another metric.
    pub(crate) fn totals(&self, op: &str, read: &[Vec<f64>]) -> Result<Totals> {
        let (counts, columns) = (self.low.numel(), self.columns);
        let (low, high, sums, faults) = match read {
            [low, high, faults] => (low, high, vec![0.0; columns], faults),
            [low, high, levels, _, faults] => {
                let mut sums = vec![0.0; columns];
                for (at, value) in levels.iter().enumerate() {
                    sums[at % columns.max(1)] += value;
                }
                (low, high, sums, faults)
            }
            _ => return Err(not_read(op)),
        };
        if low.len() != counts || high.len() != counts || faults.len() != FAULTS.len() {
            return Err(not_read(op));
        }
        let wrong: Vec<String> = FAULTS
            .iter()
            .filter(|(fault, _)| faults[*fault as usize] > 0.0)
            .map(|(fault, what)| format!("{} {what}", faults[*fault as usize]))
            .collect();
        if !wrong.is_empty() {
            return Err(Error::new(ErrorKind::Value, op, wrong.join("; ")));
        }
        let unit = f64::from(1 << LOW_BITS);
        Ok(Totals {
            counts: low.iter().zip(high).map(|(l, h)| l + h * unit).collect(),
            sums,
        })
    }
}

fn not_read(op: &str) -> Error {
    Error::new(
        ErrorKind::Value,
        op,
        "what was read is not this metric's state",
    )
}

/// A tensor on another device, if it is not there.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn moved(tensor: &Tensor, device: &Device) -> Result<Tensor> {
    tensor.to(device)
}

/// In a browser nothing can wait for a copy.
#[cfg(target_arch = "wasm32")]
pub(crate) fn moved(tensor: &Tensor, _: &Device) -> Result<Tensor> {
    Ok(tensor.clone())
}

/// How many samples have each fault, as i32 `[FAULTS]`; `found` are truth values.
pub(crate) fn faults(found: &[(Fault, Tensor)], device: &Device) -> Tensor {
    let none = Tensor::zeros(&[], DType::I32, device);
    let count = |fault: Fault| {
        let of = found.iter().filter(|(f, _)| *f as usize == fault as usize);
        of.map(|(_, t)| t.cast(DType::I32).sum())
            .reduce(|a, b| a + b)
            .unwrap_or_else(|| none.clone())
    };
    let counts: Vec<Tensor> = FAULTS.iter().map(|&(fault, _)| count(fault)).collect();
    Tensor::stack(&counts.iter().collect::<Vec<_>>(), 0)
}

/// Puts `new` in the place of `old`, computed unless a compiled function is being traced: so that no chain of batches grows.
///
/// # Errors
/// A tensor of `new` is invalid or cannot be computed; `old` stays then.
pub(crate) fn replace<M: Module>(old: &mut M, mut new: M) -> Result<()> {
    let (before, after) = (old.buffers(), new.buffers());
    for (_, tensor) in &after {
        tensor.check()?;
    }
    if !is_tracing() {
        let pairs: Vec<(&Tensor, &Tensor)> = before
            .iter()
            .zip(&after)
            .filter(|((_, old), (_, new))| !old.same(new))
            .map(|((_, old), (_, new))| (old, new))
            .collect();
        eval_update(&pairs, &[])?;
        let mut failed = None;
        new.visit_mut("", &mut |_, _, tensor| match tensor.detach() {
            Ok(leaf) => *tensor = leaf,
            Err(e) => failed = Some(e),
        });
        if let Some(error) = failed {
            return Err(error);
        }
    }
    *old = new;
    Ok(())
}
