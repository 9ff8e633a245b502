//! Which tensor of a file goes where in a layer: decided by the header, before a single number is read.
//!
//! Weights go by name. A file of a layer around this one, as a model with its loss, is looked at below that. Where a file is of the same
//! layers in another arrangement, as a model in mode `'predict'` keeps its encoder in a `Cache`, weights go by their order, if each stands in
//! a layer of the same name with the same shape. State takes the form it was saved in, as far as the layer's state depends on what it
//! was called on ([`tallow_layers::StateForm`]).
mod parts;
mod place;
mod report;
mod view;

pub(crate) use report::is_of;
pub use report::{LoadReport, Mismatch};

use crate::{
    names::{nearest, paths},
    quantized_file::Matrices,
    safetensors_file::Reader,
    Error, Result,
};
use std::collections::{BTreeSet, HashMap, HashSet};
use tallow_layers::{ErrorKind, LayerId, LayerRef, Store, Tree};
use tallow_tensor::Tensor;
use {
    place::{Place, Places},
    view::View,
};

/// Which tensor of a file goes where.
#[derive(Debug)]
pub(crate) struct Plan {
    weights: Places,
    state: Option<Places>,
    report: LoadReport,
}

/// The weights of a file, and its state if that was wanted, for a layer.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) weights: Store,
    pub(crate) state: Option<Store>,
}

/// What of a file is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Whether all must fit; else what fits is taken, and the rest of the layer stays.
    pub(crate) strict: bool,
    /// The path of the layer in the file that is read; `None`: the whole file, or the layer in it that is this one.
    pub(crate) prefix: Option<&'a str>,
}

/// All of it.
pub(crate) const WHOLE: Wanted<'static> = Wanted { strict: true, prefix: None };

impl Plan {
    /// For a layer that holds such weights, and such state unless only weights are wanted.
    ///
    /// # Errors
    /// `NotInitialized` for a layer without weights; `InvalidOption` for a prefix that the file has not; `WeightsMismatch` with a list of the
    /// tensors that are missing, have another shape, or are in the file but not in the model, if all must fit; `Io` for what cannot be read.
    pub(crate) fn new(
        reader: &Reader,
        layer: &LayerRef,
        weights: &Store,
        state: Option<&Store>,
        wanted: Wanted<'_>,
    ) -> Result<Self> {
        if weights.is_empty() {
            let what = format!("{} has no weights to load into; call init(signature) first", layer.base().name);
            return Err(Error::new(ErrorKind::NotInitialized, what));
        }
        let instances = paths(layer);
        let (view, mut places, mut report) = match wanted.prefix {
            Some(prefix) => {
                let view = View::below(reader, prefix)?;
                if view.is_empty() {
                    return Err(no_prefix(reader, prefix));
                }
                let (places, report) = view.weights(&instances, weights)?;
                (view, places, report)
            }
            None => best(reader, layer, &instances, weights)?,
        };
        if !report.fits() {
            if let Some((ordered, all)) = view.weights_by_order(&instances, weights)? {
                (places, report) = (ordered, all);
            }
        }
        let state = match state {
            Some(state) => {
                let (places, of_state) = view.state(&instances, state)?;
                report.extend(of_state);
                Some(places)
            }
            None => None,
        };
        if wanted.strict {
            if let Some(error) = report.refusal(|name| view.why_missing(name)) {
                return Err(error);
            }
        }
        Ok(Self { weights: places, state, report })
    }
    /// Reads the tensors, each once and checked, and if `extra` those that are neither weights nor state.
    ///
    /// # Errors
    /// `Io` naming the path and the tensor; `OutOfMemory`.
    pub(crate) fn read(
        self,
        reader: &mut Reader,
        extra: bool,
    ) -> Result<(Loaded, HashMap<String, Tensor>, LoadReport)> {
        let trees = self.weights.values().chain(self.state.iter().flat_map(HashMap::values));
        let in_file = |place: &Place| match place {
            Place::File(i) => Some(*i),
            Place::Held(_) => None,
        };
        let wanted: HashSet<usize> = trees.flat_map(Tree::leaves).filter_map(in_file).collect();
        let names: Vec<String> = reader.names().map(str::to_string).collect();
        let matrices = Matrices::of(reader)?;
        // Quantized weights are read one after another, and take less than the types they are read in.
        reader.admit(wanted.iter().copied().filter(|i| !matrices.has(*i)))?;
        let (mut read, mut rest) = (HashMap::new(), HashMap::new());
        for (i, name) in names.into_iter().enumerate() {
            if wanted.contains(&i) {
                let tree = match matrices.read(reader, i)? {
                    Some(matrix) => Tree::Quantized(matrix),
                    None => Tree::Leaf(reader.tensor(i)?),
                };
                read.insert(i, tree);
            } else if extra && !is_of("weights", &name) && !is_of("state", &name) {
                rest.insert(name, reader.tensor(i)?);
            }
        }
        let lost = || Error::new(ErrorKind::Internal, "a tensor that was planned for was not read");
        let tensor = |place: &Place| match place {
            Place::File(i) => read.get(i).cloned().ok_or_else(lost),
            Place::Held(t) => Ok(Tree::Leaf(t.clone())),
        };
        let store = |places: Places| {
            let tree = |(id, tree): (LayerId, Tree<Place>)| Ok((id, tree.try_replaced(&mut |p| tensor(p))?));
            places.into_iter().map(tree).collect::<Result<Store>>()
        };
        let loaded = Loaded { weights: store(self.weights)?, state: self.state.map(store).transpose()? };
        Ok((loaded, rest, self.report))
    }
}

/// The view of a file that gives a layer's weights: of all of it, or of the layer in it that is this one, if all of the file's weights stand
/// below it. The first that fits, or else that from which most is taken.
fn best<'a>(
    reader: &'a Reader,
    layer: &LayerRef,
    instances: &[(LayerRef, String)],
    weights: &Store,
) -> Result<(View<'a>, Places, LoadReport)> {
    let whole = View::below(reader, "")?;
    let mut way = whole.only_way();
    let (places, report) = whole.weights(instances, weights)?;
    let mut best = (whole, places, report);
    while let Some(prefix) = way.filter(|_| !best.2.fits()) {
        let view = View::below(reader, &prefix)?;
        way = view.only_way();
        // Of the same name, as a layer's own is nowhere in the names of its tensors.
        if view.name() == Some(&layer.base().name) {
            let (places, report) = view.weights(instances, weights)?;
            if report.fits() || report.taken.len() > best.2.taken.len() {
                best = (view, places, report);
            }
        }
    }
    Ok(best)
}

fn no_prefix(reader: &Reader, prefix: &str) -> Error {
    let mut paths = BTreeSet::new();
    for name in reader.names().filter(|n| is_of("weights", n) || is_of("state", n)) {
        let path = name.split_once('/').map_or("", |(_, path)| path);
        paths.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
    }
    let near = nearest(prefix, &paths.into_iter().collect::<Vec<_>>()).join(", ");
    let near = if near.is_empty() { "it has no layers".into() } else { format!("the nearest are {near}") };
    Error::option(format!(
        "initFromFile: `prefix` must be the path of a layer in the file, and '{prefix}' is none; {near}"
    ))
}
