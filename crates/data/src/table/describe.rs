//! What a table looks like in a few numbers: `describe` of pandas. Must not change a table.

use std::fmt;

use super::Table;
use super::column::Column;

/// A column in a few numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Summary {
    /// A column of numbers; all but the count are NaN without a value.
    Numbers {
        /// Values that are there.
        count: usize,
        /// Their mean.
        mean: f64,
        /// Their standard deviation, with `n − 1`; NaN for one value.
        std: f64,
        /// The least.
        min: f64,
        /// The first quartile, between neighbours linearly, as the other two.
        q25: f64,
        /// The median.
        median: f64,
        /// The third quartile.
        q75: f64,
        /// The greatest.
        max: f64,
    },
    /// A column of categories or texts.
    Texts {
        /// Values that are there.
        count: usize,
        /// Different ones.
        unique: usize,
        /// The most frequent one, the first of equals in sorted order; empty without a value.
        top: String,
        /// How often it stands there.
        freq: usize,
    },
}

/// Summaries of all columns, with their names: prints as a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    columns: Vec<(String, usize, Summary)>,
}

impl Description {
    /// The summary of a column; `None` if there is no such column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Summary> {
        let found = self.columns.iter().find(|(name, ..)| name == column);
        found.map(|(.., summary)| summary)
    }
}

pub(super) fn describe(table: &Table) -> Description {
    let one = |column: &Column| (column.name().to_owned(), column.missing(), summary(column));
    Description {
        columns: table.columns().iter().map(one).collect(),
    }
}

fn summary(column: &Column) -> Summary {
    if let Some(numbers) = column.numbers() {
        let mut values: Vec<f64> = numbers.into_iter().flatten().collect();
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        return Summary::Numbers {
            count: values.len(),
            mean,
            std: if values.len() < 2 {
                f64::NAN
            } else {
                (squares / (n - 1.0)).sqrt()
            },
            min: quantile(&values, 0.0),
            q25: quantile(&values, 0.25),
            median: quantile(&values, 0.5),
            q75: quantile(&values, 0.75),
            max: quantile(&values, 1.0),
        };
    }
    let (codes, levels) = column.levels().unwrap_or_default();
    let mut counts = vec![0_usize; levels.len()];
    codes
        .iter()
        .flatten()
        .for_each(|&c| counts[c as usize] += 1);
    let top = (0..levels.len()).max_by_key(|&l| (counts[l], std::cmp::Reverse(l)));
    Summary::Texts {
        count: counts.iter().sum(),
        unique: counts.iter().filter(|c| **c > 0).count(),
        top: top.map(|l| levels[l].clone()).unwrap_or_default(),
        freq: top.map_or(0, |l| counts[l]),
    }
}

/// A quantile of sorted values, linearly between neighbours; NaN of none.
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let place = q * (sorted.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    if part == 0.0 {
        return sorted[low];
    }
    sorted[low] + (sorted[high] - sorted[low]) * part
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.columns.iter().map(|(n, ..)| n.chars().count()).max();
        let width = width.unwrap_or(0).max(6);
        writeln!(
            f,
            "{:width$} {:>7} {:>7} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11}",
            "column", "count", "missing", "mean", "std", "min", "25%", "50%", "75%", "max"
        )?;
        for (name, missing, summary) in &self.columns {
            match summary {
                Summary::Numbers {
                    count,
                    mean,
                    std,
                    min,
                    q25,
                    median,
                    q75,
                    max,
                } => {
                    write!(f, "{name:width$} {count:>7} {missing:>7}")?;
                    for value in [mean, std, min, q25, median, q75, max] {
                        write!(f, " {:>11}", short(*value))?;
                    }
                    writeln!(f)?;
                }
                Summary::Texts {
                    count,
                    unique,
                    top,
                    freq,
                } => writeln!(
                    f,
                    "{name:width$} {count:>7} {missing:>7} {unique} different, most often `{top}` ({freq})"
                )?,
            }
        }
        Ok(())
    }
}

/// Six digits.
fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&size) {
        let digits = 5 - size.max(1.0).log10().floor().min(5.0) as usize;
        format!("{value:.digits$}")
    } else {
        format!("{value:.4e}")
    }
}
