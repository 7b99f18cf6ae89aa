//! Tasks of sequences that ask for memory: adding, copying, parity.

use wgrad_graph::{Device, Tensor};

use super::unit;
use crate::rng::Rng;
use crate::{Error, Result, TensorDataset};

const STREAM: u64 = 0x5345_5155; // "SEQU"

/// Inputs and targets of a task of sequences, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequences<X, Y> {
    /// The inputs.
    pub x: Vec<X>,
    /// Their shape; the first dimension counts the samples.
    pub x_shape: Vec<usize>,
    /// The targets.
    pub y: Vec<Y>,
    /// Their shape.
    pub y_shape: Vec<usize>,
}

impl<X: wgrad_graph::Element, Y: wgrad_graph::Element> Sequences<X, Y> {
    /// Inputs and targets on a device.
    #[track_caller]
    #[must_use]
    pub fn tensors(&self, device: &Device) -> (Tensor, Tensor) {
        (
            Tensor::from_slice(&self.x, &self.x_shape, device),
            Tensor::from_slice(&self.y, &self.y_shape, device),
        )
    }

    /// The samples as a dataset on a device.
    ///
    /// # Errors
    /// The device has no room.
    pub fn dataset(&self, device: &Device) -> Result<TensorDataset<(Tensor, Tensor)>> {
        TensorDataset::new(self.tensors(device))
    }
}

/// The adding problem (Hochreiter and Schmidhuber, 1997): inputs f32 `[n, length, 2]`, a number of 0 to 1 and a mark, which
/// is 1 once in each half; the target, f32 `[n, 1]`, is the sum of the two marked numbers. Always answering 1 has a mean
/// squared error of 1/6.
///
/// ```
/// let task = wgrad_data::generate::adding(4, 10, 0)?;
/// let marked: f32 = task.x[..20].chunks(2).map(|step| step[0] * step[1]).sum();
/// assert_eq!((task.x_shape, marked), (vec![4, 10, 2], task.y[0]));
/// # Ok::<(), wgrad_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if `length` is below 2.
pub fn adding(n: usize, length: usize, seed: u64) -> Result<Sequences<f32, f32>> {
    at_least("generate::adding", "length", length, 2)?;
    let mut task = Sequences {
        x: Vec::with_capacity(2 * n * length),
        x_shape: vec![n, length, 2],
        y: Vec::with_capacity(n),
        y_shape: vec![n, 1],
    };
    let half = length / 2;
    for index in 0..n {
        let mut rng = Rng::new(seed, STREAM, index as u64);
        let first = rng.below(half as u32) as usize;
        let second = half + rng.below((length - half) as u32) as usize;
        let mut sum = 0.0;
        for step in 0..length {
            let marked = step == first || step == second;
            let value = unit(&mut rng) as f32;
            sum += if marked { value } else { 0.0 };
            task.x.extend([value, f32::from(u8::from(marked))]);
        }
        task.y.push(sum);
    }
    Ok(task)
}

/// The copying task (Arjovsky, Shah and Bengio, 2016): inputs i32 `[n, delay + 2 symbols]` begin with `symbols` random
/// numbers of 1 to `alphabet`, then blanks (0), then a mark (`alphabet + 1`) after `delay` steps, when the symbols are to be
/// repeated; targets i32 of the same shape are blank but for the last `symbols`. There are `alphabet + 2` classes.
///
/// ```
/// let task = wgrad_data::generate::copying(2, 3, 5, 8, 0)?;
/// assert_eq!(task.x_shape, [2, 11]);
/// assert_eq!(task.y[8..11], task.x[..3]);
/// assert_eq!((task.x[7], task.x[8], task.y[7]), (9, 0, 0));
/// # Ok::<(), wgrad_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if a number is 0.
pub fn copying(
    n: usize,
    symbols: usize,
    delay: usize,
    alphabet: usize,
    seed: u64,
) -> Result<Sequences<i32, i32>> {
    let function = "generate::copying";
    for (name, value) in [
        ("symbols", symbols),
        ("delay", delay),
        ("alphabet", alphabet),
    ] {
        at_least(function, name, value, 1)?;
    }
    let length = delay + 2 * symbols;
    let mut task = Sequences {
        x: vec![0; n * length],
        x_shape: vec![n, length],
        y: vec![0; n * length],
        y_shape: vec![n, length],
    };
    for index in 0..n {
        let mut rng = Rng::new(seed, STREAM + 1, index as u64);
        let begin = index * length;
        for step in 0..symbols {
            let symbol = 1 + rng.below(alphabet as u32) as i32;
            task.x[begin + step] = symbol;
            task.y[begin + symbols + delay + step] = symbol;
        }
        task.x[begin + symbols + delay - 1] = alphabet as i32 + 1;
    }
    Ok(task)
}

/// Parity: inputs f32 `[n, length]` of 0 and 1; the target, i32 `[n]`, is whether the ones are odd in number.
///
/// ```
/// let task = wgrad_data::generate::parity(3, 7, 0)?;
/// assert_eq!(task.x[..7].iter().sum::<f32>() as i32 % 2, task.y[0]);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if `length` is 0.
pub fn parity(n: usize, length: usize, seed: u64) -> Result<Sequences<f32, i32>> {
    at_least("generate::parity", "length", length, 1)?;
    let mut task = Sequences {
        x: Vec::with_capacity(n * length),
        x_shape: vec![n, length],
        y: Vec::with_capacity(n),
        y_shape: vec![n],
    };
    for index in 0..n {
        let mut rng = Rng::new(seed, STREAM + 2, index as u64);
        let mut odd = 0;
        for _ in 0..length {
            let bit = (rng.word() >> 63) as u8;
            odd ^= i32::from(bit);
            task.x.push(f32::from(bit));
        }
        task.y.push(odd);
    }
    Ok(task)
}

fn at_least(function: &'static str, name: &str, value: usize, least: usize) -> Result<()> {
    // Steps are drawn as 32-bit numbers.
    if value >= least && u32::try_from(value).is_ok() {
        return Ok(());
    }
    let problem = format!("{name} {value} must be at least {least}, and below 2^32");
    Err(Error::Argument { function, problem })
}
