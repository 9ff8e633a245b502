//! A forward function of the host, run for each device.
use super::{mean_or_pmean, reshape_by_device};
use crate::{options, Count, Error, FnArg, HostValue, KeyArg, Result, TensorNest, Tree};
use tallow_tensor::{random::Key, Tensor};

options! {
    /// Runs a forward function on each device's share of a batch: what `jitForward` returns, called.
    pub struct JitForwardOptions for "_jitForward" ("forward", "nDevices", "x", "weights", "state", "rng") {
        /// Function of (inputs, weights, state, key) to [outputs, new state].
        forward "forward": FnArg,
        /// Number of devices.
        n_devices "nDevices": Count,
        /// Whether outputs are averaged over the batch.
        do_mean "doMean": bool = true,
        /// The inputs.
        x "x": TensorNest,
        /// Weights.
        weights "weights": TensorNest,
        /// State.
        state "state": TensorNest,
        /// Random key.
        rng "rng": KeyArg,
    }
}

/// Runs a function of (inputs, weights, state, key) on each device's share of a batch, one after another.
///
/// With fewer than two devices the function is called as it is. Else inputs are split along their first axis, weights and
/// state carry one slice for each device along theirs, and device `i` gets the `i`-th of the keys split from `rng`. Outputs are
/// joined along the first axis (numbers become a vector), and averaged over it if `do_mean`; the new state is stacked.
///
/// # Errors
/// `ShapeMismatch` for a batch that does not divide, or weights and state without a slice for each device; `InvalidOption`
/// when the function returns something else than `[outputs, new state]`; the function's own errors.
pub fn jit_forward(o: &JitForwardOptions) -> Result<HostValue> {
    let n = o.n_devices.0;
    if n < 2 {
        let (ys, state) = call(o, &o.x.0, &o.weights.0, &o.state.0, o.rng.0)?;
        return Ok(HostValue::List(vec![HostValue::tree(&ys), HostValue::tree(&state)]));
    }
    let x = o.x.0.try_map(&mut |t: &Tensor| reshape_by_device(t, n))?;
    for (what, tree) in [("weights", &o.weights.0), ("state", &o.state.0)] {
        if let Some(t) = tree.leaves().into_iter().find(|t| t.shape().first() != Some(&n)) {
            let text = format!(
                "jitForward: {what} of shape {:?} have no slice for each of {n} devices; see forNDevices",
                t.shape()
            );
            return Err(Error::shape(text));
        }
    }
    let (mut outputs, mut states) = (Vec::new(), Vec::new());
    for (i, key) in o.rng.0.try_split(n)?.into_iter().enumerate() {
        let slice = |tree: &Tree<Tensor>| tree.try_map(&mut |t: &Tensor| t.index(0, i as isize));
        let (ys, state) = call(o, &slice(&x)?, &slice(&o.weights.0)?, &slice(&o.state.0)?, key)?;
        outputs.push(ys);
        states.push(state);
    }
    let outputs = gather(&outputs, &|parts| {
        let joined = if parts[0].rank() == 0 { Tensor::stack(parts, 0)? } else { Tensor::concat(parts, 0)? };
        if o.do_mean {
            mean_or_pmean(&joined, Some(0))
        } else {
            Ok(joined)
        }
    })?;
    let states = gather(&states, &|parts| Ok(Tensor::stack(parts, 0)?))?;
    Ok(HostValue::List(vec![HostValue::tree(&outputs), HostValue::tree(&states)]))
}

fn call(
    o: &JitForwardOptions,
    x: &Tree<Tensor>,
    weights: &Tree<Tensor>,
    state: &Tree<Tensor>,
    key: Key,
) -> Result<(Tree<Tensor>, Tree<Tensor>)> {
    let returned = o.forward.0.call(&[
        HostValue::tree(x),
        HostValue::tree(weights),
        HostValue::tree(state),
        HostValue::key(key)?,
    ])?;
    let what = returned.what();
    match returned {
        HostValue::List(pair) => match <[HostValue; 2]>::try_from(pair) {
            Ok([ys, state]) => Ok((ys.into_tree()?, state.into_tree()?)),
            Err(other) => Err(no_pair(&format!("a list of {}", other.len()))),
        },
        _ => Err(no_pair(what)),
    }
}

fn no_pair(got: &str) -> Error {
    Error::option(format!("jitForward: `forward` must return [outputs, new state], got {got}"))
}

/// Trees of equal structure as one, each leaf made of the leaves in its place.
fn gather(trees: &[Tree<Tensor>], join: &dyn Fn(&[Tensor]) -> Result<Tensor>) -> Result<Tree<Tensor>> {
    let leaves: Vec<Vec<&Tensor>> = trees.iter().map(Tree::leaves_in_place).collect();
    if leaves.iter().any(|v| v.len() != leaves[0].len()) {
        return Err(Error::shape("jitForward: `forward` returned trees of different structure on different devices"));
    }
    let mut at = 0;
    trees[0].try_map(&mut |_: &Tensor| {
        let parts: Vec<Tensor> = leaves.iter().map(|v| v[at].clone()).collect();
        at += 1;
        join(&parts)
    })
}
