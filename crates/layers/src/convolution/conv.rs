//! Convolution over spatial axes, and its one-dimensional and causal forms.
use super::{
    kernel::{kernel_initializer, kernel_size, Kernel},
    layout::DimensionNumbers,
    remembered::{going_on, nothing},
};
use crate::{
    initializers::random_normal,
    leaf, options,
    windows::{check_padding, per_axis, PaddingArg, Sizes},
    Call, Dim, Initializer, LayerRef, Leaf, Local, Mode, Output, Result, TensorSpec, Traits, Tree,
};
use tallow_tensor::{
    ops::{Padding, Windows},
    random::Key,
};

options! {
    /// Convolves an input with a kernel, over any number of spatial axes.
    ///
    /// It is what the field calls a convolution: the kernel is not mirrored (cross-correlation). Beyond the input there are zeros.
    ///
    /// Formula: `y[n, o, j] = b[j] + Σ w[t, i, j] · x[n, o · stride + t - padding, i]`, summed over places `t` of the kernel and channels `i`.
    /// Shapes: for images, `[batch, height, width, channels]` → `[batch, height', width', filters]`. With `'VALID'` padding
    /// `height' = ⌈(height - k + 1) / stride⌉`
    /// for a kernel of `k` rows, with `'SAME'` `height' = ⌈height / stride⌉`. In this layout there may be more axes before the last three,
    /// all of
    /// them items. Other `dimensionNumbers` order the axes otherwise, and have one, three or more spatial axes.
    /// Weights: `[w, b]`, with `w: [...kernelSize, channels, filters]` in the kernel's layout and `b: [filters]`; `w` alone if `useBias` is
    /// false. Where the
    /// output's channels are not last, `b` has an axis of size 1 for each axis behind them.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidOption`: `kernelSize`, `strides` or `padding` does not have one entry for each spatial axis.
    /// - `ShapeMismatch`: the input has another number of axes or channels than expected, or is smaller than the kernel.
    ///
    /// Source: Trax.
    /// See: `Conv1d`, `ConvTranspose`.
    /// Example:
    /// ```ts
    /// const layer = tl.Conv(8, [3, 3], { padding: 'SAME' });
    /// layer.init({ shape: [1, 28, 28, 3], dtype: 'float32' });
    /// layer(tl.ones([1, 28, 28, 3])).shape; // → [1, 28, 28, 8]
    /// ```
    pub struct ConvOptions for "Conv" ("filters", "kernelSize") {
        /// Number of channels of the output.
        filters "filters": Dim,
        /// Size of the kernel along each spatial axis.
        kernel_size "kernelSize": Sizes,
        /// Positions from one window to the next along each spatial axis; `null` is 1.
        strides "strides": Option<Sizes> = None,
        /// What lies beyond the ends: nothing (`'VALID'`), zeros that keep the size (`'SAME'`), or numbers of zeros `[before, after]` for each axis.
        padding "padding": PaddingArg = PaddingArg(Padding::Valid),
        /// Layouts of input, kernel and output: a letter for each axis.
        dimension_numbers "dimensionNumbers": DimensionNumbers = DimensionNumbers::two(),
        /// Makes `w`; `null` is Glorot's normal initializer over the kernel's channels.
        kernel_initializer "kernelInitializer": Option<Initializer> = None,
        /// Makes `b`.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
        /// Whether to add `b`.
        use_bias "useBias": bool = true,
    }
}

options! {
    /// Convolves sequences with a kernel: `Conv` with one spatial axis.
    ///
    /// Formula: `y[n, o, j] = b[j] + Σ w[t, i, j] · x[n, o · stride + t - padding, i]`, summed over places `t` of the kernel and channels `i`.
    /// Shapes: `[batch, length, channels]` → `[batch, length', filters]`. With `'VALID'` padding
    /// `length' = ⌈(length - kernelSize + 1) / stride⌉`, with
    /// `'SAME'` `length' = ⌈length / stride⌉`.
    /// Weights: `[w, b]`, with `w: [kernelSize, channels, filters]` and `b: [filters]`; `w` alone if `useBias` is false.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - those of `Conv`.
    ///
    /// Source: Trax.
    /// See: `Conv`, `CausalConv`.
    /// Example:
    /// ```ts
    /// const layer = tl.Conv1d(4, 3);
    /// layer.init({ shape: [2, 10, 3], dtype: 'float32' });
    /// layer(tl.ones([2, 10, 3])).shape; // → [2, 8, 4]
    /// ```
    pub struct Conv1dOptions for "Conv1d" ("filters", "kernelSize") {
        /// Number of channels of the output.
        filters "filters": Dim,
        /// Positions that the kernel covers.
        kernel_size "kernelSize": Dim,
        /// Positions from one window to the next.
        stride "stride": Dim = Dim(1),
        /// What lies beyond the ends: nothing (`'VALID'`), zeros that keep the size (`'SAME'`), or one pair of numbers of zeros `[[before, after]]`.
        padding "padding": PaddingArg = PaddingArg(Padding::Valid),
        /// Makes `w`; `null` is Glorot's normal initializer over the kernel's channels.
        kernel_initializer "kernelInitializer": Option<Initializer> = None,
        /// Makes `b`.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
        /// Whether to add `b`.
        use_bias "useBias": bool = true,
    }
}

