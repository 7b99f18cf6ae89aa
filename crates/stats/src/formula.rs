//! Which terms a model has, as text: `sales ~ TV + radio + TV:radio`. Knows no numbers.

use crate::table::Table;
use std::fmt;
use std::str::FromStr;
use wgrad_graph::{Error, ErrorKind, Result};

/// A column to a power.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Factor {
    /// The column.
    pub column: String,
    /// 1 for the column itself.
    pub power: u32,
}

/// A product of columns: one for a main effect, several for an interaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// In order.
    pub factors: Vec<Factor>,
}

/// A response and the terms that explain it.
///
/// | text | means |
/// |---|---|
/// | `y ~ a + b` | an intercept, `a` and `b` |
/// | `a:b` | the interaction, their product |
/// | `a * b` | `a + b + a:b` |
/// | `a^2` | the square |
/// | `poly(a, 3)` | `a + a^2 + a^3` |
/// | `.` | all columns but the response |
/// | `- a` | without `a` |
/// | `- 1`, `+ 0` | without the intercept |
///
/// ```
/// use wgrad_stats::Formula;
/// let formula: Formula = "sales ~ TV * radio + poly(newspaper, 2) - 1".parse()?;
/// assert_eq!(formula.to_string(), "sales ~ TV + radio + TV:radio + newspaper + newspaper^2 - 1");
/// assert!(!formula.intercept);
/// # Ok::<(), wgrad_graph::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formula {
    /// The column that is explained.
    pub response: String,
    /// Whether there is a constant.
    pub intercept: bool,
    /// All others.
    pub terms: Vec<Term>,
    /// Whether `.` stands in it, and what was taken out.
    all: bool,
    without: Vec<Term>,
}

fn fault(text: &str, message: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Value, "formula", format!("{text:?}: {message}"))
}

impl Term {
    /// The main effect of a column.
    pub fn column(name: &str) -> Self {
        Term::of(vec![Factor {
            column: name.into(),
            power: 1,
        }])
    }

    fn of(factors: Vec<Factor>) -> Self {
        Term { factors }
    }

    /// Whether both are the same product, in any order.
    fn same(&self, other: &Self) -> bool {
        let sorted = |term: &Self| {
            let mut factors = term.factors.clone();
            factors.sort();
            factors
        };
        sorted(self) == sorted(other)
    }
}

impl FromStr for Term {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut factors: Vec<Factor> = Vec::new();
        for part in text.split(':') {
            let (column, power) = match part.split_once('^') {
                None => (part.trim(), 1),
                Some((column, power)) => match power.trim().parse() {
                    Ok(power @ 1..=30) => (column.trim(), power),
                    _ => return Err(fault(text, "a power is a number from 1 to 30")),
                },
            };
            let sound = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
            let first = |c: char| c.is_alphabetic() || c == '_';
            if !column.starts_with(first) || !column.chars().all(sound) {
                return Err(fault(text, format!("{column:?} is no column")));
            }
            let column = column.to_owned();
            if factors.iter().any(|f| f.column == column) {
                return Err(fault(
                    text,
                    format!("{column} stands in it twice: use a power"),
                ));
            }
            factors.push(Factor { column, power });
        }
        Ok(Term::of(factors))
    }
}

/// What a model can be asked for with: a [`Formula`] or its text.
pub trait IntoFormula {
    /// The formula.
    ///
    /// # Errors
    /// The text is none.
    fn into_formula(self) -> Result<Formula>;
}

impl IntoFormula for Formula {
    fn into_formula(self) -> Result<Formula> {
        Ok(self)
    }
}

impl IntoFormula for &Formula {
    fn into_formula(self) -> Result<Formula> {
        Ok(self.clone())
    }
}

impl IntoFormula for &str {
    fn into_formula(self) -> Result<Formula> {
        self.parse()
    }
}

/// What one piece between signs stands for.
enum Piece {
    Terms(Vec<Term>),
    Intercept(bool),
    All,
}

