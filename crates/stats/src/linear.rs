//! Least squares with the usual inference: standard errors, t and F tests, intervals.

use crate::design::{Design, fault};
use crate::distribution::{f_above, t_quantile, t_two_sided};
use crate::formula::{Formula, IntoFormula};
use crate::solve::{Factored, quadratic};
use crate::table::Table;
use wgrad_graph::{Error, ErrorKind, Result};

/// An estimated coefficient.
#[derive(Clone, Debug, PartialEq)]
pub struct Coefficient {
    /// The column's name.
    pub name: String,
    /// The estimate.
    pub estimate: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The estimate over its standard error: t of least squares, z of logistic regression.
    pub statistic: f64,
    /// The probability of a statistic this far from 0, on both sides, if the coefficient is 0.
    pub p_value: f64,
}

/// An F test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FTest {
    /// The statistic.
    pub statistic: f64,
    /// Degrees of freedom of numerator and denominator.
    pub freedom: (usize, usize),
    /// The probability of a statistic this great if the coefficients are 0.
    pub p_value: f64,
}

/// A prediction with its intervals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The estimated mean of the response.
    pub mean: f64,
    /// The standard error of that mean.
    pub standard_error: f64,
    /// Where the mean lies, with the asked for confidence.
    pub confidence: (f64, f64),
    /// Where one new response lies.
    pub prediction: (f64, f64),
}

/// A fitted linear model. `Display` gives the table that statsmodels prints.
///
/// ```
/// use wgrad_stats::{LinearModel, Table};
/// // The growth of 5 plants by hours of light.
/// let table = Table::new()
///     .numbers("light", &[1.0, 2.0, 3.0, 4.0, 5.0])?
///     .numbers("growth", &[2.0, 4.0, 5.0, 4.0, 5.0])?;
/// let model = LinearModel::fit("growth ~ light", &table)?;
/// let light = model.coefficient("light")?;
/// assert!((light.estimate - 0.6).abs() < 1e-12);
/// assert!((light.standard_error - 0.08f64.sqrt()).abs() < 1e-12);
/// assert!((model.r_squared - 0.6).abs() < 1e-12);
/// let new = Table::new().numbers("light", &[6.0])?;
/// let prediction = model.predict(&new, 0.95)?[0];
/// assert!((prediction.mean - 5.8).abs() < 1e-12);
/// assert!(prediction.prediction.0 < prediction.confidence.0);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LinearModel {
    pub(crate) response: String,
    names: Vec<String>,
    estimates: Vec<f64>,
    /// Of the estimates, row by row.
    covariance: Vec<f64>,
    /// For predictions; absent where the design was given.
    origin: Option<(Formula, Table)>,
    /// Rows.
    pub samples: usize,
    /// Coefficients without the intercept.
    pub model_freedom: usize,
    /// Rows less coefficients.
    pub residual_freedom: usize,
    /// The residuals' sum of squares.
    pub rss: f64,
    /// The response's sum of squares, around its mean if there is an intercept.
    pub tss: f64,
    /// The residual standard error: √(RSS / residual degrees of freedom).
    pub rse: f64,
    /// 1 − RSS / TSS; NaN of a constant response, as are the tests.
    pub r_squared: f64,
    /// R² with mean squares in the place of sums.
    pub adjusted_r_squared: f64,
    /// Whether all coefficients but the intercept are 0. `None` without such.
    pub f_test: Option<FTest>,
    /// Of normal errors.
    pub log_likelihood: f64,
    /// 2 coefficients − 2 log-likelihood.
    pub aic: f64,
    /// ln(rows) coefficients − 2 log-likelihood.
    pub bic: f64,
    /// Response less fitted values.
    pub residuals: Vec<f64>,
    /// The model's values at the rows of the table.
    pub fitted: Vec<f64>,
}

impl LinearModel {
    /// Fits a formula to a table.
    ///
    /// # Errors
    /// The formula is none; a column or a value is missing; no more rows than coefficients; columns that depend on
    /// each other, by name.
    pub fn fit(formula: impl IntoFormula, table: &Table) -> Result<Self> {
        let formula = formula.into_formula()?.expanded(table);
        table.check_complete(&formula.response)?;
        let y = table.values(&formula.response)?;
        let design = Design::new(&formula, table)?;
        let mut model = Self::fit_design(&formula.response, &design, y)?;
        model.origin = Some((formula, table.shape()));
        Ok(model)
    }

