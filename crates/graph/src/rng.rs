//! Random tensors from counter-based streams. A draw is named by seed, step and ordinal, so the same program with
//! the same seed draws the same numbers on every device, resumed or not.

use crate::device::Device;
use crate::dtype::DType;
use crate::ops::Op;
use crate::ops::random::Random;
use crate::ops::shift_right::ShiftRight;
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
        }
    }

    /// A stream as it was: see [`Generator::state`].
    pub fn from_state([seed, step, draws]: [u64; 3]) -> Generator {
        Generator {
            seed,
            step,
            draws: draws as u32,
            stream: 0,
        }
    }

    /// Seed, step and draws. A compiled function that asks for them cannot be replayed, and runs itself in each call.
    #[track_caller]
    pub fn state(&self) -> [u64; 3] {
        crate::replay::observe("the state of a random stream is read");
        self.words_of_state()
    }

    fn words_of_state(&self) -> [u64; 3] {
        [self.seed, self.step, u64::from(self.draws)]
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
        self.step += 1;
        self.draws = 0;
    }

    /// Independent 32-bit words; bit-equal on every device.
    #[track_caller]
    pub fn words(&mut self, shape: &[usize], device: &Device) -> Tensor {
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
