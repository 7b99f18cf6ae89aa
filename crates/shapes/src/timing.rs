//! Times of an operation. Inputs and the upstream gradient are arguments of compiled calls, every result is written to memory,
//! and a run ends when all of them can be read. Of several runs the best counts. It must not know a kind of operation.

use crate::{Operation, Result, Shape};
use wgrad_graph::{DType, Device, Tensor, eval};
use wgrad_nn::compile;

/// Samples taken at least, however long one takes.
const LEAST: usize = 3;

/// How to time.
#[derive(Clone, Copy)]
pub struct Timer<'t> {
    /// Seconds since some moment.
    pub now: &'t dyn Fn() -> f64,
    /// Returns when the device has done what it was given.
    pub wait: &'t dyn Fn() -> Result<()>,
    /// Is shown the results that were timed: that of an operation, then the gradients with it.
    pub seen: &'t dyn Fn(&[Tensor]),
    /// Seconds an operation is timed for, forward and with gradients each.
    pub seconds: f64,
    /// Seconds a sample takes at least; shorter runs are repeated until they do. Zero where the clock tells any run.
    pub sample: f64,
    /// Seconds a run may take. What takes longer is an error.
    pub most: f64,
}

/// A line with its times in milliseconds.
#[derive(Clone, Debug)]
pub struct Timed {
    /// The line.
    pub shape: Shape,
    /// Of the result.
    pub forward: f64,
    /// Of the result and the gradients of all inputs.
    pub both: f64,
}

impl Timer<'_> {
    /// Times what a line stands for, with floats of `dtype`.
    ///
    /// # Errors
    /// The line stands for no operation; the device refuses something; a run takes longer than it may.
    pub fn measure(&self, shape: Shape, device: &Device, dtype: DType) -> Result<Timed> {
        let operation = Operation::new(&shape, device, dtype)?;
        let forward = self.best(&operation.inputs, |inputs| {
            Ok(vec![operation.forward(inputs)])
        })?;
        let upstream = operation.upstream(device)?;
        let inputs = [vec![upstream], operation.inputs.clone()].concat();
        let both = self.best(&inputs, |t| operation.with_gradients(&t[0], &t[1..]))?;
        Ok(Timed {
            shape,
            forward,
            both,
        })
    }

    /// Milliseconds of the best run of a compiled call. Results keep their buffers from run to run.
    fn best(
        &self,
        inputs: &[Tensor],
        function: impl Fn(&[Tensor]) -> wgrad_graph::Result<Vec<Tensor>>,
    ) -> Result<f64> {
        let began = (self.now)();
        let first = function(inputs)?;
        eval(&first.iter().collect::<Vec<_>>())?;
        (self.wait)()?;
        let took = (self.now)() - began;
        if took > self.most {
            return Err(format!("a run takes {took:.1} s, {:.1} at most", self.most).into());
        }
        let mut results = first
            .iter()
            .map(Tensor::detach)
            .collect::<wgrad_graph::Result<Vec<_>>>()?;
        drop(first);
        let mut compiled = compile(|results: &mut Vec<Tensor>, inputs: &[Tensor]| {
            *results = function(inputs)?;
            Ok(())
        });
        let operands: Vec<&Tensor> = inputs.iter().collect();
        let mut sample = |runs: u32| -> Result<f64> {
            let began = (self.now)();
            for _ in 0..runs {
                compiled.call(&mut results, &operands)?;
                (self.wait)()?;
            }
            Ok(((self.now)() - began) / f64::from(runs))
        };
        // The first calls plan and touch memory.
        sample(1)?;
        let mut runs = runs_of(self.sample, sample(1)?);
        let (mut best, mut samples, began) = (f64::INFINITY, 0, (self.now)());
        while samples < LEAST || (self.now)() - began < self.seconds {
            let seconds = sample(runs)?;
            runs = runs.max(runs_of(self.sample, seconds));
            best = best.min(seconds);
            samples += 1;
        }
        (self.seen)(&results);
        Ok(1e3 * best)
    }
}

/// Runs that take a sample's time, if one takes `once`.
fn runs_of(sample: f64, once: f64) -> u32 {
    // A clock may not have moved at all.
    (sample / once.max(1e-6)).ceil().clamp(1.0, 1e6) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// A clock that moves by `step` each time it is read.
    fn measure(step: f64, sample: f64, most: f64) -> (Result<Timed>, u32) {
        let (timed, runs, _) = measure_and_see(step, sample, most);
        (timed, runs)
    }

    /// The same, with the number of results that were shown, by timing.
    fn measure_and_see(step: f64, sample: f64, most: f64) -> (Result<Timed>, u32, Vec<usize>) {
        let (time, runs, seen) = (Cell::new(0.0), Cell::new(0), RefCell::new(Vec::new()));
        let timer = Timer {
            now: &|| {
                time.set(time.get() + step);
                time.get()
            },
            wait: &|| {
                runs.set(runs.get() + 1);
                Ok(())
            },
            seen: &|results| seen.borrow_mut().push(results.len()),
            seconds: 0.0,
            sample,
            most,
        };
        let line = r#"{"kind": "linear", "input": [3, 4], "filters": 5}"#;
        let shape = Shape::parse(line).unwrap();
        let timed = timer.measure(shape, &Device::cpu(), DType::F16);
        (timed, runs.get(), seen.into_inner())
    }

    #[test]
    fn a_line_is_timed_forward_and_with_gradients() {
        let (timed, runs) = measure(0.5, 0.0, 1.0);
        let timed = timed.unwrap();
        assert_eq!((timed.forward, timed.both), (500.0, 500.0));
        assert_eq!(runs, 2 * (3 + LEAST as u32));
    }

    #[test]
    fn results_are_shown_after_each_timing() {
        let (_, _, seen) = measure_and_see(0.5, 0.0, 1.0);
        // A result; gradients of an input, a weight and a bias, and the result.
        assert_eq!(seen, [1, 4]);
    }

    #[test]
    fn short_runs_are_repeated() {
        let (timed, runs) = measure(0.001, 0.004, 1.0);
        // As long as the clock says, whatever is run: four of them are a quarter each, and so on.
        assert!(timed.unwrap().forward <= 0.25);
        assert!(runs >= 2 * (3 + 4 * LEAST as u32), "{runs}");
    }

    #[test]
    fn a_run_that_takes_too_long_is_an_error() {
        let (timed, runs) = measure(3.0, 0.0, 2.0);
        let error = timed.unwrap_err().to_string();
        assert_eq!(error, "a run takes 3.0 s, 2.0 at most");
        assert_eq!(runs, 1);
    }
}
