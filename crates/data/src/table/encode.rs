//! Columns as numbers for a model, by rules that were fitted on one table and are applied to others: categories as one-hot
//! or dummies, missing values by what the training part had in their place. Must not look at the table it is applied to for
//! anything but its values.

use wgrad_graph::{Device, Tensor};

use super::Table;
use super::column::{Column, Kind};
use crate::{Error, Result};

/// Rows of numbers with named columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    data: Vec<f32>,
    columns: Vec<String>,
}

impl Matrix {
    pub(super) fn new(data: Vec<f32>, columns: Vec<String>) -> Self {
        Self { data, columns }
    }

    /// The numbers, `[rows, columns]`, last dimension fastest.
    #[must_use]
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The columns' names; one-hot columns are called `column=level`.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.data.len() / self.columns.len().max(1)
    }

    /// The matrix on a device, f32 `[rows, columns]`.
    ///
    /// ```
    /// # use wgrad_data::table::Table;
    /// # use wgrad_graph::Device;
    /// let table = Table::from_csv(b"x,y\n1,2\n3,4.5\n", "t")?;
    /// let x = table.matrix(&["y", "x"])?.tensor(&Device::cpu());
    /// assert_eq!((x.shape(), x.to_vec::<f32>()?), (&[2, 2][..], vec![2.0, 1.0, 4.5, 3.0]));
    /// # Ok::<(), wgrad_data::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn tensor(&self, device: &Device) -> Tensor {
        Tensor::from_slice(&self.data, &[self.rows(), self.columns.len()], device)
    }
}

/// How categories become numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Categories {
    /// A column of 0 and 1 for each level.
    #[default]
    OneHot,
    /// As one-hot without the column of the baseline, which is the first level unless another is given: for models with an
    /// intercept, whose columns would be dependent otherwise.
    Dummies,
    /// One column, the position of the level: for embeddings.
    Ordinal,
}

/// What becomes of missing values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// They are an error.
    #[default]
    Forbid,
    /// The mean of a column of numbers; the most frequent level of a column of categories, the first of equals.
    Mean,
    /// The median of a column of numbers; categories as [`Missing::Mean`].
    Median,
    /// 0 for numbers, and no level of a category.
    Zero,
}

/// Turns columns into numbers, in the way that a training table showed.
///
/// ```
/// use wgrad_data::table::{Categories, Encoder, Missing, Table};
/// let train = Table::from_csv(b"size,colour\n1,red\nNA,blue\n3,green\n5,red\n", "train")?;
/// let encoder = Encoder::new()
///     .categories(Categories::Dummies)
///     .baseline("colour", "green")
///     .missing(Missing::Mean)
///     .fit(&train, &["size", "colour"])?;
/// let x = encoder.transform(&train)?;
/// assert_eq!(x.columns(), ["size", "colour=blue", "colour=red"]);
/// assert_eq!(x.data()[3..6], [3.0, 1.0, 0.0]);
/// let test = Table::from_csv(b"colour,size\npurple,1\nred,1\n", "test")?;
/// let error = encoder.transform(&test).unwrap_err().to_string();
/// assert_eq!(error, "test: row 0, column `colour`: `purple` is no level of the table the encoder was fitted on (blue, green, red)");
/// # Ok::<(), wgrad_data::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    categories: Categories,
    missing: Missing,
    ignore_unknown: bool,
    baselines: Vec<(String, String)>,
    columns: Vec<Fitted>,
}

/// A column and what stands in for a missing value there.
#[derive(Clone, Debug)]
enum Fitted {
    Number {
        name: String,
        fill: Option<f64>,
    },
    Levels {
        name: String,
        levels: Vec<String>,
        fill: Option<usize>,
        baseline: Option<usize>,
    },
}

impl Encoder {
    /// One-hot categories, no missing values, no unknown levels.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How categories become numbers.
    #[must_use]
    pub fn categories(mut self, categories: Categories) -> Self {
        self.categories = categories;
        self
    }

    /// What becomes of missing values.
    #[must_use]
    pub fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// Whether a level that the fitted table had not becomes zeros; else it is an error. Not for ordinal categories.
    #[must_use]
    pub fn ignore_unknown(mut self, ignore_unknown: bool) -> Self {
        self.ignore_unknown = ignore_unknown;
        self
    }

    /// The level of a column that dummies leave out.
    #[must_use]
    pub fn baseline(mut self, column: impl Into<String>, level: impl Into<String>) -> Self {
        self.baselines.push((column.into(), level.into()));
        self
    }

    /// Learns levels and fill values from the training table.
    ///
    /// # Errors
    /// [`Error::NoColumn`] for a name that is not there; [`Error::Table`] for a column of texts, a column without a value
    /// where missing ones are to be filled, a baseline that is no level; [`Error::Empty`] for a table without rows.
    pub fn fit(mut self, table: &Table, columns: &[&str]) -> Result<Self> {
        if table.is_empty() {
            return Err(Error::Empty {
                what: "the table",
                problem: format!("{} has no rows to fit an encoder on", table.name()),
            });
        }
        let fitted = columns
            .iter()
            .map(|name| self.fitted(table, table.column(name)?));
        self.columns = fitted.collect::<Result<_>>()?;
        for (column, _) in &self.baselines {
            let known = |f: &Fitted| matches!(f, Fitted::Levels { name, .. } if name == column);
            if !self.columns.iter().any(known) {
                return Err(Error::Argument {
                    function: "Encoder::fit",
                    problem: format!(
                        "the baseline is of `{column}`, which is no column of categories here"
                    ),
                });
            }
        }
        Ok(self)
    }

