//! Learning rates over a training run, as PyTorch has them, in plain f64. But for [`ReduceOnPlateau`] a schedule is
//! a function of the epoch (or step) alone, so that a resumed run needs nothing but that number. Knows no optimiser:
//! give the rate to `set_lr`.
//!
//! ```
//! use wgrad_nn::schedule::{CosineAnnealing, Linear, Schedule, Sequential};
//! let warm_up = Linear::new(0.1).start_factor(0.1).total_iters(5);
//! let schedule = Sequential::new(vec![(0, Box::new(warm_up)), (5, Box::new(CosineAnnealing::new(0.1, 25)?))])?;
//! assert_eq!(schedule.lr(0), 0.1 * 0.1);
//! assert_eq!(schedule.lr(5), 0.1);
//! assert!(schedule.lr(30) < 1e-12);
//! # Ok::<(), wgrad_graph::Error>(())
//! ```

mod cosine;
mod cycle;
mod decay;
mod plateau;

pub use cosine::{CosineAnnealing, CosineAnnealingWarmRestarts};
pub use cycle::{Anneal, Cyclic, CyclicMode, OneCycle};
pub use decay::{Constant, Exponential, Linear, LinearToTau, MultiStep, Polynomial, Step, WarmUp};
pub use plateau::{Mode, ReduceOnPlateau, ThresholdMode};

use wgrad_graph::{Error, ErrorKind, Result};

/// A learning rate for each epoch.
pub trait Schedule: Send + Sync {
    /// The rate that epoch `epoch`, from 0, trains with.
    fn lr(&self, epoch: u64) -> f64;
}

/// A function of the epoch is a schedule: PyTorch's `LambdaLR`.
///
/// ```
/// use wgrad_nn::schedule::Schedule;
/// let halves = |epoch: u64| 0.1 * 0.5f64.powf(epoch as f64);
/// assert_eq!(halves.lr(2), 0.025);
/// ```
impl<F: Fn(u64) -> f64 + Send + Sync> Schedule for F {
    fn lr(&self, epoch: u64) -> f64 {
        self(epoch)
    }
}

/// Schedules one after the other, each from the epoch where it begins and as if that were its first: PyTorch's
/// `SequentialLR`, its milestones beside its schedules.
pub struct Sequential {
    parts: Vec<(u64, Box<dyn Schedule>)>,
}

impl Sequential {
    /// Schedules with the epochs where they begin.
    ///
    /// # Errors
    /// There are none, the first does not begin at 0, or the epochs do not ascend.
    pub fn new(parts: Vec<(u64, Box<dyn Schedule>)>) -> Result<Sequential> {
        let begins: Vec<u64> = parts.iter().map(|(begin, _)| *begin).collect();
        let fine = begins.first() == Some(&0) && begins.is_sorted();
        require(fine, "Sequential", || {
            format!("the schedules begin at {begins:?}")
        })?;
        Ok(Sequential { parts })
    }
}

impl Schedule for Sequential {
    fn lr(&self, epoch: u64) -> f64 {
        let at = self
            .parts
            .partition_point(|(begin, _)| *begin <= epoch)
            .saturating_sub(1);
        self.parts
            .get(at)
            .map_or(0.0, |(begin, part)| part.lr(epoch - begin))
    }
}

/// An error of a schedule unless `ok`.
fn require(ok: bool, name: &str, message: impl FnOnce() -> String) -> Result<()> {
    if ok {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Value, name, message()))
    }
}
