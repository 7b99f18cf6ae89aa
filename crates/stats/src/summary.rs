//! The tables that models print, laid out as statsmodels does. Computes nothing but the tests of residuals.

use crate::distribution::chi_squared_above;
use crate::linear::{Coefficient, LinearModel};
use crate::logistic::LogisticModel;
use std::fmt;

/// Names of coefficients have at least this much room.
const NAME: usize = 13;

/// All columns of the coefficients' table but the names.
const NUMBERS: usize = 65;

/// The room that the longest name needs.
fn name_width(coefficients: &[Coefficient]) -> usize {
    let names = coefficients.iter().map(|c| c.name.chars().count());
    names.max().unwrap_or(0).max(NAME)
}

/// Two columns of names and values.
fn pairs(f: &mut fmt::Formatter<'_>, width: usize, rows: &[[(&str, String); 2]]) -> fmt::Result {
    for [left, right] in rows {
        let value = |name: &str, value: &str, width: usize| {
            let space = width.saturating_sub(name.chars().count());
            format!("{name}{value:>space$}")
        };
        let left = value(left.0, &left.1, width / 2 - 2);
        let right = value(right.0, &right.1, width - width / 2 - 1);
        writeln!(f, "{}", format!("{left}   {right}").trim_end())?;
    }
    Ok(())
}

fn rule(f: &mut fmt::Formatter<'_>, width: usize, letter: &str) -> fmt::Result {
    writeln!(f, "{}", letter.repeat(width))
}

/// Four significant digits, as in the right column.
fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-4..1e5).contains(&size) {
        let digits = if value == 0.0 {
            0
        } else {
            size.log10().floor() as i32
        };
        format!("{value:.*}", (3 - digits).max(0) as usize)
    } else {
        scientific(value, 2)
    }
}

/// Two digits for the exponent at least, with its sign: 1.58e-96, 2.50e+07.
fn scientific(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$e}");
    match text.split_once('e') {
        Some((number, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{number}e-{exponent:0>2}"),
            None => format!("{number}e+{exponent:0>2}"),
        },
        None => text,
    }
}

/// Fixed digits, or an exponent where they would say nothing.
fn fixed(value: f64, digits: usize) -> String {
    let size = value.abs();
    let small = value != 0.0 && size < 0.5 * 10f64.powi(-(digits as i32));
    if size >= 1e6 || small {
        scientific(value, 3.min(digits))
    } else {
        format!("{value:.digits$}")
    }
}

fn coefficient_table(
    f: &mut fmt::Formatter<'_>,
    statistic: &str,
    coefficients: &[Coefficient],
    intervals: &[(f64, f64)],
) -> fmt::Result {
    let first = name_width(coefficients);
    let width = first + NUMBERS;
    let p = format!("P>|{statistic}|");
    let head = ["coef", "std err", statistic, &p, "[0.025", "0.975]"];
    let cells: Vec<String> = head.iter().map(|h| format!("{h:>10}")).collect();
    writeln!(f, "{:first$}{}", "", cells.join(" "))?;
    rule(f, width, "-")?;
    for (c, (low, high)) in coefficients.iter().zip(intervals) {
        let cells = [
            fixed(c.estimate, 4),
            fixed(c.standard_error, 3),
            fixed(c.statistic, 3),
            format!("{:.3}", c.p_value),
            fixed(*low, 3),
            fixed(*high, 3),
        ];
        let cells: Vec<String> = cells.iter().map(|c| format!("{c:>10}")).collect();
        writeln!(f, "{:first$}{}", c.name, cells.join(" "))?;
    }
    Ok(())
}

/// Moments of residuals: skewness and kurtosis.
fn moments(residuals: &[f64]) -> (f64, f64) {
    let n = residuals.len() as f64;
    let mean = residuals.iter().sum::<f64>() / n;
    let moment = |k: i32| residuals.iter().map(|r| (r - mean).powi(k)).sum::<f64>() / n;
    let variance = moment(2);
    (
        moment(3) / variance.powf(1.5),
        moment(4) / (variance * variance),
    )
}

impl LinearModel {
    /// The statistic of Durbin and Watson: about 2 for residuals that do not depend on those before them.
    ///
    /// ```
    /// use wgrad_stats::{LinearModel, Table};
    /// let table = Table::new().numbers("y", &[1.0, -1.0, 1.0, -1.0])?;
    /// assert_eq!(LinearModel::fit("y ~ 1", &table)?.durbin_watson(), 3.0);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    pub fn durbin_watson(&self) -> f64 {
        let steps = self.residuals.windows(2).map(|r| (r[1] - r[0]).powi(2));
        steps.sum::<f64>() / self.rss
    }
}

