//! Random tensors from counter-based streams. A draw is named by seed, step and ordinal, so the same program with
//! the same seed draws the same numbers on every device, resumed or not.

use crate::device::Device;
use crate::dtype::DType;
use crate::ops::Op;
use crate::ops::random::Random;
use crate::ops::shift_right::ShiftRight;
use crate::outcome::Outcome;
use crate::tensor::Tensor;
use std::panic::Location;

/// A stream of random numbers: Philox 4x32-10 keyed by `seed`, with the training step and the number of draws in
/// this step as counter. Plain data: save the three numbers to resume.
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// let d = Device::cpu();
/// let a = Generator::new(7).uniform(&[4], &d).to_vec::<f32>()?;
/// let b = Generator::new(7).uniform(&[4], &d).to_vec::<f32>()?;
/// assert_eq!(a, b);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Generator {
    seed: u64,
    step: u64,
    draws: u32,
    /// Which stream of a compiled function's state this is while that is traced; 0 otherwise.
    stream: u64,
    /// Runs whose outcome was not known when the stream went on with them, in order.
    pending: Vec<Pending>,
}

/// States of a stream before and after a run that may turn out to have failed.
#[derive(Clone, Debug)]
struct Pending {
    outcome: Outcome,
    before: [u64; 3],
    after: [u64; 3],
}

/// Runs that a stream waits for; with more it asks for their outcome.
const MAX_PENDING: usize = 256;

/// `state` after what took a stream from `from` to `to`.
fn advanced(state: [u64; 3], from: [u64; 3], to: [u64; 3]) -> [u64; 3] {
    let steps = to[1].wrapping_sub(from[1]);
    if state == from || from[0] != to[0] {
        to
    } else if steps == 0 {
        [
            state[0],
            state[1],
            state[2].wrapping_add(to[2].wrapping_sub(from[2])),
        ]
    } else {
        [state[0], state[1].wrapping_add(steps), to[2]]
    }
}

/// Equal generators draw the same numbers from here on.
impl PartialEq for Generator {
    fn eq(&self, other: &Generator) -> bool {
        self.words_of_state() == other.words_of_state()
    }
}

impl Eq for Generator {}

impl Generator {
    /// The stream of a seed, at step 0.
    pub fn new(seed: u64) -> Generator {
        Generator {
            seed,
            step: 0,
            draws: 0,
            stream: 0,
            pending: Vec::new(),
        }
    }

    /// A stream as it was: see [`Generator::state`].
    pub fn from_state([seed, step, draws]: [u64; 3]) -> Generator {
        Generator {
            seed,
            step,
            draws: draws as u32,
            stream: 0,
            pending: Vec::new(),
        }
    }

    /// Seed, step and draws. A compiled function that asks for them cannot be replayed, and runs itself in each call.
    #[track_caller]
    pub fn state(&self) -> [u64; 3] {
        crate::trace::observe("the state of a random stream is read");
        self.words_of_state()
    }

    fn words_of_state(&self) -> [u64; 3] {
        let now = [self.seed, self.step, u64::from(self.draws)];
        let Some(first) = self.pending.first() else {
            return now;
        };
        let (mut state, mut at) = (first.before, first.before);
        for run in &self.pending {
            state = advanced(state, at, run.before);
            if !matches!(run.outcome.known(), Some(Err(_))) {
                state = advanced(state, run.before, run.after);
            }
            at = run.after;
        }
        advanced(state, at, now)
    }

    /// Goes on as a run has taken the stream, from the state that it began with to another one; a run that turns out to
    /// have failed does not count. That may have become known of an earlier run since this one began.
    pub fn go_on(&mut self, from: [u64; 3], to: [u64; 3], outcome: &Outcome) {
        self.settle();
        let before = [self.seed, self.step, u64::from(self.draws)];
        let after = advanced(before, from, to);
        self.set(after);
        if outcome.known().is_none() {
            self.pending.push(Pending {
                outcome: outcome.clone(),
                before,
                after,
            });
        }
    }

    fn set(&mut self, [seed, step, draws]: [u64; 3]) {
        (self.seed, self.step, self.draws) = (seed, step, draws as u32);
    }

