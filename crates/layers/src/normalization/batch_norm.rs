//! Batch normalization.
use crate::{
    leaf, options, AxisList, Call, Error, LayerRef, Leaf, Local, Mode, Num, Output, Positive, Result, TensorSpec, Tree,
};
use tallow_tensor::{random::Key, Axes, DType, Device, Tensor};

options! {
    /// Normalizes with the mean and variance of the batch in training, with running averages of these elsewhere.
    ///
    /// Formula: `gamma · (x - mean) / √(var + epsilon) + beta`, with statistics over `axis` (the variance as `mean(x²) - mean²`) and
    /// running averages `r ← momentum · r + (1 - momentum) · statistic`.
    /// Shapes: any with those axes, kept, as is the dtype. Weights: `(beta, gamma)` of the shape of the remaining axes, zeros and ones at
    /// first; `()` in place of what `center` or `scale` leave out. State: `(mean, variance, number of batches)`.
    /// Modes: `'train'` uses and records the batch's statistics; all others use the recorded ones.
    /// Errors: `InvalidArgument` for an axis the input has not; `DTypeMismatch` unless the input is float32 or float64.
    /// Source: Ioffe & Szegedy 2015, arXiv:1502.03167.
    pub struct BatchNormOptions for "BatchNorm" () {
        /// Axes that statistics are taken over.
        axis "axis": AxisList = AxisList(vec![0, 1, 2]),
        /// Added to the variance, so that constant values do not divide by 0.
        epsilon "epsilon": Positive = Positive(1e-5),
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
    fn statistics(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let axes = || Axes::from(&self.0.axis.0[..]);
        let mean = x.mean(axes(), true)?;
        let variance = x.square()?.mean(axes(), true)?.sub(&mean.square()?)?;
        Ok((mean, variance))
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
        self.axes(inputs[0].rank())?;
        let d = inputs[0].dtype;
        // Weights are float32, so a narrower input would come out wider than it went in.
        if d != DType::F32 && d != DType::F64 {
            return Err(Error::dtype(format!("BatchNorm takes float32 or float64, got {d}")));
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
        let (mean, var, state) = if self.0.mode == Mode::Train {
            let (mean, var) = self.statistics(x)?;
            let state = Tree::tuple([
                self.smoothed(running_mean, &mean)?,
                self.smoothed(running_var, &var)?,
                batches.add_scalar(1)?,
            ]);
            (mean, var, Some(state))
        } else {
            (running_mean.clone(), running_var.clone(), None)
        };
        let axes = self.axes(x.rank())?;
        let sides: Vec<usize> = (0..x.rank()).map(|i| if axes.contains(&i) { 1 } else { x.shape()[i] }).collect();
        if self.0.mode != Mode::Train && mean.shape() != sides {
            return Err(Error::shape(format!(
                "state of shape {:?} does not fit an input of shape {:?}",
                mean.shape(),
                x.shape()
            )));
        }
        let beside = |t: &Tensor, what: &str| {
            if t.size() != sides.iter().product::<usize>() {
                return Err(Error::shape(format!(
                    "{what} was made for shape {:?}, the input has {:?} beside the axes of the batch",
                    t.shape(),
                    sides
                )));
            }
            Ok(t.reshape(&sides)?)
        };
        let sigma = var.add_scalar(self.0.epsilon.0)?.sqrt()?.cast(x.dtype())?;
        let mut y = x.sub(&mean.cast(x.dtype())?)?.div(&sigma)?;
        if self.0.scale {
            y = y.mul(&beside(gamma.one()?, "gamma")?)?;
        }
        if self.0.center {
            y = y.add(&beside(beta.one()?, "beta")?)?;
        }
        Ok(Output { ys: vec![y], state })
    }
    fn keeps_state(&self) -> bool {
        true
    }
    fn with_mode(&self, mode: Mode) -> Self {
        Self(BatchNormOptions { mode, ..self.0.clone() })
    }
}
