//! Matrix products.
use super::args::wider;
use crate::{
    autodiff::{record, records},
    host_trips::{note, Hosted},
    kernels::{
        gemm::{column_sums, Batched, Multiply},
        plan::{read, Dims},
    },
    memory,
    ops::general::is_half,
    tensor::Raw,
    DType, Element, Error, Result, Tensor,
};
use candle_core::D;
use half::{bf16, f16};
use smallvec::{smallvec, SmallVec};

impl Tensor {
    /// Multiplies matrices: the product over the last two axes, batched over the axes before them, as `jnp.matmul`.
    ///
    /// Formula: `y[..., i, j] = Σ_k x[..., i, k] · other[..., k, j]`
    ///
    /// Shapes: `[..., m, k]`, `[..., k, n]` → `[..., m, n]`; the axes before the last two broadcast. A tensor of
    /// one axis is a row on the left and a column on the right, and its axis is left out of the result.
    ///
    /// Dtypes: the dtype that both promote to. float16 and bfloat16 add up in float32, integers exactly.
    ///
    /// Gradient: `dx = dy · otherᵀ`, `dother = xᵀ · dy`, each summed over the axes that were broadcast.
    ///
    /// # Errors
    /// - `ShapeMismatch`: an operand has no axes, inner sizes differ, or other axes do not broadcast.
    /// - `DTypeMismatch`: both tensors are bool.
    /// - `InvalidArgument`: a sum of products of integers does not fit their dtype.
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        let dtype = self.dtype().promote(other.dtype());
        if dtype == DType::Bool {
            return Err(Error::dtype("matmul of two bool tensors; cast one to a number first"));
        }
        let (a, b) = (self.cast(dtype)?, other.cast(dtype)?);
        let mismatch = |why: &str| Error::shape(format!("matmul of {:?} and {:?}: {why}", self.shape(), other.shape()));
        if a.rank() == 0 || b.rank() == 0 {
            return Err(mismatch("both need at least one axis"));
        }
        let (row, col) = (a.rank() == 1, b.rank() == 1);
        let (x, y) = (as_rows(a.raw(), row)?, as_cols(b.raw(), col)?);
        let (m, k) = matrix_dims(&x);
        let (inner, n) = matrix_dims(&y);
        if k != inner {
            return Err(mismatch(&format!("inner sizes {k} and {inner} differ")));
        }
        let batch = broadcast(batch_dims(&x), batch_dims(&y)).ok_or_else(|| mismatch("batch axes do not broadcast"))?;
        let mut shape = batch.to_vec();
        shape.extend((!row).then_some(m));
        shape.extend((!col).then_some(n));
        let path = a.path("matmul");
        let value = finish(product(&x, &y, &batch, None, path.by_kernel())?, &shape, dtype)?;
        if !records(&value, &[&a, &b]) {
            return Ok(value);
        }
        let (saved_a, saved_b) = (a.detach(), b.detach());
        Ok(record(value, &[&a, &b], move |ct, need| {
            let (x, y) = (as_rows(saved_a.raw(), row)?, as_cols(saved_b.raw(), col)?);
            let ct_raw = as_cols(ct.raw(), col)?;
            let ct_raw = if row { ct_raw.unsqueeze(ct_raw.rank() - 1)? } else { ct_raw };
            let path = ct.path("gradient of matmul");
            let fast = path.by_kernel();
            let da = if need[0] {
                let g = product(&ct_raw, &y.transpose(D::Minus2, D::Minus1)?, batch_dims(&x), None, fast)?;
                Some(finish(g, saved_a.shape(), dtype)?)
            } else {
                None
            };
            let db = if need[1] {
                let g = product(&x.transpose(D::Minus2, D::Minus1)?, &ct_raw, batch_dims(&y), None, fast)?;
                Some(finish(g, saved_b.shape(), dtype)?)
            } else {
                None
            };
            Ok(smallvec![da, db])
        }))
    }
}

