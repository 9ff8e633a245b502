//! Functions on tensors written in JSON: `{"lambda": ["x", "c"], "body": ["add", "x", 1.0]}`.
use super::case::Case;
use serde_json::Value;
use std::sync::Arc;
use tallow_layers::{Error, HostFn, HostFnRef, HostValue, LayerRef, Result};
use tallow_tensor::Tensor;

#[derive(Debug)]
struct Lambda {
    parameters: Vec<String>,
    bodies: Vec<Value>,
    /// Whether one tensor is returned instead of a list.
    single: bool,
}

/// The host function of a lambda expression.
pub fn lambda(expr: &Value) -> HostFnRef {
    let parameters = expr["lambda"].as_array().expect("parameters");
    let single = expr.get("body").is_some();
    Arc::new(Lambda {
        parameters: parameters.iter().map(|p| p.as_str().expect("a name").to_string()).collect(),
        bodies: if single { vec![expr["body"].clone()] } else { expr["bodies"].as_array().expect("bodies").clone() },
        single,
    })
}

enum Operand {
    Tensor(Tensor),
    Number(f64),
}

impl HostFn for Lambda {
    fn call(&self, args: &[HostValue]) -> Result<HostValue> {
        let mut ys = self.bodies.iter().map(|b| match self.eval(b, args)? {
            Operand::Tensor(t) => Ok(HostValue::Tensor(t)),
            Operand::Number(n) => Ok(HostValue::Number(n)),
        });
        if self.single {
            return ys.next().expect("a body");
        }
        Ok(HostValue::List(ys.collect::<Result<_>>()?))
    }
    fn arity(&self) -> usize {
        self.parameters.len()
    }
}

impl Lambda {
    fn eval(&self, body: &Value, args: &[HostValue]) -> Result<Operand> {
        match body {
            Value::Number(n) => Ok(Operand::Number(n.as_f64().expect("a number"))),
            Value::String(name) => {
                let at = self.parameters.iter().position(|p| p == name).expect("a parameter");
                match args.get(at) {
                    Some(HostValue::Tensor(t)) => Ok(Operand::Tensor(t.clone())),
                    other => Err(Error::dtype(format!("{name} is {:?}, not a tensor", other.map(HostValue::what)))),
                }
            }
            Value::Array(call) => {
                let op = call[0].as_str().expect("an operation");
                let operands = call[1..].iter().map(|a| self.eval(a, args)).collect::<Result<Vec<_>>>()?;
                apply(op, &operands)
            }
            other => panic!("no body: {other}"),
        }
    }
}

fn apply(op: &str, operands: &[Operand]) -> Result<Operand> {
    use Operand::{Number, Tensor as T};
    let y = match (op, operands) {
        ("sum", [T(x), rest @ ..]) => x.sum(axis(rest), false),
        ("mean", [T(x), rest @ ..]) => x.mean(axis(rest), false),
        ("max", [T(x), rest @ ..]) => x.max(axis(rest), false),
        ("neg", [T(x)]) => x.neg(),
        ("square", [T(x)]) => x.square(),
        ("exp", [T(x)]) => x.exp(),
        ("log", [T(x)]) => x.log(),
        ("tanh", [T(x)]) => x.tanh(),
        ("abs", [T(x)]) => x.abs(),
        ("add", [T(a), T(b)]) => a.add(b),
        ("sub", [T(a), T(b)]) => a.sub(b),
        ("mul", [T(a), T(b)]) => a.mul(b),
        ("div", [T(a), T(b)]) => a.div(b),
        ("maximum", [T(a), T(b)]) => a.maximum(b),
        ("minimum", [T(a), T(b)]) => a.minimum(b),
        ("less", [T(a), T(b)]) => a.lt(b),
        ("greater", [T(a), T(b)]) => a.gt(b),
        ("matmul", [T(a), T(b)]) => a.matmul(b),
        ("add", [T(x), Number(n)] | [Number(n), T(x)]) => x.add_scalar(*n),
        ("mul", [T(x), Number(n)] | [Number(n), T(x)]) => x.mul_scalar(*n),
        ("maximum", [T(x), Number(n)] | [Number(n), T(x)]) => x.maximum_scalar(*n),
        ("minimum", [T(x), Number(n)] | [Number(n), T(x)]) => x.minimum_scalar(*n),
        ("sub", [T(x), Number(n)]) => x.sub_scalar(*n),
        ("sub", [Number(n), T(x)]) => x.rsub_scalar(*n),
        ("div", [T(x), Number(n)]) => x.div_scalar(*n),
        ("div", [Number(n), T(x)]) => x.rdiv_scalar(*n),
        ("less", [T(x), Number(n)]) | ("greater", [Number(n), T(x)]) => x.lt_scalar(*n),
        ("greater", [T(x), Number(n)]) | ("less", [Number(n), T(x)]) => x.gt_scalar(*n),
        (op, _) => panic!("lambdas have no operation {op} on these operands"),
    };
    Ok(Operand::Tensor(y?))
}

fn axis(rest: &[Operand]) -> Option<isize> {
    match rest {
        [Operand::Number(n)] => Some(*n as isize),
        _ => None,
    }
}

/// A factory without arguments that builds an expression anew at each call.
pub struct Thunk {
    /// What to build.
    pub expr: Value,
    /// Where its arrays come from.
    pub case: Case,
}

impl std::fmt::Debug for Thunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "() => {}", self.expr)
    }
}

impl HostFn for Thunk {
    fn call(&self, _args: &[HostValue]) -> Result<HostValue> {
        let build = || -> std::result::Result<LayerRef, super::expr::Failure> {
            super::expr::Evaluator::new(&self.case, &self.case.tensors)?.layer(&self.expr)
        };
        build().map(HostValue::Layer).map_err(|e| Error::option(e.to_string()))
    }
    fn arity(&self) -> usize {
        0
    }
}
