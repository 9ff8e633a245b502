//! What a loader must know of a kernel: its name, its parameters in order, how long arrays are, and on how many blocks it runs.

/// Elements of arrays, and types of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Whole numbers from 0 to 255; Booleans are 0 and 1.
    U8,
    /// Whole numbers with a sign.
    I32,
    /// Whole numbers from 0.
    U32,
    /// Single precision.
    F32,
}

impl Type {
    /// How many bytes one takes.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I32 | Self::U32 | Self::F32 => 4,
        }
    }
    /// Its word in the sources of kernels.
    pub fn word(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::F32 => "f32",
        }
    }
}

/// The values of a launch, by place, as bits of 32.
#[derive(Debug, Clone, Copy)]
pub struct Sizes<'a>(pub &'a [u32]);

/// The count of an array that is read with strides of its own: any, as only its user knows.
pub const ANY: u128 = u128::MAX;

/// A number that follows from the values of a launch. Products of sizes need more than 64 bits to be told right.
pub type Count = fn(Sizes<'_>) -> u128;

/// What a parameter is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// One value, handed over by value.
    Value(Type),
    /// A whole number of at least 1, that something is divided by; a `u32`.
    Step,
    /// A whole number of at most so much, since arrays that threads share have room for no more; a `u32`.
    UpTo(u32),
    /// An array that is only read, of so many elements.
    In(Type, Count),
    /// An array that is written, of so many elements.
    Out(Type, Count),
}

impl Kind {
    /// The type of the value or of the elements.
    pub fn element(self) -> Type {
        match self {
            Self::Value(t) | Self::In(t, _) | Self::Out(t, _) => t,
            Self::Step | Self::UpTo(_) => Type::U32,
        }
    }
}

/// A parameter of a kernel.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name in the source.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
}

/// A kernel. Its docs stand in its source.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// Its name in the source and in what is compiled of it.
    pub name: &'static str,
    /// The file it is in.
    pub source: &'static str,
    /// Its first parameters: what is handed over by value.
    pub values: &'static [Parameter],
    /// Its other parameters.
    pub arrays: &'static [Parameter],
    /// Threads of a block, a multiple of [`WARP`].
    pub threads: u32,
    /// Bytes that the threads of a block share; declared in the source, so a launch asks for none beside them.
    pub shared_bytes: u32,
    /// How many blocks run.
    pub blocks: Count,
}

/// Threads that run in step.
pub const WARP: u32 = 32;
/// The most blocks that a launch may have.
pub const MOST_BLOCKS: u128 = i32::MAX as u128;

impl Kernel {
    /// All parameters, in the order of the source.
    pub fn parameters(&self) -> impl ExactSizeIterator<Item = &'static Parameter> + Clone {
        let (values, arrays) = (self.values, self.arrays);
        (0..values.len() + arrays.len()).map(move |i| values.get(i).unwrap_or_else(|| &arrays[i - values.len()]))
    }
}

/// Declares kernels: `name "file" (values) [arrays] over threads|warps|blocks n, of threads sharing bytes;`. Lengths and `n` are computed
/// with the values by their names, as `u128`.
macro_rules! kernels {
    (@kind value $t:ident) => { $crate::kernel::Kind::Value($crate::kernel::Type::$t) };
    (@kind step U32) => { $crate::kernel::Kind::Step };
    (@kind {$most:literal} U32) => { $crate::kernel::Kind::UpTo($most) };
    (@values ($($how:tt $value:ident: $t:ident),* $(,)?)) => {
        &[$($crate::kernel::Parameter { name: stringify!($value), kind: $crate::kernel::kernels!(@kind $how $t) }),*]
    };
    (@count ($($how:tt $value:ident: $t:ident),* $(,)?) $count:expr) => {
        |sizes| {
            let mut sizes = sizes.0.iter().map(|&v| u128::from(v));
            $(#[allow(unused_variables)] let $value = sizes.next().unwrap_or_default();)*
            $count
        }
    };
    (@blocks $values:tt threads $n:expr, $threads:literal) => { $crate::kernel::kernels!(@count $values $n.div_ceil($threads)) };
    (@blocks $values:tt warps $n:expr, $threads:literal) => { $crate::kernel::kernels!(@count $values $n.div_ceil($threads / 32)) };
    (@blocks $values:tt blocks $n:expr, $threads:literal) => { $crate::kernel::kernels!(@count $values $n) };
    ($(#[$about:meta])* pub $table:ident: $(
        $name:ident $source:literal $values:tt [$($role:ident $array:ident: $t:ident * $length:expr),* $(,)?]
        over $unit:ident $n:expr, of $threads:literal $(sharing $shared:expr)?;
    )*) => {
        $(#[$about])*
        pub const $table: &[$crate::kernel::Kernel] = &[$($crate::kernel::Kernel {
            name: stringify!($name),
            source: $source,
            values: $crate::kernel::kernels!(@values $values),
            arrays: &[$($crate::kernel::Parameter {
                name: stringify!($array),
                kind: $crate::kernel::Kind::$role(
                    $crate::kernel::Type::$t,
                    $crate::kernel::kernels!(@count $values $length),
                ),
            }),*],
            threads: $threads,
            shared_bytes: 0 $(+ $shared)?,
            blocks: $crate::kernel::kernels!(@blocks $values $unit $n, $threads),
        }),*];
    };
}
pub(crate) use kernels;
