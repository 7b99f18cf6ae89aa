//! Tables from text: CSV, TSV and their kin, through the `csv` crate. Files are untrusted: memory grows with the bytes that
//! arrive, and every fault names file, line and column.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};

use super::Table;
use super::column::{Column, Kind, Values, coded};
use crate::{Error, Result};

/// Texts that stand for a missing value: those of pandas.
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// The most levels of a column that is taken for categories by itself.
const MAX_LEVELS: usize = 256;

/// How a table is written.
///
/// ```
/// use wgrad_data::table::{Kind, TableOptions};
/// let text = "id;weight\n007;1,5\n008;-\n";
/// let table = TableOptions::csv()
///     .delimiter(b';')
///     .decimal_comma(true)
///     .missing(&["-"])
///     .column("id", Kind::Text)
///     .from_reader(text.as_bytes(), "agents")?;
/// assert_eq!(table.column("weight")?.numbers(), Some(vec![Some(1.5), None]));
/// assert_eq!(table.codes("id")?.1, ["007", "008"]);
/// # Ok::<(), wgrad_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TableOptions {
    delimiter: u8,
    header: bool,
    decimal_comma: bool,
    latin1: bool,
    missing: BTreeSet<String>,
    kinds: BTreeMap<String, Kind>,
}

impl TableOptions {
    /// Commas and a header.
    #[must_use]
    pub fn csv() -> Self {
        Self {
            delimiter: b',',
            header: true,
            decimal_comma: false,
            latin1: false,
            missing: MISSING.map(str::to_owned).into(),
            kinds: BTreeMap::new(),
        }
    }

    /// Tabs and a header.
    #[must_use]
    pub fn tsv() -> Self {
        Self::csv().delimiter(b'\t')
    }

    /// What stands between fields.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Whether the first line has the columns' names. Without, they are called `column 0`, `column 1`, …
    #[must_use]
    pub fn header(mut self, header: bool) -> Self {
        self.header = header;
        self
    }

    /// Whether fractions are written with a comma.
    #[must_use]
    pub fn decimal_comma(mut self, decimal_comma: bool) -> Self {
        self.decimal_comma = decimal_comma;
        self
    }

    /// Whether the file is in ISO 8859-1; else it is in UTF-8.
    #[must_use]
    pub fn latin1(mut self, latin1: bool) -> Self {
        self.latin1 = latin1;
        self
    }

    /// The texts that stand for a missing value, in place of pandas' list. An empty field is one only if `""` is among them.
    #[must_use]
    pub fn missing(mut self, texts: &[&str]) -> Self {
        self.missing = texts.iter().map(|&text| text.to_owned()).collect();
        self
    }

    /// What a column holds, whatever it looks like.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, kind: Kind) -> Self {
        self.kinds.insert(name.into(), kind);
        self
    }

    /// Reads a file. Fields are stripped of white space around them. A column whose kind is not given holds integers or
    /// floats if all its values are such; categories if it repeats texts and has at most 256 of them; texts otherwise.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened; [`Error::Table`] with file, line and column for rows of other lengths, bad
    /// encodings, names that stand twice, and for what is no number in a column of numbers, also one whose kind is not
    /// given but more than half of whose values are numbers.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(&self, path: impl AsRef<std::path::Path>) -> Result<Table> {
        let path = path.as_ref();
        let file = std::fs::File::open(path).map_err(|source| Error::Io {
            action: "open",
            path: path.to_owned(),
            source,
        })?;
        self.from_reader(file, &path.display().to_string())
    }

    /// As [`TableOptions::read`], from a reader; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`TableOptions::read`].
    pub fn from_reader(&self, mut reader: impl Read, name: &str) -> Result<Table> {
        let mut bytes = Vec::new();
        let outcome = reader.read_to_end(&mut bytes);
        outcome.map_err(|source| Error::Read {
            file: name.to_owned(),
            field: "table",
            offset: bytes.len() as u64,
            source,
        })?;
        let mut rows = Rows::new(self, &bytes, name)?;
        let mut cells: Vec<Vec<Option<String>>> = vec![Vec::new(); rows.names.len()];
        let mut lines = Vec::new();
        while let Some(line) = rows.next()? {
            for (at, list) in cells.iter_mut().enumerate() {
                list.push(rows.cell(line, at)?);
            }
            lines.push(line);
        }
        for wanted in self.kinds.keys() {
            if !rows.names.contains(wanted) {
                return Err(Error::NoColumn {
                    table: name.to_owned(),
                    column: wanted.clone(),
                    columns: rows.names,
                });
            }
        }
        let place = Place {
            options: self,
            file: name,
            lines: &lines,
        };
        let columns = rows.names.iter().zip(cells);
        let columns = columns.map(|(name, cells)| place.typed(name, cells));
        Table::new(name, columns.collect::<Result<_>>()?)
    }
}

