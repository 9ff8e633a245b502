//! Which tensor of a file goes where in a layer: decided by the header, before a single number is read.
//!
//! Weights go by name. Where a file is of the same layers in another arrangement, as a model in mode `'predict'` keeps its encoder in a
//! `Cache`, they go by their order, if each stands in a layer of the same name with the same shape. State takes the form it was
//! saved in, as far as the layer's state depends on what it was called on ([`StateForm`]).
use crate::{
    names::{named, paths, state_trees},
    safetensors_file::Reader,
    Error, Result,
};
use std::collections::{HashMap, HashSet};
use tallow_layers::{ErrorKind, LayerId, LayerRef, StateForm, Store, TensorSpec, Tree};
use tallow_tensor::Tensor;

/// Trees of places in a file, for each instance.
type Places = HashMap<LayerId, Tree<usize>>;

/// Which tensor of a file goes where.
#[derive(Debug)]
pub(crate) struct Plan {
    weights: Places,
    state: Option<Places>,
}

/// The weights of a file, and its state if that was wanted, for a layer.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) weights: Store,
    pub(crate) state: Option<Store>,
}

fn mismatch(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::WeightsMismatch, what)
}

/// How one says that one wants the state left out.
const WITHOUT_STATE: &str = "initFromFile with `weightsOnly: true` leaves the state out";

impl Plan {
    /// For a layer that holds such weights, and such state unless only weights are wanted.
    ///
    /// # Errors
    /// `NotInitialized` for a layer without weights; `WeightsMismatch` naming the first tensor that is missing, has another shape, or is in
    /// the file but not in the model; `Io` for what cannot be read.
    pub(crate) fn new(reader: &Reader, layer: &LayerRef, weights: &Store, state: Option<&Store>) -> Result<Self> {
        if weights.is_empty() {
            let what = format!("{} has no weights to load into; call init(signature) first", layer.base().name);
            return Err(Error::new(ErrorKind::NotInitialized, what));
        }
        let file = File { reader, places: reader.names().enumerate().map(|(i, name)| (name, i)).collect() };
        let instances = paths(layer);
        let weights = match file.weights_by_name(&instances, weights) {
            Ok(found) => found,
            Err(error) => file.weights_by_order(&instances, weights)?.ok_or(error)?,
        };
        let state = state.map(|state| file.state(&instances, state)).transpose()?;
        Ok(Self { weights, state })
    }
    /// Reads the tensors, each once and checked, and if `extra` those that are neither weights nor state.
    ///
    /// # Errors
    /// `Io` naming the path and the tensor; `OutOfMemory`.
    pub(crate) fn read(self, reader: &mut Reader, extra: bool) -> Result<(Loaded, HashMap<String, Tensor>)> {
        let trees = self.weights.values().chain(self.state.iter().flat_map(HashMap::values));
        let wanted: HashSet<usize> = trees.flat_map(Tree::leaves).copied().collect();
        let names: Vec<String> = reader.names().map(str::to_string).collect();
        reader.admit(wanted.iter().copied())?;
        let (mut read, mut rest) = (HashMap::new(), HashMap::new());
        for (i, name) in names.into_iter().enumerate() {
            if wanted.contains(&i) {
                read.insert(i, reader.tensor(i)?);
            } else if extra && !is_of("weights", &name) && !is_of("state", &name) {
                rest.insert(name, reader.tensor(i)?);
            }
        }
        let lost = || Error::new(ErrorKind::Internal, "a tensor that was planned for was not read");
        let store = |places: Places| {
            let tree = |(id, tree): (LayerId, Tree<usize>)| {
                Ok((id, tree.try_map(&mut |i| read.get(i).cloned().ok_or_else(lost))?))
            };
            places.into_iter().map(tree).collect::<Result<Store>>()
        };
        let loaded = Loaded { weights: store(self.weights)?, state: self.state.map(store).transpose()? };
        Ok((loaded, rest))
    }
}

/// Whether a name is that of a tensor of a kind.
fn is_of(kind: &str, name: &str) -> bool {
    name.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

struct File<'a> {
    reader: &'a Reader,
    places: HashMap<&'a str, usize>,
}

