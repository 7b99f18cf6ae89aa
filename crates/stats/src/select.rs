//! Forward and backward selection of terms. Fits models by `linear`; a term goes in or out as a whole, with all its dummies.

use crate::design::fault;
use crate::formula::{Formula, IntoFormula, Term};
use crate::linear::{LinearModel, compare};
use crate::table::Table;
use wgrad_graph::Result;

/// Where selection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// With no terms, adding one at a time.
    Forward,
    /// With all terms, taking out one at a time.
    Backward,
}

/// What makes a model better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Criterion {
    /// A smaller residual sum of squares. Selection goes on to the end, and the best model is the largest.
    Rss,
    /// A smaller information criterion of Akaike. Selection stops where no step makes it smaller.
    Aic,
    /// A smaller one of Schwarz, which charges more for a term.
    Bic,
    /// A partial F test: terms go in while one has a smaller p-value than this, and out while one has a greater.
    PValue(f64),
}

/// A model on the way.
#[derive(Clone, Debug)]
pub struct Step {
    /// The term that went in or out; none for the first model.
    pub term: Option<Term>,
    /// The p-value of its partial F test; NaN for the first model.
    pub p_value: f64,
    /// The formula after it.
    pub formula: Formula,
    /// The model.
    pub model: LinearModel,
}

/// The models that selection went through, the chosen one last.
#[derive(Clone, Debug)]
pub struct Selection {
    /// In order.
    pub steps: Vec<Step>,
}

impl Selection {
    /// The chosen formula.
    pub fn formula(&self) -> &Formula {
        &self.last().formula
    }

    /// The chosen model.
    pub fn model(&self) -> &LinearModel {
        &self.last().model
    }

    fn last(&self) -> &Step {
        // There is always the first model.
        &self.steps[self.steps.len() - 1]
    }
}

/// Selects among the terms of a formula, step by step.
///
/// ```
/// use wgrad_stats::{Criterion, Direction, Table, select};
/// let table = Table::new()
///     .numbers("a", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])?
///     .numbers("b", &[1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0])?
///     .numbers("y", &[1.1, 1.9, 3.2, 3.9, 5.1, 5.8, 7.2, 7.9])?;
/// let chosen = select("y ~ a + b", &table, Direction::Forward, Criterion::Bic)?;
/// assert_eq!(chosen.formula().terms[0].to_string(), "a");
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// The first model, or a model that comes into question, cannot be fitted; a p-value that is not between 0 and 1.
pub fn select(
    formula: impl IntoFormula,
    table: &Table,
    direction: Direction,
    criterion: Criterion,
) -> Result<Selection> {
    if let Criterion::PValue(p) = criterion
        && !(p > 0.0 && p < 1.0)
    {
        let message = format!("the p-value is {p}: it lies between 0 and 1");
        return Err(fault("select", message));
    }
    let full = formula.into_formula()?.expanded(table);
    let mut start = full.clone();
    if direction == Direction::Forward {
        start.terms.clear();
        if !full.intercept {
            let message =
                "forward selection begins with the intercept, which the formula leaves out";
            return Err(fault("select", message));
        }
    }
    let mut steps = vec![Step {
        term: None,
        p_value: f64::NAN,
        model: LinearModel::fit(&start, table)?,
        formula: start,
    }];
    while let Some(step) = next(&full, table, direction, criterion, &steps[steps.len() - 1])? {
        steps.push(step);
    }
    Ok(Selection { steps })
}

/// The best step from a model, if there is one that makes it better.
fn next(
    full: &Formula,
    table: &Table,
    direction: Direction,
    criterion: Criterion,
    now: &Step,
) -> Result<Option<Step>> {
    let forward = direction == Direction::Forward;
    let candidates: Vec<&Term> = full
        .terms
        .iter()
        .filter(|t| now.formula.terms.contains(t) != forward)
        .collect();
    // Taking out the last term of a model without an intercept leaves nothing.
    if !forward && !now.formula.intercept && candidates.len() == 1 {
        return Ok(None);
    }
    let mut best: Option<(f64, Step)> = None;
    for term in candidates {
        let mut formula = now.formula.clone();
        if forward {
            formula.terms.push(term.clone());
        } else {
            formula.terms.retain(|t| t != term);
        }
        let model = LinearModel::fit(&formula, table)?;
        let test = if forward {
            compare(&now.model, &model)?
        } else {
            compare(&model, &now.model)?
        };
        // Less is better.
        let value = match criterion {
            Criterion::Rss => model.rss,
            Criterion::Aic => model.aic,
            Criterion::Bic => model.bic,
            // F tells apart what p-values of 0 do not.
            Criterion::PValue(_) if test.p_value == 0.0 && forward => -test.statistic,
            Criterion::PValue(_) if forward => test.p_value,
            Criterion::PValue(_) => -test.p_value,
        };
        if best.as_ref().is_none_or(|(least, _)| value < *least) {
            let step = Step {
                term: Some(term.clone()),
                p_value: test.p_value,
                formula,
                model,
            };
            best = Some((value, step));
        }
    }
    Ok(best.map(|(_, step)| step).filter(|step| match criterion {
        Criterion::Rss => true,
        Criterion::Aic => step.model.aic < now.model.aic,
        Criterion::Bic => step.model.bic < now.model.bic,
        Criterion::PValue(p) => (step.p_value < p) == forward,
    }))
}
