//! Convolution against its formula, on both paths.
use crate::common::{assert_paths_agree, assert_same_on_any_threads, output_and_gradients, FLOATS};
use tallow_tensor::{
    force_general_path,
    ops::{conv, Padding, Windows},
    testing::{assert_close, check_gradients, random},
    DType, ErrorKind, Tensor,
};

/// Windows of one case: spatial sizes, window, and how it moves.
struct Case {
    input: &'static [usize],
    size: &'static [usize],
    windows: Windows,
}

fn case(input: &'static [usize], size: &'static [usize], strides: &[usize], padding: Padding) -> Case {
    Case { input, size, windows: Windows { strides: strides.to_vec(), padding, ..Windows::default() } }
}

fn dilated(mut case: Case, input: &[usize], window: &[usize]) -> Case {
    (case.windows.input_dilation, case.windows.dilation) = (input.to_vec(), window.to_vec());
    case
}

fn cases() -> Vec<Case> {
    use Padding::{Explicit, Same, Valid};
    vec![
        case(&[], &[], &[], Valid),
        case(&[7], &[3], &[], Valid),
        case(&[7], &[4], &[3], Same),
        case(&[1], &[3], &[2], Same),
        case(&[5, 6], &[3, 3], &[], Same),
        case(&[6, 5], &[2, 3], &[2, 1], Same),
        case(&[5, 4], &[1, 1], &[], Valid),
        case(&[5, 4], &[1, 1], &[2, 3], Valid),
        case(&[4, 4], &[2, 2], &[], Explicit(vec![(1, 0), (0, 2)])),
        case(&[6, 5], &[2, 2], &[], Explicit(vec![(-1, 1), (3, -2)])),
        case(&[3, 4, 3], &[2, 3, 2], &[1, 2, 1], Same),
        dilated(case(&[7, 6], &[3, 2], &[], Valid), &[], &[2, 3]),
        dilated(case(&[3, 4], &[3, 2], &[], Explicit(vec![(2, 2), (1, 1)])), &[2, 3], &[]),
        dilated(case(&[5, 4], &[3, 3], &[3, 2], Explicit(vec![(2, 3), (4, 1)])), &[2, 4], &[2, 1]),
        dilated(case(&[40], &[5], &[6], Explicit(vec![(9, 9)])), &[4], &[3]),
    ]
}

/// The sum over places and channels, in float64.
fn naive(x: &Tensor, w: &Tensor, c: &Case) -> Tensor {
    let rank = c.size.len();
    let or_ones = |v: &[usize]| if v.is_empty() { vec![1; rank] } else { v.to_vec() };
    let (s, ld, d) = (or_ones(&c.windows.strides), or_ones(&c.windows.input_dilation), or_ones(&c.windows.dilation));
    let output = c.windows.output("test", c.input, c.size).unwrap();
    let before: Vec<isize> = (0..rank)
        .map(|i| match &c.windows.padding {
            Padding::Valid => 0,
            Padding::Explicit(p) => p[i].0,
            Padding::Same => (((output[i] - 1) * s[i] + c.size[i]) as isize - c.input[i] as isize).max(0) / 2,
        })
        .collect();
    let (batch, inputs, outputs) = (x.shape()[0], x.shape()[rank + 1], w.shape()[rank + 1]);
    let (xs, ws) = (x.to_f64_vec().unwrap(), w.to_f64_vec().unwrap());
    let unravel = |mut i: usize, sizes: &[usize]| {
        let mut at = vec![0; sizes.len()];
        for (a, n) in at.iter_mut().zip(sizes).rev() {
            (*a, i) = (i % n, i / n);
        }
        at
    };
    let mut y = Vec::new();
    for n in 0..batch {
        for o in 0..output.iter().product() {
            let o = unravel(o, &output);
            for j in 0..outputs {
                let mut sum = 0.0;
                for t in 0..c.size.iter().product() {
                    let place = unravel(t, c.size);
                    let mut row = Some(n);
                    for i in 0..rank {
                        let at = (o[i] * s[i] + place[i] * d[i]) as isize - before[i];
                        let position = usize::try_from(at).ok().filter(|p| p.is_multiple_of(ld[i])).map(|p| p / ld[i]);
                        row = row.zip(position.filter(|&p| p < c.input[i])).map(|(r, p)| r * c.input[i] + p);
                    }
                    let Some(row) = row else { continue };
                    sum += (0..inputs).map(|i| xs[row * inputs + i] * ws[(t * inputs + i) * outputs + j]).sum::<f64>();
                }
                y.push(sum);
            }
        }
    }
    let shape: Vec<usize> = std::iter::once(batch).chain(output).chain([outputs]).collect();
    Tensor::from_vec(y, &shape).unwrap()
}

