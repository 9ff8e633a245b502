//! Attention to what was read before: against attention to whole matrices, in any company, and on any number of threads.
use tallow_tensor::{
    force_general_path,
    ops::{attend, attention, AttentionOptions, Past},
    testing::{assert_within, random, Tolerance},
    threads::{num_threads, set_num_threads},
    DType, ErrorKind, Tensor,
};

const SCALE: f64 = 0.4;

fn numbers(shape: &[usize], seed: u64, dtype: DType) -> Tensor {
    random(shape, seed).cast(dtype).unwrap()
}

fn empty(sizes: [usize; 3], dtype: DType) -> Past {
    Past::new(sizes, [dtype, dtype], 1000)
}

/// Queries, keys and values `[rows, length, …]`.
fn operands(rows: usize, length: usize, [d, dv]: [usize; 2], seed: u64, dtype: DType) -> [Tensor; 3] {
    [(d, 0), (d, 1), (dv, 2)].map(|(width, i)| numbers(&[rows, length, width], 10 * seed + i, dtype))
}

/// Attention of a sequence read in pieces of these lengths, and what was read.
fn in_pieces([q, k, v]: &[Tensor; 3], pieces: &[usize]) -> (Tensor, Past) {
    let mut past = empty([q.shape()[0], q.shape()[2], v.shape()[2]], q.dtype());
    let (mut at, mut ys) = (0, Vec::new());
    for &n in pieces {
        let [q, k, v] = [q, k, v].map(|x| x.narrow(1, at, n).unwrap());
        past = past.append(&k, &v).unwrap();
        ys.push(attend(&q, &k, &v, std::slice::from_ref(&past), SCALE).unwrap());
        at += n;
    }
    (Tensor::concat(&ys, 1).unwrap(), past)
}

fn bits(x: &Tensor) -> Vec<u64> {
    x.to_f64_vec().unwrap().into_iter().map(f64::to_bits).collect()
}

#[test]
fn pieces_give_what_the_whole_sequence_gives() {
    let whole: [&[usize]; 4] = [&[1; 150], &[150], &[3, 1, 60, 1, 1, 16, 68], &[64, 64, 22]];
    for (sizes, dtype, near) in [
        ([8, 8], DType::F32, 2e-6),
        // Columns are summed by 64, by 32 and one by one.
        ([5, 37], DType::F32, 2e-6),
        ([7, 101], DType::F32, 2e-6),
        ([64, 32], DType::F64, 1e-12),
        ([6, 3], DType::BF16, 2e-2),
    ] {
        let xs = operands(3, 150, sizes, 1, dtype);
        let options = AttentionOptions { scale: SCALE, causal: true, ..AttentionOptions::default() };
        let expected = attention(&xs[0], &xs[1], &xs[2], &options).unwrap();
        for pieces in whole {
            let (y, past) = in_pieces(&xs, pieces);
            assert_eq!((y.dtype(), past.len()), (dtype, 150));
            assert_within(&y, &expected, Tolerance { absolute: near, relative: near });
            let general = force_general_path(|| in_pieces(&xs, pieces).0);
            assert_within(&general, &expected, Tolerance { absolute: near, relative: near });
            let [keys, values, len] = past.tensors().unwrap();
            assert_eq!((keys.shape(), values.shape()), (&[3, 1000, sizes[0]][..], &[3, 1000, sizes[1]][..]));
            assert_eq!(len.item().unwrap(), 150.0);
            assert_eq!(bits(&keys.narrow(1, 0, 150).unwrap()), bits(&xs[1]));
            assert_eq!(bits(&values.narrow(1, 0, 150).unwrap()), bits(&xs[2]));
            assert!(keys.narrow(1, 150, 850).unwrap().to_f64_vec().unwrap().iter().all(|x| *x == 0.0));
        }
    }
}

