//! The sources of kernels, as a compiler for an accelerator takes them: one text, without includes.

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// The files, each after those that it includes.
        pub const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../kernels/", $name)))),*];
    };
}
files![
    "words.h",
    "math.h",
    "random.h",
    "reduce.h",
    "layer_norm.h",
    "softmax.h",
    "cross_entropy.h",
    "activation.h",
    "sort.h",
    "embedding.h",
    "attention.h",
    "attention_backward.h",
    "lsh_attention.h",
    "lsh_attention_backward.h",
    "optimizer.h",
    "linear_recurrence.h",
    "recurrent.h"
];

/// The kernels of all files as one text. CUDA C for `nvcc -ptx -fmad=false` and MSL (2.3 or later, fast mathematics off) alike: what
/// the compiler defines chooses the words.
pub fn program() -> String {
    let lines = FILES.iter().flat_map(|(_, text)| text.lines());
    let own = |line: &&str| !line.starts_with("#include \"") && !line.starts_with("#pragma once");
    lines.filter(own).fold(String::new(), |text, line| text + line + "\n")
}

/// What nvcc is told beside the generation of GPUs. Products and sums are fused where kernels say so, and nowhere else.
pub const NVCC_FLAGS: [&str; 4] = ["-ptx", "-std=c++17", "-fmad=false", "-diag-suppress=177"];

/// The compiler of CUDA: what NVCC names, else that of CUDA_HOME, else the one on the path.
pub fn nvcc() -> std::path::PathBuf {
    let named = |name: &str| std::env::var_os(name).map(std::path::PathBuf::from);
    named("NVCC")
        .or_else(|| named("CUDA_HOME").map(|home| home.join("bin").join("nvcc")))
        .unwrap_or_else(|| "nvcc".into())
}
