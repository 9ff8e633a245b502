//! Positions by their digits.
use super::positions::{at_position, next_position, positioned};
use crate::{
    initializers::random_uniform, leaf, options, Call, Dim, Error, ErrorKind, Initializer, LayerRef, Leaf, Local, Mode,
    Output, Result, Shape, TensorSpec, Traits, Tree,
};
use tallow_tensor::{
    memory,
    random::{randint, Key},
    DType, Device, Tensor,
};

options! {
    /// Adds trainable vectors that are scaled by the digits of the position, written in several bases.
    ///
    /// Formula: part `i` of the features gets `Σ digit(p, base, i) · w[base][i]` over the bases, with
    /// `digit(p, base, i) = ⌊p / base^i⌋ mod base`, so the lowest digit comes first. The first position of a sequence gets `startVec`
    /// too.
    /// Shapes: `[batch, length, d]` → `[batch, length, d]`, float32 or wider; `nDigits` divides `d`.
    /// Weights: `[w, startVec]`, with `w: [1, d / nDigits]` for each digit of each base, and `startVec: [1, 1, d]`. All bases start
    /// alike.
    /// State: none; in mode `'predict'` the index of the next position.
    /// Modes: in `'train'` each sequence starts at 0 once in `startFromZeroOneIn` times and else at random, and gets nothing but
    /// `startVec` once in `baseDropoutOneIn` times. In `'predict'` it goes on at the stored index. All others start at 0.
    /// Errors:
    /// - `InvalidOption`: a base is less than 2.
    /// - `ShapeMismatch`: `nDigits` does not divide `d`, or the sequence is as long as the smallest base can count.
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.FixedBasePositionalEncoding({ nDigits: 2, mode: 'eval' });
    /// layer.init({ shape: [1, 5, 4], dtype: 'float32' });
    /// layer(tl.ones([1, 5, 4])).shape; // → [ 1, 5, 4 ]
    /// ```
    pub struct FixedBasePositionalEncodingOptions for "FixedBasePositionalEncoding" () {
        /// Bases that positions are written in.
        bases "bases": Shape = Shape(vec![11, 13, 14, 15]),
        /// Number of digits.
        n_digits "nDigits": Dim = Dim(8),
        /// Training starts at position 0 once in this many times.
        start_from_zero_one_in "startFromZeroOneIn": Dim = Dim(2),
        /// Training leaves positions out once in this many times.
        base_dropout_one_in "baseDropoutOneIn": Dim = Dim(100),
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
        /// Makes each weight.
        initializer "initializer": Initializer = random_uniform(1e-4),
    }
}

#[derive(Debug, Clone)]
struct FixedBase(FixedBasePositionalEncodingOptions);

/// See [`FixedBasePositionalEncodingOptions`].
///
/// # Errors
/// `InvalidOption` for no base, or one below 2.
pub(super) fn build(o: FixedBasePositionalEncodingOptions) -> Result<LayerRef> {
    if o.bases.0.is_empty() || o.bases.0.iter().any(|&b| b < 2) {
        return Err(Error::option(format!(
            "FixedBasePositionalEncoding: `bases` must be whole numbers of at least 2, got {:?}",
            o.bases.0
        )));
    }
    Ok(leaf(FixedBase(o)))
}

impl FixedBase {
    /// How far the smallest base counts.
    fn max_position(&self) -> i64 {
        let smallest = self.0.bases.0.iter().min().copied().unwrap_or(2) as i64;
        smallest.checked_pow(self.0.n_digits.0 as u32).unwrap_or(i64::MAX)
    }
    /// The first position of each sequence: one for all of them but in training.
    fn starts(&self, call: &Call, batch: usize, length: usize, keys: [Key; 2]) -> Result<Vec<i64>> {
        match self.0.mode {
            Mode::Predict => Ok(vec![next_position(call.s)? as i64]),
            Mode::Train => {
                let draw = |key, below| randint(key, &[batch], 0, below, DType::I32)?.to_f64_vec();
                let nonzero = draw(keys[0], self.0.start_from_zero_one_in.0 as i64)?;
                let starts = draw(keys[1], self.max_position() - length as i64)?;
                Ok(starts.iter().zip(nonzero).map(|(&s, n)| if n == 0.0 { 0 } else { s as i64 }).collect())
            }
            Mode::Eval | Mode::Viz => Ok(vec![0]),
        }
    }
    /// Digits in `base` of `length` positions from each start, `(starts, length, digits, 1)`.
    fn digits(&self, base: usize, starts: &[i64], length: usize, device: &Device) -> Result<Tensor> {
        let (base, n) = (base as i64, self.0.n_digits.0);
        let mut out = memory::room(&[starts.len(), length, n])?;
        for start in starts {
            for position in *start..start + length as i64 {
                let mut rest = position;
                for _ in 0..n {
                    out.push((rest % base) as f32);
                    rest /= base;
                }
            }
        }
        Ok(Tensor::from_vec(out, &[starts.len(), length, n, 1])?.to_device(device)?)
    }
    /// Sums over the bases, `(starts, length, d)`.
    fn positions(&self, bases: &[Tree<Tensor>], starts: &[i64], length: usize, device: &Device) -> Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        for (&base, tree) in self.0.bases.0.iter().zip(bases) {
            let rows: Vec<Tensor> = tree.leaves().into_iter().cloned().collect();
            if rows.len() != self.0.n_digits.0 {
                return Err(tree.wrong(&format!("a tuple of {} tensors", self.0.n_digits.0)));
            }
            let rows = Tensor::concat(&rows, 0)?;
            let d = rows.shape().iter().product();
            let part = self.digits(base, starts, length, device)?.mul(&rows)?.reshape(&[starts.len(), length, d])?;
            sum = Some(match sum {
                Some(sum) => sum.add(&part)?,
                None => part,
            });
        }
        sum.ok_or_else(|| Error::new(ErrorKind::Internal, "no base"))
    }
}

