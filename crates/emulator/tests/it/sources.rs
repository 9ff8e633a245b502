//! The table of kernels against their sources, and what the launcher finds.
use crate::common::{kernel_tests, once, result, Given};
use std::collections::BTreeMap;
use tallow_device::{
    kernel::{Kernel, Kind, Sizes, Type, WARP},
    source, table,
};
use tallow_emulator::LaunchError;

/// Kernels in the sources: their file and parameters, as they stand there.
fn in_sources() -> BTreeMap<String, (String, Vec<String>)> {
    let mut found = BTreeMap::new();
    for (file, text) in source::FILES {
        for part in text.split("\nKERNEL(").skip(1) {
            let (head, _) = part.split_once(") {").expect("a body");
            let head = head.split_whitespace().collect::<Vec<_>>().join(" ");
            let (name, parameters) = head.split_once(", ").expect("parameters");
            let parameters = parameters.split_inclusive(')').map(|p| p.trim_start_matches(", ").to_owned()).collect();
            assert!(found.insert(name.to_owned(), ((*file).to_owned(), parameters)).is_none(), "two kernels {name}");
        }
    }
    found
}

#[test]
fn the_table_says_what_the_sources_say() {
    let sources = in_sources();
    let told: BTreeMap<_, _> = table::all()
        .map(|kernel| {
            let parameters = kernel.parameters().map(|p| {
                let role = match p.kind {
                    Kind::Value(_) | Kind::Step | Kind::UpTo(_) => "VALUE",
                    Kind::In(..) => "IN",
                    Kind::Out(..) => "OUT",
                };
                format!("{role}({}, {})", p.kind.element().word(), p.name)
            });
            (kernel.name.to_owned(), (kernel.source.to_owned(), parameters.collect::<Vec<_>>()))
        })
        .collect();
    assert_eq!(told, sources);
}

#[test]
fn blocks_are_whole_warps() {
    for kernel in table::all() {
        assert!(kernel.threads % WARP == 0 && (WARP..=1024).contains(&kernel.threads), "{}", kernel.name);
        assert!(kernel.parameters().len() <= 31, "{} has more parameters than Metal has places for", kernel.name);
        // The least of what CUDA and Metal promise.
        assert!(kernel.shared_bytes <= 32 * 1024, "{} shares {} bytes", kernel.name, kernel.shared_bytes);
    }
}

#[test]
fn the_program_is_one_text() {
    let text = source::program();
    assert!(!text.contains("#include \"") && text.contains("__METAL_VERSION__"));
    for kernel in table::all() {
        assert_eq!(text.matches(&format!("\nKERNEL({},", kernel.name)).count(), 1, "{}", kernel.name);
    }
}

#[test]
#[cfg_attr(no_nvcc, ignore = "there is no CUDA compiler: `nvcc`, or what NVCC names")]
fn cuda_has_all_kernels_and_fuses_no_others() {
    let at = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (from, to) = (at.join("kernels.cu"), at.join("kernels.ptx"));
    std::fs::write(&from, source::program()).expect("a file");
    let mut nvcc = std::process::Command::new(source::nvcc());
    let out =
        nvcc.args(source::NVCC_FLAGS).arg("-arch=compute_80").arg(&from).arg("-o").arg(&to).output().expect("nvcc");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let ptx = std::fs::read_to_string(&to).expect("PTX");
    let entries: Vec<&str> = ptx.split(".visible .entry ").skip(1).collect();
    for kernel in table::all() {
        let entry = entries.iter().find(|e| e.starts_with(&format!("{}(", kernel.name)));
        let entry = entry.unwrap_or_else(|| panic!("PTX has no {}", kernel.name));
        let asked = kernel.source.contains("attention") || kernel.source == "recurrent.h";
        assert!(
            asked || !entry.contains("fma.rn.f32"),
            "{} has products and sums fused that did not ask for it",
            kernel.name
        );
    }
    assert_eq!(entries.len(), table::all().count());
}

