//! Compiles the kernels for the CPU where that is asked for and can be done; else `no_emulator` is set.
fn main() {
    println!("cargo::rustc-check-cfg=cfg(no_emulator)");
    println!("cargo::rerun-if-changed=kernels");
    println!("cargo::rerun-if-changed=cpu");
    if !compile() {
        println!("cargo::rustc-cfg=no_emulator");
    }
}

#[cfg(feature = "emulator")]
fn compile() -> bool {
    // The launcher switches stacks with `ucontext.h`, which other systems lack.
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") != "linux" || target("ENV") != "gnu" {
        println!("cargo::warning=the launcher for the CPU needs Linux with glibc; tests of kernels are skipped");
        return false;
    }
    let compiled = cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file("cpu/all.cpp")
        // Checked at every access: what the optimiser saves is worth its time. Products and sums stay apart, as on accelerators.
        .opt_level(2)
        .flag("-ffp-contract=off")
        // Code that longjmps between stacks of its own.
        .flag("-U_FORTIFY_SOURCE")
        .warnings(true)
        // What only the table needs, to say how long arrays are.
        .flag("-Wno-unused-parameter")
        .try_compile("tallow_device_cpu");
    if let Err(error) = &compiled {
        println!("cargo::warning=no C++ compiler: tests of kernels are skipped ({error})");
    }
    compiled.is_ok()
}

#[cfg(not(feature = "emulator"))]
fn compile() -> bool {
    false
}
