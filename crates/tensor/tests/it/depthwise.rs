//! Causal depthwise convolution against written-out numbers and the general path.
use crate::common::{assert_paths_agree, assert_same_on_any_threads, output_and_gradients};
use tallow_tensor::{
    ops::causal_depthwise_conv,
    testing::{check_gradients, random},
    DType, ErrorKind, Tensor,
};

#[test]
fn values() {
    let x = Tensor::from_vec(vec![1f64, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3, 1]).unwrap();
    let w = Tensor::from_vec(vec![1f64, 10.0], &[2, 1]).unwrap();
    assert_eq!(causal_depthwise_conv(&x, &w).unwrap().to_f64_vec().unwrap(), [1., 12., 23., 4., 45., 56.]);
}

#[test]
fn gradients_and_paths() {
    for (shape, places) in [(&[2, 5, 3][..], 3), (&[4, 2], 6), (&[2, 1, 7, 33], 1), (&[3, 4, 2], 0)] {
        let inputs = [random(shape, 1), random(&[places, shape[shape.len() - 1]], 2)];
        check_gradients(|t| Ok(vec![causal_depthwise_conv(&t[0], &t[1])?]), &inputs);
        assert_paths_agree(|t| causal_depthwise_conv(&t[0], &t[1]), &inputs);
    }
}

#[test]
fn same_bits_on_any_threads() {
    let inputs = [random(&[3, 400, 65], 3), random(&[4, 65], 4)];
    assert_same_on_any_threads(|t| causal_depthwise_conv(&t[0], &t[1]), &inputs, DType::F32);
}

#[test]
fn empty_tensors_and_refusals() {
    for shape in [[0, 4, 3], [2, 0, 3], [2, 4, 0]] {
        let inputs = [Tensor::from_vec(Vec::<f64>::new(), &shape).unwrap(), random(&[2, shape[2]], 5)];
        let out = output_and_gradients(|t| causal_depthwise_conv(&t[0], &t[1]), &inputs, DType::F32);
        assert_eq!((out[0].shape(), out[2].to_f64_vec().unwrap()), (&shape[..], vec![0.0; 2 * shape[2]]));
    }
    let e = causal_depthwise_conv(&random(&[2, 4, 3], 6), &random(&[2, 4], 7)).unwrap_err();
    assert_eq!(
        (e.kind(), e.message()),
        (
            ErrorKind::ShapeMismatch,
            "causal_depthwise_conv takes [..., length, d] and [places, d], got shapes [2, 4, 3] and [2, 4]"
        )
    );
    let ints = random(&[2, 3], 8).cast(DType::I32).unwrap();
    assert_eq!(causal_depthwise_conv(&ints, &ints).unwrap_err().kind(), ErrorKind::DTypeMismatch);
}
