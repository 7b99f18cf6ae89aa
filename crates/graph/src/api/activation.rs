//! Activation functions, with PyTorch's names, constants and derivatives at the kinks. They take floats; integers
//! are computed as f32.

use crate::in_f32;
use crate::ops::gelu::Gelu;
use crate::ops::settle::Settle;
use crate::shape;
use crate::tensor::Tensor;
use std::f64::consts::{FRAC_2_SQRT_PI, SQRT_2};

/// How [`Tensor::gelu_with`] computes the normal distribution function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GeluApproximation {
    /// By the error function.
    #[default]
    None,
    /// By a hyperbolic tangent (Hendrycks and Gimpel, 2016).
    Tanh,
}

impl Tensor {
    /// `max(0, min(x, 6))`.
    #[track_caller]
    pub fn relu6(&self) -> Tensor {
        self.hardtanh(0.0, 6.0)
    }

    /// `x` above 0, else `negative_slope · x`; PyTorch's default is 0.01.
    #[track_caller]
    pub fn leaky_relu(&self, negative_slope: f64) -> Tensor {
        in_f32!([self] => |x| x.leaky_relu(negative_slope));
        let x = self.to_float();
        Tensor::where_(&x.gt_scalar(0.0), &x, &(&x * negative_slope))
    }

    /// `x` above 0, else `weight · x`. `weight` has one element, or one for each channel (dimension 1).
    #[track_caller]
    pub fn prelu(&self, weight: &Tensor) -> Tensor {
        in_f32!([self, weight] => |x, weight| x.prelu(weight));
        let x = self.to_float();
        let mut sizes = vec![1; x.rank()];
        if x.rank() >= 2 {
            sizes[1] = weight.numel();
        }
        let fits = weight.numel() == 1
            || (weight.rank() == 1 && x.rank() >= 2 && x.shape()[1] == weight.numel());
        if !fits {
            let m = format!("a weight {:?} for an input {:?}", weight.shape(), x.shape());
            return self.fail("prelu", m);
        }
        Tensor::where_(&x.gt_scalar(0.0), &x, &(&x * weight.reshape_to(&sizes)))
    }

    /// `x` above 0, else `alpha · (exp(x) − 1)`.
    #[track_caller]
    pub fn elu(&self, alpha: f64) -> Tensor {
        self.exponential_below(1.0, alpha, 1.0)
    }

    /// `x` above 0, else `alpha · (exp(x / alpha) − 1)`.
    #[track_caller]
    pub fn celu(&self, alpha: f64) -> Tensor {
        self.exponential_below(1.0, alpha, 1.0 / alpha)
    }

    /// The self-normalising [`elu`](Tensor::elu) (Klambauer et al., 2017).
    #[track_caller]
    pub fn selu(&self) -> Tensor {
        const ALPHA: f64 = 1.673_263_242_354_377_2;
        const SCALE: f64 = 1.050_700_987_355_480_5;
        self.exponential_below(SCALE, SCALE * ALPHA, 1.0)
    }

    /// `above · x` above 0, else `below · (exp(rate · x) − 1)`.
    #[track_caller]
    fn exponential_below(&self, above: f64, below: f64, rate: f64) -> Tensor {
        in_f32!([self] => |x| x.exponential_below(above, below, rate));
        let x = self.to_float();
        let positive = x.gt_scalar(0.0);
        let negative = x.masked_fill(&positive, 0.0);
        let line = if above == 1.0 { x } else { x * above };
        Tensor::where_(&positive, &line, &((negative * rate).expm1() * below))
    }

    /// `x · Φ(x)`, with `Φ` the normal distribution function.
    #[track_caller]
    pub fn gelu(&self) -> Tensor {
        in_f32!([self] => |x| x.gelu());
        Tensor::record(Gelu, &[&self.to_float()])
    }

    /// [`gelu`](Tensor::gelu), exact or approximate.
    #[track_caller]
    pub fn gelu_with(&self, approximate: GeluApproximation) -> Tensor {
        in_f32!([self] => |x| x.gelu_with(approximate));
        if approximate == GeluApproximation::None {
            return self.gelu();
        }
        let x = self.to_float();
        // (1 + tanh u) / 2 = sigmoid(2u), and x · sigmoid(2u) = x − x · sigmoid(−2u): of both the one with the small
        // sigmoid, which does not cancel in the second derivative. It is 0 long before 30, where the cube is small.
        let positive = x.gt_scalar(0.0);
        let falling = Tensor::where_(&positive, &-x.masked_fill(&x.gt_scalar(30.0), 30.0), &x);
        let near = falling.masked_fill(&falling.lt_scalar(-30.0), -30.0);
        let twice = (near.square() * 0.044_715 + 1.0) * &near * (SQRT_2 * FRAC_2_SQRT_PI);
        x.masked_fill(&positive.logical_not(), 0.0) + falling * twice.sigmoid()
    }

    /// `x · sigmoid(x)`.
    #[track_caller]
    pub fn silu(&self) -> Tensor {
        in_f32!([self] => |x| x.silu());
        let x = self.to_float();
        &x * x.settled().sigmoid()
    }

    /// What a gate is given: see [`Settle`].
    #[track_caller]
    fn settled(&self) -> Tensor {
        Tensor::record(Settle, &[self])
    }

    /// `x · tanh(softplus(x))`.
    #[track_caller]
    pub fn mish(&self) -> Tensor {
        in_f32!([self] => |x| x.mish());
        let x = self.to_float();
        &x * x.settled().softplus().tanh()
    }

