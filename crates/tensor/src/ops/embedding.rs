//! Rows of a table by id.
use crate::{
    accelerated::missing,
    autodiff::record,
    for_any, for_float,
    kernels::embedding as kernel,
    memory,
    ops::general::{narrow, require_float, wide_dtype, widen},
    tensor::Raw,
    DType, Error, Result, Tensor,
};
use smallvec::smallvec;
use std::sync::Arc;

/// Row `ids[...]` of `table: [V, D]` for each id: `[..., D]`. The gradient adds the cotangent's rows into a fresh table,
/// in order of position, so its bits do not depend on the number of threads.
///
/// # Errors
/// `IndexOutOfRange` for an id below 0 or not below V (an accelerator, which would have to be waited for to tell, gives NaN for it), `DTypeMismatch` unless ids are integers and the table floats,
/// `ShapeMismatch` for a table without two axes.
pub fn embedding(table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    require_float(table, "embedding")?;
    if ids.dtype().is_float() {
        return Err(Error::dtype(format!("embedding takes integer ids, got {}", ids.dtype())));
    }
    let &[vocabulary, depth] = table.shape() else {
        return Err(Error::shape(format!(
            "embedding needs a table of two axes [vocabulary, depth], got {:?}",
            table.shape()
        )));
    };
    if let Some(value) = accelerated(table, ids, [vocabulary, depth])? {
        return Ok(value);
    }
    let rows = Arc::new(checked_ids(ids, vocabulary)?);
    let mut shape = ids.shape().to_vec();
    shape.push(depth);
    let (dtype, device) = (table.dtype(), table.device().clone());
    let empty = rows.is_empty() || depth == 0;
    let path = table.path("embedding");
    let value = if empty {
        Tensor::zeros(&shape, dtype, &device)?
    } else if path.by_kernel() {
        for_float!(dtype, "embedding", T => Tensor::from_vec(kernel::gather(&table.values::<T>()?, &rows, depth)?, &shape)?)
    } else {
        let at = on_device(&rows, &device)?;
        Tensor::from_raw(table.raw().contiguous()?.index_select(&at, 0)?.reshape(&shape[..])?, dtype)
    };
    Ok(record(value, &[table], move |g, _| {
        if empty {
            return Ok(smallvec![Some(Tensor::zeros(&[vocabulary, depth], dtype, &device)?)]);
        }
        let g = g.cast(dtype)?;
        let path = g.path("gradient of embedding");
        let d = if path.by_kernel() {
            for_float!(dtype, "embedding", T => {
                Tensor::from_vec(kernel::scatter_add(&g.values::<T>()?, &rows, vocabulary, depth)?, &[vocabulary, depth])?
            })
        } else {
            memory::admit_tensor(&[vocabulary, depth], wide_dtype(dtype))?;
            let zeros = Raw::zeros((vocabulary, depth), wide_dtype(dtype).storage(), &device)?; // admitted
            narrow(zeros.index_add(&on_device(&rows, &device)?, &widen(&g)?.reshape(((), depth))?, 0)?, dtype)?
        };
        Ok(smallvec![Some(d)])
    }))
}

/// The same by kernels of an accelerator, which int32 ids need not leave; nothing where it has none.
fn accelerated(table: &Tensor, ids: &Tensor, [vocabulary, depth]: [usize; 2]) -> Result<Option<Tensor>> {
    let path = table.path("embedding");
    if path.by_kernel() || ids.size() * depth == 0 || ids.dtype() != DType::I32 {
        return Ok(None);
    }
    let found = path.accelerated(table, |kernels| {
        let ids = ids.raw().flatten_all()?;
        Ok(kernels.embedding(&widen(table)?, &ids, depth)?.map(|y| (y, ids)))
    })?;
    let Some((value, rows)) = found else { return Ok(None) };
    let shape: Vec<usize> = ids.shape().iter().copied().chain([depth]).collect();
    let dtype = table.dtype();
    let value = narrow(value.reshape(&shape[..])?, dtype)?;
    Ok(Some(record(value, &[table], move |g, _| {
        let path = g.path("gradient of embedding");
        let g = g.cast(dtype)?;
        let d = path.accelerated(&g, |kernels| kernels.embedding_back(&rows, &widen(&g)?, [vocabulary, depth]))?;
        let d = d.ok_or_else(missing)?;
        Ok(smallvec![Some(narrow(d, dtype)?)])
    })))
}

fn on_device(rows: &[usize], device: &crate::Device) -> Result<Raw> {
    Ok(Raw::from_vec(memory::collect(rows.iter().map(|&r| r as u32))?, rows.len(), device)?)
}

pub(super) fn checked_ids(ids: &Tensor, vocabulary: usize) -> Result<Vec<usize>> {
    for_any!(ids.dtype(), T => {
        let ids = ids.values::<T>()?;
        let mut rows = memory::room(ids.len())?;
        for v in ids.iter() {
            let id = candle_core::WithDType::to_f64(*v) as i64;
            rows.push(usize::try_from(id).ok().filter(|&r| r < vocabulary).ok_or_else(|| {
                Error::index(format!("embedding: id {id} is outside the vocabulary of {vocabulary}"))
            })?);
        }
        Ok(rows)
    })
}