options! {
    /// Convolves sequences so that no position sees a later one.
    ///
    /// Formula: that of `Conv1d`, with `kernelWidth - 1` zeros before the first position and none behind the last.
    /// Shapes: `[batch, length, channels]` → `[batch, length, filters]`.
    /// Weights: `[w, b]`, with `w: [kernelWidth, channels, filters]` and `b: [filters]`; `w` alone if `useBias` is false.
    /// State: empty. In `'predict'` the last `kernelWidth - 1` positions.
    /// Modes: in `'predict'` a call takes the next positions and goes on where the call before ended.
    /// Errors:
    /// - those of `Conv`.
    /// - `ShapeMismatch`: in `'predict'`, a call has another number of sequences than the calls before.
    ///
    /// Source: Trax.
    /// See: `Conv1d`, `CausalDepthwiseConv`.
    /// Example:
    /// ```ts
    /// const layer = tl.CausalConv(4);
    /// layer.init({ shape: [2, 10, 3], dtype: 'float32' });
    /// layer(tl.ones([2, 10, 3])).shape; // → [2, 10, 4]
    /// ```
    pub struct CausalConvOptions for "CausalConv" ("filters") {
        /// Number of channels of the output.
        filters "filters": Dim,
        /// Positions that the kernel covers, the current one included.
        kernel_width "kernelWidth": Dim = Dim(3),
        /// Makes `w`; `null` is Glorot's normal initializer over the kernel's channels.
        kernel_initializer "kernelInitializer": Option<Initializer> = None,
        /// Makes `b`.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
        /// Whether to add `b`.
        use_bias "useBias": bool = true,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

/// A convolution as a leaf: a kernel that goes by its name.
#[derive(Debug, Clone)]
pub(crate) struct Convolution(pub(crate) Kernel);

impl Leaf for Convolution {
    fn name(&self) -> String {
        self.0.kind.into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(vec![self.0.signature(&inputs[0])?])
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        self.0.init(&inputs[0], key)
    }
    fn forward(&self, call: Call) -> Result<Output> {
        Ok(self.0.forward(&call.xs[0], call.w)?.into())
    }
}

/// See [`ConvOptions`].
///
/// # Errors
/// `InvalidOption` for lists that have not one entry for each spatial axis.
pub fn conv(o: ConvOptions) -> Result<LayerRef> {
    conv_as("Conv", o)
}

/// [`conv`] that a caller asked for as `kind`, which refuses options by this name. It prints as `Conv`, as in Trax.
fn conv_as(kind: &str, o: ConvOptions) -> Result<LayerRef> {
    let layout = o.dimension_numbers;
    let size = kernel_size(kind, o.kernel_size, &layout)?;
    check_padding(kind, &o.padding, layout.rank())?;
    let strides = per_axis(kind, "strides", o.strides, layout.rank())?;
    Ok(leaf(Convolution(Kernel {
        kind: "Conv",
        filters: o.filters.0,
        size,
        kernel_initializer: kernel_initializer(o.kernel_initializer, &layout),
        layout,
        windows: Windows { strides, padding: o.padding.0, ..Windows::default() },
        bias_initializer: o.bias_initializer,
        use_bias: o.use_bias,
    })))
}

/// See [`Conv1dOptions`].
///
/// # Errors
/// `InvalidOption` for padding of more than one pair.
pub fn conv_1d(o: Conv1dOptions) -> Result<LayerRef> {
    conv_as(
        "Conv1d",
        ConvOptions {
            filters: o.filters,
            kernel_size: Sizes(vec![o.kernel_size.0]),
            strides: Some(Sizes(vec![o.stride.0])),
            padding: o.padding,
            dimension_numbers: DimensionNumbers::one(),
            kernel_initializer: o.kernel_initializer,
            bias_initializer: o.bias_initializer,
            use_bias: o.use_bias,
        },
    )
}

/// See [`CausalConvOptions`].
///
/// # Errors
/// None; as all layer constructors.
pub fn causal_conv(o: CausalConvOptions) -> Result<LayerRef> {
    let layout = DimensionNumbers::one();
    let padding = Padding::Explicit(vec![(o.kernel_width.0 as isize - 1, 0)]);
    let kernel = Kernel {
        kind: "CausalConv",
        filters: o.filters.0,
        size: vec![o.kernel_width.0],
        kernel_initializer: kernel_initializer(o.kernel_initializer, &layout),
        layout,
        windows: Windows { padding, ..Windows::default() },
        bias_initializer: o.bias_initializer,
        use_bias: o.use_bias,
    };
    Ok(leaf(CausalConvolution { kernel, positions: o.kernel_width.0 - 1, mode: o.mode }))
}

/// A causal convolution, which in mode `'predict'` remembers as many positions as its kernel covers before the current one.
#[derive(Debug, Clone)]
struct CausalConvolution {
    kernel: Kernel,
    positions: usize,
    mode: Mode,
}

impl Leaf for CausalConvolution {
    fn name(&self) -> String {
        self.kernel.kind.into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(vec![self.kernel.signature(&inputs[0])?])
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let made = self.kernel.init(&inputs[0], key)?;
        let state = if self.traits().goes_on { nothing(&inputs[0], self.positions)? } else { Tree::EMPTY };
        Ok(Local { state, ..made })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        if self.traits().goes_on {
            self.kernel.signature(&TensorSpec::of(x))?;
            return going_on(x, call.s, self.positions, |x| self.kernel.forward(x, call.w));
        }
        Ok(self.kernel.forward(x, call.w)?.into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.mode == Mode::Predict && self.positions > 0, ..Traits::LEAF }
    }
}
