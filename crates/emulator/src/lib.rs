//! Runs kernels on the CPU, one block after another, and finds what is wrong with their accesses and barriers. For tests.
//!
//! [`take_over`] lets operations run them in place of a GPU.
use std::{cell::RefCell, fmt};
pub use tallow_device::argument::Argument;
use tallow_device::{
    argument::{blocks_of, Given},
    kernel::Kernel,
};

/// Why a launch gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaunchError {
    /// The arguments are not what the kernel takes.
    Arguments(String),
    /// The kernel did what none may do.
    Fault(String),
    /// There is no launcher: no C++ compiler was found when this was built, or the system is not Linux with glibc.
    Unavailable,
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(text) | Self::Fault(text) => f.write_str(text),
            Self::Unavailable => f.write_str("kernels cannot run here: they need a C++ compiler, and Linux with glibc"),
        }
    }
}
impl std::error::Error for LaunchError {}

/// What a launch tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Told {
    /// How often blocks waited at a barrier.
    pub barriers: u64,
    /// The most bytes that a block shared.
    pub shared_bytes: u64,
}

/// Runs a kernel. `order` is that of blocks, and of threads between barriers: 0 as they are, 1 backwards, any other number mixed by it.
///
/// # Errors
/// `Arguments` unless there are as many as parameters, each of its kind, type and length; `Fault` where the kernel reaches beyond an
/// array, accesses what another thread accesses without a barrier between, or not all threads reach a barrier or shuffle.
pub fn launch(kernel: &Kernel, arguments: &mut [Argument<'_>], order: u32) -> Result<Told, LaunchError> {
    let given: Vec<Given> = arguments.iter().map(Argument::given).collect();
    let blocks = blocks_of(kernel, &given).map_err(LaunchError::Arguments)?;
    run(kernel, arguments, blocks, order)
}

#[cfg(no_emulator)]
fn run(_: &Kernel, _: &mut [Argument<'_>], _: u32, _: u32) -> Result<Told, LaunchError> {
    Err(LaunchError::Unavailable)
}

#[cfg(not(no_emulator))]
fn run(kernel: &Kernel, arguments: &mut [Argument<'_>], blocks: u32, order: u32) -> Result<Told, LaunchError> {
    use std::ffi::{c_char, c_void, CStr, CString};
    use tallow_device::argument::Role;

    /// `tl::Argument` of cpu/machine.h.
    #[repr(C)]
    struct Handed {
        data: *mut c_void,
        length: u64,
        name: *const c_char,
        written: u32,
        traces: *mut c_void,
    }
    extern "C" {
        fn tallow_device_parameters(name: *const c_char) -> i64;
        fn tallow_device_launch(
            name: *const c_char,
            arguments: *mut Handed,
            count: u64,
            blocks: u32,
            threads: u32,
            order: u32,
            told: *mut Told,
            fault: *mut c_char,
            room: u64,
        );
    }

    let text = |name: &str| {
        CString::new(name).map_err(|_| LaunchError::Arguments(format!("{name:?}: a name may not have zeros")))
    };
    let name = text(kernel.name)?;
    // SAFETY: the name ends in a zero.
    let known = unsafe { tallow_device_parameters(name.as_ptr()) };
    if known != arguments.len() as i64 {
        let what = format!("{}: the source has {known} parameters, the table {}", kernel.name, arguments.len());
        return Err(LaunchError::Arguments(what));
    }
    let names = kernel.parameters().map(|p| text(p.name)).collect::<Result<Vec<_>, _>>()?;
    let mut handed: Vec<Handed> = (arguments.iter_mut().zip(&names))
        .map(|(a, name)| Handed {
            data: a.data(),
            length: a.given().length as u64,
            name: name.as_ptr(),
            written: u32::from(a.given().role == Role::Out),
            traces: std::ptr::null_mut(),
        })
        .collect();
    let mut told = Told::default();
    let mut fault: [c_char; 512] = [0; 512];
    // SAFETY: the kernel exists with as many parameters, of the types of the arguments (`launch`, and a test that holds the table
    // against the sources); each array is borrowed as the kernel uses it, with its length, which every access is checked against; what
    // is written is borrowed by nobody else.
    unsafe {
        tallow_device_launch(
            name.as_ptr(),
            handed.as_mut_ptr(),
            handed.len() as u64,
            blocks,
            kernel.threads,
            order,
            &raw mut told,
            fault.as_mut_ptr(),
            fault.len() as u64,
        );
    }
    // SAFETY: `snprintf` ends what it writes with a zero.
    let fault = unsafe { CStr::from_ptr(fault.as_ptr()) }.to_string_lossy();
    if fault.is_empty() {
        Ok(told)
    } else {
        Err(LaunchError::Fault(format!("{}: {fault}", kernel.name)))
    }
}

thread_local!(static LAUNCHED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) });

/// The kernels that operations of this thread have run since it was last asked, by their names.
pub fn launched() -> Vec<&'static str> {
    LAUNCHED.take()
}

/// From now on operations of this process that take the general path on the CPU run kernels where a GPU would, by this launcher.
pub fn take_over() {
    tallow_tensor::testing::run_kernels_by(|kernel, arguments| match launch(kernel, arguments, 0) {
        Ok(_) => {
            LAUNCHED.with_borrow_mut(|names| names.push(kernel.name));
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    });
}
