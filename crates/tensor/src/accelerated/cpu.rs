//! Kernels on the CPU, by what a test brings: the argument lists, shapes and grids of operations are proved by it, which a GPU gets alike.
use super::launch::{lengths, Array, Launcher};
use crate::{memory, tensor::Raw, Error, Result};
use candle_core::{CpuStorage, Device, Layout, Storage};
use std::sync::OnceLock;
use tallow_device::{
    argument::Argument,
    kernel::{Kernel, Type},
};

/// Runs a kernel on slices, or says why not.
pub type Run = fn(&Kernel, &mut [Argument<'_>]) -> std::result::Result<(), String>;

static RUN: OnceLock<Run> = OnceLock::new();

/// Has operations of this process that take the general path on the CPU run kernels of accelerators, by `run`. The first call counts.
pub fn run_kernels_by(run: Run) {
    RUN.get_or_init(|| run);
}

/// What tests have brought.
pub(super) fn launcher() -> Option<&'static dyn Launcher> {
    RUN.get().map(|run| run as &dyn Launcher)
}

/// What a kernel writes.
enum Written {
    F32(Vec<f32>),
    I32(Vec<i32>),
    U32(Vec<u32>),
}

impl Written {
    /// Elements that show where nothing is written.
    fn new(of: Type, n: usize) -> Result<Self> {
        Ok(match of {
            Type::F32 => Self::F32(memory::full(n, f32::NAN)?),
            Type::I32 => Self::I32(memory::full(n, i32::MIN)?),
            Type::U32 => Self::U32(memory::full(n, u32::MAX)?),
            Type::U8 => return Err(Error::internal("no kernel writes bytes")),
        })
    }
    fn begun(raw: &Raw) -> Result<Self> {
        Ok(Self::F32(raw.flatten_all()?.to_vec1::<f32>()?))
    }
    fn argument(&mut self) -> Argument<'_> {
        match self {
            Self::F32(v) => v.as_mut_slice().into(),
            Self::I32(v) => v.as_mut_slice().into(),
            Self::U32(v) => v.as_mut_slice().into(),
        }
    }
    fn raw(self) -> Result<Raw> {
        Ok(match self {
            Self::F32(v) => whole(v)?,
            Self::I32(v) => whole(v)?,
            Self::U32(v) => whole(v)?,
        })
    }
}

fn whole<T: candle_core::WithDType>(values: Vec<T>) -> Result<Raw> {
    let n = values.len();
    Ok(Raw::from_vec(values, n, &Device::Cpu)?)
}

/// So many elements of a storage from the first one of a layout on; all there are without a number.
fn read<'a>(storage: &'a Storage, layout: &Layout, n: Option<usize>, of: Type) -> Result<Argument<'a>> {
    let Storage::Cpu(cpu) = storage else {
        return Err(Error::internal("a kernel on the CPU was given a tensor of another device"));
    };
    fn part<'b, T>(all: &'b [T], layout: &Layout, n: Option<usize>) -> Result<&'b [T]> {
        let from = layout.start_offset();
        let part = match n {
            Some(n) => all.get(from..from + n),
            None => all.get(from..),
        };
        part.ok_or_else(|| Error::internal("an array of a kernel ends behind its storage"))
    }
    Ok(match (of, matches!(cpu, CpuStorage::I32(_))) {
        (Type::U32, true) => bytemuck::cast_slice::<i32, u32>(part(cpu.as_slice::<i32>()?, layout, n)?).into(),
        (Type::U32, false) => part(cpu.as_slice::<u32>()?, layout, n)?.into(),
        (Type::I32, _) => part(cpu.as_slice::<i32>()?, layout, n)?.into(),
        (Type::F32, _) => part(cpu.as_slice::<f32>()?, layout, n)?.into(),
        (Type::U8, _) => part(cpu.as_slice::<u8>()?, layout, n)?.into(),
    })
}

impl Launcher for Run {
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
                Array::Out => written.push(Written::new(parameter.kind.element(), n as usize)?),
                Array::Begun(raw) => written.push(Written::begun(raw)?),
                _ => {}
            }
        }
        let open: Vec<_> = packed.iter().map(|p| p.as_ref().map(|(raw, n)| (raw.storage_and_layout(), *n))).collect();
        {
            let mut left = written.iter_mut();
            let mut arguments = Vec::with_capacity(values.len() + arrays.len());
            for (&bits, parameter) in values.iter().zip(kernel.values) {
                arguments.push(match parameter.kind.element() {
                    Type::F32 => f32::from_bits(bits).into(),
                    _ => bits.into(),
                });
            }
            for ((array, open), parameter) in arrays.iter().zip(&open).zip(kernel.arrays) {
                let of = parameter.kind.element();
                arguments.push(match (array, open) {
                    (Array::Out | Array::Begun(_), _) => match left.next() {
                        Some(written) => written.argument(),
                        None => return Err(Error::internal("an array for each result")),
                    },
                    (_, Some(((storage, layout), n))) => read(storage, layout, *n, of)?,
                    (_, None) => match of {
                        Type::F32 => <&[f32]>::default().into(),
                        Type::I32 => <&[i32]>::default().into(),
                        Type::U32 => <&[u32]>::default().into(),
                        Type::U8 => <&[u8]>::default().into(),
                    },
                });
            }
            self(kernel, &mut arguments).map_err(|why| Error::internal(format!("a kernel failed: {why}")))?;
        }
        written.into_iter().map(Written::raw).collect()
    }
}
