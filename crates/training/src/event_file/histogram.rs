//! Tensors as histograms.
use super::{message::Histogram, Value};
use crate::{Error, Result};
use tallow_layers::ErrorKind;
use tallow_tensor::Tensor;

/// Buckets of equal width between the least and the greatest value.
const BUCKETS: usize = 64;

/// How the values of a tensor are distributed.
///
/// # Errors
/// `ShapeMismatch` naming the tag for a tensor without values, `NotFinite` for a value that no bucket holds.
pub(super) fn of(tag: &str, t: &Tensor) -> Result<Value> {
    let values = t.detach().to_f64_vec()?;
    if values.is_empty() {
        return Err(Error::shape(format!("{tag} of shape {:?} has no values, so it has no histogram", t.shape())));
    }
    if let Some(value) = values.iter().find(|v| !v.is_finite()) {
        let why = format!("{tag} has the value {value}, which no bucket of a histogram holds; leave such values out");
        return Err(Error::new(ErrorKind::NotFinite, why));
    }
    let (min, max) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    let width = (max - min) / BUCKETS as f64;
    let n = if width > 0.0 { BUCKETS } else { 1 };
    let mut bucket = vec![0.0; n];
    for v in &values {
        // `as` takes what is beyond a usize to its end; the greatest value belongs to the last bucket.
        let at = if n == 1 { 0 } else { (((v - min) / width) as usize).min(n - 1) };
        bucket[at] += 1.0;
    }
    let bucket_limit = (1..=n).map(|i| if i == n { max } else { min + i as f64 * width }).collect();
    let (sum, sum_squares) = values.iter().fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
    Ok(Value::Histogram(Histogram { min, max, num: values.len() as f64, sum, sum_squares, bucket_limit, bucket }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: Vec<f32>) -> Histogram {
        let t = Tensor::from_vec(values.clone(), &[values.len()]).expect("a tensor");
        match of("h", &t).expect("a histogram") {
            Value::Histogram(h) => h,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_value_is_in_one_bucket() {
        let h = histogram(vec![0.0, 0.5, 64.0, 32.0, 63.5]);
        assert_eq!((h.min, h.max, h.num, h.sum), (0.0, 64.0, 5.0, 160.0));
        assert_eq!(h.sum_squares, 0.25 + 64.0 * 64.0 + 32.0 * 32.0 + 63.5 * 63.5);
        assert_eq!((h.bucket[0], h.bucket[32], h.bucket[63], h.bucket.iter().sum::<f64>()), (2.0, 1.0, 2.0, 5.0));
        assert_eq!((h.bucket_limit[0], h.bucket_limit[63], h.bucket_limit.len()), (1.0, 64.0, 64));
        let same = histogram(vec![2.0; 3]);
        assert_eq!((same.bucket, same.bucket_limit), (vec![3.0], vec![2.0]));
    }

    #[test]
    fn what_no_bucket_holds_is_refused_by_name() {
        for (values, code) in
            [(vec![1.0, f32::NAN], "NotFinite"), (vec![f32::INFINITY], "NotFinite"), (vec![], "ShapeMismatch")]
        {
            let t = Tensor::from_vec(values.clone(), &[values.len()]).expect("a tensor");
            let e = of("grads/w", &t).expect_err("no histogram");
            assert_eq!(e.code(), code);
            assert!(e.message().starts_with("grads/w "), "{}", e.message());
        }
    }
}