    fn fitted(&self, table: &Table, column: &Column) -> Result<Fitted> {
        let name = column.name().to_owned();
        if let Some(numbers) = column.numbers() {
            let there: Vec<f64> = numbers.into_iter().flatten().collect();
            let fill = match self.missing {
                Missing::Forbid => None,
                Missing::Zero => Some(0.0),
                _ if there.is_empty() => {
                    let problem = "has no value to fill missing ones with".to_owned();
                    return Err(table.fault(column, None, problem));
                }
                Missing::Mean => Some(there.iter().sum::<f64>() / there.len() as f64),
                Missing::Median => Some(super::describe::quantile(&sorted(there), 0.5)),
            };
            return Ok(Fitted::Number { name, fill });
        }
        if column.kind() == Kind::Text {
            let problem = "holds texts; give its kind as categories, or leave it out".to_owned();
            return Err(table.fault(column, None, problem));
        }
        let (codes, levels) = column.levels().unwrap_or_default();
        let mut counts = vec![0_usize; levels.len()];
        codes
            .iter()
            .flatten()
            .for_each(|&c| counts[c as usize] += 1);
        let most = (0..levels.len()).max_by_key(|&l| (counts[l], std::cmp::Reverse(l)));
        let fill = match self.missing {
            Missing::Mean | Missing::Median => most,
            Missing::Forbid | Missing::Zero => None,
        };
        let wanted = self.baselines.iter().find(|(of, _)| *of == name);
        let baseline = match (self.categories, wanted) {
            (Categories::Dummies, Some((_, level))) => {
                let at = levels.iter().position(|l| l == level);
                let problem = format!(
                    "the baseline `{level}` is none of its levels ({})",
                    levels.join(", ")
                );
                Some(at.ok_or_else(|| table.fault(column, None, problem))?)
            }
            (Categories::Dummies, None) if !levels.is_empty() => Some(0),
            _ => None,
        };
        Ok(Fitted::Levels {
            name,
            levels,
            fill,
            baseline,
        })
    }

    /// The numbers of a table, by the rules that were fitted. Other columns of the table do not matter.
    ///
    /// # Errors
    /// [`Error::NoColumn`]; [`Error::Table`] with row and column for a missing value, an unknown level, or another kind of
    /// column than was fitted.
    pub fn transform(&self, table: &Table) -> Result<Matrix> {
        let mut names = Vec::new();
        let mut parts: Vec<Vec<f32>> = Vec::new();
        for fitted in &self.columns {
            match fitted {
                Fitted::Number { name, fill } => {
                    parts.push(numbers(table, name, *fill)?);
                    names.push(name.clone());
                }
                Fitted::Levels {
                    name,
                    levels,
                    fill,
                    baseline,
                } => {
                    let codes = self.codes(table, name, levels, *fill)?;
                    if self.categories == Categories::Ordinal {
                        let code = |c: &Option<usize>| c.unwrap_or(0) as f32;
                        parts.push(codes.iter().map(code).collect());
                        names.push(name.clone());
                        continue;
                    }
                    for level in (0..levels.len()).filter(|l| Some(*l) != *baseline) {
                        let here = |c: &Option<usize>| f32::from(u8::from(*c == Some(level)));
                        parts.push(codes.iter().map(here).collect());
                        names.push(format!("{name}={}", levels[level]));
                    }
                }
            }
        }
        let row = |row: usize| parts.iter().map(move |part| part[row]);
        let data = (0..table.len()).flat_map(row).collect();
        Ok(Matrix::new(data, names))
    }

    /// The levels of a column of categories, by the order of their columns or codes; empty for numbers.
    #[must_use]
    pub fn levels(&self, column: &str) -> &[String] {
        let found = self.columns.iter().find_map(|fitted| match fitted {
            Fitted::Levels { name, levels, .. } if name == column => Some(levels.as_slice()),
            _ => None,
        });
        found.unwrap_or_default()
    }

    fn codes(
        &self,
        table: &Table,
        name: &str,
        levels: &[String],
        fill: Option<usize>,
    ) -> Result<Vec<Option<usize>>> {
        let column = table.column(name)?;
        let Some((codes, own)) = column.levels() else {
            let problem = "holds floats, the encoder was fitted on categories".to_owned();
            return Err(table.fault(column, None, problem));
        };
        // The levels of this table among those that were fitted.
        let place: Vec<Option<usize>> = own.iter().map(|l| levels.binary_search(l).ok()).collect();
        let code = |(row, code): (usize, &Option<u32>)| match code {
            None if fill.is_some() => Ok(fill),
            None if self.missing == Missing::Zero => Ok(None),
            None => Err(table.fault(column, Some(row), "a value is missing here".to_owned())),
            Some(code) => match place[*code as usize] {
                Some(level) => Ok(Some(level)),
                None if self.ignore_unknown && self.categories != Categories::Ordinal => Ok(None),
                None => {
                    let problem = format!(
                        "`{}` is no level of the table the encoder was fitted on ({})",
                        own[*code as usize],
                        levels.join(", ")
                    );
                    Err(table.fault(column, Some(row), problem))
                }
            },
        };
        codes.iter().enumerate().map(code).collect()
    }
}

fn numbers(table: &Table, name: &str, fill: Option<f64>) -> Result<Vec<f32>> {
    let column = table.column(name)?;
    let Some(values) = column.numbers() else {
        let problem = format!("holds {}, the encoder was fitted on numbers", column.kind());
        return Err(table.fault(column, None, problem));
    };
    let missing = |row| table.fault(column, Some(row), "a number is missing here".to_owned());
    let value = |(row, value): (usize, Option<f64>)| {
        let value = value.or(fill).ok_or_else(|| missing(row));
        value.map(|value| value as f32)
    };
    values.into_iter().enumerate().map(value).collect()
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}
