//! Projections of all heads at once, from weights that stand head by head.
use crate::{initializers::random_uniform, Error, ErrorKind, Result, TensorSpec, Tree};
use tallow_tensor::{memory, ops::dense, random::Key, DType, Device, Tensor};

/// Which projections there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    pub n_heads: usize,
    pub d_qk: usize,
    pub d_v: usize,
    /// Whether queries are the keys too.
    pub share_qk: bool,
    pub bias: bool,
}

/// The weights of a layer, by what they are for.
pub(super) struct HeadWeights<'a> {
    pub q: &'a Tensor,
    pub k: Option<&'a Tensor>,
    pub v: &'a Tensor,
    pub o: &'a Tensor,
    pub q_bias: Option<&'a Tensor>,
    pub k_bias: Option<&'a Tensor>,
    pub v_bias: Option<&'a Tensor>,
}

impl Heads {
    /// `(w_q, w_k, w_v, w_o)`, without `w_k` if shared, with biases of zeros behind them, each stacked over heads. Even over
    /// ±√(6 / (inputs + n_heads · outputs)).
    pub(super) fn init(&self, d_model: usize, d_kv: usize, key: Key) -> Result<Tree<Tensor>> {
        // Asked for as a whole: head by head, memory would run full before the last one is refused.
        for (rows, cols) in [(d_model, self.d_qk), (d_kv, self.d_v)] {
            memory::admit_tensor(&[self.n_heads, rows, cols], DType::F32)?;
        }
        let mut columns: Vec<Vec<Tensor>> = vec![Vec::new(); 4]; // few
        for key in key.try_split(self.n_heads)? {
            let keys = key.split(4);
            let draw = |shape: [usize; 2], key: Key| {
                let limit = (6.0 / (shape[0] as f64 + (shape[1] * self.n_heads) as f64)).sqrt() as f32;
                random_uniform(f64::from(limit)).make(&shape, key)
            };
            columns[0].push(draw([d_model, self.d_qk], keys[0])?);
            if !self.share_qk {
                columns[1].push(draw([d_kv, self.d_qk], keys[1])?);
            }
            columns[2].push(draw([d_kv, self.d_v], keys[2])?);
            columns[3].push(draw([d_model, self.d_v], keys[3])?.swap_axes(0, 1)?);
        }
        let mut all = columns
            .iter()
            .filter(|c| !c.is_empty())
            .map(|c| Ok(Tensor::stack(c, 0)?.contiguous()?))
            .collect::<Result<Vec<_>>>()?;
        if self.bias {
            let widths = if self.share_qk { vec![self.d_qk, self.d_v] } else { vec![self.d_qk, self.d_qk, self.d_v] };
            for d in widths {
                all.push(Tensor::zeros(&[self.n_heads, d], DType::F32, &Device::Cpu)?);
            }
        }
        Ok(Tree::tuple(all))
    }
    /// The weights of a layer made by [`Heads::init`].
    ///
    /// # Errors
    /// `WeightsMismatch` for another structure or another number of heads.
    pub(super) fn read<'a>(&self, w: &'a Tree<Tensor>) -> Result<HeadWeights<'a>> {
        let none = None;
        let w = match (self.share_qk, self.bias) {
            (true, false) => {
                let [q, v, o] = w.many()?;
                HeadWeights { q, k: none, v, o, q_bias: none, k_bias: none, v_bias: none }
            }
            (true, true) => {
                let [q, v, o, bq, bv] = w.many()?;
                HeadWeights { q, k: none, v, o, q_bias: Some(bq), k_bias: none, v_bias: Some(bv) }
            }
            (false, false) => {
                let [q, k, v, o] = w.many()?;
                HeadWeights { q, k: Some(k), v, o, q_bias: none, k_bias: none, v_bias: none }
            }
            (false, true) => {
                let [q, k, v, o, bq, bk, bv] = w.many()?;
                HeadWeights { q, k: Some(k), v, o, q_bias: Some(bq), k_bias: Some(bk), v_bias: Some(bv) }
            }
        };
        for (t, want) in [(w.q, self.d_qk), (w.v, self.d_v)].into_iter().chain(w.k.map(|k| (k, self.d_qk))) {
            if t.rank() != 3 || t.shape()[0] != self.n_heads || t.shape()[2] != want {
                let n = self.n_heads;
                let what = format!("weights must have shape [{n}, d_model, {want}], got {:?}", t.shape());
                return Err(Error::new(ErrorKind::WeightsMismatch, what));
            }
        }
        if w.o.rank() != 3 || w.o.shape()[..2] != [self.n_heads, self.d_v] {
            let (n, d) = (self.n_heads, self.d_v);
            let what = format!("weights must have shape [{n}, {d}, d_model], got {:?}", w.o.shape());
            return Err(Error::new(ErrorKind::WeightsMismatch, what));
        }
        Ok(w)
    }
}

/// `x [batch, length, d_model]` through `w [heads, d_model, d]`: `[batch, heads, length, d]`, a view.
pub(super) fn project(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (&[heads, inputs, d], &[batch, length, features]) = (w.shape(), x.shape()) else {
        return Err(Error::shape(format!("expected [batch, length, features], got {:?}", x.shape())));
    };
    if features != inputs {
        return Err(Error::made_for("last axis is", features, inputs));
    }
    let w = w.transpose(Some(&[1, 0, 2]))?.reshape(&[inputs, heads * d])?;
    let bias = bias.map(|b| b.reshape(&[heads * d])).transpose()?;
    let y = dense(x, &w, bias.as_ref())?;
    Ok(y.reshape(&[batch, length, heads, d])?.transpose(Some(&[0, 2, 1, 3]))?)
}

/// The results of the heads `[batch, heads, length, d]` through `w [heads, d, d_model]`, summed: `[batch, length, d_model]`.
pub(super) fn join(o: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (&[heads, d, outputs], &[batch, _, length, _]) = (w.shape(), o.shape()) else {
        return Err(Error::shape(format!("expected [batch, heads, length, features], got {:?}", o.shape())));
    };
    let o = o.transpose(Some(&[0, 2, 1, 3]))?.reshape(&[batch, length, heads * d])?;
    Ok(dense(&o, &w.reshape(&[heads * d, outputs])?, None)?)
}

/// The three sizes of `[batch, length, features]`.
pub(super) fn sizes(x: &TensorSpec) -> Result<[usize; 3]> {
    match x.shape[..] {
        [b, l, d] => Ok([b, l, d]),
        _ => Err(Error::shape(format!("expected (batch, length, features), got {x}"))),
    }
}

/// Refuses a mask that is not one for each of `[batch, length]`.
pub(super) fn check_mask(mask: &TensorSpec, batch: usize, length: usize) -> Result<()> {
    if mask.shape == [batch, length] {
        return Ok(());
    }
    Err(Error::shape(format!("the mask must be (batch, length) = ({batch}, {length}), got {mask}")))
}

/// The output has the type of the input, float32 where that is none.
pub(super) fn output(x: &TensorSpec) -> DType {
    if x.dtype.is_float() {
        x.dtype
    } else {
        DType::F32
    }
}

/// Refuses a number of heads side by side that neither divides the number of heads nor is a multiple of it.
pub(super) fn check_parallel(kind: &str, n_heads: usize, parallel: Option<crate::Dim>) -> Result<()> {
    match parallel {
        Some(crate::Dim(n)) if !n.is_multiple_of(n_heads) && !n_heads.is_multiple_of(n) => Err(Error::option(format!(
            "{kind}: `nParallelHeads` must divide `nHeads` ({n_heads}) or be a multiple of it, got {n}"
        ))),
        _ => Ok(()),
    }
}
