//! Transposed convolution.
use crate::{
    convolution::{
        kernel::{kernel_initializer, kernel_size, Kernel},
        Convolution, DimensionNumbers,
    },
    entry,
    initializers::random_normal,
    leaf, options,
    options::Entry,
    windows::{check_padding, per_axis, PaddingArg, Sizes},
    Dim, Initializer, LayerRef, Result,
};
use tallow_tensor::ops::{Padding, Windows};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[entry!("deconvolution", ConvTransposeOptions, conv_transpose)];

options! {
    /// Convolves the input spread out by its strides, which makes it larger: a transposed convolution.
    ///
    /// The kernel is not mirrored. With `k = (kernelSize - 1) · rhsDilation + 1`, the reach of the kernel, `'VALID'` pads so that every
    /// position of the
    /// input reaches the whole kernel. Explicit padding goes around the spread input.
    ///
    /// Formula: that of `Conv` with stride 1, on the input with `strides - 1` zeros between neighbouring positions.
    /// Shapes: for images, `[batch, height, width, channels]` → `[batch, height', width', filters]`. With `'VALID'` padding
    /// `height' = height · stride + max(k - stride, 0)`, with `'SAME'` `height' = height · stride`. In this layout there may be more axes
    /// before the
    /// last three, all of them items.
    /// Weights: `[w, b]`, with `w: [...kernelSize, channels, filters]` in the kernel's layout and `b: [filters]`, as in `Conv`.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - those of `Conv`.
    ///
    /// Source: Trax; Zeiler et al. 2010, Deconvolutional Networks.
    /// See: `Conv`.
    /// Example:
    /// ```ts
    /// const layer = tl.ConvTranspose(4, [3, 3], { strides: [2, 2], padding: 'SAME' });
    /// layer.init({ shape: [1, 8, 8, 3], dtype: 'float32' });
    /// layer(tl.ones([1, 8, 8, 3])).shape; // → [1, 16, 16, 4]
    /// ```
    pub struct ConvTransposeOptions for "ConvTranspose" ("filters", "kernelSize") {
        /// Number of channels of the output.
        filters "filters": Dim,
        /// Size of the kernel along each spatial axis.
        kernel_size "kernelSize": Sizes,
        /// How far neighbouring positions of the input are spread apart along each spatial axis; `null` is 1.
        strides "strides": Option<Sizes> = None,
        /// How much of the full result is kept (`'VALID'`: all, `'SAME'`: the input's size times the strides), or numbers of zeros
        /// `[before, after]` for each axis of the spread input.
        padding "padding": PaddingArg = PaddingArg(Padding::Valid),
        /// Distance of neighbouring places of the kernel along each spatial axis; `null` is 1.
        rhs_dilation "rhsDilation": Option<Sizes> = None,
        /// Layouts of input, kernel and output: a letter for each axis.
        dimension_numbers "dimensionNumbers": DimensionNumbers = DimensionNumbers::two(),
        /// Makes `w`; `null` is Glorot's normal initializer over the kernel's channels.
        kernel_initializer "kernelInitializer": Option<Initializer> = None,
        /// Makes `b`.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
    }
}

/// See [`ConvTransposeOptions`].
///
/// # Errors
/// `InvalidOption` for lists that have not one entry for each spatial axis.
pub fn conv_transpose(o: ConvTransposeOptions) -> Result<LayerRef> {
    let (kind, layout) = ("ConvTranspose", o.dimension_numbers);
    let rank = layout.rank();
    let size = kernel_size(kind, o.kernel_size, &layout)?;
    check_padding(kind, &o.padding, rank)?;
    let strides = per_axis(kind, "strides", o.strides, rank)?;
    let dilation = per_axis(kind, "rhsDilation", o.rhs_dilation, rank)?;
    let padding = match o.padding.0 {
        Padding::Explicit(pairs) => pairs,
        kept => (0..rank)
            .map(|i| around((size[i] - 1).saturating_mul(dilation[i]).saturating_add(1), strides[i], &kept))
            .collect(),
    };
    let windows =
        Windows { padding: Padding::Explicit(padding), input_dilation: strides, dilation, strides: Vec::new() };
    Ok(leaf(Convolution(Kernel {
        kind,
        filters: o.filters.0,
        size,
        kernel_initializer: kernel_initializer(o.kernel_initializer, &layout),
        layout,
        windows,
        bias_initializer: o.bias_initializer,
        use_bias: true,
    })))
}

/// Zeros before and after an axis for a kernel that reaches over `reach` positions.
fn around(reach: usize, stride: usize, kept: &Padding) -> (isize, isize) {
    // Larger sizes are refused when the layer sees its input.
    let (k, s) = (reach.min(1 << 50) as isize, stride.min(1 << 50) as isize);
    match kept {
        Padding::Same => {
            let total = k + s - 2;
            let before = if s > k - 1 { k - 1 } else { total / 2 + total % 2 };
            (before, total - before)
        }
        _ => (k - 1, s - 1 + (k - s).max(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_keeps_what_is_said() {
        for (k, s) in [(1, 1), (3, 1), (3, 2), (2, 3), (5, 2), (4, 4), (1, 3)] {
            for n in [1, 4] {
                let size = |kept: &Padding| {
                    let (before, after) = around(k, s, kept);
                    ((n - 1) * s + 1) as isize + before + after - k as isize + 1
                };
                assert_eq!(size(&Padding::Same), (n * s) as isize, "{k} {s}");
                assert_eq!(size(&Padding::Valid), (n * s + k.saturating_sub(s)) as isize, "{k} {s}");
            }
        }
    }
}
