//! What every function of slices asks of its arguments: lengths, labels, numbers, weights. Knows no metric.

use wgrad_graph::{Error, ErrorKind, Result};

/// A number of a slice: `f32` or `f64`.
pub trait Real: Copy + Into<f64> {}

impl<T: Copy + Into<f64>> Real for T {}

pub(crate) fn value_error(op: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Value, op, message)
}

fn shape_error(op: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Shape, op, message)
}

/// `found` must be `expected` and not 0.
pub(crate) fn lengths(op: &str, expected: usize, what: &str, found: usize) -> Result<()> {
    if expected == 0 {
        return Err(value_error(op, "there are no samples"));
    }
    if found != expected {
        return Err(shape_error(
            op,
            format!("{found} {what} for {expected} samples"),
        ));
    }
    Ok(())
}

/// The slice in f64; NaN and infinities are refused.
pub(crate) fn finite(op: &str, what: &str, values: &[impl Real]) -> Result<Vec<f64>> {
    let values: Vec<f64> = values.iter().map(|&v| v.into()).collect();
    match values.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(value_error(
            op,
            format!("{what} {at} is {}, which is no finite number", values[at]),
        )),
        None => Ok(values),
    }
}

/// The slice in f64; every number must lie between 0 and 1.
pub(crate) fn probabilities(op: &str, values: &[impl Real]) -> Result<Vec<f64>> {
    let values = finite(op, "probability", values)?;
    match values.iter().position(|v| !(0.0..=1.0).contains(v)) {
        Some(at) => Err(value_error(
            op,
            format!("probability {at} is {}, outside 0 to 1", values[at]),
        )),
        None => Ok(values),
    }
}

/// Labels as indices below `classes`.
pub(crate) fn labels(op: &str, what: &str, labels: &[i32], classes: usize) -> Result<Vec<usize>> {
    let index = |(at, &label): (usize, &i32)| match usize::try_from(label) {
        Ok(label) if label < classes => Ok(label),
        _ => Err(Error::new(
            ErrorKind::Index,
            op,
            format!("{what} {at} is {label}, outside of {classes} classes"),
        )),
    };
    labels.iter().enumerate().map(index).collect()
}

/// One weight for each of `n` samples: ones if none are given, else finite, not negative and not all 0.
pub(crate) fn weights(op: &str, weights: Option<&[f64]>, n: usize) -> Result<Vec<f64>> {
    let Some(given) = weights else {
        return Ok(vec![1.0; n]);
    };
    lengths(op, n, "weights", given.len())?;
    if let Some(at) = given.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
        return Err(value_error(
            op,
            format!(
                "weight {at} is {}: weights are finite and not negative",
                given[at]
            ),
        ));
    }
    if given.iter().all(|&w| w == 0.0) {
        return Err(value_error(op, "all weights are 0"));
    }
    Ok(given.to_vec())
}
