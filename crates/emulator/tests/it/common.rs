//! Runs a kernel in several orders of blocks and threads, and holds the results against each other.
use tallow_device::{
    kernel::{Kernel, Kind, Sizes, Type},
    table,
};
use tallow_emulator::{launch, Argument, LaunchError, Told};
use tallow_tensor::{backward, testing, DType, Result, Tensor};

/// Values of an array that was written.
#[derive(Debug, Clone)]
pub enum Data {
    F32(Vec<f32>),
    I32(Vec<i32>),
    U32(Vec<u32>),
}

impl Data {
    /// Values that show where nothing was written.
    fn untouched(of: Type, n: usize) -> Self {
        match of {
            Type::F32 => Self::F32(vec![f32::from_bits(0x7fc0_dead); n]),
            Type::I32 => Self::I32(vec![i32::MIN + 57005; n]),
            Type::U32 => Self::U32(vec![0xdead_beef; n]),
            Type::U8 => panic!("no kernel writes bytes"),
        }
    }
    fn written(&mut self) -> Argument<'_> {
        match self {
            Self::F32(v) => (&mut v[..]).into(),
            Self::I32(v) => (&mut v[..]).into(),
            Self::U32(v) => (&mut v[..]).into(),
        }
    }
    pub fn bits(&self) -> Vec<u32> {
        match self {
            Self::F32(v) => v.iter().map(|v| v.to_bits()).collect(),
            Self::I32(v) => v.iter().map(|&v| v as u32).collect(),
            Self::U32(v) => v.clone(),
        }
    }
    pub fn f32(&self) -> &[f32] {
        match self {
            Self::F32(v) => v,
            other => panic!("float32 wanted, got {other:?}"),
        }
    }
    pub fn i32(&self) -> &[i32] {
        match self {
            Self::I32(v) => v,
            other => panic!("int32 wanted, got {other:?}"),
        }
    }
    pub fn u32(&self) -> &[u32] {
        match self {
            Self::U32(v) => v,
            other => panic!("uint32 wanted, got {other:?}"),
        }
    }
}

/// What a kernel is given.
pub enum Given<'a> {
    U32(u32),
    F32(f32),
    Floats(&'a [f32]),
    Whole(&'a [i32]),
    Words(&'a [u32]),
    Bytes(&'a [u8]),
    /// An array that is written; it begins with these values, or with some that show where nothing was written.
    Write(Option<Data>),
}
macro_rules! given {
    ($($t:ty, $of:ident;)*) => {$(
        impl<'a> From<$t> for Given<'a> {
            fn from(v: $t) -> Self {
                Self::$of(v)
            }
        }
    )*};
}
given!(u32, U32; f32, F32; &'a [f32], Floats; &'a [i32], Whole; &'a [u32], Words; &'a [u8], Bytes;);
impl<'a> From<&'a Vec<f32>> for Given<'a> {
    fn from(v: &'a Vec<f32>) -> Self {
        Self::Floats(v)
    }
}
impl<'a> From<&'a Data> for Given<'a> {
    fn from(v: &'a Data) -> Self {
        match v {
            Data::F32(v) => Self::Floats(v),
            Data::I32(v) => Self::Whole(v),
            Data::U32(v) => Self::Words(v),
        }
    }
}
impl From<usize> for Given<'_> {
    fn from(v: usize) -> Self {
        Self::U32(u32::try_from(v).expect("a size of 32 bits"))
    }
}
/// An array for results.
pub fn result<'a>() -> Given<'a> {
    Given::Write(None)
}

/// The arrays that a kernel wrote, once.
pub fn once(kernel: &Kernel, given: &[Given<'_>], order: u32) -> std::result::Result<(Vec<Data>, Told), LaunchError> {
    let bits = |g: &Given<'_>| match g {
        Given::U32(v) => Some(*v),
        Given::F32(v) => Some(v.to_bits()),
        _ => None,
    };
    let values: Vec<u32> = given.iter().filter_map(bits).collect();
    let mut written: Vec<Data> = (given.iter().zip(kernel.parameters()))
        .filter_map(|(given, parameter)| match (given, parameter.kind) {
            (Given::Write(Some(data)), _) => Some(data.clone()),
            (Given::Write(None), Kind::Out(of, count)) => Some(Data::untouched(of, count(Sizes(&values)) as usize)),
            _ => None,
        })
        .collect();
    let mut outputs = written.iter_mut();
    let mut arguments: Vec<Argument<'_>> = given
        .iter()
        .map(|given| match given {
            Given::U32(v) => (*v).into(),
            Given::F32(v) => (*v).into(),
            Given::Floats(v) => (*v).into(),
            Given::Whole(v) => (*v).into(),
            Given::Words(v) => (*v).into(),
            Given::Bytes(v) => (*v).into(),
            Given::Write(_) => outputs.next().expect("an array for each result").written(),
        })
        .collect();
    let told = launch(kernel, &mut arguments, order)?;
    drop(arguments);
    Ok((written, told))
}

/// The arrays that a kernel writes: the same bits whatever the order of blocks and threads.
#[track_caller]
pub fn run(name: &str, given: &[Given<'_>]) -> Vec<Data> {
    let kernel = table::find(name).unwrap_or_else(|| panic!("there is no kernel {name}"));
    let one = |order| once(kernel, given, order).unwrap_or_else(|fault| panic!("order {order}: {fault}"));
    let (first, told) = one(0);
    assert!(told.shared_bytes == 0 || told.shared_bytes == u64::from(kernel.shared_bytes), "{name} shares {told:?}");
    for order in [1, 7] {
        for (a, b) in first.iter().zip(one(order).0) {
            assert_eq!(a.bits(), b.bits(), "{name} depends on the order of its threads ({order})");
        }
    }
    first
}

/// Reproducible normal values.
pub fn normal(n: usize, seed: u64) -> Vec<f32> {
    testing::random(&[n], seed).to_f64_vec().expect("values").into_iter().map(|v| v as f32).collect()
}

pub fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape).expect("a tensor")
}

/// The output of `f`, and the gradients of Σ g · f(inputs).
pub fn gradients(inputs: &[Tensor], g: &[f32], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Vec<Tensor> {
    let variables: Vec<Tensor> = inputs.iter().map(Tensor::variable).collect();
    let y = f(&variables).expect("an output");
    let seed = tensor(g, y.shape()).cast(y.dtype()).expect("a cotangent");
    let mut out = vec![y.detach()];
    out.extend(backward(&[(y, seed)], &variables, false).expect("gradients"));
    out
}

/// Asserts equal bits; any NaN equals any NaN.
#[track_caller]
pub fn same_bits(actual: &[f32], expected: &Tensor) {
    let shape = expected.shape();
    testing::assert_same_bits(&Tensor::from_vec(actual.to_vec(), shape).expect("as many values"), expected);
}

/// Asserts closeness as for float32; says `what` where it fails.
#[track_caller]
pub fn close(what: &str, actual: &[f32], expected: &Tensor) {
    let actual = Tensor::from_vec(actual.to_vec(), expected.shape()).expect("as many values");
    if let Err(message) = testing::within(&actual, expected, testing::tolerance(DType::F32)) {
        panic!("{what}: {message}");
    }
}

/// A test of kernels: skipped, and counted so, where they cannot run.
macro_rules! kernel_tests {
    ($($(#[$about:meta])* fn $name:ident() $body:block)*) => {$(
        $(#[$about])*
        #[test]
        #[cfg_attr(no_emulator, ignore = "kernels cannot run here: they need a C++ compiler, and Linux with glibc")]
        fn $name() $body
    )*};
}
pub(crate) use kernel_tests;
