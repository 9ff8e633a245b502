//! What chooses a unit of each block.
use super::{chosen::known, options::SparseFFOptions};
use crate::{core::gumbel_noise, Arity, Call, Error, Leaf, Local, Mode, Output, Result, TensorSpec, Tree};
use tallow_tensor::{random::Key, DType, Tensor};

/// `(x [n, d], recalled [n, blocks])` to the unit chosen of each block, `int32[n, blocks]`, and where these are needed to the probabilities of units,
/// `[n, blocks, elements]`. What is recalled takes the place of a new choice.
#[derive(Debug, Clone)]
pub(super) struct Controller(pub(super) SparseFFOptions);

impl Leaf for Controller {
    fn name(&self) -> String {
        format!("_SparseFFController_{}", self.0.d_ff.0)
    }
    fn arity(&self) -> Arity {
        Arity::new(2, if self.0.needs_probabilities() { 2 } else { 1 })
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let [blocks, elements] = self.0.blocks();
        let rows = rows_of(&inputs[0])?[0];
        let mut ys = vec![TensorSpec::new([rows, blocks], DType::I32)];
        if self.0.needs_probabilities() {
            let weights = if self.0.use_bfloat16 { DType::BF16 } else { DType::F32 };
            ys.push(TensorSpec::new([rows, blocks, elements], inputs[0].dtype.promote(weights)));
        }
        Ok(ys)
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let o = &self.0;
        let ([blocks, elements], keys, [_, d]) = (o.blocks(), key.split(3), rows_of(&inputs[0])?);
        let narrowed = |t| SparseFFOptions::narrowed(t, o.use_bfloat16);
        let m1 = narrowed(o.kernel_initializer.make(&[d, o.d_lowrank.0], keys[0])?)?;
        let m2 = narrowed(o.kernel_initializer.make(&[o.d_lowrank.0, o.d_ff.0], keys[1])?)?;
        let mb = narrowed(o.bias_initializer.make(&[o.d_ff.0], keys[2])?)?;
        let m2 = m2.reshape(&[o.d_lowrank.0, blocks, elements])?;
        Ok(Local::weights(Tree::tuple([m1, m2, mb.reshape(&[blocks, elements])?])))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let o = &self.0;
        let (x, recalled) = (&call.xs[0], &call.xs[1]);
        let [m1, m2, mb] = call.w.many()?;
        let ([blocks, elements], [rows, d]) = (o.blocks(), rows_of(&TensorSpec::of(x))?);
        let (rank, units) = (o.d_lowrank.0, [blocks, elements]);
        if m1.rank() != 2 || m1.shape()[1] != rank || m2.shape() != [rank, blocks, elements] || mb.shape() != units {
            return Err(Error::weights(&[&[d, rank], &[rank, blocks, elements], &units], &[m1, m2, mb]));
        }
        if m1.shape()[0] != d {
            return Err(Error::made_for("last axis is", d, m1.shape()[0]));
        }
        let logits = x.matmul(m1)?.matmul(&m2.reshape(&[rank, blocks * elements])?)?;
        let logits = logits.reshape(&[rows, blocks, elements])?.add(mb)?;
        let known = known(recalled)?;
        if !o.needs_probabilities() {
            return Ok(if known { recalled.clone() } else { largest(&logits.detach())? }.into());
        }
        let logs = logits.log_softmax(-1)?;
        let chosen = if known {
            recalled.clone()
        } else if o.mode == Mode::Train && o.temperature.0 > 0.0 {
            let noise = gumbel_noise(call.key, &logs)?.mul_scalar(o.temperature.0)?;
            largest(&logs.detach().add(&noise)?)?
        } else {
            largest(&logs.detach())?
        };
        Ok(vec![chosen, logs.exp()?].into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
}

/// The place of the largest along the last axis.
fn largest(x: &Tensor) -> Result<Tensor> {
    Ok(x.argmax(Some(-1), false)?)
}

/// The sizes of a matrix of vectors.
pub(super) fn rows_of(x: &TensorSpec) -> Result<[usize; 2]> {
    x.shape[..].try_into().map_err(|_| Error::shape(format!("the input must have a last axis of features, got {x}")))
}
