//! Low-rank adaptation of fully connected layers.
use super::{dense::dense_named, dropout, DenseOptions};
use crate::{
    composite, deep_copy, for_each_instance, framework::shapes::last_axis, held, hold, initializers::random_normal,
    leaf, options, pure_fn, with_replaced, Arity, Base, Call, Composite, Cx, Dim, Error, ErrorKind, InitCx, LayerArg,
    LayerId, LayerRef, Leaf, Local, Mode, Output, Parts, Positive, Rate, Result, Store, TensorSpec, Tree,
};
use std::collections::{HashMap, HashSet};
use tallow_tensor::{random::Key, DType, Device, Tensor};

options! {
    /// What LoRA adds to a layer.
    pub group LoRAAdapterOptions {
        /// Columns of `a` and rows of `b`; at most the smaller of `m` and `n`.
        rank "rank": Dim = Dim(8),
        /// What is added is scaled by `alpha / rank`.
        alpha "alpha": Positive = Positive(8.0),
        /// Probability with which a value that `a` sees is dropped.
        dropout "dropout": Rate = Rate(0.0),
    }
}

options! {
    /// Adds a product of two thin matrices to what a fully connected layer computes, so that few weights adapt it to a task.
    ///
    /// It begins as the layer itself, since `b` begins with zeros. `a` and `b` are trained alone where a group of the `Trainer` freezes all other
    /// weights. `withLora` of `tl.training` puts it around layers of a model.
    ///
    /// Formula: `y = layer(x) + (alpha / rank) · (dropout(x) · a) · b`.
    /// Shapes: those of the layer, `[..., m]` → `[..., n]`.
    /// Weights: `[weights of the layer, [], a, b]`, with `a: [m, rank]` and `b: [rank, n]`. `a` is drawn with a standard deviation of `1 / rank`.
    /// State: none.
    /// Modes: drops in `'train'`; else the same in all.
    /// Errors:
    /// - `InvalidOption`: the layer is not a `Dense`, or `rank` is larger than `m` or `n`.
    /// - those of `Dense`.
    ///
    /// Source: Hu et al. 2021, arXiv:2106.09685.
    /// See: `Dense`.
    /// Example:
    /// ```ts
    /// const layer = tl.LoRA(tl.Dense(4), { rank: 2 });
    /// layer.init({ shape: [2, 3], dtype: 'float32' });
    /// layer.weightNames; // → [ '0.Dense_4/0', '0.Dense_4/1', '2.LoRADown', '3.LoRAUp' ]
    /// ```
    pub struct LoRAOptions for "LoRA" ("layer") with (adapter: LoRAAdapterOptions) {
        /// The `Dense` layer that is adapted.
        layer "layer": LayerArg,
        /// Whether to drop (`'train'`) or not (all others).
        mode "mode": Mode = Mode::Train,
    }
}

/// The layer, the dropout, `a` and `b`.
const PARTS: usize = 4;
const DOWN: &str = "LoRADown";
const UP: &str = "LoRAUp";

/// A layer with what adapts it.
///
/// # Errors
/// `InvalidOption` for a layer that is not fully connected.
pub fn lora(o: LoRAOptions) -> Result<LayerRef> {
    let LoRAOptions { layer: LayerArg(inner), mode, adapter: LoRAAdapterOptions { rank, alpha, dropout: rate } } = o;
    if !inner.traits().is_dense {
        let name = &inner.base().name;
        return Err(Error::option(format!(
            "LoRA: `layer` must be a Dense layer, got {name}; withLora of tl.training adapts the Dense layers within a model"
        )));
    }
    let options = DenseOptions {
        kernel_initializer: random_normal(1.0 / rank.0 as f64),
        use_bias: false,
        ..DenseOptions::new(rank)
    };
    let up = leaf(Up { rank: rank.0, scale: alpha.0 / rank.0 as f64 });
    // The name is a part of those of weights in files: what was learned at another scale does not fit.
    let base = Base::new(format!("LoRA_{}_{}", rank.0, alpha.0));
    let layers = vec![inner, dropout(rate.0, mode), dense_named(DOWN.into(), options), up];
    Ok(composite(Parts { base, layers, arity: Arity::ONE }, LoRA { rank: rank.0 }))
}

