//! Terms that ask what a small change of the input does: adversarial examples, virtual adversarial training, and the
//! penalty on a critic's gradient.

use wgrad_graph::{Error, ErrorKind, Generator, Reduction, Result, Tensor, grad};

/// The fast gradient sign method (Goodfellow et al. 2014): `x + epsilon · sign(∂loss/∂x)`, a constant.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let x = Tensor::new(&[1.0f32, -2.0], &Device::cpu());
/// let worse = wgrad_nn::loss::fgsm(|x| x.square().sum(), &x, 0.1)?;
/// assert_eq!(worse.to_vec::<f32>()?, [1.1, -2.1]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// The loss has no derivative by its input.
#[track_caller]
pub fn fgsm(mut loss: impl FnMut(&Tensor) -> Tensor, x: &Tensor, epsilon: f64) -> Result<Tensor> {
    let x = x.stop_gradient();
    let slope = grad(&loss(&x), &[&x])?;
    Ok((&x + slope[0].sign() * epsilon).stop_gradient())
}

/// Arguments of [`pgd`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pgd {
    /// How far any element goes, at most.
    pub epsilon: f64,
    /// Length of a step.
    pub step: f64,
    /// Number of steps.
    pub steps: usize,
    /// Begins at a random place within `epsilon`.
    pub random_start: bool,
}

/// Projected gradient descent (Madry et al. 2017): several steps of [`fgsm`], never farther than `epsilon` from `x`.
///
/// ```
/// use wgrad_graph::{Device, Generator, Tensor};
/// use wgrad_nn::loss::{Pgd, pgd};
/// let x = Tensor::new(&[1.0f32, -2.0], &Device::cpu());
/// let options = Pgd { epsilon: 0.25, step: 0.125, steps: 5, random_start: false };
/// let worse = pgd(|x| x.square().sum(), &x, &options, &mut Generator::new(0))?;
/// assert_eq!(worse.to_vec::<f32>()?, [1.25, -2.25]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// As [`fgsm`], or `epsilon` is negative.
#[track_caller]
pub fn pgd(
    mut loss: impl FnMut(&Tensor) -> Tensor,
    x: &Tensor,
    options: &Pgd,
    rng: &mut Generator,
) -> Result<Tensor> {
    let most = options.epsilon;
    if most.is_nan() || most < 0.0 {
        let message = format!("epsilon {most} is negative");
        return Err(Error::new(ErrorKind::Value, "pgd", message));
    }
    let x = x.stop_gradient();
    let mut worse = match options.random_start {
        true => &x + (rng.uniform(x.shape(), x.device()) * 2.0 - 1.0) * most,
        false => x.clone(),
    };
    for _ in 0..options.steps {
        let next = fgsm(&mut loss, &worse, options.step)?;
        worse = (&x + (next - &x).clamp(-most, most)).stop_gradient();
    }
    Ok(worse)
}

/// Arguments of [`virtual_adversarial`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VirtualAdversarial {
    /// Length of the change for each input of the batch.
    pub epsilon: f64,
    /// Length of the change at which the direction is looked for; 0.1.
    pub xi: f64,
    /// Steps of looking; 1.
    pub iterations: usize,
}

impl Default for VirtualAdversarial {
    fn default() -> VirtualAdversarial {
        VirtualAdversarial {
            epsilon: 1.0,
            xi: 0.1,
            iterations: 1,
        }
    }
}

