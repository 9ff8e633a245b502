//! Kernels on GPUs of NVIDIA.
use super::launch::{lengths, Array, Launcher};
use crate::{memory, tensor::Raw, Error, Result};
use candle_core::{
    cuda_backend::{
        cudarc::driver::{CudaSlice, CudaView, LaunchConfig, PushKernelArg},
        WrapErr,
    },
    op::BackpropOp,
    CudaDevice, CudaStorage, Layout, Storage,
};
use tallow_device::{
    argument::{blocks_of, Given, Role},
    kernel::{Kernel, Type},
    PTX,
};

/// What a kernel reads; no elements are an address of nothing.
enum Read<'a> {
    F32(CudaView<'a, f32>),
    I32(CudaView<'a, i32>),
    U32(CudaView<'a, u32>),
    U8(CudaView<'a, u8>),
    Nothing(u64),
}

impl<'a> Read<'a> {
    /// So many elements of a storage from the first one of a layout on; all there are without a number. And how many these are.
    fn of(storage: &'a Storage, layout: &Layout, n: Option<usize>, of: Type) -> Result<(Self, usize)> {
        let Storage::Cuda(cuda) = storage else {
            return Err(Error::internal("a kernel on a GPU was given a tensor of another device"));
        };
        let from = layout.start_offset();
        fn part<T>(all: &CudaSlice<T>, from: usize, n: Option<usize>) -> Result<(CudaView<'_, T>, usize)> {
            let n = n.unwrap_or(all.len().saturating_sub(from));
            let view = all.try_slice(from..from + n);
            Ok((view.ok_or_else(|| Error::internal("an array of a kernel ends behind its storage"))?, n))
        }
        if n == Some(0) {
            return Ok((Self::Nothing(0), 0));
        }
        Ok(match of {
            Type::F32 => {
                let (view, n) = part(cuda.as_cuda_slice::<f32>()?, from, n)?;
                (Self::F32(view), n)
            }
            Type::U8 => {
                let (view, n) = part(cuda.as_cuda_slice::<u8>()?, from, n)?;
                (Self::U8(view), n)
            }
            // The bits of int32 are those of words.
            Type::I32 | Type::U32 => match cuda.as_cuda_slice::<i32>() {
                Ok(all) => {
                    let (view, n) = part(all, from, n)?;
                    (Self::I32(view), n)
                }
                Err(_) => {
                    let (view, n) = part(cuda.as_cuda_slice::<u32>()?, from, n)?;
                    (Self::U32(view), n)
                }
            },
        })
    }
}

/// What a kernel writes.
enum Written {
    F32(CudaSlice<f32>),
    I32(CudaSlice<i32>),
    U32(CudaSlice<u32>),
    Nothing(u64, Type),
}

impl Written {
    fn new(device: &CudaDevice, of: Type, n: usize) -> Result<Self> {
        memory::admit(n, of.bytes())?;
        if n == 0 {
            return Ok(Self::Nothing(0, of));
        }
        // SAFETY: a kernel writes each element of what it writes, and reads none before; the launcher for the CPU holds all kernels to that.
        unsafe {
            Ok(match of {
                Type::F32 => Self::F32(device.alloc(n)?),
                Type::I32 => Self::I32(device.alloc(n)?),
                Type::U32 => Self::U32(device.alloc(n)?),
                Type::U8 => return Err(Error::internal("no kernel writes bytes")),
            })
        }
    }
    /// A copy of the elements of a tensor.
    fn begun(device: &CudaDevice, raw: &Raw) -> Result<Self> {
        let packed = raw.contiguous()?;
        let (storage, layout) = packed.storage_and_layout();
        let mut written = Self::new(device, Type::F32, raw.elem_count())?;
        if let (Self::F32(to), (Read::F32(from), _)) =
            (&mut written, Read::of(&storage, layout, Some(raw.elem_count()), Type::F32)?)
        {
            device.memcpy_dtod(&from, to)?;
        }
        Ok(written)
    }
    fn len(&self) -> usize {
        match self {
            Self::F32(s) => s.len(),
            Self::I32(s) => s.len(),
            Self::U32(s) => s.len(),
            Self::Nothing(..) => 0,
        }
    }
    fn raw(self, device: &CudaDevice) -> Result<Raw> {
        let n = self.len();
        let storage = match self {
            Self::F32(slice) => CudaStorage::wrap_cuda_slice(slice, device.clone()),
            Self::I32(slice) => CudaStorage::wrap_cuda_slice(slice, device.clone()),
            Self::U32(slice) => CudaStorage::wrap_cuda_slice(slice, device.clone()),
            Self::Nothing(_, of) => {
                let dtype = match of {
                    Type::I32 => candle_core::DType::I32,
                    Type::U32 => candle_core::DType::U32,
                    Type::F32 | Type::U8 => candle_core::DType::F32,
                };
                let device = candle_core::Device::Cuda(device.clone());
                return Ok(Raw::zeros(0, dtype, &device)?); // few: none
            }
        };
        Ok(Raw::from_storage(Storage::Cuda(storage), n, BackpropOp::none(), false))
    }
}

impl Launcher for CudaDevice {
    fn launch(&self, kernel: &'static Kernel, values: &[u32], arrays: &[Array<'_>]) -> Result<Vec<Raw>> {
        let mut packed = Vec::with_capacity(arrays.len());
        let mut written = Vec::with_capacity(arrays.len());
        for ((array, parameter), n) in arrays.iter().zip(kernel.arrays).zip(lengths(kernel, values)) {
            packed.push(match array {
                Array::In(Some(raw)) => Some((raw.contiguous()?, Some(raw.elem_count()))),
                Array::Strided(Some(raw)) => Some(((*raw).clone(), None)),
                _ => None,
            });
            match array {
                Array::Out => written.push(Written::new(self, parameter.kind.element(), n as usize)?),
                Array::Begun(raw) => written.push(Written::begun(self, raw)?),
                _ => {}
            }
        }
        let open: Vec<_> = packed.iter().map(|p| p.as_ref().map(|(raw, n)| (raw.storage_and_layout(), *n))).collect();
        let mut given: Vec<Given> =
            values.iter().zip(kernel.values).map(|(&bits, p)| Given::value(p.kind.element(), bits)).collect();
        let mut reads = Vec::with_capacity(arrays.len());
        let mut left = written.iter();
        for ((array, open), parameter) in arrays.iter().zip(&open).zip(kernel.arrays) {
            let of = parameter.kind.element();
            let (role, length) = match (array, open) {
                (Array::Out | Array::Begun(_), _) => (Role::Out, left.next().map_or(0, Written::len)),
                (_, Some(((storage, layout), n))) => {
                    let (read, n) = Read::of(storage, layout, *n, of)?;
                    reads.push(read);
                    (Role::In, n)
                }
                (_, None) => {
                    reads.push(Read::Nothing(0));
                    (Role::In, 0)
                }
            };
            given.push(Given { role, of, length, bits: 0 });
        }
        let blocks = blocks_of(kernel, &given).map_err(|why| Error::internal(format!("a kernel cannot run: {why}")))?;
        if blocks > 0 {
            let function = self.get_or_load_custom_func(kernel.name, "tallow", PTX)?;
            let mut launch = function.builder();
            for value in values {
                // Four bytes, whatever they stand for.
                launch.arg(value);
            }
            let (mut reads, mut writes) = (reads.iter(), written.iter_mut());
            for array in arrays {
                match array {
                    Array::Out | Array::Begun(_) => match writes.next() {
                        Some(Written::F32(slice)) => launch.arg(slice),
                        Some(Written::I32(slice)) => launch.arg(slice),
                        Some(Written::U32(slice)) => launch.arg(slice),
                        Some(Written::Nothing(address, _)) => launch.arg(&*address),
                        None => return Err(Error::internal("an array for each result")),
                    },
                    _ => match reads.next() {
                        Some(Read::F32(view)) => launch.arg(view),
                        Some(Read::I32(view)) => launch.arg(view),
                        Some(Read::U32(view)) => launch.arg(view),
                        Some(Read::U8(view)) => launch.arg(view),
                        Some(Read::Nothing(address)) => launch.arg(address),
                        None => return Err(Error::internal("an array for each operand")),
                    },
                };
            }
            let grid =
                LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (kernel.threads, 1, 1), shared_mem_bytes: 0 };
            // SAFETY: the arguments are as many as the kernel has parameters, each of its kind, type and length (`blocks_of`, and the table,
            // which a test holds against the sources); what is written is borrowed by nobody else. That kernels stay within their arrays is
            // what the launcher for the CPU checks at each access (tallow-emulator's tests).
            unsafe { launch.launch(grid) }.w()?;
        }
        drop(reads);
        drop(open);
        written.into_iter().map(|w| w.raw(self)).collect()
    }
}