/// A reader of rows that knows where it is.
struct Rows<'a> {
    options: &'a TableOptions,
    file: &'a str,
    reader: csv::Reader<&'a [u8]>,
    lines: Lines<'a>,
    names: Vec<String>,
    record: ByteRecord,
    /// The first row where there is no header.
    first: Option<u64>,
}

impl<'a> Rows<'a> {
    fn new(options: &'a TableOptions, bytes: &'a [u8], file: &'a str) -> Result<Self> {
        let reader = ReaderBuilder::new()
            .delimiter(options.delimiter)
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(bytes);
        let mut rows = Self {
            options,
            file,
            reader,
            lines: Lines {
                bytes,
                at: 0,
                line: 1,
            },
            names: Vec::new(),
            record: ByteRecord::new(),
            first: None,
        };
        let Some(line) = rows.read_record()? else {
            return Err(rows.fault(1, None, "the file is empty".to_owned()));
        };
        let fields = rows.record.len();
        if options.header {
            for at in 0..fields {
                let name = rows.text(line, at)?;
                if rows.names.contains(&name) {
                    let problem = format!("two columns are called `{name}`");
                    return Err(rows.fault(line, Some(at), problem));
                }
                rows.names.push(name);
            }
        } else {
            rows.names = (0..fields).map(|at| format!("column {at}")).collect();
            rows.first = Some(line);
        }
        Ok(rows)
    }

    /// Reads the next row; its line, counted from 1.
    fn next(&mut self) -> Result<Option<u64>> {
        if let Some(line) = self.first.take() {
            return Ok(Some(line));
        }
        let Some(line) = self.read_record()? else {
            return Ok(None);
        };
        let (actual, expected) = (self.record.len(), self.names.len());
        if actual != expected {
            let of = if self.options.header {
                "the header"
            } else {
                "the first row"
            };
            let problem = format!("the row has {actual} fields, {of} has {expected}");
            return Err(self.fault(line, None, problem));
        }
        Ok(Some(line))
    }

    fn read_record(&mut self) -> Result<Option<u64>> {
        let more = self.reader.read_byte_record(&mut self.record);
        let begin = self.record.position().map_or(0, csv::Position::byte);
        match more {
            Ok(true) => Ok(Some(self.lines.of(begin as usize))),
            Ok(false) => Ok(None),
            Err(error) => {
                let line = self.lines.of(begin as usize);
                Err(self.fault(line, None, error.to_string()))
            }
        }
    }

    /// A field, `None` if missing.
    fn cell(&self, line: u64, at: usize) -> Result<Option<String>> {
        let text = self.text(line, at)?;
        Ok((!self.options.missing.contains(&text)).then_some(text))
    }

    fn text(&self, line: u64, at: usize) -> Result<String> {
        let bytes = self.record.get(at).unwrap_or_default();
        if self.options.latin1 {
            return Ok(bytes.iter().map(|&byte| char::from(byte)).collect());
        }
        if bytes.starts_with(&[0xff, 0xfe])
            || bytes.starts_with(&[0xfe, 0xff])
            || bytes.contains(&0)
        {
            let problem = "looks like UTF-16 or binary data, not UTF-8".to_owned();
            return Err(self.fault(line, Some(at), problem));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => {
                let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
                let problem = format!(
                    "byte {byte:#04x} at byte {} of the field is not UTF-8; `latin1(true)` reads ISO 8859-1",
                    error.valid_up_to()
                );
                Err(self.fault(line, Some(at), problem))
            }
        }
    }

