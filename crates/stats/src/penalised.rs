//! Ridge, lasso and elastic net, for a path of penalties. Minimises what scikit-learn minimises; glmnet's `lambda` is the penalty
//! of a lasso with `standardize`.

use crate::design::{Design, fault};
use crate::linear::checked_response;
use crate::solve::Factored;
use wgrad_graph::Result;

/// Sweeps over all coefficients before giving up.
const SWEEPS: usize = 200_000;

/// Options of [`ridge`], [`lasso`] and [`elastic_net`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PenalisedOptions {
    /// Divides each column by its standard deviation (with n) first, so that the penalty reaches all alike; coefficients
    /// are given for the columns as they were. On at first.
    pub standardize: bool,
}

impl Default for PenalisedOptions {
    fn default() -> Self {
        PenalisedOptions { standardize: true }
    }
}

/// Coefficients for each penalty.
#[derive(Clone, Debug, PartialEq)]
pub struct Penalised {
    /// The names of the coefficients, without the intercept.
    pub names: Vec<String>,
    /// As they were given.
    pub penalties: Vec<f64>,
    /// One for each penalty; 0 if the design has none.
    pub intercepts: Vec<f64>,
    /// For each penalty one for each name.
    pub coefficients: Vec<Vec<f64>>,
}

impl Penalised {
    /// The predictions of the model with the penalty at this place, for the rows of a design.
    ///
    /// # Errors
    /// No such penalty; the design has other columns.
    pub fn predict(&self, at: usize, design: &Design) -> Result<Vec<f64>> {
        let Some(coefficients) = self.coefficients.get(at) else {
            let message = format!("there are {} penalties, not {at}", self.penalties.len());
            return Err(fault("predict", message));
        };
        let (names, columns): (Vec<&String>, Vec<&Vec<f64>>) = design.slopes().unzip();
        if names.iter().copied().ne(&self.names) {
            return Err(fault("predict", "the design has other columns"));
        }
        let one = |row: usize| {
            let slopes = columns.iter().zip(coefficients).map(|(c, b)| c[row] * b);
            self.intercepts[at] + slopes.sum::<f64>()
        };
        Ok((0..design.rows).map(one).collect())
    }
}

/// Columns and response as the penalties see them.
struct Prepared {
    names: Vec<String>,
    columns: Vec<Vec<f64>>,
    means: Vec<f64>,
    /// 0 for a constant column, whose coefficient is 0.
    scales: Vec<f64>,
    y: Vec<f64>,
    y_mean: f64,
}

fn prepare(
    op: &str,
    design: &Design,
    y: &[f64],
    penalties: &[f64],
    options: PenalisedOptions,
) -> Result<Prepared> {
    checked_response(op, design, y)?;
    if let Some(p) = penalties.iter().find(|p| !(p.is_finite() && **p >= 0.0)) {
        let message = format!("a penalty is {p}: it must be 0 or more");
        return Err(fault(op, message));
    }
    let n = design.rows as f64;
    let mean = |v: &[f64]| {
        if design.intercept {
            v.iter().sum::<f64>() / n
        } else {
            0.0
        }
    };
    let mut out = Prepared {
        names: Vec::new(),
        columns: Vec::new(),
        means: Vec::new(),
        scales: Vec::new(),
        y_mean: mean(y),
        y: Vec::new(),
    };
    out.y = y.iter().map(|v| v - out.y_mean).collect();
    for (name, column) in design.slopes() {
        let own = mean(column);
        let constant = design.intercept && column.iter().all(|v| *v == column[0]);
        let centred: Vec<f64> = column.iter().map(|v| v - own).collect();
        let squares: f64 = centred.iter().map(|v| v * v).sum();
        let scale = match (options.standardize, constant || squares == 0.0) {
            (_, true) => 0.0,
            (true, false) => (squares / n).sqrt(),
            (false, false) => 1.0,
        };
        let by = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        out.columns.push(centred.iter().map(|v| v * by).collect());
        out.names.push(name.clone());
        out.means.push(own);
        out.scales.push(scale);
    }
    if out.names.is_empty() {
        return Err(fault(op, "the design has no columns but the intercept"));
    }
    Ok(out)
}

