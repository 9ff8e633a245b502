//! Values in and out. TypeScript allocates, Rust fills: external buffers are refused by Electron.
use crate::bridge::{
    args::{Arg, Shape, TypeCode},
    environment::run,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_tensor::{for_any, memory, DType, Device, Error, ErrorKind, Tensor};

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
        Ok(e.insert(&env, on_device(tensor, device.as_deref())?))
    })
}

fn on_device(tensor: Tensor, name: Option<&str>) -> tallow_tensor::Result<Tensor> {
    match name {
        None | Some("cpu") => Ok(tensor),
        Some(name) => tensor.to_device(&parse_device(name)?),
    }
}

/// The device of a name: `cpu`, `cuda:0`, `metal:0`.
pub(crate) fn parse_device(name: &str) -> tallow_tensor::Result<Device> {
    let unknown = || Error::argument(format!("unknown device \"{name}\", expected \"cpu\", \"cuda:N\" or \"metal:N\""));
    let (kind, index) = name.split_once(':').unwrap_or((name, "0"));
    let index: usize = index.parse().map_err(|_| unknown())?;
    let missing = |e| Error::new(ErrorKind::Device, format!("device \"{name}\" cannot be used: {e}"));
    match kind {
        "cpu" if index == 0 => Ok(Device::Cpu),
        "cuda" => Device::new_cuda(index).map_err(missing),
        "metal" => Device::new_metal(index).map_err(missing),
        _ => Err(unknown()),
    }
}

/// The name of the device that holds the values.
#[napi]
pub fn device(env: Env, id: f64) -> Result<String> {
    run(&env, |e| {
        Ok(match e.tensor(id)?.device().location() {
            candle_core::DeviceLocation::Cpu => "cpu".to_owned(),
            candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
            candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
        })
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
