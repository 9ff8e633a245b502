//! How often values go to the CPU because an accelerator has no path. Counted in the whole process.
use tallow_tensor::{force_general_path, host_trips, Axes, DType, Tensor, ON_HOST};

/// What `f` adds to the counts.
fn trips(f: impl FnOnce()) -> Vec<(&'static str, u64)> {
    let before: Vec<_> = host_trips();
    f();
    let had = |what| before.iter().find(|(name, _)| *name == what).map_or(0, |(_, n)| *n);
    host_trips().into_iter().map(|(what, n)| (what, n - had(what))).filter(|(_, n)| *n > 0).collect()
}

#[test]
fn trips_are_counted_where_an_operation_has_no_path_and_nowhere_else() {
    let _alone = crate::alone();
    let x = Tensor::from_vec(vec![3.0f32, 1.0, 2.0, 0.5], &[2, 2]).unwrap();
    let whole = x.cast(DType::I32).unwrap();
    let run = || {
        x.matmul(&x).unwrap().sum(Axes::All, false).unwrap();
        x.argsort(1, false).unwrap();
        x.argsort(0, false).unwrap();
        whole.matmul(&whole).unwrap();
        x.cumsum(0).unwrap();
    };
    assert_eq!(trips(run), [], "kernels on the CPU");
    let counted = trips(|| force_general_path(run));
    assert_eq!(counted, [("cumsum", 1), ("sort, argsort and top_k", 2), ("matmul of integers", 1)]);
}

/// Printed, so that it can be read; what is not in it has a path on every device. It may only become shorter.
#[test]
fn the_list_of_what_has_no_path() {
    ON_HOST.iter().for_each(|what| eprintln!("computed on the CPU: {what}"));
    assert!(ON_HOST.len() <= 21, "an operation lost its path on accelerators");
}
