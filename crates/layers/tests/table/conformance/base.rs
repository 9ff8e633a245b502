//! Cases of the module `base`.
use super::case::{case, f32, Case};
use serde_json::json;
use std::sync::Arc;
use tallow_layers::{HostFn, HostValue, Result};
use tallow_tensor::DType;

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        case("Fn", json!({"name": "Product", "f": {"$fn": 0}}), [f32([2, 3]), f32([3])])
            .function(2, |xs| Ok(vec![xs[0].mul(&xs[1])?])),
        case("Fn", json!({"name": "", "f": {"$fn": 0}, "nOut": 2}), [f32([4])])
            .function(1, |xs| Ok(vec![xs[0].tanh()?, xs[0].sum(0, false)?])),
        case("Fn", json!({"name": "None", "f": {"$fn": 0}, "nOut": 0}), [f32([4])]).function(1, |_| Ok(vec![])),
        case("PureLayer", json!({"forwardFn": {"$fn": 0}}), [f32([2, 3])]).function(1, |xs| Ok(vec![xs[0].square()?])),
        case(
            "PureLayer",
            json!({"forwardFn": {"$fn": 0}, "nIn": 2, "nOut": 2, "name": "Two"}),
            [f32([2, 3]), f32([2])],
        )
        .function(1, |xs| Ok(vec![xs[1].clone(), xs[0].exp()?])),
        case("Layer", json!({"name": "Scale", "driver": {"$fn": 0}}), [f32([2, 3])]).host(Arc::new(Scale)),
        case("Layer", json!({"name": "Scale", "driver": {"$fn": 0}, "hasBackward": true}), [f32([2, 3])])
            .host(Arc::new(Scale)),
    ]
}

/// A class of the host: multiplies by a weight per feature and counts its calls.
#[derive(Debug)]
struct Scale;

impl HostFn for Scale {
    fn call(&self, args: &[HostValue]) -> Result<HostValue> {
        let tensor = |v: &HostValue| match v.clone().into_tensors()?.first() {
            Some(t) => Ok(t.clone()),
            None => Err(tallow_layers::Error::option("a tensor is missing")),
        };
        let pair = |a, b| Ok(HostValue::List(vec![a, b]));
        assert!(
            matches!(&args[1], HostValue::Text(mode) if mode == "train" || mode == "eval"),
            "a mode, got {:?}",
            args[1]
        );
        match &args[0] {
            HostValue::Text(m) if m == "init" => {
                let HostValue::List(signatures) = &args[2] else { panic!("signatures") };
                let HostValue::Record(signature) = &signatures[0] else { panic!("a signature") };
                let HostValue::List(shape) = &signature[0].1 else { panic!("a shape") };
                let Some(HostValue::Number(n)) = shape.last() else { panic!("a size") };
                let key = tallow_layers::key_of(&tensor(&args[3])?).expect("a key");
                let w = tallow_tensor::random::normal(key, &[*n as usize], DType::F32)?;
                let calls = tallow_tensor::Tensor::scalar(0i32);
                pair(HostValue::List(vec![HostValue::Tensor(w)]), HostValue::Tensor(calls))
            }
            HostValue::Text(m) if m == "forward" => {
                let y = tensor(&args[2])?.mul(&tensor(&args[3])?)?;
                let calls = tensor(&args[4])?.add_scalar(1)?;
                pair(HostValue::List(vec![HostValue::Tensor(y)]), HostValue::Tensor(calls))
            }
            HostValue::Text(m) if m == "backward" => {
                let (x, ct, w) = (tensor(&args[2])?, tensor(&args[4])?, tensor(&args[5])?);
                let dw = ct.mul(&x)?.sum_to(w.shape())?;
                pair(
                    HostValue::List(vec![HostValue::Tensor(ct.mul(&w)?)]),
                    HostValue::List(vec![HostValue::Tensor(dw)]),
                )
            }
            other => panic!("no method {other:?}"),
        }
    }
    fn arity(&self) -> usize {
        1
    }
}

/// A driver for `Layer` that multiplies by a weight per feature.
pub fn scale() -> tallow_layers::HostFnRef {
    Arc::new(Scale)
}