const N: fn(Sizes<'_>) -> u128 = |_| 64;

/// A kernel of `cpu/faults.h`.
fn faulty(name: &'static str) -> Kernel {
    const ARRAYS: &[tallow_device::kernel::Parameter] =
        &[tallow_device::kernel::Parameter { name: "out", kind: Kind::Out(Type::U32, N) }];
    Kernel { name, source: "faults.h", values: &[], arrays: ARRAYS, threads: 64, shared_bytes: 256, blocks: |_| 2 }
}

#[track_caller]
fn fault(name: &'static str) -> String {
    let found = [0, 1, 7].map(|order| once(&faulty(name), &[result()], order).map(|(data, _)| data[0].u32().to_vec()));
    // Found whatever the order; what is said of the place is that of the first.
    for other in &found {
        assert!(matches!(other, Err(LaunchError::Fault(_))), "{name}: {other:?}");
    }
    found[0].as_ref().expect_err("a fault").to_string()
}

kernel_tests! {
    fn faults_are_found() {
        let cases = [
            ("fault_beyond_shared", "thread 63 of block 0 reaches shared[64], the array has 64"),
            ("fault_beyond_global", "thread 63 of block 0 reaches out[64], the array has 64"),
            ("fault_unwritten", "thread 0 of block 0 reads shared[0], which no thread has written"),
            ("fault_no_barrier", "thread 1 of block 0 reads shared[0], which thread 0 writes, without a barrier between"),
            ("fault_early_write", "thread 1 of block 0 writes shared[0], which another thread reads, without a barrier between"),
            ("fault_two_writers", "thread 1 of block 0 writes shared[0], which thread 0 writes, too, without a barrier between"),
            ("fault_two_blocks", "thread 0 of block 1 writes out[0], which block 0 writes, too"),
            ("fault_reads_another_block", "thread 0 of block 1 reads out[0], which block 0 writes"),
            ("fault_some_at_barrier", "thread 1 of block 0 does not reach the barrier at faults.h"),
            ("fault_some_leave", "thread 0 of block 0 does not reach the barrier at faults.h"),
            ("fault_some_shuffle", "lane 1 of warp 0 of block 0 does not reach the shuffle at faults.h"),
            ("fault_lane", "shuffles with lane 32"),
            ("fault_stack", "own arrays are larger than its stack"),
        ];
        for (name, sentence) in cases {
            let found = fault(name);
            assert!(found.contains(sentence), "{name}: {found}");
        }
    }
    fn what_is_right_runs() {
        let (data, told) = once(&faulty("no_fault"), &[result()], 3).expect("no fault");
        // Each thread hands its number on by one within its block, and adds what its warp holds.
        let sum: u32 = (0..32).sum();
        let expected: Vec<u32> = (0..64).map(|i| (i + 63) % 64 % 64 + if i < 32 { sum } else { sum + 32 * 32 }).collect();
        assert_eq!(data[0].u32(), expected);
        assert_eq!((told.barriers, told.shared_bytes), (2, 256));
    }
    fn wrong_arguments_are_refused() {
        let kernel = table::find("sum_rows").expect("the kernel");
        let x = vec![1f32; 6];
        let refused = |given: &[Given<'_>]| match once(kernel, given, 0) {
            Err(LaunchError::Arguments(text)) => text,
            other => panic!("not refused: {other:?}"),
        };
        let few = refused(&[1u32.into()]);
        assert_eq!(few, "sum_rows: takes 5 arguments, got 1");
        let short = refused(&[2u32.into(), 4u32.into(), 4u32.into(), (&x).into(), result()]);
        assert_eq!(short, "sum_rows: x must have 8 elements, got 6");
        let zero = refused(&[2u32.into(), 3u32.into(), 0u32.into(), (&x).into(), Given::Write(Some(crate::common::Data::F32(vec![])))]);
        assert_eq!(zero, "sum_rows: piece must be at least 1");
        let kind = refused(&[2u32.into(), 3u32.into(), 3f32.into(), (&x).into(), result()]);
        assert_eq!(kind, "sum_rows: piece must be (Value, U32), got (Value, F32)");
        let attention = table::find("attention_inner").expect("the kernel");
        let (at, none): ([u32; 16], [f32; 0]) = ([0; 16], []);
        let deep = [
            0u32.into(),
            1u32.into(),
            1u32.into(),
            129u32.into(),
            Given::Words(&at),
            none[..].into(),
            none[..].into(),
            result(),
        ];
        let Err(LaunchError::Arguments(deep)) = once(attention, &deep, 0) else { panic!("not refused") };
        assert_eq!(deep, "attention_inner: value_depth must be at most 128, got 129");
    }
}