/// Local smoothness (Miyato et al. 2018): the divergence of what `logits` gives at `x [batch, …]` from what it gives at the
/// change of length `epsilon` that matters most; no labels are needed. The gradient goes through the changed input's
/// logits `[batch, classes]` alone.
///
/// ```
/// use wgrad_graph::{Device, Generator, Tensor};
/// use wgrad_nn::loss::{VirtualAdversarial, virtual_adversarial};
/// use wgrad_nn::{Linear, gradients};
/// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
/// let model = Linear::new(4, 3, rng, &device);
/// let x = rng.normal(&[8, 4], &device);
/// let loss = virtual_adversarial(|x| model.forward(x), &x, &VirtualAdversarial::default(), rng)?;
/// assert!(loss.item::<f32>()? > 0.0);
/// assert_eq!(gradients(&loss, &model)?.of().len(), 2);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// The logits have no derivative by their input, or there is no batch.
#[track_caller]
pub fn virtual_adversarial(
    mut logits: impl FnMut(&Tensor) -> Tensor,
    x: &Tensor,
    options: &VirtualAdversarial,
    rng: &mut Generator,
) -> Result<Tensor> {
    if x.rank() < 2 {
        let message = format!("takes [batch, …], not {:?}", x.shape());
        return Err(Error::new(ErrorKind::Shape, "virtual_adversarial", message));
    }
    let x = x.stop_gradient();
    let own = logits(&x).log_softmax(-1).stop_gradient();
    let mut divergence = |at: &Tensor| {
        let there = logits(at).log_softmax(-1);
        there.kl_div(&own, true, Reduction::BatchMean)
    };
    let mut direction = unit(&rng.normal(x.shape(), x.device()));
    for _ in 0..options.iterations {
        let at = (&x + &direction * options.xi).stop_gradient();
        let slope = grad(&divergence(&at), &[&at])?;
        direction = unit(&slope[0]).stop_gradient();
    }
    Ok(divergence(&(&x + direction * options.epsilon)))
}

/// Each of the batch with length 1; zeros stay.
#[track_caller]
fn unit(x: &Tensor) -> Tensor {
    let dims: Vec<isize> = (1..x.rank() as isize).collect();
    // Gradients may be so small that their squares vanish.
    let most = x
        .abs()
        .amax_dims(&dims, true)
        .clamp_min(f64::from(f32::MIN_POSITIVE));
    let x = x / most;
    let norm = x.square().sum_dims(&dims, true).sqrt();
    &x / norm.clamp_min(f64::from(f32::MIN_POSITIVE))
}

/// The mean of `(‖∂critic/∂x‖ − 1)²` over the batch, at places drawn between real and generated inputs (Gulrajani et al.
/// 2017, WGAN-GP). Differentiable by the critic's parameters.
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// use wgrad_nn::{Linear, gradients, loss};
/// let (device, rng) = (Device::cpu(), &mut Generator::new(0));
/// let critic = Linear::new(4, 1, rng, &device);
/// let (real, fake) = (rng.normal(&[8, 4], &device), rng.normal(&[8, 4], &device));
/// let penalty = loss::gradient_penalty(|x| critic.forward(x), &real, &fake, rng)?;
/// let norm = critic.weight.norm().item::<f32>()?;
/// assert!((penalty.item::<f32>()? - (norm - 1.0).powi(2)).abs() < 1e-5);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// Shapes differ, or the critic has no derivative by its input.
#[track_caller]
pub fn gradient_penalty(
    critic: impl FnMut(&Tensor) -> Tensor,
    real: &Tensor,
    fake: &Tensor,
    rng: &mut Generator,
) -> Result<Tensor> {
    if real.shape() != fake.shape() || real.rank() < 2 {
        let message = format!("takes two of one shape [batch, …], not {:?}", fake.shape());
        let error = Error::new(ErrorKind::Shape, "gradient_penalty", message);
        return Err(error.with_operands(vec![(real.shape().to_vec(), real.dtype())]));
    }
    let mut shape = vec![1; real.rank()];
    shape[0] = real.size(0);
    let share = rng.uniform(&shape, real.device());
    let between = real * &share + fake * (1.0 - &share);
    gradient_penalty_at(critic, &between)
}

/// The mean of `(‖∂critic/∂x‖ − 1)²` at `x [batch, …]`.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let x = Tensor::from_slice(&[0.3f32, 0.4], &[1, 2], &Device::cpu());
/// let penalty = wgrad_nn::loss::gradient_penalty_at(|x| x.square().sum(), &x)?;
/// assert!(penalty.item::<f32>()?.abs() < 1e-6); // the gradient is 2 x, of norm 1
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// The critic has no derivative by its input, or there is no batch.
#[track_caller]
pub fn gradient_penalty_at(
    mut critic: impl FnMut(&Tensor) -> Tensor,
    x: &Tensor,
) -> Result<Tensor> {
    if x.rank() < 2 {
        let message = format!("takes [batch, …], not {:?}", x.shape());
        return Err(Error::new(ErrorKind::Shape, "gradient_penalty", message));
    }
    let x = x.stop_gradient();
    let slope = grad(&critic(&x).sum(), &[&x])?;
    let norm = slope[0].flatten(1, -1).vector_norm(2.0, &[1], false);
    Ok((norm - 1.0).square().mean())
}
