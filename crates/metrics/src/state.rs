//! What metrics hold on the device: exact counts, sums that stay right however many batches come, and how many samples could
//! not be used. Knows no metric.
//!
//! Counts are two i32 words, of 2^29 and what is above it. A sum in f32 of many equal parts stops growing at 2^24 of them, so
//! there are [`LEVELS`] sums: the first takes up to 16 batches, is then added to the second and begins anew, and so
//! on, as the digits of a counter. No addition meets a sum that is much greater than what is added, whatever a compiler does to
//! the order of operations (a compensated sum would be undone by one that may reassociate). The host adds the levels in
//! f64. A batch's own sum has an error that does not grow with its length.

use wgrad_graph::replay::is_tracing;
use wgrad_graph::{DType, Device, Error, ErrorKind, PadMode, Result, Tensor, eval_update};
use wgrad_nn::Module;

pub(crate) const LEVELS: usize = 8;

/// Batches of 16^8 samples' sums: digits of four bits.
const BITS: usize = 4;

const LOW_BITS: u32 = 29;

/// Batches up to this size have the sums of all columns in one kernel.
const SMALL: usize = 4096;

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
    /// i32 `[2, counts + FAULTS]`: below 2^29, and how often 2^29 is above that.
    #[module(buffer)]
    words: Tensor,
    /// Made when the first batch needs it.
    #[module(buffer)]
    sums: Option<Sums>,
    #[module(constant)]
    counts: usize,
    /// Columns of the sums.
    #[module(constant)]
    columns: usize,
}

/// What one batch counts.
pub(crate) enum Counts {
    None,
    /// i32 `[]` each.
    Numbers(Vec<Tensor>),
    /// i32 `[counts]`.
    Vector(Tensor),
}

/// What one batch adds.
pub(crate) struct Addition {
    pub(crate) counts: Counts,
    /// f32 `[columns]`.
    pub(crate) sums: Option<Tensor>,
    /// How many samples have which fault, i32 `[]`.
    pub(crate) faults: Vec<(Fault, Tensor)>,
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
        let width = counts.saturating_add(FAULTS.len());
        State {
            words: Tensor::zeros(&[2, width], DType::I32, device),
            sums: summed.then(|| Sums::new(columns, device)),
            counts,
            columns,
        }
    }

    pub(crate) fn device(&self) -> &Device {
        self.words.device()
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
            self.counts,
            self.columns,
            self.sums.is_some(),
            self.device(),
        )
    }

    /// This state and one more batch.
    pub(crate) fn plus(&mut self, addition: &Addition) -> Self {
        let mut next = self.clone();
        let faults = || addition.faults.iter().map(|(f, t)| (*f as usize, t));
        let own = self.counts;
        let counted = match &addition.counts {
            Counts::None => spread(own + FAULTS.len(), faults().map(|(f, t)| (own + f, t))),
            Counts::Numbers(numbers) => {
                let numbers = numbers.iter().enumerate();
                let all = numbers.chain(faults().map(|(f, t)| (own + f, t)));
                spread(own + FAULTS.len(), all)
            }
            Counts::Vector(counts) => match spread(FAULTS.len(), faults()) {
                Some(faults) => Some(Tensor::cat(&[counts, &faults], 0)),
                None => Some(counts.pad(&[0, FAULTS.len() as isize], PadMode::Constant(0.0))),
            },
        };
        if let Some(counted) = counted {
            next.words = self.carried(&counted.unsqueeze(0), None);
        }
        if let Some(batch) = &addition.sums {
            let device = self.device().clone();
            let columns = self.columns;
            let sums = self.sums.get_or_insert_with(|| Sums::new(columns, &device));
            next.sums = Some(sums.add(batch));
        }
        next
    }

    /// The words with these added, i32 `[1, counts + FAULTS]`. One expression, so that it is one kernel.
    fn carried(&self, low: &Tensor, high: Option<&Tensor>) -> Tensor {
        let device = low.device();
        let word = |value: i32| Tensor::scalar(f64::from(value), DType::I32, device);
        let low = self.words.narrow(0, 0, 1) + low;
        let mut above = self.words.narrow(0, 1, 1);
        if let Some(high) = high {
            above = above + high;
        }
        let above = above + low.bitwise_right_shift(&word(LOW_BITS as i32));
        let below = low.bitwise_and(&word((1 << LOW_BITS) - 1));
        let first = Tensor::arange(2, device).eq_scalar(0.0).unsqueeze(1);
        Tensor::where_(&first, &below, &above)
    }

    /// This state and another one, which has the same columns; both may lie on different devices.
    pub(crate) fn merged(&mut self, other: &Self) -> Result<Self> {
        let device = self.device().clone();
        let mut next = self.clone();
        let here = |t: &Tensor| moved(t, &device);
        let words = here(&other.words)?;
        next.words = self.carried(&words.narrow(0, 0, 1), Some(&words.narrow(0, 1, 1)));
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
        let columns = self.columns;
        let (words, sums) = match read {
            [words] => (words, vec![0.0; columns]),
            [words, levels, _] => {
                let mut sums = vec![0.0; columns];
                for (at, value) in levels.iter().enumerate() {
                    sums[at % columns.max(1)] += value;
                }
                (words, sums)
            }
            _ => return Err(not_read(op)),
        };
        let width = self.counts + FAULTS.len();
        if words.len() != 2 * width {
            return Err(not_read(op));
        }
        let unit = f64::from(1 << LOW_BITS);
        let count = |at: usize| words[at] + words[width + at] * unit;
        let wrong: Vec<String> = FAULTS
            .iter()
            .map(|(fault, what)| (count(self.counts + *fault as usize), what))
            .filter(|(count, _)| *count > 0.0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if !wrong.is_empty() {
            return Err(Error::new(ErrorKind::Value, op, wrong.join("; ")));
        }
        Ok(Totals {
            counts: (0..self.counts).map(count).collect(),
            sums,
        })
    }
}

