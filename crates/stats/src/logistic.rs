//! Logistic regression by maximum likelihood: iteratively reweighted least squares, with standard errors and tests.

use crate::design::{Design, fault};
use crate::distribution::{chi_squared_above, z_quantile, z_two_sided};
use crate::formula::{Formula, IntoFormula};
use crate::linear::{
    Coefficient, checked_level, checked_response, coefficients, design_of, named, same_columns,
};
use crate::solve::{Factored, quadratic};
use crate::table::{Column, Table};
use wgrad_graph::Result;

/// Newton's method doubles its digits; what takes so long runs away to infinity.
const ITERATIONS: usize = 100;

/// Beyond these log-odds a weight is 0 in f64.
const MOST_LOG_ODDS: f64 = 600.0;

/// A predicted probability with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probability {
    /// Of the response 1, or the second level.
    pub probability: f64,
    /// Where it lies, with the asked for confidence (of the log-odds).
    pub confidence: (f64, f64),
}

/// A fitted logistic regression. `Display` gives the table that statsmodels prints.
///
/// ```
/// use wgrad_stats::{LogisticModel, Table};
/// let table = Table::new()
///     .numbers("hours", &[0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0])?
///     .categories("passed", &["no", "no", "yes", "no", "yes", "no", "yes", "yes"])?;
/// let model = LogisticModel::fit("passed ~ hours", &table)?;
/// assert!(model.coefficient("hours")?.estimate > 0.0);
/// let new = Table::new().numbers("hours", &[10.0])?;
/// assert!(model.predict(&new, 0.95)?[0].probability > 0.9);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogisticModel {
    pub(crate) response: String,
    names: Vec<String>,
    estimates: Vec<f64>,
    covariance: Vec<f64>,
    origin: Option<(Formula, Table)>,
    /// Rows.
    pub samples: usize,
    /// Coefficients without the intercept.
    pub model_freedom: usize,
    /// Rows less coefficients.
    pub residual_freedom: usize,
    /// The greatest log-likelihood.
    pub log_likelihood: f64,
    /// That of an intercept alone.
    pub null_log_likelihood: f64,
    /// −2 log-likelihood.
    pub deviance: f64,
    /// That of an intercept alone.
    pub null_deviance: f64,
    /// McFadden's: 1 − log-likelihood / that of an intercept alone.
    pub pseudo_r_squared: f64,
    /// The probability of a gain this great over the intercept alone, if all other coefficients are 0.
    pub likelihood_ratio_p_value: f64,
    /// 2 coefficients + deviance.
    pub aic: f64,
    /// ln(rows) coefficients + deviance.
    pub bic: f64,
    /// Steps it took.
    pub iterations: usize,
    /// The probabilities at the rows of the table.
    pub fitted: Vec<f64>,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// log(sigmoid(x)), without overflow.
fn log_sigmoid(x: f64) -> f64 {
    if x > 0.0 {
        -(-x).exp().ln_1p()
    } else {
        x - x.exp().ln_1p()
    }
}

fn log_likelihood(log_odds: &[f64], y: &[f64]) -> f64 {
    let both = log_odds.iter().zip(y);
    both.map(|(&x, &y)| log_sigmoid(if y == 1.0 { x } else { -x }))
        .sum()
}

impl LogisticModel {
    /// Fits a formula to a table. The response is a column of 0 and 1, or of categories with two levels, of which the
    /// probability of the second is modelled.
    ///
    /// # Errors
    /// The formula is none; a column or value is missing; another response; fewer rows than coefficients; columns that depend
    /// on each other; responses that the columns separate, for then no estimate is finite.
    pub fn fit(formula: impl IntoFormula, table: &Table) -> Result<Self> {
        let formula = formula.into_formula()?.expanded(table);
        table.check_complete(&formula.response)?;
        let y: Vec<f64> = match table.column(&formula.response)? {
            Column::Numbers(values) => values.clone(),
            Column::Categories { levels, codes } if levels.len() == 2 => {
                codes.iter().map(|&c| c as f64).collect()
            }
            Column::Categories { levels, .. } => {
                let message = format!(
                    "{} has the levels {}: a logistic regression takes two",
                    formula.response,
                    levels.join(", ")
                );
                return Err(fault("logistic regression", message));
            }
        };
        let design = Design::new(&formula, table)?;
        let mut model = Self::fit_design(&formula.response, &design, &y)?;
        model.origin = Some((formula, table.shape()));
        Ok(model)
    }