    /// Takes back what runs did that are known to have failed, and forgets those that are known.
    fn settle(&mut self) {
        #[cfg(not(target_arch = "wasm32"))]
        if self.pending.len() >= MAX_PENDING {
            // A failure counts as one below.
            let _ = self.pending[0].outcome.wait();
        }
        while let Some(run) = self.pending.first() {
            let known = run.outcome.known();
            if known.is_none() && self.pending.len() < MAX_PENDING {
                break;
            }
            if matches!(known, Some(Err(_))) {
                self.take_back();
            }
            self.pending.remove(0);
        }
    }

    /// Undoes the first of the pending runs.
    fn take_back(&mut self) {
        let (mut state, mut at) = (self.pending[0].before, self.pending[0].after);
        for run in &mut self.pending[1..] {
            let (before, after) = (run.before, run.after);
            run.before = advanced(state, at, before);
            run.after = advanced(run.before, before, after);
            (state, at) = (run.after, after);
        }
        let now = [self.seed, self.step, u64::from(self.draws)];
        self.set(advanced(state, at, now));
    }

    /// As [`Generator::state`], without being noticed by a trace.
    pub(crate) fn peek(&self) -> [u64; 3] {
        self.words_of_state()
    }

    /// Which stream of a traced state this is, and the same for another one.
    pub(crate) fn stream(&self) -> u64 {
        self.stream
    }

    pub(crate) fn set_stream(&mut self, stream: u64) {
        self.stream = stream;
    }

    /// Goes to the next training step; draws count from 0 again, so that every step records the same graph.
    pub fn next_step(&mut self) {
        self.settle();
        self.step += 1;
        self.draws = 0;
    }

    /// Independent 32-bit words; bit-equal on every device.
    #[track_caller]
    pub fn words(&mut self, shape: &[usize], device: &Device) -> Tensor {
        self.settle();
        let op = Random {
            shape: shape.to_vec(),
            seed: self.seed,
            step: self.step,
            ordinal: self.draws,
            stream: self.stream,
        };
        self.draws += 1;
        Tensor::record_on(Op::from(op), &[], device.clone(), Location::caller())
    }

    /// Uniform in [0, 1): 24-bit integers times 2⁻²⁴; bit-equal on every device.
    #[track_caller]
    pub fn uniform(&mut self, shape: &[usize], device: &Device) -> Tensor {
        let words = self.words(shape, device);
        let eight = words.full_like(8.0);
        Tensor::record(ShiftRight, &[&words, &eight]).cast(DType::F32) * 2f64.powi(-24)
    }

    /// True with probability `p`; bit-equal on every device.
    #[track_caller]
    pub fn bernoulli(&mut self, p: f64, shape: &[usize], device: &Device) -> Tensor {
        self.uniform(shape, device).lt_scalar(p)
    }

    /// Standard normal, by the Box–Muller transform of two uniforms; agrees to 1e-5 between devices.
    #[track_caller]
    pub fn normal(&mut self, shape: &[usize], device: &Device) -> Tensor {
        let (u, v) = (self.uniform(shape, device), self.uniform(shape, device));
        // 1 − u lies in (0, 1], so the logarithm is finite.
        let radius = ((1.0 - u).log() * -2.0).sqrt();
        radius * (v * std::f64::consts::TAU).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_while_a_run_is_under_way_stays_so() {
        // The run began with 9 steps, one of which turns out to belong to a run that has failed.
        let mut stream = Generator::from_state([1, 8, 0]);
        stream.go_on([1, 9, 0], [1, 10, 3], &Outcome::default());
        assert_eq!(stream.peek(), [1, 9, 3]);
        // And with 4 draws, one of them such.
        let mut stream = Generator::from_state([1, 0, 3]);
        stream.go_on([1, 0, 4], [1, 0, 6], &Outcome::default());
        assert_eq!(stream.peek(), [1, 0, 5]);
        // One that nothing has come between ends where the run did; so does one that takes another's place.
        let mut stream = Generator::from_state([1, 8, 2]);
        stream.go_on([1, 8, 2], [7, 3, 1], &Outcome::default());
        assert_eq!(stream.peek(), [7, 3, 1]);
    }
}
