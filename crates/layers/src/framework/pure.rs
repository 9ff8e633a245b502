//! Layers of two functions, without weights, state or randomness.
use crate::{leaf, Arity, Call, Error, LayerRef, Leaf, Output, Result, TensorSpec, Traits};
use std::{fmt, sync::Arc};
use tallow_tensor::{no_grad, DType, Device, Tensor};

type Signature = dyn Fn(&[TensorSpec]) -> Result<Vec<TensorSpec>> + Send + Sync;
type Forward = dyn Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync;

/// A leaf of two functions, without weights, state or randomness.
#[derive(Clone)]
struct Pure {
    name: String,
    arity: Arity,
    open: bool,
    signature: Arc<Signature>,
    forward: Arc<Forward>,
}

impl fmt::Debug for Pure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pure").field("name", &self.name).field("arity", &self.arity).finish_non_exhaustive()
    }
}

impl Leaf for Pure {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn arity(&self) -> Arity {
        self.arity
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        (self.signature)(inputs)
    }
    fn forward(&self, call: Call) -> Result<Output> {
        // What the layer does not take it refuses in one sentence, whoever asks; what an operation says of it comes after that.
        let refused = |e: Error| {
            let specs: Vec<_> = call.xs.iter().map(TensorSpec::of).collect();
            (self.signature)(&specs).err().unwrap_or(e)
        };
        Ok((self.forward)(call.xs).map_err(refused)?.into())
    }
    fn traits(&self) -> Traits {
        Traits { open: self.open, ..Traits::LEAF }
    }
}

/// A layer of a function from inputs to outputs, with the function from input to output signatures that declares them.
/// The number of inputs is checked before either is called.
pub fn pure_layer(
    name: impl Into<String>,
    n_in: usize,
    n_out: usize,
    signature: impl Fn(&[TensorSpec]) -> Result<Vec<TensorSpec>> + Send + Sync + 'static,
    forward: impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
) -> LayerRef {
    let (signature, forward) = (Arc::new(signature), Arc::new(forward));
    let arity = Arity::new(n_in, n_out);
    leaf(Pure { name: name.into(), arity, open: false, signature, forward })
}

/// As [`pure_layer`] with one input and output, taking any number of inputs all the same; see [`crate::Layer::open`].
pub(crate) fn open_layer(
    name: &str,
    signature: impl Fn(&[TensorSpec]) -> Result<Vec<TensorSpec>> + Send + Sync + 'static,
    forward: impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
) -> LayerRef {
    let (signature, forward) = (Arc::new(signature), Arc::new(forward));
    leaf(Pure { name: name.into(), arity: Arity::ONE, open: true, signature, forward })
}

/// The type of what `f` makes of tensors of these types, or its refusal; found out on tensors of one element.
///
/// # Errors
/// Those of `f`.
pub(crate) fn result_dtype(dtypes: &[DType], f: impl FnOnce(&[Tensor]) -> Result<Tensor>) -> Result<DType> {
    let one = |&d: &DType| Tensor::zeros(&[1], d, &Device::Cpu);
    let xs = dtypes.iter().map(one).collect::<tallow_tensor::Result<Vec<_>>>()?;
    Ok(no_grad(|| f(&xs))?.dtype())
}

/// A layer of an elementwise function of one tensor.
pub fn elementwise(
    name: impl Into<String>,
    f: impl Fn(&Tensor) -> tallow_tensor::Result<Tensor> + Send + Sync + 'static,
) -> LayerRef {
    elementwise_of(name, 1, move |xs| Ok(f(&xs[0])?))
}

/// A layer of an elementwise function of two tensors, which broadcast and promote.
pub fn elementwise2(
    name: impl Into<String>,
    f: impl Fn(&Tensor, &Tensor) -> tallow_tensor::Result<Tensor> + Send + Sync + 'static,
) -> LayerRef {
    elementwise_of(name, 2, move |xs| Ok(f(&xs[0], &xs[1])?))
}

/// A layer of an elementwise function of tensors that broadcast.
pub(crate) fn elementwise_of(
    name: impl Into<String>,
    n_in: usize,
    f: impl Fn(&[Tensor]) -> Result<Tensor> + Send + Sync + 'static,
) -> LayerRef {
    let f = Arc::new(f);
    let declared = f.clone();
    let signature = move |s: &[TensorSpec]| Ok(vec![elementwise_signature(s, &*declared)?]);
    pure_layer(name, n_in, 1, signature, move |xs| Ok(vec![f(xs)?]))
}

/// The signature of an elementwise function of tensors that broadcast.
///
/// # Errors
/// `ShapeMismatch` if they do not broadcast; those of `f`.
pub(crate) fn elementwise_signature(
    s: &[TensorSpec],
    f: impl FnOnce(&[Tensor]) -> Result<Tensor>,
) -> Result<TensorSpec> {
    let both = s[1..].iter().try_fold(s[0].clone(), |a, b| a.broadcast(b))?;
    let dtypes: Vec<DType> = s.iter().map(|s| s.dtype).collect();
    Ok(TensorSpec::new(both.shape, result_dtype(&dtypes, f)?))
}
