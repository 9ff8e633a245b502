//! safetensors files: written whole or not at all, read with their header checked.
use crate::{
    whole_file::{self, io},
    Error, Result,
};
use safetensors::{tensor::TensorView, Dtype, SafeTensors};
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::Read,
    path::Path,
};
use tallow_tensor::{for_any, DType, Tensor};

fn dtype_out(d: DType) -> Dtype {
    match d {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I32 => Dtype::I32,
        DType::I64 => Dtype::I64,
        DType::U32 => Dtype::U32,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

fn dtype_in(d: Dtype) -> Option<DType> {
    DType::ALL.into_iter().find(|&t| dtype_out(t) == d)
}

/// Elements as little-endian bytes.
trait Bytes: Sized {
    fn put(self, out: &mut Vec<u8>);
    fn get(bytes: &[u8]) -> Self;
}
macro_rules! bytes {
    ($($t:ty),*) => {$(
        impl Bytes for $t {
            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn get(bytes: &[u8]) -> Self {
                let mut b = [0; std::mem::size_of::<$t>()];
                b.copy_from_slice(bytes);
                Self::from_le_bytes(b)
            }
        }
    )*};
}
bytes!(f32, f64, half::f16, half::bf16, i32, i64, u32, u8);

/// Elements in row-major order.
pub(crate) fn to_bytes(t: &Tensor) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(t.size() * t.dtype().size());
    for_any!(t.dtype(), T => t.values::<T>()?.iter().for_each(|v| v.put(&mut out)));
    Ok(out)
}

fn from_bytes(bytes: &[u8], dtype: DType, shape: &[usize]) -> Result<Tensor> {
    if dtype == DType::Bool {
        return Ok(Tensor::from_bools(bytes.iter().map(|&b| u8::from(b != 0)).collect(), shape)?);
    }
    for_any!(dtype, T => {
        Ok(Tensor::from_vec(bytes.chunks_exact(dtype.size()).map(T::get).collect::<Vec<T>>(), shape)?)
    })
}

/// The one key that metadata stands under, as JSON in order of its keys: safetensors writes several keys in any order, and
/// equal content must give equal bytes.
const METADATA: &str = "tallow";

/// Writes named tensors and text metadata to `path`. Equal content gives equal bytes.
///
/// `path` always holds the old or the new content, whole.
///
/// # Errors
/// `Io` naming the path; the old file is then untouched.
pub fn write(path: &Path, tensors: &[(String, Tensor)], metadata: &BTreeMap<String, String>) -> Result<()> {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, t)| to_bytes(t)).collect::<Result<_>>()?;
    let views = tensors.iter().zip(&bytes).map(|((name, t), b)| {
        let view = TensorView::new(dtype_out(t.dtype()), t.shape().to_vec(), b)
            .map_err(|e| Error::new("Io", format!("cannot store {name}: {e}")))?;
        Ok((name.clone(), view))
    });
    let views: Vec<(String, TensorView)> = views.collect::<Result<_>>()?;
    let metadata = serde_json::json!(metadata).to_string();
    let data = safetensors::serialize(views, Some(HashMap::from([(METADATA.to_string(), metadata)])))
        .map_err(|e| Error::new("Io", format!("cannot write {}: {e}", path.display())))?;
    drop(bytes);
    whole_file::write(path, &data)
}

/// What a file holds: named tensors, sorted by name, and text metadata.
pub type Contents = (Vec<(String, Tensor)>, BTreeMap<String, String>);

/// Named tensors and text metadata of a file.
///
/// # Errors
/// `Io` naming the path, for a file that is missing, truncated, corrupt, or has an element type there is none for.
pub fn read(path: &Path) -> Result<Contents> {
    let mut data = Vec::new();
    File::open(path).and_then(|mut f| f.read_to_end(&mut data)).map_err(|e| io("read", path, &e))?;
    let bad =
        |e: &dyn std::fmt::Display| Error::new("Io", format!("{} is no valid safetensors file: {e}", path.display()));
    let (_, header) = SafeTensors::read_metadata(&data).map_err(|e| bad(&e))?;
    let metadata = match header.metadata().as_ref().and_then(|m| m.get(METADATA)) {
        Some(json) => serde_json::from_str(json).map_err(|e| bad(&format!("its metadata is damaged: {e}")))?,
        None => BTreeMap::new(),
    };
    let file = SafeTensors::deserialize(&data).map_err(|e| bad(&e))?;
    let mut out = Vec::new();
    for name in file.names() {
        let view = file.tensor(name).map_err(|e| bad(&e))?;
        let dtype = dtype_in(view.dtype()).ok_or_else(|| {
            bad(&format!("tensor {name} has element type {:?}, which has no counterpart here", view.dtype()))
        })?;
        out.push((name.to_string(), from_bytes(view.data(), dtype, view.shape())?));
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    Ok((out, metadata))
}
