//! What kernels are handed, and whether it is what they take.
use crate::kernel::{Kernel, Kind, Sizes, Type, ANY, MOST_BLOCKS};
use std::{ffi::c_void, marker::PhantomData};

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
                let given = Given { role: Role::In, of: Type::$of, length: values.len(), bits: 0 };
                Self { given, data: values.as_ptr().cast_mut().cast(), borrowed: PhantomData }
            }
        }
        impl<'a> From<&'a mut [$t]> for Argument<'a> {
            fn from(values: &'a mut [$t]) -> Self {
                let given = Given { role: Role::Out, of: Type::$of, length: values.len(), bits: 0 };
                Self { given, data: values.as_mut_ptr().cast(), borrowed: PhantomData }
            }
        }
    )*};
}
elements!(u8, U8; i32, I32; u32, U32; f32, F32;);

/// How a kernel uses a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Handed over by value.
    Value,
    /// An array that is read.
    In,
    /// An array that is written.
    Out,
}

/// What is known of an argument, wherever it lies.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// How it is used.
    pub role: Role,
    /// Its type, or that of its elements.
    pub of: Type,
    /// Elements of an array; 1 for a value.
    pub length: usize,
    /// The bits of a value.
    pub bits: u32,
}

impl Given {
    /// A value.
    pub fn value(of: Type, bits: u32) -> Self {
        Self { role: Role::Value, of, length: 1, bits }
    }
}

/// An argument on the CPU: a value, a slice that is read, or one that is written.
#[derive(Debug)]
pub struct Argument<'a> {
    given: Given,
    data: *mut c_void,
    borrowed: PhantomData<&'a mut ()>,
}

impl Argument<'_> {
    fn value(of: Type, bits: u32) -> Self {
        Self { given: Given::value(of, bits), data: std::ptr::null_mut(), borrowed: PhantomData }
    }
    /// What is known of it.
    pub fn given(&self) -> Given {
        self.given
    }
    /// Where its value or its elements lie.
    pub fn data(&mut self) -> *mut c_void {
        match self.given.role {
            Role::Value => std::ptr::from_mut(&mut self.given.bits).cast(),
            _ => self.data,
        }
    }
}
impl From<u32> for Argument<'_> {
    fn from(value: u32) -> Self {
        Self::value(Type::U32, value)
    }
}
impl From<f32> for Argument<'_> {
    fn from(value: f32) -> Self {
        Self::value(Type::F32, value.to_bits())
    }
}

/// On how many blocks a kernel runs with these arguments.
///
/// # Errors
/// A sentence, unless there are as many as parameters, each of its kind, type and length, and no more blocks than a launch may have.
pub fn blocks_of(kernel: &Kernel, given: &[Given]) -> Result<u32, String> {
    let wrong = |what: String| Err(format!("{}: {what}", kernel.name));
    if given.len() != kernel.parameters().len() {
        return wrong(format!("takes {} arguments, got {}", kernel.parameters().len(), given.len()));
    }
    let values: Vec<u32> = given.iter().filter(|g| g.role == Role::Value).map(|g| g.bits).collect();
    // Each is of its kind before any length is computed of values.
    for (parameter, argument) in kernel.parameters().zip(given) {
        let role = match parameter.kind {
            Kind::Value(_) | Kind::Step | Kind::UpTo(_) => Role::Value,
            Kind::In(..) => Role::In,
            Kind::Out(..) => Role::Out,
        };
        let wanted = (role, parameter.kind.element());
        if (argument.role, argument.of) != wanted {
            return wrong(format!("{} must be {wanted:?}, got {:?}", parameter.name, (argument.role, argument.of)));
        }
        if let Some(what) = refusal(parameter.kind, argument.bits) {
            return wrong(format!("{} {what}", parameter.name));
        }
    }
    let sizes = Sizes(&values);
    for (parameter, argument) in kernel.parameters().zip(given) {
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
    Ok(blocks as u32)
}

/// Whether a kernel takes these values: none beyond its bounds, and no more blocks than a launch may have.
pub fn takes(kernel: &Kernel, values: &[u32]) -> bool {
    let within = kernel.values.iter().zip(values).all(|(parameter, &bits)| refusal(parameter.kind, bits).is_none());
    within && values.len() == kernel.values.len() && (kernel.blocks)(Sizes(values)) <= MOST_BLOCKS
}

/// What is wrong with a value of a parameter.
fn refusal(kind: Kind, bits: u32) -> Option<String> {
    match kind {
        Kind::Step if bits == 0 => Some("must be at least 1".to_owned()),
        Kind::UpTo(most) if bits > most => Some(format!("must be at most {most}, got {bits}")),
        _ => None,
    }
}
