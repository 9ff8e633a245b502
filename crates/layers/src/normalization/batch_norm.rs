//! Batch normalization.
use crate::{
    leaf, options, AxisList, Call, Error, LayerRef, Leaf, Local, Mode, NotNegative, Num, Output, Result, TensorSpec,
    Traits, Tree,
};
use tallow_tensor::{ops, random::Key, Axes, DType, Device, Tensor};

options! {
    /// Normalizes with the mean and variance of the batch while the model trains, and with running averages of them elsewhere.
    ///
    /// Formula: `y = gamma · (x - mean) / √(var + epsilon) + beta`, with statistics over `axis`; the variance is that of the population.
    /// Running
    /// averages are `r ← momentum · r + (1 - momentum) · statistic`.
    /// Shapes: `[...]` → `[...]`, the same, as is the type: any of floats. float16 and bfloat16 are computed in float32.
    /// Weights: `[beta, gamma]`, both of the shape of the axes that are not in `axis`. They start as zeros and ones. `[]` stands for what
    /// `center` or `scale`
    /// leave out.
    /// State: `[mean, variance, number of batches]`.
    /// Modes: `'train'` uses the statistics of the batch and records them. All others use the recorded ones.
    /// Errors:
    /// - `InvalidArgument`: the input does not have an axis of `axis`.
    /// - `DTypeMismatch`: the input is integers or booleans.
    /// - `ShapeMismatch`: the input has other features than at `init`, or a batch to train on is empty.
    ///
    /// Source: Trax; Ioffe & Szegedy 2015, arXiv:1502.03167.
    /// See: `LayerNorm`, `FilterResponseNorm`.
    /// Example:
    /// ```ts
    /// const layer = tl.BatchNorm({ axis: 0 });
    /// layer.init({ shape: [2, 2], dtype: 'float32' });
    /// layer([[1.5, 10], [2.5, 30]]); // → Tensor float32[2,2] [[-0.99998,-1],[0.99998,1]]
    /// ```
    pub struct BatchNormOptions for "BatchNorm" () {
        /// Axes that statistics are taken over.
        axis "axis": AxisList = AxisList(vec![0, 1, 2]),
        /// Added to the variance, so that constant values do not divide by 0; with 0 they do.
        epsilon "epsilon": NotNegative = NotNegative(1e-5),
        /// Whether to add `beta`.
        center "center": bool = true,
        /// Whether to multiply by `gamma`.
        scale "scale": bool = true,
        /// Weight of the old value in running averages.
        momentum "momentum": Num = Num(0.999),
        /// Whether to use the batch's own statistics (`'train'`) or the recorded ones.
        mode "mode": Mode = Mode::Train,
    }
}

#[derive(Debug, Clone)]
struct BatchNorm(BatchNormOptions);

/// The layer of these options.
pub fn batch_norm(o: BatchNormOptions) -> LayerRef {
    leaf(BatchNorm(o))
}

impl BatchNorm {
    fn axes(&self, rank: usize) -> Result<Vec<usize>> {
        Ok(Axes::from(&self.0.axis.0[..]).resolve("BatchNorm", rank)?.to_vec())
    }
    fn nothing(&self, shape: &[usize]) -> Error {
        Error::shape(format!(
            "a batch of shape {shape:?} has no values to take the mean of over axes {:?}; leave empty batches out of training",
            self.0.axis.0
        ))
    }
    fn smoothed(&self, old: &Tensor, new: &Tensor) -> Result<Tensor> {
        let m = self.0.momentum.0;
        Ok(old.mul_scalar(m)?.add(&new.detach().mul_scalar(1.0 - m)?)?.cast(old.dtype())?)
    }
}

