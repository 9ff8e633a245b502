//! Files that a layer is saved to and initialized from: our own, and Trax's.
use crate::{
    checkpoint::{save, Part},
    fitting::{LoadReport, Loaded, Plan, Wanted},
    names::{named, nearest, paths},
    safetensors_file::Reader,
    trax_file, Error, Result,
};
use serde_json::json;
use std::{collections::HashMap, io::Read, path::Path};
use tallow_layers::{
    files::open_regular, held, hold, init, init_signature, options, refuse_shared, requantized, shown, view_state,
    view_weights, ErrorKind, LayerRef, StateForm, Store, TensorSpec, Tree,
};
use tallow_tensor::{random::Key, DType, Tensor};

/// The key of the metadata that holds what the layer was initialized for.
const SIGNATURE: &str = "inputSignature";

options! {
    /// How a file is read into a layer.
    pub struct LoadOptions for "initFromFile" () {
        /// Whether all of the file must fit all of the layer; else what fits is taken, and the rest of the layer stays.
        strict "strict": bool = true,
        /// Path of the layer in the file that is read, of positions and names: `0.Serial/2.Dense_128`.
        prefix "prefix": Option<String> = None,
        /// Path of the layer within this one that is read into.
        into "into": Option<String> = None,
    }
}

/// Saves the weights, and unless `weights_only` the state, that `layer` and everything below it hold, and the signature of the
/// inputs they are for, as safetensors; with patterns, only the weights that these match.
///
/// # Errors
/// `Io`, with the old file untouched; `NotInitialized` for a layer that holds nothing; those of [`crate::matching`].
pub fn save_to_file(
    path: &Path,
    layer: &LayerRef,
    weights_only: bool,
    patterns: Option<&[String]>,
    signature: Option<&[TensorSpec]>,
) -> Result<()> {
    let of = |s: &TensorSpec| (s.shape.clone(), s.dtype.name());
    let signature = signature.map(|s| json!(s.iter().map(of).collect::<Vec<_>>()).to_string());
    let part = match patterns {
        Some(patterns) => Part::Matching(patterns),
        None if weights_only => Part::Weights,
        None => Part::All,
    };
    save(path, layer, part, Vec::new(), signature.map(|s| (SIGNATURE.to_string(), s)).into_iter().collect())
}

/// The signature that our own files have in their metadata, if any.
pub(crate) fn signature_in(file: &Reader) -> Result<Option<Vec<TensorSpec>>> {
    let Some(text) = file.metadata.get(SIGNATURE) else { return Ok(None) };
    let bad = |e: &dyn std::fmt::Display| file.damaged(&format!("its signature is damaged: {e}"));
    let specs: Vec<(Vec<usize>, String)> = serde_json::from_str(text).map_err(|e| bad(&e))?;
    let spec = |(shape, dtype): (Vec<usize>, String)| Ok(TensorSpec::new(shape, DType::parse(&dtype)?));
    specs.into_iter().map(spec).collect::<tallow_tensor::Result<_>>().map(Some).map_err(|e| bad(&e))
}

