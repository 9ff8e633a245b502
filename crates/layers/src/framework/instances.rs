//! What the instances of a layer and of everything below it hold.
use crate::{
    framework::held::{Held, Read},
    stack::deep,
    Error, ErrorKind, LayerId, LayerRef, Phase, Result, Store,
};
use parking_lot::RwLock;
use std::collections::HashSet;

/// Held by whoever changes what several instances hold, so that nobody sees the one changed and the other not.
static CHANGING: RwLock<()> = RwLock::new(());

/// Calls `f` for `layer` and everything below it, each instance once.
pub fn for_each_instance(layer: &LayerRef, f: &mut impl FnMut(&LayerRef)) {
    fn walk(layer: &LayerRef, seen: &mut HashSet<LayerId>, f: &mut impl FnMut(&LayerRef)) {
        if seen.insert(layer.base().id) {
            f(layer);
            layer.sublayers().iter().for_each(|l| deep(|| walk(l, seen, f)));
        }
    }
    walk(layer, &mut HashSet::new(), f);
}

/// Refuses a layer without weights, as long as one below it has none: by the path to that one, and with what to do.
///
/// # Errors
/// `NotInitialized`.
pub(crate) fn require_weights(layer: &LayerRef, to_do: &str) -> Result<()> {
    fn walk(layer: &LayerRef, seen: &mut HashSet<LayerId>, to_do: &str) -> Result<()> {
        let base = layer.base();
        if !seen.insert(base.id) {
            return Ok(());
        }
        let below = match layer.sublayers() {
            // Checks of shapes, which are not printed, say nothing to who reads the path.
            [] if !base.slot.has_weights() && !base.name.is_empty() => {
                let what = format!("{} has no weights yet; {to_do}", base.name);
                Err(Error::new(ErrorKind::NotInitialized, what))
            }
            layers => layers.iter().try_for_each(|l| deep(|| walk(l, seen, to_do))),
        };
        below.map_err(|e| base.within(e, Phase::Init, Vec::new))
    }
    walk(layer, &mut HashSet::new(), to_do)
}

/// Where a layer and everything below it hold their weights and state.
pub(super) fn held_by(layer: &LayerRef) -> &Held {
    layer.base().held.get_or_init(|| {
        let mut all = Vec::new();
        for_each_instance(layer, &mut |l| {
            let base = l.base();
            all.push((base.id, base.slot.holdings.clone(), l.sublayers().is_empty()));
        });
        Held::of(all)
    })
}

/// The weights and state held in the slots of `layer` and everything below it.
pub fn held(layer: &LayerRef) -> (Store, Store) {
    let (mut w, mut s) = (Store::new(), Store::new());
    let _unchanged = CHANGING.read();
    for_each_instance(layer, &mut |l| {
        let base = l.base();
        if let Some(t) = base.slot.weights() {
            w.insert(base.id, t);
        }
        if let Some(t) = base.slot.state() {
            s.insert(base.id, t);
        }
    });
    (w, s)
}

/// Runs `f`, while nobody changes what instances hold.
pub(super) fn unchanged<T>(f: impl FnOnce() -> T) -> T {
    let _unchanged = CHANGING.read();
    f()
}

/// Puts weights and state into the slots of `layer` and everything below it; `None` leaves them.
pub fn hold(layer: &LayerRef, weights: Option<&Store>, state: Option<&Store>) {
    let _alone = CHANGING.write();
    for_each_instance(layer, &mut |l| {
        let base = l.base();
        if let Some(t) = weights.and_then(|w| w.get(&base.id)) {
            base.slot.set_weights(t.clone());
        }
        if let Some(t) = state.and_then(|s| s.get(&base.id)) {
            base.slot.set_state(t);
        }
    });
}

/// What of `after` is not the very same as in `before`: all that a call has to keep, since others may have changed the rest meanwhile.
pub fn changed(before: &Store, after: Store) -> Store {
    changed_from(|id| before.get(&id).map(Read::Lent), after)
}

/// [`changed`], where `before` finds what was before.
pub(super) fn changed_from<'a>(before: impl Fn(LayerId) -> Option<Read<'a>>, mut after: Store) -> Store {
    after.retain(|id, tree| !before(*id).is_some_and(|old| old.is_same(tree)));
    after
}