fn operands(c: &Case, batch: usize, inputs: usize, outputs: usize) -> [Tensor; 3] {
    let x: Vec<usize> = std::iter::once(batch).chain(c.input.iter().copied()).chain([inputs]).collect();
    let w: Vec<usize> = c.size.iter().copied().chain([inputs, outputs]).collect();
    // Small values keep what rounding leaves of a sum that cancels within the tolerance.
    let small = |shape: &[usize], seed| random(shape, seed).mul_scalar(0.2).unwrap();
    [small(&x, 1), small(&w, 2), small(&[outputs], 3)]
}

#[test]
fn values() {
    for c in cases() {
        for (batch, inputs, outputs) in [(1, 1, 1), (2, 3, 5), (3, 13, 33)] {
            let [x, w, _] = operands(&c, batch, inputs, outputs);
            for dtype in FLOATS {
                let (x, w) = (x.cast(dtype).unwrap(), w.cast(dtype).unwrap());
                let y = conv(&x, &w, None, &c.windows).unwrap();
                assert_eq!(y.dtype(), dtype);
                assert_close(&y, &naive(&x, &w, &c), dtype);
            }
        }
    }
}

#[test]
fn gradients() {
    for c in cases() {
        let inputs = operands(&c, 2, 3, 2);
        check_gradients(|t| Ok(vec![conv(&t[0], &t[1], Some(&t[2]), &c.windows)?]), &inputs);
    }
}

#[test]
fn both_paths_agree() {
    for c in cases() {
        let inputs = operands(&c, 2, 3, 4);
        assert_paths_agree(|t| conv(&t[0], &t[1], Some(&t[2]), &c.windows), &inputs);
    }
}

#[test]
fn both_paths_agree_over_several_blocks_and_partial_sums() {
    // Halves are left out: what rounding the cotangents leaves of so long a sum is beyond their tolerance.
    for (case, channels) in [
        (case(&[9, 8], &[3, 3], &[], Padding::Same), [20, 40]),
        (case(&[20, 31], &[3, 3], &[], Padding::Same), [3, 7]),
        (case(&[16, 15], &[2, 3], &[2, 1], Padding::Valid), [5, 13]),
    ] {
        let inputs = operands(&case, 8, channels[0], channels[1]);
        let run = |dtype| output_and_gradients(|t| conv(&t[0], &t[1], Some(&t[2]), &case.windows), &inputs, dtype);
        let exact = force_general_path(|| run(DType::F64));
        for (fast, exact) in run(DType::F64).iter().zip(&exact) {
            assert_close(fast, exact, DType::F64);
        }
        // Both runs start from the same cotangents up to float32.
        for (fast, exact) in run(DType::F32).iter().zip(&exact) {
            let scale = 0.1 / exact.abs().unwrap().max(None, false).unwrap().item().unwrap().max(0.1);
            assert_close(&fast.mul_scalar(scale).unwrap(), &exact.mul_scalar(scale).unwrap(), DType::F32);
        }
    }
}

#[test]
fn a_gradient_of_one_operand_alone() {
    let c = case(&[5, 6], &[3, 3], &[2, 1], Padding::Same);
    let [x, w, b] = operands(&c, 2, 3, 2);
    check_gradients(|t| Ok(vec![conv(&t[0], &w, None, &c.windows)?]), std::slice::from_ref(&x));
    check_gradients(|t| Ok(vec![conv(&x, &t[0], None, &c.windows)?]), std::slice::from_ref(&w));
    check_gradients(|t| Ok(vec![conv(&x, &w, Some(&t[0]), &c.windows)?]), std::slice::from_ref(&b));
}

#[test]
fn same_bits_on_any_threads() {
    let c = case(&[17, 15], &[3, 3], &[], Padding::Same);
    assert_same_on_any_threads(|t| conv(&t[0], &t[1], Some(&t[2]), &c.windows), &operands(&c, 4, 40, 50), DType::F32);
    let c = case(&[4001], &[5], &[2], Padding::Same);
    assert_same_on_any_threads(|t| conv(&t[0], &t[1], None, &c.windows), &operands(&c, 1, 16, 24), DType::F32);
}

