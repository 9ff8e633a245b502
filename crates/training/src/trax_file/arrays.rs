//! NumPy's and JAX's arrays, as pickles describe them.
use super::{
    dtypes::DTYPES,
    value::{Id, Pickle, Value},
};
use tallow_layers::{
    npy::{array, describe, Described, Width},
    TensorSpec,
};
use tallow_tensor::{DType, Tensor};

/// NumPy's code of a type of numbers.
fn code(p: &Pickle, id: Id) -> Result<String, String> {
    let wrong = || "an array of it has no type of numbers".to_string();
    if let Some(name) = p.global(id) {
        let name = name.rsplit('.').next().unwrap_or_default();
        return DTYPES.iter().find(|(n, _)| *n == name).map(|(_, c)| (*c).to_string()).ok_or_else(wrong);
    }
    let Value::Made { of, args, state } = p.get(id) else { return Err(wrong()) };
    let args = p.items(*args).unwrap_or_default();
    let (Some("numpy.dtype"), Some(&kind)) = (p.global(*of), args.first()) else { return Err(wrong()) };
    let Some(kind) = p.text(kind) else { return code(p, kind) };
    // The state is (version, order of bytes, …).
    let order = state.and_then(|s| p.items(s)).and_then(|s| p.text(*s.get(1)?)).unwrap_or("|");
    Ok(format!("{order}{kind}"))
}

fn shape(p: &Pickle, id: Id) -> Result<Vec<usize>, String> {
    let size = |id: &Id| match p.get(*id) {
        Value::Int(v) => usize::try_from(*v).ok(),
        _ => None,
    };
    let sizes = p.items(id).and_then(|items| items.iter().map(size).collect::<Option<Vec<_>>>());
    sizes.ok_or_else(|| "an array or signature of it has no shape".into())
}

/// Where the parts of an array are: type, shape, whether the first axis runs fastest, bytes.
struct Parts {
    code: String,
    shape: Vec<usize>,
    fortran: bool,
    bytes: Id,
}

/// From the state NumPy gives an array: (version, shape, type, Fortran's order, bytes), without a version in old files.
fn of_state(p: &Pickle, state: Option<Id>) -> Result<Parts, String> {
    let items = state.and_then(|s| p.items(s)).unwrap_or_default();
    let (&[_, size, kind, fortran, bytes] | &[size, kind, fortran, bytes]) = items else {
        return Err("an array of it has no state".into());
    };
    let fortran = matches!(p.get(fortran), Value::Bool(true));
    Ok(Parts { code: code(p, kind)?, shape: shape(p, size)?, fortran, bytes })
}

fn parts(p: &Pickle, of: Id, args: Id, state: Option<Id>) -> Result<Parts, String> {
    let args = p.items(args).unwrap_or_default();
    match (p.global(of), args) {
        (Some("numpy.core.multiarray._reconstruct"), _) => of_state(p, state),
        // The function and arguments that make the array, and its state.
        (
            Some("jax._src.array._reconstruct_array" | "jax._src.device_array.reconstruct_device_array"),
            &[_, _, inner, ..],
        ) => of_state(p, Some(inner)),
        (Some("numpy.core.numeric._frombuffer"), &[bytes, kind, size, order]) => {
            let fortran = p.text(order) == Some("F");
            Ok(Parts { code: code(p, kind)?, shape: shape(p, size)?, fortran, bytes })
        }
        (Some("numpy.core.multiarray.scalar"), &[kind, bytes]) => {
            Ok(Parts { code: code(p, kind)?, shape: Vec::new(), fortran: false, bytes })
        }
        (name, _) => Err(format!("it has {} where an array belongs", name.unwrap_or("something else"))),
    }
}

/// The array or number that a value is, with 64 bits narrowed to 32 as JAX does. Its bytes are taken out of `p`.
pub(super) fn tensor(p: &mut Pickle, id: Id) -> Result<Tensor, String> {
    let Parts { code, shape, fortran, bytes } = match p.get(id) {
        Value::Int(v) => {
            return i32::try_from(*v).map(Tensor::scalar).map_err(|_| format!("{v} does not fit in int32"));
        }
        Value::Float(v) => return Ok(Tensor::scalar(*v as f32)),
        Value::Made { of, args, state } => parts(p, *of, *args, *state)?,
        _ => return Err("it has something else where an array belongs".into()),
    };
    let mut bytes = p.take_bytes(bytes).ok_or("an array of it holds no numbers")?;
    let held = bytes.len();
    array(&code, fortran, shape, &mut bytes, held, Width::Trax)
}

/// What an array or number is; nothing for all else.
pub(super) fn described(p: &Pickle, id: Id) -> Option<Described> {
    let scalar = |dtype: &str| Some(Described { shape: Vec::new(), dtype: dtype.into(), bytes: 4 });
    match p.get(id) {
        Value::Int(_) => scalar("int32"),
        Value::Float(_) => scalar("float32"),
        Value::Made { of, args, state } => {
            let Parts { code, shape, .. } = parts(p, *of, *args, *state).ok()?;
            describe(&code, shape, Width::Trax).ok()
        }
        _ => None,
    }
}

/// The signatures that a value is: one, or a sequence of them.
pub(super) fn signatures(p: &Pickle, id: Id) -> Result<Vec<TensorSpec>, String> {
    match p.items(id) {
        Some(items) => items.iter().map(|id| signature(p, *id)).collect(),
        None => Ok(vec![signature(p, id)?]),
    }
}

fn signature(p: &Pickle, id: Id) -> Result<TensorSpec, String> {
    let wrong = || "it has something else where a signature belongs".to_string();
    let Value::Made { of, state: Some(state), .. } = p.get(id) else { return Err(wrong()) };
    // The state of an object with slots is (None, values by name).
    let (Some("trax.shapes.ShapeDtype"), Some(&[_, slots])) = (p.global(*of), p.items(*state)) else {
        return Err(wrong());
    };
    let (Some(size), Some(kind)) = (p.entry(slots, "shape"), p.entry(slots, "dtype")) else { return Err(wrong()) };
    let dtype = match code(p, kind)?.trim_start_matches(['<', '>', '|', '=']) {
        "f2" => DType::F16,
        "V2" => DType::BF16,
        "f4" | "f8" => DType::F32,
        "i4" | "i8" => DType::I32,
        "u4" => DType::U32,
        "u1" => DType::U8,
        "b1" => DType::Bool,
        other => return Err(format!("its signature has the type '{other}', which has no counterpart here")),
    };
    Ok(TensorSpec::new(shape(p, size)?, dtype))
}
