//! Normalisation.

use crate::case::Case;
use wgrad::{LocalResponseNormOptions, Tensor};

/// The outputs of a case of this group.
pub fn run(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    let out = match case.op.as_str() {
        "batch_norm_train" => batch_norm(case, true),
        "batch_norm_eval" => batch_norm(case, false),
        "batch_norm" => batch_norm(case, case.bool("training").unwrap_or(false)),
        "layer_norm" => layer_norm(case),
        "rms_norm" => rms_norm(case),
        "group_norm" => group_norm(case),
        "instance_norm" => instance_norm(case),
        "local_response_norm" => local_response_norm(case),
        _ => return None,
    };
    Some(out.map(|t| vec![t]))
}

fn eps(case: &Case) -> f64 {
    case.f64("eps").unwrap_or(1e-5)
}

fn shape(case: &Case) -> Vec<usize> {
    let sizes = case.ints("normalized_shape").unwrap_or_default();
    sizes.into_iter().map(|n| n.max(0) as usize).collect()
}

fn batch_norm(case: &Case, training: bool) -> Result<Tensor, String> {
    let (x, weight, bias) = (
        subject(case)?,
        case.optional("weight"),
        case.optional("bias"),
    );
    if training {
        return Ok(x.batch_norm_train(weight, bias, eps(case)).0);
    }
    let (mean, var) = (case.input("running_mean")?, case.input("running_var")?);
    Ok(x.batch_norm(mean, var, weight, bias, eps(case)))
}

fn layer_norm(case: &Case) -> Result<Tensor, String> {
    let (weight, bias) = (case.optional("weight"), case.optional("bias"));
    Ok(subject(case)?.layer_norm(&shape(case), weight, bias, eps(case)))
}

fn rms_norm(case: &Case) -> Result<Tensor, String> {
    // Without eps PyTorch takes the precision of the dtype it computes in, here f64.
    let eps = case.f64("eps").unwrap_or(f64::EPSILON);
    Ok(subject(case)?.rms_norm(&shape(case), case.optional("weight"), eps))
}

fn group_norm(case: &Case) -> Result<Tensor, String> {
    let groups = case.int("num_groups").unwrap_or(0).max(0) as usize;
    Ok(subject(case)?.group_norm(
        groups,
        case.optional("weight"),
        case.optional("bias"),
        eps(case),
    ))
}

fn instance_norm(case: &Case) -> Result<Tensor, String> {
    if case.bool("use_input_stats") == Some(false) {
        return batch_norm(case, false);
    }
    Ok(subject(case)?.instance_norm(case.optional("weight"), case.optional("bias"), eps(case)))
}

fn local_response_norm(case: &Case) -> Result<Tensor, String> {
    let default = LocalResponseNormOptions::default();
    let options = LocalResponseNormOptions {
        alpha: case.f64("alpha").unwrap_or(default.alpha),
        beta: case.f64("beta").unwrap_or(default.beta),
        k: case.f64("k").unwrap_or(default.k),
    };
    let size = case.int("size").unwrap_or(0).max(0) as usize;
    Ok(subject(case)?.local_response_norm(size, &options))
}

/// The tensor that the function is of.
fn subject(case: &Case) -> Result<&Tensor, String> {
    let named = ["input", "x"].iter().find_map(|name| case.optional(name));
    named.map_or_else(|| case.at(0), Ok)
}
