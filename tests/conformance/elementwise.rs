//! Element-wise functions: unary, activations, binary, comparisons, selection.

use crate::case::Case;
use wgrad::{GeluApproximation, Tensor};

/// The outputs of a case of this group.
pub fn run(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    let one = unary(case)
        .or_else(|| rounding(case))
        .or_else(|| activation(case))
        .or_else(|| shrink(case))
        .or_else(|| binary(case))
        .or_else(|| compare(case))
        .or_else(|| select(case))?;
    Some(one.map(|t| vec![t]))
}

/// The operand, which is not always the first input.
fn operand(case: &Case) -> Result<&Tensor, String> {
    case.optional("x").map_or_else(|| case.at(0), Ok)
}

fn unary(case: &Case) -> Option<Result<Tensor, String>> {
    let f: fn(&Tensor) -> Tensor = match case.op.as_str() {
        "exp" => Tensor::exp,
        "exp2" => Tensor::exp2,
        "expm1" => Tensor::expm1,
        "log" => Tensor::log,
        "log2" => Tensor::log2,
        "log10" => Tensor::log10,
        "log1p" => Tensor::log1p,
        "sin" => Tensor::sin,
        "cos" => Tensor::cos,
        "tan" => Tensor::tan,
        "asin" => Tensor::asin,
        "acos" => Tensor::acos,
        "atan" => Tensor::atan,
        "sinh" => Tensor::sinh,
        "cosh" => Tensor::cosh,
        "tanh" => Tensor::tanh,
        "asinh" => Tensor::asinh,
        "acosh" => Tensor::acosh,
        "atanh" => Tensor::atanh,
        "sigmoid" => Tensor::sigmoid,
        "logit" => Tensor::logit,
        "sinc" => Tensor::sinc,
        "erf" => Tensor::erf,
        "erfc" => Tensor::erfc,
        "erfinv" => Tensor::erfinv,
        "lgamma" => Tensor::lgamma,
        "digamma" => Tensor::digamma,
        "square" => Tensor::square,
        "sqrt" => Tensor::sqrt,
        "rsqrt" => Tensor::rsqrt,
        "reciprocal" => Tensor::recip,
        "abs" => Tensor::abs,
        "neg" => Tensor::neg,
        _ => return None,
    };
    Some(operand(case).map(f))
}

fn rounding(case: &Case) -> Option<Result<Tensor, String>> {
    let f: fn(&Tensor) -> Tensor = match case.op.as_str() {
        "round" => {
            let decimals = case.int("decimals").unwrap_or(0);
            return Some(case.at(0).map(|x| {
                if decimals == 0 {
                    x.round()
                } else {
                    x.round_decimals(decimals as i32)
                }
            }));
        }
        "floor" => Tensor::floor,
        "ceil" => Tensor::ceil,
        "trunc" => Tensor::trunc,
        "frac" => Tensor::frac,
        "sign" => Tensor::sign,
        "isnan" => Tensor::isnan,
        "isinf" => Tensor::isinf,
        "isfinite" => Tensor::isfinite,
        "logical_not" => Tensor::logical_not,
        _ => return None,
    };
    Some(operand(case).map(f))
}

fn activation(case: &Case) -> Option<Result<Tensor, String>> {
    let number = |name: &str, default: f64| case.f64(name).unwrap_or(default);
    let f: &dyn Fn(&Tensor) -> Tensor = match case.op.as_str() {
        "relu" => &Tensor::relu,
        "relu6" => &Tensor::relu6,
        "leaky_relu" => &|x| x.leaky_relu(number("negative_slope", 0.01)),
        "elu" => &|x| x.elu(number("alpha", 1.0)),
        "selu" => &Tensor::selu,
        "celu" => &|x| x.celu(number("alpha", 1.0)),
        "gelu" if case.text("approximate") == Some("tanh") => {
            &|x| x.gelu_with(GeluApproximation::Tanh)
        }
        "gelu" => &Tensor::gelu,
        "silu" => &Tensor::silu,
        "mish" => &Tensor::mish,
        "softplus" => &|x| x.softplus_with(number("beta", 1.0), number("threshold", 20.0)),
        "logsigmoid" => &Tensor::logsigmoid,
        "hardtanh" => &|x| x.hardtanh(number("min_val", -1.0), number("max_val", 1.0)),
        "hardsigmoid" => &Tensor::hardsigmoid,
        "hardswish" => &Tensor::hardswish,
        "softsign" => &Tensor::softsign,
        "glu" => &|x| x.glu(case.int("dim").unwrap_or(-1)),
        "prelu" => {
            return Some(
                case.input("x")
                    .and_then(|x| Ok(x.prelu(case.input("weight")?))),
            );
        }
        _ => return None,
    };
    Some(operand(case).map(f))
}

