//! Dense layers in which a part of the output sees only parts of the input near to it.
use super::modules::{merge_last_two_axes, split_last_axis};
use crate::{
    assert_shape::assert_function,
    combinators::serial,
    convolution::{conv, ConvOptions},
    core::{dense, dense_named, locally_connected_1d_named, DenseOptions, LocallyConnected1dOptions, Padding1d},
    framework::pure::pure_layer,
    initializers::{glorot_uniform, random_normal},
    leaf, options, Call, Dim, Error, Initializer, LayerRef, Leaf, Local, Mode, Output, Result, Sizes, TensorSpec,
    Traits, Tree,
};
use serde_json::json;
use tallow_tensor::{random::Key, DType, Tensor};

options! {
    /// Maps each part of the vector from `kernelSize` neighbouring parts, with weights of its own, which are less than those of
    /// `Dense`.
    ///
    /// The last axis is split into `nModules` parts, which go through `LocallyConnected1d` (the two ends are neighbours) and are
    /// joined.
    ///
    /// Shapes: `[..., d]` → `[..., nModules · nUnits]`. With one module it is `Dense(nUnits)`.
    /// Weights: those of the `LocallyConnected1d`: `nModules / kernelSize` times less than those of a `Dense`.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidOption`: `kernelSize` is even.
    /// - `ShapeMismatch`: `nModules` does not divide the last axis.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.LocallyConnectedDense(2, 3);
    /// layer.init({ shape: [1, 4], dtype: 'float32' });
    /// layer(tl.ones([1, 4])).shape; // → [ 1, 6 ]
    /// ```
    pub struct LocallyConnectedDenseOptions for "LocallyConnectedDense" ("nModules", "nUnits") {
        /// Parts that input and output are split into.
        n_modules "nModules": Dim,
        /// Size of a part of the output.
        n_units "nUnits": Dim,
        /// Parts of the input that a part of the output sees; an odd number.
        kernel_size "kernelSize": Dim = Dim(1),
        /// Makes the kernel.
        kernel_initializer "kernelInitializer": Initializer = glorot_uniform(),
        /// Makes the bias.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
        /// Whether to add a bias.
        use_bias "useBias": bool = true,
    }
}

options! {
    /// Maps the last axis by a convolution over the parts of a vector and, causally, over positions.
    ///
    /// The last axis is split into `nModules` parts. A `Conv` with `nUnits` filters runs over `kernelSize` of them and over
    /// `lengthKernelSize` positions up to the current one; its results are joined.
    ///
    /// Shapes: `[batch, length, d]` → `[batch, length, nModules · nUnits]`. With one module it is `Dense(nUnits)`, on any shape.
    /// Weights: those of the `Conv`, `[w, b]`, with `w: [lengthKernelSize, kernelSize, d / nModules, nUnits]` and `b: [nUnits]`.
    /// State: none; in mode `'predict'` the last `lengthKernelSize - 1` positions.
    /// Modes: in `'predict'` it goes on where the call before ended. All others start with zeros before the first position.
    /// Errors:
    /// - `InvalidOption`: `kernelSize` is even.
    /// - `ShapeMismatch`: `nModules` does not divide the last axis.
    /// Source: Trax; Jaszczur et al. 2021, arXiv:2111.12763.
    /// Example:
    /// ```ts
    /// const layer = tl.LocallyConvDense(2, 3, 'train', { kernelSize: 1, lengthKernelSize: 3 });
    /// layer.init({ shape: [1, 5, 4], dtype: 'float32' });
    /// layer(tl.ones([1, 5, 4])).shape; // → [ 1, 5, 6 ]
    /// ```
    pub struct LocallyConvDenseOptions for "LocallyConvDense" ("nModules", "nUnits", "mode") {
        /// Parts that input and output are split into.
        n_modules "nModules": Dim,
        /// Size of a part of the output.
        n_units "nUnits": Dim,
        /// How the layer behaves.
        mode "mode": Mode,
        /// Parts of the input that a part of the output sees; an odd number.
        kernel_size "kernelSize": Dim = Dim(1),
        /// Positions that a position sees, itself included.
        length_kernel_size "lengthKernelSize": Dim = Dim(1),
    }
}

/// See [`LocallyConnectedDenseOptions`].
///
/// # Errors
/// `InvalidOption` for an even `kernelSize`.
pub fn locally_connected_dense(o: LocallyConnectedDenseOptions) -> Result<LayerRef> {
    let units = o.n_units.0.to_string();
    locally_connected_dense_printing(&units, o)
}

/// [`locally_connected_dense`] with another spelling of `nUnits` in names.
///
/// # Errors
/// Those of [`locally_connected_dense`].
pub(super) fn locally_connected_dense_printing(units: &str, o: LocallyConnectedDenseOptions) -> Result<LayerRef> {
    let layer = if o.n_modules.0 == 1 {
        let options = DenseOptions {
            n_units: o.n_units,
            kernel_initializer: o.kernel_initializer,
            bias_initializer: o.bias_initializer,
            use_bias: o.use_bias,
            use_bfloat16: false,
        };
        dense_named(format!("Dense_{units}"), options)
    } else {
        let name = format!("LocallyConnected1d_{units}_{}", o.kernel_size.0);
        let options = LocallyConnected1dOptions {
            filters: o.n_units,
            kernel_size: o.kernel_size,
            kernel_initializer: o.kernel_initializer,
            bias_initializer: o.bias_initializer,
            use_bias: o.use_bias,
            padding: Padding1d::Wrap,
        };
        let connected = locally_connected_1d_named(name, options)?;
        serial(vec![split_last_axis(o.n_modules.0)?, connected, merge_last_two_axes()?])
    };
    assert_function("...a->...b", layer)
}

