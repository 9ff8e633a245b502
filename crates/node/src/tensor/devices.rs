//! Devices: which there are, the default one, and tensors that are moved.
use crate::bridge::{args::Arg, environment::run, error::Outcome};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use tallow_tensor::{default_device, devices, set_default_device, Device, DeviceKind, DeviceName};

/// A device that can be used here.
#[napi(object)]
pub struct DeviceInfo {
    /// What it is called.
    pub name: String,
    /// What computes there.
    #[napi(ts_type = "'cpu' | 'cuda' | 'metal'")]
    pub kind: String,
}

/// The device of a name, the default one without a name.
pub(super) fn device_or_default(name: Option<String>) -> Outcome<Device> {
    name.map_or_else(|| Ok(default_device()), |name| named(&name))
}

/// The device of a name: `cpu`, `cuda:0`, `metal:0`.
pub(crate) fn named(name: &str) -> Outcome<Device> {
    Ok(DeviceName::parse(name)?.open()?)
}

/// The devices that can be used here.
#[napi(js_name = "devices")]
pub fn usable_devices(env: Env) -> Result<Vec<DeviceInfo>> {
    run(&env, |_| {
        let told = |d: DeviceName| DeviceInfo { name: d.to_string(), kind: d.kind.name().to_owned() };
        Ok(devices().into_iter().map(told).collect())
    })
}

/// Why devices of other kinds cannot be used here, a sentence for each kind.
#[napi]
pub fn missing_devices(env: Env) -> Result<Vec<String>> {
    run(&env, |_| Ok(DeviceKind::ALL.into_iter().filter_map(DeviceKind::missing).collect()))
}

/// The name of the default device.
#[napi(js_name = "defaultDevice")]
pub fn default_device_name(env: Env) -> Result<String> {
    run(&env, |_| Ok(DeviceName::of(&default_device()).to_string()))
}

/// Sets the default device.
#[napi(js_name = "setDefaultDevice")]
pub fn set_default_device_by_name(env: Env, device: Arg<String>) -> Result<()> {
    run(&env, |_| {
        set_default_device(named(&device.named("setDefaultDevice: device")?)?);
        Ok(())
    })
}

/// The name of the device that holds the values of a tensor.
#[napi]
pub fn device(env: Env, id: f64) -> Result<String> {
    run(&env, |e| Ok(DeviceName::of(e.tensor(id)?.device()).to_string()))
}

/// `Tensor::to_device`.
#[napi]
pub fn to_device(env: Env, x: f64, device: Arg<String>) -> Result<f64> {
    run(&env, |e| Ok(e.insert(&env, e.tensor(x)?.to_device(&named(&device.named("to: device")?)?)?)))
}

/// How often values went to the CPU because an operation has no path on an accelerator.
#[napi(object)]
pub struct HostTrip {
    /// What was computed there.
    pub what: String,
    /// How often.
    pub times: f64,
}

/// The host trips of the process so far.
#[napi]
pub fn host_trips(env: Env) -> Result<Vec<HostTrip>> {
    host_trips_since(env, Vec::new())
}

/// The host trips since `before` was told.
#[napi]
pub fn host_trips_since(env: Env, before: Vec<HostTrip>) -> Result<Vec<HostTrip>> {
    run(&env, |_| {
        let had = |what: &str| before.iter().find(|trip| trip.what == what).map_or(0.0, |trip| trip.times);
        let since = |(what, n): (&str, u64)| HostTrip { what: what.to_owned(), times: n as f64 - had(what) };
        Ok(tallow_tensor::host_trips().into_iter().map(since).filter(|trip| trip.times > 0.0).collect())
    })
}