impl File<'_> {
    fn place(&self, name: &str) -> Result<usize> {
        let missing = || {
            match self.renamed(name) {
            Some((here, there, other)) => mismatch(format!(
                "the file has no tensor {name}, but {other}: the layer {here} of the model is {there} in the file; if its class has another \
                 name now, as a minifier gives it, say `static layerName = '{there}'` in the class, or give the option `name`"
            )),
            None => mismatch(format!("the file has no tensor {name}; was it saved from another model?")),
        }
        };
        self.places.get(name).copied().ok_or_else(missing)
    }
    /// Where the file has a tensor at the same place in layers of other names: the first of these in the model and in the file, and
    /// the tensor.
    fn renamed<'a>(&'a self, name: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
        let here = parts(name);
        let alike = |(a, b): (&Part, &Part)| match (a, b) {
            (Part::Layer(i, _), Part::Layer(j, _)) => i == j,
            (a, b) => a == b,
        };
        let same_place = |other: &&str| {
            let there = parts(other);
            is_of("weights", other) && there.len() == here.len() && here.iter().zip(&there).all(alike)
        };
        let other = self.places.keys().copied().filter(same_place).min()?;
        here.iter().zip(parts(other)).find_map(|(a, b)| match (a, b) {
            (Part::Layer(_, a), Part::Layer(_, b)) if *a != b => Some((*a, b, other)),
            _ => None,
        })
    }
    /// Refuses a tensor of another shape or type than the model's.
    fn check(&self, name: &str, i: usize, like: &Tensor) -> Result<()> {
        let (new, old) = (self.reader.spec(i)?, TensorSpec::of(like));
        if new == old {
            return Ok(());
        }
        Err(mismatch(format!("{name} is {new} in the file, but {old} in the model")))
    }
    fn weights_by_name(&self, instances: &[(LayerRef, String)], weights: &Store) -> Result<Places> {
        let mut found = Places::new();
        let mut taken = HashSet::new();
        for (layer, path) in instances {
            let Some(tree) = weights.get(&layer.base().id) else { continue };
            let names = named(tree, &format!("weights{path}"));
            let places = names.try_map(&mut |name| self.place(name))?;
            for ((name, i), old) in names.leaves().into_iter().zip(places.leaves()).zip(tree.leaves()) {
                self.check(name, *i, old)?;
                taken.insert(*i);
            }
            found.insert(layer.base().id, places);
        }
        let left = self.reader.names().enumerate().filter(|(i, n)| is_of("weights", n) && !taken.contains(i));
        match left.map(|(_, name)| name).min() {
            Some(name) => Err(mismatch(format!("the file has a tensor {name} that the model has not"))),
            None => Ok(found),
        }
    }
    /// The weights in the order of the layers; `None` unless as many stand in layers of the same names with the same shapes.
    fn weights_by_order(&self, instances: &[(LayerRef, String)], weights: &Store) -> Result<Option<Places>> {
        let mut names: Vec<(Vec<Part>, usize)> =
            self.reader.names().enumerate().filter(|(_, n)| is_of("weights", n)).map(|(i, n)| (parts(n), i)).collect();
        names.sort();
        let mut in_file = names.into_iter();
        let mut found = Places::new();
        for (layer, path) in instances {
            let Some(tree) = weights.get(&layer.base().id) else { continue };
            let own_names = named(tree, &format!("weights{path}"));
            let mut places = HashMap::new();
            for (name, old) in own_names.leaves().into_iter().zip(tree.leaves()) {
                let Some((there, i)) = in_file.next() else { return Ok(None) };
                if innermost(&there) != innermost(&parts(name)) || self.reader.spec(i)? != TensorSpec::of(old) {
                    return Ok(None);
                }
                places.insert(name.clone(), i);
            }
            let places = own_names.try_map(&mut |name| places.get(name).copied().ok_or(()));
            let Ok(places) = places else { return Ok(None) };
            found.insert(layer.base().id, places);
        }
        Ok(in_file.next().is_none().then_some(found))
    }
    fn state(&self, instances: &[(LayerRef, String)], state: &Store) -> Result<Places> {
        let trees = state_trees(self.reader)?;
        let mut found = Places::new();
        let mut taken = HashSet::new();
        for (layer, path) in instances {
            let (id, like) = (layer.base().id, state.get(&layer.base().id));
            let prefix = format!("state{path}");
            let saved = match &trees {
                Some(trees) => {
                    let place = |name: &String| {
                        let missing = || self.reader.damaged(&format!("it lacks the tensor {name}"));
                        self.places.get(name.as_str()).copied().ok_or_else(missing)
                    };
                    trees.get(path).map(|t| named(t, &prefix).try_map(&mut |n| place(n))).transpose()?
                }
                // An older file says nothing of structure: it is that of the layer, if the names are.
                None => {
                    let found = self.by_names(&prefix);
                    let count = found.as_ref().map_or(0, |t| t.leaves().len());
                    let as_held = like.and_then(|t| named(t, &prefix).try_map(&mut |n| self.place(n)).ok());
                    as_held.filter(|t| t.leaves().len() == count).or(found)
                }
            };
            let saved = saved.unwrap_or(Tree::EMPTY);
            self.check_state(&prefix, layer.state_form(), like.unwrap_or(&Tree::EMPTY), &saved)?;
            taken.extend(saved.leaves().into_iter().copied());
            if like.is_some() || !saved.is_empty() {
                found.insert(id, saved);
            }
        }
        let left = self.reader.names().enumerate().filter(|(i, n)| is_of("state", n) && !taken.contains(i));
        match left.map(|(_, name)| name).min() {
            Some(name) => {
                Err(mismatch(format!("the file has a tensor {name} that the model has not; {WITHOUT_STATE}")))
            }
            None => Ok(found),
        }
    }
    /// Refuses a state that differs from what the layer holds in more than follows from calls.
    fn check_state(&self, prefix: &str, form: StateForm, like: &Tree<Tensor>, saved: &Tree<usize>) -> Result<()> {
        if form == StateForm::Open {
            return Ok(());
        }
        let names = named(like, prefix);
        let (names, old, new) = (names.leaves(), like.leaves(), saved.leaves());
        if let Some(name) = names.get(new.len()) {
            return Err(mismatch(format!("the file has no tensor {name}; {WITHOUT_STATE}")));
        }
        if new.len() > old.len() {
            let what =
                format!("the file has {} tensors of {prefix}, but the model {}; {WITHOUT_STATE}", new.len(), old.len());
            return Err(mismatch(what));
        }
        for ((name, old), i) in names.into_iter().zip(old).zip(new) {
            let (old, new) = (TensorSpec::of(old), self.reader.spec(*i)?);
            let alike = if form == StateForm::Sized { new.rank() == old.rank() } else { new.shape == old.shape };
            if !alike || new.dtype.is_float() != old.dtype.is_float() {
                return Err(mismatch(format!("{name} is {new} in the file, but {old} in the model; {WITHOUT_STATE}")));
            }
        }
        Ok(())
    }
    /// The tree that names below `prefix` describe, apart from those of sublayers; `None` if there are none.
    fn by_names(&self, prefix: &str) -> Option<Tree<usize>> {
        if let Some(i) = self.places.get(prefix) {
            return Some(Tree::Leaf(*i));
        }
        let start = format!("{prefix}/");
        let below = self.places.keys().filter_map(|name| name.strip_prefix(&start)?.split('/').next());
        let mut keys: Vec<&str> = below.filter(|k| !matches!(part(k), Part::Layer(..))).collect();
        keys.sort_by(|a, b| part(a).cmp(&part(b)));
        keys.dedup();
        let trees: Vec<_> = keys.iter().filter_map(|k| self.by_names(&format!("{start}{k}"))).collect();
        let numbered = keys.iter().enumerate().all(|(i, k)| *k == i.to_string());
        let unescaped = |k: &&str| k.replace("~1", "/").replace("~0", "~");
        match (trees.is_empty(), numbered) {
            (true, _) => None,
            (_, true) => Some(Tree::Tuple(trees)),
            _ => Some(Tree::Dict(keys.iter().map(unescaped).zip(trees).collect())),
        }
    }
}

/// One part of a name: a place in a layer's own tree, or a layer by its position and name. In this order they are met: a layer's own
/// tensors first, then those of its sublayers.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Number(usize),
    Key(&'a str),
    Layer(usize, &'a str),
}

fn part(text: &str) -> Part<'_> {
    match text.split_once('.') {
        None => text.parse().map_or(Part::Key(text), Part::Number),
        Some((at, name)) => at.parse().map_or(Part::Key(text), |at| Part::Layer(at, name)),
    }
}

fn parts(name: &str) -> Vec<Part<'_>> {
    name.split('/').skip(1).map(part).collect()
}

/// The innermost layer that a name leads to, and the place in its own tree.
fn innermost<'a, 'b>(parts: &'b [Part<'a>]) -> (Option<&'a str>, &'b [Part<'a>]) {
    let at = parts.iter().rposition(|p| matches!(p, Part::Layer(..)));
    let name = at.and_then(|at| match &parts[at] {
        Part::Layer(_, name) => Some(*name),
        _ => None,
    });
    (name, &parts[at.map_or(0, |at| at + 1)..])
}