/// `x · w + b`: `x […, in]`, `w [in, out]`, `b [out]`, in one pass over the result.
///
/// Backward: `dx = dy · wᵀ`, `dw = xᵀ · dy` over all rows at once, `db` = sum of the rows of `dy`; none copies an operand.
///
/// # Errors
/// - `ShapeMismatch`: the last axis of `x` is not the first of `w`, or `b` has not the size of the second.
/// - `DTypeMismatch`: not all are floats.
pub fn dense(x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Tensor> {
    let shapes = || format!("{:?}, {:?} and {:?}", x.shape(), w.shape(), b.map(Tensor::shape));
    let dtype = b.map_or(x.dtype().promote(w.dtype()), |b| x.dtype().promote(w.dtype()).promote(b.dtype()));
    if !dtype.is_float() {
        return Err(Error::dtype(format!("dense takes floats, got {dtype}")));
    }
    if x.rank() == 0 || w.rank() != 2 || x.shape()[x.rank() - 1] != w.shape()[0] {
        return Err(Error::shape(format!(
            "dense of {}: the last axis of x must be the first of a 2-D weight",
            shapes()
        )));
    }
    let n = w.shape()[1];
    if b.is_some_and(|b| b.shape() != [n]) {
        return Err(Error::shape(format!("dense of {}: the bias must have shape [{n}]", shapes())));
    }
    let (x, w, b) = (x.cast(dtype)?, w.cast(dtype)?, b.map(|b| b.cast(dtype)).transpose()?);
    let row = x.rank() == 1;
    let rows = as_rows(x.raw(), row)?;
    let mut shape = Dims::from(x.shape());
    if let Some(last) = shape.last_mut() {
        *last = n;
    }
    let path = x.path("dense");
    let value = product(&rows, w.raw(), batch_dims(&rows), b.as_ref().map(Tensor::raw), path.by_kernel())?;
    let value = finish(value, &shape, dtype)?;
    let mut inputs: SmallVec<[&Tensor; 3]> = smallvec![&x, &w];
    inputs.extend(b.as_ref());
    if !records(&value, &inputs) {
        return Ok(value);
    }
    let (saved_x, saved_w) = (x.detach(), w.detach());
    Ok(record(value, &inputs, move |ct, need| {
        let path = ct.path("gradient of dense");
        let fast = path.by_kernel();
        let (x, dy) = (as_rows(saved_x.raw(), row)?, as_rows(ct.raw(), row)?);
        let dx = if need[0] {
            Some(finish(product(&dy, &saved_w.raw().t()?, batch_dims(&x), None, fast)?, saved_x.shape(), dtype)?)
        } else {
            None
        };
        let dw = if need[1] {
            Some(finish(product(&x.transpose(D::Minus2, D::Minus1)?, &dy, &[], None, fast)?, saved_w.shape(), dtype)?)
        } else {
            None
        };
        let mut grads = smallvec![dx, dw];
        if let Some(&needed) = need.get(2) {
            grads.push(if needed { Some(sum_rows(ct)?) } else { None });
        }
        Ok(grads)
    }))
}

/// The sum over all axes but the last.
pub(super) fn sum_rows(ct: &Tensor) -> Result<Tensor> {
    let n = ct.shape()[ct.rank() - 1];
    let path = ct.path("gradient of a bias");
    if !path.by_kernel() {
        let rows = ct.size() / n.max(1);
        let x = if is_half(ct.dtype()) { ct.raw().to_dtype(candle_core::DType::F32)? } else { ct.raw().clone() };
        return finish(x.reshape((rows, n))?.sum(0)?, &[n], ct.dtype());
    }
    Ok(match ct.dtype() {
        DType::F64 => Tensor::from_vec(column_sums(&ct.values::<f64>()?, n)?, &[n])?,
        DType::F32 => Tensor::from_vec(column_sums(&ct.values::<f32>()?, n)?, &[n])?,
        half => finish(Raw::from_vec(column_sums(&raw_f32(ct.raw())?, n)?, n, ct.device())?, &[n], half)?,
    })
}

/// A vector as a matrix of one row.
fn as_rows(x: &Raw, vector: bool) -> Result<Raw> {
    Ok(if vector { x.unsqueeze(x.rank() - 1)? } else { x.clone() })
}
/// A vector, or a stack of them, as matrices of one column.
fn as_cols(x: &Raw, vector: bool) -> Result<Raw> {
    Ok(if vector { x.unsqueeze(x.rank())? } else { x.clone() })
}
pub(super) fn batch_dims(x: &Raw) -> &[usize] {
    &x.dims()[..x.rank() - 2]
}
fn matrix_dims(x: &Raw) -> (usize, usize) {
    (x.dims()[x.rank() - 2], x.dims()[x.rank() - 1])
}
/// The NumPy broadcast of two shapes.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<SmallVec<[usize; 4]>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |j| s[j]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y || y == 1 => Some(x),
            (1, y) => Some(y),
            _ => None,
        })
        .collect()
}

