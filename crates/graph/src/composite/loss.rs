//! Losses between tensors of one shape, or that broadcast, and what becomes of the losses of a batch.
//! Losses of classes are in `class_loss`, of pairs and triples of vectors in `embedding_loss`.

use crate::error::ErrorKind;
use crate::in_f32;
use crate::tensor::Tensor;

/// What becomes of the losses of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// One loss for each element.
    None,
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// Their sum divided by the size of the first dimension.
    BatchMean,
}

impl Reduction {
    #[track_caller]
    pub(crate) fn apply(self, losses: &Tensor) -> Tensor {
        match self {
            Reduction::None => losses.clone(),
            Reduction::Mean => losses.mean(),
            Reduction::Sum => losses.sum(),
            Reduction::BatchMean => {
                losses.sum() / losses.shape().first().copied().unwrap_or(1) as f64
            }
        }
    }
}

/// Optional arguments of element-wise losses. A [`Reduction`] is one.
#[derive(Clone, Default)]
pub struct LossOptions {
    /// What becomes of the losses; their mean.
    pub reduction: Reduction,
    /// Factors of the losses, which broadcast.
    pub weight: Option<Tensor>,
    /// Factors of the positive part of binary cross-entropy with logits, which broadcast; of no other loss.
    pub pos_weight: Option<Tensor>,
}

impl From<Reduction> for LossOptions {
    fn from(reduction: Reduction) -> Self {
        LossOptions {
            reduction,
            ..LossOptions::default()
        }
    }
}

impl LossOptions {
    /// With another reduction.
    pub fn reduction(self, reduction: Reduction) -> Self {
        LossOptions { reduction, ..self }
    }

    /// With factors of the losses.
    pub fn weight(self, weight: &Tensor) -> Self {
        LossOptions {
            weight: Some(weight.clone()),
            ..self
        }
    }

    /// With factors of the positive part.
    pub fn pos_weight(self, pos_weight: &Tensor) -> Self {
        LossOptions {
            pos_weight: Some(pos_weight.clone()),
            ..self
        }
    }

    /// With these tensors in place of its own.
    pub(crate) fn with(self, weight: &Option<Tensor>, pos_weight: &Option<Tensor>) -> Self {
        LossOptions {
            weight: weight.clone(),
            pos_weight: pos_weight.clone(),
            ..self
        }
    }

    /// The weighted losses, reduced; a mean is over their number.
    #[track_caller]
    fn apply(&self, op: &str, losses: &Tensor) -> Tensor {
        match &self.weight {
            Some(w) => self.reduction.apply(&(self.plain(op, losses) * w)),
            None => self.reduction.apply(&self.plain(op, losses)),
        }
    }

    /// As [`LossOptions::apply`], but a mean is divided by the sum of the weights.
    #[track_caller]
    fn apply_normalised(&self, op: &str, losses: &Tensor) -> Tensor {
        match &self.weight {
            Some(w) if self.reduction == Reduction::Mean => {
                let losses = self.plain(op, losses);
                let w = w.to_float().broadcast_to(losses.shape());
                (losses * &w).sum() / w.sum()
            }
            _ => self.apply(op, losses),
        }
    }

    /// The losses, if these options are theirs.
    #[track_caller]
    fn plain(&self, op: &str, losses: &Tensor) -> Tensor {
        match self.pos_weight {
            Some(_) => losses.fail_kind(ErrorKind::Value, op, "takes no pos_weight"),
            None => losses.clone(),
        }
    }
}

/// Optional arguments of [`Tensor::poisson_nll_loss`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoissonNllOptions {
    /// Whether the prediction is the logarithm of the rate; yes.
    pub log_input: bool,
    /// Whether to add Stirling's approximation of `log(target!)`; no.
    pub full: bool,
    /// Added to the rate before its logarithm; 1e-8.
    pub eps: f64,
    /// What becomes of the losses.
    pub reduction: Reduction,
}

