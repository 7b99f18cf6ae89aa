//! Comparing a case's outputs, gradients and Hessian-vector products.

use crate::case::{Case, Expected};
use std::fmt;
use wgrad::{DType, GradOptions, Tensor, eval, grad_with};

/// What was compared for one case.
#[derive(Default)]
pub struct Checked {
    pub outputs: usize,
    pub gradients: usize,
    pub products: usize,
    pub failures: Vec<String>,
}

impl Checked {
    pub fn failure(message: String) -> Checked {
        Checked {
            failures: vec![message],
            ..Checked::default()
        }
    }
}

/// Sums over cases.
#[derive(Default)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    outputs: usize,
    gradients: usize,
    products: usize,
}

impl Counts {
    pub fn add(&mut self, checked: &Checked) {
        if checked.failures.is_empty() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        self.outputs += checked.outputs;
        self.gradients += checked.gradients;
        self.products += checked.products;
    }

    pub fn merge(&mut self, other: &Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.outputs += other.outputs;
        self.gradients += other.gradients;
        self.products += other.products;
    }

    /// How many tensors were compared, by kind.
    pub fn kinds(&self) -> String {
        let (o, g, p) = (self.outputs, self.gradients, self.products);
        format!("{o} outputs, {g} gradients, {p} Hessian-vector products")
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} cases; {}",
            self.passed,
            self.passed + self.failed,
            self.kinds()
        )
    }
}

/// Compares everything the case stores.
pub fn check(case: &Case, outputs: Result<Vec<Tensor>, String>) -> Checked {
    match outputs.and_then(|outputs| compare(case, &outputs)) {
        Ok(checked) => checked,
        Err(e) => Checked::failure(e),
    }
}

fn compare(case: &Case, outputs: &[Tensor]) -> Result<Checked, String> {
    if outputs.len() != case.outputs.len() {
        return Err(format!(
            "{} outputs instead of {}",
            outputs.len(),
            case.outputs.len()
        ));
    }
    for t in outputs {
        t.check().map_err(|e| e.to_string())?;
    }
    let gradients = gradients(case, outputs)?;
    let products = products(case, &gradients)?;
    let all = outputs.iter().chain(&gradients).chain(&products);
    on_device(case, all.clone())?;
    // Everything in one run.
    eval(&all.collect::<Vec<_>>()).map_err(|e| e.to_string())?;
    let mut checked = Checked::default();
    for (i, (t, want)) in outputs.iter().zip(&case.outputs).enumerate() {
        checked.outputs += 1;
        checked
            .failures
            .extend(differs(case, t, want).map(|m| format!("output {i}: {m}")));
    }
    for (t, (name, want)) in gradients.iter().zip(&case.grad) {
        checked.gradients += 1;
        checked
            .failures
            .extend(differs(case, t, want).map(|m| format!("gradient of {name}: {m}")));
    }
    for (t, (name, _, want)) in products.iter().zip(&case.hvp) {
        checked.products += 1;
        checked.failures.extend(
            differs(case, t, want).map(|m| format!("Hessian-vector product of {name}: {m}")),
        );
    }
    Ok(checked)
}

/// Only linear algebra may leave the device.
fn on_device<'a>(case: &Case, mut all: impl Iterator<Item = &'a Tensor>) -> Result<(), String> {
    let steps = all.find_map(|t| Some(t.host_steps()).filter(|steps| !steps.is_empty()));
    match steps {
        Some(steps) if !crate::linalg::OPS.contains(&case.op.as_str()) => {
            Err(format!("runs on the host: {steps:?}"))
        }
        _ => Ok(()),
    }
}

fn gradients(case: &Case, outputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let weighted = case
        .cotangents
        .iter()
        .map(|(i, ct)| (&outputs[*i] * ct).sum());
    let Some(total) = weighted.reduce(|a, b| a + b) else {
        return Ok(Vec::new());
    };
    let inputs = case
        .grad
        .iter()
        .map(|(name, _)| case.input(name))
        .collect::<Result<Vec<_>, _>>()?;
    if inputs.is_empty() {
        return Ok(Vec::new());
    }
    let options = GradOptions {
        allow_unused: true,
        ..GradOptions::default()
    };
    grad_with(&total, &inputs, &options).map_err(|e| e.to_string())
}

fn products(case: &Case, gradients: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let along = case.hvp.iter().filter_map(|(name, v, _)| {
        let at = case.grad.iter().position(|(n, _)| n == name)?;
        Some((&gradients[at] * v).sum())
    });
    let Some(total) = along.reduce(|a, b| a + b) else {
        return Ok(Vec::new());
    };
    let inputs = case
        .hvp
        .iter()
        .map(|(name, _, _)| case.input(name))
        .collect::<Result<Vec<_>, _>>()?;
    let options = GradOptions {
        allow_unused: true,
        ..GradOptions::default()
    };
    grad_with(&total, &inputs, &options).map_err(|e| e.to_string())
}

/// What is wrong with a tensor, if anything.
pub fn differs(case: &Case, t: &Tensor, want: &Expected) -> Option<String> {
    // The file stores rank 0 as one element of rank 1.
    let scalar = t.rank() == 0 && want.shape == [1];
    if t.shape() != want.shape && !scalar {
        return Some(format!("shape {:?} instead of {:?}", t.shape(), want.shape));
    }
    let got = match values(t) {
        Ok(got) => got,
        Err(e) => return Some(e.to_string()),
    };
    let (rtol, atol) = if t.dtype().is_float() {
        (case.rtol, case.atol)
    } else {
        (0.0, 0.0)
    };
    let bad = |g: f64, w: f64| {
        !(g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= atol + rtol * w.abs())
    };
    let wrong: Vec<usize> = (0..got.len())
        .filter(|&i| bad(got[i], want.values[i]))
        .collect();
    let worst = *wrong.iter().max_by(|&&a, &&b| {
        (got[a] - want.values[a])
            .abs()
            .total_cmp(&(got[b] - want.values[b]).abs())
    })?;
    let (g, w) = (got[worst], want.values[worst]);
    Some(format!(
        "{} of {} differ, largest error {:.3e}: got {g}, want {w}",
        wrong.len(),
        got.len(),
        (g - w).abs()
    ))
}

fn values(t: &Tensor) -> wgrad::Result<Vec<f64>> {
    Ok(match t.dtype() {
        DType::F32 | DType::F16 => t
            .cast(DType::F32)
            .to_vec::<f32>()?
            .into_iter()
            .map(f64::from)
            .collect(),
        DType::Bool => t
            .to_vec::<bool>()?
            .into_iter()
            .map(|b| f64::from(u8::from(b)))
            .collect(),
        DType::U32 => t.to_vec::<u32>()?.into_iter().map(f64::from).collect(),
        DType::I32 | DType::U8 => t
            .cast(DType::I32)
            .to_vec::<i32>()?
            .into_iter()
            .map(f64::from)
            .collect(),
    })
}
