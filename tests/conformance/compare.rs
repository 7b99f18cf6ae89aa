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
    pub failures: Vec<Failure>,
}

/// One thing that is wrong with a case.
pub struct Failure {
    pub message: String,
    /// The largest error, where values were compared.
    pub error: Option<f64>,
}

impl Checked {
    pub fn failure(message: String) -> Checked {
        let error = None;
        Checked {
            failures: vec![Failure { message, error }],
            ..Checked::default()
        }
    }

    /// All failures as one line, the largest error first.
    pub fn line(&self) -> Option<String> {
        let messages: Vec<&str> = self.failures.iter().map(|f| f.message.as_str()).collect();
        let errors = self.failures.iter().filter_map(|f| f.error);
        let largest = errors.reduce(|a, b| if a.total_cmp(&b).is_lt() { b } else { a });
        let text = messages.join("; ").replace('\n', " ");
        match largest {
            _ if messages.is_empty() => None,
            Some(e) => Some(format!("largest error {e:.3e}: {text}")),
            None => Some(text),
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
    let mut checked = Checked {
        outputs: outputs.len(),
        gradients: gradients.len(),
        products: products.len(),
        failures: Vec::new(),
    };
    let mut judge = |what: String, t: &Tensor, want: &Expected| {
        checked.failures.extend(differs(case, t, want).map(|mut f| {
            f.message = format!("{what}: {}", f.message);
            f
        }));
    };
    for (i, (t, want)) in outputs.iter().zip(&case.outputs).enumerate() {
        judge(format!("output {i}"), t, want);
    }
    for (t, (name, want)) in gradients.iter().zip(&case.grad) {
        judge(format!("gradient of {name}"), t, want);
    }
    for (t, (name, _, want)) in products.iter().zip(&case.hvp) {
        judge(format!("Hessian-vector product of {name}"), t, want);
    }
    Ok(checked)
}

/// Only linear algebra may leave the device.
fn on_device<'a>(case: &Case, mut all: impl Iterator<Item = &'a Tensor>) -> Result<(), String> {
    let steps = all.find_map(|t| Some(t.host_steps()).filter(|steps| !steps.is_empty()));
    match steps {
        Some(steps) if !crate::linalg::on_host(case) => Err(format!("runs on the host: {steps:?}")),
        _ => Ok(()),
    }
}

pub fn gradients(case: &Case, outputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
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
pub fn differs(case: &Case, t: &Tensor, want: &Expected) -> Option<Failure> {
    let fail = |message: String, error: Option<f64>| Some(Failure { message, error });
    // The file stores rank 0 as one element of rank 1.
    let scalar = t.rank() == 0 && want.shape == [1];
    if t.shape() != want.shape && !scalar {
        let m = format!("shape {:?} instead of {:?}", t.shape(), want.shape);
        return fail(m, None);
    }
    if want.half != (t.dtype() == DType::F16) {
        return fail(format!("dtype {}", t.dtype()), None);
    }
    let got = match values(t) {
        Ok(got) => got,
        Err(e) => return fail(e.to_string(), None),
    };
    let (rtol, atol) = if want.float {
        (case.rtol, case.atol)
    } else {
        (0.0, 0.0)
    };
    let wrong = |&i: &usize| !close(got[i], want.values[i], rtol, atol);
    let wrong: Vec<usize> = (0..got.len()).filter(wrong).collect();
    let distance = |i: usize| (got[i] - want.values[i]).abs();
    let worst = *wrong
        .iter()
        .max_by(|&&a, &&b| distance(a).total_cmp(&distance(b)))?;
    let (g, w) = (got[worst], want.values[worst]);
    let count = format!("{} of {} differ", wrong.len(), got.len());
    fail(
        format!("{count}, most got {g}, want {w}"),
        Some(distance(worst)),
    )
}

/// Within the tolerances; NaN equals NaN, and an infinity only itself.
pub fn close(got: f64, want: f64, rtol: f64, atol: f64) -> bool {
    got == want
        || (got.is_nan() && want.is_nan())
        || (want.is_finite() && (got - want).abs() <= atol + rtol * want.abs())
}

pub fn values(t: &Tensor) -> wgrad::Result<Vec<f64>> {
    Ok(match t.dtype() {
        DType::F32 | DType::F16 | DType::BF16 => t
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
