//! Losses, distances and normalisation.

use super::{Fuzz, calls};
use wgrad::{CrossEntropyOptions, LossOptions, PoissonNllOptions, TripletMarginOptions};

fn options(f: &mut Fuzz) -> LossOptions {
    let o = LossOptions::from(f.reduction());
    let o = if f.rng.below(3) == 0 {
        o.weight(&f.t())
    } else {
        o
    };
    if f.rng.below(4) == 0 {
        o.pos_weight(&f.t())
    } else {
        o
    }
}

fn classes(f: &mut Fuzz) -> CrossEntropyOptions {
    let o = CrossEntropyOptions::from(f.reduction()).ignore_index(f.i() as i32);
    let o = if f.rng.below(3) == 0 {
        o.weight(&f.t())
    } else {
        o
    };
    if f.rng.below(3) == 0 {
        o.label_smoothing(f.x())
    } else {
        o
    }
}

calls! {
    "mse_loss" => |f| { let o = options(f); [f.t().mse_loss(&f.t(), o.clone()), f.t().l1_loss(&f.t(), o)] };
    "smooth_l1_loss" => |f| { let o = options(f); [f.t().smooth_l1_loss(&f.t(), f.x(), o.clone()), f.t().huber_loss(&f.t(), f.x(), o)] };
    "binary_cross_entropy" => |f| { let o = options(f); [f.t().binary_cross_entropy(&f.t(), o.clone()), f.t().binary_cross_entropy_with_logits(&f.t(), o)] };
    "cross_entropy" => |f| { let o = classes(f); [f.t().cross_entropy(&f.t(), o.clone()), f.t().cross_entropy(&f.t(), f.reduction()), f.t().nll_loss(&f.t(), o)] };
    "kl_div" => |f| [f.t().kl_div(&f.t(), f.b(), f.reduction())];
    "gaussian_nll_loss" => |f| [f.t().gaussian_nll_loss(&f.t(), &f.t(), f.b(), f.x(), f.reduction())];
    "poisson_nll_loss" => |f| { let o = PoissonNllOptions { log_input: f.b(), full: f.b(), eps: f.x(), reduction: f.reduction() }; [f.t().poisson_nll_loss(&f.t(), &o)] };
    "hinge_embedding_loss" => |f| [f.t().hinge_embedding_loss(&f.t(), f.x(), f.reduction()), f.t().soft_margin_loss(&f.t(), f.reduction())];
    "multi_margin_loss" => |f| { let o = options(f); [f.t().multi_margin_loss(&f.t(), f.n() as u32, f.x(), o.clone()), f.t().multilabel_soft_margin_loss(&f.t(), o), f.t().multilabel_margin_loss(&f.t(), f.reduction())] };
    "pairs" => |f| [f.t().cosine_embedding_loss(&f.t(), &f.t(), f.x(), f.reduction()), f.t().margin_ranking_loss(&f.t(), &f.t(), f.x(), f.reduction())];
    "triplet_margin_loss" => |f| { let o = TripletMarginOptions { margin: f.x(), p: f.x(), eps: f.x(), swap: f.b(), reduction: f.reduction() }; [f.t().triplet_margin_loss(&f.t(), &f.t(), &o)] };
    "distances" => |f| [f.t().cosine_similarity(&f.t(), f.dim(), f.x()), f.t().pairwise_distance(&f.t(), f.x(), f.x(), f.b())];
    "layer_norm" => |f| { let s = f.sizes(); [f.t().rms_norm(&s, f.maybe().as_ref(), f.x()), f.t().layer_norm(&s, f.maybe().as_ref(), f.maybe().as_ref(), f.x())] };
    "group_norm" => |f| [f.t().group_norm(f.n(), f.maybe().as_ref(), f.maybe().as_ref(), f.x()), f.t().instance_norm(f.maybe().as_ref(), f.maybe().as_ref(), f.x())];
    "batch_norm" => |f| {
        let (y, mean, var) = f.t().batch_norm_train(f.maybe().as_ref(), f.maybe().as_ref(), f.x());
        [y, mean, var, f.t().batch_norm(&f.t(), &f.t(), f.maybe().as_ref(), f.maybe().as_ref(), f.x())]
    };
}