    /// Fits a design of one's own to responses of 0 and 1.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_design(response: &str, design: &Design, y: &[f64]) -> Result<Self> {
        let op = "logistic regression";
        checked_response(op, design, y)?;
        if let Some(row) = y.iter().position(|v| *v != 0.0 && *v != 1.0) {
            let message = format!("the response in row {row} is {}, not 0 or 1", y[row]);
            return Err(fault(op, message));
        }
        let (n, p) = (design.rows, design.names.len());
        let ones: f64 = y.iter().sum();
        if ones == 0.0 || ones == n as f64 {
            return Err(fault(op, format!("all responses are {}", y[0])));
        }
        // Tells columns that depend on each other from responses that are separated.
        Factored::new(op, design)?;
        let (estimates, factored, iterations) = maximise(design, y)?;
        let log_odds: Vec<f64> = (0..n).map(|i| design.dot(i, &estimates)).collect();
        let likelihood = log_likelihood(&log_odds, y);
        let share = ones / n as f64;
        let null = ones * share.ln() + (n as f64 - ones) * (1.0 - share).ln();
        let model_freedom = p - usize::from(design.intercept);
        Ok(LogisticModel {
            response: response.into(),
            names: design.names.clone(),
            covariance: factored.inverse(),
            estimates,
            origin: None,
            samples: n,
            model_freedom,
            residual_freedom: n - p,
            log_likelihood: likelihood,
            null_log_likelihood: null,
            deviance: -2.0 * likelihood,
            null_deviance: -2.0 * null,
            pseudo_r_squared: 1.0 - likelihood / null,
            likelihood_ratio_p_value: match model_freedom {
                0 => f64::NAN,
                freedom => chi_squared_above(2.0 * (likelihood - null), freedom as f64),
            },
            aic: 2.0 * p as f64 - 2.0 * likelihood,
            bic: (n as f64).ln() * p as f64 - 2.0 * likelihood,
            iterations,
            fitted: log_odds.iter().map(|&x| sigmoid(x)).collect(),
        })
    }

    /// All coefficients, in the design's order: log-odds for each unit, with z tests.
    pub fn coefficients(&self) -> Vec<Coefficient> {
        coefficients(&self.names, &self.estimates, &self.covariance, z_two_sided)
    }

    /// The coefficient of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn coefficient(&self, name: &str) -> Result<Coefficient> {
        named(self.coefficients(), name)
    }

    /// Where each coefficient lies with this confidence, in order.
    ///
    /// # Errors
    /// The level is not between 0 and 1.
    pub fn confidence_intervals(&self, level: f64) -> Result<Vec<(f64, f64)>> {
        let reach = z_quantile(checked_level(level)?);
        let interval = |c: Coefficient| {
            let half = reach * c.standard_error;
            (c.estimate - half, c.estimate + half)
        };
        Ok(self.coefficients().into_iter().map(interval).collect())
    }

    /// The covariances of the estimates, row by row.
    pub fn covariance(&self) -> &[f64] {
        &self.covariance
    }

    /// Probabilities for the rows of another table, with intervals of this confidence.
    ///
    /// # Errors
    /// The model was fitted to a design; a column or value is missing; a level is new; a level that is not between 0 and 1.
    pub fn predict(&self, table: &Table, level: f64) -> Result<Vec<Probability>> {
        let design = design_of(self.origin.as_ref(), table)?;
        self.predict_design(&design, level)
    }

    /// Probabilities for the rows of a design.
    ///
    /// # Errors
    /// It has other columns; a level that is not between 0 and 1.
    pub fn predict_design(&self, design: &Design, level: f64) -> Result<Vec<Probability>> {
        same_columns(&self.names, design)?;
        let reach = z_quantile(checked_level(level)?);
        let one = |row: usize| {
            let log_odds = design.dot(row, &self.estimates);
            let half = reach * quadratic(design, row, &self.covariance).max(0.0).sqrt();
            Probability {
                probability: sigmoid(log_odds),
                confidence: (sigmoid(log_odds - half), sigmoid(log_odds + half)),
            }
        };
        Ok((0..design.rows).map(one).collect())
    }
}

