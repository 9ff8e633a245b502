//! A large table of positions as the product of small ones.
use super::positions::{at_position, next_position};
use crate::{
    core::mask_shape, initializers::random_normal, leaf, options, Call, Error, Initializer, LayerRef, Leaf, Local,
    Mode, Output, Rate, Result, Shape, TensorSpec, Traits, Tree, Wholes,
};
use tallow_tensor::{memory, ops, random::Key, DType, Tensor};

options! {
    /// Adds a trainable vector to each place of a grid, put together from one vector for each of its coordinates.
    ///
    /// Positions are the places of a grid of size `shape` in row-major order. A sequence of `shape[0] · shape[1] · …` positions needs
    /// `shape[0] + shape[1] + …` vectors only.
    ///
    /// Formula: place `(i, j, …)` gets the vector `[w0[i], w1[j], …]`.
    /// Shapes: `[batch, ..., d]` → `[batch, ..., d]`, float32 or wider. The axes between are as many positions as the grid has places;
    /// `d` is the sum of `dEmbs`.
    /// Weights: for each axis `k` of the grid `wk: [1, ..., shape[k], ..., 1, dEmbs[k]]`.
    /// State: none; in mode `'predict'` the index of the next position.
    /// Modes: drops in `'train'` only. In `'predict'` it goes on at the stored index, with as many positions as come.
    /// Errors:
    /// - `InvalidOption`: `shape` and `dEmbs` differ in length.
    /// - `ShapeMismatch`: the input has another number of features or positions, or predict mode runs past the grid.
    /// - `InvalidArgument`: the positions do not have one of `dropoutBroadcastDims`.
    /// Source: Trax; Kitaev et al. 2020, arXiv:2001.04451; Ho et al. 2019, arXiv:1912.12180.
    /// Example:
    /// ```ts
    /// const layer = tl.AxialPositionalEncoding({ shape: [2, 3], dEmbs: [2, 2] });
    /// layer.init({ shape: [1, 6, 4], dtype: 'float32' });
    /// layer(tl.ones([1, 6, 4])).shape; // → [ 1, 6, 4 ]
    /// ```
    pub struct AxialPositionalEncodingOptions for "AxialPositionalEncoding" () {
        /// Size of the grid.
        shape "shape": Shape = Shape(vec![64, 64, 3]),
        /// Number of features that each coordinate gives.
        d_embs "dEmbs": Shape = Shape(vec![384, 384, 256]),
        /// Makes each weight.
        kernel_initializer "kernelInitializer": Initializer = random_normal(1.0),
        /// Probability of adding nothing.
        dropout "dropout": Rate = Rate(0.0),
        /// Axes of `[batch, ...shape, d]` that share one dropout draw.
        dropout_broadcast_dims "dropoutBroadcastDims": Wholes = Wholes(Vec::new()),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
    }
}

#[derive(Debug, Clone)]
struct Axial(AxialPositionalEncodingOptions);

/// See [`AxialPositionalEncodingOptions`].
///
/// # Errors
/// `InvalidOption` unless `shape` and `dEmbs` have the same length, which is not 0.
pub(super) fn build(o: AxialPositionalEncodingOptions) -> Result<LayerRef> {
    let (axes, widths) = (o.shape.0.len(), o.d_embs.0.len());
    if axes != widths || axes == 0 {
        return Err(Error::option(format!(
            "AxialPositionalEncoding: `dEmbs` must have one entry for each axis of `shape`, got {widths} for {axes}"
        )));
    }
    Ok(leaf(Axial(o)))
}

/// The state after a call. It is int64 there, though int32 at first: so Trax leaves it, and its saved states have it.
fn later(position: usize) -> Tree<Tensor> {
    Tree::Leaf(Tensor::scalar(position as i64))
}