/// Sets the weights, and unless `weights_only` the state, of a layer from a file that [`save_to_file`] or Trax wrote. All or nothing.
///
/// A layer that holds nothing yet is initialized first, for `signature` or that in the file; one that does, only for `signature`.
/// The file's kind is told by its content. Trax's flat lists are matched by their order, and every shape and type is checked. Nothing is
/// initialized for a file that cannot be read, and no more is unpacked of one than such a model's checkpoint holds. Weights that are quantized in the file
/// are so in the layer; float32 ones are quantized where the layer's are.
///
/// # Errors
/// `Io` for a file that is missing, no regular file, truncated, corrupt, of neither kind, or that refers to anything a checkpoint does not;
/// `NotInitialized` for a layer that holds nothing where there is no signature; `InvalidOption` for a path that leads to no layer, or names
/// asked for of a file that has none; unless `options` say otherwise `WeightsMismatch` naming the tensors that are missing, have another shape
/// or type, or are in the file but not in the model; `InvalidArgument` for a layer whose weights can only be read.
pub fn init_from_file(
    path: &Path,
    layer: &LayerRef,
    weights_only: bool,
    signature: Option<&[TensorSpec]>,
    key: Key,
    options: &LoadOptions,
) -> Result<LoadReport> {
    refuse_shared("initFromFile", layer)?;
    let (mut file, _) = open_regular(path)?;
    let mut start = [0; 2];
    let of_trax = file.read_exact(&mut start).is_ok() && trax_file::is_gzip(&start);
    drop(file);
    let way = options.into.as_deref();
    let target = way.map_or(Ok(layer.clone()), |way| part_at(layer, way))?;
    let (now, now_state) = held(layer);
    let before = now.clone();
    // What a file says of its layer's inputs is not what the layers around it take.
    let bare = now.is_empty() && signature.is_none() && way.is_none();
    // What would be drawn is replaced where the file must have all of it.
    let make = if options.strict && way.is_none() && !weights_only { init_signature } else { init };
    let ready = |of_file: Option<Vec<TensorSpec>>| match signature.or(of_file.as_deref().filter(|_| bare)) {
        Some(signature) => make(layer, signature, key).and_then(|(weights, state)| Ok((weights, shown(state)?))),
        None => Ok((now, shown(now_state)?)),
    };
    let part = |store: Store| part_of(store, &target, layer);
    let (loaded, around, report) = if of_trax {
        if !options.strict || options.prefix.is_some() {
            let what = "initFromFile: checkpoints of Trax have no names, only an order, so `strict: false` and `prefix` cannot be told by them; \
                        load all of it into a model of the same layers, and save that";
            return Err(Error::option(what));
        }
        let in_file = if bare { trax_file::signature(path)? } else { None };
        // Checkpoints of a training loop may name a whole batch.
        let (weights, state) = ready(in_file.map(|s| s.into_iter().take(layer.arity().n_in).collect()))?;
        let ((weights, weights_around), (state, state_around)) = (part(weights), part(state));
        let weights = shown(weights)?;
        if weights.is_empty() {
            return Err(uninitialized(&target));
        }
        let file = trax_file::read(path, !weights_only, elements(&weights), elements(&state))?;
        let weights =
            in_order("weights", &target, weights, |layer, store| Ok(view_weights(layer, store)), file.weights)?;
        let state = match file.state {
            Some(new) => in_order("state", &target, state, view_state, new)?,
            None if weights_only => state,
            None => {
                let what = "the file has no state, only weights; load it with `weightsOnly: true`";
                return Err(Error::new(ErrorKind::WeightsMismatch, what));
            }
        };
        (Loaded { weights, state: Some(state) }, (weights_around, state_around), LoadReport::default())
    } else {
        let mut file = Reader::open(path)?;
        let (weights, state) = ready(signature_in(&file)?)?;
        let ((weights, weights_around), (state, state_around)) = (part(weights), part(state));
        let weights = shown(weights)?;
        let prefix = options.prefix.as_deref().map(|p| p.trim_matches('/'));
        let wanted = Wanted { strict: options.strict, prefix };
        let plan = Plan::new(&file, &target, &weights, Some(&state).filter(|_| !weights_only), wanted)?;
        // Weights that were only just made are in nobody's way while the others are read.
        drop(weights);
        let (loaded, _, report) = plan.read(&mut file, false)?;
        let loaded = Loaded { state: loaded.state.or(Some(state)), ..loaded };
        (loaded, (weights_around, state_around), report)
    };
    let weights = requantized(&target, loaded.weights, &before)?;
    hold(layer, Some(&around.0), Some(&around.1));
    hold(&target, Some(&weights), loaded.state.as_ref());
    Ok(way.map_or(report.clone(), |way| report.within(way.trim_matches('/'))))
}

/// The layer within another that a path leads to.
///
/// # Errors
/// `InvalidOption` with the nearest paths.
fn part_at(layer: &LayerRef, way: &str) -> Result<LayerRef> {
    let all = paths(layer);
    let wanted = way.trim_matches('/');
    match all.iter().find(|(_, path)| path.trim_matches('/') == wanted) {
        Some((part, _)) => Ok(part.clone()),
        None => {
            let known: Vec<&str> =
                all.iter().map(|(_, path)| path.trim_matches('/')).filter(|p| !p.is_empty()).collect();
            let near = nearest(wanted, &known).join(", ");
            let near = if near.is_empty() { "it has no sublayers".into() } else { format!("the nearest are {near}") };
            let what = format!(
                "initFromFile: `into` must be the path of a layer in {}, and '{way}' is none; {near}",
                layer.base().name
            );
            Err(Error::option(what))
        }
    }
}