/// Newton's steps, halved where the likelihood falls. Gives the estimates, the weighted design factored there, and the steps.
fn maximise(design: &Design, y: &[f64]) -> Result<(Vec<f64>, Factored, usize)> {
    let n = design.rows;
    let mut estimates = vec![0.0; design.names.len()];
    let mut log_odds = vec![0.0; n];
    let mut likelihood = log_likelihood(&log_odds, y);
    let mut arrived = false;
    for iteration in 0..ITERATIONS {
        let extreme = log_odds.iter().fold(0.0f64, |a, x| a.max(x.abs()));
        if extreme > MOST_LOG_ODDS {
            return Err(separated(design, &estimates));
        }
        // Both as they are near 0 and near 1: a probability that rounds to 1 still has a weight.
        let root = |x: f64| (-0.5 * x.abs()).exp() / (1.0 + (-x.abs()).exp());
        let roots: Vec<f64> = log_odds.iter().map(|&x| root(x)).collect();
        let factored = Factored::weighted("logistic regression", design, Some(&roots))
            .map_err(|_| separated(design, &estimates))?;
        if arrived {
            return Ok((estimates, factored, iteration));
        }
        let residual = |i: usize| match y[i] {
            1.0 => sigmoid(-log_odds[i]) / roots[i],
            _ => -sigmoid(log_odds[i]) / roots[i],
        };
        let residual: Vec<f64> = (0..n).map(residual).collect();
        let mut step = factored.solve(&residual);
        for _ in 0..30 {
            let next: Vec<f64> = estimates.iter().zip(&step).map(|(b, s)| b + s).collect();
            let odds: Vec<f64> = (0..n).map(|i| design.dot(i, &next)).collect();
            let reached = log_likelihood(&odds, y);
            if reached >= likelihood - 1e-9 * likelihood.abs() {
                let moved = log_odds.iter().zip(&odds).map(|(a, b)| (a - b).abs());
                let moved = moved.fold(0.0, f64::max);
                arrived = moved < 1e-8 * (1.0 + extreme);
                // Separated responses move on by about 1 in each step, for ever.
                if moved > 0.1 && reached > -1e-9 * n as f64 {
                    return Err(separated(design, &next));
                }
                (estimates, log_odds, likelihood) = (next, odds, reached);
                break;
            }
            step.iter_mut().for_each(|s| *s /= 2.0);
        }
    }
    Err(separated(design, &estimates))
}

fn separated(design: &Design, estimates: &[f64]) -> wgrad_graph::Error {
    // The column that contributes most to the log-odds.
    let reach = |j: usize| {
        let column = &design.columns[j];
        let (low, high) = column
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |a, v| {
                (a.0.min(*v), a.1.max(*v))
            });
        (estimates[j] * (high - low)).abs()
    };
    let most = (0..design.names.len()).max_by(|&a, &b| reach(a).total_cmp(&reach(b)));
    let name = most.map_or("", |j| design.names[j].as_str());
    let message = format!(
        "the responses are separated: {name} (alone or with others) tells 0 from 1 without a mistake in some or all rows, and no \
         estimate is finite"
    );
    fault("logistic regression", message)
}
