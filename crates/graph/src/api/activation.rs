//! Activation functions, with PyTorch's names, constants and derivatives at the kinks. They take floats; integers
//! are computed as f32.

use crate::shape;
use crate::tensor::Tensor;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

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
        let x = self.to_float();
        Tensor::where_(&x.gt_scalar(0.0), &x, &(&x * negative_slope))
    }

    /// `x` above 0, else `weight · x`. `weight` has one element, or one for each channel (dimension 1).
    #[track_caller]
    pub fn prelu(&self, weight: &Tensor) -> Tensor {
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
        let x = self.to_float();
        let positive = x.gt_scalar(0.0);
        let negative = x.masked_fill(&positive, 0.0);
        let line = if above == 1.0 { x } else { x * above };
        Tensor::where_(&positive, &line, &((negative * rate).expm1() * below))
    }

    /// `x · Φ(x)`, with `Φ` the normal distribution function.
    #[track_caller]
    pub fn gelu(&self) -> Tensor {
        let x = self.to_float();
        // Φ(x) = erfc(−x/√2) / 2: 1 + erf would cancel where Φ is small.
        (&x * -FRAC_1_SQRT_2).erfc() * (x * 0.5)
    }

    /// [`gelu`](Tensor::gelu), exact or approximate.
    #[track_caller]
    pub fn gelu_with(&self, approximate: GeluApproximation) -> Tensor {
        if approximate == GeluApproximation::None {
            return self.gelu();
        }
        let x = self.to_float();
        // (1 + tanh u) / 2 = sigmoid(2u), and x · sigmoid(2u) = x − x · sigmoid(−2u): of both the one with the small
        // sigmoid, which does not cancel in the second derivative. It is 0 long before 30, where the cube is small.
        let positive = x.gt_scalar(0.0);
        let falling = Tensor::where_(&positive, &-x.clamp_max(30.0), &x);
        let near = falling.clamp_min(-30.0);
        let twice = (near.square() * 0.044_715 + 1.0) * &near * (SQRT_2 * FRAC_2_SQRT_PI);
        x.masked_fill(&positive.logical_not(), 0.0) + falling * twice.sigmoid()
    }

    /// `x · sigmoid(x)`.
    #[track_caller]
    pub fn silu(&self) -> Tensor {
        let x = self.to_float();
        &x * x.sigmoid()
    }

    /// `x · tanh(softplus(x))`.
    #[track_caller]
    pub fn mish(&self) -> Tensor {
        let x = self.to_float();
        &x * x.softplus().tanh()
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
        -(-self.to_float()).softplus()
    }

    /// `x` between the bounds; the derivative is 0 on them and outside.
    #[track_caller]
    pub fn hardtanh(&self, min_val: f64, max_val: f64) -> Tensor {
        if !self.dtype().is_float() {
            return self.clamp(min_val.trunc(), max_val.trunc());
        }
        let x = self.to_float();
        let low = x.masked_fill(&x.le_scalar(min_val), min_val);
        low.masked_fill(&x.ge_scalar(max_val), max_val)
    }

    /// `relu6(x + 3) / 6`.
    #[track_caller]
    pub fn hardsigmoid(&self) -> Tensor {
        (self.hardtanh(-3.0, 3.0) + 3.0) / 6.0
    }

    /// `x · relu6(x + 3) / 6`.
    #[track_caller]
    pub fn hardswish(&self) -> Tensor {
        self.to_float() * self.hardsigmoid()
    }

    /// `x / (1 + |x|)`.
    #[track_caller]
    pub fn softsign(&self) -> Tensor {
        let x = self.to_float();
        &x / (x.abs() + 1.0)
    }

    /// `x − tanh(x)`.
    #[track_caller]
    pub fn tanhshrink(&self) -> Tensor {
        let x = self.to_float();
        &x - x.tanh()
    }

    /// `x` moved towards 0 by `lambd`, 0 nearer than that; PyTorch's default is 0.5.
    #[track_caller]
    pub fn softshrink(&self, lambd: f64) -> Tensor {
        let x = self.to_float();
        let near = x.abs().le_scalar(lambd);
        (&x - x.sign() * lambd).masked_fill(&near, 0.0)
    }

    /// 0 from `−lambd` to `lambd`, else `x`; PyTorch's default is 0.5.
    #[track_caller]
    pub fn hardshrink(&self, lambd: f64) -> Tensor {
        let x = self.to_float();
        let near = x.ge_scalar(-lambd).logical_and(&x.le_scalar(lambd));
        x.masked_fill(&near, 0.0)
    }

    /// `x` above `threshold`, else `value`.
    #[track_caller]
    pub fn threshold(&self, threshold: f64, value: f64) -> Tensor {
        let x = self.to_float();
        x.masked_fill(&x.le_scalar(threshold), value)
    }

    /// The first half along `dim`, gated by the sigmoid of the second. The size must be even.
    #[track_caller]
    pub fn glu(&self, dim: isize) -> Tensor {
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
        (-self.to_float()).softmax(dim)
    }
}
