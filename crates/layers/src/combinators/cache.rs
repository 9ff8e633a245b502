//! The first result, returned ever after.
use super::{
    around::{around, around_on},
    in_predict::{in_predict, InPredict},
};
use crate::{
    agreement, framework::rows, options, Base, Composite, Cx, Error, InitCx, LayerArg, LayerRef, Mode, Nesting, Parts,
    Rebuild, Result, TensorSpec, Tree,
};
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Applies a layer on the first call and returns that result on all later ones.
    ///
    /// With `mode`, it does so in `'predict'` only and is the layer itself in all other modes: `Cache(encoder, { mode })` encodes the
    /// source of an
    /// encoder-decoder once for all positions of a target. What is computed once sees all its positions, so `withMode('predict')` leaves the
    /// layer inside in mode `'eval'`.
    ///
    /// Shapes: those of the layer.
    /// Weights: a list of one entry, the layer's.
    /// State: `[result, the layer's]`. The result is `[]` before the first call, and a list if the layer has more outputs than one.
    /// Modes: as said above.
    /// Errors:
    /// - those of the layer.
    /// - `ShapeMismatch`: with `mode`, a call has another number of sequences than the result.
    ///
    /// Source: Trax.
    /// Example:
    /// ```ts
    /// const layer = tl.Cache(tl.Negate());
    /// layer.init({ shape: [2], dtype: 'int32' });
    /// layer([1, 2]); // → Tensor int32[2] [-1,-2]
    /// layer([5, 6]); // → Tensor int32[2] [-1,-2]
    /// ```
    pub struct CacheOptions for "Cache" ("layer") {
        /// Layer to apply once.
        layer "layer": LayerArg,
        /// Mode of the model around it; `null` keeps the result in every mode.
        mode "mode": Option<Mode> = None,
    }
}

/// A layer that runs once and whose first result is returned ever after.
pub fn cache(layer: LayerRef) -> LayerRef {
    around("Cache", layer, Cache { always: true })
}

/// [`cache`] in mode `'predict'`, the layer itself in all others.
pub fn cache_in_predict(layer: LayerRef, mode: Mode) -> LayerRef {
    on(Base::new("Cache"), layer, mode)
}

/// [`cache_in_predict`] whose [`Cache`], where it stands, is based on `cache`.
pub(super) fn on(cache: Base, inner: LayerRef, mode: Mode) -> LayerRef {
    match mode {
        Mode::Predict => around_on(cache, inner, Cache { always: false }),
        _ => in_predict(inner, InPredict::Another { base: cache, on }),
    }
}

#[derive(Debug, Clone)]
struct Cache {
    /// Whether the result is kept in other modes than `'predict'` too.
    always: bool,
}

impl Composite for Cache {
    fn signature(&self, parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        agreement::first(parts.id(), || crate::signature(&parts.layers[0], inputs))
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        cx.init(&parts.layers[0], inputs)
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        if let Some(n) = cx.streams() {
            return self.of_streams(parts, cx, n, &xs, key);
        }
        let kept = cx.state(parts.id());
        if !kept.is_empty() {
            self.check_batch(&xs, &kept)?;
            return Ok(kept.leaves().into_iter().cloned().collect());
        }
        let ys = cx.apply(&parts.layers[0], xs, key)?;
        let kept = match &ys[..] {
            [y] => Tree::Leaf(y.clone()),
            many => Tree::tuple(many.iter().cloned()),
        };
        cx.set_state(parts.id(), kept);
        Ok(ys)
    }
    fn nesting(&self) -> Nesting<'_> {
        Nesting::OwnStateFirst
    }
    fn rebuild(&self, parts: &Parts, r: &mut Rebuild) -> LayerRef {
        let (base, inner) = (parts.base.rebuilt(r), &parts.layers[0]);
        match r.mode {
            Some(Mode::Predict) => around_on(base, r.layer_in(inner, Mode::Eval), self.clone()),
            Some(mode) if !self.always => on(base, r.layer(inner), mode),
            _ => around_on(base, r.layer(inner), self.clone()),
        }
    }
}

