//! Errors of layers: a code, one sentence, and the path of layers it happened in.
use crate::{LayerId, TensorSpec};
use std::fmt;
use tallow_tensor::ErrorKind;

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// When an error happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// While the layer was made.
    Build,
    /// While weights and state were made.
    Init,
    /// While outputs were computed.
    Forward,
    /// While gradients were computed.
    Backward,
}

impl Phase {
    /// The word users see.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Build => "build",
            Phase::Init => "init",
            Phase::Forward => "forward",
            Phase::Backward => "backward",
        }
    }
}

/// An error with its code, message, path of layers (outermost first), phase and the inputs of the innermost layer.
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    path: Vec<String>,
    innermost: Option<LayerId>,
    phase: Phase,
    inputs: Vec<TensorSpec>,
    cause: Option<tallow_tensor::Error>,
}

impl Error {
    /// A new error without a path; [`crate::Cx::apply`] adds the path.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            path: Vec::new(),
            innermost: None,
            phase: Phase::Build,
            inputs: Vec::new(),
            cause: None,
        }))
    }
    /// An option or argument outside its domain.
    pub fn option(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidOption, message)
    }
    /// Shapes that do not fit.
    pub fn shape(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ShapeMismatch, message)
    }
    /// An input of another size than the layer's weights have: `what` is `got`, the weights' is `made`.
    pub fn made_for(what: &str, got: impl fmt::Debug, made: impl fmt::Debug) -> Self {
        Self::shape(format!("{what} {got:?}, weights were made for {made:?}"))
    }
    /// A call of `got` sequences that is to go on where one of `held` ended.
    pub(crate) fn other_batch(got: usize, held: usize) -> Self {
        Self::shape(format!(
            "the batch has {got} sequences, but the state is that of {held} which are under way; call init(signature), or set a state, to begin with {got}"
        ))
    }
    /// Weights of other shapes than the layer has.
    pub fn weights(expected: &[&[usize]], got: &[&tallow_tensor::Tensor]) -> Self {
        let got: Vec<&[usize]> = got.iter().map(|t| t.shape()).collect();
        Self::weights_of(expected, &got)
    }
    /// [`Error::weights`] of these shapes.
    pub(crate) fn weights_of(expected: &[&[usize]], got: &[&[usize]]) -> Self {
        let list = |shapes: Vec<String>| shapes.join(" and ");
        let wanted = list(expected.iter().map(|s| format!("{s:?}")).collect());
        let given = list(got.iter().map(|s| format!("{s:?}")).collect());
        let plural = if expected.len() == 1 { "the weight must have shape" } else { "weights must have shapes" };
        Self::new(ErrorKind::WeightsMismatch, format!("{plural} {wanted}, got {given}"))
    }
    /// A dtype that does not fit.
    pub fn dtype(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::DTypeMismatch, message)
    }
    /// Adds a layer as the new outermost frame. The first frame also records the phase and inputs; a frame of an initialization or of a
    /// gradient around it says that the layers were asked or run for that.
    #[must_use]
    pub fn within(mut self, name: &str, id: LayerId, phase: Phase, inputs: impl FnOnce() -> Vec<TensorSpec>) -> Self {
        if self.0.path.is_empty() {
            self.0.innermost = Some(id);
            self.0.phase = phase;
            self.0.inputs = inputs();
        } else if self.0.phase == Phase::Forward {
            self.0.phase = phase;
        }
        self.below(name)
    }
    /// Adds a name before the path.
    #[must_use]
    pub(crate) fn below(mut self, name: &str) -> Self {
        self.0.path.insert(0, name.to_string());
        self
    }
    /// The same error, with what it is about before its sentence.
    #[must_use]
    pub(crate) fn about(mut self, what: &str) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }
    /// The same error without this many of the outermost names, which a caller will add again.
    #[must_use]
    pub(crate) fn without_outermost(mut self, names: usize) -> Self {
        self.0.path.drain(..names.min(self.0.path.len()));
        self
    }
    /// The kind of mistake.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
    /// The code: the name of the kind.
    pub fn code(&self) -> &'static str {
        self.0.kind.name()
    }
    /// The sentence without path and inputs.
    pub fn message(&self) -> &str {
        &self.0.message
    }
    /// Names of the layers, outermost first.
    pub fn path(&self) -> &[String] {
        &self.0.path
    }
    /// The layer it happened in.
    pub fn innermost(&self) -> Option<LayerId> {
        self.0.innermost
    }
    /// The phase.
    pub fn phase(&self) -> Phase {
        self.0.phase
    }
    /// Signatures of the innermost layer's inputs.
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.0.inputs
    }
    /// The tensor error behind it (which may carry a host exception).
    pub fn cause(&self) -> Option<&tallow_tensor::Error> {
        self.0.cause.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.path.is_empty() {
            return f.write_str(&self.0.message);
        }
        write!(f, "[{}] {} ({}): {}", self.code(), self.0.path.join(" > "), self.0.phase.name(), self.0.message)?;
        if !self.0.inputs.is_empty() {
            let inputs: Vec<_> = self.0.inputs.iter().map(ToString::to_string).collect();
            write!(f, " · inputs {}", inputs.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_ref().map(|c| c as _)
    }
}

impl From<tallow_tensor::Error> for Error {
    fn from(e: tallow_tensor::Error) -> Self {
        // A layer error that went through autodiff comes out as it was.
        if let Some(inner) = e.source_as::<Error>() {
            return inner.clone();
        }
        let mut out = Error::new(e.kind(), e.message());
        out.0.cause = Some(e);
        out
    }
}

impl From<Error> for tallow_tensor::Error {
    fn from(e: Error) -> Self {
        match &e.0.cause {
            Some(cause) if e.0.path.is_empty() => cause.clone(),
            _ => tallow_tensor::Error::wrap(ErrorKind::Host, e),
        }
    }
}
