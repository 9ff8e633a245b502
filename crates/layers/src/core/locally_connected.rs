//! A one-dimensional convolution whose weights differ from position to position.
use crate::{
    choice,
    initializers::{glorot_uniform, random_normal},
    leaf,
    leaf_layer::leaf_named,
    options, Call, Dim, Error, ErrorKind, Initializer, LayerRef, Leaf, Local, Output, Result, TensorSpec, Tree,
};
use tallow_tensor::{random::Key, DType, Tensor};

choice! {
    /// What a locally connected layer sees beyond the ends of its input.
    pub enum Padding1d: "'VALID' | 'SAME' | 'WRAP'", "'VALID', 'SAME' or 'WRAP'" {
        /// Nothing: only whole windows count.
        Valid = "VALID",
        /// Zeros.
        Same = "SAME",
        /// The other end.
        Wrap = "WRAP",
    }
}

options! {
    /// Convolves a sequence with weights that differ from position to position.
    ///
    /// Formula: each position `l` maps its own vector by `w[l, i]`, for each place `i` of the window. The output at a position is the sum of
    /// the results that its window meets, plus `b` of that position.
    /// Shapes: `[..., length, depth]` → `[..., length, filters]`; with padding `'VALID'` → `[..., length - kernelSize + 1, filters]`.
    /// `init` fixes
    /// `length` and `depth`.
    /// Weights: `[w, b]`, with `w: [length, kernelSize, depth, filters]` and `b` of the size of the output's last two axes; `w` alone if
    /// `useBias` is
    /// false.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the input has fewer than two axes, or another `length` or `depth` than at `init`; or the input is shorter than a
    ///   window
    ///   and the padding is `'VALID'`.
    /// - `InvalidOption`: `kernelSize` is even.
    ///
    /// Source: Trax.
    /// See: `Conv1d`.
    /// Example:
    /// ```ts
    /// const layer = tl.LocallyConnected1d(4, 3, { padding: 'SAME' });
    /// layer.init({ shape: [2, 5, 3], dtype: 'float32' });
    /// layer(tl.ones([2, 5, 3])).shape; // → [2, 5, 4]
    /// ```
    pub struct LocallyConnected1dOptions for "LocallyConnected1d" ("filters", "kernelSize") {
        /// Size of the output's last axis.
        filters "filters": Dim,
        /// Positions a window covers; an odd number.
        kernel_size "kernelSize": Dim,
        /// Makes `w`.
        kernel_initializer "kernelInitializer": Initializer = glorot_uniform(),
        /// Makes `b`.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
        /// Whether to add `b`.
        use_bias "useBias": bool = true,
        /// What windows see beyond the ends.
        padding "padding": Padding1d = Padding1d::Valid,
    }
}

#[derive(Debug, Clone)]
struct LocallyConnected1d(LocallyConnected1dOptions);

/// A locally connected layer.
///
/// # Errors
/// `InvalidOption` for an even `kernelSize`.
pub fn locally_connected_1d(o: LocallyConnected1dOptions) -> Result<LayerRef> {
    Ok(leaf(LocallyConnected1d::new(o)?))
}

/// [`locally_connected_1d`] under another printed name.
///
/// # Errors
/// Those of [`locally_connected_1d`].
pub(crate) fn locally_connected_1d_named(name: String, o: LocallyConnected1dOptions) -> Result<LayerRef> {
    Ok(leaf_named(name, LocallyConnected1d::new(o)?))
}

impl LocallyConnected1d {
    fn new(o: LocallyConnected1dOptions) -> Result<Self> {
        if o.kernel_size.0.is_multiple_of(2) {
            return Err(Error::option(format!(
                "LocallyConnected1d: `kernelSize` must be odd, got {}",
                o.kernel_size.0
            )));
        }
        Ok(Self(o))
    }
    /// Positions and depth of the input, positions of the output.
    fn sizes(&self, shape: &[usize]) -> Result<(usize, usize, usize)> {
        let [.., l, d] = *shape else {
            return Err(Error::shape(format!(
                "the input needs an axis of positions and one of features, got shape {shape:?}"
            )));
        };
        let k = self.0.kernel_size.0;
        match self.0.padding {
            Padding1d::Valid if l < k => Err(Error::shape(format!(
                "a window of {k} positions does not fit in {l}; use padding 'SAME' or 'WRAP'"
            ))),
            Padding1d::Valid => Ok((l, d, l + 1 - k)),
            _ => Ok((l, d, l)),
        }
    }
}

impl Leaf for LocallyConnected1d {
    fn name(&self) -> String {
        format!("LocallyConnected1d_{}_{}", self.0.filters.0, self.0.kernel_size.0)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let (_, _, out) = self.sizes(&inputs[0].shape)?;
        let mut shape = inputs[0].shape.clone();
        shape.truncate(shape.len() - 2);
        shape.extend([out, self.0.filters.0]);
        Ok(vec![TensorSpec::new(shape, inputs[0].dtype.promote(DType::F32))])
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let o = &self.0;
        let (l, d, out) = self.sizes(&inputs[0].shape)?;
        let (kw, kb) = key.split_pair();
        let w = o.kernel_initializer.make(&[l, o.kernel_size.0, d, o.filters.0], kw)?;
        let b = o.use_bias.then(|| o.bias_initializer.make(&[out, o.filters.0], kb)).transpose()?;
        Ok(Local::weights(Tree::with_bias(w, b)))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        let (w, b) = call.w.kernel_and_bias(self.0.use_bias)?;
        let (l, d, out) = self.sizes(x.shape())?;
        match *w.shape() {
            [wl, _, wd, _] if wl == l && wd == d => {}
            [wl, _, wd, _] => return Err(Error::made_for("input ends in", [l, d], [wl, wd])),
            _ => return Err(Error::weights(&[&[l, self.0.kernel_size.0, d, self.0.filters.0]], &[w])),
        }
        // Results of each position for each place of a window: [..., L, K, filters].
        let places = Tensor::einsum("...lp,lkpd->...lkd", &[x, w])?;
        let k = self.0.kernel_size.0;
        let mut sum: Option<Tensor> = None;
        for i in 0..k {
            let part = self.shift(&places.index(-2, i as isize)?, i, l, out)?;
            sum = Some(match sum {
                Some(s) => s.add(&part)?,
                None => part,
            });
        }
        let y = sum.ok_or_else(|| Error::new(ErrorKind::Internal, "a window covers at least one position"))?;
        Ok(match b {
            Some(b) => y.add(b)?,
            None => y,
        }
        .into())
    }
}

impl LocallyConnected1d {
    /// Results for place `i` of a window (`[..., L, filters]`) moved to the positions of the windows they belong to.
    /// As in Trax, `'VALID'` numbers the places from the other end than the paddings do.
    fn shift(&self, part: &Tensor, i: usize, l: usize, out: usize) -> Result<Tensor> {
        let k = self.0.kernel_size.0;
        let half = (k - 1) / 2;
        Ok(match self.0.padding {
            Padding1d::Valid => part.narrow(-2, k - 1 - i, out)?,
            Padding1d::Wrap => part.roll(half as isize - i as isize, -2)?,
            Padding1d::Same => {
                let mut pads = vec![(0, 0); part.rank()];
                pads[part.rank() - 2] = (k - 1 - i, i);
                part.pad(&pads, 0.0)?.narrow(-2, half, l)?
            }
        })
    }
}
