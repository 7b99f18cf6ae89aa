//! The parameters of a step: which of a module's have a gradient, and whether what is kept and computed for them fits. Records
//! nothing.

use super::state::{Moment, Rules};
use crate::gradients::Gradients;
use crate::module::{Kind, Module, identity, mismatch, replace};
use std::collections::{HashMap, HashSet};
use wgrad_graph::{Error, ErrorKind, Result, Tensor};

/// A parameter in a step.
pub(crate) struct Trained {
    pub(crate) name: String,
    pub(crate) parameter: Tensor,
    pub(crate) gradient: Tensor,
    /// The number of its setting.
    pub(crate) setting: usize,
}

/// Every parameter that has a gradient, and the names of the others; one that stands in two places comes once, by its
/// first name.
pub(crate) fn unique(
    model: &dyn Module,
    gradients: &Gradients,
    rules: &Rules,
) -> Result<(Vec<Trained>, HashSet<String>)> {
    let mut parameters = Vec::new();
    model.visit("", &mut |name, kind, tensor| {
        if kind == Kind::Parameter {
            parameters.push((name.to_string(), tensor.clone()));
        }
    });
    let fail = |message: String| Err(Error::new(ErrorKind::Shape, "step", message));
    let total = gradients.parameters();
    if let Some(total) = total.filter(|&total| total != parameters.len()) {
        return fail(format!(
            "{total} gradients for {} parameters",
            parameters.len()
        ));
    }
    // All gradients of a module go by order, whatever path they were asked for with; a part of them goes by name.
    let by_order = total == Some(gradients.len());
    let mut rest: HashMap<&str, &Tensor> = HashMap::new();
    if !by_order {
        rest.extend(gradients.iter());
    }
    let mut seen = HashSet::new();
    let mut out = Vec::with_capacity(gradients.len());
    let mut frozen = HashSet::new();
    for (at, (name, parameter)) in parameters.into_iter().enumerate() {
        let gradient = match by_order {
            true => gradients.of().get(at),
            false => rest.remove(name.as_str()),
        };
        let Some(gradient) = gradient.cloned() else {
            frozen.insert(name);
            continue;
        };
        gradient.check()?;
        if let Some(problem) = mismatch(&format!("the gradient of {name}"), &parameter, &gradient) {
            return fail(problem);
        }
        if seen.insert(identity(&parameter)) {
            out.push(Trained {
                setting: (rules.of)(&name, &parameter),
                name,
                parameter,
                gradient,
            });
        }
    }
    let mut unknown: Vec<&str> = rest.into_keys().collect();
    unknown.sort_unstable();
    match unknown.is_empty() {
        true => Ok((out, frozen)),
        false => fail(format!("no parameter is called {}", unknown.join(", "))),
    }
}

/// An error unless the moments of a parameter are those that its rule keeps.
pub(crate) fn check_moments(
    t: &Trained,
    slot: &[(&'static str, Tensor)],
    wanted: &[Moment],
) -> Result<()> {
    let name = &t.name;
    let problem = slot
        .iter()
        .find_map(|(kind, m)| mismatch(&format!("{name}.{kind}"), &t.parameter, m));
    let same = slot
        .iter()
        .map(|(kind, _)| kind)
        .eq(wanted.iter().map(|(kind, _)| kind));
    let kinds = (!same).then(|| match slot.len() == wanted.len() {
        true => format!("the moments of {name} are another rule's"),
        false => format!("{name} has {} moments, not {}", slot.len(), wanted.len()),
    });
    match problem.or(kinds) {
        Some(message) => Err(Error::new(ErrorKind::Shape, "step", message)),
        None => Ok(()),
    }
}

/// Puts back the buffers that have no value and replaced others.
pub(crate) fn roll_back(model: &mut dyn Module) {
    let mut old: HashMap<String, Tensor> = HashMap::new();
    for (name, buffer) in model.buffers() {
        old.extend(buffer.replaced().map(|t| (name, t)));
    }
    replace(model, &mut |name, _| old.remove(name));
}

/// An error if what a rule has made of a parameter cannot take its place.
pub(crate) fn check_update(name: &str, old: &Tensor, new: &Tensor) -> Result<()> {
    new.check()?;
    match mismatch(name, old, new) {
        Some(message) => Err(Error::new(ErrorKind::Internal, "step", message)),
        None => Ok(()),
    }
}