impl Leaf for FixedBase {
    fn name(&self) -> String {
        "FixedBasePositionalEncoding".into()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let out = positioned(&inputs[0])?;
        let (length, d) = (inputs[0].shape[1], inputs[0].shape[2]);
        let n = self.0.n_digits.0;
        if d % n != 0 {
            return Err(Error::shape(format!("nDigits {n} does not divide the {d} features of {}", inputs[0])));
        }
        if length as i64 >= self.max_position() {
            let max = self.max_position();
            return Err(Error::shape(format!("the sequence has {length} positions, but must have fewer than {max}")));
        }
        Ok(out)
    }
    fn init(&self, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        self.signature(inputs)?;
        let d = inputs[0].shape[2];
        let n = self.0.n_digits.0;
        let (digits, start) = key.split_pair();
        // All bases draw by the same keys, as in Trax.
        let base = || {
            let rows = digits.try_split(n)?.into_iter().map(|key| self.0.initializer.make(&[1, d / n], key));
            Ok(Tree::tuple(rows.collect::<Result<Vec<_>>>()?))
        };
        let bases = self.0.bases.0.iter().map(|_| base()).collect::<Result<_>>()?;
        let start = Tree::Leaf(self.0.initializer.make(&[1, 1, d], start)?);
        let state = if self.0.mode == Mode::Predict { at_position(0) } else { Tree::EMPTY };
        Ok(Local { weights: Tree::Tuple(vec![Tree::Tuple(bases), start]), state })
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let x = &call.xs[0];
        self.signature(&[TensorSpec::of(x)])?;
        let (batch, length) = (x.shape()[0], x.shape()[1]);
        let (bases, start_vec) = match call.w {
            Tree::Tuple(v) => match &v[..] {
                [Tree::Tuple(bases), Tree::Leaf(start)] if bases.len() == self.0.bases.0.len() => (bases, start),
                _ => return Err(call.w.wrong("the weights of each base and a vector")),
            },
            other => return Err(other.wrong("the weights of each base and a vector")),
        };
        if length == 0 {
            return Ok(x.cast(x.dtype().promote(DType::F32))?.into());
        }
        let keys = call.key.split(3);
        let starts = self.starts(&call, batch, length, [keys[0], keys[1]])?;
        let mut positions = self.positions(bases, &starts, length, x.device())?;
        if self.0.mode == Mode::Train {
            let draw = randint(keys[2], &[batch, 1, 1], 0, self.0.base_dropout_one_in.0 as i64, DType::I32)?;
            positions = positions.mul(&draw.minimum(&Tensor::scalar(1i32))?.to_device(x.device())?)?;
        }
        let begins = self.0.mode != Mode::Predict || starts[0] == 0;
        if begins {
            let first = positions.narrow(1, 0, 1)?.add(start_vec)?;
            positions = Tensor::concat(&[first, positions.narrow(1, 1, length - 1)?], 1)?;
        }
        let state = (self.0.mode == Mode::Predict).then(|| at_position(starts[0] as usize + length));
        Ok(Output { ys: vec![x.add(&positions)?], state })
    }
    fn mode(&mut self) -> Option<&mut Mode> {
        Some(&mut self.0.mode)
    }
    fn traits(&self) -> Traits {
        Traits { goes_on: self.0.mode == Mode::Predict, keeps_float32: true, ..Traits::LEAF }
    }
}