    /// Fits a design of one's own.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); a response of another length or with numbers that are not finite.
    pub fn fit_design(response: &str, design: &Design, y: &[f64]) -> Result<Self> {
        let op = "least squares";
        let (n, p) = (design.rows, design.names.len());
        checked_response(op, design, y)?;
        let factored = Factored::new(op, design)?;
        if n <= p {
            let message = format!("{n} rows leave nothing to judge {p} coefficients by");
            return Err(fault(op, message));
        }
        let estimates = factored.solve(y);
        let fitted: Vec<f64> = (0..n).map(|i| design.dot(i, &estimates)).collect();
        let residuals: Vec<f64> = y.iter().zip(&fitted).map(|(y, f)| y - f).collect();
        let rss: f64 = residuals.iter().map(|r| r * r).sum();
        let mean = if design.intercept {
            y.iter().sum::<f64>() / n as f64
        } else {
            0.0
        };
        // A mean of equal numbers may miss them by a bit.
        let constant = design.intercept && y.iter().all(|v| *v == y[0]);
        let squares = y.iter().map(|y| (y - mean).powi(2));
        let tss: f64 = if constant { 0.0 } else { squares.sum() };
        let constants = usize::from(design.intercept);
        let (model_freedom, residual_freedom) = (p - constants, n - p);
        let mean_square = rss / residual_freedom as f64;
        let r_squared = if tss > 0.0 { 1.0 - rss / tss } else { f64::NAN };
        let f_test = (model_freedom > 0).then(|| {
            let gain = if tss > 0.0 { tss - rss } else { f64::NAN };
            let statistic = gain / model_freedom as f64 / mean_square;
            FTest::new(statistic, model_freedom, residual_freedom)
        });
        let rows = n as f64;
        let log_likelihood = -rows / 2.0 * ((std::f64::consts::TAU * rss / rows).ln() + 1.0);
        Ok(LinearModel {
            response: response.into(),
            names: design.names.clone(),
            covariance: factored.inverse().iter().map(|c| c * mean_square).collect(),
            estimates,
            origin: None,
            samples: n,
            model_freedom,
            residual_freedom,
            rss,
            tss,
            rse: mean_square.sqrt(),
            r_squared,
            adjusted_r_squared: 1.0
                - (1.0 - r_squared) * (n - constants) as f64 / residual_freedom as f64,
            f_test,
            log_likelihood,
            aic: 2.0 * (p as f64 - log_likelihood),
            bic: rows.ln() * p as f64 - 2.0 * log_likelihood,
            residuals,
            fitted,
        })
    }

    /// All coefficients, in the design's order.
    pub fn coefficients(&self) -> Vec<Coefficient> {
        let p_value = |t: f64| t_two_sided(t, self.residual_freedom as f64);
        coefficients(&self.names, &self.estimates, &self.covariance, p_value)
    }

    /// The coefficient of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn coefficient(&self, name: &str) -> Result<Coefficient> {
        named(self.coefficients(), name)
    }

    /// Where each coefficient lies with this confidence (0.95, say), in order.
    ///
    /// # Errors
    /// The level is not between 0 and 1.
    pub fn confidence_intervals(&self, level: f64) -> Result<Vec<(f64, f64)>> {
        let reach = t_quantile(checked_level(level)?, self.residual_freedom as f64);
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

    /// Predictions for the rows of another table, with intervals of this confidence.
    ///
    /// # Errors
    /// The model was fitted to a design; a column or value is missing; a level is new; a level that is not between 0 and 1.
    pub fn predict(&self, table: &Table, level: f64) -> Result<Vec<Prediction>> {
        let design = design_of(self.origin.as_ref(), table)?;
        self.predict_design(&design, level)
    }

    /// Predictions for the rows of a design.
    ///
    /// # Errors
    /// It has other columns; a level that is not between 0 and 1.
    pub fn predict_design(&self, design: &Design, level: f64) -> Result<Vec<Prediction>> {
        same_columns(&self.names, design)?;
        let reach = t_quantile(checked_level(level)?, self.residual_freedom as f64);
        let one = |row: usize| {
            let mean = design.dot(row, &self.estimates);
            let variance = quadratic(design, row, &self.covariance).max(0.0);
            let around = |variance: f64| {
                let half = reach * variance.sqrt();
                (mean - half, mean + half)
            };
            Prediction {
                mean,
                standard_error: variance.sqrt(),
                confidence: around(variance),
                prediction: around(variance + self.rse * self.rse),
            }
        };
        Ok((0..design.rows).map(one).collect())
    }
}

