//! What is computed on the CPU wherever its operands lie, and how often that was so.
use crate::Device;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Declares [`Hosted`]: each place where values leave an accelerator is written once, with what is said of it. One that is named nowhere
/// any more is a warning of the compiler, so the list can only become shorter.
macro_rules! hosted {
    ($($name:ident = $what:literal,)*) => {
        /// What has no path on an accelerator.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Hosted {
            $($name,)*
        }

        /// What is computed on the CPU wherever its operands lie.
        pub const ON_HOST: &[&str] = &[$($what,)*];
        static TRIPS: [AtomicU64; ON_HOST.len()] = [const { AtomicU64::new(0) }; ON_HOST.len()];
    };
}

hosted! {
    Extreme = "argmax and argmin",
    MeanOfWhole = "mean of integers and bools",
    Others = "gradient of prod",
    Running = "cumsum",
    RunningWhole = "cumsum of integers",
    Wide = "variance and logsumexp of integers",
    OneHot = "one_hot",
    Pick = "take and gather of a type that the device lacks",
    AddWhole = "scatter_add of integers",
    Put = "scatter",
    Winners = "gradient of scatter",
    Fold = "prod, and sum, max and min of integers or of nothing",
    Sort = "sort, argsort and top_k",
    PoolWhole = "pool of integers",
    Slice = "slice of a type that the device lacks",
    Arithmetic = "remainder and power, and integers beside a number that their type does not hold",
    Negative = "negation of integers",
    Clip = "clip to a bound that the type does not hold",
    Cast = "cast of floats to integers, and of 64 bits to 16",
    MatmulWhole = "matmul of integers",
    Read = "values that are read",
}

/// Notes that values are about to leave where they lie: an accelerator, or the CPU where it takes the path of one.
pub(crate) fn note(what: Hosted, from: &Device) {
    if !from.is_cpu() || crate::general_path_forced() {
        TRIPS[what as usize].fetch_add(1, Relaxed);
    }
}

/// How often values went to the CPU in this process because an operation has no path on an accelerator, by what it was; nothing of what never did. On
/// the CPU none do, unless it is made to take the path of accelerators.
pub fn host_trips() -> Vec<(&'static str, u64)> {
    let counted = TRIPS.iter().map(|n| n.load(Relaxed));
    ON_HOST.iter().copied().zip(counted).filter(|&(_, n)| n > 0).collect()
}