impl Default for PoissonNllOptions {
    fn default() -> Self {
        PoissonNllOptions {
            log_input: true,
            full: false,
            eps: 1e-8,
            reduction: Reduction::Mean,
        }
    }
}

impl Tensor {
    /// `log(1 + exp(x))`, without overflow, with derivatives of any order. At 0 the two halves' slopes are chosen
    /// so that they add up.
    #[track_caller]
    pub(crate) fn log1p_exp(&self) -> Tensor {
        in_f32!([self] => |x| x.log1p_exp());
        let x = self.to_float();
        let negative = x.lt_scalar(0.0);
        let above = Tensor::where_(&negative, &x.zeros_like(), &x);
        let below = Tensor::where_(&negative, &x, &-&x);
        above + below.exp().log1p()
    }

    #[track_caller]
    fn bad_value(&self, op: &str, message: String) -> Tensor {
        self.fail_kind(ErrorKind::Value, op, message)
    }

    /// Squared difference. With weights the mean is divided by their sum.
    #[track_caller]
    pub fn mse_loss(&self, target: &Tensor, options: impl Into<LossOptions>) -> Tensor {
        let options = options.into();
        in_f32!([self, target, options.weight.as_ref(), options.pos_weight.as_ref()] => |x, target, weight, positive| {
            x.mse_loss(target, options.with(weight, positive))
        });
        options.apply_normalised("mse_loss", &(self - target).to_float().square())
    }

    /// Absolute difference. With weights the mean is divided by their sum.
    #[track_caller]
    pub fn l1_loss(&self, target: &Tensor, options: impl Into<LossOptions>) -> Tensor {
        let options = options.into();
        in_f32!([self, target, options.weight.as_ref(), options.pos_weight.as_ref()] => |x, target, weight, positive| {
            x.l1_loss(target, options.with(weight, positive))
        });
        options.apply_normalised("l1_loss", &(self - target).to_float().abs())
    }

    /// `d² / 2 beta` of differences `d` below `beta`, `|d| − beta / 2` above (PyTorch's default: 1).
    #[track_caller]
    pub fn smooth_l1_loss(
        &self,
        target: &Tensor,
        beta: f64,
        options: impl Into<LossOptions>,
    ) -> Tensor {
        let options = options.into();
        in_f32!([self, target, options.weight.as_ref(), options.pos_weight.as_ref()] => |x, target, weight, positive| {
            x.smooth_l1_loss(target, beta, options.with(weight, positive))
        });
        let d = (self - target).to_float();
        if beta.is_nan() || beta < 0.0 {
            return d.bad_value("smooth_l1_loss", format!("beta {beta} is negative"));
        }
        let size = d.abs();
        let near = size.lt_scalar(beta);
        let inner = Tensor::where_(&near, &d, &d.zeros_like());
        let curve = if beta > 0.0 {
            inner.square() * (0.5 / beta)
        } else {
            inner
        };
        let losses = Tensor::where_(&near, &curve, &(size - 0.5 * beta));
        options.apply("smooth_l1_loss", &losses)
    }

    /// `d² / 2` of differences `d` up to `delta`, `delta · (|d| − delta / 2)` above (PyTorch's default: 1).
    #[track_caller]
    pub fn huber_loss(
        &self,
        target: &Tensor,
        delta: f64,
        options: impl Into<LossOptions>,
    ) -> Tensor {
        let options = options.into();
        in_f32!([self, target, options.weight.as_ref(), options.pos_weight.as_ref()] => |x, target, weight, positive| {
            x.huber_loss(target, delta, options.with(weight, positive))
        });
        let d = (self - target).to_float();
        if delta.is_nan() || delta <= 0.0 {
            return d.bad_value("huber_loss", format!("delta {delta} is not positive"));
        }
        if delta.is_infinite() {
            return options.apply("huber_loss", &(d.square() * 0.5));
        }
        let size = d.abs();
        let near = size.le_scalar(delta);
        let inner = Tensor::where_(&near, &d, &d.zeros_like());
        let losses = Tensor::where_(
            &near,
            &(inner.square() * 0.5),
            &((size - 0.5 * delta) * delta),
        );
        options.apply("huber_loss", &losses)
    }

