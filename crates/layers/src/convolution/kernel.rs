//! What all convolutions with a full kernel share: weights, layouts and the way to the tensor operation.
use super::layout::DimensionNumbers;
use crate::{
    initializers::{scaled, Distribution, FanMode},
    windows::Sizes,
    Error, Initializer, Local, Result, TensorSpec, Tree,
};
use tallow_tensor::{
    ops::{conv, Windows},
    random::Key,
    DType, Tensor,
};

/// A convolution's kernel and bias, and the windows it is moved by.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    /// The layer's name, also in messages.
    pub(crate) kind: &'static str,
    pub(crate) filters: usize,
    pub(crate) size: Vec<usize>,
    pub(crate) layout: DimensionNumbers,
    pub(crate) windows: Windows,
    pub(crate) kernel_initializer: Initializer,
    pub(crate) bias_initializer: Initializer,
    pub(crate) use_bias: bool,
}

/// Glorot's normal values over the kernel's channels unless an initializer is given.
pub(crate) fn kernel_initializer(given: Option<Initializer>, layout: &DimensionNumbers) -> Initializer {
    let (outputs, inputs) = layout.kernel_channels();
    given.unwrap_or_else(|| scaled(outputs as isize, inputs as isize, 1.0, FanMode::FanAvg, Distribution::Normal))
}

/// The size of a kernel, refused if it has another number of axes than the layout.
pub(crate) fn kernel_size(kind: &str, size: Sizes, layout: &DimensionNumbers) -> Result<Vec<usize>> {
    crate::windows::per_axis(kind, "kernelSize", Some(size), layout.rank())
}

/// An input's sizes: axes joined to one of items (empty if there is one), spatial axes and channels.
struct Parts {
    joined: Vec<usize>,
    shape: Vec<usize>,
    spatial: Vec<usize>,
    channels: usize,
}

impl Kernel {
    fn parts(&self, shape: &[usize]) -> Result<Parts> {
        let rank = self.layout.rank() + 2;
        let (mut joined, mut whole) = (Vec::new(), shape.to_vec());
        if shape.len() > rank && self.layout.joins_items() {
            joined = shape[..shape.len() - 3].to_vec();
            whole = std::iter::once(joined.iter().product()).chain(shape[shape.len() - 3..].iter().copied()).collect();
        }
        if whole.len() != rank {
            return Err(Error::shape(format!(
                "an input in the layout '{}' has {rank} axes, got shape {shape:?}{}",
                self.layout.input(),
                if shape.len() > rank { "; more axes are taken for items in 'NHWC' only" } else { "" }
            )));
        }
        let order = self.layout.input_order();
        let spatial = order[1..rank - 1].iter().map(|&a| whole[a]).collect();
        let channels = whole[order[rank - 1]];
        Ok(Parts { joined, shape: whole, spatial, channels })
    }

    /// The output's signature.
    pub(crate) fn signature(&self, input: &TensorSpec) -> Result<TensorSpec> {
        let parts = self.parts(&input.shape)?;
        let spatial = self.windows.output(self.kind, &parts.spatial, &self.size)?;
        let items = parts.shape[self.layout.input_order()[0]];
        let canonical: Vec<usize> = std::iter::once(items).chain(spatial).chain([self.filters]).collect();
        let mut shape: Vec<usize> = self.layout.output_order().iter().map(|&a| canonical[a]).collect();
        if !parts.joined.is_empty() {
            shape.splice(..1, parts.joined);
        }
        Ok(TensorSpec::new(shape, input.dtype.promote(DType::F32)))
    }

    /// Initial weights: `(kernel, bias)`, or the kernel alone.
    pub(crate) fn init(&self, input: &TensorSpec, key: Key) -> Result<Local> {
        // An input that cannot be taken is refused now rather than in the first call.
        self.signature(input)?;
        let channels = self.parts(&input.shape)?.channels;
        let (kw, kb) = key.split_pair();
        let w = self.kernel_initializer.make(&self.layout.kernel_shape(&self.size, channels, self.filters), kw)?;
        let b =
            self.use_bias.then(|| self.bias_initializer.make(&self.layout.bias_shape(self.filters), kb)).transpose()?;
        Ok(Local::weights(Tree::with_bias(w, b)))
    }

    /// The output.
    pub(crate) fn forward(&self, x: &Tensor, weights: &Tree<Tensor>) -> Result<Tensor> {
        let (w, b) = weights.kernel_and_bias(self.use_bias)?;
        let parts = self.parts(x.shape())?;
        self.check(parts.channels, w, b)?;
        let x = turned(&x.reshape(&parts.shape)?, &self.layout.input_order())?;
        let w = turned(w, &self.layout.kernel_order())?;
        let b = b.map(|b| b.reshape(&[self.filters])).transpose()?;
        // Refuses windows that do not fit in the layer's words.
        self.windows.output(self.kind, &parts.spatial, &self.size)?;
        let y = turned(&conv(&x, &w, b.as_ref(), &self.windows)?, &self.layout.output_order())?;
        if parts.joined.is_empty() {
            return Ok(y);
        }
        let shape = [&parts.joined[..], &y.shape()[1..]].concat();
        Ok(y.reshape(&shape)?)
    }

    fn check(&self, channels: usize, w: &Tensor, b: Option<&Tensor>) -> Result<()> {
        let bias = self.layout.bias_shape(self.filters);
        let (_, inputs) = self.layout.kernel_channels();
        let made = w.shape().get(inputs).copied().unwrap_or(channels);
        let fits = |channels| w.shape() == self.layout.kernel_shape(&self.size, channels, self.filters);
        if !fits(made) || b.is_some_and(|b| b.shape() != bias) {
            let shape = self.layout.kernel_shape(&self.size, channels, self.filters);
            return Err(match b {
                Some(b) => Error::weights(&[&shape, &bias], &[w, b]),
                None => Error::weights(&[&shape], &[w]),
            });
        }
        if made != channels {
            return Err(Error::made_for("number of channels is", channels, made));
        }
        Ok(())
    }
}

/// A view with the axes in another order; itself if it is the same.
fn turned(x: &Tensor, order: &[usize]) -> Result<Tensor> {
    if order.iter().enumerate().all(|(i, &a)| i == a) {
        return Ok(x.clone());
    }
    Ok(x.transpose(Some(order))?)
}
