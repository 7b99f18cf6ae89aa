//! Penalties on weights, activations and derivatives, and the constraint of norms. Weights are parameters of two or more
//! dimensions: biases, and scales of norms, go free.

use super::fail;
use crate::module::{Module, replace};
use wgrad_graph::{ErrorKind, Result, Tensor, grad};

/// The weights of a model, once each.
fn weights(model: &dyn Module) -> Vec<Tensor> {
    let mut all: Vec<Tensor> = Vec::new();
    for t in model.parameters() {
        if t.rank() >= 2 && !all.iter().any(|known| known.same(&t)) {
            all.push(t);
        }
    }
    all
}

#[track_caller]
fn summed(model: &dyn Module, of: impl Fn(&Tensor) -> Tensor) -> Option<Tensor> {
    let weights = weights(model);
    let mut total: Option<Tensor> = None;
    for w in &weights {
        let term = of(&w.to_f32()).sum();
        total = Some(match total {
            Some(sum) => sum + term,
            None => term,
        });
    }
    total
}

/// For sums of squares and magnitudes in 32 bits.
trait ToF32 {
    fn to_f32(&self) -> Tensor;
}

impl ToF32 for Tensor {
    #[track_caller]
    fn to_f32(&self) -> Tensor {
        self.cast(wgrad_graph::DType::F32)
    }
}

/// `factor · Σ |w|` over all weights; `None` if the model has none.
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// use wgrad_nn::{Linear, loss};
/// let layer = Linear::new(3, 2, &mut Generator::new(0), &Device::cpu());
/// let want = layer.weight.abs().sum().item::<f32>()? * 0.1; // the bias goes free
/// let got = loss::l1(&layer, 0.1).expect("weights").item::<f32>()?;
/// assert!((got - want).abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn l1(model: &dyn Module, factor: f64) -> Option<Tensor> {
    summed(model, |w| w.abs()).map(|sum| sum * factor)
}

/// `factor · Σ w²` over all weights, as Keras' `L2`; `None` if the model has none.
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// use wgrad_nn::{Linear, loss};
/// let layer = Linear::new(3, 2, &mut Generator::new(0), &Device::cpu());
/// let want = layer.weight.square().sum().item::<f32>()? * 0.1;
/// assert!((loss::l2(&layer, 0.1).expect("weights").item::<f32>()? - want).abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn l2(model: &dyn Module, factor: f64) -> Option<Tensor> {
    summed(model, |w| w.square()).map(|sum| sum * factor)
}

/// The elastic net, [`l1`] and [`l2`] together (Zou and Hastie 2005).
///
/// ```
/// use wgrad_graph::{Device, Generator};
/// use wgrad_nn::{Linear, loss};
/// let layer = Linear::new(3, 2, &mut Generator::new(0), &Device::cpu());
/// let one = |t: Option<wgrad_graph::Tensor>| t.expect("weights").item::<f32>();
/// let want = one(loss::l1(&layer, 0.1))? + one(loss::l2(&layer, 0.2))?;
/// assert!((one(loss::elastic(&layer, 0.1, 0.2))? - want).abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn elastic(model: &dyn Module, l1_factor: f64, l2_factor: f64) -> Option<Tensor> {
    Some(l1(model, l1_factor)? + l2(model, l2_factor)?)
}

/// `Σ ‖W Wᵀ − I‖²` over all weights, each as a matrix `[out, rest]`; of one with more rows than columns `Wᵀ W` (Brock et al.
/// 2017). `None` if the model has none.
///
/// ```
/// use wgrad_graph::{DType, Device, Generator, Tensor};
/// use wgrad_nn::{Linear, loss};
/// let mut layer = Linear::new(3, 3, &mut Generator::new(0), &Device::cpu());
/// layer.weight = Tensor::eye(3, DType::F32, &Device::cpu());
/// assert_eq!(loss::orthogonality(&layer).expect("weights").item::<f32>()?, 0.0);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn orthogonality(model: &dyn Module) -> Option<Tensor> {
    summed(model, |w| {
        let rows = w.flatten(1, -1);
        let rows = if rows.size(0) > rows.size(1) {
            rows.t()
        } else {
            rows
        };
        let eye = Tensor::eye(rows.size(0), rows.dtype(), rows.device());
        (rows.matmul(&rows.t()) - eye).square()
    })
}

