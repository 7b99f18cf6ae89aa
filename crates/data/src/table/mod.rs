//! Tables in memory: named columns of floats, integers, categories or texts, each value there or missing. Reading is `read`'s,
//! turning columns into numbers for a model is `encode`'s. Must not guess silently: what does not fit is an error that names
//! file, line and column.
//!
//! ```
//! use wgrad_data::table::{Kind, Table};
//! let text = "species,mass,sex\nAdelie,3750,male\nGentoo,5000,female\nAdelie,NA,female\n";
//! let table = Table::from_csv(text.as_bytes(), "penguins")?;
//! assert_eq!((table.len(), table.names()), (3, vec!["species", "mass", "sex"]));
//! assert_eq!(table.column("mass")?.kind(), Kind::Integer);
//! assert_eq!(table.column("mass")?.missing(), 1);
//! let (codes, levels) = table.codes("species")?;
//! assert_eq!((codes, levels), (vec![0, 1, 0], vec!["Adelie".to_owned(), "Gentoo".to_owned()]));
//! # Ok::<(), wgrad_data::Error>(())
//! ```

mod column;
mod describe;
mod encode;
mod read;

pub use column::{Column, Kind, Values};
pub use describe::{Description, Summary};
pub use encode::{Categories, Encoder, Matrix, Missing};
pub use read::TableOptions;

use crate::{Error, Result};

/// Columns of the same length with different names.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    name: String,
    columns: Vec<Column>,
    rows: usize,
}

impl Table {
    /// The table of these columns; `name` is what errors call it.
    ///
    /// ```
    /// use wgrad_data::table::{Column, Table};
    /// let table = Table::new(
    ///     "drinks",
    ///     vec![
    ///         Column::floats("litres", vec![Some(0.5), None]),
    ///         Column::categories("kind", &[Some("tea"), Some("cocoa")]),
    ///     ],
    /// )?;
    /// assert_eq!((table.len(), table.drop_missing().codes("kind")?.0), (2, vec![1]));
    /// # Ok::<(), wgrad_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Count`] if the columns differ in length, [`Error::Argument`] if two have the same name.
    pub fn new(name: impl Into<String>, columns: Vec<Column>) -> Result<Self> {
        let name = name.into();
        let rows = columns.first().map_or(0, Column::len);
        for (at, column) in columns.iter().enumerate() {
            if column.len() != rows {
                return Err(Error::Count {
                    dataset: format!("{name}, column `{}`", column.name()),
                    field: "values",
                    expected: rows,
                    actual: column.len(),
                });
            }
            if columns[..at].iter().any(|c| c.name() == column.name()) {
                return Err(Error::Argument {
                    function: "Table::new",
                    problem: format!("{name}: two columns are called `{}`", column.name()),
                });
            }
        }
        Ok(Self {
            name,
            columns,
            rows,
        })
    }

