//! The one error type of tensors: what failed, on what, and where the user asked for it.

use crate::dtype::DType;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Shapes do not fit the operation, or a dimension does not exist.
    Shape,
    /// Dtypes do not fit the operation.
    DType,
    /// An index lies outside the dimension it indexes.
    Index,
    /// An argument has a value the operation does not take.
    Value,
    /// Operands live on different devices, or no device fits a request.
    Device,
    /// A derivative was asked for that does not exist.
    Gradient,
    /// The device was lost; its tensors are gone.
    DeviceLost,
    /// The device or the host has not enough memory, or the tensor exceeds what the device can bind.
    OutOfMemory,
    /// The operation is not supported here (e.g. blocking in a browser).
    Unsupported,
    /// A fault of wgrad itself or of a driver.
    Internal,
}

/// An error of a tensor operation. A cheap clone; invalid tensors hold it and pass it on.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    op: String,
    operands: Vec<(Vec<usize>, DType)>,
    message: String,
    location: Option<&'static Location<'static>>,
}

impl Error {
    /// A new error of `op`; `message` says what is wrong in one clause.
    pub fn new(kind: ErrorKind, op: impl Into<String>, message: impl Into<String>) -> Error {
        Error(Arc::new(Inner {
            kind,
            op: op.into(),
            operands: Vec::new(),
            message: message.into(),
            location: None,
        }))
    }

    /// An index out of range that `op` met.
    pub(crate) fn index(op: &str, location: &'static Location<'static>) -> Error {
        let message = "an index lies outside the dimension it indexes";
        Error::new(ErrorKind::Index, op, message).at(location)
    }

    /// The same error with the operands' shapes and dtypes.
    pub fn with_operands(self, operands: Vec<(Vec<usize>, DType)>) -> Error {
        let i = &self.0;
        Error(Arc::new(Inner {
            operands,
            op: i.op.clone(),
            message: i.message.clone(),
            ..**i
        }))
    }

    /// The same error with the place in the user's program.
    pub fn at(self, location: &'static Location<'static>) -> Error {
        let i = &self.0;
        Error(Arc::new(Inner {
            location: Some(location),
            op: i.op.clone(),
            message: i.message.clone(),
            operands: i.operands.clone(),
            ..**i
        }))
    }

    /// The same error of another operation: of the one that was asked for, not of a primitive that it is made of.
    pub(crate) fn of(self, op: &str) -> Error {
        let i = &self.0;
        Error(Arc::new(Inner {
            op: op.to_string(),
            message: i.message.clone(),
            operands: i.operands.clone(),
            ..**i
        }))
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation that failed first.
    pub fn op(&self) -> &str {
        &self.0.op
    }

    /// Shapes and dtypes of its operands.
    pub fn operands(&self) -> &[(Vec<usize>, DType)] {
        &self.0.operands
    }

    /// What is wrong, without op, operands and place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where the operation was called.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.0.location
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let i = &self.0;
        write!(f, "{}: {}", i.op, i.message)?;
        for (n, (shape, dtype)) in i.operands.iter().enumerate() {
            write!(
                f,
                "{}{dtype}{shape:?}",
                if n == 0 { " (operands " } else { ", " }
            )?;
        }
        if !i.operands.is_empty() {
            f.write_str(")")?;
        }
        match i.location {
            Some(l) => write!(f, " at {}:{}:{}", l.file(), l.line(), l.column()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {}

/// Result of everything that leaves the graph.
pub type Result<T, E = Error> = std::result::Result<T, E>;