/// Scales down, in place, each unit's weights whose norm is above `limit` (Srebro and Shraibman 2005; Hinton et al. 2012): a
/// constraint, for after a step. A unit's weights are all of one index of the first dimension.
///
/// ```
/// use wgrad_graph::{Device, Generator, Tensor};
/// use wgrad_nn::{Linear, loss};
/// let mut layer = Linear::new(2, 2, &mut Generator::new(0), &Device::cpu());
/// layer.weight = Tensor::from_slice(&[3.0f32, 4.0, 0.3, 0.4], &[2, 2], &Device::cpu());
/// loss::max_norm(&mut layer, 1.0)?;
/// let w = layer.weight.to_vec::<f32>()?;
/// assert!(w.iter().zip([0.6, 0.8, 0.3, 0.4]).all(|(a, b)| (a - b).abs() < 1e-6));
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// The limit is not positive. Nothing is changed then.
#[track_caller]
pub fn max_norm(model: &mut dyn Module, limit: f64) -> Result<()> {
    if limit.is_nan() || limit <= 0.0 {
        let message = format!("limit {limit} is not positive");
        return Err(wgrad_graph::Error::new(
            ErrorKind::Value,
            "max_norm",
            message,
        ));
    }
    let held: std::collections::HashMap<String, Tensor> =
        model.named_parameters().into_iter().collect();
    let mut scaled = std::collections::HashMap::new();
    for (name, w) in held.iter().filter(|(_, w)| w.rank() >= 2) {
        let dims: Vec<isize> = (1..w.rank() as isize).collect();
        let norm = w.to_f32().vector_norm(2.0, &dims, true);
        let factor = (limit / norm.clamp_min(f64::from(f32::MIN_POSITIVE))).clamp_max(1.0);
        scaled.insert(name.clone(), (w * factor).cast(w.dtype()));
    }
    replace(model, &mut |name, _| scaled.get(name).cloned());
    Ok(())
}

/// `factor · Σ |h|` of activations, divided by the size of the batch.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let h = Tensor::from_slice(&[1.0f32, -2.0, 0.0, 3.0], &[2, 2], &Device::cpu());
/// assert_eq!(wgrad_nn::loss::sparsity(&h, 0.5).item::<f32>()?, 1.5);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn sparsity(activations: &Tensor, factor: f64) -> Tensor {
    let batch = activations.shape().first().copied().unwrap_or(1);
    activations.to_f32().abs().sum() * (factor / batch.max(1) as f64)
}

/// `Σ KL(rho ‖ mean activation)` over the units of `activations [batch, units]`, which lie in (0, 1), as after a sigmoid (Ng
/// 2011, sparse autoencoders).
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let h = Tensor::from_slice(&[0.1f32, 0.0, 0.1, 0.2], &[2, 2], &Device::cpu());
/// assert!(wgrad_nn::loss::kl_sparsity(&h, 0.1).item::<f32>()?.abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn kl_sparsity(activations: &Tensor, rho: f64) -> Tensor {
    if activations.rank() != 2 || !(rho > 0.0 && rho < 1.0) {
        let message = format!("takes [batch, units] and a share within (0, 1), not {rho}");
        return fail("kl_sparsity", ErrorKind::Value, message, activations);
    }
    let mean = activations
        .to_f32()
        .mean_dims(&[0], false)
        .clamp(1e-7, 1.0 - 1e-7);
    let terms = mean.log() * -rho - (1.0 - &mean).log() * (1.0 - rho);
    let own = rho * rho.ln() + (1.0 - rho) * (1.0 - rho).ln();
    (terms + own).sum()
}

/// The mean over the batch of `‖∂h/∂x‖²`, all of the Jacobian's elements squared (Rifai et al. 2011), of features
/// `h [batch, units]` computed from `x [batch, …]`, each row from its own. One derivative for each unit.
///
/// ```
/// use wgrad_graph::{Device, Tensor};
/// let d = Device::cpu();
/// let x = Tensor::from_slice(&[1.0f32, 2.0], &[1, 2], &d);
/// let h = x.matmul(&Tensor::from_slice(&[3.0f32, 0.0, 0.0, 4.0], &[2, 2], &d));
/// assert_eq!(wgrad_nn::loss::contractive(&h, &x)?.item::<f32>()?, 25.0);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// Shapes do not fit, or the features do not depend on `x` by operations with derivatives.
#[track_caller]
pub fn contractive(h: &Tensor, x: &Tensor) -> Result<Tensor> {
    let op = "contractive";
    if h.rank() != 2 || x.rank() < 2 || h.size(0) != x.size(0) {
        let message = format!("features {:?} of inputs {:?}", h.shape(), x.shape());
        return Err(wgrad_graph::Error::new(ErrorKind::Shape, op, message));
    }
    let mut total = Tensor::zeros(&[], x.dtype(), x.device());
    for unit in 0..h.size(1) {
        let row = grad(&h.select(1, unit as isize).sum(), &[x])?;
        total = total + row[0].square().sum();
    }
    Ok(total / h.size(0).max(1) as f64)
}
