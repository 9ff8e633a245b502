//! Compiles the kernels to PTX where the feature `cuda` asks for it.
#[allow(dead_code)]
#[path = "src/source.rs"]
mod source;

fn main() {
    println!("cargo::rerun-if-changed=kernels");
    println!("cargo::rerun-if-changed=src/source.rs");
    for name in ["NVCC", "CUDA_HOME", "CUDA_COMPUTE_CAP"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if std::env::var_os("CARGO_FEATURE_CUDA").is_some() {
        compile();
    }
}

/// Writes `kernels.ptx`, which the library has in it.
fn compile() {
    let folder = std::path::PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where to write"));
    let (from, to) = (folder.join("kernels.cu"), folder.join("kernels.ptx"));
    std::fs::write(&from, source::program()).expect("a file of ours");
    // As candle reads it.
    let capability = std::env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| "80".into());
    let nvcc = source::nvcc();
    let done = std::process::Command::new(&nvcc)
        .args(source::NVCC_FLAGS)
        .arg(format!("-arch=compute_{capability}"))
        .arg(&from)
        .arg("-o")
        .arg(&to)
        .output();
    match done {
        Ok(out) if out.status.success() => {}
        Ok(out) => panic!("nvcc refuses the kernels:\n{}", String::from_utf8_lossy(&out.stderr)),
        Err(why) => panic!(
            "`{}` cannot be run ({why}): the feature cuda needs CUDA's nvcc; set NVCC or CUDA_HOME",
            nvcc.display()
        ),
    }
}
