//! Products by weights that are held in fewer bits, against the same weights in float32.
use tallow_tensor::{
    backward, force_general_path,
    ops::{dense, dense_quantized, embedding, embedding_quantized, Outputs, Quantization, Quantized},
    testing::{on_threads, random},
    Axes, DType, Device, ErrorKind, Tensor,
};

fn normal(shape: &[usize], seed: u64) -> Tensor {
    random(shape, seed).cast(DType::F32).unwrap()
}

fn kinds() -> impl Iterator<Item = (Quantization, Outputs)> {
    Quantization::ALL.into_iter().flat_map(|q| [Outputs::Rows, Outputs::Columns].map(|o| (q, o)))
}

/// `w` quantized for a product with `inner` inputs.
fn quantized(inner: usize, n: usize, quantization: Quantization, outputs: Outputs) -> Quantized {
    let shape = if outputs == Outputs::Rows { [n, inner] } else { [inner, n] };
    Quantized::new(&normal(&shape, 1), outputs, quantization).unwrap()
}

/// The float32 weights `[inner, n]`.
fn matrix(w: &Quantized) -> Tensor {
    let full = w.dequantized().unwrap();
    if w.outputs() == Outputs::Rows {
        full.transpose(None).unwrap()
    } else {
        full
    }
}

fn bits(t: &Tensor) -> Vec<u32> {
    t.values::<f32>().unwrap().iter().map(|v| v.to_bits()).collect()
}

#[test]
fn bfloat16_gives_the_bits_of_rounded_weights() {
    for (inner, n, rows) in [(24, 40, 1), (700, 130, 3), (64, 64, 70), (1100, 33, 130)] {
        for outputs in [Outputs::Rows, Outputs::Columns] {
            let w = quantized(inner, n, Quantization::Bfloat16, outputs);
            let (x, b) = (normal(&[rows, inner], 2), normal(&[n], 3));
            let rounded = matrix(&w);
            for b in [None, Some(&b)] {
                let expected = dense(&x, &rounded, b).unwrap();
                assert_eq!(bits(&dense_quantized(&x, &w, b).unwrap()), bits(&expected), "{inner} {n} {rows}");
            }
        }
    }
}

#[test]
fn int8_is_near_and_halves_are_even() {
    let w = Tensor::from_vec(vec![127.0f32, 0.5, 1.5, -2.5, -127.0, 0.0, 0.0, 254.0], &[4, 2]).unwrap();
    let q = Quantized::new(&w, Outputs::Columns, Quantization::Int8).unwrap();
    let (values, scales) = q.stored().unwrap();
    let signed: Vec<i8> = values.to_vec::<u8>().unwrap().into_iter().map(|v| v as i8).collect();
    // Column 0 holds 127, 1.5, -127, 0; column 1 holds 0.5, -2.5, 0, 254 at twice the scale.
    assert_eq!(signed, [127, 0, 2, -1, -127, 0, 0, 127]);
    assert_eq!(scales.unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0]);
    for outputs in [Outputs::Rows, Outputs::Columns] {
        let w = normal(&[90, 70], 5);
        let q = Quantized::new(&w, outputs, Quantization::Int8).unwrap();
        let most = w.abs().unwrap().max(isize::from(outputs == Outputs::Rows), true).unwrap();
        let off = q.dequantized().unwrap().sub(&w).unwrap().abs().unwrap().div(&most).unwrap();
        assert!(off.max(Axes::All, false).unwrap().item().unwrap() <= 0.5001 / 127.0);
    }
}

#[test]
fn a_row_is_the_same_bits_alone_and_among_others() {
    for (quantization, outputs) in kinds() {
        for (inner, n) in [(256, 256), (1024, 100), (48, 3)] {
            let w = quantized(inner, n, quantization, outputs);
            let (x, b) = (normal(&[200, inner], 7), normal(&[n], 8));
            let alone: Vec<u32> = (0..200)
                .flat_map(|i| bits(&dense_quantized(&x.narrow(0, i, 1).unwrap(), &w, Some(&b)).unwrap()))
                .collect();
            for (threads, rows) in [1, 2, 4].into_iter().flat_map(|t| [2, 7, 12, 13, 33, 64, 65, 200].map(|r| (t, r))) {
                let got =
                    on_threads(threads, || dense_quantized(&x.narrow(0, 0, rows).unwrap(), &w, Some(&b)).unwrap());
                assert_eq!(bits(&got), alone[..rows * n], "{quantization:?} {rows} rows of {inner} by {n}");
            }
        }
    }
}

#[test]
fn gradients_are_those_of_the_weights_it_stands_for() {
    for (quantization, outputs) in kinds() {
        let w = quantized(20, 9, quantization, outputs);
        let (x, b, ct) = (normal(&[2, 3, 20], 1), normal(&[9], 2), normal(&[2, 3, 9], 3));
        let of = |f: &dyn Fn(&Tensor, &Tensor) -> Tensor| {
            let (x, b) = (x.variable(), b.variable());
            let y = f(&x, &b);
            let grads = backward(&[(y, ct.clone())], &[x, b], false).unwrap();
            (grads[0].clone(), grads[1].clone())
        };
        let (dx, db) = of(&|x, b| dense_quantized(x, &w, Some(b)).unwrap());
        let (ex, eb) = of(&|x, b| dense(x, &matrix(&w), Some(b)).unwrap());
        assert_eq!((bits(&dx), bits(&db)), (bits(&ex), bits(&eb)));
    }
}