#[test]
fn a_row_is_the_same_in_any_company_and_on_any_number_of_threads() {
    let threads = num_threads();
    let lengths = [1, 63, 64, 65, 200, 7];
    let read: Vec<[Tensor; 3]> =
        lengths.iter().enumerate().map(|(i, n)| operands(2, *n, [16, 48], i as u64, DType::F32)).collect();
    let alone: Vec<(Tensor, Past)> = read
        .iter()
        .map(|xs| {
            let (y, past) = in_pieces(xs, &[xs[0].shape()[1]]);
            (y, past)
        })
        .collect();
    let next = operands(12, 3, [16, 48], 99, DType::F32);
    let part = |i: usize| [0, 1, 2].map(|x| next[x].narrow(0, 2 * i, 2).unwrap());
    let mut expected = Vec::new();
    let mut pasts = Vec::new();
    for (i, (_, past)) in alone.iter().enumerate() {
        let [q, k, v] = part(i);
        let past = past.append(&k, &v).unwrap();
        expected.extend(bits(&attend(&q, &k, &v, std::slice::from_ref(&past), SCALE).unwrap()));
        pasts.push(past);
    }
    for n in [1, 2, 4] {
        set_num_threads(n).unwrap();
        let y = attend(&next[0], &next[1], &next[2], &pasts, SCALE).unwrap();
        assert_eq!(bits(&y), expected, "{n} threads");
    }
    set_num_threads(threads).unwrap();
}

#[test]
fn what_goes_on_from_one_past_does_not_see_the_other() {
    let read = operands(2, 70, [8, 8], 3, DType::F32);
    let (_, past) = in_pieces(&read, &[70]);
    let ways: Vec<[Tensor; 3]> = (0..3).map(|i| operands(2, 5, [8, 8], 50 + i, DType::F32)).collect();
    // All go on from the same past, one position of each after the other.
    let mut pasts = vec![past.clone(); 3];
    let mut ys = vec![Vec::new(); 3];
    for at in 0..5 {
        for ((way, past), ys) in ways.iter().zip(&mut pasts).zip(&mut ys) {
            let [q, k, v] = [0, 1, 2].map(|i| way[i].narrow(1, at, 1).unwrap());
            *past = past.append(&k, &v).unwrap();
            ys.push(attend(&q, &k, &v, std::slice::from_ref(past), SCALE).unwrap());
        }
    }
    for (way, ys) in ways.iter().zip(&ys) {
        let whole = [0, 1, 2].map(|i| Tensor::concat(&[read[i].clone(), way[i].clone()], 1).unwrap());
        let (expected, _) = in_pieces(&whole, &[70, 1, 1, 1, 1, 1]);
        assert_eq!(bits(&Tensor::concat(ys, 1).unwrap()), bits(&expected.narrow(1, 70, 5).unwrap()));
    }
    // The first block is held once for all of them.
    assert_eq!((past.len(), past.bytes()), (70, 2 * 2 * 64 * 16 * 4));
    assert!(pasts[0] != pasts[1] && past == past.clone());
}

#[test]
fn what_does_not_fit_is_refused() {
    let past = Past::new([2, 8, 4], [DType::F32, DType::F32], 3);
    let [k, v] = [numbers(&[2, 2, 8], 1, DType::F32), numbers(&[2, 2, 4], 2, DType::F32)];
    let two = past.append(&k, &v).unwrap();
    let full = two.append(&k, &v).unwrap_err();
    assert_eq!(
        (full.kind(), full.message()),
        (ErrorKind::InvalidArgument, "there is room for 3 positions, 2 were read and 2 come",)
    );
    assert_eq!(past.append(&v, &k).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    assert_eq!(Past::of(&k, &v, 3, 9).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(Past::of(&k, &v.narrow(1, 0, 1).unwrap(), 1, 9).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    let q = numbers(&[3, 2, 8], 3, DType::F32);
    assert_eq!(attend(&q, &k, &v, std::slice::from_ref(&two), 1.0).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    // A key that is no number makes its own row none, and no other.
    let nan = numbers(&[2, 1, 8], 4, DType::F32);
    let k =
        Tensor::concat(&[nan.narrow(0, 0, 1).unwrap().mul_scalar(f64::NAN).unwrap(), nan.narrow(0, 1, 1).unwrap()], 0)
            .unwrap();
    let v = numbers(&[2, 1, 4], 5, DType::F32);
    let past = two.append(&k, &v).unwrap();
    let y = attend(&q.narrow(0, 0, 2).unwrap().narrow(1, 0, 1).unwrap(), &k, &v, &[past], 1.0).unwrap();
    let y = y.to_f64_vec().unwrap();
    assert!(y[..4].iter().all(|x| x.is_nan()) && y[4..].iter().all(|x| x.is_finite()));
}
