//! Reductions, the softmax family, norms and scans.

use crate::case::Case;
use wgrad::{MatrixNorm, Tensor};

/// The outputs of a case of this group.
pub fn run(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    if let Some(pair) = pairs(case) {
        return Some(pair);
    }
    let one = over_dims(case)
        .or_else(|| along_dim(case))
        .or_else(|| norm(case))?;
    Some(one.map(|t| vec![t]))
}

/// The dimensions of a case; absent or empty means all of them.
fn dims(case: &Case, x: &Tensor) -> Vec<isize> {
    case.ints("dim")
        .filter(|list| !list.is_empty())
        .unwrap_or_else(|| (0..x.rank() as isize).collect())
}

fn over_dims(case: &Case) -> Option<Result<Tensor, String>> {
    let keep = case.bool("keepdim").unwrap_or(false);
    let correction = || match case.bool("unbiased") {
        Some(unbiased) => f64::from(u8::from(unbiased)),
        None => case.f64("correction").unwrap_or(1.0),
    };
    let f: &dyn Fn(&Tensor, &[isize]) -> Tensor = match case.op.as_str() {
        "sum" => &|x, d| x.sum_dims(d, keep),
        "mean" => &|x, d| x.mean_dims(d, keep),
        "amax" => &|x, d| x.amax_dims(d, keep),
        "amin" => &|x, d| x.amin_dims(d, keep),
        "prod" => &|x, d| x.prod_dims(d, keep),
        "logsumexp" => &|x, d| x.logsumexp_dims(d, keep),
        "var" => &|x, d| x.var_dims(d, correction(), keep),
        "std" => &|x, d| x.std_dims(d, correction(), keep),
        "any" => &|x, d| x.any_dims(d, keep),
        "all" => &|x, d| x.all_dims(d, keep),
        "count_nonzero" => &|x, d| x.count_nonzero(d, keep),
        "nansum" => &|x, d| x.nansum(d, keep),
        "nanmean" => &|x, d| x.nanmean(d, keep),
        _ => return None,
    };
    Some(case.at(0).map(|x| f(x, &dims(case, x))))
}

fn along_dim(case: &Case) -> Option<Result<Tensor, String>> {
    let keep = case.bool("keepdim").unwrap_or(false);
    let dim = case.int("dim");
    let f: &dyn Fn(&Tensor, isize) -> Tensor = match case.op.as_str() {
        "argmax" => &|x, d| position(x, d, dim.is_none(), keep, Tensor::argmax),
        "argmin" => &|x, d| position(x, d, dim.is_none(), keep, Tensor::argmin),
        "softmax" => &|x, d| x.softmax(d),
        "softmin" => &|x, d| x.softmin(d),
        "log_softmax" => &|x, d| x.log_softmax(d),
        "cumsum" => &|x, d| x.cumsum(d),
        "cumprod" => &|x, d| x.cumprod(d),
        "logcumsumexp" => &|x, d| x.logcumsumexp(d),
        "cummax" => &|x, d| x.cummax(d),
        "cummin" => &|x, d| x.cummin(d),
        "median" => &|x, d| x.median(d, keep).0,
        "max" if dim.is_some() => &|x, d| x.max_dim(d, keep).0,
        "min" if dim.is_some() => &|x, d| x.min_dim(d, keep).0,
        _ => return None,
    };
    Some(case.at(0).map(|x| f(x, dim.unwrap_or(-1))))
}

/// Of all elements, the position in row-major order.
fn position(
    x: &Tensor,
    dim: isize,
    all: bool,
    keep: bool,
    f: fn(&Tensor, isize, bool) -> Tensor,
) -> Tensor {
    match (all, keep) {
        (false, _) => f(x, dim, keep),
        (true, false) => f(&x.reshape(&[-1]), 0, false),
        (true, true) => f(&x.reshape(&[-1]), 0, false).reshape(&vec![1; x.rank()]),
    }
}

/// Functions of values and positions.
fn pairs(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    let keep = case.bool("keepdim").unwrap_or(false);
    let dim = case.int("dim").unwrap_or(-1);
    let f = |x: &Tensor| match case.op.as_str() {
        "max" => Some(x.max_dim(dim, keep)),
        "min" => Some(x.min_dim(dim, keep)),
        "median" => Some(x.median(dim, keep)),
        "kthvalue" => Some(x.kthvalue(case.int("k").unwrap_or(1).max(0) as usize, dim, keep)),
        _ => None,
    };
    if case.outputs.len() != 2 {
        return None;
    }
    let (values, at) = f(case.at(0).ok()?)?;
    Some(Ok(vec![values, at]))
}

/// The order of a norm: a number, or a name.
fn order(case: &Case, key: &str) -> Result<f64, String> {
    match case.text(key) {
        Some("inf") => Ok(f64::INFINITY),
        Some("-inf") => Ok(f64::NEG_INFINITY),
        Some(name) => Err(format!("the norm {name:?} is unsupported")),
        None => Ok(case.f64(key).unwrap_or(2.0)),
    }
}

fn norm(case: &Case) -> Option<Result<Tensor, String>> {
    let keep = case.bool("keepdim").unwrap_or(false);
    let vector = || {
        let x = case.at(0)?;
        Ok(x.vector_norm(order(case, "ord")?, &dims(case, x), keep))
    };
    let matrix = || {
        let list = case.ints("dim").unwrap_or_else(|| vec![-2, -1]);
        let list =
            <[isize; 2]>::try_from(list).map_err(|l| format!("a matrix in dimensions {l:?}"))?;
        let ord = match (case.text("ord"), case.f64("ord")) {
            (Some("fro"), _) | (None, None) => MatrixNorm::Frobenius,
            (Some("inf"), _) => MatrixNorm::Infinity,
            (Some("-inf"), _) => MatrixNorm::MinusInfinity,
            (_, Some(1.0)) => MatrixNorm::One,
            (_, Some(-1.0)) => MatrixNorm::MinusOne,
            (Some("nuc"), _) => MatrixNorm::Nuclear,
            (_, Some(2.0)) => MatrixNorm::Two,
            (_, Some(-2.0)) => MatrixNorm::MinusTwo,
            (name, number) => {
                return Err(format!(
                    "the matrix norm {name:?} {number:?} is unsupported"
                ));
            }
        };
        Ok(case.at(0)?.matrix_norm(ord, list, keep))
    };
    match case.op.as_str() {
        "vector_norm" => Some(vector()),
        "matrix_norm" => Some(matrix()),
        "normalize" => Some(normalize(case)),
        _ => None,
    }
}

fn normalize(case: &Case) -> Result<Tensor, String> {
    let dims = case.ints("dim").unwrap_or_else(|| vec![1]);
    let eps = case.f64("eps").unwrap_or(1e-12);
    Ok(case.at(0)?.normalize_dims(order(case, "p")?, &dims, eps))
}