#[test]
fn a_view_is_read_in_its_order() {
    let c = case(&[5, 4], &[2, 2], &[], Padding::Valid);
    let [x, w, _] = operands(&c, 2, 3, 2);
    let turned =
        x.transpose(Some(&[0, 3, 1, 2])).unwrap().contiguous().unwrap().transpose(Some(&[0, 2, 3, 1])).unwrap();
    assert!(!turned.is_contiguous());
    assert_close(&conv(&turned, &w, None, &c.windows).unwrap(), &naive(&x, &w, &c), DType::F64);
}

#[test]
fn an_empty_batch() {
    let c = case(&[5, 4], &[3, 3], &[], Padding::Same);
    let out = output_and_gradients(|t| conv(&t[0], &t[1], Some(&t[2]), &c.windows), &operands(&c, 0, 3, 2), DType::F32);
    assert_eq!((out[0].shape(), out[1].shape()), (&[0usize, 5, 4, 2][..], &[0usize, 5, 4, 3][..]));
    assert_eq!((out[2].to_f64_vec().unwrap(), out[3].to_f64_vec().unwrap()), (vec![0.0; 54], vec![0.0; 2]));
}

#[test]
fn refusals() {
    let (x, w) = (random(&[2, 5, 4, 3], 4), random(&[3, 3, 3, 2], 5));
    let error = |x: &Tensor, w: &Tensor, windows: Windows| {
        let e = conv(x, w, None, &windows).unwrap_err();
        (e.kind(), e.message().to_string())
    };
    let strides = |s: &[usize]| Windows { strides: s.to_vec(), ..Windows::default() };
    assert_eq!(
        error(&x, &random(&[3, 6, 3, 2], 5), Windows::default()),
        (
            ErrorKind::ShapeMismatch,
            "conv: a window of [3, 6] does not fit in [5, 4]; use padding 'SAME' or a smaller window".into()
        )
    );
    assert_eq!(
        error(&x, &w, strides(&[1])),
        (ErrorKind::InvalidArgument, "conv: strides [1] must have 2 entries, one for each spatial axis".into())
    );
    assert_eq!(
        error(&x, &w, strides(&[1, 0])),
        (ErrorKind::InvalidArgument, "conv: strides must be at least 1, got [1, 0]".into())
    );
    assert_eq!(
        error(&x, &w, Windows { padding: Padding::Explicit(vec![(0, 0)]), ..Windows::default() }),
        (ErrorKind::InvalidArgument, "conv: padding [(0, 0)] must have 2 pairs, one for each spatial axis".into())
    );
    assert_eq!(
        error(&x, &random(&[3, 3, 4, 2], 5), Windows::default()).1,
        "conv of an input of shape [2, 5, 4, 3] with a weight of shape [3, 3, 4, 2]: the input has 3 channels, the weight takes 4"
    );
    assert_eq!(
        error(&x, &random(&[3, 3, 2], 5), Windows::default()).1,
        "conv of an input of shape [2, 5, 4, 3] with a weight of shape [3, 3, 2]: the weight must have as many axes as the input"
    );
    assert_eq!(
        error(&x, &random(&[0, 3, 3, 2], 5), Windows::default()).1,
        "conv: window sizes must be at least 1, got [0, 3]"
    );
    assert_eq!(error(&Tensor::scalar(1f32), &w, Windows::default()).0, ErrorKind::ShapeMismatch);
    assert_eq!(error(&x, &Tensor::scalar(1f32), Windows::default()).0, ErrorKind::ShapeMismatch);
    let ints = [x.cast(DType::I32).unwrap(), w.cast(DType::I32).unwrap()];
    assert_eq!(error(&ints[0], &ints[1], Windows::default()).0, ErrorKind::DTypeMismatch);
    let far = Windows { dilation: vec![usize::MAX, 1], ..Windows::default() };
    assert_eq!(error(&x, &w, far).0, ErrorKind::InvalidArgument);
    let cut = Windows { padding: Padding::Explicit(vec![(-4, -4), (0, 0)]), ..Windows::default() };
    assert_eq!(error(&x, &w, cut).0, ErrorKind::ShapeMismatch);
}
