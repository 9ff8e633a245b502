//! Names of devices, what is said of those that are not there, and the default one, which the whole process has.
use candle_core::{DeviceLocation, Error as Candle};
use tallow_tensor::{
    accelerator, default_device, devices, set_default_device, Device, DeviceKind, DeviceName, Error, ErrorKind, Tensor,
};

#[test]
fn a_name_is_read_as_it_is_written() {
    for (name, kind, index) in [
        ("cpu", DeviceKind::Cpu, 0),
        ("cuda:0", DeviceKind::Cuda, 0),
        ("cuda:12", DeviceKind::Cuda, 12),
        ("metal:1", DeviceKind::Metal, 1),
    ] {
        let read = DeviceName::parse(name).unwrap();
        assert_eq!(read, DeviceName { kind, index });
        assert_eq!(read.to_string(), name);
    }
    assert_eq!(DeviceName::parse("cuda").unwrap().to_string(), "cuda:0");
    assert_eq!(DeviceName::parse("cpu:0").unwrap().to_string(), "cpu");
    for name in [
        "",
        "gpu",
        "CUDA:0",
        "cuda:",
        "cuda:-1",
        "cuda:+1",
        "cuda:01",
        "cuda:0:0",
        "cuda: 0",
        "cpu:1",
        "cuda:99999999999999999999",
    ] {
        let e = DeviceName::parse(name).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidArgument, "{name}");
        assert_eq!(e.message(), format!("unknown device \"{name}\", expected \"cpu\", \"cuda:N\" or \"metal:N\""));
    }
}

#[test]
fn the_cpu_is_there_and_comes_first() {
    let all = devices();
    assert_eq!(all[0], DeviceName { kind: DeviceKind::Cpu, index: 0 });
    assert!(all[0].open().unwrap().is_cpu());
    assert_eq!(DeviceKind::Cpu.missing(), None);
    // What is listed opens, and twice the same.
    for name in all {
        assert!(name.open().unwrap().same_device(&name.open().unwrap()), "{name}");
        assert_eq!(DeviceName::of(&name.open().unwrap()), name);
    }
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn a_build_for_the_cpu_says_what_it_lacks_and_how_to_have_it() {
    assert_eq!(devices().len(), 1);
    assert!(accelerator().is_none());
    for (name, title, kind) in [("cuda:0", "CUDA", "cuda"), ("metal:3", "Metal", "metal")] {
        let e = DeviceName::parse(name).unwrap().open().unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Device);
        assert_eq!(
            e.message(),
            format!(
                "device \"{name}\" cannot be used: this build has no {title}; build the addon with `npm run build -- --features {kind}`, or \
                 compute on \"cpu\""
            )
        );
    }
}

#[test]
fn the_default_device_is_the_cpu_until_it_is_set() {
    let _alone = crate::alone();
    assert!(default_device().is_cpu());
    set_default_device(Device::Cpu);
    assert!(default_device().is_cpu());
    let x = Tensor::scalar(1.0f32);
    assert!(x.to_device(&default_device()).unwrap().is_same(&x), "a tensor that is there is not copied");
}

#[test]
fn errors_of_candle_become_ours() {
    let cuda = |told: &str| Candle::Cuda(told.to_owned().into());
    let wrapped = |e: Candle| Candle::Context { inner: Box::new(e), context: Box::new("candle did this") };
    let two = || Candle::DeviceMismatchBinaryOp {
        lhs: DeviceLocation::Cuda { gpu_id: 1 },
        rhs: DeviceLocation::Cpu,
        op: "matmul",
    };
    let mixed = "matmul: operands are on different devices, \"cuda:1\" and \"cpu\"; move one with .to(\"cuda:1\")";
    let full =
        "the cuda device has no memory left for it; free tensors with dispose() or tidy(), or take smaller batches";
    let cases = [
        (two(), ErrorKind::Device, mixed),
        (wrapped(wrapped(two())), ErrorKind::Device, mixed),
        (two().with_path("candle.rs"), ErrorKind::Device, mixed),
        (cuda("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"), ErrorKind::OutOfMemory, full),
        (cuda("CublasError(CUBLAS_STATUS_ALLOC_FAILED)"), ErrorKind::OutOfMemory, full),
        (
            cuda("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS)"),
            ErrorKind::Device,
            "the cuda device failed: DriverError(CUDA_ERROR_ILLEGAL_ADDRESS); see that its driver is in order",
        ),
        (
            cuda("candle has no kernel"),
            ErrorKind::Device,
            "the cuda device failed: it tells no reason; see that its driver is in order",
        ),
        (
            Candle::OpRequiresAtLeastOneTensor { op: "cat" },
            ErrorKind::Internal,
            "a defect of tallow: cat expects at least one tensor",
        ),
        (Candle::msg("candle is lost"), ErrorKind::Internal, "a defect of tallow: a tensor operation failed"),
    ];
    for (of, kind, message) in cases {
        let got = Error::from(of);
        assert_eq!((got.kind(), got.message()), (kind, message));
    }
    for (of, name) in [(Candle::NotCompiledWithCudaSupport, "cuda"), (Candle::NotCompiledWithMetalSupport, "metal")] {
        let got = Error::from(of);
        assert_eq!(got.kind(), ErrorKind::Device);
        assert!(got.message().starts_with(&format!("the computation needs {name}: ")), "{got}");
        assert!(!got.message().contains("candle"), "{got}");
    }
}
