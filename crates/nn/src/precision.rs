//! Mixed precision (Micikevicius et al. 2018): computing in f16 or bf16 with master weights in f32, and a loss scale that follows
//! what f16 can hold, by the rules of PyTorch's `GradScaler`. Knows no update rule.

use crate::gradients::{Gradients, gradients};
use crate::optim::Optimizer;
use crate::{Kind, Module};
use wgrad_graph::{DType, Device, Error, ErrorKind, Result, Tensor, eval};

/// Calls `f` with a module whose parameters are those of `model` in another dtype, and gives what it gives. `model` has its
/// own parameters again afterwards, also when `f` panics; gradients by them flow through the casts, and are of their
/// dtype. Buffers are not cast, and keep what `f` makes of them, as running statistics.
///
/// Inputs are for `f` to cast. A loss is best computed in f32. In bf16, which has the range of f32, no [`GradScaler`] is
/// needed.
///
/// ```
/// use wgrad_graph::{DType, Device, Generator, Tensor};
/// use wgrad_nn::{Linear, gradients, in_precision};
/// let device = Device::cpu();
/// let mut net = Linear::new(2, 3, &mut Generator::new(0), &device);
/// let x = Tensor::ones(&[1, 2], DType::F16, &device);
/// let y = in_precision(&mut net, DType::F16, |net| net.forward(&x));
/// assert_eq!((y.dtype(), net.weight.dtype()), (DType::F16, DType::F32));
/// let g = gradients(&y.cast(DType::F32).square().sum(), &net)?;
/// assert_eq!(g[0].dtype(), DType::F32);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[track_caller]
pub fn in_precision<M: Module, T>(model: &mut M, dtype: DType, f: impl FnOnce(&mut M) -> T) -> T {
    let mut own = Vec::new();
    model.visit_mut("", &mut |_, kind, t| {
        if kind == Kind::Parameter && t.dtype().is_float() && t.check().is_ok() {
            own.push(std::mem::replace(t, t.cast(dtype)));
        } else if kind == Kind::Parameter {
            own.push(t.clone());
        }
    });
    let lent = Lent { model, own };
    f(&mut *lent.model)
}

/// A module while its parameters are others.
struct Lent<'a, M: Module> {
    model: &'a mut M,
    own: Vec<Tensor>,
}

impl<M: Module> Drop for Lent<'_, M> {
    fn drop(&mut self) {
        let mut own = self.own.drain(..);
        self.model.visit_mut("", &mut |_, kind, t| {
            if kind == Kind::Parameter
                && let Some(master) = own.next()
            {
                *t = master;
            }
        });
    }
}

/// A loss scale that grows until gradients overflow, and falls then: PyTorch's `GradScaler`. A step whose gradients are not
/// all finite is left out: parameters, moments and the optimiser's step count stay.
///
/// As a module it is the buffers `scale` and `growth_tracker`. The decision is made on the device, so that it can be part of
/// the state of a compiled step; an optimiser that has taken such a step reads one number back before the next.
///
/// ```
/// use wgrad_graph::{DType, Device, Generator, Tensor};
/// use wgrad_nn::{Adam, GradScaler, Linear, in_precision};
/// let device = Device::cpu();
/// let mut net = Linear::new(2, 1, &mut Generator::new(0), &device);
/// let (mut adam, mut scaler) = (Adam::new(0.1), GradScaler::new(&device));
/// let x = Tensor::ones(&[4, 2], DType::F16, &device);
/// for _ in 0..3 {
///     let y = in_precision(&mut net, DType::F16, |net| net.forward(&x));
///     let loss = y.cast(DType::F32).square().mean();
///     let g = scaler.gradients(&loss, &net)?.clip_norm(1.0);
///     scaler.step(&mut adam, &mut net, &g)?;
/// }
/// assert_eq!(scaler.scale.item::<f32>()?, 65536.0);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Module)]
#[module(crate = crate)]
pub struct GradScaler {
    /// What losses are multiplied by; f32, rank 0.
    #[module(buffer)]
    pub scale: Tensor,
    /// Steps in a row without an overflow since the scale has changed; i32, rank 0.
    #[module(buffer)]
    pub growth_tracker: Tensor,
    /// What the scale is multiplied by after `growth_interval` steps without an overflow; 2.
    pub growth_factor: f64,
    /// What it is multiplied by after an overflow; 0.5.
    pub backoff_factor: f64,
    /// Steps; 2000.
    pub growth_interval: usize,
}

impl GradScaler {
    /// PyTorch's defaults; the scale begins at 65536.
    pub fn new(device: &Device) -> GradScaler {
        GradScaler {
            scale: Tensor::from_slice(&[65536.0f32], &[], device),
            growth_tracker: Tensor::from_slice(&[0i32], &[], device),
            growth_factor: 2.0,
            backoff_factor: 0.5,
            growth_interval: 2000,
        }
    }

