//! Feed-forward blocks of experts, of which each vector goes through one.
use crate::{
    core::{gumbel_noise, one_hot},
    initializers::{glorot_uniform, random_normal},
    leaf, options, Call, Dim, Error, Initializer, LayerRef, Leaf, Local, Mode, NotNegative, Output, Result, TensorSpec,
    Tree,
};
use tallow_tensor::{
    random::{self, Key},
    DType, Tensor,
};

options! {
    /// Options that feed-forward blocks of experts share.
    pub group ExpertOptions {
        /// Number of experts.
        n_experts "nExperts": Dim = Dim(64),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
        /// Makes the matrices.
        kernel_initializer "kernelInitializer": Initializer = glorot_uniform(),
        /// Makes `b2`.
        bias_initializer "biasInitializer": Initializer = random_normal(1e-6),
    }
}

options! {
    /// Maps each vector through one of several experts, which a matrix chooses: a feed-forward block in blocks.
    ///
    /// Formula: `y = relu((x · w1) ∘ q) · w2 + b2`, where `q` is 1 for the `dFf / nExperts` hidden units of the expert with the largest
    /// of the logits `x · m1`, else 0.
    /// Shapes: `[..., d]` → `[..., d]`.
    /// Weights: `[m1, w1, w2, b2]`, with `m1: [d, nExperts]`, `w1: [d, dFf]`, `w2: [dFf, d]` and `b2: [d]`.
    /// State: none.
    /// Modes: in `'train'` Gumbel noise, weighed by `temperature`, is added to the logarithms of `p = softmax(x · m1)`. In every second
    /// call, by lot, `q` passes its gradient on to `p` as if it were that (straight through); in the others `p` itself takes the place
    /// of `q`. In all other modes experts that are not chosen are not computed.
    /// Errors:
    /// - `InvalidOption`: `nExperts` does not divide `dFf`.
    /// - `ShapeMismatch`: the input has no axes, or another width than at `init`.
    /// Source: Trax; Kaiser and Bengio 2018, arXiv:1801.09797, for straight through.
    /// See: `SwitchSparseFF`, `SparseFF`.
    /// Example:
    /// ```ts
    /// const layer = tl.BlockSparseFF(8, { nExperts: 4, mode: 'eval' });
    /// layer.init({ shape: [2, 4], dtype: 'float32' });
    /// layer(tl.ones([2, 4])).shape; // → [ 2, 4 ]
    /// ```
    pub struct BlockSparseFFOptions for "BlockSparseFF" ("dFf") with (experts: ExpertOptions) {
        /// Number of hidden units.
        d_ff "dFf": Dim,
        /// Weight of the noise in training.
        temperature "temperature": NotNegative = NotNegative(0.7),
    }
}

options! {
    /// Maps each vector through one of several experts, weighed by the probability of that expert.
    ///
    /// Formula: `y = relu((x · w1) ∘ q) · w2 + b2`, where `q` is `p = softmax(x · m1)` of the expert with the largest for its
    /// `dFf / nExperts` hidden units, else 0.
    /// Shapes: `[..., d]` → `[..., d]`.
    /// Weights: `[m1, w1, w2, b2]`, with `m1: [d, nExperts]`, `w1: [d, dFf]`, `w2: [dFf, d]` and `b2: [d]`.
    /// State: none.
    /// Modes: in `'train'` Gumbel noise, weighed by `temperature`, is added to the logarithms of `p` before one is chosen. In all
    /// others experts that are not chosen are not computed.
    /// Errors:
    /// - `InvalidOption`: `nExperts` does not divide `dFf`.
    /// - `ShapeMismatch`: the input has no axes, or another width than at `init`.
    /// Source: Trax; Fedus et al. 2021, arXiv:2101.03961.
    /// See: `BlockSparseFF`, `SparseFF`.
    /// Example:
    /// ```ts
    /// const layer = tl.SwitchSparseFF(8, { nExperts: 4, mode: 'eval' });
    /// layer.init({ shape: [2, 4], dtype: 'float32' });
    /// layer(tl.ones([2, 4])).shape; // → [ 2, 4 ]
    /// ```
    pub struct SwitchSparseFFOptions for "SwitchSparseFF" ("dFf") with (experts: ExpertOptions) {
        /// Number of hidden units.
        d_ff "dFf": Dim,
        /// Weight of the noise in training.
        temperature "temperature": NotNegative = NotNegative(0.1),
    }
}

