//! The hidden units, of which the chosen ones are active.
use super::{controller::rows_of, options::SparseFFOptions};
use crate::{core::one_hot, Arity, Call, Error, Leaf, Local, Mode, Output, Result, TensorSpec, Traits, Tree};
use tallow_tensor::{
    random::{self, Key},
    DType, Tensor,
};

/// `(chosen [n, blocks], probabilities [n, blocks, elements] where they are needed, x [n, d])` to what was chosen and the output `[n, d]`.
#[derive(Debug, Clone)]
pub(super) struct Units(pub(super) SparseFFOptions);

impl Units {
    /// The types of `w1` and `w2`, and of `b2`.
    fn dtypes(&self) -> [DType; 2] {
        let of = |narrow| if narrow { DType::BF16 } else { DType::F32 };
        [of(self.0.use_bfloat16 || self.0.big_weights_in_bfloat16), of(self.0.use_bfloat16)]
    }
    /// What weighs each unit, and whether units were chosen for good: elsewhere than in training they always are.
    fn mask(&self, chosen: &Tensor, probabilities: Option<&Tensor>, key: Key) -> Result<(Tensor, bool)> {
        let [_, elements] = self.0.blocks();
        let dtype = probabilities.map_or(DType::F32, |p| p.dtype().promote(DType::F32));
        let hard = one_hot(chosen, elements, dtype)?;
        let Some(p) = probabilities.filter(|_| self.0.mode == Mode::Train) else { return Ok((hard, true)) };
        let draw = random::uniform(key, &[], DType::F32, 0.0, 1.0)?.item()?;
        if draw < f64::from(self.0.quant_prob.0 as f32) {
            return Ok((hard.add(&p.sub(&p.detach())?)?, true));
        }
        Ok((p.cast(dtype)?, false))
    }
    /// All units, weighed by a mask.
    fn dense(&self, call: &Call, x: &Tensor, [w1, w2]: [&Tensor; 2]) -> Result<Tensor> {
        let (probabilities, [blocks, elements]) = (self.probabilities(call), self.0.blocks());
        let (mask, hard) = self.mask(&call.xs[0], probabilities, call.key)?;
        let (rows, d) = (x.shape()[0], x.shape()[1]);
        let hidden = x.matmul(&w1.reshape(&[d, blocks * elements])?)?.reshape(&[rows, blocks, elements])?;
        let mut active = hidden.mul(&mask)?.relu()?;
        if let Some(p) = probabilities.filter(|_| self.0.multiply_by_controller_output && hard) {
            // In training the mask has passed the gradient on already.
            active = active.mul(&if self.0.mode == Mode::Train { p.detach() } else { p.clone() })?;
        }
        // `w2` has the axes of blocks and elements the other way round, but is the larger one to turn.
        let active = active.swap_axes(1, 2)?.reshape(&[rows, elements * blocks])?;
        Ok(active.matmul(&w2.reshape(&[elements * blocks, d])?)?)
    }
    /// The chosen units only.
    fn sparse(&self, call: &Call, x: &Tensor, [w1, w2]: [&Tensor; 2]) -> Result<Tensor> {
        let (chosen, [blocks, elements], d) = (&call.xs[0], self.0.blocks(), x.shape()[1]);
        let block = Tensor::iota(blocks, DType::I32, chosen.device())?;
        let columns = block.mul_scalar(elements as i64)?.add(chosen)?;
        let rows = chosen.mul_scalar(blocks as i64)?.add(&block)?;
        let w1 = w1.reshape(&[d, blocks * elements])?.take(&columns, 1)?;
        let w2 = w2.reshape(&[elements * blocks, d])?.take(&rows, 0)?;
        let mut active = Tensor::einsum("nd,dnb->nb", &[x, &w1])?.relu()?;
        if let Some(p) = self.probabilities(call).filter(|_| self.0.multiply_by_controller_output) {
            active = active.mul(&p.gather(&chosen.expand_dims(-1)?, -1)?.squeeze(-1)?)?;
        }
        Ok(Tensor::einsum("nb,nbd->nd", &[&active, &w2])?)
    }
    fn probabilities<'a>(&self, call: &Call<'a>) -> Option<&'a Tensor> {
        self.0.needs_probabilities().then(|| &call.xs[1])
    }
}

impl Leaf for Units {
    fn name(&self) -> String {
        format!("_SparseFFMain_{}", self.0.d_ff.0)
    }
    fn arity(&self) -> Arity {
        Arity::new(if self.0.needs_probabilities() { 3 } else { 2 }, 2)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let x = &inputs[inputs.len() - 1];
        rows_of(x)?;
        let [w, b] = self.dtypes();
        let mut dtype = x.dtype.promote(w).promote(b);
        if self.0.needs_probabilities() {
            dtype = dtype.promote(inputs[1].dtype);
        }
        // A choice is a float32 mask, except where only what was chosen is computed.
        if self.0.mode != Mode::Predict {
            dtype = dtype.promote(DType::F32);
        }
        Ok(vec![inputs[0].clone(), TensorSpec::new(x.shape.clone(), dtype)])
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        let o = &self.0;
        let ([blocks, elements], keys) = (o.blocks(), key.split(3));
        let [_, d] = rows_of(&inputs[inputs.len() - 1])?;
        let big = |t| SparseFFOptions::narrowed(t, o.use_bfloat16 || o.big_weights_in_bfloat16);
        let w1 = big(o.kernel_initializer.make(&[d, o.d_ff.0], keys[0])?)?.reshape(&[d, blocks, elements])?;
        let w2 = big(o.kernel_initializer.make(&[o.d_ff.0, d], keys[1])?)?.reshape(&[elements, blocks, d])?;
        let b2 = SparseFFOptions::narrowed(o.bias_initializer.make(&[d], keys[2])?, o.use_bfloat16)?;
        let w2 = if o.kernel_scaling { w2.mul_scalar((elements as f64).sqrt())? } else { w2 };
        Ok(Local::weights(Tree::tuple([w1, w2, b2])))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[call.xs.len() - 1];
        let [w1, w2, b2] = call.w.many()?;
        let ([blocks, elements], [rows, d]) = (self.0.blocks(), rows_of(&TensorSpec::of(x))?);
        match *w1.shape() {
            [made, b, e] if [b, e] == [blocks, elements] && w2.shape() == [e, b, made] && b2.shape() == [made] => {
                if made != d {
                    return Err(Error::made_for("last axis is", d, made));
                }
            }
            _ => {
                let wanted: [&[usize]; 3] = [&[d, blocks, elements], &[elements, blocks, d], &[d]];
                return Err(Error::weights(&wanted, &[w1, w2, b2]));
            }
        }
        // Numbers picked here and there take about four times as long to read as numbers in a row.
        let skips = self.0.mode == Mode::Predict && (rows == 1 || 4 * rows <= elements);
        let y = if skips { self.sparse(&call, x, [w1, w2])? } else { self.dense(&call, x, [w1, w2])? };
        let specs: Vec<TensorSpec> = call.xs.iter().map(TensorSpec::of).collect();
        let y = y.add(b2)?.cast(self.signature(&specs)?[1].dtype)?;
        Ok(vec![call.xs[0].clone(), y].into())
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
    fn traits(&self) -> Traits {
        // Which way is taken hangs on the number of rows, and rounds in its own way.
        Traits { alone: self.0.mode == Mode::Predict, ..Traits::LEAF }
    }
}
