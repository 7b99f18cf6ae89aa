//! What a case is, and what measuring it yields. Holds no case.

use super::roofline::Roofline;
use super::timing::Timing;
use super::{Options, kernels};
use crate::Result;
use wgrad::{Device, Tensor};

/// What numbers mean, and which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 10⁹ floating-point operations a second.
    Gflops,
    /// 10⁹ bytes a second.
    Gbytes,
    /// Images a second.
    Samples,
    /// Tokens a second.
    Tokens,
    /// Seconds.
    Seconds,
    /// Microseconds.
    Micros,
}

impl Unit {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Gflops => "GFLOP/s",
            Unit::Gbytes => "GB/s",
            Unit::Samples => "samples/s",
            Unit::Tokens => "tokens/s",
            Unit::Seconds => "s",
            Unit::Micros => "us",
        }
    }

    /// Whether less is better.
    pub fn is_time(self) -> bool {
        matches!(self, Unit::Seconds | Unit::Micros)
    }
}

/// The results of a kernel's operation on some inputs.
pub type Function = fn(&[Tensor]) -> wgrad::Result<Vec<Tensor>>;

/// What is measured.
#[derive(Clone, Copy)]
pub enum Work {
    /// One operation on tensors, over and over.
    Kernel {
        /// Floating-point operations.
        flops: f64,
        /// Bytes that have to move at least.
        bytes: f64,
        /// Makes the inputs.
        inputs: fn(&Device) -> Vec<Tensor>,
        /// What runs.
        function: Function,
    },
    /// Something that measures itself.
    Whole(fn(&Env) -> Result<Measured>),
}

/// A named measurement.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub unit: Unit,
    pub work: Work,
}

/// What a case reached, in its unit.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The median.
    pub value: f64,
    /// Quartiles.
    pub low: f64,
    pub high: f64,
    /// What else is to be known.
    pub note: String,
}

impl Measured {
    /// Something counted per second, of an amount for each run.
    pub fn rate(amount: f64, timing: &Timing) -> Measured {
        Measured {
            value: amount / timing.median,
            low: amount / timing.q3,
            high: amount / timing.q1,
            note: timing.to_string(),
        }
    }
}

/// What cases are measured with.
pub struct Env<'a> {
    pub options: &'a Options,
    pub device: &'a Device,
}

impl<'a> Env<'a> {
    pub fn new(options: &'a Options, device: &'a Device) -> Env<'a> {
        Env { options, device }
    }

    /// Waits until the device has done all it was given.
    pub fn wait(&self) -> Result<()> {
        if let Some(gpu) = self.device.as_gpu() {
            gpu.synchronize_blocking()?;
        }
        Ok(())
    }
}

impl Case {
    pub fn measure(&self, env: &Env) -> Result<Measured> {
        match self.work {
            Work::Kernel {
                flops,
                bytes,
                inputs,
                function,
            } => {
                let timing = kernels::time(env, inputs, function)?;
                let amount = if self.unit == Unit::Gflops {
                    flops
                } else {
                    bytes
                };
                Ok(Measured::rate(amount / 1e9, &timing))
            }
            Work::Whole(measure) => measure(env),
        }
    }

    /// Operations for each byte moved, and operations a second: where the case lies under the roofline.
    pub fn point(&self, measured: &Measured) -> Option<[f64; 2]> {
        let Work::Kernel { flops, bytes, .. } = self.work else {
            return None;
        };
        let amount = if self.unit == Unit::Gflops {
            flops
        } else {
            bytes
        };
        Some([flops / bytes, 1e9 * measured.value * flops / amount])
    }

    /// How much of what the roofline allows was reached.
    pub fn share(&self, measured: &Measured, roofline: Option<&Roofline>) -> Option<f64> {
        let [intensity, flops] = self.point(measured)?;
        Some(flops / roofline?.limit(intensity))
    }
}