/// How an expert is weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weighing {
    /// By 1, with a gradient as if by its probability; or all are by their probabilities.
    StraightThrough,
    /// By its probability.
    Switch,
}

#[derive(Debug, Clone)]
struct Experts {
    kind: &'static str,
    weighing: Weighing,
    d_ff: usize,
    temperature: f64,
    o: ExpertOptions,
}

/// See [`BlockSparseFFOptions`].
///
/// # Errors
/// `InvalidOption` unless `nExperts` divides `dFf`.
pub fn block_sparse_ff(o: BlockSparseFFOptions) -> Result<LayerRef> {
    let (d_ff, temperature) = (o.d_ff.0, o.temperature.0);
    Experts { kind: "BlockSparseFF", weighing: Weighing::StraightThrough, d_ff, temperature, o: o.experts }.layer()
}

/// See [`SwitchSparseFFOptions`].
///
/// # Errors
/// `InvalidOption` unless `nExperts` divides `dFf`.
pub fn switch_sparse_ff(o: SwitchSparseFFOptions) -> Result<LayerRef> {
    let (d_ff, temperature) = (o.d_ff.0, o.temperature.0);
    Experts { kind: "SwitchSparseFF", weighing: Weighing::Switch, d_ff, temperature, o: o.experts }.layer()
}

impl Experts {
    fn layer(self) -> Result<LayerRef> {
        let (d_ff, experts) = (self.d_ff, self.o.n_experts.0);
        if !d_ff.is_multiple_of(experts) {
            let kind = self.kind;
            return Err(Error::option(format!(
                "{kind}: `dFf` must be a multiple of `nExperts`, got {d_ff} and {experts}"
            )));
        }
        Ok(leaf(self))
    }
    /// Hidden units of an expert.
    fn units(&self) -> usize {
        self.d_ff / self.o.n_experts.0
    }
    fn width(&self, x: &TensorSpec) -> Result<usize> {
        let kind = self.kind;
        x.shape.last().copied().ok_or_else(|| Error::shape(format!("the input is 0-d, but {kind} needs a last axis")))
    }
    /// The chosen expert of each vector, and the probabilities of all.
    fn choose(&self, x: &Tensor, m1: &Tensor, key: Key) -> Result<[Tensor; 2]> {
        let logs = x.matmul(m1)?.log_softmax(-1)?;
        let mut scores = logs.detach();
        if self.o.mode == Mode::Train && self.temperature > 0.0 {
            scores = scores.add(&gumbel_noise(key, &scores)?.mul_scalar(self.temperature)?)?;
        }
        Ok([scores.argmax(Some(-1), false)?, logs.exp()?])
    }
    /// What each expert is weighed by, `[n, experts]`.
    fn weights(&self, chosen: &Tensor, p: &Tensor, key: Key) -> Result<Tensor> {
        let hard = one_hot(chosen, self.o.n_experts.0, p.dtype())?;
        if self.weighing == Weighing::Switch {
            return Ok(hard.mul(p)?);
        }
        let soft = random::uniform(key, &[], DType::F32, -1.0, 1.0)?.item()? <= 0.0;
        Ok(if soft { p.clone() } else { hard.add(&p.sub(&p.detach())?)? })
    }
    /// All experts, weighed.
    fn all(&self, x: &Tensor, [w1, w2]: [&Tensor; 2], weights: &Tensor) -> Result<Tensor> {
        let (n, experts, units) = (x.shape()[0], self.o.n_experts.0, self.units());
        let hidden = x.matmul(w1)?.reshape(&[n, experts, units])?.mul(&weights.expand_dims(-1)?)?;
        Ok(hidden.reshape(&[n, experts * units])?.relu()?.matmul(w2)?)
    }
    /// The chosen experts only: the vectors of each at once.
    fn each(&self, x: &Tensor, [w1, w2]: [&Tensor; 2], chosen: &Tensor, p: &Tensor) -> Result<Tensor> {
        let (units, chosen) = (self.units(), chosen.to_vec::<i32>()?);
        let mut order: Vec<usize> = (0..chosen.len()).collect();
        order.sort_by_key(|&row| chosen[row]);
        let mut parts = Vec::new();
        for rows in order.chunk_by(|&a, &b| chosen[a] == chosen[b]) {
            let expert = chosen[rows[0]] as usize;
            let places = indices(rows.iter().copied())?;
            let mut hidden = x.take(&places, 0)?.matmul(&w1.narrow(1, expert * units, units)?)?;
            if self.weighing == Weighing::Switch {
                hidden = hidden.mul(&p.take(&places, 0)?.narrow(1, expert, 1)?)?;
            }
            parts.push(hidden.relu()?.matmul(&w2.narrow(0, expert * units, units)?)?);
        }
        if parts.is_empty() {
            return Ok(x.clone());
        }
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &row)| back[row] = place);
        Ok(Tensor::concat(&parts, 0)?.take(&indices(back.into_iter())?, 0)?)
    }
}

