//! The matrix of a formula and a table: one named column for each coefficient. Fits nothing.

use crate::formula::{Formula, Term};
use crate::table::{Column, Table};
use wgrad_graph::{Error, ErrorKind, Result};

/// A design matrix with names. A column of categories gives a dummy for each level but the baseline, called
/// `student[T.Yes]`; an interaction is the product of its columns' dummies and numbers, so that its main effects should stand in
/// the formula as well.
///
/// ```
/// use wgrad_stats::{Design, Table};
/// let table = Table::new()
///     .numbers("y", &[1.0, 2.0, 3.0])?
///     .numbers("x", &[1.0, 2.0, 4.0])?
///     .categories("s", &["no", "yes", "no"])?;
/// let design = Design::new(&"y ~ x * s".parse()?, &table)?;
/// assert_eq!(design.names(), ["Intercept", "x", "s[T.yes]", "x:s[T.yes]"]);
/// assert_eq!(design.column(3), [0.0, 2.0, 0.0]);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    pub(crate) names: Vec<String>,
    /// One after the other.
    pub(crate) columns: Vec<Vec<f64>>,
    pub(crate) intercept: bool,
    pub(crate) rows: usize,
}

pub(crate) fn fault(op: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Value, op, message)
}

impl Design {
    /// The terms of a formula for each row of a table; the response need not be there.
    ///
    /// # Errors
    /// A column is missing, a value is missing, a power of categories, no rows.
    pub fn new(formula: &Formula, table: &Table) -> Result<Self> {
        let formula = formula.expanded(table);
        let rows = table.rows();
        if rows == 0 {
            return Err(fault("design", "the table has no rows"));
        }
        let mut design = Design {
            names: Vec::new(),
            columns: Vec::new(),
            intercept: formula.intercept,
            rows,
        };
        if formula.intercept {
            design.names.push("Intercept".into());
            design.columns.push(vec![1.0; rows]);
        }
        for term in &formula.terms {
            for (name, values) in term_columns(term, table)? {
                if let Some(row) = values.iter().position(|v| !v.is_finite()) {
                    let message = format!("{name} is {} in row {row}", values[row]);
                    return Err(fault("design", message));
                }
                design.names.push(name);
                design.columns.push(values);
            }
        }
        Ok(design)
    }

    /// From columns of one's own, without an intercept unless one of them is called `Intercept`.
    ///
    /// # Errors
    /// No rows, different lengths, numbers that are not finite.
    pub fn from_columns(columns: Vec<(String, Vec<f64>)>) -> Result<Self> {
        let rows = columns.first().map_or(0, |(_, c)| c.len());
        if rows == 0 {
            return Err(fault("design", "there are no rows"));
        }
        for (name, values) in &columns {
            if values.len() != rows || values.iter().any(|v| !v.is_finite()) {
                let message = format!("{name} has not {rows} finite numbers");
                return Err(fault("design", message));
            }
        }
        let (names, columns): (Vec<String>, Vec<Vec<f64>>) = columns.into_iter().unzip();
        Ok(Design {
            intercept: names.iter().any(|n| n == "Intercept"),
            names,
            columns,
            rows,
        })
    }

    /// One name for each coefficient.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The values of a coefficient's column; empty for one that does not exist.
    pub fn column(&self, at: usize) -> &[f64] {
        self.columns.get(at).map_or(&[], Vec::as_slice)
    }

    /// All but the intercept.
    pub(crate) fn slopes(&self) -> impl Iterator<Item = (&String, &Vec<f64>)> {
        let both = self.names.iter().zip(&self.columns);
        both.filter(|(name, _)| !(self.intercept && *name == "Intercept"))
    }

    pub(crate) fn dot(&self, row: usize, coefficients: &[f64]) -> f64 {
        let both = self.columns.iter().zip(coefficients);
        both.map(|(c, b)| c[row] * b).sum()
    }
}

fn term_columns(term: &Term, table: &Table) -> Result<Vec<(String, Vec<f64>)>> {
    let mut out = vec![(String::new(), vec![1.0; table.rows()])];
    for factor in &term.factors {
        table.check_complete(&factor.column)?;
        let own: Vec<(String, Vec<f64>)> = match table.column(&factor.column)? {
            Column::Numbers(values) => {
                let (name, power) = (factor.column.clone(), factor.power);
                let name = if power == 1 {
                    name
                } else {
                    format!("{name}^{power}")
                };
                let values = values.iter().map(|v| v.powi(power as i32)).collect();
                vec![(name, values)]
            }
            Column::Categories { .. } if factor.power > 1 => {
                let message = format!("{} holds categories, which have no powers", factor.column);
                return Err(fault("design", message));
            }
            Column::Categories { levels, codes } => {
                let dummy = |(code, level): (usize, &String)| {
                    let is = codes.iter().map(|&c| f64::from(u8::from(c == code)));
                    (format!("{}[T.{level}]", factor.column), is.collect())
                };
                levels.iter().enumerate().skip(1).map(dummy).collect()
            }
        };
        let mut product = Vec::new();
        for (name, values) in &out {
            for (own_name, own_values) in &own {
                let joint = if name.is_empty() {
                    own_name.clone()
                } else {
                    format!("{name}:{own_name}")
                };
                let values = values.iter().zip(own_values).map(|(a, b)| a * b).collect();
                product.push((joint, values));
            }
        }
        out = product;
    }
    Ok(out)
}