    /// Reads a CSV file: commas, a header, kinds by what the columns hold. See [`TableOptions`] for all else.
    ///
    /// # Errors
    /// As [`TableOptions::read`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_csv(path: impl AsRef<std::path::Path>) -> Result<Self> {
        TableOptions::csv().read(path)
    }

    /// Reads a TSV file: as [`Table::read_csv`], with tabs.
    ///
    /// # Errors
    /// As [`TableOptions::read`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_tsv(path: impl AsRef<std::path::Path>) -> Result<Self> {
        TableOptions::tsv().read(path)
    }

    /// As [`Table::read_csv`], from bytes in memory.
    ///
    /// # Errors
    /// As [`TableOptions::read`].
    pub fn from_csv(bytes: &[u8], name: &str) -> Result<Self> {
        TableOptions::csv().from_reader(bytes, name)
    }

    /// What errors call the table.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The columns.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns' names.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.columns.iter().map(Column::name).collect()
    }

    /// The column of this name.
    ///
    /// # Errors
    /// [`Error::NoColumn`] with the names that there are.
    pub fn column(&self, name: &str) -> Result<&Column> {
        let found = self.columns.iter().find(|column| column.name() == name);
        found.ok_or_else(|| Error::NoColumn {
            table: self.name.clone(),
            column: name.to_owned(),
            columns: self.names().iter().map(|&n| n.to_owned()).collect(),
        })
    }

    /// The columns of these names, in this order.
    ///
    /// # Errors
    /// As [`Table::column`].
    pub fn select(&self, names: &[&str]) -> Result<Self> {
        let columns = names.iter().map(|name| self.column(name).cloned());
        Self::new(self.name.clone(), columns.collect::<Result<_>>()?)
    }

    /// All columns but these.
    ///
    /// # Errors
    /// As [`Table::column`].
    pub fn drop(&self, names: &[&str]) -> Result<Self> {
        for name in names {
            self.column(name)?;
        }
        let kept = self.names().into_iter().filter(|n| !names.contains(n));
        self.select(&kept.collect::<Vec<_>>())
    }

    /// The rows of these indices, in this order: a part of a split. Categories keep all their levels.
    ///
    /// # Errors
    /// [`Error::Index`] for an index beyond the rows.
    pub fn rows(&self, indices: &[u32]) -> Result<Self> {
        crate::source::check_indices(indices, self.rows)?;
        Ok(Self {
            name: self.name.clone(),
            columns: self.columns.iter().map(|c| c.rows(indices)).collect(),
            rows: indices.len(),
        })
    }

    /// The rows in which no value is missing.
    ///
    /// ```
    /// # use wgrad_data::table::Table;
    /// let table = Table::from_csv(b"a,b\n1,2\nNA,3\n4,\n5,6\n", "t")?;
    /// assert_eq!(table.drop_missing().matrix(&["b"])?.data(), [2.0, 6.0]);
    /// # Ok::<(), wgrad_data::Error>(())
    /// ```
    #[must_use]
    pub fn drop_missing(&self) -> Self {
        let whole = |row: &u32| self.columns.iter().all(|c| !c.is_missing(*row as usize));
        let rows: Vec<u32> = (0..self.rows as u32).filter(whole).collect();
        Self {
            name: self.name.clone(),
            columns: self.columns.iter().map(|c| c.rows(&rows)).collect(),
            rows: rows.len(),
        }
    }

    /// The numbers of these columns as a matrix of rows. Categories and texts need an [`Encoder`].
    ///
    /// # Errors
    /// [`Error::Table`] if a column holds no numbers or a value is missing.
    pub fn matrix(&self, names: &[&str]) -> Result<Matrix> {
        let columns: Vec<&Column> = names
            .iter()
            .map(|n| self.column(n))
            .collect::<Result<_>>()?;
        let mut data = vec![0.0; self.rows * columns.len()];
        for (at, column) in columns.iter().enumerate() {
            let Some(values) = column.numbers() else {
                let kind = column.kind();
                return Err(self.fault(column, None, format!("holds {kind}, not numbers")));
            };
            for (row, value) in values.into_iter().enumerate() {
                let missing =
                    || self.fault(column, Some(row), "a number is missing here".to_owned());
                data[row * columns.len() + at] = value.ok_or_else(missing)? as f32;
            }
        }
        Ok(Matrix::new(
            data,
            names.iter().map(|&n| n.to_owned()).collect(),
        ))
    }

    /// The classes of a column as numbers from 0, and what they are called: categories by their levels, texts and whole
    /// numbers by their sorted values.
    ///
    /// # Errors
    /// [`Error::Table`] if a value is missing or the column holds fractions.
    pub fn codes(&self, name: &str) -> Result<(Vec<i32>, Vec<String>)> {
        let column = self.column(name)?;
        let (codes, levels) = column
            .levels()
            .ok_or_else(|| self.fault(column, None, "holds fractions, not classes".to_owned()))?;
        let missing = |row| self.fault(column, Some(row), "the class is missing here".to_owned());
        let codes = codes
            .into_iter()
            .enumerate()
            .map(|(row, code)| code.map(|c| c as i32).ok_or_else(|| missing(row)));
        Ok((codes.collect::<Result<_>>()?, levels))
    }

    /// Count, mean, spread and quartiles of the columns of numbers; count, levels and the most frequent value of the
    /// others. As `describe` of pandas.
    #[must_use]
    pub fn describe(&self) -> Description {
        describe::describe(self)
    }

    fn fault(&self, column: &Column, row: Option<usize>, problem: String) -> Error {
        Error::Table {
            file: self.name.clone(),
            place: match row {
                Some(row) => format!("row {row}, column `{}`", column.name()),
                None => format!("column `{}`", column.name()),
            },
            problem,
        }
    }
}
