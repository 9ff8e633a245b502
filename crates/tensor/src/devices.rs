//! Devices by name: which there are, which one a name means, and which one new tensors lie on.
use crate::{Device, Error, ErrorKind, Result};
use candle_core::DeviceLocation;
use std::{
    fmt, panic,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock},
};

/// What computes: the processor, or an accelerator by the interface that it is reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// The processor of the machine.
    Cpu,
    /// A GPU of NVIDIA.
    Cuda,
    /// A GPU of Apple.
    Metal,
}

impl DeviceKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Cuda, Self::Metal];

    /// How names of such devices begin.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Metal => "metal",
        }
    }
    /// How people call it.
    fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Cuda => "CUDA",
            Self::Metal => "Metal",
        }
    }
    /// Why none of this kind can be used, and what to do; `None` where one can.
    pub fn missing(self) -> Option<String> {
        let title = self.title();
        match self.found() {
            Ok(0) => Some(format!("this machine has no GPU for {title}, or its driver does not see one; install the driver, or compute on \"cpu\"")),
            Ok(_) => None,
            Err(Absent::NotBuilt) => Some(format!(
                "this build has no {title}; build the addon with `npm run build -- --features {}`, or compute on \"cpu\"",
                self.name()
            )),
            Err(Absent::Failed(why)) => Some(format!("{title} cannot start: {why}; mend its driver, or compute on \"cpu\"")),
        }
    }
    /// How many there are. They are counted once in a process.
    fn found(self) -> &'static std::result::Result<usize, Absent> {
        static FOUND: [OnceLock<std::result::Result<usize, Absent>>; 3] = [const { OnceLock::new() }; 3];
        FOUND[self as usize].get_or_init(|| match self {
            Self::Cpu => Ok(1),
            Self::Cuda => count_cuda(),
            Self::Metal => count_metal(),
        })
    }
}

/// Why there are no devices of a kind.
enum Absent {
    NotBuilt,
    Failed(String),
}

#[cfg(feature = "cuda")]
fn count_cuda() -> std::result::Result<usize, Absent> {
    use candle_core::cuda_backend::cudarc::driver::{result::DriverError, sys::CUresult, CudaContext};
    match CudaContext::device_count() {
        Ok(n) => Ok(usize::try_from(n).unwrap_or(0)),
        Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => Ok(0),
        Err(DriverError(code)) => Err(Absent::Failed(format!("{code:?}"))),
    }
}
#[cfg(not(feature = "cuda"))]
fn count_cuda() -> std::result::Result<usize, Absent> {
    Err(Absent::NotBuilt)
}

fn count_metal() -> std::result::Result<usize, Absent> {
    if !cfg!(feature = "metal") {
        return Err(Absent::NotBuilt);
    }
    // candle cannot count them; a Mac has one.
    opened(DeviceKind::Metal, 0).map(|_| 1).map_err(Absent::Failed)
}

/// A device of this build and machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceName {
    /// Its kind.
    pub kind: DeviceKind,
    /// Which of its kind.
    pub index: usize,
}

impl DeviceName {
    /// What a device is called.
    pub fn of(device: &Device) -> Self {
        Self::at(&device.location())
    }
    pub(crate) fn at(location: &DeviceLocation) -> Self {
        let (kind, index) = match *location {
            DeviceLocation::Cpu => (DeviceKind::Cpu, 0),
            DeviceLocation::Cuda { gpu_id } => (DeviceKind::Cuda, gpu_id),
            DeviceLocation::Metal { gpu_id } => (DeviceKind::Metal, gpu_id),
        };
        Self { kind, index }
    }
    /// Reads `cpu`, `cuda:0`, `metal:0`; without a number it is the first.
    ///
    /// # Errors
    /// `InvalidArgument` for other names.
    pub fn parse(name: &str) -> Result<Self> {
        let read = || {
            let (kind, index) = name.split_once(':').unwrap_or((name, "0"));
            let kind = DeviceKind::ALL.into_iter().find(|k| k.name() == kind)?;
            // `+1` and `01` are no names.
            let index: usize = index.parse().ok().filter(|n: &usize| n.to_string() == index)?;
            (kind != DeviceKind::Cpu || index == 0).then_some(Self { kind, index })
        };
        read().ok_or_else(|| {
            Error::argument(format!("unknown device \"{name}\", expected \"cpu\", \"cuda:N\" or \"metal:N\""))
        })
    }
    /// The device.
    ///
    /// # Errors
    /// `Device` where this build or this machine has no such device.
    pub fn open(self) -> Result<Device> {
        let refused = |why: String| Error::new(ErrorKind::Device, format!("device \"{self}\" cannot be used: {why}"));
        if let Some(why) = self.kind.missing() {
            return Err(refused(why));
        }
        let n = self.kind.found().as_ref().copied().unwrap_or(0);
        if self.index >= n {
            let last = Self { index: n.saturating_sub(1), ..self };
            return Err(refused(format!("the last one of this machine is \"{last}\"")));
        }
        opened(self.kind, self.index).map_err(refused)
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            DeviceKind::Cpu => f.write_str("cpu"),
            kind => write!(f, "{}:{}", kind.name(), self.index),
        }
    }
}

/// The devices that this build can use on this machine, the CPU first. It never fails: what cannot be used is not there.
pub fn devices() -> Vec<DeviceName> {
    let of = |kind: DeviceKind| {
        let n = kind.found().as_ref().copied().unwrap_or(0);
        (0..n).map(move |index| DeviceName { kind, index })
    };
    DeviceKind::ALL.into_iter().flat_map(of).collect()
}

/// The accelerator of this machine, if this build can use one and there is exactly one.
pub fn accelerator() -> Option<Device> {
    let mut found = devices().into_iter().filter(|name| name.kind != DeviceKind::Cpu);
    let only = found.next().filter(|_| found.next().is_none())?;
    only.open().ok()
}

/// The one device of a process with this name: to candle, two that are opened alike are two devices.
fn opened(kind: DeviceKind, index: usize) -> std::result::Result<Device, String> {
    static OPEN: Mutex<Vec<(DeviceName, Device)>> = Mutex::new(Vec::new());
    let wanted = DeviceName { kind, index };
    let mut open: MutexGuard<'_, Vec<_>> = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, device)) = open.iter().find(|(name, _)| *name == wanted) {
        return Ok(device.clone());
    }
    // candle panics where there is no such GPU for Metal.
    let made = panic::catch_unwind(|| match kind {
        DeviceKind::Cpu => Ok(Device::Cpu),
        DeviceKind::Cuda => Device::new_cuda(index),
        DeviceKind::Metal => Device::new_metal(index),
    });
    match made {
        Ok(Ok(device)) => {
            open.push((wanted, device.clone()));
            Ok(device)
        }
        Ok(Err(e)) => Err(Error::from(e).message().to_owned()),
        Err(_) => Err("there is no such GPU".to_owned()),
    }
}

/// Where new tensors lie, and weights that are made.
static DEFAULT: RwLock<Device> = RwLock::new(Device::Cpu);

/// The device on which tensors lie that are made without one, and weights and state that layers make: the CPU, unless
/// [`set_default_device`] said another.
pub fn default_device() -> Device {
    DEFAULT.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Sets the default device, in the whole process. What there is stays where it is.
pub fn set_default_device(device: Device) {
    *DEFAULT.write().unwrap_or_else(PoisonError::into_inner) = device;
}