/// The result as a tensor of `shape`.
pub(super) fn finish(raw: Raw, shape: &[usize], dtype: DType) -> Result<Tensor> {
    let raw = if raw.dims() == shape { raw } else { raw.reshape(shape)? };
    if raw.dtype() == dtype.storage() {
        return Ok(Tensor::from_raw(raw, dtype));
    }
    memory::admit_tensor(shape, dtype)?;
    Ok(Tensor::from_raw(raw.to_dtype(dtype.storage())?, dtype))
}

/// The batched product of two operands of the same dtype and rank ≥ 2, summed over the batch axes that `out_batch`
/// lacks or has as 1; the gradient of broadcasting is such a sum. Halves give float32. The shape is `out_batch + [m, n]`, or as many elements.
pub(super) fn product(a: &Raw, b: &Raw, out_batch: &[usize], bias: Option<&Raw>, kernels: bool) -> Result<Raw> {
    use candle_core::DType as C;
    if !kernels {
        return general(a, b, out_batch, bias);
    }
    match a.dtype() {
        C::F32 => strided::<f32>(a, b, out_batch, bias),
        C::F64 => strided::<f64>(a, b, out_batch, bias),
        C::I32 => strided::<i32>(a, b, out_batch, bias),
        C::I64 => strided::<i64>(a, b, out_batch, bias),
        C::U32 => strided::<u32>(a, b, out_batch, bias),
        C::U8 => strided::<u8>(a, b, out_batch, bias),
        _ => {
            let up = |x: &Raw| Ok::<_, Error>(Raw::from_vec(raw_f32(x)?, x.dims(), x.device())?);
            strided::<f32>(&up(a)?, &up(b)?, out_batch, bias.map(up).transpose()?.as_ref())
        }
    }
}

/// The values of a CPU tensor of halves as float32, row-major.
fn raw_f32(x: &Raw) -> Result<Vec<f32>> {
    use half::slice::HalfFloatSliceExt;
    let x = crate::kernels::copy::contiguous(x)?;
    let source = read(&x);
    let mut out: Vec<f32> = memory::zeros(x.dims())?;
    match x.dtype() {
        candle_core::DType::F16 => source.slice::<f16>()?[..out.len()].convert_to_f32_slice(&mut out),
        _ => source.slice::<bf16>()?[..out.len()].convert_to_f32_slice(&mut out),
    }
    Ok(out)
}

