//! What can go wrong with a dataset, each case with what is needed to find the fault in the file.

use std::path::PathBuf;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A dataset that could not be read, fetched, built or walked through.
///
/// Offsets count bytes of the uncompressed file from its start. `file` is the path, or the name
/// that was given for bytes in memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },

    /// The source of the bytes failed while `field` was being read.
    #[error("{file}: reading {field} failed at byte {offset}: {source}")]
    Read {
        /// The file.
        file: String,
        /// The part of the file.
        field: &'static str,
        /// Where it stopped.
        offset: u64,
        /// The reader's error.
        source: std::io::Error,
    },

    /// The gzip stream is corrupt: bad block, bad checksum, cut short or followed by other bytes.
    #[error(
        "{file}: corrupt gzip stream while reading {field} at uncompressed byte {offset}: {source}"
    )]
    Gzip {
        /// The file.
        file: String,
        /// The part of the file.
        field: &'static str,
        /// Where it stopped.
        offset: u64,
        /// The decoder's error.
        source: std::io::Error,
    },

    /// The first two bytes are not those of an IDX file.
    #[error(
        "{file}: not an IDX file: the {field} at byte {offset} begins {actual:#06x}, expected {expected:#06x}"
    )]
    Magic {
        /// The file.
        file: String,
        /// The part of the file.
        field: &'static str,
        /// Where the field starts.
        offset: u64,
        /// The first two bytes of every IDX file.
        expected: u16,
        /// The two bytes found.
        actual: u16,
    },

    /// The element type is none that this crate reads.
    #[error(
        "{file}: element type {actual:#04x} ({name}) at byte {offset} is not supported, expected {expected:#04x} (u8)"
    )]
    Unsupported {
        /// The file.
        file: String,
        /// Where the type code stands.
        offset: u64,
        /// The supported type code.
        expected: u8,
        /// The code found.
        actual: u8,
        /// What the format calls it.
        name: &'static str,
    },

    /// The file ends before the field does.
    #[error("{file}: truncated: {field} at byte {offset} needs {expected} bytes, found {actual}")]
    Truncated {
        /// The file.
        file: String,
        /// The part of the file.
        field: &'static str,
        /// Where the field starts.
        offset: u64,
        /// The bytes the field needs.
        expected: u64,
        /// The bytes that were there.
        actual: u64,
    },

    /// The file goes on after the data that its header promises.
    #[error(
        "{file}: bytes left over at byte {offset}: the header promises a file of {expected} bytes, found at least {actual}"
    )]
    Trailing {
        /// The file.
        file: String,
        /// Where the left-over bytes start.
        offset: u64,
        /// The size that the header promises.
        expected: u64,
        /// A lower bound of the size found.
        actual: u64,
    },

    /// The header promises more data than [`idx::MAX_DATA_BYTES`](crate::idx::MAX_DATA_BYTES).
    #[error(
        "{file}: {field} at byte {offset} promises {shape:?} elements, over the limit of {limit} bytes"
    )]
    TooLarge {
        /// The file.
        file: String,
        /// The part of the file.
        field: &'static str,
        /// Where the field starts.
        offset: u64,
        /// The dimensions read from the header.
        shape: Vec<usize>,
        /// The most bytes of data that are read.
        limit: u64,
    },

    /// The number of dimensions is not the one this kind of file has.
    #[error("{file}: {field} need {expected} dimensions, found shape {actual:?}")]
    Rank {
        /// The file.
        file: String,
        /// What the file should hold.
        field: &'static str,
        /// The dimensions needed.
        expected: usize,
        /// The shape found.
        actual: Vec<usize>,
    },

    /// Two sizes that must agree do not.
    #[error("{dataset}: {field}: expected {expected}, found {actual}")]
    Count {
        /// The dataset.
        dataset: String,
        /// What was counted.
        field: &'static str,
        /// The count that the rest of the dataset asks for.
        expected: usize,
        /// The count found.
        actual: usize,
    },

    /// A label names no class.
    #[error("{dataset}: label {label} of image {index} is not below the {classes} classes")]
    Label {
        /// The dataset.
        dataset: String,
        /// The position of the label.
        index: usize,
        /// The label.
        label: u8,
        /// The number of classes.
        classes: usize,
    },

    /// None of the names a file may have is in the folder.
    #[error("no {what} in {}: looked for {}", dir.display(), looked_for.join(", "))]
    Missing {
        /// What the file holds.
        what: &'static str,
        /// The folder.
        dir: PathBuf,
        /// The names that were tried.
        looked_for: Vec<String>,
    },

    /// Batches that cannot be formed, or a saved state that contradicts itself.
    #[error("batches: {field} {actual} is out of range, must be {expected}")]
    Batches {
        /// The argument or the field of the state.
        field: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        actual: u64,
    },

    /// A saved state of a loader is not one of the loader that it was given to.
    #[error("the saved state of the loader {problem}")]
    State {
        /// What does not fit.
        problem: String,
    },

    /// A function was given what it cannot take.
    #[error("{function}: {problem}")]
    Argument {
        /// The function.
        function: &'static str,
        /// What is wrong, in one clause.
        problem: String,
    },

    /// An index lies beyond the samples.
    #[error("index {index} at position {position} is not below the {len} samples")]
    Index {
        /// The position among the indices.
        position: usize,
        /// The index.
        index: u64,
        /// The number of samples.
        len: usize,
    },

    /// There is nothing where there must be something.
    #[error("{what} is empty: {problem}")]
    Empty {
        /// What was looked at.
        what: &'static str,
        /// Why nothing is left.
        problem: String,
    },

    /// A class has too few samples to be in every part or fold.
    #[error("class {class} is missing from {place}: it has {size} samples")]
    MissingClass {
        /// The class.
        class: usize,
        /// The part or fold.
        place: String,
        /// The samples that the class has in all.
        size: usize,
    },

    /// A table has no column of this name.
    #[error("{table}: no column `{column}`, there are: {}", columns.join(", "))]
    NoColumn {
        /// The table.
        table: String,
        /// The name asked for.
        column: String,
        /// The names of all columns.
        columns: Vec<String>,
    },

    /// A table's content is not what it must be.
    #[error("{file}: {place}: {problem}")]
    Table {
        /// The file.
        file: String,
        /// Line or row, and column.
        place: String,
        /// What is wrong there.
        problem: String,
    },

    /// A file is not what it must be.
    #[error("{file}: at byte {offset}: {problem}")]
    Format {
        /// The file.
        file: String,
        /// Where in the uncompressed bytes.
        offset: u64,
        /// What is wrong there.
        problem: String,
    },

    /// An image file cannot be used.
    #[error("{file}: {problem}")]
    Image {
        /// The file.
        file: String,
        /// Why: no image, broken, too large, another size.
        problem: String,
    },

    /// A token is not in a vocabulary that has none for unknown ones.
    #[error(
        "the token `{token}` at position {position} is not in the vocabulary, which has no unknown token"
    )]
    Token {
        /// The position among the tokens.
        position: usize,
        /// The token.
        token: String,
    },

    /// A tokeniser could not be made or used.
    #[error("tokeniser: {problem}")]
    Text {
        /// What is wrong.
        problem: String,
    },

    /// A thread that made batches panicked, or could not be started.
    #[error("the loader's thread {problem}")]
    Worker {
        /// What happened, with the panic's message.
        problem: String,
    },

    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] wgrad_graph::Error),

    /// No cache folder is known: none of the usual environment variables is set.
    #[error("no cache folder: none of {looked_for} is set to an absolute path")]
    NoCacheDir {
        /// The variables that were looked at.
        looked_for: &'static str,
    },

    /// One address did not give the file.
    #[error("{url}: {reason}")]
    Http {
        /// The address.
        url: String,
        /// Why: the status, the transport's error or the size limit.
        reason: String,
    },

    /// The bytes that an address gave are not the published ones.
    #[error("{url}: wrong MD5: expected {expected}, found {actual}")]
    Checksum {
        /// The address.
        url: String,
        /// The published sum, in lower-case hexadecimal.
        expected: String,
        /// The sum of the bytes received.
        actual: String,
    },

    /// No mirror gave the file.
    #[error("cannot download {file}: {}", display_all(attempts))]
    Download {
        /// The file.
        file: String,
        /// What went wrong at each mirror, in the order tried.
        attempts: Vec<Error>,
    },
}

fn display_all(errors: &[Error]) -> String {
    if errors.is_empty() {
        return "no mirrors given".to_owned();
    }
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
