//! Updates of f16 and bf16 parameters and moments: computed in f32 by the rule that f32 has, and rounded once. Knows no rule.

use super::state::{Rule, Update};
use wgrad_graph::once::{Once, Operand, Wide};
use wgrad_graph::{DType, Tensor};

/// The new parameter and moments by `rule`, each in the dtype of the old one.
#[track_caller]
pub(crate) fn updated(rule: &Rule, update: &Update) -> (Tensor, Vec<Tensor>) {
    let (p, g) = (update.parameter, update.gradient);
    let mut kinds: Vec<Operand> = [p, g].iter().map(Wide::half).collect();
    kinds.extend(update.moments.iter().map(|m| m.half()));
    if Once::of(&kinds).is_none() {
        return rule(update);
    }
    let mut moments = Vec::with_capacity(update.moments.len());
    for moment in update.moments {
        moments.push(moment.widened());
    }
    let (parameter, gradient) = (p.widened(), g.widened());
    let (new, new_moments) = rule(&Update {
        parameter: &parameter,
        gradient: &gradient,
        moments: &moments,
        ..*update
    });
    let mut rounded = Vec::with_capacity(new_moments.len());
    for (new, old) in new_moments.iter().zip(update.moments) {
        rounded.push(narrowed(new, old.dtype()));
    }
    (narrowed(&new, p.dtype()), rounded)
}

#[track_caller]
fn narrowed(t: &Tensor, dtype: DType) -> Tensor {
    if t.check().is_err() {
        return t.clone();
    }
    t.cast(dtype)
}