/// Joins the results of streams along their first axis, and leaves each stream with views of that. To be told from others, the views stand behind it.
fn join(kept: &mut [Tree<Tensor>], outputs: usize) -> Result<Tree<Tensor>> {
    let mut ys = Vec::with_capacity(outputs); // few
    let mut views: Vec<Vec<Tensor>> = vec![Vec::with_capacity(outputs); kept.len()]; // few
    for at in 0..outputs {
        let each: Vec<Tensor> = kept.iter().filter_map(|kept| kept.leaves().get(at).map(|t| (*t).clone())).collect();
        if let Some(other) = each.iter().find(|t| t.shape().get(1..) != each[0].shape().get(1..)) {
            return Err(Error::shape(format!(
                "results of shapes {:?} and {:?} cannot stand in one batch; pad the sources of the streams to one length, or call the streams apart",
                each[0].shape(),
                other.shape()
            )));
        }
        let y = rows::joined(&each)?;
        // What is left of a batch is held without the others of it.
        let y = match y.rank() > 0 && y.storage_bytes() > y.size() * y.dtype().size() {
            true => Tensor::concat(&[y.clone(), y.narrow(0, 0, 0)?], 0)?,
            false => y,
        };
        let mut first = 0;
        for (views, part) in views.iter_mut().zip(&each) {
            let rows = part.shape().first().copied().unwrap_or_default();
            views.push(if each.len() == 1 { y.clone() } else { y.narrow(0, first, rows)? });
            first += rows;
        }
        ys.push(y);
    }
    for (kept, views) in kept.iter_mut().zip(&views) {
        *kept = Tree::tuple(views.iter().cloned());
    }
    Ok(Tree::tuple(ys.into_iter().chain(views.into_iter().flatten())))
}

/// Whether these are the very results that were joined, in their order.
fn are_views_of(kept: &[Tree<Tensor>], joined: &Tree<Tensor>, outputs: usize) -> bool {
    let (views, own) = (joined.leaves().into_iter().skip(outputs), kept.iter().flat_map(Tree::leaves));
    joined.leaves().len() == outputs * (1 + kept.len()) && views.zip(own).all(|(a, b)| a.is_same(b))
}

impl Cache {
    /// The results of streams: computed for those that have none yet.
    fn of_streams(&self, parts: &Parts, cx: &mut Cx, n: usize, xs: &[Tensor], key: Key) -> Result<Vec<Tensor>> {
        let mut kept = rows::states(cx, parts.id(), n);
        let as_one = if kept.len() > n { kept.pop() } else { None };
        for (i, kept) in kept.iter_mut().enumerate().filter(|(_, kept)| kept.is_empty()) {
            let (ys, _) = rows::run_one(cx, &parts.layers[0], (i, n), xs, key)?;
            *kept = Tree::tuple(ys);
        }
        let outputs = parts.arity.n_out;
        let joined = match as_one.filter(|joined| are_views_of(&kept, joined, outputs)) {
            Some(joined) => joined,
            None => join(&mut kept, outputs)?,
        };
        let ys = joined.leaves().into_iter().take(outputs).cloned().collect();
        kept.extend((n > 1).then_some(joined));
        cx.set_state(parts.id(), Tree::Rows(kept));
        Ok(ys)
    }
    /// Refuses sequences that are not those of the result, as far as their number tells.
    fn check_batch(&self, xs: &[Tensor], kept: &Tree<Tensor>) -> Result<()> {
        let of = |t: &Tensor| t.shape().first().copied();
        match (xs.first().and_then(of), kept.leaves().first().and_then(|t| of(t))) {
            (Some(new), Some(old)) if !self.always && new != old => Err(Error::other_batch(new, old)),
            _ => Ok(()),
        }
    }
}