fn shrink(case: &Case) -> Option<Result<Tensor, String>> {
    let number = |name: &str, default: f64| case.f64(name).unwrap_or(default);
    let f: &dyn Fn(&Tensor) -> Tensor = match case.op.as_str() {
        "tanhshrink" => &Tensor::tanhshrink,
        "softshrink" => &|x| x.softshrink(number("lambd", 0.5)),
        "hardshrink" => &|x| x.hardshrink(number("lambd", 0.5)),
        "threshold" => &|x| x.threshold(number("threshold", 0.0), number("value", 0.0)),
        "clamp" => &|x| clamp(case, x),
        "pow" if case.inputs.len() == 1 => &|x| x.powf(number("exponent", 1.0)),
        "nan_to_num" => &|x| {
            let most = f64::from(f32::MAX);
            let (up, down) = (number("posinf", most), number("neginf", -most));
            x.nan_to_num(number("nan", 0.0), up, down)
        },
        _ => return None,
    };
    Some(operand(case).map(f))
}

/// Bounds are numbers, tensors or absent.
fn clamp(case: &Case, x: &Tensor) -> Tensor {
    if let (Some(min), Some(max)) = (case.f64("min"), case.f64("max")) {
        return x.clamp(min, max);
    }
    if let (Some(min), Some(max)) = (case.optional("min"), case.optional("max")) {
        return x.clamp_tensor(min, max);
    }
    let low = match (case.optional("min"), case.f64("min")) {
        (Some(min), _) => x.clamp_min_tensor(min),
        (_, Some(min)) => x.clamp_min(min),
        _ => x.clone(),
    };
    match (case.optional("max"), case.f64("max")) {
        (Some(max), _) => low.clamp_max_tensor(max),
        (_, Some(max)) => low.clamp_max(max),
        _ => low,
    }
}

fn binary(case: &Case) -> Option<Result<Tensor, String>> {
    let f: &dyn Fn(&Tensor, &Tensor) -> Tensor = match case.op.as_str() {
        "add" => &|a, b| a + scaled(case, b),
        "sub" => &|a, b| a - scaled(case, b),
        "mul" => &Tensor::mul,
        "div" => match case.text("rounding_mode") {
            Some("floor") => &Tensor::floor_divide,
            Some("trunc") => &|a, b| (a / b).trunc(),
            _ => &Tensor::div,
        },
        "pow" => &Tensor::pow,
        "maximum" => &Tensor::maximum,
        "minimum" => &Tensor::minimum,
        "atan2" => &Tensor::atan2,
        "fmod" => &Tensor::fmod,
        "remainder" => &Tensor::remainder,
        "floor_divide" => &Tensor::floor_divide,
        "hypot" => &Tensor::hypot,
        "logaddexp" => &Tensor::logaddexp,
        "fmax" => &Tensor::fmax,
        "fmin" => &Tensor::fmin,
        "copysign" => &Tensor::copysign,
        "xlogy" => &Tensor::xlogy,
        _ => return None,
    };
    Some(case.at(0).and_then(|a| Ok(f(a, case.at(1)?))))
}

fn scaled(case: &Case, b: &Tensor) -> Tensor {
    case.f64("alpha")
        .map_or_else(|| b.clone(), |alpha| b * alpha)
}

fn compare(case: &Case) -> Option<Result<Tensor, String>> {
    let f: fn(&Tensor, &Tensor) -> Tensor = match case.op.as_str() {
        "eq" => Tensor::eq,
        "ne" => Tensor::ne,
        "lt" => Tensor::lt,
        "le" => Tensor::le,
        "gt" => Tensor::gt,
        "ge" => Tensor::ge,
        "logical_and" => Tensor::logical_and,
        "logical_or" => Tensor::logical_or,
        "logical_xor" => Tensor::logical_xor,
        _ => return None,
    };
    Some(case.at(0).and_then(|a| Ok(f(a, case.at(1)?))))
}

fn select(case: &Case) -> Option<Result<Tensor, String>> {
    let f = || match case.op.as_str() {
        "where" => Ok(Tensor::where_(
            case.input("cond")?,
            case.input("a")?,
            case.input("b")?,
        )),
        "masked_fill" => {
            let value = case.f64("value").ok_or("masked_fill without a value")?;
            Ok(case.input("x")?.masked_fill(case.input("mask")?, value))
        }
        _ => match case.f64("weight") {
            Some(weight) => Ok(case.input("a")?.lerp_scalar(case.input("b")?, weight)),
            None => Ok(case
                .input("a")?
                .lerp(case.input("b")?, case.input("weight")?)),
        },
    };
    matches!(case.op.as_str(), "where" | "masked_fill" | "lerp").then(f)
}