#[test]
fn both_paths_agree() {
    for (quantization, outputs) in kinds() {
        let w = quantized(50, 30, quantization, outputs);
        let x = normal(&[4, 50], 4);
        let fast = dense_quantized(&x, &w, None).unwrap();
        let general = force_general_path(|| dense_quantized(&x, &w, None)).unwrap();
        let off = fast.sub(&general).unwrap().abs().unwrap().max(Axes::All, false).unwrap().item().unwrap();
        assert!(off < 1e-4, "{off}");
        // Wider inputs are computed in their own type.
        let double = dense_quantized(&x.cast(DType::F64).unwrap(), &w, None).unwrap();
        assert_eq!(double.dtype(), DType::F64);
    }
}

#[test]
fn rows_are_looked_up() {
    for quantization in Quantization::ALL {
        let table = quantized(40, 70, quantization, Outputs::Rows);
        let ids = Tensor::from_vec(vec![0i32, 69, 65, 3], &[2, 2]).unwrap();
        let rows = embedding_quantized(&table, &ids).unwrap();
        assert_eq!(rows.shape(), [2, 2, 40]);
        assert_eq!(bits(&rows), bits(&embedding(&table.dequantized().unwrap(), &ids).unwrap()));
        let outside = Tensor::from_vec(vec![70i32], &[1]).unwrap();
        assert_eq!(embedding_quantized(&table, &outside).unwrap_err().kind(), ErrorKind::IndexOutOfRange);
    }
}

#[test]
fn what_is_stored_comes_back() {
    for (quantization, outputs) in kinds() {
        let w = quantized(21, 35, quantization, outputs);
        let (values, scales) = w.stored().unwrap();
        let values = match scales {
            Some(_) => {
                let signed = values.to_vec::<u8>().unwrap().into_iter().map(|v| i32::from(v as i8)).collect();
                Tensor::from_vec(signed, values.shape()).unwrap()
            }
            None => values,
        };
        let again = Quantized::from_stored(&values, scales.as_ref(), outputs).unwrap();
        assert_eq!(bits(&again.dequantized().unwrap()), bits(&w.dequantized().unwrap()));
        assert_eq!((again.quantization(), again.bytes()), (quantization, w.bytes()));
    }
    let too_large = Tensor::from_vec(vec![-128i32], &[1, 1]).unwrap();
    let scale = Tensor::from_vec(vec![1f32], &[1]).unwrap();
    let refused = Quantized::from_stored(&too_large, Some(&scale), Outputs::Rows).unwrap_err();
    assert_eq!((refused.kind(), refused.message().contains("-128")), (ErrorKind::InvalidArgument, true));
}

#[test]
fn zeros_and_nothing_and_numbers_that_are_not_finite() {
    for (quantization, outputs) in kinds() {
        let zeros =
            Quantized::new(&Tensor::zeros(&[5, 3], DType::F32, &Device::Cpu).unwrap(), outputs, quantization).unwrap();
        assert!(zeros.dequantized().unwrap().to_vec::<f32>().unwrap().iter().all(|&v| v == 0.0));
        for shape in [[0, 3], [3, 0], [0, 0]] {
            let none = Quantized::new(&Tensor::zeros(&shape, DType::F32, &Device::Cpu).unwrap(), outputs, quantization)
                .unwrap();
            assert_eq!(none.dequantized().unwrap().shape(), shape);
            let inner = shape[usize::from(outputs == Outputs::Rows)];
            let y = dense_quantized(&normal(&[2, inner], 1), &none, None).unwrap();
            assert!(y.to_vec::<f32>().unwrap().iter().all(|&v| v == 0.0));
        }
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let w = Tensor::from_vec(vec![1.0, 2.0, bad, 4.0], &[2, 2]).unwrap();
            let refused = Quantized::new(&w, outputs, quantization).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::NotFinite);
            assert!(refused.message().contains("[1, 0]"), "{}", refused.message());
        }
    }
    // The largest float32 would become infinite.
    let large = Tensor::from_vec(vec![f32::MAX], &[1, 1]).unwrap();
    assert!(Quantized::new(&large, Outputs::Rows, Quantization::Bfloat16).is_err());
    assert!(Quantized::new(&large, Outputs::Rows, Quantization::Int8).is_ok());
    // The smallest ones are nothing at a scale of their own.
    let small = Tensor::from_vec(vec![f32::from_bits(1), 0.0], &[2, 1]).unwrap();
    assert!(Quantized::new(&small, Outputs::Columns, Quantization::Int8).is_ok());
}

#[test]
fn what_does_not_fit_is_refused() {
    let w = quantized(4, 3, Quantization::Int8, Outputs::Columns);
    let kind = |x: &Tensor, b: Option<&Tensor>| dense_quantized(x, &w, b).unwrap_err().kind();
    assert_eq!(kind(&normal(&[2, 3], 1), None), ErrorKind::ShapeMismatch);
    assert_eq!(kind(&Tensor::scalar(1f32), None), ErrorKind::ShapeMismatch);
    assert_eq!(kind(&normal(&[2, 4], 1), Some(&normal(&[4], 1))), ErrorKind::ShapeMismatch);
    assert_eq!(kind(&Tensor::from_vec(vec![1i32; 4], &[4]).unwrap(), None), ErrorKind::DTypeMismatch);
    assert_eq!(embedding_quantized(&w, &Tensor::scalar(0i32)).unwrap_err().kind(), ErrorKind::ShapeMismatch);
    let vector = Quantized::new(&normal(&[3], 1), Outputs::Rows, Quantization::Int8).unwrap_err();
    assert_eq!(vector.kind(), ErrorKind::ShapeMismatch);
}
