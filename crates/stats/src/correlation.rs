//! Correlations of columns, with tests, and what they do to a model.

use crate::design::{Design, fault};
use crate::distribution::t_two_sided;
use crate::solve::Factored;
use crate::table::Table;
use wgrad_graph::Result;

/// What is correlated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CorrelationMethod {
    /// The values.
    #[default]
    Pearson,
    /// Their ranks, ties sharing the mean.
    Spearman,
}

/// A correlation coefficient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// −1 to 1.
    pub coefficient: f64,
    /// The probability of one this far from 0, on both sides, of independent normal values: by t with n − 2 degrees of freedom.
    pub p_value: f64,
}

/// The correlation of two columns of numbers.
///
/// ```
/// use wgrad_stats::{CorrelationMethod, correlation};
/// let r = correlation(&[1.0, 2.0, 3.0, 4.0], &[1.0, 4.0, 9.0, 16.0], CorrelationMethod::Spearman)?;
/// assert_eq!(r.coefficient, 1.0);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// Fewer than three values, different lengths, a value that is not finite, a constant column.
pub fn correlation(x: &[f64], y: &[f64], method: CorrelationMethod) -> Result<Correlation> {
    let op = "correlation";
    let n = x.len();
    if n != y.len() || n < 3 {
        let message = format!(
            "{n} and {} values: it takes as many, and at least 3",
            y.len()
        );
        return Err(fault(op, message));
    }
    if x.iter().chain(y).any(|v| !v.is_finite()) {
        return Err(fault(op, "a value is not finite"));
    }
    let (x, y) = match method {
        CorrelationMethod::Pearson => (centred(x), centred(y)),
        CorrelationMethod::Spearman => (centred(&ranks(x)), centred(&ranks(y))),
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let spread = (dot(&x, &x) * dot(&y, &y)).sqrt();
    if spread == 0.0 {
        return Err(fault(op, "a column is constant"));
    }
    let r = (dot(&x, &y) / spread).clamp(-1.0, 1.0);
    let freedom = (n - 2) as f64;
    let t = r * (freedom / ((1.0 - r) * (1.0 + r))).sqrt();
    Ok(Correlation {
        coefficient: r,
        p_value: t_two_sided(t, freedom),
    })
}

fn centred(x: &[f64]) -> Vec<f64> {
    // A constant must give zeros, whatever its mean rounds to.
    if x.iter().all(|v| *v == x[0]) {
        return vec![0.0; x.len()];
    }
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    x.iter().map(|v| v - mean).collect()
}

/// From 1; equal values share the mean of their ranks.
fn ranks(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
    let mut ranks = vec![0.0; x.len()];
    for tie in order.chunk_by(|&a, &b| x[a] == x[b]) {
        let before = order.partition_point(|&i| x[i] < x[tie[0]]);
        for &i in tie {
            ranks[i] = before as f64 + (tie.len() as f64 + 1.0) / 2.0;
        }
    }
    ranks
}

/// The coefficients of all pairs of a table's columns of numbers, row by row, with the names.
///
/// ```
/// use wgrad_stats::{CorrelationMethod, Table, correlation_matrix};
/// let table = Table::new()
///     .numbers("a", &[1.0, 2.0, 3.0])?
///     .numbers("b", &[3.0, 2.0, 1.0])?;
/// let (names, matrix) = correlation_matrix(&table, CorrelationMethod::Pearson)?;
/// assert_eq!(names, ["a", "b"]);
/// assert!((matrix[1] + 1.0).abs() < 1e-12);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// As [`correlation`]; no columns of numbers.
pub fn correlation_matrix(
    table: &Table,
    method: CorrelationMethod,
) -> Result<(Vec<String>, Vec<f64>)> {
    let names: Vec<&str> = table.names();
    let names: Vec<&str> = names
        .into_iter()
        .filter(|n| table.values(n).is_ok())
        .collect();
    if names.is_empty() {
        return Err(fault("correlation", "the table has no columns of numbers"));
    }
    let mut matrix = Vec::with_capacity(names.len() * names.len());
    for a in &names {
        for b in &names {
            let r = correlation(table.values(a)?, table.values(b)?, method)
                .map_err(|e| fault("correlation", format!("{a} and {b}: {}", e.message())))?;
            matrix.push(r.coefficient);
        }
    }
    Ok((names.into_iter().map(str::to_owned).collect(), matrix))
}

/// How much each coefficient's variance is inflated by the other columns: 1 / (1 − R²) of its column on the others. Without the
/// intercept.
///
/// ```
/// use wgrad_stats::{Design, Table, variance_inflation};
/// let table = Table::new()
///     .numbers("a", &[1.0, 2.0, 3.0, 4.0])?
///     .numbers("b", &[1.0, -1.0, -1.0, 1.0])?;
/// let design = Design::new(&"y ~ a + b".parse()?, &table)?;
/// let vif = variance_inflation(&design)?;
/// assert_eq!(vif[0].0, "a");
/// assert!((vif[0].1 - 1.0).abs() < 1e-12);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
///
/// # Errors
/// A column is a linear combination of others; more columns than rows.
pub fn variance_inflation(design: &Design) -> Result<Vec<(String, f64)>> {
    let inverse = Factored::new("variance_inflation", design)?.inverse();
    let p = design.names.len();
    let mut out = Vec::new();
    for (at, name) in design.names.iter().enumerate() {
        if design.intercept && name == "Intercept" {
            continue;
        }
        let column = &design.columns[at];
        let mean = if design.intercept {
            column.iter().sum::<f64>() / design.rows as f64
        } else {
            0.0
        };
        let spread: f64 = column.iter().map(|v| (v - mean).powi(2)).sum();
        out.push((name.clone(), inverse[at * p + at] * spread));
    }
    Ok(out)
}
