//! Named columns of one length: numbers, or categories with a baseline. Knows no model.

use wgrad_graph::{Error, ErrorKind, Result};

/// Named columns.
///
/// ```
/// use wgrad_stats::Table;
/// let table = Table::new()
///     .numbers("balance", &[730.0, 817.0, f64::NAN])?
///     .categories("student", &["No", "Yes", "No"])?;
/// assert_eq!(table.rows(), 3);
/// assert_eq!(table.drop_missing().rows(), 2);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Vec<(String, Column)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Column {
    Numbers(Vec<f64>),
    Categories {
        /// The baseline first.
        levels: Vec<String>,
        codes: Vec<usize>,
    },
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Column::Numbers(values) => values.len(),
            Column::Categories { codes, .. } => codes.len(),
        }
    }
}

fn fault(message: String) -> Error {
    Error::new(ErrorKind::Value, "table", message)
}

impl Table {
    /// No columns.
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, name: &str, column: Column) -> Result<Self> {
        let sound = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') || !name.chars().all(sound) {
            return Err(fault(format!(
                "{name:?} is no name: letters, digits, points and underscores, a letter first"
            )));
        }
        if self.column(name).is_ok() {
            return Err(fault(format!("there are two columns called {name}")));
        }
        if !self.columns.is_empty() && column.len() != self.rows() {
            let (found, rows) = (column.len(), self.rows());
            return Err(fault(format!(
                "{name} has {found} rows, the other columns have {rows}"
            )));
        }
        self.columns.push((name.into(), column));
        Ok(self)
    }

    /// One more column of numbers; NaN is a missing value.
    ///
    /// # Errors
    /// Another number of rows, a name that is taken or is none.
    pub fn numbers<T: Copy + Into<f64>>(self, name: &str, values: &[T]) -> Result<Self> {
        let values = values.iter().map(|&v| v.into()).collect();
        self.with(name, Column::Numbers(values))
    }

    /// One more column of categories. The baseline is the first level in alphabetical order; an empty text is a missing value.
    ///
    /// # Errors
    /// As [`numbers`](Self::numbers).
    pub fn categories<T: AsRef<str>>(self, name: &str, values: &[T]) -> Result<Self> {
        let mut levels: Vec<String> = values
            .iter()
            .map(|v| v.as_ref().to_owned())
            .filter(|v| !v.is_empty())
            .collect();
        levels.sort();
        levels.dedup();
        let code = |v: &T| levels.binary_search_by(|l| l.as_str().cmp(v.as_ref()));
        // A missing value has a code that no level has.
        let codes = values.iter().map(|v| code(v).unwrap_or(usize::MAX));
        let codes = codes.collect();
        self.with(name, Column::Categories { levels, codes })
    }

    /// One more column from a tensor `[rows]`.
    ///
    /// ```
    /// use wgrad_graph::{Device, Tensor};
    /// let x = Tensor::new(&[1.0f32, 2.0], &Device::cpu());
    /// let table = wgrad_stats::Table::new().tensor("x", &x)?;
    /// assert_eq!(table.values("x")?, [1.0, 2.0]);
    /// # Ok::<(), wgrad_graph::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`numbers`](Self::numbers), another rank, or the tensor cannot be read.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn tensor(self, name: &str, values: &wgrad_graph::Tensor) -> Result<Self> {
        if values.check()?.rank() != 1 {
            let error = Error::new(ErrorKind::Shape, "table", "a column has one dimension");
            return Err(error.with_operands(vec![(values.shape().to_vec(), values.dtype())]));
        }
        let values = values.cast(wgrad_graph::DType::F32).to_vec::<f32>()?;
        self.numbers(name, &values)
    }

    /// Makes `level` the baseline of a column of categories: the one that has no dummy.
    ///
    /// # Errors
    /// No such column, no categories, no such level.
    pub fn baseline(mut self, name: &str, level: &str) -> Result<Self> {
        self.column(name)?;
        let column = self.columns.iter_mut().find(|(n, _)| n == name);
        let Some((_, Column::Categories { levels, codes })) = column else {
            return Err(fault(format!(
                "{name} holds numbers, which have no baseline"
            )));
        };
        let Some(at) = levels.iter().position(|l| l == level) else {
            return Err(fault(format!(
                "{name} has no level {level:?}; it has {}",
                levels.join(", ")
            )));
        };
        levels[..=at].rotate_right(1);
        for code in codes.iter_mut() {
            *code = match *code {
                code if code == at => 0,
                code if code < at => code + 1,
                code => code,
            };
        }
        Ok(self)
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, c)| c.len())
    }

    /// The columns' names, in order.
    pub fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(n, _)| n.as_str()).collect()
    }

    /// The numbers of a column.
    ///
    /// # Errors
    /// No such column; it holds categories.
    pub fn values(&self, name: &str) -> Result<&[f64]> {
        match self.column(name)? {
            Column::Numbers(values) => Ok(values),
            Column::Categories { .. } => Err(fault(format!("{name} holds categories"))),
        }
    }

    /// The levels of a column of categories, the baseline first.
    ///
    /// # Errors
    /// No such column; it holds numbers.
    pub fn levels(&self, name: &str) -> Result<&[String]> {
        match self.column(name)? {
            Column::Categories { levels, .. } => Ok(levels),
            Column::Numbers(_) => Err(fault(format!("{name} holds numbers"))),
        }
    }

    pub(crate) fn column(&self, name: &str) -> Result<&Column> {
        let found = self.columns.iter().find(|(n, _)| n == name);
        found.map(|(_, column)| column).ok_or_else(|| {
            let names = self.names().join(", ");
            fault(format!("there is no column {name}; there are {names}"))
        })
    }

    /// The first row in which `name` has no value, which no model takes.
    pub(crate) fn check_complete(&self, name: &str) -> Result<()> {
        let at = match self.column(name)? {
            Column::Numbers(values) => values.iter().position(|v| !v.is_finite()),
            Column::Categories { levels, codes } => codes.iter().position(|&c| c >= levels.len()),
        };
        match at {
            None => Ok(()),
            Some(row) => Err(fault(format!(
                "{name} has no value in row {row} (counted from 0); drop_missing leaves such rows out"
            ))),
        }
    }

    /// The rows of which every column has a value. Levels stay as they are.
    pub fn drop_missing(&self) -> Self {
        let complete = |row: usize| {
            self.columns.iter().all(|(_, column)| match column {
                Column::Numbers(values) => values[row].is_finite(),
                Column::Categories { levels, codes } => codes[row] < levels.len(),
            })
        };
        let rows: Vec<usize> = (0..self.rows()).filter(|&row| complete(row)).collect();
        self.pick(&rows)
    }

    /// These rows, in this order. Levels stay as they are. Rows that do not exist are left out.
    pub fn pick(&self, rows: &[usize]) -> Self {
        let pick = |column: &Column| match column {
            Column::Numbers(values) => Column::Numbers(
                rows.iter()
                    .filter_map(|&r| values.get(r).copied())
                    .collect(),
            ),
            Column::Categories { levels, codes } => Column::Categories {
                levels: levels.clone(),
                codes: rows.iter().filter_map(|&r| codes.get(r).copied()).collect(),
            },
        };
        Table {
            columns: self
                .columns
                .iter()
                .map(|(name, column)| (name.clone(), pick(column)))
                .collect(),
        }
    }

    /// What models of this table need to know about its categories, without rows.
    pub(crate) fn shape(&self) -> Self {
        self.pick(&[])
    }

    /// The columns `names` coded as in `like`, so that a model of that table can take them.
    pub(crate) fn coded_as(&self, like: &Table, names: &[&str]) -> Result<Self> {
        let mut out = Table::new();
        for name in names {
            out = match (self.column(name)?, like.column(name)?) {
                (Column::Numbers(values), Column::Numbers(_)) => out.numbers(name, values)?,
                (
                    Column::Categories { levels, codes },
                    Column::Categories { levels: known, .. },
                ) => {
                    let mut new = Vec::with_capacity(codes.len());
                    for &code in codes {
                        let text = levels.get(code).map_or("", String::as_str);
                        let at = known.iter().position(|l| l == text);
                        if at.is_none() && !text.is_empty() {
                            return Err(fault(format!(
                                "{name} has the level {text:?}, which the model has not seen"
                            )));
                        }
                        new.push(at.unwrap_or(usize::MAX));
                    }
                    let column = Column::Categories {
                        levels: known.clone(),
                        codes: new,
                    };
                    out.with(name, column)?
                }
                _ => {
                    return Err(fault(format!(
                        "{name} is numbers in one table and categories in the other"
                    )));
                }
            };
        }
        Ok(out)
    }
}