    /// `log(1 + exp(x))`, without overflow.
    ///
    /// ```
    /// # use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[-1000.0f32, 1000.0], &Device::cpu());
    /// assert_eq!(x.softplus().to_vec::<f32>()?, [0.0, 1000.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn softplus(&self) -> Tensor {
        in_f32!([self] => |x| x.softplus());
        let x = self.to_float();
        let positive = x.gt_scalar(0.0);
        // −|x|, smooth in each half; the halves meet with one slope in the sum.
        let falling = Tensor::where_(&positive, &-&x, &x);
        x.masked_fill(&x.le_scalar(0.0), 0.0) + falling.exp().log1p()
    }

    /// `log(1 + exp(beta · x)) / beta`, and `x` itself where `beta · x` exceeds `threshold` (PyTorch's defaults: 1
    /// and 20).
    #[track_caller]
    pub fn softplus_with(&self, beta: f64, threshold: f64) -> Tensor {
        in_f32!([self] => |x| x.softplus_with(beta, threshold));
        let x = self.to_float();
        let scaled = &x * beta;
        Tensor::where_(
            &scaled.gt_scalar(threshold),
            &x,
            &(scaled.softplus() / beta),
        )
    }

    /// `log(sigmoid(x))`, without overflow.
    #[track_caller]
    pub fn logsigmoid(&self) -> Tensor {
        in_f32!([self] => |x| x.logsigmoid());
        -(-self.to_float()).softplus()
    }

    /// `x` between the bounds; the derivative is 0 on them and outside.
    #[track_caller]
    pub fn hardtanh(&self, min_val: f64, max_val: f64) -> Tensor {
        in_f32!([self] => |x| x.hardtanh(min_val, max_val));
        if !self.dtype().is_float() {
            return self.clamp(min_val.trunc(), max_val.trunc());
        }
        self.held("hardtanh", Some(min_val), Some(max_val))
    }

    /// `relu6(x + 3) / 6`.
    #[track_caller]
    pub fn hardsigmoid(&self) -> Tensor {
        in_f32!([self] => |x| x.hardsigmoid());
        (self.hardtanh(-3.0, 3.0) + 3.0) / 6.0
    }

    /// `x · relu6(x + 3) / 6`.
    #[track_caller]
    pub fn hardswish(&self) -> Tensor {
        in_f32!([self] => |x| x.hardswish());
        let x = self.to_float();
        let (low, high) = (x.le_scalar(-3.0), x.ge_scalar(3.0));
        // Outside nothing may overflow, nor meet an infinity; −∞ · 0 is NaN, as in PyTorch.
        let inner = x.masked_fill(&low.logical_or(&high), 0.0);
        let curve = &inner * (&inner + 3.0) * (1.0 / 6.0);
        let outer = Tensor::where_(&low, &(&x * 0.0), &curve);
        Tensor::where_(&high, &x, &outer)
    }

    /// `x / (1 + |x|)`.
    #[track_caller]
    pub fn softsign(&self) -> Tensor {
        in_f32!([self] => |x| x.softsign());
        let x = self.to_float();
        &x / (x.abs() + 1.0)
    }

    /// `x − tanh(x)`.
    #[track_caller]
    pub fn tanhshrink(&self) -> Tensor {
        in_f32!([self] => |x| x.tanhshrink());
        let x = self.to_float();
        &x - x.tanh()
    }

    /// `x` moved towards 0 by `lambd`, 0 nearer than that; PyTorch's default is 0.5.
    #[track_caller]
    pub fn softshrink(&self, lambd: f64) -> Tensor {
        in_f32!([self] => |x| x.softshrink(lambd));
        let x = self.to_float();
        let far = x.above(lambd).logical_or(&x.below(-lambd));
        // 0, or NaN of NaN, with no slope.
        Tensor::where_(&far, &(&x - x.sign() * lambd), &(x.stop_gradient() * 0.0))
    }

    /// 0 from `−lambd` to `lambd`, else `x`; PyTorch's default is 0.5.
    #[track_caller]
    pub fn hardshrink(&self, lambd: f64) -> Tensor {
        in_f32!([self] => |x| x.hardshrink(lambd));
        let x = self.to_float();
        let far = x.above(lambd).logical_or(&x.below(-lambd));
        Tensor::where_(&far, &x, &(x.stop_gradient() * 0.0))
    }

    /// `x` above `threshold`, else `value`.
    #[track_caller]
    pub fn threshold(&self, threshold: f64, value: f64) -> Tensor {
        in_f32!([self] => |x| x.threshold(threshold, value));
        let x = self.to_float();
        x.masked_fill(&x.not_above(threshold), value)
    }

    /// The first half along `dim`, gated by the sigmoid of the second. The size must be even.
    #[track_caller]
    pub fn glu(&self, dim: isize) -> Tensor {
        in_f32!([self] => |x| x.glu(dim));
        let n = self.size(dim);
        match shape::dim(dim, self.rank()) {
            Err(m) => self.fail("glu", m),
            Ok(_) if self.rank() == 0 => self.fail("glu", "a tensor of rank 0 has no halves"),
            Ok(_) if n % 2 == 1 => self.fail("glu", format!("size {n} of dimension {dim} is odd")),
            Ok(_) => self.narrow(dim, 0, n / 2) * self.narrow(dim, n / 2, n / 2).sigmoid(),
        }
    }

    /// [`softmax`](Tensor::softmax) of `−x`.
    #[track_caller]
    pub fn softmin(&self, dim: isize) -> Tensor {
        in_f32!([self] => |x| x.softmin(dim));
        (-self.to_float()).softmax(dim)
    }
}
