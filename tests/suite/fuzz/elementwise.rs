//! Element-wise calls.

use super::calls;
use wgrad::{DType, GeluApproximation, Tensor};

calls! {
    "add" => |f| [f.t().add(&f.t())];
    "sub" => |f| [f.t().sub(&f.t())];
    "mul" => |f| [f.t().mul(&f.t())];
    "div" => |f| [f.t().div(&f.t())];
    "pow" => |f| [f.t().pow(&f.t()), f.t().powf(f.x())];
    "fmod" => |f| [f.t().fmod(&f.t())];
    "remainder" => |f| [f.t().remainder(&f.t())];
    "floor_divide" => |f| [f.t().floor_divide(&f.t())];
    "maximum" => |f| [f.t().maximum(&f.t()), f.t().minimum(&f.t())];
    "atan2" => |f| [f.t().atan2(&f.t())];
    "hypot" => |f| [f.t().hypot(&f.t()), f.t().logaddexp(&f.t()), f.t().xlogy(&f.t())];
    "compare" => |f| [f.t().eq(&f.t()), f.t().ne(&f.t()), f.t().lt(&f.t()), f.t().le(&f.t()), f.t().gt(&f.t()), f.t().ge(&f.t())];
    "logical" => |f| [f.t().logical_and(&f.t()), f.t().logical_or(&f.t()), f.t().logical_xor(&f.t())];
    "where" => |f| [Tensor::where_(&f.t(), &f.t(), &f.t())];
    "masked_fill" => |f| [f.t().masked_fill(&f.t(), f.x())];
    "lerp" => |f| [f.t().lerp(&f.t(), &f.t()), f.t().lerp_scalar(&f.t(), f.x().clamp(-4.0, 4.0))];
    "scalars" => |f| { let x = f.x(); [f.t() * x, f.t() + x, f.t() / x, x - f.t()] };
    "exponentials" => |f| { let t = f.t(); [t.exp(), t.exp2(), t.expm1(), t.log(), t.log2(), t.log10(), t.log1p(), t.sqrt(), t.rsqrt(), t.recip(), t.square()] };
    "trigonometric" => |f| { let t = f.t(); [t.sin(), t.cos(), t.tan(), t.asin(), t.acos(), t.atan(), t.sinc()] };
    "hyperbolic" => |f| { let t = f.t(); [t.sinh(), t.cosh(), t.tanh(), t.asinh(), t.acosh(), t.atanh()] };
    "errors" => |f| { let t = f.t(); [t.erf(), t.erfc(), t.logit(), t.sigmoid()] };
    "rounding" => |f| { let t = f.t(); [t.floor(), t.ceil(), t.round(), t.trunc(), t.frac(), t.sign(), t.abs(), t.neg()] };
    "round_decimals" => |f| { let t = f.t(); [t.round_decimals(f.i() as i32)] };
    "tests" => |f| { let t = f.t(); [t.logical_not(), t.isnan(), t.isinf(), t.isfinite(), t.nan_to_num(f.x(), f.x(), f.x())] };
    "activation" => |f| { let t = f.t(); [t.relu(), t.relu6(), t.gelu(), t.silu(), t.mish(), t.selu(), t.softplus(), t.softsign(), t.logsigmoid()] };
    "gelu" => |f| { let t = f.t(); [t.gelu_with(f.one_of(&[GeluApproximation::Tanh, GeluApproximation::None]))] };
    "slopes" => |f| { let t = f.t(); [t.elu(f.x()), t.celu(f.x()), t.leaky_relu(f.x()), t.prelu(&f.t()), t.softplus_with(f.x(), f.x())] };
    "hard" => |f| { let t = f.t(); [t.hardtanh(f.x(), f.x()), t.hardsigmoid(), t.hardswish(), t.hardshrink(f.x()), t.softshrink(f.x()), t.tanhshrink(), t.threshold(f.x(), f.x())] };
    "glu" => |f| [f.t().glu(f.dim())];
    "clamp" => |f| [f.t().clamp(f.x(), f.x()), f.t().clamp_min(f.x()), f.t().clamp_max(f.x())];
    "clamp_tensor" => |f| [f.t().clamp_tensor(&f.t(), &f.t()), f.t().clamp_min_tensor(&f.t()), f.t().clamp_max_tensor(&f.t())];
    "softplus_inverse" => |f| [f.t().softplus_inverse()];
    "cast" => |f| DType::ALL.map(|d| f.t().cast(d));
    "full" => |f| { let d = f.device(); [Tensor::full(&f.sizes(), f.x(), DType::F32, &d), Tensor::zeros(&f.sizes(), DType::I32, &d), Tensor::ones(&f.sizes(), DType::U8, &d)] };
    "like" => |f| { let t = f.t(); [t.full_like(f.x()), t.zeros_like(), t.ones_like()] };
    "from_slice" => |f| { let d = f.device(); [Tensor::from_slice(&[1.0f32, 2.0], &f.sizes(), &d), Tensor::from_bytes(&[1, 2, 3, 4], &f.sizes(), f.one_of(&DType::ALL), &d)] };
    "ranges" => |f| { let d = f.device(); [Tensor::arange(f.n(), &d), Tensor::arange_step(f.x(), f.x(), f.x(), &d), Tensor::linspace(f.x(), f.x(), f.n(), &d), Tensor::eye(f.n(), DType::F32, &d)] };
}
