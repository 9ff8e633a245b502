//! The one error type of the crate.
use std::{error::Error as StdError, fmt, sync::Arc};

/// What kind of mistake an [`Error`] reports; its name is the code users see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Shapes do not fit together or do not fit the operation.
    ShapeMismatch,
    /// An element type the operation does not take.
    DTypeMismatch,
    /// An axis, size, or other argument outside its domain.
    InvalidArgument,
    /// An index or id outside its range.
    IndexOutOfRange,
    /// A gradient that cannot be had (second derivative, freed graph, …).
    Autodiff,
    /// A device that is missing, or tensors on different devices.
    Device,
    /// Memory that cannot be had, over the memory limit or more than the system has; or a thread that it does not start.
    OutOfMemory,
    /// Reading or writing a file failed.
    Io,
    /// The work was cancelled.
    Aborted,
    /// Code of the host (a JavaScript callback) failed.
    Host,
    /// A defect of this library or of candle.
    Internal,
}

impl ErrorKind {
    /// The code that users see.
    pub fn name(self) -> &'static str {
        match self {
            Self::ShapeMismatch => "ShapeMismatch",
            Self::DTypeMismatch => "DTypeMismatch",
            Self::InvalidArgument => "InvalidArgument",
            Self::IndexOutOfRange => "IndexOutOfRange",
            Self::Autodiff => "Autodiff",
            Self::Device => "Device",
            Self::OutOfMemory => "OutOfMemory",
            Self::Io => "Io",
            Self::Aborted => "Aborted",
            Self::Host => "Host",
            Self::Internal => "Internal",
        }
    }
}

/// An error with a kind, one sentence, and optionally the error that caused it.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A new error of `kind` with a one-sentence message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }
    /// Wraps a foreign error (a layer error, a JavaScript exception), to be taken out again by [`Error::source_as`].
    pub fn wrap(kind: ErrorKind, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { kind, message: source.to_string(), source: Some(Arc::new(source)) }
    }
    /// Shapes that do not fit.
    pub fn shape(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ShapeMismatch, message)
    }
    /// A dtype that does not fit.
    pub fn dtype(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::DTypeMismatch, message)
    }
    /// An argument outside its domain.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }
    /// An index outside its range.
    pub fn index(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::IndexOutOfRange, message)
    }
    /// A gradient that cannot be had.
    pub fn autodiff(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Autodiff, message)
    }
    /// A defect of this library.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
    /// The wrapped error, if it is an `E`.
    pub fn source_as<E: StdError + 'static>(&self) -> Option<&E> {
        self.source.as_deref().and_then(|s| s.downcast_ref::<E>())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn StdError + 'static))
    }
}

impl From<candle_core::Error> for Error {
    fn from(e: candle_core::Error) -> Self {
        Self::internal(format!("the tensor backend failed: {e}"))
    }
}
