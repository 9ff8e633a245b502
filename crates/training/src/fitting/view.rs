//! A file as a layer sees it: its tensors by the names that the layer has for them.
use super::{
    parts::{innermost, part, parts, Part},
    place::{Place, Places},
    report::{is_of, LoadReport, Mismatch},
};
use crate::{
    names::{named, state_trees},
    quantized_file::Matrices,
    safetensors_file::Reader,
    Result,
};
use std::collections::{HashMap, HashSet};
use tallow_layers::{LayerRef, StateForm, Store, TensorSpec, Tree};
use tallow_tensor::Tensor;

/// The weights and state of a file, or those below a layer in it.
#[derive(Debug)]
pub(super) struct View<'a> {
    reader: &'a Reader,
    /// The path of the layer; empty for the whole file.
    prefix: String,
    /// Places in the file by name, as it is below the layer.
    places: HashMap<String, usize>,
    /// Its quantized weights.
    matrices: Matrices,
    /// Trees of the state by path, in files that tell.
    trees: Option<HashMap<String, Tree<()>>>,
}

impl<'a> View<'a> {
    pub(super) fn below(reader: &'a Reader, prefix: &str) -> Result<Self> {
        let way = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        let rest =
            |path: &str| path.strip_prefix(&way).filter(|r| r.is_empty() || r.starts_with('/')).map(str::to_string);
        let own = |(i, name): (usize, &str)| {
            let kind = ["weights", "state"].into_iter().find(|kind| is_of(kind, name))?;
            Some((format!("{kind}{}", rest(&name[kind.len()..])?), i))
        };
        let places = reader.names().enumerate().filter_map(own).collect();
        let trees = state_trees(reader)?;
        let trees = trees.map(|t| t.into_iter().filter_map(|(path, tree)| Some((rest(&path)?, tree))).collect());
        Ok(Self { reader, prefix: prefix.to_string(), places, matrices: Matrices::of(reader)?, trees })
    }
    /// Whether there is nothing below the layer.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
    /// The name of the layer.
    pub(super) fn name(&self) -> Option<&str> {
        self.prefix.rsplit('/').next()?.split_once('.').map(|(_, name)| name)
    }
    /// The path of the one layer in this one that all weights stand below.
    pub(super) fn only_way(&self) -> Option<String> {
        let first = |name: &'_ String| name.split('/').nth(1).map(str::to_string);
        let mut firsts = self.places.keys().filter(|n| is_of("weights", n)).map(first);
        let one = firsts.next()??;
        let layer = matches!(part(&one), Part::Layer(..)) && firsts.all(|other| other.as_ref() == Some(&one));
        let way = if self.prefix.is_empty() { one } else { format!("{}/{one}", self.prefix) };
        layer.then_some(way)
    }
    /// Names of a kind that were not taken, as the file has them.
    fn unused(&self, kind: &str, taken: &HashSet<usize>) -> Vec<String> {
        let left: HashSet<usize> =
            self.places.iter().filter(|(n, i)| is_of(kind, n) && !taken.contains(i)).map(|(_, i)| *i).collect();
        let mut names: Vec<String> =
            self.reader.names().enumerate().filter(|(i, _)| left.contains(i)).map(|(_, n)| n.to_string()).collect();
        names.sort();
        names
    }
    /// The weights by name; those that do not fit stay those that are held.
    pub(super) fn weights(&self, instances: &[(LayerRef, String)], weights: &Store) -> Result<(Places, LoadReport)> {
        let (mut found, mut report, mut taken) = (Places::new(), LoadReport::default(), HashSet::new());
        for (layer, path) in instances {
            let Some(tree) = weights.get(&layer.base().id) else { continue };
            let names = named(tree, &format!("weights{path}"));
            let mut places = HashMap::new();
            for (name, old) in names.leaves().into_iter().zip(tree.leaves()) {
                let place = match self.places.get(name) {
                    None => {
                        report.missing.push(name.clone());
                        Place::Held(old.clone())
                    }
                    Some(&i) => {
                        taken.insert(i);
                        let (file, model) = (self.matrices.spec(self.reader, i)?, TensorSpec::of(old));
                        if file == model {
                            report.taken.push(name.clone());
                            Place::File(i)
                        } else {
                            report.mismatched.push(Mismatch { name: name.clone(), file, model });
                            Place::Held(old.clone())
                        }
                    }
                };
                places.insert(name.clone(), place);
            }
            if let Ok(places) = names.try_map(&mut |name| places.remove(name).ok_or(())) {
                found.insert(layer.base().id, places);
            }
        }
        report.unused = self.unused("weights", &taken);
        Ok((found, report))
    }
    /// The weights in the order of the layers; `None` unless as many stand in layers of the same names with the same shapes.
    pub(super) fn weights_by_order(
        &self,
        instances: &[(LayerRef, String)],
        weights: &Store,
    ) -> Result<Option<(Places, LoadReport)>> {
        let mut names: Vec<(Vec<Part>, usize)> =
            self.places.iter().filter(|(n, _)| is_of("weights", n)).map(|(n, i)| (parts(n), *i)).collect();
        names.sort();
        let mut in_file = names.into_iter();
        let (mut found, mut report) = (Places::new(), LoadReport::default());
        for (layer, path) in instances {
            let Some(tree) = weights.get(&layer.base().id) else { continue };
            let own_names = named(tree, &format!("weights{path}"));
            let mut places = HashMap::new();
            for (name, old) in own_names.leaves().into_iter().zip(tree.leaves()) {
                let Some((there, i)) = in_file.next() else { return Ok(None) };
                if innermost(&there) != innermost(&parts(name))
                    || self.matrices.spec(self.reader, i)? != TensorSpec::of(old)
                {
                    return Ok(None);
                }
                report.taken.push(name.clone());
                places.insert(name.clone(), Place::File(i));
            }
            let places = own_names.try_map(&mut |name| places.remove(name).ok_or(()));
            let Ok(places) = places else { return Ok(None) };
            found.insert(layer.base().id, places);
        }
        Ok(in_file.next().is_none().then_some((found, report)))
    }
    /// The state, layer by layer in the form that it was saved in; the state of a layer that the file's does not fit stays.
    pub(super) fn state(&self, instances: &[(LayerRef, String)], state: &Store) -> Result<(Places, LoadReport)> {
        let (mut found, mut report, mut taken) = (Places::new(), LoadReport::default(), HashSet::new());
        for (layer, path) in instances {
            let (id, like) = (layer.base().id, state.get(&layer.base().id));
            let prefix = format!("state{path}");
            let saved = self.saved_state(path, &prefix, like)?.unwrap_or(Tree::EMPTY);
            let held = like.cloned().unwrap_or(Tree::EMPTY);
            let names: Vec<String> = named(&saved, &prefix).leaves().into_iter().cloned().collect();
            let here = self.check_state(&prefix, layer.state_form(), &held, &saved)?;
            let more = layer.state_form() != StateForm::Open && saved.leaves().len() > held.leaves().len();
            let fits = here.fits() && !more;
            report.extend(here);
            if fits {
                taken.extend(saved.leaves().into_iter().copied());
                report.taken.extend(names);
                if like.is_some() || !saved.is_empty() {
                    found.insert(id, saved.map(&mut |i| Place::File(*i)));
                }
            } else {
                // What is of another shape is told as such, and no more as left over.
                taken.extend(saved.leaves().into_iter().take(held.leaves().len()).copied());
                found.insert(id, held.map(&mut |t| Place::Held(t.clone())));
            }
        }
        report.unused.extend(self.unused("state", &taken));
        Ok((found, report))
    }
    /// The tree of a layer's state that the file has, if any.
    fn saved_state(&self, path: &str, prefix: &str, like: Option<&Tree<Tensor>>) -> Result<Option<Tree<usize>>> {
        let Some(trees) = &self.trees else {
            // An older file says nothing of structure: it is that of the layer, if the names are.
            let found = self.by_names(prefix);
            let count = found.as_ref().map_or(0, |t| t.leaves().len());
            let place = |name: &String| self.places.get(name).copied().ok_or(());
            let as_held = like.and_then(|t| named(t, prefix).try_map(&mut |n| place(n)).ok());
            return Ok(as_held.filter(|t| t.leaves().len() == count).or(found));
        };
        let place = |name: &String| {
            let missing = || self.reader.damaged(&format!("it lacks the tensor {name}"));
            self.places.get(name.as_str()).copied().ok_or_else(missing)
        };
        trees.get(path).map(|t| named(t, prefix).try_map(&mut |n| place(n))).transpose()
    }
    /// What a state lacks of what the layer holds, and what differs other than follows from calls.
    fn check_state(
        &self,
        prefix: &str,
        form: StateForm,
        like: &Tree<Tensor>,
        saved: &Tree<usize>,
    ) -> Result<LoadReport> {
        let mut report = LoadReport::default();
        if form == StateForm::Open {
            return Ok(report);
        }
        let names = named(like, prefix);
        let (names, old, new) = (names.leaves(), like.leaves(), saved.leaves());
        report.missing = names.iter().skip(new.len()).map(ToString::to_string).collect();
        for ((name, old), i) in names.into_iter().zip(old).zip(new) {
            let (model, file) = (TensorSpec::of(old), self.reader.spec(*i)?);
            let alike = if form == StateForm::Sized { file.rank() == model.rank() } else { file.shape == model.shape };
            if !alike || file.dtype.is_float() != model.dtype.is_float() {
                report.mismatched.push(Mismatch { name: name.clone(), file, model });
            }
        }
        Ok(report)
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
    /// In words, that a tensor is missing, and what may have happened.
    pub(super) fn why_missing(&self, name: &str) -> String {
        // Names of many kinds end with their sizes.
        let kind = |name: &str| name.split_once('_').map_or(name, |(kind, _)| kind).to_string();
        match self.renamed(name) {
            Some((here, there, other)) if here.contains('_') && kind(here) == kind(there) => {
                format!("the file has no tensor {name}, but {other}: the layer {here} of the model is {there} in the file")
            }
            Some((here, there, other)) => format!(
                "the file has no tensor {name}, but {other}: the layer {here} of the model is {there} in the file; if its class has another \
                 name now, as a minifier gives it, say `static layerName = '{there}'` in the class, or give the option `name`"
            ),
            None => format!("the file has no tensor {name}; was it saved from another model?"),
        }
    }
    /// Where the file has a tensor at the same place in layers of other names: the first of these in the model and in the file, and
    /// the tensor.
    fn renamed<'b>(&'b self, name: &'b str) -> Option<(&'b str, &'b str, &'b str)> {
        let here = parts(name);
        let alike = |(a, b): (&Part, &Part)| match (a, b) {
            (Part::Layer(i, _), Part::Layer(j, _)) => i == j,
            (a, b) => a == b,
        };
        let same_place = |other: &&str| {
            let there = parts(other);
            is_of("weights", other) && there.len() == here.len() && here.iter().zip(&there).all(alike)
        };
        let other = self.places.keys().map(String::as_str).filter(same_place).min()?;
        here.iter().zip(parts(other)).find_map(|(a, b)| match (a, b) {
            (Part::Layer(_, a), Part::Layer(_, b)) if *a != b => Some((*a, b, other)),
            _ => None,
        })
    }
}