impl Axial {
    fn grid(&self) -> &[usize] {
        &self.0.shape.0
    }
    fn places(&self) -> usize {
        self.grid().iter().product()
    }
    fn width(&self) -> usize {
        self.0.d_embs.0.iter().sum()
    }
    fn check_features(&self, x: &TensorSpec) -> Result<()> {
        let d = self.width();
        if x.rank() < 2 || x.shape.last() != Some(&d) {
            let sizes = &self.0.d_embs.0;
            return Err(Error::shape(format!("expected (batch, ..., {d}), as dEmbs {sizes:?} add up to {d}, got {x}")));
        }
        Ok(())
    }
    fn weights<'a>(&self, w: &'a Tree<Tensor>) -> Result<Vec<&'a Tensor>> {
        let all = w.leaves();
        if all.len() != self.grid().len() {
            return Err(w.wrong(&format!("a tuple of {} tensors", self.grid().len())));
        }
        Ok(all)
    }
    /// Vectors of all places, `(1, ...shape, d)`.
    fn table(&self, w: &Tree<Tensor>) -> Result<Tensor> {
        let along = |(w, &d): (&Tensor, &usize)| {
            let shape = [&[1], self.grid(), &[d]].concat();
            w.broadcast_to(&shape)
        };
        let all = self.weights(w)?.into_iter().zip(&self.0.d_embs.0).map(along);
        Ok(Tensor::concat(&all.collect::<tallow_tensor::Result<Vec<_>>>()?, -1)?)
    }
    /// Vectors of some places, `(count, d)`, without making those of the others.
    fn rows(&self, w: &Tree<Tensor>, start: usize, count: usize) -> Result<Tensor> {
        let mut stride = self.places();
        let along = |((w, &n), &d): ((&Tensor, &usize), &usize)| {
            stride /= n.max(1);
            let index = memory::collect((start..start + count).map(|p| (p / stride.max(1) % n.max(1)) as i32))?;
            w.reshape(&[n, d])?.take(&Tensor::from_vec(index, &[count])?.to_device(w.device())?, 0)
        };
        let all = self.weights(w)?.into_iter().zip(self.grid()).zip(&self.0.d_embs.0).map(along);
        Ok(Tensor::concat(&all.collect::<tallow_tensor::Result<Vec<_>>>()?, -1)?)
    }
}

impl Leaf for Axial {
    fn name(&self) -> String {
        "AxialPositionalEncoding".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let x = &inputs[0];
        self.check_features(x)?;
        let out = vec![TensorSpec::new(x.shape.clone(), x.dtype.promote(DType::F32))];
        if self.0.mode == Mode::Predict {
            if x.rank() != 3 {
                return Err(Error::shape(format!("predict takes (batch, length, features), got {x}")));
            }
            return Ok(out);
        }
        let positions: usize = x.shape[1..x.rank() - 1].iter().product();
        if positions != self.places() {
            let (grid, places) = (self.grid(), self.places());
            return Err(Error::shape(format!("shape {grid:?} encodes {places} positions, got {positions} in {x}")));
        }
        Ok(out)
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        self.check_features(&inputs[0])?;
        let (grid, widths) = (self.grid(), &self.0.d_embs.0);
        let along = |(axis, key): (usize, Key)| {
            let mut shape = vec![1; grid.len() + 2];
            shape[axis + 1] = grid[axis];
            shape[grid.len() + 1] = widths[axis];
            self.0.kernel_initializer.make(&shape, key)
        };
        let weights = key.split(grid.len()).into_iter().enumerate().map(along).collect::<Result<Vec<_>>>()?;
        let state = if self.0.mode == Mode::Predict { at_position(0) } else { Tree::EMPTY };
        Ok(Local { weights: Tree::tuple(weights), state })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        self.signature(&[TensorSpec::of(x)])?;
        if self.0.mode == Mode::Predict {
            let (start, count) = (next_position(call.s)?, x.shape()[1]);
            if start + count > self.places() {
                let (grid, end) = (self.grid(), start + count);
                return Err(Error::shape(format!("positions up to {end} are needed, but shape {grid:?} has fewer")));
            }
            let y = x.add(&self.rows(call.w, start, count)?)?;
            return Ok(Output { ys: vec![y], state: Some(later(start + count)) });
        }
        let mut table = self.table(call.w)?;
        let mut shape = [&[1], &x.shape()[1..]].concat();
        if self.0.mode == Mode::Train && self.0.dropout.0 > 0.0 {
            shape[0] = x.shape()[0];
            let each = [&x.shape()[..1], &table.shape()[1..]].concat();
            let mask = mask_shape("dropoutBroadcastDims", &each, &self.0.dropout_broadcast_dims.0)?;
            table = ops::dropout(&table.broadcast_to(&each)?, self.0.dropout.0, call.key, &mask)?;
        }
        Ok(x.add(&table.reshape(&shape)?)?.into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.0.mode == Mode::Predict, keeps_float32: true, ..Traits::LEAF }
    }
}