fn indices(places: impl ExactSizeIterator<Item = usize>) -> Result<Tensor> {
    let n = places.len();
    Ok(Tensor::from_vec(places.map(|i| i as i32).collect(), &[n])?)
}

impl Leaf for Experts {
    fn name(&self) -> String {
        format!("{}_{}", self.kind, self.d_ff)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        self.width(&inputs[0])?;
        Ok(vec![TensorSpec::new(inputs[0].shape.clone(), inputs[0].dtype.promote(DType::F32))])
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let (o, d, keys) = (&self.o, self.width(&inputs[0])?, key.split(4));
        let m1 = o.kernel_initializer.make(&[d, o.n_experts.0], keys[0])?;
        let w1 = o.kernel_initializer.make(&[d, self.d_ff], keys[1])?;
        let w2 = o.kernel_initializer.make(&[self.d_ff, d], keys[2])?;
        Ok(Local::weights(Tree::tuple([m1, w1, w2, o.bias_initializer.make(&[d], keys[3])?])))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let [m1, w1, w2, b2] = call.w.many()?;
        let (d, experts, d_ff) = (self.width(&TensorSpec::of(&call.xs[0]))?, self.o.n_experts.0, self.d_ff);
        let made = b2.shape().first().copied().unwrap_or(0);
        let (given, wanted) = ([m1, w1, w2, b2], |d| [vec![d, experts], vec![d, d_ff], vec![d_ff, d], vec![d]]);
        if !given.iter().zip(wanted(made)).all(|(w, shape)| w.shape() == shape) {
            let wanted = wanted(d);
            return Err(Error::weights(&wanted.each_ref().map(Vec::as_slice), &given));
        }
        if made != d {
            return Err(Error::made_for("last axis is", d, made));
        }
        let x = call.xs[0].cast(call.xs[0].dtype().promote(w1.dtype()))?;
        let rows = x.reshape(&[x.size().checked_div(d).unwrap_or(0), d])?;
        let (key, other) = call.key.split_pair();
        let [chosen, p] = self.choose(&rows, m1, key)?;
        let y = if self.o.mode == Mode::Train {
            self.all(&rows, [w1, w2], &self.weights(&chosen, &p, other)?)?
        } else {
            self.each(&rows, [w1, w2], &chosen, &p)?
        };
        Ok(y.add(b2)?.reshape(x.shape())?.into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.o.mode)
    }
}
