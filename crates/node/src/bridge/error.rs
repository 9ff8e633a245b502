//! How failures become JavaScript exceptions.
use napi::{bindgen_prelude::*, Status};
use napi_derive::napi;
use std::{any::Any, fmt};
use tallow_tensor::ErrorKind;

/// Why an export failed.
pub(crate) enum Failure {
    /// An error of the tensor library.
    Tensor(tallow_tensor::Error),
    /// An error of a layer.
    Layer(tallow_layers::Error),
    /// A handle that was disposed.
    Disposed,
    /// A handle of a layer that was disposed.
    DisposedLayer,
    /// An argument of the wrong JavaScript type.
    Type(String),
    /// A defect of this library.
    Internal(String),
    /// What JavaScript itself threw.
    Js(Error),
}

/// Result of the work behind an export.
pub(crate) type Outcome<T> = std::result::Result<T, Failure>;

impl From<tallow_tensor::Error> for Failure {
    fn from(e: tallow_tensor::Error) -> Self {
        Failure::Tensor(e)
    }
}

impl From<tallow_layers::Error> for Failure {
    fn from(e: tallow_layers::Error) -> Self {
        Failure::Layer(e)
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Failure::Js(e)
    }
}

impl Failure {
    /// The exception: what JavaScript threw comes out as `below` makes it of that and the names of the layers around, all else as `make`
    /// makes it of a code, a message and details.
    pub(crate) fn exception(
        self,
        make: impl FnOnce(&'static str, String, Option<ErrorDetails>) -> Error,
        below: impl FnOnce(Error, Vec<String>) -> Error,
    ) -> Error {
        match self {
            Failure::Js(e) => e,
            Failure::Layer(e) => match e.cause().and_then(|cause| cause.source_as::<HostException>()) {
                Some(host) if e.path().is_empty() => host.to_js(),
                Some(host) => below(host.to_js(), e.path().to_vec()),
                None => make(e.code(), e.message().to_owned(), Some(ErrorDetails::of(&e))),
            },
            Failure::Tensor(e) => match (e.source_as::<HostException>(), e.source_as::<tallow_layers::Error>()) {
                (Some(host), _) => host.to_js(),
                (None, Some(layer)) => Failure::Layer(layer.clone()).exception(make, below),
                (None, None) => make(e.kind().name(), e.message().to_owned(), None),
            },
            Failure::Disposed => make(
                ErrorKind::Disposed.name(),
                "a tensor was used after dispose(), or after the tidy() that made it".to_owned(),
                None,
            ),
            Failure::DisposedLayer => make(
                ErrorKind::Disposed.name(),
                "a layer was used after dispose(), or after the tidy() that made it".to_owned(),
                None,
            ),
            Failure::Type(message) => make("TypeError", message, None),
            Failure::Internal(message) => make(ErrorKind::Internal.name(), message, None),
        }
    }
    /// The failure that a caught panic stands for.
    pub(crate) fn from_panic(panic: Box<dyn Any + Send>) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown panic");
        Failure::Internal(format!("a defect of tallow: {text}"))
    }
}

/// Where a layer's error happened.
#[napi(object)]
pub struct ErrorDetails {
    /// Names of the layers, outermost first.
    pub path: Vec<String>,
    /// What the layer was doing.
    #[napi(ts_type = "'build' | 'init' | 'forward' | 'backward'")]
    pub phase: String,
    /// Signatures of its inputs, as `float32[2,3]`.
    pub inputs: Vec<String>,
    /// The identity of the innermost layer.
    pub layer: Option<f64>,
}

impl ErrorDetails {
    fn of(e: &tallow_layers::Error) -> Self {
        Self {
            path: e.path().to_vec(),
            phase: e.phase().name().to_owned(),
            inputs: e.inputs().iter().map(ToString::to_string).collect(),
            layer: e.innermost().map(|id| id.0 as f64),
        }
    }
}

/// The error that tells the generated code that an exception is already pending.
pub(crate) fn pending() -> Error {
    Error::new(Status::PendingException, String::new())
}

/// What a JavaScript callback threw, on its way through the Rust crates; it comes out as the same JavaScript value.
#[derive(Debug)]
pub(crate) struct HostException(Error);

impl HostException {
    /// The tensor library's error that carries `thrown`.
    pub(crate) fn wrap(thrown: Error) -> tallow_tensor::Error {
        tallow_tensor::Error::wrap(ErrorKind::Host, HostException(thrown))
    }
    fn to_js(&self) -> Error {
        self.0.try_clone().unwrap_or_else(|e| e)
    }
}

impl fmt::Display for HostException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.reason)
    }
}

impl std::error::Error for HostException {}