impl Prepared {
    fn finished(self, penalties: &[f64], found: Vec<Vec<f64>>) -> Penalised {
        let undo = |b: Vec<f64>| -> Vec<f64> {
            let both = b.iter().zip(&self.scales);
            both.map(|(b, s)| if *s == 0.0 { 0.0 } else { b / s })
                .collect()
        };
        let coefficients: Vec<Vec<f64>> = found.into_iter().map(undo).collect();
        let intercept = |b: &Vec<f64>| {
            let at_means: f64 = b.iter().zip(&self.means).map(|(b, m)| b * m).sum();
            self.y_mean - at_means
        };
        Penalised {
            intercepts: coefficients.iter().map(intercept).collect(),
            names: self.names,
            penalties: penalties.to_vec(),
            coefficients,
        }
    }
}

/// Ridge regression: minimises |y − Xb|² + penalty |b|², the intercept not counted, as scikit-learn's `Ridge(alpha)`. (In
/// glmnet's units the penalty is n λ.)
///
/// ```
/// use wgrad_stats::{Design, PenalisedOptions, Table, ridge};
/// let table = Table::new().numbers("x", &[-1.0, 0.0, 1.0])?;
/// let design = Design::new(&"y ~ x".parse()?, &table)?;
/// let plain = PenalisedOptions { standardize: false };
/// let path = ridge(&design, &[-2.0, 0.0, 2.0], &[0.0, 2.0], plain)?;
/// assert!((path.coefficients[0][0] - 2.0).abs() < 1e-12); // least squares
/// assert!((path.coefficients[1][0] - 1.0).abs() < 1e-12); // 4 / (2 + 2)
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// A response of another length or with numbers that are not finite; a negative penalty; no columns; without a penalty, columns
/// that depend on each other.
pub fn ridge(
    design: &Design,
    y: &[f64],
    penalties: &[f64],
    options: PenalisedOptions,
) -> Result<Penalised> {
    let op = "ridge";
    let prepared = prepare(op, design, y, penalties, options)?;
    let n = design.rows;
    let live: Vec<usize> = (0..prepared.names.len())
        .filter(|&j| prepared.scales[j] != 0.0)
        .collect();
    let mut found = Vec::with_capacity(penalties.len());
    for &penalty in penalties {
        // Rows that pull each coefficient to 0: the same minimum, without squaring the condition.
        let mut rows = Design {
            names: live.iter().map(|&j| prepared.names[j].clone()).collect(),
            columns: Vec::new(),
            intercept: false,
            rows: n,
        };
        let mut target = prepared.y.clone();
        if penalty > 0.0 {
            rows.rows += live.len();
            target.resize(rows.rows, 0.0);
        }
        for (k, &j) in live.iter().enumerate() {
            let mut column = prepared.columns[j].clone();
            column.resize(rows.rows, 0.0);
            if penalty > 0.0 {
                column[n + k] = penalty.sqrt();
            }
            rows.columns.push(column);
        }
        let mut b = vec![0.0; prepared.names.len()];
        if !live.is_empty() {
            let solved = Factored::new(op, &rows)?.solve(&target);
            live.iter().zip(solved).for_each(|(&j, s)| b[j] = s);
        }
        found.push(b);
    }
    Ok(prepared.finished(penalties, found))
}

/// The lasso: minimises |y − Xb|² / 2n + penalty |b|₁, the intercept not counted, as scikit-learn's `Lasso(alpha)` and
/// glmnet. By coordinate descent, each penalty starting from the one before: give them falling.
///
/// ```
/// use wgrad_stats::{Design, PenalisedOptions, Table, lasso, penalties};
/// let table = Table::new()
///     .numbers("x", &[-1.0, 0.0, 1.0, 2.0])?
///     .numbers("noise", &[0.1, -0.1, 0.1, -0.1])?;
/// let design = Design::new(&"y ~ x + noise".parse()?, &table)?;
/// let y = [-2.0, 0.1, 2.0, 4.1];
/// let options = PenalisedOptions::default();
/// let falling = penalties(&design, &y, 5, 0.01, options)?;
/// let path = lasso(&design, &y, &falling, options)?;
/// assert_eq!(path.coefficients[0], [0.0, 0.0]); // the first penalty is the least that leaves nothing
/// assert!(path.coefficients[4][0] > 1.9);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// As [`ridge`], but columns may depend on each other; no convergence.
pub fn lasso(
    design: &Design,
    y: &[f64],
    penalties: &[f64],
    options: PenalisedOptions,
) -> Result<Penalised> {
    elastic_net(design, y, penalties, 1.0, options)
}

