//! Groups of weights: which of a model's weights are trained by an optimizer of their own, and which not at all.
use crate::{
    names::{float_weights, matching},
    optimizers::{construct, OptimizerRef},
    Error, Result,
};
use tallow_layers::{
    options::{object, show, OptionType},
    refuse_quantized, ErrorKind, HostValue, LayerId, LayerRef, Store, Tree,
};
use tallow_tensor::Tensor;

/// Where a weight is: an instance, and a leaf of its weights.
pub(crate) type Place = (LayerId, usize);

/// Weights that are trained in a way of their own.
#[derive(Debug, Clone)]
pub struct WeightGroup {
    /// Patterns of the names of its weights, see [`crate::matching`].
    pub weights: Vec<String>,
    /// What moves them; `None`: nothing, they are frozen.
    pub optimizer: Option<OptimizerRef>,
}

/// Groups of weights, as an option.
#[derive(Debug, Clone, Default)]
pub struct WeightGroups(pub Vec<WeightGroup>);

impl OptionType for WeightGroups {
    const TS: &'static str = "readonly WeightGroup[]";
    const EXPECTED: &'static str = "a list of groups, { weights, frozen: true } or { weights, optimizer }";
    fn parse(v: &HostValue) -> Option<Self> {
        read(v).ok().map(Self)
    }
    fn show(&self) -> String {
        format!("{} groups", self.0.len())
    }
    fn explain(v: &HostValue) -> Option<String> {
        read(v).err()
    }
}

fn read(v: &HostValue) -> std::result::Result<Vec<WeightGroup>, String> {
    let wrong = || format!("must be {}, got {}", WeightGroups::EXPECTED, show(v));
    let groups = v.list().ok_or_else(wrong)?;
    groups.iter().enumerate().map(|(i, g)| read_group(g).map_err(|why| format!("[{i}] {why}"))).collect()
}

fn read_group(v: &HostValue) -> std::result::Result<WeightGroup, String> {
    if v.record().is_none() {
        return Err(format!("must be {{ weights, frozen: true }} or {{ weights, optimizer }}, got {}", show(v)));
    }
    let known = object("its options", v, &["weights", "frozen", "optimizer"]);
    known.map_err(|e| format!("is wrong: {}", e.message()))?;
    let given = |key: &str| v.get(key).filter(|v| !matches!(v, HostValue::Null));
    let weights = given("weights").ok_or("must have `weights`, a pattern of names of weights or a list of them")?;
    let patterns = match weights {
        HostValue::List(patterns) => patterns.iter().map(|p| p.text().map(str::to_owned)).collect(),
        one => one.text().map(|p| vec![p.to_owned()]),
    };
    let patterns: Vec<String> = patterns.ok_or_else(|| {
        format!("must have as `weights` a pattern of names of weights or a list of them, got {}", show(weights))
    })?;
    let frozen = match given("frozen") {
        None => false,
        Some(v) => v.boolean().ok_or_else(|| format!("must have true as `frozen`, or no `frozen`, got {}", show(v)))?,
    };
    let optimizer = given("optimizer").map(read_optimizer).transpose()?;
    match (frozen, &optimizer) {
        (true, Some(_)) => {
            Err("has both `frozen` and `optimizer`, but nothing moves a frozen weight; leave out one".into())
        }
        (false, None) => {
            Err("has neither `frozen` nor `optimizer`; give it `frozen: true`, or an optimizer of its own".into())
        }
        _ => Ok(WeightGroup { weights: patterns, optimizer }),
    }
}

fn read_optimizer(v: &HostValue) -> std::result::Result<OptimizerRef, String> {
    let wrong = || format!("must have as `optimizer` what tl.optimizers makes, got {}", show(v));
    let kind = v.get("kind").and_then(HostValue::text).ok_or_else(wrong)?;
    let options = v.get("options").cloned().ok_or_else(wrong)?;
    construct(kind, options).map_err(|e| format!("has a wrong optimizer: {}", e.message()))
}

/// Which weights a trainer trains, and by what.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Where all float weights are, in the order of first visit.
    pub(crate) places: Vec<Place>,
    /// The group of each: the first whose patterns match its name.
    group: Vec<Option<usize>>,
    /// Those that are trained, as numbers of `places`.
    pub(crate) trained: Vec<usize>,
}

