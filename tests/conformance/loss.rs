//! Losses and distances.

use crate::case::Case;
use wgrad::{
    CrossEntropyOptions, LossOptions, PoissonNllOptions, Reduction, Tensor, TripletMarginOptions,
};

/// The outputs of a case of this group.
pub fn run(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    let reduction = match reduction(case) {
        Ok(reduction) => reduction,
        Err(e) => return Some(Err(e)),
    };
    Some(loss(case, reduction)?.map(|t| vec![t]))
}

fn reduction(case: &Case) -> Result<Reduction, String> {
    Ok(match case.text("reduction").unwrap_or("mean") {
        "none" => Reduction::None,
        "mean" => Reduction::Mean,
        "sum" => Reduction::Sum,
        "batchmean" => Reduction::BatchMean,
        // Another function's argument of this name.
        other if case.op.ends_with("_loss") => return Err(format!("reduction {other:?}")),
        _ => Reduction::Mean,
    })
}

fn loss(case: &Case, reduction: Reduction) -> Option<Result<Tensor, String>> {
    let target = case.optional("target").or_else(|| case.at(1).ok());
    let x = case.optional("input").or_else(|| case.at(0).ok())?;
    let number = |name: &str, default: f64| case.f64(name).unwrap_or(default);
    let on = |name: &str| case.bool(name).unwrap_or(false);
    let elements = LossOptions {
        reduction,
        weight: case.optional("weight").cloned(),
        pos_weight: case.optional("pos_weight").cloned(),
    };
    let classes = CrossEntropyOptions {
        reduction,
        weight: case.optional("weight").cloned(),
        ignore_index: case.int("ignore_index").unwrap_or(-100) as i32,
        label_smoothing: number("label_smoothing", 0.0),
    };
    let second = || case.at(1);
    let margin = |default: f64| number("margin", default);
    let t = target?;
    Some(Ok(match case.op.as_str() {
        "mse_loss" => x.mse_loss(t, elements),
        "l1_loss" => x.l1_loss(t, elements),
        "smooth_l1_loss" => x.smooth_l1_loss(t, number("beta", 1.0), elements),
        "huber_loss" => x.huber_loss(t, number("delta", 1.0), elements),
        "binary_cross_entropy" => x.binary_cross_entropy(t, elements),
        "binary_cross_entropy_with_logits" => x.binary_cross_entropy_with_logits(t, elements),
        "cross_entropy" => x.cross_entropy(t, classes),
        "nll_loss" => x.nll_loss(t, classes),
        "kl_div" => x.kl_div(t, on("log_target"), reduction),
        "gaussian_nll_loss" => match case.input("var") {
            Ok(var) => x.gaussian_nll_loss(t, var, on("full"), number("eps", 1e-6), reduction),
            Err(e) => return Some(Err(e)),
        },
        "poisson_nll_loss" => x.poisson_nll_loss(
            t,
            &PoissonNllOptions {
                log_input: case.bool("log_input").unwrap_or(true),
                full: on("full"),
                eps: number("eps", 1e-8),
                reduction,
            },
        ),
        "soft_margin_loss" => x.soft_margin_loss(t, reduction),
        "hinge_embedding_loss" => x.hinge_embedding_loss(t, margin(1.0), reduction),
        "multi_margin_loss" => {
            x.multi_margin_loss(t, number("p", 1.0) as u32, margin(1.0), elements)
        }
        "multilabel_margin_loss" => x.multilabel_margin_loss(t, reduction),
        "multilabel_soft_margin_loss" => x.multilabel_soft_margin_loss(t, elements),
        _ => return pairs(case, x, second().ok()?, t, reduction),
    }))
}

fn pairs(
    case: &Case,
    x: &Tensor,
    y: &Tensor,
    target: &Tensor,
    reduction: Reduction,
) -> Option<Result<Tensor, String>> {
    let number = |name: &str, default: f64| case.f64(name).unwrap_or(default);
    Some(Ok(match case.op.as_str() {
        "cosine_similarity" => {
            let dim = case.int("dim").unwrap_or(1);
            x.cosine_similarity(y, dim, number("eps", 1e-8))
        }
        "pairwise_distance" => {
            let keepdim = case.bool("keepdim").unwrap_or(false);
            x.pairwise_distance(y, number("p", 2.0), number("eps", 1e-6), keepdim)
        }
        "cosine_embedding_loss" => {
            x.cosine_embedding_loss(y, target, number("margin", 0.0), reduction)
        }
        "margin_ranking_loss" => x.margin_ranking_loss(y, target, number("margin", 0.0), reduction),
        "triplet_margin_loss" => {
            let named = |name: &str, at: usize| case.optional(name).or_else(|| case.at(at).ok());
            let anchor = named("anchor", 0)?;
            let (positive, negative) = (named("positive", 1)?, named("negative", 2)?);
            let options = TripletMarginOptions {
                margin: number("margin", 1.0),
                p: number("p", 2.0),
                eps: number("eps", 1e-6),
                swap: case.bool("swap").unwrap_or(false),
                reduction,
            };
            anchor.triplet_margin_loss(positive, negative, &options)
        }
        _ => return None,
    }))
}