impl fmt::Display for LinearModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let coefficients = self.coefficients();
        let width = name_width(&coefficients) + NUMBERS;
        writeln!(f, "{:^width$}", "OLS Regression Results")?;
        rule(f, width, "=")?;
        let (statistic, p) = match &self.f_test {
            Some(test) => (short(test.statistic), scientific(test.p_value, 2)),
            None => ("-".into(), "-".into()),
        };
        let whole = |n: usize| n.to_string();
        pairs(
            f,
            width,
            &[
                [
                    ("Dep. Variable:", self.response.clone()),
                    ("R-squared:", format!("{:.3}", self.r_squared)),
                ],
                [
                    ("Model:", "OLS".into()),
                    ("Adj. R-squared:", format!("{:.3}", self.adjusted_r_squared)),
                ],
                [
                    ("Method:", "Least Squares".into()),
                    ("F-statistic:", statistic),
                ],
                [
                    ("No. Observations:", whole(self.samples)),
                    ("Prob (F-statistic):", p),
                ],
                [
                    ("Df Residuals:", whole(self.residual_freedom)),
                    ("Log-Likelihood:", format!("{:.2}", self.log_likelihood)),
                ],
                [
                    ("Df Model:", whole(self.model_freedom)),
                    ("AIC:", short(self.aic)),
                ],
                [
                    ("Residual Std. Error:", short(self.rse)),
                    ("BIC:", short(self.bic)),
                ],
            ],
        )?;
        rule(f, width, "=")?;
        let intervals = self.confidence_intervals(0.95).map_err(|_| fmt::Error)?;
        coefficient_table(f, "t", &coefficients, &intervals)?;
        rule(f, width, "=")?;
        let (skew, kurtosis) = moments(&self.residuals);
        let n = self.samples as f64;
        let jarque_bera = n / 6.0 * (skew * skew + (kurtosis - 3.0).powi(2) / 4.0);
        pairs(
            f,
            width,
            &[
                [
                    ("Skew:", format!("{skew:.3}")),
                    ("Durbin-Watson:", format!("{:.3}", self.durbin_watson())),
                ],
                [
                    ("Kurtosis:", format!("{kurtosis:.3}")),
                    ("Jarque-Bera (JB):", format!("{jarque_bera:.3}")),
                ],
                [
                    ("", String::new()),
                    (
                        "Prob(JB):",
                        scientific(chi_squared_above(jarque_bera, 2.0), 2),
                    ),
                ],
            ],
        )?;
        write!(f, "{}", "=".repeat(width))
    }
}

impl fmt::Display for LogisticModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let coefficients = self.coefficients();
        let width = name_width(&coefficients) + NUMBERS;
        writeln!(f, "{:^width$}", "Logit Regression Results")?;
        rule(f, width, "=")?;
        let whole = |n: usize| n.to_string();
        pairs(
            f,
            width,
            &[
                [
                    ("Dep. Variable:", self.response.clone()),
                    ("No. Observations:", whole(self.samples)),
                ],
                [
                    ("Model:", "Logit".into()),
                    ("Df Residuals:", whole(self.residual_freedom)),
                ],
                [
                    ("Method:", "MLE".into()),
                    ("Df Model:", whole(self.model_freedom)),
                ],
                [
                    ("Deviance:", format!("{:.2}", self.deviance)),
                    ("Pseudo R-squ.:", short(self.pseudo_r_squared)),
                ],
                [
                    ("Null Deviance:", format!("{:.2}", self.null_deviance)),
                    ("Log-Likelihood:", format!("{:.2}", self.log_likelihood)),
                ],
                [
                    ("AIC:", short(self.aic)),
                    ("LL-Null:", format!("{:.2}", self.null_log_likelihood)),
                ],
                [
                    ("Iterations:", whole(self.iterations)),
                    ("LLR p-value:", scientific(self.likelihood_ratio_p_value, 3)),
                ],
            ],
        )?;
        rule(f, width, "=")?;
        let intervals = self.confidence_intervals(0.95).map_err(|_| fmt::Error)?;
        coefficient_table(f, "z", &coefficients, &intervals)?;
        write!(f, "{}", "=".repeat(width))
    }
}
