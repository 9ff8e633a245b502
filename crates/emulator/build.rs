//! Compiles the kernels for the CPU where that can be done; else `no_emulator` is set.
fn main() {
    println!("cargo::rustc-check-cfg=cfg(no_emulator)");
    println!("cargo::rerun-if-changed=../device/kernels");
    println!("cargo::rerun-if-changed=cpu");
    println!("cargo::rustc-check-cfg=cfg(no_nvcc)");
    println!("cargo::rerun-if-env-changed=NVCC");
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    println!("cargo::rerun-if-env-changed=CXX");
    if std::process::Command::new(tallow_device::source::nvcc()).arg("--version").output().is_err() {
        println!("cargo::rustc-cfg=no_nvcc");
    }
    if !compile() {
        println!("cargo::rustc-cfg=no_emulator");
    }
}

fn compile() -> bool {
    // The launcher switches stacks with `ucontext.h`, which other systems lack.
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") != "linux" || target("ENV") != "gnu" {
        println!("cargo::warning=the launcher for the CPU needs Linux with glibc; tests of kernels are skipped");
        return false;
    }
    let build = |file: &str| {
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").file(file).warnings(true);
        build
    };
    if let Err(error) = build("cpu/probe.cpp").cargo_metadata(false).try_compile("tallow_device_probe") {
        println!("cargo::warning=no C++ compiler: tests of kernels are skipped ({error})");
        return false;
    }
    // From here on there is a compiler, and what it refuses is a fault of ours.
    build("cpu/all.cpp")
        // Checked at every access: what the optimiser saves is worth its time. Products and sums stay apart, as on accelerators.
        .opt_level(2)
        .flag("-ffp-contract=off")
        // What only the table needs, to say how long arrays are.
        .flag("-Wno-unused-parameter")
        // Code that longjmps between stacks of its own.
        .flag("-U_FORTIFY_SOURCE")
        .compile("tallow_device_cpu");
    build("cpu/metal.cpp")
        .include("cpu/metal")
        .flag("-Wno-unused-parameter")
        .flag("-Wno-unused-function")
        .flag("-Wno-attributes")
        .flag("-Wno-unknown-pragmas")
        .cargo_metadata(false)
        .compile("tallow_device_metal");
    true
}
