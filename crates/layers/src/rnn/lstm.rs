//! Long short-term memory.
use super::{
    cell::{cell_depth, cell_signature, check_weights, runs_at_once, scan_of},
    zero_state::zero_state_of,
};
use crate::{
    combinators::{branch, select, serial_printing},
    framework::{leaf::WholeSequence, quantize::Matrix},
    initializers::{glorot_uniform, random_normal},
    leaf, options, Abilities, Arity, Call, Dim, Initializer, LayerNest, LayerRef, Leaf, Local, Mode, Num, Output,
    Result, Sequence, TensorSpec, Traits, Tree,
};
use tallow_tensor::{
    ops::{self, Outputs},
    random::Key,
    Tensor,
};

options! {
    /// Makes one step of a long short-term memory.
    ///
    /// Formula: `[i, j, f, o] = [x, h] · w + b`, `c′ = σ(f) c + σ(i) tanh(j)`, `h′ = σ(o) tanh(c′)`. The state is `[c, h]`, joined
    /// along the last axis.
    /// Shapes: `[..., depth]`, state `[..., 2 · nUnits]` → `h′: [..., nUnits]`, new state `[..., 2 · nUnits]`.
    /// Weights: `[w, b]`, with `w: [depth + nUnits, 4 · nUnits]` and `b: [4 · nUnits]`, which starts from `forgetBias` on.
    /// State: none of its own. `Scan` runs a whole sequence of it at once.
    /// Modes: the same in all.
    /// Errors:
    /// - `ShapeMismatch`: the last axis of the state is not `2 · nUnits`, or the input has another depth than at `init`.
    /// Source: Trax; Hochreiter and Schmidhuber 1997, Long Short-Term Memory; gates in the order of Zaremba et al. 2014,
    /// arXiv:1409.2329.
    /// See: `LSTM`, for whole sequences.
    /// Example:
    /// ```ts
    /// const cell = tl.LSTMCell(3);
    /// const [x, state] = [tl.ones([1, 2]), tl.zeros([1, 6])];
    /// cell.init(tl.signature([x, state]));
    /// cell([x, state]).map((y) => y.shape); // → [ [ 1, 3 ], [ 1, 6 ] ]
    /// ```
    pub struct LstmCellOptions for "LSTMCell" ("nUnits") {
        /// Size of the hidden values, and of the cell.
        n_units "nUnits": Dim,
        /// Added to all initial biases.
        forget_bias "forgetBias": Num = Num(1.0),
        /// Makes `w`.
        kernel_initializer "kernelInitializer": Initializer = glorot_uniform(),
        /// Makes `b`, without `forgetBias`.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
    }
}

options! {
    /// Runs a long short-term memory over a sequence, from a state of zeros unless one is given.
    ///
    /// Formula: that of `LSTMCell` at each step.
    /// Shapes: `[batch, length, depth]` → `[batch, length, nUnits]`; float32 for float16 and bfloat16. With `initialState` there is a
    /// second input, with `returnState` a second output: the state `[batch, 2 · nUnits]`.
    /// Weights: those of the `LSTMCell`, nested as the layers are.
    /// State: none; in mode `'predict'` the state after the last call, where the next one goes on.
    /// Modes: goes on where it stopped in `'predict'`; in all others a call begins from zeros, or from the state that is given.
    /// Errors:
    /// - `ShapeMismatch`: the input does not have three axes, or has another depth than at `init`.
    /// Source: Trax; Hochreiter and Schmidhuber 1997, Long Short-Term Memory.
    /// See: `GRU`, `SRU`.
    /// Example:
    /// ```ts
    /// const layer = tl.LSTM(3);
    /// layer.init({ shape: [1, 5, 2], dtype: 'float32' });
    /// layer(tl.ones([1, 5, 2])).shape; // → [ 1, 5, 3 ]
    /// ```
    pub struct LstmOptions for "LSTM" ("nUnits") {
        /// Size of the hidden values; need not be the depth of the input.
        n_units "nUnits": Dim,
        /// `'predict'` goes on where the last call ended.
        mode "mode": Mode = Mode::Train,
        /// Whether the state after the last step is an output too.
        return_state "returnState": bool = false,
        /// Whether the state before the first step is an input too.
        initial_state "initialState": bool = false,
    }
}