/// What of a store belongs to `part`, and what to the layers around it.
fn part_of(mut store: Store, part: &LayerRef, layer: &LayerRef) -> (Store, Store) {
    if part.base().id == layer.base().id {
        return (store, Store::new());
    }
    let own = paths(part).into_iter().filter_map(|(l, _)| store.remove_entry(&l.base().id)).collect();
    (own, store)
}

/// The number of elements in a store.
fn elements(store: &Store) -> u64 {
    store.values().flat_map(Tree::leaves).map(|t| t.size() as u64).sum()
}

fn uninitialized(layer: &LayerRef) -> Error {
    let what = format!("{} has no weights to load into; call init(signature) first", layer.base().name);
    Error::new(ErrorKind::NotInitialized, what)
}

/// A store with its leaves replaced, in the order of Trax's nested tuples.
fn in_order(
    kind: &str,
    layer: &LayerRef,
    store: Store,
    view: fn(&LayerRef, &Store) -> Result<Tree<Tensor>>,
    new: Vec<Tensor>,
) -> Result<Store> {
    // A view does not say whose its leaves are, so numbers stand in for them.
    let mut numbered = Store::new();
    let mut places: HashMap<usize, (String, TensorSpec, StateForm)> = HashMap::new();
    for (owner, path) in paths(layer) {
        let id = owner.base().id;
        let form = if kind == "state" { owner.state_form() } else { StateForm::Fixed };
        let Some(tree) = store.get(&id) else { continue };
        let mut next = places.len();
        let numbers = tree.map(&mut |_| {
            next += 1;
            Tensor::scalar((next - 1) as i64)
        });
        let names = named(tree, &format!("{kind}{path}"));
        for ((name, number), old) in names.leaves().into_iter().zip(numbers.leaves()).zip(tree.leaves()) {
            places.insert(number.item()? as usize, (name.clone(), TensorSpec::of(old), form));
        }
        numbered.insert(id, numbers);
    }
    let wrong = |what: String| Error::new(ErrorKind::WeightsMismatch, what);
    let view = view(layer, &numbered)?;
    let (order, count) = (view.leaves(), new.len());
    let mut found: HashMap<usize, Tensor> = HashMap::new();
    for (place, tensor) in order.iter().zip(new) {
        let place = place.item()? as usize;
        let tensor = match places.get(&place) {
            Some((_, old, _)) => like_now(tensor, old)?,
            None => tensor,
        };
        let spec = TensorSpec::of(&tensor);
        let fits = |old: &TensorSpec, form| match form {
            StateForm::Fixed => spec == *old,
            StateForm::Sized => spec.dtype == old.dtype && spec.rank() == old.rank(),
            StateForm::Open => true,
        };
        if let Some((name, old, _)) = places.get(&place).filter(|(_, old, form)| !fits(old, *form)) {
            return Err(wrong(format!("{name} is {old} in the model, but {spec} stands in its place in the file")));
        }
        found.insert(place, tensor);
    }
    if count != order.len() {
        return Err(wrong(format!("the file has {count} tensors of {kind}, but the model has {}", order.len())));
    }
    let replaced = |id, tree: &Tree<Tensor>| {
        let tree = tree.try_map(&mut |number: &Tensor| {
            let missing = || Error::new(ErrorKind::Internal, "a leaf is missing in the view of its layer");
            found.get(&(number.item()? as usize)).cloned().ok_or_else(missing)
        })?;
        Ok((id, tree))
    };
    numbered.iter().map(|(id, tree)| replaced(*id, tree)).collect()
}

/// Older checkpoints have an axis of 1 in front of some weights, such as those of `PositionalEncoding`.
fn like_now(tensor: Tensor, now: &TensorSpec) -> Result<Tensor> {
    match tensor.shape() {
        [1, rest @ ..] if rest == now.shape => Ok(tensor.reshape(&now.shape)?),
        _ => Ok(tensor),
    }
}
