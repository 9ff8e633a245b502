use crate::common::{kernel_tests, normal, result, run, same_bits, tensor};
use tallow_tensor::Tensor;

/// Elements of a piece of a long row.
const PIECE: usize = 16 * 1024;

/// The sum of the rows of [outer, size] as tensors compute it: rows of two pieces and more are cut, the pieces' sums added up alike.
fn sum_rows(x: &[f32], outer: usize, size: usize) -> Vec<f32> {
    let piece = if size >= 2 * PIECE { PIECE } else { size.max(1) };
    let sums = run("sum_rows", &[outer.into(), size.into(), piece.into(), x.into(), result()])[0].f32().to_vec();
    if size > piece {
        sum_rows(&sums, outer, size.div_ceil(piece))
    } else {
        sums
    }
}

/// The sum over the middle axis as tensors compute it.
fn sum_columns(x: &[f32], [outer, size, inner]: [usize; 3]) -> Vec<f32> {
    let tall = (2 * PIECE / inner.clamp(1, 2048)).clamp(8, 512);
    let given = [outer.into(), size.into(), inner.into(), tall.into(), x.into(), result()];
    let sums = run("sum_columns", &given)[0].f32().to_vec();
    if size > tall {
        sum_columns(&sums, [outer, size.div_ceil(tall), inner])
    } else {
        sums
    }
}

kernel_tests! {
    fn sums_of_rows_have_the_bits_of_tensors() {
        for (outer, size) in
            [(1, 1), (3, 7), (9, 31), (8, 32), (5, 33), (2, 2048), (3, 2049), (2, 4096), (2, 9000), (1, 40_000), (2, 3 * PIECE + 5)]
        {
            let x = normal(outer * size, size as u64);
            same_bits(&sum_rows(&x, outer, size), &tensor(&x, &[outer, size]).sum(-1, false).expect("a sum"));
        }
        assert!(sum_rows(&[], 0, 5).is_empty());
    }
    fn sums_of_columns_have_the_bits_of_tensors() {
        for shape in [[1, 1, 2], [1, 9, 3], [2, 100, 5], [3, 513, 2], [1, 1500, 40], [2, 8, 33]] {
            let x = normal(shape.iter().product(), 3);
            same_bits(&sum_columns(&x, shape), &tensor(&x, &shape).sum(1, false).expect("a sum"));
        }
        assert!(sum_columns(&[], [2, 0, 0]).is_empty());
    }
    fn the_largest_is_the_first_of_equals_and_nan_before_all() {
        for (rows, cols) in [(1, 1), (4, 5), (9, 32), (3, 33), (2, 1000)] {
            let mut x = normal(rows * cols, 17);
            x.iter_mut().for_each(|v| *v = (*v * 4.0).round());
            if cols > 4 {
                (x[2], x[4]) = (f32::NAN, f32::NAN);
                x[cols..2 * cols].fill(f32::NEG_INFINITY);
            }
            let t = tensor(&x, &[rows, cols]);
            let out = run("max_rows", &[rows.into(), cols.into(), (&x).into(), result(), result()]);
            let index = t.argmax(Some(-1), false).expect("indices").to_vec::<i32>().expect("indices");
            assert_eq!(out[1].i32(), index, "{rows} rows of {cols}");
            let largest: Tensor = t.max(-1, false).expect("the largest");
            same_bits(&out[0].f32().iter().map(|v| v + 0.0).collect::<Vec<_>>(), &largest.add(&Tensor::scalar(0f32)).expect("+0"));
        }
        let none = run("max_rows", &[0usize.into(), 4usize.into(), (&vec![]).into(), result(), result()]);
        assert!(none[0].f32().is_empty());
    }
}