#[derive(Debug, Clone)]
struct LstmCell(LstmCellOptions);

/// One step of a long short-term memory.
pub fn lstm_cell(o: LstmCellOptions) -> LayerRef {
    leaf(LstmCell(o))
}

impl LstmCell {
    fn weights<'a>(&self, w: &'a Tree<Tensor>, depth: usize) -> Result<[Matrix<'a>; 2]> {
        let (weights, n) = (w.many_matrices::<2>()?, self.0.n_units.0);
        check_weights(&weights.each_ref().map(Matrix::shape), &[&[depth + n, 4 * n], &[4 * n]])?;
        Ok(weights)
    }
}

impl Leaf for LstmCell {
    fn name(&self) -> String {
        "LSTMCell".into()
    }
    fn arity(&self) -> Arity {
        Arity::new(2, 2)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        cell_signature(inputs, self.0.n_units.0, 2)
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let (o, n) = (&self.0, self.0.n_units.0);
        let depth = cell_depth(&inputs[0], &inputs[1], n, 2)?;
        let (kw, kb) = key.split_pair();
        let w = o.kernel_initializer.make(&[depth + n, 4 * n], kw)?;
        let b = o.bias_initializer.make(&[4 * n], kb)?.add_scalar(o.forget_bias.0)?;
        Ok(Local::weights(Tree::tuple([w, b])))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let [x, state] = [&call.xs[0], &call.xs[1]];
        let depth = cell_depth(&TensorSpec::of(x), &TensorSpec::of(state), self.0.n_units.0, 2)?;
        let [w, b] = self.weights(call.w, depth)?;
        let b = b.tensor()?;
        let (y, state) = ops::lstm_cell_by(x, state, |xh| w.dense(xh, Some(b)))?;
        Ok(vec![y, state].into())
    }
    fn traits(&self) -> Traits {
        Traits { matrix: Some(Outputs::Columns), ..Traits::LEAF }
    }
    fn abilities(&self) -> Abilities<'_> {
        Abilities { sequence: Some(self), ..Abilities::default() }
    }
}

impl WholeSequence for LstmCell {
    fn sequence(&self, s: Sequence) -> Result<Option<[Vec<Tensor>; 2]>> {
        let ([x], [state]) = (s.sliced, s.carry) else { return Ok(None) };
        let Ok([Matrix::Tensor(w), Matrix::Tensor(b)]) = self.weights(s.w, x.shape()[x.rank() - 1]) else {
            return Ok(None);
        };
        if !runs_at_once(s.sliced, state, &[w, b]) || state.shape()[1] != 2 * self.0.n_units.0 {
            return Ok(None);
        }
        let (y, last) = ops::lstm(x, state, w, b)?;
        Ok(Some([vec![y], vec![last]]))
    }
}

/// Long short-term memory over axis 1.
///
/// # Errors
/// None for the options a type allows; a result for the combinators' sake.
pub fn lstm(o: LstmOptions) -> Result<LayerRef> {
    let n = o.n_units.0;
    let cell = lstm_cell(LstmCellOptions::new(o.n_units));
    let mut layers = Vec::new();
    if !o.initial_state {
        layers.push(branch(vec![LayerNest::List(Vec::new()), zero_state_of(2 * n).into()])?);
    }
    layers.push(scan_of(cell, o.mode)?);
    if !o.return_state {
        layers.push(select(&[0], Some(2))?);
    }
    Ok(serial_printing(&format!("LSTM_{n}"), layers, Vec::new()))
}
