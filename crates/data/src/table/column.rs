//! A column: a name and values of one kind, any of which may be missing. Must not read files.

use std::collections::BTreeMap;
use std::fmt;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Numbers with fractions, f64.
    Float,
    /// Whole numbers, i64.
    Integer,
    /// One of a few texts, the levels.
    Category,
    /// Any text.
    Text,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float => "floats",
            Self::Integer => "integers",
            Self::Category => "categories",
            Self::Text => "texts",
        })
    }
}

/// The values of a column; `None` is missing.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers with fractions.
    Float(Vec<Option<f64>>),
    /// Whole numbers.
    Integer(Vec<Option<i64>>),
    /// Positions among the levels, which are sorted and different.
    Category {
        /// For each row its level.
        codes: Vec<Option<u32>>,
        /// The texts.
        levels: Vec<String>,
    },
    /// Texts.
    Text(Vec<Option<String>>),
}

/// A named column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    name: String,
    values: Values,
}

impl Column {
    /// Numbers.
    #[must_use]
    pub fn floats(name: impl Into<String>, values: Vec<Option<f64>>) -> Self {
        Self::of(name, Values::Float(values))
    }

    /// Whole numbers.
    #[must_use]
    pub fn integers(name: impl Into<String>, values: Vec<Option<i64>>) -> Self {
        Self::of(name, Values::Integer(values))
    }

    /// Categories, whose levels are the sorted texts.
    #[must_use]
    pub fn categories(name: impl Into<String>, values: &[Option<&str>]) -> Self {
        let (codes, levels) = coded(values.iter().map(|v| v.map(str::to_owned)));
        Self::of(name, Values::Category { codes, levels })
    }

    /// Texts.
    #[must_use]
    pub fn texts(name: impl Into<String>, values: Vec<Option<String>>) -> Self {
        Self::of(name, Values::Text(values))
    }

    pub(super) fn of(name: impl Into<String>, values: Values) -> Self {
        Self {
            name: name.into(),
            values,
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.values {
            Values::Float(_) => Kind::Float,
            Values::Integer(_) => Kind::Integer,
            Values::Category { .. } => Kind::Category,
            Values::Text(_) => Kind::Text,
        }
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Float(values) => values.len(),
            Values::Integer(values) => values.len(),
            Values::Category { codes, .. } => codes.len(),
            Values::Text(values) => values.len(),
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the value of a row is missing, as all beyond the last are.
    #[must_use]
    pub fn is_missing(&self, row: usize) -> bool {
        match &self.values {
            Values::Float(values) => values.get(row).is_none_or(Option::is_none),
            Values::Integer(values) => values.get(row).is_none_or(Option::is_none),
            Values::Category { codes, .. } => codes.get(row).is_none_or(Option::is_none),
            Values::Text(values) => values.get(row).is_none_or(Option::is_none),
        }
    }

    /// The number of missing values.
    #[must_use]
    pub fn missing(&self) -> usize {
        (0..self.len()).filter(|&row| self.is_missing(row)).count()
    }

    /// The values as numbers; `None` for categories and texts.
    #[must_use]
    pub fn numbers(&self) -> Option<Vec<Option<f64>>> {
        match &self.values {
            Values::Float(values) => Some(values.clone()),
            Values::Integer(values) => Some(values.iter().map(|v| v.map(|v| v as f64)).collect()),
            _ => None,
        }
    }

    /// The values as positions among sorted levels; `None` for floats.
    #[must_use]
    pub fn levels(&self) -> Option<(Vec<Option<u32>>, Vec<String>)> {
        match &self.values {
            Values::Category { codes, levels } => Some((codes.clone(), levels.clone())),
            Values::Text(values) => Some(coded(values.iter().cloned())),
            Values::Integer(values) => {
                let mut sorted: Vec<i64> = values.iter().flatten().copied().collect();
                sorted.sort_unstable();
                sorted.dedup();
                let code = |v: &i64| sorted.binary_search(v).ok().map(|at| at as u32);
                let codes = values.iter().map(|v| v.as_ref().and_then(code)).collect();
                Some((codes, sorted.iter().map(i64::to_string).collect()))
            }
            Values::Float(_) => None,
        }
    }

    /// The rows of these indices, which are below the length.
    pub(super) fn rows(&self, indices: &[u32]) -> Self {
        fn pick<T: Clone>(values: &[T], indices: &[u32]) -> Vec<T> {
            indices
                .iter()
                .map(|&i| values[i as usize].clone())
                .collect()
        }
        let values = match &self.values {
            Values::Float(values) => Values::Float(pick(values, indices)),
            Values::Integer(values) => Values::Integer(pick(values, indices)),
            Values::Category { codes, levels } => Values::Category {
                codes: pick(codes, indices),
                levels: levels.clone(),
            },
            Values::Text(values) => Values::Text(pick(values, indices)),
        };
        Self::of(self.name.clone(), values)
    }
}

/// Texts as positions among the sorted different ones.
pub(super) fn coded(
    values: impl Iterator<Item = Option<String>>,
) -> (Vec<Option<u32>>, Vec<String>) {
    let values: Vec<Option<String>> = values.collect();
    let mut levels: BTreeMap<&str, u32> = values.iter().flatten().map(|v| (&**v, 0)).collect();
    for (number, code) in (0..).zip(levels.values_mut()) {
        *code = number;
    }
    let codes = values
        .iter()
        .map(|v| v.as_ref().map(|v| levels[&**v]))
        .collect();
    (codes, levels.into_keys().map(str::to_owned).collect())
}
