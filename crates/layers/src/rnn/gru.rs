//! Gated recurrent units.
use super::{
    cell::{cell_depth, cell_signature, check_weights, runs_at_once, scan_of},
    zero_state::zero_state_of,
};
use crate::{
    combinators::{branch, select, serial_printing},
    framework::{leaf::WholeSequence, quantize::Matrix},
    initializers::{random_normal, random_uniform},
    leaf, options, Abilities, Arity, Call, Dim, Initializer, LayerNest, LayerRef, Leaf, Local, Mode, Num, Output,
    Result, Sequence, TensorSpec, Traits, Tree,
};
use tallow_tensor::{
    ops::{self, GruWeights, Outputs},
    random::Key,
    Tensor,
};

options! {
    /// Makes one step of a gated recurrent unit.
    ///
    /// Formula: `[u, r] = σ([x, h] · w1 + b1)`, `c = tanh([x, r h] · w2 + b2)`, `h′ = u h + (1 - u) c`.
    /// Shapes: `[..., depth]`, state `h: [..., nUnits]` → `[..., nUnits]` twice, as output and as new state.
    /// Weights: `[w1, b1, w2, b2]`, with `w1: [depth + nUnits, 2 · nUnits]`, `b1: [2 · nUnits]`, which starts from `forgetBias` on,
    /// `w2: [depth + nUnits, nUnits]` and `b2: [nUnits]`.
    /// State: none of its own. `Scan` runs a whole sequence of it at once.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the last axis of the state is not `nUnits`, or the input has another depth than at `init`.
    /// Source: Trax; Cho et al. 2014, arXiv:1406.1078; Chung et al. 2014, arXiv:1412.3555.
    /// See: `GRU`, for whole sequences.
    /// Example:
    /// ```ts
    /// const cell = tl.GRUCell(3);
    /// const [x, h] = [tl.ones([1, 2]), tl.zeros([1, 3])];
    /// cell.init(tl.signature([x, h]));
    /// cell([x, h]).map((y) => y.shape); // → [ [ 1, 3 ], [ 1, 3 ] ]
    /// ```
    pub struct GruCellOptions for "GRUCell" ("nUnits") {
        /// Size of the state.
        n_units "nUnits": Dim,
        /// Added to the initial biases of the gates.
        forget_bias "forgetBias": Num = Num(0.0),
        /// Makes `w1` and `w2`.
        kernel_initializer "kernelInitializer": Initializer = random_uniform(0.01),
        /// Makes `b1`, without `forgetBias`, and `b2`.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
    }
}

options! {
    /// Runs a gated recurrent unit over a sequence, from a state of zeros.
    ///
    /// Formula: that of `GRUCell` at each step.
    /// Shapes: `[batch, length, depth]` → `[batch, length, nUnits]`; float32 for float16 and bfloat16.
    /// Weights: those of the `GRUCell`, nested as the layers are.
    /// State: none; in mode `'predict'` the state after the last call, where the next one goes on.
    /// Modes: goes on where it stopped in `'predict'`; in all others a call begins from zeros.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have three axes, or has another depth than at `init`.
    /// Source: Trax; Cho et al. 2014, arXiv:1406.1078; Chung et al. 2014, arXiv:1412.3555.
    /// See: `LSTM`, `SRU`.
    /// Example:
    /// ```ts
    /// const layer = tl.GRU(3);
    /// layer.init({ shape: [1, 5, 2], dtype: 'float32' });
    /// layer(tl.ones([1, 5, 2])).shape; // → [ 1, 5, 3 ]
    /// ```
    pub struct GruOptions for "GRU" ("nUnits") {
        /// Size of the state; need not be the depth of the input.
        n_units "nUnits": Dim,
        /// `'predict'` goes on where the last call ended.
        mode "mode": Mode = Mode::Train,
    }
}

#[derive(Debug, Clone)]
struct GruCell(GruCellOptions);

/// One step of a gated recurrent unit.
pub fn gru_cell(o: GruCellOptions) -> LayerRef {
    leaf(GruCell(o))
}

impl GruCell {
    fn weights<'a>(&self, w: &'a Tree<Tensor>, depth: usize) -> Result<[Matrix<'a>; 4]> {
        let (weights, n) = (w.many_matrices::<4>()?, self.0.n_units.0);
        let wanted: [&[usize]; 4] = [&[depth + n, 2 * n], &[2 * n], &[depth + n, n], &[n]];
        check_weights(&weights.each_ref().map(Matrix::shape), &wanted)?;
        Ok(weights)
    }
}

impl Leaf for GruCell {
    fn name(&self) -> String {
        "GRUCell".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(2, 2)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        cell_signature(inputs, self.0.n_units.0, 1)
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let (o, n) = (&self.0, self.0.n_units.0);
        let rows = cell_depth(&inputs[0], &inputs[1], n, 1)? + n;
        let keys = key.split(4);
        let w1 = o.kernel_initializer.make(&[rows, 2 * n], keys[0])?;
        let b1 = o.bias_initializer.make(&[2 * n], keys[1])?.add_scalar(o.forget_bias.0)?;
        let w2 = o.kernel_initializer.make(&[rows, n], keys[2])?;
        let b2 = o.bias_initializer.make(&[n], keys[3])?;
        Ok(Local::weights(Tree::tuple([w1, b1, w2, b2])))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let [x, state] = [&call.xs[0], &call.xs[1]];
        let depth = cell_depth(&TensorSpec::of(x), &TensorSpec::of(state), self.0.n_units.0, 1)?;
        let [w1, b1, w2, b2] = self.weights(call.w, depth)?;
        let (b1, b2) = (b1.tensor()?, b2.tensor()?);
        let next = ops::gru_cell_by(x, state, |xh| w1.dense(xh, Some(b1)), |xh| w2.dense(xh, Some(b2)))?;
        Ok(vec![next.clone(), next].into())
    }
    fn traits(&self) -> Traits {
        Traits { matrix: Some(Outputs::Columns), ..Traits::LEAF }
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { sequence: Some(self), ..Abilities::default() }
    }
}

impl WholeSequence for GruCell {
    fn sequence(&self, s: Sequence) -> Result<Option<[Vec<Tensor>; 2]>> {
        let ([x], [state]) = (s.sliced, s.carry) else { return Ok(None) };
        let weights = self.weights(s.w, x.shape()[x.rank() - 1]);
        let Ok(
            [Matrix::Tensor(gates), Matrix::Tensor(gates_bias), Matrix::Tensor(candidate), Matrix::Tensor(candidate_bias)],
        ) = weights
        else {
            return Ok(None);
        };
        let all = [gates, gates_bias, candidate, candidate_bias];
        if !runs_at_once(s.sliced, state, &all) || state.shape()[1] != self.0.n_units.0 {
            return Ok(None);
        }
        let (y, last) = ops::gru(x, state, GruWeights { gates, gates_bias, candidate, candidate_bias })?;
        Ok(Some([vec![y], vec![last]]))
    }
}

/// Gated recurrent unit over axis 1.
///
/// # Errors
/// None for the options a type allows; a result for the combinators' sake.
pub fn gru(o: GruOptions) -> Result<LayerRef> {
    let n = o.n_units.0;
    let cell = gru_cell(GruCellOptions::new(o.n_units));
    let layers = vec![
        branch(vec![LayerNest::List(Vec::new()), zero_state_of(n).into()])?,
        scan_of(cell, o.mode)?,
        select(&[0], Some(2))?,
    ];
    Ok(serial_printing(&format!("GRU_{n}"), layers, Vec::new()))
}
