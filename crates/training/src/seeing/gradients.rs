//! Gradients of layers and functions, held against differences.
use crate::{
    names::{named, paths},
    Error, Result,
};
use tallow_layers::{
    call, ensure_state, held, options, pure_fn, refuse_quantized, Dim, ErrorKind, HostFnRef, HostValue, KeyArg,
    LayerId, LayerRef, Positive, Store, TensorSpec, Tree,
};
use tallow_tensor::{
    gradient_check::{compare, Compared, Plan},
    no_grad,
    random::Key,
    DType, Tensor,
};

options! {
    /// How gradients are held against differences.
    pub struct CheckGradientsOptions for "checkGradients" () {
        /// How far an input or weight is moved to either side; `null`: 1e-5 in float64, 1e-2 in float32.
        eps "eps": Option<Positive> = None,
        /// The greatest error, relative to derivatives above 1; `null`: 1e-4 in float64, 2e-2 in float32.
        tolerance "tolerance": Option<Positive> = None,
        /// The most elements of an input or weight that are moved one by one.
        coordinates "coordinates": Dim = Dim(16),
        /// Key of the calls and of the random directions; `null`: that of the layer.
        rng "rng": Option<KeyArg> = None,
    }
}

/// The comparison with the greatest error.
#[derive(Debug, Clone, PartialEq)]
pub struct Worst {
    /// `inputs/0`, or `weights/` and the name of the weight.
    pub path: String,
    /// The element that was moved; `None` for a random direction.
    pub index: Option<Vec<usize>>,
    /// The derivative by autodiff.
    pub analytic: f64,
    /// The derivative by differences.
    pub numeric: f64,
}

/// How gradients compare with differences.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientReport {
    /// Whether no error is above the tolerance.
    pub ok: bool,
    /// The greatest error: the difference of the derivatives over `max(1, |numeric|)`.
    pub max_error: f64,
    /// Where that is.
    pub worst: Worst,
    /// How many derivatives were compared.
    pub compared: usize,
    /// What was computed in.
    pub precision: DType,
}

/// What computes outputs of values: inputs, then weights.
type Compute<'a> = &'a dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>;

/// Holds the gradients of a layer, by its inputs and by its weights, against differences.
///
/// # Errors
/// Those of the layer; `InvalidArgument` if there is nothing to differentiate.
pub fn check_layer(layer: &LayerRef, xs: &[Tensor], o: &CheckGradientsOptions) -> Result<GradientReport> {
    let key = o.rng.as_ref().map(|k| k.0).or_else(|| layer.base().slot.key()).unwrap_or(Key::new(0));
    // What the layer does not take, or that it is not initialized, it says itself.
    no_grad(|| call(layer, xs.to_vec(), key).map(drop))?;
    refuse_quantized("checkGradients", layer)?;
    let (weights, state) = held(layer);
    let inputs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
    let state = ensure_state(layer, state, &inputs, key)?;
    let mut names: Vec<String> = (0..xs.len()).map(|i| format!("inputs/{i}")).collect();
    let mut values = xs.to_vec();
    let mut trees: Vec<(LayerId, &Tree<Tensor>)> = Vec::new();
    for (layer, path) in paths(layer) {
        let Some(tree) = weights.get(&layer.base().id) else { continue };
        trees.push((layer.base().id, tree));
        named(tree, &format!("weights{path}")).map(&mut |name| names.push(name.clone()));
        tree.map(&mut |t| values.push(t.clone()));
    }
    let compute = |values: &[Tensor]| {
        let (xs, of_weights) = values.split_at(xs.len());
        let mut rest = of_weights.iter();
        let mut put = |t: &Tensor| rest.next().unwrap_or(t).clone();
        let moved: Store = trees.iter().map(|(id, tree)| (*id, tree.map(&mut put))).collect();
        let dtype = values.iter().map(Tensor::dtype).find(|d| d.is_float()).unwrap_or(DType::F32);
        let state = state.iter().map(|(id, tree)| Ok((*id, tree.try_map(&mut |t| in_dtype(t, dtype))?)));
        pure_fn(layer, xs.to_vec(), &moved, state.collect::<Result<_>>()?, key).map(|(ys, _)| ys)
    };
    check(&compute, &names, &values, key, o, &layer.base().name)
}