fn piece(text: &str) -> Result<Piece> {
    match text {
        "1" => return Ok(Piece::Intercept(true)),
        "0" => return Ok(Piece::Intercept(false)),
        "." => return Ok(Piece::All),
        _ => {}
    }
    if let Some(inside) = text.strip_prefix("poly(").and_then(|t| t.strip_suffix(')')) {
        let degree = inside.split_once(',').and_then(|(column, degree)| {
            let degree = degree.trim().parse::<u32>().ok()?;
            (1..=30).contains(&degree).then_some((column, degree))
        });
        let Some((column, degree)) = degree else {
            return Err(fault(text, "takes a column and a degree from 1 to 30"));
        };
        let power = |power: u32| format!("{}^{power}", column.trim()).parse();
        let terms: Result<Vec<Term>> = (1..=degree).map(power).collect();
        return Ok(Piece::Terms(terms?));
    }
    let parts: Vec<Term> = text
        .split('*')
        .map(|part| part.trim().parse())
        .collect::<Result<_>>()?;
    // All products of some of the parts, the short ones first.
    let mut terms: Vec<Term> = Vec::new();
    if parts.len() > 6 {
        return Err(fault(text, "more than six columns interact"));
    }
    for size in 1..=parts.len() {
        for chosen in 1..1usize << parts.len() {
            if chosen.count_ones() as usize == size {
                let of = (0..parts.len()).filter(|i| chosen >> i & 1 == 1);
                let names: Vec<String> = of.map(|i| parts[i].to_string()).collect();
                terms.push(names.join(":").parse()?);
            }
        }
    }
    Ok(Piece::Terms(terms))
}

impl FromStr for Formula {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((response, right)) = text.split_once('~') else {
            return Err(fault(text, "there is no ~ between response and terms"));
        };
        let response: Term = response.trim().parse()?;
        let [Factor { column, power: 1 }] = &response.factors[..] else {
            return Err(fault(text, "the response is a column"));
        };
        let mut formula = Formula::new(column);
        let mut rest = right.trim();
        let mut positive = true;
        if let Some(after) = rest.strip_prefix(['+', '-']) {
            positive = rest.starts_with('+');
            rest = after.trim();
        }
        loop {
            let end = rest.find(['+', '-']).unwrap_or(rest.len());
            let own = rest[..end].trim();
            if own.is_empty() {
                return Err(fault(text, "a term is missing"));
            }
            formula.put(piece(own)?, positive);
            if end == rest.len() {
                return Ok(formula);
            }
            positive = rest[end..].starts_with('+');
            rest = rest[end + 1..].trim();
        }
    }
}

impl Formula {
    /// An intercept and nothing else.
    pub fn new(response: &str) -> Self {
        Formula {
            response: response.into(),
            intercept: true,
            terms: Vec::new(),
            all: false,
            without: Vec::new(),
        }
    }

    /// With one more term, if it is not there.
    pub fn with(mut self, term: Term) -> Self {
        self.put(Piece::Terms(vec![term]), true);
        self
    }

    /// Without a term.
    pub fn without(mut self, term: &Term) -> Self {
        self.put(Piece::Terms(vec![term.clone()]), false);
        self
    }

    fn put(&mut self, piece: Piece, positive: bool) {
        match piece {
            Piece::Intercept(there) => self.intercept = there == positive,
            Piece::All => self.all = positive,
            Piece::Terms(terms) => {
                for term in terms {
                    self.terms.retain(|t| positive || !t.same(&term));
                    self.without.retain(|t| !t.same(&term));
                    if !positive {
                        self.without.push(term);
                    } else if !self.terms.iter().any(|t| t.same(&term)) {
                        self.terms.push(term);
                    }
                }
            }
        }
    }

    /// The same formula with a table's columns in the place of `.`.
    pub(crate) fn expanded(&self, table: &Table) -> Self {
        let mut out = self.clone();
        out.all = false;
        if self.all {
            let names = table.names();
            let columns = names.iter().filter(|n| **n != self.response);
            let mains: Vec<Term> = columns.map(|n| Term::column(n)).collect();
            let left = |t: &Term| !self.without.iter().any(|w| w.same(t));
            out.terms = mains.into_iter().filter(left).collect();
            for term in &self.terms {
                if !out.terms.iter().any(|t| t.same(term)) {
                    out.terms.push(term.clone());
                }
            }
        }
        out
    }

    /// The columns that the terms use, each once.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for factor in self.terms.iter().flat_map(|t| &t.factors) {
            if !names.contains(&factor.column.as_str()) {
                names.push(&factor.column);
            }
        }
        names
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, factor) in self.factors.iter().enumerate() {
            if i > 0 {
                f.write_str(":")?;
            }
            f.write_str(&factor.column)?;
            if factor.power > 1 {
                write!(f, "^{}", factor.power)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut terms: Vec<String> = self.all.then(|| ".".to_owned()).into_iter().collect();
        terms.extend(self.terms.iter().map(Term::to_string));
        if terms.is_empty() {
            terms.push(if self.intercept { "1" } else { "0" }.into());
            return write!(f, "{} ~ {}", self.response, terms[0]);
        }
        write!(f, "{} ~ {}", self.response, terms.join(" + "))?;
        if self.all {
            for term in &self.without {
                write!(f, " - {term}")?;
            }
        }
        f.write_str(if self.intercept { "" } else { " - 1" })
    }
}
