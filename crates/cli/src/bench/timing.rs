//! Repeating something until its median is worth believing. Knows nothing of what it repeats.

use crate::Result;
use std::fmt;
use std::time::Instant;

/// Seconds a batch of runs takes at least, so that neither the clock nor one wait for the device weighs.
const BATCH: f64 = 0.01;
/// Batches taken at most.
const SAMPLES: usize = 200;

/// Seconds a run takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    pub best: f64,
    pub median: f64,
    pub q1: f64,
    pub q3: f64,
    /// Runs in a batch, and batches.
    pub batch: usize,
    pub samples: usize,
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} runs", self.samples, self.batch)
    }
}

/// Times `run` for about `budget` seconds after warming up. `wait` is called once after each batch of runs and
/// returns when the device has done them. A run longer than the budget is timed once.
pub fn measure(
    budget: f64,
    run: &mut dyn FnMut() -> Result<()>,
    wait: &dyn Fn() -> Result<()>,
) -> Result<Timing> {
    let mut timed = |n: usize| -> Result<f64> {
        let began = Instant::now();
        for _ in 0..n {
            run()?;
        }
        wait()?;
        Ok(began.elapsed().as_secs_f64() / n as f64)
    };
    // The first run plans, compiles and touches memory; the next ones settle clocks and caches.
    timed(1)?;
    let began = Instant::now();
    let mut once = timed(1)?;
    while began.elapsed().as_secs_f64() < 0.2 * budget && once < budget {
        once = once.min(timed((0.05 * budget / once).clamp(1.0, 1e6) as usize)?);
    }
    let batch = (BATCH / once).ceil().clamp(1.0, 1e6) as usize;
    let mut samples = Vec::new();
    let began = Instant::now();
    while samples.is_empty() || (began.elapsed().as_secs_f64() < budget && samples.len() < SAMPLES)
    {
        samples.push(timed(batch)?);
    }
    Ok(of(&mut samples, batch))
}

/// Median and quartiles of seconds.
pub fn of(samples: &mut [f64], batch: usize) -> Timing {
    samples.sort_by(f64::total_cmp);
    let [q1, median, q3] = [0.25, 0.5, 0.75].map(|q| quantile(samples, q));
    Timing {
        best: samples[0],
        median,
        q1,
        q3,
        batch,
        samples: samples.len(),
    }
}

/// By linear interpolation between the neighbours in `sorted`, which is not empty.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let below = at.floor() as usize;
    let above = at.ceil() as usize;
    sorted[below] + (at - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_interpolate() {
        let t = of(&mut [4.0, 1.0, 2.0, 3.0], 7);
        assert_eq!((t.q1, t.median, t.q3), (1.75, 2.5, 3.25));
        assert_eq!((t.batch, t.samples), (7, 4));
        let one = of(&mut [5.0], 1);
        assert_eq!((one.q1, one.median, one.q3), (5.0, 5.0, 5.0));
    }

    #[test]
    fn a_long_run_is_timed_once_and_a_short_one_in_batches() {
        let mut runs = 0;
        let mut slow = || {
            runs += 1;
            std::thread::sleep(std::time::Duration::from_millis(20));
            Ok(())
        };
        let t = measure(0.01, &mut slow, &|| Ok(())).unwrap();
        assert_eq!((t.samples, runs), (1, 3));
        assert!(t.median >= 0.02);
        let t = measure(0.05, &mut || Ok(()), &|| Ok(())).unwrap();
        assert!(t.batch > 1 && t.samples > 1);
    }
}