#[derive(Debug, Clone)]
struct LoRA {
    rank: usize,
}

/// Refuses a rank that no matrix of such a shape has.
fn check_rank(what: &str, rank: usize, [m, n]: [usize; 2]) -> Result<()> {
    let most = m.min(n);
    if rank <= most {
        return Ok(());
    }
    Err(Error::option(format!(
        "{what}: `rank` {rank} is larger than that of any matrix of shape [{m},{n}]; give at most {most}"
    )))
}

impl Composite for LoRA {
    fn signature(&self, parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        crate::signature(&parts.layers[0], inputs)
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        let [inner, drop, down, up] = four(&parts.layers)?;
        let ys = crate::signature(inner, inputs)?;
        check_rank("LoRA", self.rank, [last(&inputs[0].shape)?, last(&ys[0].shape)?])?;
        cx.init(inner, inputs)?;
        cx.init(drop, inputs)?;
        cx.init(down, inputs)?;
        let both = [ys, crate::signature(down, inputs)?].concat();
        cx.init(up, &both)
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let [inner, drop, down, up] = four(&parts.layers)?;
        let keys = cx.split(key, PARTS);
        let mut ys = cx.apply(inner, xs.clone(), keys[0])?;
        let xs = cx.apply(drop, xs, keys[1])?;
        ys.extend(cx.apply(down, xs, keys[2])?);
        cx.apply(up, ys, keys[3])
    }
}

fn four(layers: &[LayerRef]) -> Result<[&LayerRef; PARTS]> {
    let all: Vec<&LayerRef> = layers.iter().collect();
    all.try_into().map_err(|_| Error::new(ErrorKind::Internal, "LoRA has four parts"))
}

fn last(shape: &[usize]) -> Result<usize> {
    last_axis(shape, "LoRA needs a last axis to map")
}

/// `y + scale · h · b`.
#[derive(Debug, Clone)]
struct Up {
    rank: usize,
    scale: f64,
}

impl Leaf for Up {
    fn name(&self) -> String {
        UP.into()
    }
    fn arity(&self) -> Arity {
        Arity::new(2, 1)
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        Ok(vec![inputs[0].clone()])
    }
    fn init(&self, inputs: &[TensorSpec], _: Key) -> Result<Local> {
        let n = last(&inputs[0].shape)?;
        Ok(Local::weights(Tree::Leaf(Tensor::zeros(&[self.rank, n], DType::F32, &Device::Cpu)?)))
    }
    fn forward(&self, call: Call) -> Result<Output> {
        let [y, h] = [&call.xs[0], &call.xs[1]];
        let b = call.w.one()?;
        let n = last(y.shape())?;
        if b.shape() != [self.rank, n] {
            return Err(Error::weights(&[&[self.rank, n]], &[b]));
        }
        let added = tallow_tensor::ops::dense(h, b, None)?.mul_scalar(self.scale)?;
        // Added in the wider type, and rounded once.
        Ok(y.cast(y.dtype().promote(added.dtype()))?.add(&added)?.cast(y.dtype())?.into())
    }
}

/// The LoRA layers in a model, itself included.
fn adapted(model: &LayerRef) -> Vec<LayerRef> {
    let mut out = Vec::new();
    for_each_instance(model, &mut |l| {
        if matches!(l.sublayers(), [_, _, _, up] if up.base().name == UP) {
            out.push(l.clone());
        }
    });
    out
}