impl Plan {
    /// The plan for what `model` holds.
    ///
    /// # Errors
    /// `NotInitialized` for groups of a model without weights; `InvalidOption` for a pattern that matches nothing, or if all weights are frozen.
    pub(crate) fn new(model: &LayerRef, weights: &Store, groups: &[WeightGroup]) -> Result<Self> {
        if weights.values().any(|tree| !tree.matrices().is_empty()) {
            refuse_quantized("training", model)?;
        }
        let places = places(model, weights);
        let mut group = vec![None; places.len()];
        if !groups.is_empty() {
            if places.is_empty() {
                let what = "Trainer: `groups` choose among the weights of a model, and this one has none yet; call init(signature) first";
                return Err(Error::new(ErrorKind::NotInitialized, what));
            }
            let named = float_weights(model, weights);
            let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
            for (i, g) in groups.iter().enumerate() {
                let matched = matching(&format!("Trainer: `groups`[{i}]"), &g.weights, &names)?;
                group
                    .iter_mut()
                    .zip(matched)
                    .filter(|(own, m)| *m && own.is_none())
                    .for_each(|(own, _)| *own = Some(i));
            }
        }
        let frozen = |i: &usize| group[*i].is_some_and(|g: usize| groups[g].optimizer.is_none());
        let trained: Vec<usize> = (0..places.len()).filter(|i| !frozen(i)).collect();
        if trained.is_empty() && !places.is_empty() {
            return Err(Error::option(
                "Trainer: `groups` freeze all weights, so there is nothing to train; leave some out",
            ));
        }
        Ok(Self { places, group, trained })
    }
    /// Whether it is for what `model` holds now.
    pub(crate) fn holds(&self, model: &LayerRef, weights: &Store) -> bool {
        self.places == places(model, weights)
    }
    /// What moves a weight: its group's optimizer, or `main`; `None` for a frozen one.
    pub(crate) fn optimizer<'a>(
        &self,
        i: usize,
        groups: &'a [WeightGroup],
        main: &'a OptimizerRef,
    ) -> Option<&'a OptimizerRef> {
        match self.group.get(i).copied().flatten() {
            Some(g) => groups[g].optimizer.as_ref(),
            None => Some(main),
        }
    }
    /// Where the trained weights are.
    pub(crate) fn trained_places(&self) -> impl Iterator<Item = Place> + '_ {
        self.trained.iter().map(|&i| self.places[i])
    }
}

/// Where the float weights of a model are, in the order of first visit.
fn places(model: &LayerRef, weights: &Store) -> Vec<Place> {
    let mut out = Vec::new();
    tallow_layers::for_each_instance(model, &mut |l| {
        let id = l.base().id;
        if let Some(tree) = weights.get(&id) {
            let leaves = tree.leaves();
            out.extend((0..leaves.len()).filter(|&i| leaves[i].dtype().is_float()).map(|i| (id, i)));
        }
    });
    out
}

/// The weight at a place.
pub(crate) fn at(weights: &Store, (id, i): Place) -> Result<&Tensor> {
    weights.get(&id).and_then(|tree| tree.leaves().get(i).copied()).ok_or_else(changed)
}

/// The weight at a place, to be replaced.
pub(crate) fn at_mut(weights: &mut Store, (id, i): Place) -> Result<&mut Tensor> {
    weights.get_mut(&id).and_then(|tree| nth_leaf(tree, i)).ok_or_else(changed)
}

fn changed() -> Error {
    Error::new(ErrorKind::Internal, "the weights changed during a step")
}

fn nth_leaf(tree: &mut Tree<Tensor>, n: usize) -> Option<&mut Tensor> {
    fn walk<'a>(tree: &'a mut Tree<Tensor>, n: &mut usize) -> Option<&'a mut Tensor> {
        match tree {
            Tree::Leaf(t) => {
                if *n == 0 {
                    return Some(t);
                }
                *n -= 1;
                None
            }
            Tree::Tuple(v) => v.iter_mut().find_map(|t| walk(t, n)),
            Tree::Dict(v) => {
                let mut sorted: Vec<_> = v.iter_mut().collect();
                sorted.sort_by(|a, b| a.0.cmp(&b.0));
                sorted.into_iter().find_map(|(_, t)| walk(t, n))
            }
            Tree::Cached | Tree::Past(_) | Tree::Filled(_) | Tree::Rows(_) | Tree::Quantized(_) => None,
        }
    }
    walk(tree, &mut { n })
}
