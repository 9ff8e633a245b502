//! Layers that several threads of a process have on the same weights.
//!
//! What is shared is a copy with identities and state of its own, on the weights as they were: tensors do not change, so training the layer goes on
//! with others and leaves these. Nobody may set the weights of such a copy, as others read them in the same place.
use crate::{
    framework::instances::unchanged, stack::deep, Error, ErrorKind, LayerId, LayerRef, Phase, Rebuild, Result,
};
use std::collections::HashSet;

/// Another layer of the same structure, on the weights that `layer` holds now, which nobody can set in it.
///
/// # Errors
/// `NotInitialized` for a layer that holds no weights; `InvalidArgument`, with the path, for one that calls functions of the host language.
pub fn share(layer: &LayerRef) -> Result<LayerRef> {
    refuse_host_functions(layer, &mut HashSet::new())?;
    let mut initialized = false;
    crate::for_each_instance(layer, &mut |l| initialized |= l.base().slot.has_weights());
    if !initialized {
        let what = format!("share: {} has no weights to share; call init(signature) first", layer.base().name);
        return Err(Error::new(ErrorKind::NotInitialized, what));
    }
    Ok(unchanged(|| sharing(layer)))
}

/// Another layer of the same structure on the weights of one that [`share`] made, with state of its own.
pub fn from_shared(shared: &LayerRef) -> LayerRef {
    sharing(shared)
}

fn sharing(layer: &LayerRef) -> LayerRef {
    Rebuild { deep: true, read_only: true, ..Rebuild::default() }.layer(layer)
}

/// Refuses to do `what`, which sets weights, with a layer that has weights from [`share`].
///
/// # Errors
/// `InvalidArgument`, with the name of the layer that has them.
pub fn refuse_shared(what: &str, layer: &LayerRef) -> Result<()> {
    let mut found = None;
    crate::for_each_instance(layer, &mut |l| {
        if found.is_none() && l.base().slot.is_read_only() {
            found = Some(l.base().name.clone());
        }
    });
    found.map_or(Ok(()), |name| {
        let why = format!(
            "{what}: the weights of {name} are shared with other threads, so they can only be read; do it with the layer that was shared and share that again, or make the layer anew and set its weights to these"
        );
        Err(Error::new(ErrorKind::InvalidArgument, why))
    })
}

fn refuse_host_functions(layer: &LayerRef, seen: &mut HashSet<LayerId>) -> Result<()> {
    let base = layer.base();
    if !seen.insert(base.id) {
        return Ok(());
    }
    let own = if base.has_host_functions() || layer.traits().calls_host {
        let what = "share: the layer calls functions of the program, which belong to one thread; make the layer in the other thread too, and send it the weights as a file or as numbers";
        Err(Error::new(ErrorKind::InvalidArgument, what))
    } else {
        layer.sublayers().iter().try_for_each(|l| deep(|| refuse_host_functions(l, seen)))
    };
    own.map_err(|e| base.within(e, Phase::Build, Vec::new))
}

/// Notes that functions of the host language are among the options of a layer, in it and in the layers that were made with it: those from `first` on.
pub(crate) fn note_host_functions(layer: &LayerRef, first: LayerId) {
    crate::for_each_instance(layer, &mut |l| {
        if l.base().id >= first {
            l.base().note_host_functions();
        }
    });
}