/// i32 `[width]` with these numbers at their places and 0 elsewhere; none if there are no numbers.
fn spread<'a>(width: usize, numbers: impl Iterator<Item = (usize, &'a Tensor)>) -> Option<Tensor> {
    let mut all: Option<Tensor> = None;
    for (at, number) in numbers {
        let device = number.device();
        let there = Tensor::arange(width, device).eq_scalar(at as f64);
        let rest = all.unwrap_or_else(|| Tensor::scalar(0.0, DType::I32, device));
        all = Some(Tensor::where_(&there, number, &rest));
    }
    all
}

/// How many of each are true, i32 `[]`: flat truth values of one length. Several share the bits of one sum where the batch
/// is small, for each sum is a kernel.
pub(crate) fn counted(columns: &[Tensor]) -> Vec<Tensor> {
    let n = columns.first().map_or(0, Tensor::numel);
    let bits = (usize::BITS - n.leading_zeros()).max(1) as usize;
    let in_one = (31 / bits).max(1);
    let mut counts = Vec::with_capacity(columns.len());
    for group in columns.chunks(in_one) {
        let placed = |(at, column): (usize, &Tensor)| column.cast(DType::I32) * (1 << (bits * at));
        let word = group.iter().enumerate().map(placed).reduce(|a, b| a + b);
        let Some(word) = word.map(|w| w.sum()) else {
            continue;
        };
        if let [_] = group {
            counts.push(word);
            continue;
        }
        let number = |value: usize| Tensor::scalar(value as f64, DType::I32, word.device());
        for at in 0..group.len() {
            let own = word.bitwise_right_shift(&number(bits * at));
            counts.push(own.bitwise_and(&number((1 << bits) - 1)));
        }
    }
    counts
}

/// The sums of flat f32 columns of one length, `[columns]`: in one kernel where the batch is small, so that the sums are what
/// takes time and not what is computed for each.
pub(crate) fn summed(columns: &[Tensor]) -> Tensor {
    let n = columns.first().map_or(0, Tensor::numel);
    if n > SMALL || columns.len() < 2 {
        let sums: Vec<Tensor> = columns.iter().map(Tensor::sum).collect();
        return Tensor::stack(&sums.iter().collect::<Vec<_>>(), 0);
    }
    let device = columns[0].device();
    let rows = Tensor::arange(columns.len(), device).unsqueeze(1);
    let mut all = columns[0].unsqueeze(0);
    for (at, column) in columns.iter().enumerate().skip(1) {
        let there = rows.eq_scalar(at as f64);
        all = Tensor::where_(&there, &column.unsqueeze(0), &all);
    }
    all.sum_dims(&[1], false)
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
