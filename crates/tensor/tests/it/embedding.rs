//! Embedding rows and their gradient.
use crate::common::{assert_paths_agree, assert_same_on_any_threads, matrix, output_and_gradients, FLOATS};
use tallow_tensor::{
    ops::embedding,
    testing::{check_gradients, random},
    DType, ErrorKind, Tensor,
};

fn ids(values: &[i64], shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape).unwrap()
}

#[test]
fn rows_of_every_dtype_by_ids_of_every_dtype() {
    let table = matrix(5, 3, |r, c| (10 * r + c) as f64);
    for float in FLOATS {
        for int in [DType::I32, DType::I64, DType::U32, DType::U8] {
            let at = ids(&[4, 0, 4, 1], &[2, 2]).cast(int).unwrap();
            let y = embedding(&table.cast(float).unwrap(), &at).unwrap();
            assert_eq!((y.shape(), y.dtype()), (&[2usize, 2, 3][..], float));
            assert_eq!(y.to_f64_vec().unwrap(), [40., 41., 42., 0., 1., 2., 40., 41., 42., 10., 11., 12.]);
        }
    }
    let one = embedding(&table, &ids(&[2], &[])).unwrap();
    assert_eq!((one.shape(), one.to_f64_vec().unwrap()), (&[3usize][..], vec![20., 21., 22.]));
}

#[test]
fn an_id_outside_the_vocabulary_is_named() {
    let table = random(&[5, 3], 1);
    for bad in [-1, 5, 1 << 40] {
        let e = embedding(&table, &ids(&[0, bad], &[2])).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::IndexOutOfRange);
        assert!(e.message().contains(&format!("id {bad}")) && e.message().contains("of 5"), "{e}");
    }
}

#[test]
fn the_gradient_adds_rows_that_share_an_id() {
    let table = random(&[4, 2], 2).variable();
    let y = embedding(&table, &ids(&[3, 1, 3, 3], &[4])).unwrap();
    let g = matrix(4, 2, |r, c| (r * 2 + c + 1) as f64);
    let d = tallow_tensor::backward(&[(y, g)], &[table], false).unwrap();
    assert_eq!(d[0].to_f64_vec().unwrap(), [0., 0., 3., 4., 0., 0., 13., 16.]);
}

#[test]
fn halves_add_up_in_float32() {
    let table = random(&[2, 1], 3);
    let at = ids(&[1; 4000], &[4000]);
    for dtype in [DType::F16, DType::BF16] {
        let v = table.cast(dtype).unwrap().variable();
        let y = embedding(&v, &at).unwrap();
        let g = Tensor::from_vec(vec![1f32; 4000], &[4000, 1]).unwrap().cast(dtype).unwrap();
        let d = tallow_tensor::backward(&[(y, g)], &[v], false).unwrap()[0].to_f64_vec().unwrap();
        assert_eq!(d[0], 0.0);
        // In halves the sum would stop at 2048 or 256.
        assert!((d[1] - 4000.0).abs() <= 16.0, "{d:?}");
    }
}

#[test]
fn gradients_and_paths() {
    let at = ids(&[3, 0, 3, 2, 2, 3], &[2, 3]);
    check_gradients(|t| Ok(vec![embedding(&t[0], &at)?]), &[random(&[4, 3], 4)]);
    assert_paths_agree(|t| embedding(&t[0], &at), &[random(&[4, 33], 5)]);
}

#[test]
fn same_bits_on_any_threads() {
    let at = ids(&(0..5000).map(|i| (i * i) % 91).collect::<Vec<_>>(), &[5000]);
    assert_same_on_any_threads(|t| embedding(&t[0], &at), &[random(&[100, 17], 6)], DType::F32);
}

#[test]
fn a_large_table_gets_every_row_right() {
    // Many more rows than ids, so that tasks span runs of rows without any.
    let at: Vec<i64> = (0..3000).map(|i| (i * 7919) % 20_011).collect();
    let table = random(&[20_011, 8], 7);
    let out = output_and_gradients(|t| embedding(&t[0], &ids(&at, &[3000])), &[table], DType::F64);
    let g = random(&[3000, 8], 99).to_f64_vec().unwrap();
    let mut expected = vec![0.0; 20_011 * 8];
    for (i, &id) in at.iter().enumerate() {
        for c in 0..8 {
            expected[id as usize * 8 + c] += g[i * 8 + c];
        }
    }
    assert_eq!(out[1].to_f64_vec().unwrap(), expected);
}

#[test]
fn empty_ids_and_refusals() {
    let table = random(&[4, 3], 8);
    let out = output_and_gradients(|t| embedding(&t[0], &ids(&[], &[0, 2])), std::slice::from_ref(&table), DType::F32);
    assert_eq!((out[0].shape(), out[1].to_f64_vec().unwrap()), (&[0usize, 2, 3][..], vec![0.0; 12]));
    let kind = |r: tallow_tensor::Result<Tensor>| r.unwrap_err().kind();
    assert_eq!(kind(embedding(&table, &random(&[2], 9))), ErrorKind::DTypeMismatch);
    assert_eq!(kind(embedding(&random(&[4], 9), &ids(&[0], &[1]))), ErrorKind::ShapeMismatch);
    assert_eq!(kind(embedding(&table.cast(DType::I32).unwrap(), &ids(&[0], &[1]))), ErrorKind::DTypeMismatch);
}
