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
    /// The mean of a value that lies on several devices.
    ///
    /// Shapes: the devices are the first axis of `x`; all axes are averaged, or only `axis`. Integers become float32.
    /// Errors: `InvalidArgument` for an axis that `x` has not.
    pub struct MeanOrPmeanOptions for "meanOrPmean" ("nDevices", "x") {
        /// Number of devices.
        n_devices "nDevices": Count,
        /// The value.
        x "x": TensorArg,
        /// Axis to average, usually 0, the devices; without it, all of them.
        axis "axis": Option<Axis> = None,
    }
}

options! {
    /// Tensors with their first axis cut in two, of which the first counts devices.
    ///
    /// Shapes: `[batch, ...]` to `[nDevices, batch / nDevices, ...]`, for each tensor in nested arrays.
    /// Errors: `ShapeMismatch` for a batch that `nDevices` does not divide.
    pub struct ReshapeByDeviceOptions for "reshapeByDevice" ("x", "nDevices") {
        /// A tensor or nested arrays of tensors.
        x "x": TensorNest,
        /// Number of devices.
        n_devices "nDevices": Dim,
        /// Without effect: in Trax, whether NumPy does it.
        pure_np "pureNp": bool = false,
    }
}

options! {
    /// Tensors once for each device, along a new first axis; the tensors themselves for one device. Values are not copied.
    ///
    /// Shapes: `[...]` to `[nDevices, ...]`, for each tensor in nested arrays.
    pub struct ForNDevicesOptions for "forNDevices" ("x", "nDevices") {
        /// A tensor or nested arrays of tensors.
        x "x": TensorNest,
        /// Number of devices.
        n_devices "nDevices": Count,
    }
}

options! {
    /// Tensors in the memory of the CPU.
    pub struct OnCpuOptions for "onCpu" ("x") {
        /// A tensor or nested arrays of tensors.
        x "x": TensorNest,
    }
}

options! {
    /// Tensors in the memory of the accelerator; the tensors themselves when there is none, or more than one.
    pub struct OnAcceleratorOptions for "onAccelerator" ("x") {
        /// A tensor or nested arrays of tensors.
        x "x": TensorNest,
    }
}