/// A model without the LoRA layers in `model`: in their place stand layers whose weights are what those compute, `w + (alpha / rank) · a · b`. They are
/// new; all else shares its weights with `model`, which stays as it is.
///
/// # Errors
/// `InvalidArgument` for a model without LoRA; `NotInitialized` for one without weights; `WeightsMismatch` for weights that do not belong
/// together; those of memory.
pub fn merge_lora(model: &LayerRef) -> Result<LayerRef> {
    let found = adapted(model);
    if found.is_empty() {
        let what = "mergeLora: there is no LoRA in this model: it was merged already, or never adapted; give the model that withLora returned";
        return Err(Error::new(ErrorKind::InvalidArgument, what));
    }
    let weights = held(model).0;
    let mut new = HashMap::with_capacity(found.len()); // few: layers of a model
    for layer in found {
        let [inner, _, down, up] = four(layer.sublayers())?;
        let of = |l: &LayerRef| {
            weights.get(&l.base().id).cloned().ok_or_else(|| {
                let what = format!("mergeLora: {} has no weights to merge; call init(signature) first", l.base().name);
                Error::new(ErrorKind::NotInitialized, what)
            })
        };
        let (own, a, b) = (of(inner)?, of(down)?.one()?.clone(), of(up)?);
        let w = own.leaves().first().copied().cloned().ok_or_else(|| own.wrong("a matrix"))?;
        if w.shape() != [a.shape().first().copied().unwrap_or(0), last(b.one()?.shape())?] {
            return Err(own.wrong(&format!(
                "weights that matrices of shapes {:?} and {} adapt",
                a.shape(),
                b.describe()
            )));
        }
        // As the layer itself adds to what a matrix of inputs becomes, so it does to the weights.
        let (ys, _) = pure_fn(up, vec![w, a], &Store::from([(up.base().id, b)]), Store::new(), Key::new(0))?;
        let mut merged = ys.into_iter();
        let own = own.map(&mut |t: &Tensor| merged.next().unwrap_or_else(|| t.clone()));
        let plain = deep_copy(inner);
        hold(&plain, Some(&Store::from([(plain.base().id, own)])), None);
        new.insert(layer.base().id, plain);
    }
    Ok(with_replaced(model, new))
}

/// The fully connected layers below an initialized `layer` that are not adapted yet.
pub fn dense_layers(layer: &LayerRef) -> Vec<LayerRef> {
    let mut within: HashSet<LayerId> = HashSet::new();
    for lora in adapted(layer) {
        within.extend(lora.sublayers().iter().map(|l| l.base().id));
    }
    let mut out = Vec::new();
    for_each_instance(layer, &mut |l| {
        if l.traits().is_dense && l.base().slot.has_weights() && !within.contains(&l.base().id) {
            out.push(l.clone());
        }
    });
    out
}

/// The model with LoRA around some of its layers, which are fully connected and initialized. All weights are shared with the model; those that are new
/// are drawn with `key`.
///
/// # Errors
/// Those of [`lora`] and of memory; `InvalidOption` for a rank that is too large, and for a layer in which none can be replaced.
pub fn with_lora(model: &LayerRef, layers: &[LayerRef], o: &LoRAAdapterOptions, key: Key) -> Result<LayerRef> {
    let weights = held(model).0;
    let mode = model.mode().unwrap_or(Mode::Train);
    let mut new: HashMap<LayerId, LayerRef> = HashMap::with_capacity(layers.len()); // few: layers of a model
    for (layer, key) in layers.iter().zip(key.split(layers.len())) {
        let id = layer.base().id;
        let made = lora(LoRAOptions { layer: LayerArg(layer.clone()), mode, adapter: o.clone() })?;
        let [_, drop, down, up] = four(made.sublayers())?;
        let own = weights.get(&id).cloned().unwrap_or(Tree::EMPTY);
        let [m, n] = match own.leaves().first().map(|w| w.shape()) {
            Some(&[m, n]) => [m, n],
            _ => return Err(own.wrong("a matrix")),
        };
        check_rank(&format!("withLora: {}", layer.base().name), o.rank.0, [m, n])?;
        let spec = |n: usize| TensorSpec::new(vec![1, n], DType::F32);
        for (part, inputs) in [(drop, vec![spec(m)]), (down, vec![spec(m)]), (up, vec![spec(n), spec(o.rank.0)])] {
            let (w, s) = crate::init(part, &inputs, key)?;
            hold(part, Some(&w), Some(&s));
        }
        new.insert(id, made);
    }
    let out = with_replaced(model, new.clone());
    let mut there = HashSet::new();
    for_each_instance(&out, &mut |l| {
        there.insert(l.base().id);
    });
    match layers.iter().find(|l| new.get(&l.base().id).is_some_and(|made| !there.contains(&made.base().id))) {
        None => Ok(out),
        Some(l) => {
            let name = &l.base().name;
            Err(Error::option(format!(
                "withLora: {name} stands in a layer that needs it as it is; choose others by `weights`"
            )))
        }
    }
}