    /// With another scale to begin with.
    pub fn init_scale(self, scale: f32) -> GradScaler {
        GradScaler {
            scale: Tensor::from_slice(&[scale], &[], self.scale.device()),
            ..self
        }
    }

    /// With another growth.
    pub fn growth_factor(self, growth_factor: f64) -> GradScaler {
        GradScaler {
            growth_factor,
            ..self
        }
    }

    /// With another fall.
    pub fn backoff_factor(self, backoff_factor: f64) -> GradScaler {
        GradScaler {
            backoff_factor,
            ..self
        }
    }

    /// With another number of steps without an overflow before the scale grows.
    pub fn growth_interval(self, growth_interval: usize) -> GradScaler {
        GradScaler {
            growth_interval,
            ..self
        }
    }

    /// A loss times the scale, in f32: for gradients that are added up before [`GradScaler::unscale`].
    #[track_caller]
    pub fn scaled(&self, loss: &Tensor) -> Tensor {
        loss.cast(DType::F32) * &self.scale
    }

    /// Gradients of a scaled loss divided by the scale, in f32. Where one is not finite, an optimiser that is given them
    /// takes no step.
    #[track_caller]
    pub fn unscale(&self, gradients: Gradients) -> Gradients {
        let overflow = gradients.overflow();
        gradients.unscale(&self.scale).skipped_where(overflow)
    }

    /// [`gradients`](crate::gradients()) by way of the scaled loss, with the loss as it was: [`GradScaler::scaled`] and
    /// [`GradScaler::unscale`].
    ///
    /// # Errors
    /// As [`gradients`](crate::gradients()).
    #[track_caller]
    pub fn gradients(&self, loss: &Tensor, model: &dyn Module) -> Result<Gradients> {
        let scaled = gradients(&self.scaled(loss), model)?;
        Ok(self.unscale(scaled).with_loss(loss))
    }

    /// An optimiser's step with unscaled gradients, and the scale's, in one run.
    ///
    /// # Errors
    /// As [`Optimizer::step`], a factor or the interval is out of its range, or the gradients do not come from
    /// [`GradScaler::gradients`] or [`GradScaler::unscale`]. Nothing is changed then.
    #[track_caller]
    pub fn step(
        &mut self,
        optimizer: &mut dyn Optimizer,
        model: &mut dyn Module,
        gradients: &Gradients,
    ) -> Result<()> {
        let (scale, tracker) = self.next(gradients)?;
        let g = gradients.clone().also(&scale).also(&tracker);
        optimizer.step(model, &g)?;
        (self.scale, self.growth_tracker) = (scale.detach()?, tracker.detach()?);
        Ok(())
    }

    /// The scale's step alone, after the steps of several optimisers.
    ///
    /// # Errors
    /// As [`GradScaler::step`].
    #[track_caller]
    pub fn update(&mut self, gradients: &Gradients) -> Result<()> {
        let (scale, tracker) = self.next(gradients)?;
        eval(&[&scale, &tracker])?;
        (self.scale, self.growth_tracker) = (scale.detach()?, tracker.detach()?);
        Ok(())
    }

    /// The next scale and count of steps without an overflow.
    #[track_caller]
    fn next(&self, gradients: &Gradients) -> Result<(Tensor, Tensor)> {
        let fail = |message: String| Err(Error::new(ErrorKind::Value, "step", message));
        let (growth, backoff) = (self.growth_factor, self.backoff_factor);
        let fine = growth.is_finite() && growth > 1.0 && backoff > 0.0 && backoff < 1.0;
        if !fine || self.growth_interval == 0 {
            return fail(format!(
                "growth factor {growth}, backoff factor {backoff}, growth interval {}",
                self.growth_interval
            ));
        }
        let Some(overflow) = gradients.skip() else {
            return fail("these gradients are not unscaled by a scaler".to_string());
        };
        let one = self.growth_tracker.ones_like();
        let count = &self.growth_tracker + &one;
        let grows = count.ge_scalar(self.growth_interval as f64);
        // A scale that would be infinite stays, as PyTorch's does.
        let grown = &self.scale * growth;
        let finite = grown.lt_scalar(f64::INFINITY);
        let grown = Tensor::where_(&grows.logical_and(&finite), &grown, &self.scale);
        let scale = Tensor::where_(overflow, &(&self.scale * backoff), &grown);
        let zero = self.growth_tracker.zeros_like();
        let starts = overflow.logical_or(&grows);
        Ok((scale, Tensor::where_(&starts, &zero, &count)))
    }
}