    fn fault(&self, line: u64, column: Option<usize>, problem: String) -> Error {
        let name = column.map(|at| match self.names.get(at) {
            Some(name) => format!(", column `{name}`"),
            None => format!(", column {}", at + 1),
        });
        Error::Table {
            file: self.file.to_owned(),
            place: format!("line {line}{}", name.unwrap_or_default()),
            problem,
        }
    }
}

/// Counts lines, which the parser does not where some are empty or end with two characters.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of what begins at or after a place, behind the ends of lines there. Places never go back.
    fn of(&mut self, place: usize) -> u64 {
        while let Some(&byte) = self.bytes.get(self.at) {
            let ends = byte == b'\n' || byte == b'\r';
            if self.at >= place && !ends {
                break;
            }
            let pair = byte == b'\r' && self.bytes.get(self.at + 1) == Some(&b'\n');
            self.line += u64::from(ends && !pair);
            self.at += 1;
        }
        self.line
    }
}

/// What turns texts into values, and where they stood.
struct Place<'a> {
    options: &'a TableOptions,
    file: &'a str,
    lines: &'a [u64],
}

impl Place<'_> {
    fn typed(&self, name: &str, cells: Vec<Option<String>>) -> Result<Column> {
        let kind = match self.options.kinds.get(name) {
            Some(kind) => *kind,
            None => self.guess(name, &cells)?,
        };
        let values = match kind {
            Kind::Integer => Values::Integer(self.all(name, &cells, integer, "no whole number")?),
            Kind::Float => {
                let float = |text: &str| self.float(text);
                Values::Float(self.all(name, &cells, float, "no number")?)
            }
            Kind::Category => {
                let (codes, levels) = coded(cells.into_iter());
                Values::Category { codes, levels }
            }
            Kind::Text => Values::Text(cells),
        };
        Ok(Column::of(name, values))
    }

    fn guess(&self, name: &str, cells: &[Option<String>]) -> Result<Kind> {
        let there = cells.iter().flatten().count();
        let numbers = cells.iter().flatten().filter(|c| self.float(c).is_some());
        let numbers = numbers.count();
        if there > 0 && numbers == there {
            let whole = cells.iter().flatten().all(|cell| integer(cell).is_some());
            return Ok(if whole { Kind::Integer } else { Kind::Float });
        }
        if 2 * numbers > there {
            let bad =
                |cell: &Option<String>| cell.as_ref().is_some_and(|c| self.float(c).is_none());
            let row = cells.iter().position(bad).unwrap_or_default();
            let text = cells[row].as_deref().unwrap_or_default();
            let problem = format!(
                "`{}` is no number, as {numbers} of the column's {there} values are; give the column's kind, or the text as missing",
                shortened(text)
            );
            return Err(self.fault(name, row, problem));
        }
        let levels: BTreeSet<&String> = cells.iter().flatten().take(1 << 20).collect();
        let few = levels.len() <= MAX_LEVELS && levels.len() < there;
        Ok(if few { Kind::Category } else { Kind::Text })
    }

    fn all<T>(
        &self,
        name: &str,
        cells: &[Option<String>],
        parse: impl Fn(&str) -> Option<T>,
        what: &str,
    ) -> Result<Vec<Option<T>>> {
        let value = |(row, cell): (usize, &Option<String>)| match cell {
            None => Ok(None),
            Some(text) => parse(text)
                .map(Some)
                .ok_or_else(|| self.fault(name, row, format!("`{}` is {what}", shortened(text)))),
        };
        cells.iter().enumerate().map(value).collect()
    }

    fn float(&self, text: &str) -> Option<f64> {
        let value: f64 = if self.options.decimal_comma {
            text.replace(',', ".").parse().ok()?
        } else {
            text.parse().ok()?
        };
        // Digits that overflow are a mistake; an infinity that is spelt out is none.
        let digits = text.bytes().any(|byte| byte.is_ascii_digit());
        (value.is_finite() || !digits).then_some(value)
    }

    fn fault(&self, name: &str, row: usize, problem: String) -> Error {
        let line = self.lines.get(row).copied().unwrap_or_default();
        Error::Table {
            file: self.file.to_owned(),
            place: format!("line {line}, column `{name}`"),
            problem,
        }
    }
}

fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// A text as it may stand in a message.
fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 {
        return text.to_owned();
    }
    text.chars().take(40).chain(['…']).collect()
}
