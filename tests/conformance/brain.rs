//! The cases in bf16: inputs and cotangents rounded to it, outputs and gradients compared with PyTorch's in f32. Knows no
//! operation but by what rounding its inputs does to it.
//!
//! bf16 has 8 bits: an input is off by up to 2⁻⁹ of itself, a result is rounded by as much. What a function makes of that
//! depends on it, so each class has a factor `k`, and a result passes where it is within `k · 2⁻⁷` of the value wanted, and of
//! the greatest of the tensor, since a sum is off by what its greatest terms are off by.

use crate::case::{Case, Expected, Store};
use crate::compare::{gradients, values};
use std::panic::{AssertUnwindSafe, catch_unwind};
use wgrad::{DType, Device, Tensor, eval};

const UNIT: f64 = 1.0 / 128.0;

/// The factor of a case.
fn factor(case: &Case, group: &str) -> f64 {
    match (group, case.op.as_str()) {
        // The slope by the exponent grows with the logarithm of the base, the one by the base with the exponent.
        (_, "pow") => 8.0,
        // One function of an element, with a slope of a few at most.
        ("unary" | "activation" | "binary" | "extreme", _) => 2.0,
        // Sums of products, both of whose factors are off.
        ("conv1d" | "conv2d" | "conv3d" | "conv_transpose1d" | "conv_transpose2d", _) => 2.0,
        // Elements that are moved or chosen, sums, means, normalisations, products, losses, sequences.
        _ => 1.0,
    }
}

/// Whether rounding ties elements, or moves one over a kink, so that a gradient goes elsewhere: outputs alone are compared.
fn moves_gradients(case: &Case) -> bool {
    matches!(case.op.as_str(), "hardsigmoid" | "max_pool2d" | "amin")
}

/// Why a case is not compared, if it is not.
fn left_out(group: &str) -> Option<&'static str> {
    match group {
        "optimizer" | "schedule" => Some("parameters and losses of its own in f32"),
        "linalg" => Some("decompositions on the host take f32"),
        _ => None,
    }
}

/// How far a tensor is from what is wanted, in units of its greatest value and its own.
fn distance(t: &Tensor, want: &Expected) -> Result<f64, String> {
    let got = values(t).map_err(|e| e.to_string())?;
    let scalar = t.rank() == 0 && want.shape == [1];
    if t.shape() != want.shape && !scalar {
        return Err(format!("shape {:?} instead of {:?}", t.shape(), want.shape));
    }
    if !want.float {
        return Ok(0.0);
    }
    if t.dtype() != DType::BF16 {
        return Err(format!("dtype {}", t.dtype()));
    }
    let finite = want.values.iter().filter(|v| v.is_finite());
    let greatest = finite.fold(0.0, |m: f64, v| m.max(v.abs()));
    let each =
        got.iter()
            .zip(&want.values)
            .map(|(g, w)| match g == w || (g.is_nan() && w.is_nan()) {
                true => 0.0,
                false => (g - w).abs() / (UNIT * (w.abs() + greatest)),
            });
    Ok(each.fold(
        0.0,
        |m: f64, d| if d.is_nan() { f64::INFINITY } else { m.max(d) },
    ))
}

/// The greatest distance of a case's outputs and gradients, with how many were compared.
fn compare(case: &Case) -> Result<(f64, usize), String> {
    let outputs = crate::outputs(case)?;
    for t in &outputs {
        t.check().map_err(|e| e.to_string())?;
    }
    let gradients = match moves_gradients(case) {
        true => Vec::new(),
        false => gradients(case, &outputs)?,
    };
    eval(&outputs.iter().chain(&gradients).collect::<Vec<_>>()).map_err(|e| e.to_string())?;
    let wanted = case
        .outputs
        .iter()
        .chain(case.grad.iter().map(|(_, want)| want));
    let (mut most, mut count) = (0.0, 0);
    for (t, want) in outputs.iter().chain(&gradients).zip(wanted) {
        most = f64::max(most, distance(t, want)?);
        count += 1;
    }
    Ok((most, count))
}

/// Compares one case and says what is wrong; how many tensors were compared, or none if it is left out.
fn judge(store: &Store, id: &str, device: &Device) -> Result<Option<usize>, String> {
    let group = id.split('/').next().unwrap_or_default();
    if left_out(group).is_some() {
        return Ok(None);
    }
    let case = store.case_in(DType::BF16, id, device)?;
    let result = catch_unwind(AssertUnwindSafe(|| compare(&case)));
    let (most, count) = result.unwrap_or_else(|_| Err("panics".to_string()))?;
    match most <= factor(&case, group) {
        true => Ok(Some(count)),
        false => Err(format!("{}: {most:.2} units", case.op)),
    }
}

/// How many cases failed.
pub fn run(store: &Store, filter: &str) -> usize {
    let mut devices = vec![("cpu", Device::cpu()), ("reference", Device::reference())];
    devices.extend(crate::open_gpu(&wgrad::Settings::default()).map(|d| ("gpu", d)));
    let mut failed = 0;
    for (name, device) in devices {
        let (mut compared, mut passed, mut left) = (0, 0, 0);
        for id in store.ids().filter(|id| id.contains(filter)) {
            match judge(store, id, &device) {
                Ok(Some(count)) => (passed, compared) = (passed + 1, compared + count),
                Ok(None) => left += 1,
                Err(e) => {
                    failed += 1;
                    println!("{name} in bf16 {id}: {e}");
                }
            }
        }
        println!("{name} in bf16: {passed} cases, {compared} tensors; {left} left out");
    }
    failed
}
