//! Runs kernels on the CPU, one block after another, and finds what is wrong with their accesses and barriers. For tests.
use crate::kernel::{Kernel, Kind, Sizes, Type, ANY, MOST_BLOCKS};
use std::{ffi::c_void, fmt, marker::PhantomData};

/// An element of arrays and its type in kernels.
pub trait Element: Copy + sealed::Sealed {
    /// Its type.
    const TYPE: Type;
}
mod sealed {
    pub trait Sealed {}
}
macro_rules! elements {
    ($($t:ty, $of:ident;)*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const TYPE: Type = Type::$of;
        }
        impl<'a> From<&'a [$t]> for Argument<'a> {
            fn from(values: &'a [$t]) -> Self {
                Self::array(values.as_ptr().cast_mut().cast(), values.len(), Role::In, Type::$of)
            }
        }
        impl<'a> From<&'a mut [$t]> for Argument<'a> {
            fn from(values: &'a mut [$t]) -> Self {
                Self::array(values.as_mut_ptr().cast(), values.len(), Role::Out, Type::$of)
            }
        }
    )*};
}
elements!(u8, U8; i32, I32; u32, U32; f32, F32;);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Value,
    In,
    Out,
}

/// An argument: a value, a slice that is read, or one that is written.
#[derive(Debug)]
pub struct Argument<'a> {
    role: Role,
    of: Type,
    #[cfg_attr(no_emulator, allow(dead_code))]
    data: *mut c_void,
    length: usize,
    bits: u32,
    borrowed: PhantomData<&'a mut ()>,
}

impl Argument<'_> {
    fn array(data: *mut c_void, length: usize, role: Role, of: Type) -> Self {
        Self { role, of, data, length, bits: 0, borrowed: PhantomData }
    }
    fn value(bits: u32, of: Type) -> Self {
        Self { role: Role::Value, of, data: std::ptr::null_mut(), length: 1, bits, borrowed: PhantomData }
    }
}
impl From<u32> for Argument<'_> {
    fn from(value: u32) -> Self {
        Self::value(value, Type::U32)
    }
}
impl From<f32> for Argument<'_> {
    fn from(value: f32) -> Self {
        Self::value(value.to_bits(), Type::F32)
    }
}

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
    let wrong = |what: String| Err(LaunchError::Arguments(format!("{}: {what}", kernel.name)));
    if arguments.len() != kernel.parameters().len() {
        return wrong(format!("takes {} arguments, got {}", kernel.parameters().len(), arguments.len()));
    }
    let values: Vec<u32> = arguments.iter().filter(|a| a.role == Role::Value).map(|a| a.bits).collect();
    // Each is of its kind before any length is computed of values.
    for (parameter, argument) in kernel.parameters().zip(&*arguments) {
        let role = match parameter.kind {
            Kind::Value(_) | Kind::Step | Kind::UpTo(_) => Role::Value,
            Kind::In(..) => Role::In,
            Kind::Out(..) => Role::Out,
        };
        let wanted = (role, parameter.kind.element());
        if (argument.role, argument.of) != wanted {
            return wrong(format!("{} must be {wanted:?}, got {:?}", parameter.name, (argument.role, argument.of)));
        }
        if matches!(parameter.kind, Kind::Step) && argument.bits == 0 {
            return wrong(format!("{} must be at least 1", parameter.name));
        }
        if let Kind::UpTo(most) = parameter.kind {
            if argument.bits > most {
                return wrong(format!("{} must be at most {most}, got {}", parameter.name, argument.bits));
            }
        }
    }
    let sizes = Sizes(&values);
    for (parameter, argument) in kernel.parameters().zip(&*arguments) {
        if let Kind::In(_, count) | Kind::Out(_, count) = parameter.kind {
            let wanted = count(sizes);
            if wanted != ANY && argument.length as u128 != wanted {
                return wrong(format!("{} must have {wanted} elements, got {}", parameter.name, argument.length));
            }
        }
    }
    let blocks = (kernel.blocks)(sizes);
    if blocks > MOST_BLOCKS {
        return wrong(format!("{blocks} blocks are more than a launch may have; cut the sizes"));
    }
    run(kernel, arguments, blocks as u32, order)
}

#[cfg(no_emulator)]
fn run(_: &Kernel, _: &mut [Argument<'_>], _: u32, _: u32) -> Result<Told, LaunchError> {
    Err(LaunchError::Unavailable)
}

#[cfg(not(no_emulator))]
fn run(kernel: &Kernel, arguments: &mut [Argument<'_>], blocks: u32, order: u32) -> Result<Told, LaunchError> {
    use std::ffi::{c_char, CStr, CString};

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
            data: if a.role == Role::Value { std::ptr::from_mut(&mut a.bits).cast() } else { a.data },
            length: a.length as u64,
            name: name.as_ptr(),
            written: u32::from(a.role == Role::Out),
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
