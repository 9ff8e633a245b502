//! Between devices: tensors moved, and operations run where they can be.
use crate::{
    accelerated::Kernels,
    general_path::Forced,
    host_trips::{note, Hosted},
    raw::Raw,
    DType, Device, Element, Result, Tensor,
};
use std::{cell::Cell, time::Instant};

/// The path that an operation takes. Whoever listens (the `log` crate, level trace) is told at its end which it was, and how long it
/// took; where nobody does, that costs the reading of one number.
pub(crate) struct Path {
    by_kernel: bool,
    accelerated: Cell<bool>,
    told: Option<Box<Told>>,
}

/// What is said of an operation when it is done.
struct Told {
    what: String,
    begun: Instant,
}

impl Path {
    /// Whether CPU kernels compute it.
    pub(crate) fn by_kernel(&self) -> bool {
        self.by_kernel
    }
    /// What kernels of the accelerator that `x` lies on make, where it has some that compute what `f` asks for; they know float32 alone, which
    /// halves are computed in.
    pub(crate) fn accelerated<R>(
        &self,
        x: &Tensor,
        f: impl FnOnce(Kernels<'_>) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let narrow = matches!(x.dtype(), DType::F32 | DType::F16 | DType::BF16);
        let Some(kernels) = Kernels::of(x.device()).filter(|_| narrow && !self.by_kernel) else { return Ok(None) };
        let found = f(kernels)?;
        self.accelerated.set(found.is_some());
        Ok(found)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        if let Some(told) = self.told.take() {
            let path = match (self.by_kernel, self.accelerated.get()) {
                (true, _) => "kernel",
                (false, true) => "device kernel",
                (false, false) => "general path",
            };
            log::trace!(target: "tallow::operation", "{} by {path}, {:?}", told.what, told.begun.elapsed());
        }
    }
}

impl Tensor {
    /// The path that the operation `op`, whose first operand this is, takes: kernels on the CPU, unless told to take the general one.
    pub(crate) fn path(&self, op: &str) -> Path {
        let told = log::log_enabled!(target: "tallow::operation", log::Level::Trace)
            .then(|| Box::new(Told { what: format!("{op} of {self:?}"), begun: Instant::now() }));
        Path { by_kernel: self.use_kernels(), accelerated: Cell::new(false), told }
    }
}

/// `raw` on `device`; itself when it is there already.
pub(crate) fn to_device_raw(raw: Raw, device: &Device) -> Result<Raw> {
    if raw.device().same_device(device) {
        return Ok(raw);
    }
    // candle moves whole storages of views; pack first.
    Ok(raw.force_contiguous()?.to_device(device)?)
}

/// Runs `f` on `inputs` moved to the CPU, with kernels, and moves its result to where the first input is:
/// for what candle has no operation for.
pub(crate) fn on_host(what: Hosted, inputs: &[&Tensor], f: impl FnOnce(&[Tensor]) -> Result<Tensor>) -> Result<Tensor> {
    if let Some(first) = inputs.first() {
        note(what, first.device());
    }
    let moved: Vec<Tensor> = inputs.iter().map(|t| moved_to(t, &Device::Cpu)).collect::<Result<_>>()?;
    let out = {
        let _restore = Forced::set(false);
        crate::no_grad(|| f(&moved))
    };
    match inputs.first() {
        Some(t) => moved_to(&out?, t.device()),
        None => out,
    }
}

/// The same values on `device`, untracked; shares storage when they are there already.
pub(crate) fn moved_to(t: &Tensor, device: &Device) -> Result<Tensor> {
    if t.device().same_device(device) {
        return Ok(t.detach());
    }
    Ok(Tensor::from_raw(to_device_raw(t.raw().clone(), device)?, t.dtype()))
}

/// A tensor of values made on the host, moved to `device`.
pub(crate) fn made<T: Element>(values: Vec<T>, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
    let raw = Raw::from_vec(values, shape, &Device::Cpu)?;
    Ok(Tensor::from_raw(to_device_raw(raw, device)?, dtype))
}
