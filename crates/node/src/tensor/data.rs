//! Values in and out. TypeScript allocates, Rust fills: external buffers are refused by Electron.
use crate::{
    bridge::{
        args::{Arg, Shape, TypeCode},
        environment::run,
    },
    tensor::devices::device_or_default,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_tensor::{for_any, memory, DType, Error, Tensor};

/// The names of the dtypes; a dtype crosses as its place in this list.
#[napi]
pub fn dtype_names() -> Vec<&'static str> {
    DType::ALL.iter().map(|d| d.name()).collect()
}

/// A tensor from the bytes of its row-major values.
#[napi]
pub fn from_bytes(
    env: Env,
    bytes: &[u8],
    dtype: Arg<TypeCode>,
    shape: Arg<Shape>,
    device: Arg<Option<String>>,
) -> Result<f64> {
    run(&env, |e| {
        let (dtype, shape) = (dtype.named("tensor: dtype")?.0, shape.named("tensor: shape")?.0);
        let device = device.named("tensor: device")?;
        let tensor = for_any!(dtype, T => Tensor::from_vec(values_of::<T>(bytes)?, &shape)?);
        let tensor = if dtype == DType::Bool { Tensor::from_bools(memory::copy(bytes)?, &shape)? } else { tensor };
        Ok(e.insert(&env, tensor.to_device(&device_or_default(device)?)?))
    })
}

/// The sizes of the axes.
#[napi]
pub fn shape(env: Env, id: f64) -> Result<Vec<f64>> {
    run(&env, |e| Ok(e.tensor(id)?.shape().iter().map(|&n| n as f64).collect()))
}

/// The number of the dtype, see [`dtype_names`].
#[napi]
pub fn dtype(env: Env, id: f64) -> Result<u32> {
    run(&env, |e| {
        let dtype = e.tensor(id)?.dtype();
        Ok(DType::ALL.iter().position(|&d| d == dtype).unwrap_or_default() as u32)
    })
}

/// Refuses values that memory cannot hold a second time, before JavaScript makes room for them.
#[napi]
pub fn admit_values(env: Env, id: f64) -> Result<()> {
    run(&env, |e| {
        let tensor = e.tensor(id)?;
        Ok(memory::admit_tensor(tensor.shape(), tensor.dtype())?)
    })
}

/// Fills `bytes` with the row-major values.
#[napi]
pub fn copy_into(env: Env, id: f64, mut bytes: Uint8ArraySlice) -> Result<()> {
    run(&env, |e| {
        // SAFETY: the slice is used before this call returns, and no JavaScript runs meanwhile that could see or change it.
        // Tested by `data() fills what TypeScript allocated` in tensor.spec.ts.
        let bytes = unsafe { bytes.as_mut() };
        let tensor = e.tensor(id)?;
        for_any!(tensor.dtype(), T => {
            let values = tensor.values::<T>()?;
            let source: &[u8] = bytemuck::cast_slice(&values);
            if source.len() != bytes.len() {
                return Err(Error::shape(format!("{tensor:?} has {} bytes, the array {}", source.len(), bytes.len())).into());
            }
            bytes.copy_from_slice(source);
        });
        Ok(())
    })
}

/// The only value, as a number.
#[napi]
pub fn item(env: Env, id: f64) -> Result<f64> {
    run(&env, |e| Ok(e.tensor(id)?.item()?))
}

/// The little-endian values that `bytes`, of any alignment, hold.
fn values_of<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> tallow_tensor::Result<Vec<T>> {
    memory::collect(bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned))
}