impl Leaf for BatchNorm {
    fn name(&self) -> String {
        "BatchNorm".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let axes = self.axes(inputs[0].rank())?;
        if self.0.mode == Mode::Train && axes.iter().any(|&axis| inputs[0].shape[axis] == 0) {
            return Err(self.nothing(&inputs[0].shape));
        }
        let d = inputs[0].dtype;
        if !d.is_float() {
            return Err(Error::dtype(format!("BatchNorm takes floats, got {d}; cast the input to float32")));
        }
        Ok(inputs.to_vec())
    }
    fn init(&self, inputs: &[TensorSpec], _key: Key) -> Result<Local> {
        self.signature(inputs)?;
        let shape = &inputs[0].shape;
        let axes = self.axes(shape.len())?;
        let kept: Vec<usize> = (0..shape.len()).filter(|i| !axes.contains(i)).map(|i| shape[i]).collect();
        let stats: Vec<usize> = (0..shape.len()).map(|i| if axes.contains(&i) { 1 } else { shape[i] }).collect();
        let cpu = &Device::Cpu;
        let slot = |on: bool, t: Tensor| if on { Tree::Leaf(t) } else { Tree::EMPTY };
        Ok(Local {
            weights: Tree::Tuple(vec![
                slot(self.0.center, Tensor::zeros(&kept, DType::F32, cpu)?),
                slot(self.0.scale, Tensor::ones(&kept, DType::F32, cpu)?),
            ]),
            state: Tree::tuple([
                Tensor::zeros(&stats, DType::F32, cpu)?,
                Tensor::ones(&stats, DType::F32, cpu)?,
                Tensor::scalar(0i32),
            ]),
        })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        self.signature(&[TensorSpec::of(x)])?;
        let [running_mean, running_var, batches] = call.s.many()?;
        let Tree::Tuple(w) = call.w else { return Err(call.w.wrong("a tuple (beta, gamma)")) };
        let [beta, gamma] = &w[..] else { return Err(call.w.wrong("a tuple (beta, gamma)")) };
        let layout = Layout::new(x.shape(), &self.axes(x.rank())?);
        layout.check("state", running_mean)?;
        layout.check("state", running_var)?;
        let gamma = self.0.scale.then(|| layout.parameter("gamma", gamma)).transpose()?;
        let beta = self.0.center.then(|| layout.parameter("beta", beta)).transpose()?;
        if self.0.mode == Mode::Train {
            let flat = |t: Option<&Tensor>| t.map(|t| t.reshape(&[layout.features()])).transpose();
            let rows = layout.rows(x)?;
            let out = ops::batch_norm(&rows, flat(gamma)?.as_ref(), flat(beta)?.as_ref(), self.0.epsilon.0)?;
            let state = Tree::tuple([
                self.smoothed(running_mean, &out.mean.reshape(&layout.sides)?)?,
                self.smoothed(running_var, &out.var.reshape(&layout.sides)?)?,
                batches.add_scalar(1)?,
            ]);
            return Ok(Output { ys: vec![layout.back(&out.y)?], state: Some(state) });
        }
        // Weights and state are float32; what is narrower is computed as they are, and comes out as it went in.
        let wide = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        let sigma = running_var.add_scalar(self.0.epsilon.0)?.sqrt()?.cast(wide)?;
        let factor = match gamma {
            Some(gamma) => gamma.reshape(&layout.sides)?.div(&sigma)?,
            None => sigma.recip()?,
        };
        let y = x.cast(wide)?.sub(&running_mean.cast(wide)?)?.mul(&factor)?;
        let y = match beta {
            Some(beta) => y.add(&beta.reshape(&layout.sides)?)?,
            None => y,
        };
        Ok(y.cast(x.dtype())?.into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
    fn traits(&self) -> Traits {
        Traits::LEARNED
    }
}

/// How an input is seen as rows of features: the axes of the batch first, the others last.
struct Layout {
    shape: Vec<usize>,
    /// Axes of the batch, then the others.
    order: Vec<usize>,
    /// The input's shape with 1 for the axes of the batch.
    sides: Vec<usize>,
    /// Values of each feature.
    items: usize,
}

impl Layout {
    fn new(shape: &[usize], axes: &[usize]) -> Self {
        let kept = (0..shape.len()).filter(|i| !axes.contains(i));
        Self {
            shape: shape.to_vec(),
            order: axes.iter().copied().chain(kept).collect(),
            sides: (0..shape.len()).map(|i| if axes.contains(&i) { 1 } else { shape[i] }).collect(),
            items: axes.iter().map(|&i| shape[i]).product(),
        }
    }
    fn features(&self) -> usize {
        self.sides.iter().product()
    }
    /// Refuses a weight or state of another number of features.
    fn check(&self, what: &str, t: &Tensor) -> Result<()> {
        if t.size() == self.features() {
            return Ok(());
        }
        Err(Error::shape(format!(
            "{what} was made for shape {:?}, the input has {:?} beside the axes of the batch",
            t.shape(),
            self.sides
        )))
    }
    /// A weight that is there.
    fn parameter<'a>(&self, what: &str, slot: &'a Tree<Tensor>) -> Result<&'a Tensor> {
        let t = slot.one()?;
        self.check(what, t)?;
        Ok(t)
    }
    fn rows(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.transpose(Some(&self.order))?.reshape(&[self.items, self.features()])?)
    }
    fn back(&self, rows: &Tensor) -> Result<Tensor> {
        let moved: Vec<usize> = self.order.iter().map(|&i| self.shape[i]).collect();
        let mut inverse = vec![0; self.order.len()];
        self.order.iter().enumerate().for_each(|(i, &axis)| inverse[axis] = i);
        Ok(rows.reshape(&moved)?.transpose(Some(&inverse))?)
    }
}
