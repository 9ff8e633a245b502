//! The one error type of the crate.
use std::{error::Error as StdError, fmt, sync::Arc};

/// Declares [`ErrorKind`]: each kind is written once, with what a user reads about it.
macro_rules! error_kinds {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// What kind of mistake an [`Error`] reports, or one of a layer or of the addon; its name is the code that users see.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $name,)*
            /// Code of the host (a JavaScript callback) failed. What it threw comes out instead, so no user sees this one.
            Host,
        }

        impl ErrorKind {
            /// All kinds that users see.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code that users see.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::Host => "Host",
                }
            }
            /// What the code means, in a sentence.
            pub fn doc(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)*
                    Self::Host => "Code of the host failed.",
                }
            }
        }
    };
}

error_kinds! {
    /// Shapes do not fit together, or do not fit the operation.
    ShapeMismatch,
    /// The operation or layer does not take this type of elements.
    DTypeMismatch,
    /// An axis, a size or another argument is outside its domain.
    InvalidArgument,
    /// An index or id is outside its range.
    IndexOutOfRange,
    /// A gradient cannot be had, such as a second derivative.
    Autodiff,
    /// A device is missing, or tensors are on different devices.
    Device,
    /// Memory cannot be had: more is asked for than the limit or the system allows, or the system starts no more threads.
    OutOfMemory,
    /// A file cannot be read or written, or is damaged.
    Io,
    /// The work was cancelled.
    Aborted,
    /// A tensor or layer was used after it was disposed.
    Disposed,
    /// A training loop works with what would be changed.
    Busy,
    /// A layer has no weights yet.
    NotInitialized,
    /// An option is unknown, has a wrong type, or is outside its bounds.
    InvalidOption,
    /// The number of inputs or outputs is not that of the layer.
    ArityMismatch,
    /// Weights or state do not have the structure or the shapes that the layer has.
    WeightsMismatch,
    /// A number is NaN or infinite where finite ones are needed.
    NotFinite,
    /// Of several ranks that train together, one failed, ended or stalled, or does something else than the others.
    RankFailed,
    /// A defect of this library.
    Internal,
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

#[cfg(test)]
mod tests {
    use super::ErrorKind;

    #[test]
    fn each_code_has_its_name_and_one_sentence() {
        let names: std::collections::HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
        assert!(names.contains("NotFinite") && names.contains("Busy") && !names.contains("Host"));
        for kind in ErrorKind::ALL {
            assert_eq!(format!("{kind:?}"), kind.name());
            assert!(
                kind.doc().ends_with('.') && !kind.doc().contains("  ") && !kind.doc().contains('\n'),
                "{}",
                kind.doc()
            );
        }
    }
}
