//! Checking derivatives against finite differences, in f64 on the reference: the same check that wgrad's own
//! operations pass.

use crate::autodiff::{GradOptions, grad_with};
use crate::error::{Error, ErrorKind, Result};
use crate::reference::{Array, Evaluator};
use crate::tensor::Tensor;

/// How [`gradcheck`] looks.
#[derive(Clone, Debug, PartialEq)]
pub struct GradcheckOptions {
    /// 1: gradients; 2: also gradients of gradients.
    pub order: u32,
    /// Random directions along which slopes are compared.
    pub directions: u32,
    /// Half the distance between the two points of a central difference.
    pub step: f64,
    /// Slopes `a` and `b` agree if `|a − b| ≤ tolerance · (1 + max(|a|, |b|))`.
    pub tolerance: f64,
    /// Seed of directions and weights.
    pub seed: u64,
}

impl Default for GradcheckOptions {
    fn default() -> GradcheckOptions {
        GradcheckOptions {
            order: 2,
            directions: 3,
            step: 1e-5,
            tolerance: 1e-5,
            seed: 1,
        }
    }
}

/// Compares the gradients of a recorded tensor with respect to leaves with central differences of the reference
/// evaluated in f64, along random directions; at order 2 the Hessian-vector products too. The output is weighted at
/// random first, so it may have any shape, and its upstream gradient is not ones.
///
/// # Errors
/// A slope differs (the error says which order and by how much), or something is not differentiable or invalid.
///
/// ```
/// use wgrad_graph::{Device, GradcheckOptions, Tensor, gradcheck};
/// let x = Tensor::new(&[0.3f32, 1.2], &Device::cpu());
/// gradcheck(&(x.sin() * &x), &[&x], &GradcheckOptions::default())?;
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn gradcheck(output: &Tensor, inputs: &[&Tensor], options: &GradcheckOptions) -> Result<()> {
    let location = std::panic::Location::caller();
    let mut check = Check {
        inputs,
        options,
        random: options.seed,
    };
    let points = check.points()?;
    let f = check.project(std::slice::from_ref(output), &[output])?;
    for _ in 0..options.directions {
        check.slope(&f, &points, 1).map_err(|e| e.at(location))?;
    }
    if options.order >= 2 {
        let gradients = grad_with(&f, inputs, &unused())?;
        let s = check.project(&gradients, inputs)?;
        check.slope(&s, &points, 2).map_err(|e| e.at(location))?;
    }
    Ok(())
}

fn unused() -> GradOptions {
    GradOptions {
        upstream: None,
        allow_unused: true,
    }
}

struct Check<'a> {
    inputs: &'a [&'a Tensor],
    options: &'a GradcheckOptions,
    random: u64,
}

impl Check<'_> {
    /// Uniform in −1..1 (SplitMix64).
    fn uniform(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn points(&self) -> Result<Vec<Array>> {
        self.inputs
            .iter()
            .map(|x| Evaluator::exact().evaluate(x))
            .collect()
    }

    /// `Σ tensors · weights`, random weights of the shapes of `like`.
    fn project(&mut self, tensors: &[Tensor], like: &[&Tensor]) -> Result<Tensor> {
        let mut total: Option<Tensor> = None;
        for (t, like) in tensors.iter().zip(like) {
            t.check()?;
            let weights: Vec<f32> = (0..like.numel())
                .map(|_| self.uniform() as f32 + 1.5)
                .collect();
            let part = (t * Tensor::from_slice(&weights, like.shape(), like.device())).sum();
            total = Some(match total {
                Some(sum) => sum + part,
                None => part,
            });
        }
        total.ok_or_else(|| Error::new(ErrorKind::Value, "gradcheck", "there are no inputs"))
    }

    fn evaluate(&self, t: &Tensor, points: &[Array]) -> Result<Array> {
        let mut evaluator = Evaluator::exact();
        for (x, point) in self.inputs.iter().zip(points) {
            evaluator.replace(x, point.clone());
        }
        evaluator.evaluate(t)
    }

    /// Compares the slope of `f` along a random direction.
    fn slope(&mut self, f: &Tensor, points: &[Array], order: u32) -> Result<()> {
        let mut along = points.to_vec();
        for array in &mut along {
            array.data.iter_mut().for_each(|v| *v = self.uniform());
        }
        let mut exact = 0.0;
        for (g, d) in grad_with(f, self.inputs, &unused())?.iter().zip(&along) {
            let g = self.evaluate(g, points)?;
            exact += g.data.iter().zip(&d.data).map(|(g, d)| g * d).sum::<f64>();
        }
        let h = self.options.step;
        let up = self.evaluate(f, &shifted(points, &along, h))?.data[0];
        let down = self.evaluate(f, &shifted(points, &along, -h))?.data[0];
        let difference = (up - down) / (2.0 * h);
        if (exact - difference).abs()
            <= self.options.tolerance * (1.0 + exact.abs().max(difference.abs()))
        {
            return Ok(());
        }
        let message =
            format!("order {order}: the derivative is {exact}, the finite difference {difference}");
        Err(Error::new(ErrorKind::Gradient, "gradcheck", message))
    }
}

fn shifted(points: &[Array], along: &[Array], h: f64) -> Vec<Array> {
    let add = |(p, d): (&Array, &Array)| Array {
        data: p.data.iter().zip(&d.data).map(|(p, d)| p + h * d).collect(),
        ..p.clone()
    };
    points.iter().zip(along).map(add).collect()
}
