//! A launch: which kernel, with which values and arrays.
use crate::{tensor::Raw, Error, Result};
use smallvec::SmallVec;
use tallow_device::{
    argument::takes,
    kernel::{Kernel, Kind, Sizes},
    table,
};

/// What runs kernels on storages of a kind of device. There is one for each kind, and one by which tests run them on the CPU.
pub(super) trait Launcher {
    /// Runs a kernel that takes these values; what it wrote, as tensors of one axis in the order of the table.
    fn launch(&self, kernel: &'static Kernel, values: &[u32], arrays: &[Array<'_>]) -> Result<Vec<Raw>>;
}

/// A value of a launch.
#[derive(Clone, Copy)]
pub(super) enum Value {
    /// A size.
    Count(usize),
    /// A number of 32 bits, as its bits.
    Bits(u32),
}
impl From<usize> for Value {
    fn from(n: usize) -> Self {
        Self::Count(n)
    }
}
impl From<u32> for Value {
    fn from(v: u32) -> Self {
        Self::Bits(v)
    }
}
impl From<bool> for Value {
    fn from(v: bool) -> Self {
        Self::Bits(u32::from(v))
    }
}
impl From<f32> for Value {
    fn from(v: f32) -> Self {
        Self::Bits(v.to_bits())
    }
}
impl From<f64> for Value {
    fn from(v: f64) -> Self {
        (v as f32).into()
    }
}

/// An array of a launch.
#[derive(Clone, Copy)]
pub(super) enum Array<'a> {
    /// All elements of a tensor, in row-major order; none without one. int32 stands for words, too.
    In(Option<&'a Raw>),
    /// The storage of a tensor from its first element on, read with strides.
    Strided(Option<&'a Raw>),
    /// What the kernel writes.
    Out,
    /// What the kernel writes, beginning with the elements of a tensor.
    Begun(&'a Raw),
}
impl<'a> From<&'a Raw> for Array<'a> {
    fn from(raw: &'a Raw) -> Self {
        Self::In(Some(raw))
    }
}
impl<'a> From<Option<&'a Raw>> for Array<'a> {
    fn from(raw: Option<&'a Raw>) -> Self {
        Self::In(raw)
    }
}

/// Kernels of our own, on one device. Whatever they make of float32 is float32; `None` is told where sizes are beyond what a kernel takes.
#[derive(Clone, Copy)]
pub(crate) struct Kernels<'a>(pub(super) &'a dyn Launcher);

/// The kernel of a name, and the bits of its values.
type Bound = (&'static Kernel, SmallVec<[u32; 16]>);

impl Kernels<'_> {
    /// The kernel of a name, and the bits of values, unless one is beyond what it takes.
    fn bound(name: &str, values: &[Value]) -> Result<Option<Bound>> {
        let kernel = table::find(name).ok_or_else(|| Error::internal(format!("there is no kernel {name}")))?;
        let mut bits = SmallVec::new();
        for value in values {
            match *value {
                Value::Bits(v) => bits.push(v),
                Value::Count(n) => match u32::try_from(n) {
                    Ok(n) => bits.push(n),
                    Err(_) => return Ok(None),
                },
            }
        }
        Ok(takes(kernel, &bits).then_some((kernel, bits)))
    }
    /// Whether a kernel takes these values.
    pub(super) fn takes(self, name: &str, values: &[Value]) -> Result<bool> {
        Ok(Self::bound(name, values)?.is_some())
    }
    pub(super) fn run(self, name: &str, values: &[Value], arrays: &[Array<'_>]) -> Result<Option<Vec<Raw>>> {
        match Self::bound(name, values)? {
            None => Ok(None),
            Some((kernel, bits)) => self.0.launch(kernel, &bits, arrays).map(Some),
        }
    }
    /// The only array that a kernel writes, of this shape.
    pub(super) fn one(
        self,
        name: &str,
        values: &[Value],
        arrays: &[Array<'_>],
        shape: &[usize],
    ) -> Result<Option<Raw>> {
        let Some([out]) = self.exactly(name, values, arrays)? else { return Ok(None) };
        Ok(Some(out.reshape(shape)?))
    }
    /// The arrays that a kernel writes.
    pub(super) fn exactly<const N: usize>(
        self,
        name: &str,
        values: &[Value],
        arrays: &[Array<'_>],
    ) -> Result<Option<[Raw; N]>> {
        let Some(out) = self.run(name, values, arrays)? else { return Ok(None) };
        let wrong = |out: Vec<Raw>| Error::internal(format!("{name} writes {} arrays, not {N}", out.len()));
        Ok(Some(out.try_into().map_err(wrong)?))
    }
}

/// How many elements the arrays of a kernel have, in the order of the table; those that are read with strides any number.
pub(super) fn lengths(kernel: &'static Kernel, values: &[u32]) -> impl Iterator<Item = u128> {
    let sizes: SmallVec<[u32; 16]> = values.into();
    kernel.arrays.iter().map(move |parameter| match parameter.kind {
        Kind::In(_, count) | Kind::Out(_, count) => count(Sizes(&sizes)),
        _ => 1,
    })
}

/// A kernel that ran forward must run backward, of the same sizes.
pub(crate) fn missing() -> Error {
    Error::internal("a kernel that ran forward does not run backward")
}
