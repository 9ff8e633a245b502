//! How attention reads its operands, and where its result and its gradients lie.
use crate::{
    autodiff::Grads,
    kernels::attention::{Gradients, Place, Saved, Scalar, Stack},
    tensor::Raw,
    Element, Error, Result, Tensor,
};
use candle_core::Storage;
use smallvec::SmallVec;

/// A tensor on the CPU with adjacent columns, its storage held so that stacks can borrow from it.
pub(in crate::ops) struct Held(Raw);

impl Held {
    pub(in crate::ops) fn new(t: &Tensor) -> Result<Self> {
        let stride = t.raw().stride();
        let adjacent = stride.last() == Some(&1) || t.shape().last().is_some_and(|&n| n <= 1);
        Ok(Self(if adjacent { t.raw().clone() } else { crate::kernels::copy::contiguous(t.raw())? }))
    }
    /// Strides of the leading axes, aligned to `rank` of them, 0 where broadcast.
    fn leading(&self, rank: usize) -> SmallVec<[usize; 4]> {
        let (dims, strides) = (self.0.dims(), self.0.stride());
        let own = dims.len() - 2;
        (0..rank)
            .map(|i| match (i + own).checked_sub(rank) {
                Some(j) if dims[j] != 1 => strides[j],
                _ => 0,
            })
            .collect()
    }
    /// Calls `f` with the values from the first element on.
    pub(in crate::ops) fn with<T: Element, R>(&self, f: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
        let (storage, layout) = self.0.storage_and_layout();
        let Storage::Cpu(cpu) = &*storage else {
            return Err(Error::internal("a CPU kernel was given a tensor of another device"));
        };
        // A view of no elements may begin behind the end of its storage.
        f(cpu.as_slice::<T>()?.get(layout.start_offset()..).unwrap_or_default())
    }
    pub(in crate::ops) fn stack<'a, T>(&self, data: &'a [T], rank: usize) -> Stack<'a, T> {
        Stack { data, batch: self.leading(rank), row: self.0.stride()[self.0.rank() - 2] }
    }
}

/// Where a result of `shape` goes: as the operand `like` lies, if that is a view with rows outside of heads.
pub(in crate::ops) fn place_like(like: &Tensor, shape: &[usize]) -> (Place, bool) {
    let rank = shape.len();
    let swapped = rank >= 3 && like.rank() == rank && {
        let s = like.raw().stride();
        like.shape()[rank - 3] > 1 && like.shape()[rank - 2] > 1 && s[rank - 3] < s[rank - 2]
    };
    let mut strides = vec![1; rank];
    for i in (0..rank.saturating_sub(1)).rev() {
        strides[i] = strides[i + 1] * shape[i + 1];
    }
    if swapped {
        strides[rank - 2] = shape[rank - 1] * shape[rank - 3];
        strides[rank - 3] = shape[rank - 1];
    }
    (Place { batch: strides[..rank - 2].into(), row: strides[rank - 2], first: 0 }, swapped)
}

/// Values that lie as [`place_like`] said, as a tensor of `shape`.
pub(in crate::ops) fn placed<T: Element>(values: Vec<T>, shape: &[usize], swapped: bool) -> Result<Tensor> {
    if !swapped {
        return Tensor::from_vec(values, shape);
    }
    let rank = shape.len();
    let mut stored = shape.to_vec();
    stored.swap(rank - 3, rank - 2);
    let t = Tensor::from_vec(values, &stored)?;
    let view = t.raw().transpose(rank - 3, rank - 2)?;
    Ok(t.view(view))
}

/// What attention keeps for its backward beside the operands: the result, and two numbers for each of its rows.
pub(in crate::ops) struct Kept {
    out: Tensor,
    top: Tensor,
    total: Tensor,
}

impl Kept {
    pub(in crate::ops) fn new<T: Element>(out: Tensor, top: Vec<T>, total: Vec<T>) -> Result<Self> {
        let rows = [top.len()];
        Ok(Self { out, top: Tensor::from_vec(top, &rows)?, total: Tensor::from_vec(total, &rows)? })
    }
    /// Calls `f` with what was kept and the cotangent, stacks of matrices with `rank` leading axes.
    pub(in crate::ops) fn with<T: Element + Scalar, R>(
        &self,
        ct: &Tensor,
        rank: usize,
        f: impl FnOnce(&Saved<'_, T>) -> Result<R>,
    ) -> Result<R> {
        let (out, ct) = (Held::new(&self.out)?, Held::new(ct)?);
        let (top, total) = (self.top.values::<T>()?, self.total.values::<T>()?);
        out.with(|o| {
            ct.with(|c| f(&Saved { out: out.stack(o, rank), top: &top, total: &total, ct: ct.stack(c, rank) }))
        })
    }
    /// Gradients of queries, keys and values by `kernel`, which is given what was kept and where its gradients lie: at the
    /// shapes `full`, as the operands do. They are summed to the operands' own shapes.
    pub(in crate::ops) fn gradients<T: Element + Scalar>(
        &self,
        ct: &Tensor,
        need: &[bool],
        operands: [&Tensor; 3],
        full: [Vec<usize>; 3],
        kernel: impl FnOnce(&Saved<'_, T>, &[Place; 3]) -> Result<Gradients<T>>,
    ) -> Result<Grads> {
        let rank = full[0].len() - 2;
        let [q, k, v] = [0, 1, 2].map(|i| place_like(operands[i], &full[i]));
        let swapped = [q.1, k.1, v.1];
        let found = self.with(ct, rank, |saved| kernel(saved, &[q.0, k.0, v.0]))?;
        let mut grads = Grads::new();
        for (i, values) in [found.q, found.k, found.v].into_iter().enumerate() {
            grads.push(if need[i] {
                Some(placed(values, &full[i], swapped[i])?.sum_to(operands[i].shape())?)
            } else {
                None
            });
        }
        Ok(grads)
    }
}