    /// `−(t · log x + (1 − t) · log(1 − x))` of probabilities `x`; logarithms are at least −100, and slopes at
    /// most 1e12, as in PyTorch.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Reduction, Tensor};
    /// let d = Device::cpu();
    /// let (x, t) = (Tensor::new(&[0.0f32, 1.0], &d), Tensor::new(&[1.0f32, 1.0], &d));
    /// let loss = x.binary_cross_entropy(&t, Reduction::None);
    /// assert_eq!(loss.to_vec::<f32>()?, [100.0, 0.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn binary_cross_entropy(&self, target: &Tensor, options: impl Into<LossOptions>) -> Tensor {
        let options = options.into();
        in_f32!([self, target, options.weight.as_ref(), options.pos_weight.as_ref()] => |x, target, weight, positive| {
            x.binary_cross_entropy(target, options.with(weight, positive))
        });
        let (x, t) = (self.to_float(), target.to_float());
        let edge = (&x * (1.0 - &x)).lt_scalar(1e-12);
        let inner = Tensor::where_(&edge, &x.full_like(0.5), &x);
        let usual = &t * inner.log() + (1.0 - &t) * (-&inner).log1p();
        // At the edges the logarithms are constants, and the bounded slope is a line through this point.
        let at = x.stop_gradient();
        let (log, log1m) = (at.log().floored(-100.0), (-&at).log1p().floored(-100.0));
        let slope = (&at - t.stop_gradient()) * 1e12;
        let steep = &t * log + (1.0 - &t) * log1m - (&x - &at) * slope;
        options.apply(
            "binary_cross_entropy",
            &-Tensor::where_(&edge, &steep, &usual),
        )
    }

    /// Binary cross-entropy of `sigmoid(self)`, stable for logits of any size; `pos_weight` multiplies the
    /// positive part.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Reduction, Tensor};
    /// let d = Device::cpu();
    /// let x = Tensor::new(&[1000.0f32, -1000.0], &d);
    /// let loss = x.binary_cross_entropy_with_logits(&x.zeros_like(), Reduction::None);
    /// assert_eq!(loss.to_vec::<f32>()?, [1000.0, 0.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn binary_cross_entropy_with_logits(
        &self,
        target: &Tensor,
        options: impl Into<LossOptions>,
    ) -> Tensor {
        let options = options.into();
        in_f32!([self, target, options.weight.as_ref(), options.pos_weight.as_ref()] => |x, target, weight, positive| {
            x.binary_cross_entropy_with_logits(target, options.with(weight, positive))
        });
        let mut options = options;
        let (x, t) = (self.to_float(), target.to_float());
        let positive = (-&x).log1p_exp();
        let losses = match options.pos_weight.take() {
            Some(w) => (1.0 - &t) * &x + ((w - 1.0) * &t + 1.0) * positive,
            None => (1.0 - &t) * &x + positive,
        };
        options.apply("binary_cross_entropy_with_logits", &losses)
    }

    /// Kullback-Leibler divergence `t · (log t − x)` of log-probabilities `x` from `target`, which is given as
    /// probabilities or, if `log_target`, as log-probabilities. [`Reduction::BatchMean`] is its definition.
    #[track_caller]
    pub fn kl_div(&self, target: &Tensor, log_target: bool, reduction: Reduction) -> Tensor {
        in_f32!([self, target] => |x, target| x.kl_div(target, log_target, reduction));
        let (x, t) = (self.to_float(), target.to_float());
        let losses = if log_target {
            t.exp() * (t - x)
        } else {
            t.times_log() - t * x
        };
        let batch = self.shape().first().copied().unwrap_or(1);
        match reduction {
            Reduction::BatchMean => losses.sum() / batch as f64,
            reduction => reduction.apply(&losses),
        }
    }

    /// `x · log x`, 0 at 0.
    #[track_caller]
    fn times_log(&self) -> Tensor {
        let zero = self.eq_scalar(0.0);
        let safe = Tensor::where_(&zero, &self.ones_like(), self);
        Tensor::where_(&zero, &self.zeros_like(), &(self * safe.log()))
    }

    /// Negative log-likelihood of targets under normal distributions with mean `self` and variance `var`, which
    /// broadcasts or lacks the last dimension: `½ (log v + (x − t)² / v)`, `v` at least `eps` (PyTorch's default:
    /// 1e-6); with `½ log 2π` if `full`.
    #[track_caller]
    pub fn gaussian_nll_loss(
        &self,
        target: &Tensor,
        var: &Tensor,
        full: bool,
        eps: f64,
        reduction: Reduction,
    ) -> Tensor {
        in_f32!([self, target, var] => |x, target, var| x.gaussian_nll_loss(target, var, full, eps, reduction));
        if eps.is_nan() || eps <= 0.0 {
            return self.bad_value("gaussian_nll_loss", format!("eps {eps} is not positive"));
        }
        let rows = self.rank().checked_sub(1).map(|last| &self.shape()[..last]);
        let wide = var.shape() != self.shape() && rows == Some(var.shape());
        let var = if wide { var.unsqueeze(-1) } else { var.clone() };
        let var = var.to_float().floored_silently(eps);
        let mut losses = (var.log() + (self.to_float() - target.to_float()).square() / &var) * 0.5;
        if full {
            losses = losses + 0.5 * std::f64::consts::TAU.ln();
        }
        reduction.apply(&losses)
    }

    /// Negative log-likelihood of counts `target` under Poisson distributions: `exp(x) − t · x`, or
    /// `x − t · log(x + eps)` if `log_input` is off.
    #[track_caller]
    pub fn poisson_nll_loss(&self, target: &Tensor, options: &PoissonNllOptions) -> Tensor {
        in_f32!([self, target] => |x, target| x.poisson_nll_loss(target, options));
        let (x, t) = (self.to_float(), target.to_float());
        let mut losses = if options.log_input {
            x.exp() - &t * &x
        } else {
            &x - &t * (&x + options.eps).log()
        };
        if options.full {
            let many = t.gt_scalar(1.0);
            let n = Tensor::where_(&many, &t, &t.ones_like());
            let stirling = &n * n.log() - &n + (&n * std::f64::consts::TAU).log() * 0.5;
            losses = losses + Tensor::where_(&many, &stirling, &t.zeros_like());
        }
        options.reduction.apply(&losses)
    }

    /// `log(1 + exp(−t · x))`, targets 1 and −1; stable.
    #[track_caller]
    pub fn soft_margin_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        in_f32!([self, target] => |x, target| x.soft_margin_loss(target, reduction));
        reduction.apply(&(-(self.to_float() * target)).log1p_exp())
    }

    /// `x` where the target is 1, `max(0, margin − x)` where it is −1 (PyTorch's default: 1).
    #[track_caller]
    pub fn hinge_embedding_loss(
        &self,
        target: &Tensor,
        margin: f64,
        reduction: Reduction,
    ) -> Tensor {
        in_f32!([self, target] => |x, target| x.hinge_embedding_loss(target, margin, reduction));
        let x = self.to_float();
        let apart = (margin - &x).floored(0.0);
        let zero = x.zeros_like();
        let near = Tensor::where_(&target.ne_scalar(-1.0), &x, &zero);
        reduction.apply(&(Tensor::where_(&target.ne_scalar(1.0), &apart, &zero) + near))
    }
}
