//! Functions on what lies on several devices.
use super::{
    for_n_devices, forward::JitForwardOptions, jit_forward, mean_or_pmean, on_accelerator, on_cpu, reshape_by_device,
};
use crate::{entry, options, options::Entry, Axis, Count, Dim, HostValue, Result, TensorArg, TensorNest};
use tallow_tensor::Tensor;

/// The functions of this module.
pub static FUNCTIONS: &[Entry<HostValue>] = &[
    entry!("acceleration", MeanOrPmeanOptions, |o: MeanOrPmeanOptions| {
        Ok::<_, crate::Error>(HostValue::Tensor(mean_or_pmean(&o.x.0, o.axis.map(|a| a.0))?))
    }),
    entry!("acceleration", JitForwardOptions, |o: JitForwardOptions| jit_forward(&o)),
    entry!("acceleration", ReshapeByDeviceOptions, |o: ReshapeByDeviceOptions| {
        each(&o.x, |x| reshape_by_device(x, o.n_devices.0))
    }),
    entry!("acceleration", ForNDevicesOptions, |o: ForNDevicesOptions| each(&o.x, |x| for_n_devices(x, o.n_devices.0))),
    entry!("acceleration", OnCpuOptions, |o: OnCpuOptions| each(&o.x, on_cpu)),
    entry!("acceleration", OnAcceleratorOptions, |o: OnAcceleratorOptions| each(&o.x, on_accelerator)),
];

fn each(x: &TensorNest, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<HostValue> {
    Ok(HostValue::tree(&x.0.try_map(&mut |t: &Tensor| f(t))?))
}

options! {
    /// Computes the mean of a value that lies on several devices.
    ///
    /// Shapes: `[nDevices, ...]` → `[]`, or without `axis` alone if it is given. Integers become float32.
    /// Errors:
    /// - `InvalidArgument`: `x` does not have `axis`.
    ///
    /// Source: Trax.
    /// See: `Accelerate`.
    /// Example:
    /// ```ts
    /// tl.meanOrPmean(2, tl.tensor([[1, 2], [3, 6]]), { axis: 0 }); // → Tensor float32[2] [2,4]
    /// ```
    pub struct MeanOrPmeanOptions for "meanOrPmean" ("nDevices", "x") {
        /// Number of devices.
        n_devices "nDevices": Count,
        /// Value that lies on several devices.
        x "x": TensorArg,
        /// Axis to average, usually 0, the devices; without it, all of them.
        axis "axis": Option<Axis> = None,
    }
}

options! {
    /// Cuts the first axis of tensors in two, of which the first counts devices.
    ///
    /// Shapes: `[batch, ...]` → `[nDevices, batch / nDevices, ...]`, for each tensor in nested arrays.
    /// Errors:
    /// - `ShapeMismatch`: `nDevices` does not divide the batch, or a tensor has no axes.
    ///
    /// Source: Trax.
    /// See: `Accelerate`.
    /// Example:
    /// ```ts
    /// tl.reshapeByDevice(tl.tensor([1, 2, 3, 4]), 2); // → Tensor int32[2,2] [[1,2],[3,4]]
    /// ```
    pub struct ReshapeByDeviceOptions for "reshapeByDevice" ("x", "nDevices") {
        /// A tensor or nested arrays of tensors.
        x "x": TensorNest,
        /// Number of devices.
        n_devices "nDevices": Dim,
        /// Has no effect. In Trax it says whether NumPy does the work.
        pure_np "pureNp": bool = false,
    }
}

options! {
    /// Repeats tensors once for each device, along a new first axis.
    ///
    /// Values are not copied. For one device the tensors stay as they are.
    ///
    /// Shapes: `[...]` → `[nDevices, ...]`, for each tensor in nested arrays.
    /// Errors: none.
    /// Source: Trax.
    /// See: `reshapeByDevice`.
    /// Example:
    /// ```ts
    /// tl.forNDevices(tl.tensor([1, 2]), 2); // → Tensor int32[2,2] [[1,2],[1,2]]
    /// ```
    pub struct ForNDevicesOptions for "forNDevices" ("x", "nDevices") {
        /// A tensor or nested arrays of tensors.
        x "x": TensorNest,
        /// Number of devices.
        n_devices "nDevices": Count,
    }
}

options! {
    /// Moves tensors to the memory of the CPU.
    ///
    /// Shapes: `[...]` → `[...]`, the same, for each tensor in nested arrays.
    /// Errors: none.
    /// Source: Trax.
    /// See: `onAccelerator`.
    /// Example:
    /// ```ts
    /// tl.onCpu(tl.tensor([1, 2])); // → Tensor int32[2] [1,2]
    /// ```
    pub struct OnCpuOptions for "onCpu" ("x") {
        /// A tensor or nested arrays of tensors.
        x "x": TensorNest,
    }
}

options! {
    /// Moves tensors to the memory of the accelerator, if there is exactly one.
    ///
    /// Shapes: `[...]` → `[...]`, the same, for each tensor in nested arrays.
    /// Errors:
    /// - `Device`: the accelerator cannot be used.
    ///
    /// Source: Trax.
    /// See: `onCpu`.
    /// Example:
    /// ```ts
    /// tl.onAccelerator(tl.tensor([1, 2])); // → Tensor int32[2] [1,2]
    /// ```
    pub struct OnAcceleratorOptions for "onAccelerator" ("x") {
        /// A tensor or nested arrays of tensors.
        x "x": TensorNest,
    }
}