/// The elastic net: minimises |y − Xb|² / 2n + penalty (ratio |b|₁ + (1 − ratio) |b|² / 2), as scikit-learn's
/// `ElasticNet(alpha, l1_ratio)`.
///
/// # Errors
/// As [`lasso`]; a ratio that is not above 0 and at most 1.
pub fn elastic_net(
    design: &Design,
    y: &[f64],
    penalties: &[f64],
    l1_ratio: f64,
    options: PenalisedOptions,
) -> Result<Penalised> {
    let op = "lasso";
    if !(l1_ratio > 0.0 && l1_ratio <= 1.0) {
        let message = format!("the ratio is {l1_ratio}: it lies above 0 and is at most 1");
        return Err(fault(op, message));
    }
    let prepared = prepare(op, design, y, penalties, options)?;
    let n = design.rows as f64;
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / n;
    let squares: Vec<f64> = prepared.columns.iter().map(|c| dot(c, c)).collect();
    let spread = dot(&prepared.y, &prepared.y).sqrt();
    let mut b = vec![0.0; prepared.names.len()];
    let mut residual = prepared.y.clone();
    let mut found = Vec::with_capacity(penalties.len());
    for &penalty in penalties {
        let (absolute, square) = (penalty * l1_ratio, penalty * (1.0 - l1_ratio));
        let mut arrived = false;
        for _ in 0..SWEEPS {
            let mut most = 0.0f64;
            for j in 0..b.len() {
                if squares[j] == 0.0 {
                    continue;
                }
                let column = &prepared.columns[j];
                let pull = dot(column, &residual) + squares[j] * b[j];
                let shrunk = (pull.abs() - absolute).max(0.0).copysign(pull);
                let new = shrunk / (squares[j] + square);
                let change = new - b[j];
                if change != 0.0 {
                    residual
                        .iter_mut()
                        .zip(column)
                        .for_each(|(r, x)| *r -= change * x);
                    b[j] = new;
                }
                most = most.max(change.abs() * squares[j].sqrt());
            }
            if most <= 1e-12 * spread {
                arrived = true;
                break;
            }
        }
        if !arrived {
            let message = format!("no convergence with the penalty {penalty}: try a greater one");
            return Err(fault(op, message));
        }
        // A negative zero would be read as a direction.
        found.push(b.iter().map(|v| v + 0.0).collect());
    }
    Ok(prepared.finished(penalties, found))
}

/// `count` penalties for [`lasso`], equally far in logarithms: from the least that leaves no coefficient down to `ratio` of it.
///
/// # Errors
/// As [`lasso`]; fewer than two; a ratio that is not between 0 and 1; a response without spread.
pub fn penalties(
    design: &Design,
    y: &[f64],
    count: usize,
    ratio: f64,
    options: PenalisedOptions,
) -> Result<Vec<f64>> {
    let op = "penalties";
    if count < 2 || !(ratio > 0.0 && ratio < 1.0) {
        let message = format!(
            "{count} penalties down to {ratio}: it takes two or more, and a ratio between 0 and 1"
        );
        return Err(fault(op, message));
    }
    let prepared = prepare(op, design, y, &[], options)?;
    let n = design.rows as f64;
    let pull = |c: &Vec<f64>| {
        let dot: f64 = c.iter().zip(&prepared.y).map(|(a, b)| a * b).sum();
        (dot / n).abs()
    };
    let most = prepared.columns.iter().map(pull).fold(0.0, f64::max);
    if most == 0.0 {
        return Err(fault(op, "no column is correlated with the response"));
    }
    let at = |k: usize| most * ratio.powf(k as f64 / (count - 1) as f64);
    Ok((0..count).map(at).collect())
}