/// Holds the gradients of a function of tensors, by all of them, against differences.
///
/// # Errors
/// Those of the function; `DTypeMismatch` if it returns no tensors, `InvalidArgument` if there is nothing to differentiate.
pub fn check_function(f: &HostFnRef, xs: &[Tensor], o: &CheckGradientsOptions) -> Result<GradientReport> {
    let paths: Vec<String> = (0..xs.len()).map(|i| format!("inputs/{i}")).collect();
    let compute = |values: &[Tensor]| {
        let args: Vec<HostValue> = values.iter().cloned().map(HostValue::Tensor).collect();
        f.call(&args)?.into_tensors()
    };
    check(&compute, &paths, xs, o.rng.as_ref().map_or(Key::new(0), |k| k.0), o, "checkGradients")
}

fn in_dtype(t: &Tensor, dtype: DType) -> Result<Tensor> {
    Ok(if t.dtype().is_float() { t.detach().cast(dtype)? } else { t.detach() })
}

fn all_in(values: &[Tensor], dtype: DType) -> Result<Vec<Tensor>> {
    values.iter().map(|t| in_dtype(t, dtype)).collect()
}

/// Whether all that is float among the outputs is float64 where all inputs are: then so is what was computed.
fn stays_in_f64(compute: Compute, values: &[Tensor]) -> Result<bool> {
    let ys = no_grad(|| compute(&all_in(values, DType::F64)?))?;
    Ok(ys.iter().all(|y| !y.dtype().is_float() || y.dtype() == DType::F64))
}

fn check(
    compute: Compute,
    paths: &[String],
    values: &[Tensor],
    key: Key,
    o: &CheckGradientsOptions,
    name: &str,
) -> Result<GradientReport> {
    let precision = if stays_in_f64(compute, values).unwrap_or(false) { DType::F64 } else { DType::F32 };
    let values = all_in(values, precision)?;
    let outputs = no_grad(|| compute(&values))?;
    for (what, tensors) in [("input", &values), ("output", &outputs)] {
        if !tensors.iter().any(|t| t.dtype().is_float() && t.size() > 0) {
            let why = format!("{name}: there is no gradient to check, as no {what} is a tensor of floats with values");
            return Err(Error::new(ErrorKind::InvalidArgument, why));
        }
    }
    let (eps, tolerance) = if precision == DType::F64 { (1e-5, 1e-4) } else { (1e-2, 2e-2) };
    let plan = Plan { step: o.eps.as_ref().map_or(eps, |e| e.0), coordinates: o.coordinates.0, key };
    let mut compared = 0;
    let mut worst: Option<(f64, Compared)> = None;
    compare(
        |xs| compute(xs).map_err(tallow_tensor::Error::from),
        &values,
        plan,
        |c| {
            compared += 1;
            let error = (c.analytic - c.numeric).abs() / c.numeric.abs().max(1.0);
            // Where either is no number the error is none, which is worse than any.
            let error = if error.is_nan() { f64::INFINITY } else { error };
            if worst.as_ref().is_none_or(|(most, _)| error > *most) {
                worst = Some((error, c));
            }
            true
        },
    )?;
    let nothing = || Error::new(ErrorKind::InvalidArgument, format!("{name}: there is no gradient to check"));
    let (max_error, c) = worst.ok_or_else(nothing)?;
    let path = paths.get(c.input).cloned().unwrap_or_default();
    Ok(GradientReport {
        ok: max_error <= o.tolerance.as_ref().map_or(tolerance, |t| t.0),
        max_error,
        worst: Worst { path, index: c.place, analytic: c.analytic, numeric: c.numeric },
        compared,
        precision,
    })
}