/// See [`LocallyConvDenseOptions`].
///
/// # Errors
/// `InvalidOption` for an even `kernelSize`.
pub fn locally_conv_dense(o: LocallyConvDenseOptions) -> Result<LayerRef> {
    if o.n_modules.0 == 1 {
        return assert_function("...a->...b", dense(o.n_units.0));
    }
    if o.kernel_size.0.is_multiple_of(2) {
        return Err(Error::option(format!("LocallyConvDense: `kernelSize` must be odd, got {}", o.kernel_size.0)));
    }
    let mut convolution = ConvOptions::parse(&json!({"filters": o.n_units.0, "kernelSize": [1, 1]}).into())?;
    convolution.kernel_size = Sizes(vec![o.length_kernel_size.0, o.kernel_size.0]);
    let layer = serial(vec![
        split_last_axis(o.n_modules.0)?,
        pad_modules((o.kernel_size.0 - 1) / 2),
        leaf(RememberPad { items: o.length_kernel_size.0 - 1, mode: o.mode }),
        conv(convolution)?,
        merge_last_two_axes()?,
    ]);
    assert_function("...a->...b", layer)
}

/// Zeros around the axis of modules of `[b, l, modules, n]`.
fn pad_modules(half: usize) -> LayerRef {
    let widths = [(0, 0), (0, 0), (half, half), (0, 0)];
    let signature = move |s: &[TensorSpec]| match s[0].shape[..] {
        [b, l, modules, n] => Ok(vec![s[0].with_shape([b, l, modules + 2 * half, n])]),
        _ => Err(Error::shape(format!(
            "LocallyConvDense takes inputs of the axes [batch, length, features], split into parts they are {}",
            s[0]
        ))),
    };
    pure_layer("Pad", 1, 1, signature, move |xs| {
        signature(&[TensorSpec::of(&xs[0])])?;
        Ok(vec![xs[0].pad(&widths, 0.0)?])
    })
}

/// Puts items before the second axis: zeros, or in mode `'predict'` the last ones of the call before.
#[derive(Debug, Clone)]
struct RememberPad {
    items: usize,
    mode: Mode,
}

impl RememberPad {
    /// State as Trax nests it: the items, and a mark that says whether a call was made.
    fn state(items: Tensor, mark: &str) -> Tree<Tensor> {
        Tree::Tuple(vec![Tree::Leaf(items), Tree::Dict(vec![(mark.into(), Tree::EMPTY)])])
    }
    fn shape(input: &TensorSpec, length: impl Fn(usize) -> usize) -> Result<Vec<usize>> {
        let mut shape = input.shape.clone();
        let axis =
            shape.get_mut(1).ok_or_else(|| Error::shape(format!("a second axis is needed to pad, got {input}")))?;
        *axis = length(*axis);
        Ok(shape)
    }
}

impl Leaf for RememberPad {
    fn name(&self) -> String {
        "_RememberPad".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(vec![inputs[0].with_shape(Self::shape(&inputs[0], |l| l + self.items)?)])
    }
    fn init(&self, inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        if self.mode != Mode::Predict {
            return Ok(Local::EMPTY);
        }
        let zeros = TensorSpec::new(Self::shape(&inputs[0], |_| self.items)?, DType::F32).zeros()?;
        Ok(Local::state(Self::state(zeros, "init")))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        Self::shape(&TensorSpec::of(x), |l| l)?;
        if self.items == 0 {
            return Ok(x.clone().into());
        }
        if self.mode != Mode::Predict {
            let mut widths = vec![(0, 0); x.rank()];
            widths[1].0 = self.items;
            return Ok(x.pad(&widths, 0.0)?.into());
        }
        let wrong = || call.s.wrong("a tuple (items, mark)");
        let Tree::Tuple(parts) = call.s else { return Err(wrong()) };
        let [items, mark] = &parts[..] else { return Err(wrong()) };
        let (items, batch) = (items.one()?, x.shape()[0]);
        let mut before = items.clone();
        if batch != items.shape()[0] {
            if !matches!(mark, Tree::Dict(marks) if marks.iter().any(|(mark, _)| mark == "init")) {
                return Err(Error::other_batch(batch, items.shape()[0]));
            }
            // Nothing is remembered yet, so that any number of sequences can begin.
            let zeros = TensorSpec::of(items).with_shape([&[batch], &items.shape()[1..]].concat()).zeros()?;
            before = zeros.to_device(items.device())?;
        }
        let y = Tensor::concat(&[before.cast(x.dtype())?, x.clone()], 1)?;
        let last = y.narrow(1, y.shape()[1] - self.items, self.items)?.detach().cast(DType::F32)?;
        Ok(Output { ys: vec![y], state: Some(Self::state(last, "forward")) })
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.mode == Mode::Predict && self.items > 0, ..Traits::LEAF }
    }
}