impl FTest {
    fn new(statistic: f64, first: usize, second: usize) -> Self {
        FTest {
            statistic,
            freedom: (first, second),
            p_value: f_above(statistic, first as f64, second as f64),
        }
    }
}

/// Whether the coefficients that `large` has beyond `small` are 0: the partial F test. `small` must be a part of `large`, on
/// the same rows.
///
/// ```
/// use wgrad_stats::{LinearModel, Table, compare};
/// let table = Table::new()
///     .numbers("a", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?
///     .numbers("b", &[1.0, 0.0, 0.0, 1.0, 0.0, 1.0])?
///     .numbers("y", &[2.1, 3.0, 4.2, 5.9, 6.0, 8.1])?;
/// let small = LinearModel::fit("y ~ a", &table)?;
/// let large = LinearModel::fit("y ~ a + b", &table)?;
/// let test = compare(&small, &large)?;
/// // One coefficient: F is the square of its t.
/// assert!((test.statistic - large.coefficient("b")?.statistic.powi(2)).abs() < 1e-6);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// Other responses or rows; `large` has no more coefficients, or not those of `small`.
pub fn compare(small: &LinearModel, large: &LinearModel) -> Result<FTest> {
    let inside = small.names.iter().all(|n| large.names.contains(n));
    let same = small.samples == large.samples && small.response == large.response;
    if !inside || !same || large.names.len() <= small.names.len() {
        let message = format!(
            "the model of {} is no part of that of {} on the same rows",
            small.names.join(", "),
            large.names.join(", ")
        );
        return Err(fault("compare", message));
    }
    let more = small.residual_freedom - large.residual_freedom;
    let gain = (small.rss - large.rss).max(0.0) / more as f64;
    let statistic = gain / (large.rss / large.residual_freedom as f64);
    Ok(FTest::new(statistic, more, large.residual_freedom))
}

pub(crate) fn coefficients(
    names: &[String],
    estimates: &[f64],
    covariance: &[f64],
    p_value: impl Fn(f64) -> f64,
) -> Vec<Coefficient> {
    let one = |(at, name): (usize, &String)| {
        let standard_error = covariance[at * (names.len() + 1)].sqrt();
        let statistic = estimates[at] / standard_error;
        Coefficient {
            name: name.clone(),
            estimate: estimates[at],
            standard_error,
            statistic,
            p_value: p_value(statistic),
        }
    };
    names.iter().enumerate().map(one).collect()
}

pub(crate) fn named(all: Vec<Coefficient>, name: &str) -> Result<Coefficient> {
    let names: Vec<&str> = all.iter().map(|c| c.name.as_str()).collect();
    let message = format!("there is no {name}; there are {}", names.join(", "));
    let found = all.iter().find(|c| c.name == name).cloned();
    found.ok_or_else(|| fault("coefficient", message))
}

pub(crate) fn checked_level(level: f64) -> Result<f64> {
    if level > 0.0 && level < 1.0 {
        Ok(level)
    } else {
        let message = format!("the level is {level}: it lies between 0 and 1");
        Err(fault("interval", message))
    }
}

pub(crate) fn checked_response(op: &str, design: &Design, y: &[f64]) -> Result<()> {
    if y.len() != design.rows {
        let message = format!("{} responses for {} rows", y.len(), design.rows);
        return Err(Error::new(ErrorKind::Shape, op, message));
    }
    match y.iter().position(|v| !v.is_finite()) {
        Some(row) => Err(fault(
            op,
            format!("the response in row {row} is {}", y[row]),
        )),
        None => Ok(()),
    }
}

pub(crate) fn design_of(origin: Option<&(Formula, Table)>, table: &Table) -> Result<Design> {
    let Some((formula, shape)) = origin else {
        let message = "the model was fitted to a design: predict_design takes another one";
        return Err(fault("predict", message));
    };
    let columns = formula.columns();
    if columns.is_empty() {
        return Design::new(formula, table);
    }
    Design::new(formula, &table.coded_as(shape, &columns)?)
}

pub(crate) fn same_columns(names: &[String], design: &Design) -> Result<()> {
    if names == design.names {
        return Ok(());
    }
    let message = format!(
        "the design has the columns {}, the model {}",
        design.names.join(", "),
        names.join(", ")
    );
    Err(fault("predict", message))
}