/// The CPU kernel: strides are passed on as they are.
fn strided<T: Element + Multiply>(a: &Raw, b: &Raw, out_batch: &[usize], bias: Option<&Raw>) -> Result<Raw> {
    let ((m, k), (_, n)) = (matrix_dims(a), matrix_dims(b));
    let (ra, rb) = (read(a), read(b));
    let (la, lb) = (ra.layout, rb.layout);
    let bias = bias.map(Raw::contiguous).transpose()?;
    let bias = bias.as_ref().map(read);
    let rank = a.rank().max(b.rank()) - 2;
    let axis = |dims: &[usize], strides: &[usize], i: usize| match (i + dims.len() - 2).checked_sub(rank) {
        Some(j) if dims[j] != 1 => (dims[j], strides[j]),
        _ => (1, 0),
    };
    let mut job = Batched {
        a: ra.slice::<T>()?,
        b: rb.slice::<T>()?,
        size: [m, n, k],
        a_strides: [la.stride()[a.rank() - 2], la.stride()[a.rank() - 1]],
        b_strides: [lb.stride()[b.rank() - 2], lb.stride()[b.rank() - 1]],
        batch: SmallVec::new(),
        summed: SmallVec::new(),
        bias: bias.as_ref().map(|b| Ok::<_, Error>(&b.slice::<T>()?[..n])).transpose()?,
    };
    for i in 0..rank {
        let ((na, sa), (nb, sb)) = (axis(a.dims(), la.stride(), i), axis(b.dims(), lb.stride(), i));
        let size = if na == 1 { nb } else { na };
        let kept = (i + out_batch.len()).checked_sub(rank).map_or(1, |j| out_batch[j]);
        if kept == size {
            job.batch.push([size, sa, sb]);
        } else {
            job.summed.push([size, sa, sb]);
        }
    }
    let (values, fits) = job.run_whole()?;
    if !fits {
        let dtype = T::DT;
        return Err(Error::argument(format!(
            "the matrix product of {:?} and {:?}: a sum does not fit {dtype}; cast the operands to {} first",
            a.dims(),
            b.dims(),
            wider(dtype, true)
        )));
    }
    let mut dims = Dims::from(out_batch);
    dims.extend([m, n]);
    Ok(Raw::from_vec(values, &*dims, a.device())?)
}

/// The general path: candle's own product on contiguous float operands; integers go through the host.
fn general(a: &Raw, b: &Raw, out_batch: &[usize], bias: Option<&Raw>) -> Result<Raw> {
    use candle_core::{DType as C, Device};
    let device = a.device().clone();
    if !matches!(a.dtype(), C::F32 | C::F64 | C::F16 | C::BF16) {
        note(Hosted::MatmulWhole, &device);
        let (a, b) = (a.to_device(&Device::Cpu)?, b.to_device(&Device::Cpu)?);
        return Ok(product(&a, &b, out_batch, None, true)?.to_device(&device)?);
    }
    let up = |x: &Raw| x.to_dtype(if x.dtype() == C::F64 { C::F64 } else { C::F32 });
    let (a, b) = (up(a)?, up(b)?);
    let ((m, k), (_, n)) = (matrix_dims(&a), matrix_dims(&b));
    let batch =
        broadcast(batch_dims(&a), batch_dims(&b)).ok_or_else(|| Error::internal("batch axes were checked before"))?;
    let items: usize = batch.iter().product();
    let full = |x: &Raw, r: usize, c: usize| {
        let dims: Vec<usize> = batch.iter().copied().chain([r, c]).collect();
        x.broadcast_as(dims)?.contiguous()?.reshape((items, r, c))
    };
    memory::admit(&[items, m, n], a.dtype().size_in_bytes())?;
    let out = if items * m * n * k == 0 {
        Raw::zeros((items, m, n), a.dtype(), &device)? // admitted
    } else {
        full(&a, m, k)?.matmul(&full(&b, k, n)?)?
    };
    let dims: Vec<usize> = batch.iter().copied().chain([m, n]).collect();
    let out = sum_leading(out.reshape(dims)?, out_batch)?;
    match bias {
        Some(bias) => Ok(out.broadcast_add(&up(bias)?)?),
        None => Ok(out),
    }
}

/// Sums the axes before the last two that `batch` lacks or has as 1.
pub(super) fn sum_leading(mut x: Raw, batch: &[usize]) -> Result<Raw> {
    let rank = x.rank() - 2;
    for i in 0..rank {
        let kept = (i + batch.len()).checked_sub(rank).map_or(1, |j| batch[j]);
        if kept != x.dims()[i] {
            x = x.sum_keepdim(i)?;
        }
    }
    Ok(x)
}
