//! Reverse-mode differentiation: nodes recorded by operations, walked backwards without recursion.
pub(crate) use crate::tensor::Grads;
pub use crate::watch::{set_watch, Watch};
use crate::{
    tensor::{Cotangents, Node, NodeRef, Rule, Vjp},
    watch::{watcher, Watched},
    Error, Result, Tensor,
};
use smallvec::{smallvec, SmallVec};
use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::{BinaryHeap, HashMap, HashSet},
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        Arc, Mutex,
    },
};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);
thread_local!(static NO_GRAD: Cell<usize> = const { Cell::new(0) });
thread_local!(static RETAINING: Cell<bool> = const { Cell::new(false) });
thread_local!(static KEPT: RefCell<Option<Arc<dyn Any + Send + Sync>>> = const { RefCell::new(None) });

/// The number that the next node gets: what is recorded from now on has this number or a greater one.
pub fn next_node() -> u64 {
    NEXT_ID.load(Relaxed)
}

/// While it lives, operations of this thread are not recorded.
pub struct NoGrad(());

impl NoGrad {
    /// Stops recording on this thread until the guard is dropped.
    #[must_use]
    pub fn new() -> Self {
        NO_GRAD.with(|c| c.set(c.get() + 1));
        Self(())
    }
}
impl Default for NoGrad {
    fn default() -> Self {
        Self::new()
    }
}
impl Drop for NoGrad {
    fn drop(&mut self) {
        NO_GRAD.with(|c| c.set(c.get() - 1));
    }
}

/// Runs `f` without recording.
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    let _guard = NoGrad::new();
    f()
}

/// Records operations of this thread again, whatever guards are alive, until [`end_recording`] gets the returned value.
///
/// For a host that differentiates a function of its own in the middle of unrecorded work and cannot hold a guard.
#[must_use]
pub fn begin_recording() -> usize {
    NO_GRAD.with(|c| c.replace(0))
}

/// Goes back to what was before [`begin_recording`].
pub fn end_recording(before: usize) {
    NO_GRAD.with(|c| c.set(before));
}

/// Runs `f` recording, even inside unrecorded work: for a backward that differentiates a recomputation.
pub fn recording<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(usize);
    impl Drop for Restore {
        fn drop(&mut self) {
            end_recording(self.0);
        }
    }
    let _restore = Restore(begin_recording());
    f()
}

/// Runs `f`; each [`custom_vjp`] that it records holds `kept` until nothing can run its backward any more.
///
/// For a host whose functions such a backward may call: it knows by that how long they must live.
pub fn keeping<R>(kept: Arc<dyn Any + Send + Sync>, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<dyn Any + Send + Sync>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            KEPT.set(self.0.take());
        }
    }
    let _restore = Restore(KEPT.replace(Some(kept)));
    f()
}

/// Whether operations of this thread are recorded now.
pub fn is_recording() -> bool {
    NO_GRAD.with(|c| c.get() == 0)
}

impl Tensor {
    /// The same values as a new variable that gradients can be asked for. Shares storage.
    pub fn variable(&self) -> Tensor {
        let inputs = self.node().cloned().into_iter().map(Some).collect();
        let node = Node { id: NEXT_ID.fetch_add(1, Relaxed), inputs, outputs: 1, rule: Rule::Leaf };
        self.detach().with_node(NodeRef { node: Arc::new(node), index: 0 })
    }
    /// Whether no gradient could flow from this tensor to anything but the `variables`, so that detaching it cuts nothing else off.
    ///
    /// Walks the graph down to the variables. A variable made of a tracked tensor leads on to that tensor.
    pub fn depends_only_on(&self, variables: &[Tensor]) -> bool {
        let known: HashSet<u64> = variables.iter().filter_map(|t| t.node()).map(|r| r.node.id).collect();
        let mut stack: Vec<&NodeRef> = self.node().into_iter().collect();
        let mut seen: HashSet<u64> = HashSet::new();
        while let Some(NodeRef { node, .. }) = stack.pop() {
            if !seen.insert(node.id) {
                continue;
            }
            let ends_here = match node.rule {
                Rule::Leaf => known.contains(&node.id),
                Rule::Op(_) => true,
                Rule::SecondDerivative => false,
            };
            if !ends_here {
                return false;
            }
            stack.extend(node.inputs.iter().flatten());
        }
        true
    }
}

/// Records `value` as computed from `inputs`. `vjp(ct, need)` maps the cotangent of `value` to gradients of the inputs;
/// `need[i]` says whether input `i` wants one. What the closure keeps must be detached: it decides what memory lives on.
pub(crate) fn record(
    value: Tensor,
    inputs: &[&Tensor],
    vjp: impl Fn(&Tensor, &[bool]) -> Result<Grads> + Send + Sync + 'static,
) -> Tensor {
    debug_assert!(!value.is_tracked());
    if !records(&value, inputs) {
        return value;
    }
    let vjp: Vjp = Box::new(move |cts, need| match &cts[0] {
        Some(ct) => vjp(ct, need),
        None => Ok(need.iter().map(|_| None).collect()),
    });
    let node = new_node(inputs.iter().map(|t| t.node().cloned()).collect(), 1, vjp);
    value.with_node(NodeRef { node, index: 0 })
}

/// Whether [`record`] would record `value`: for operations that have something to keep only then.
pub(crate) fn records(value: &Tensor, inputs: &[&Tensor]) -> bool {
    is_recording() && value.dtype().is_float() && inputs.iter().any(|t| t.is_tracked())
}

fn new_node(inputs: SmallVec<[Option<NodeRef>; 3]>, outputs: usize, vjp: Vjp) -> Arc<Node> {
    Arc::new(Node { id: NEXT_ID.fetch_add(1, Relaxed), inputs, outputs, rule: Rule::Op(Mutex::new(Some(vjp))) })
}

/// An operation with its own backward, the only door for memory-lean gradients.
///
/// `forward` runs unrecorded on detached `inputs` and returns outputs and residuals; nothing else is kept.
/// `backward(residuals, cotangents, need)` gets one cotangent per output (`None`: nothing depends on that output) and returns one
/// gradient per input (`None`: no gradient); it runs unrecorded too.
///
/// # Errors
/// Those of `forward`; at backward time those of `backward`, or `Internal` if it returns the wrong number of gradients.
pub fn custom_vjp<R: Send + Sync + 'static>(
    inputs: &[Tensor],
    forward: impl FnOnce(&[Tensor]) -> Result<(Vec<Tensor>, R)>,
    backward: impl Fn(&R, &[Option<Tensor>], &[bool]) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
) -> Result<Vec<Tensor>> {
    let detached: Vec<Tensor> = inputs.iter().map(Tensor::detach).collect();
    let (outputs, residuals) = no_grad(|| forward(&detached))?;
    drop(detached);
    let outputs: Vec<Tensor> = outputs.iter().map(Tensor::detach).collect();
    if !is_recording() || inputs.iter().all(|t| !t.is_tracked()) {
        return Ok(outputs);
    }
    let count = inputs.len();
    let kept = KEPT.with_borrow(Clone::clone);
    let vjp: Vjp = Box::new(move |cts, need| {
        let _kept = &kept;
        let grads = backward(&residuals, cts, need)?;
        if grads.len() != count {
            return Err(Error::internal(format!("a backward returned {} gradients for {count} inputs", grads.len())));
        }
        Ok(grads.into_iter().map(|g| g.map(|t| t.detach())).collect())
    });
    let node = new_node(inputs.iter().map(|t| t.node().cloned()).collect(), outputs.len(), vjp);
    Ok(outputs
        .into_iter()
        .enumerate()
        .map(|(index, t)| if t.dtype().is_float() { t.with_node(NodeRef { node: node.clone(), index }) } else { t })
        .collect())
}

/// Whether the backward pass that runs on this thread keeps its graph: a [`custom_vjp`] that walks a graph of its own must keep it too.
pub fn is_retaining() -> bool {
    RETAINING.with(Cell::get)
}

/// [`is_retaining`] while it lives; then as before, as one backward pass may run within another.
struct Retaining(bool);
impl Retaining {
    fn new(retain: bool) -> Self {
        Self(RETAINING.with(|c| c.replace(retain)))
    }
}
impl Drop for Retaining {
    fn drop(&mut self) {
        RETAINING.with(|c| c.set(self.0));
    }
}

/// Gradients of Σ⟨output, cotangent⟩ over `seeds`, with respect to each of `wrt` (zeros where nothing depends on it).
///
/// Walks nodes by descending id, without recursion. Unless `retain` is set, a node's saved values are freed once used,
/// and a second backward through it is an error.
///
/// # Errors
/// `Autodiff` for a second derivative, a freed graph, or a `wrt` that is not tracked; `ShapeMismatch` for a cotangent of another shape.
pub fn backward(seeds: &[(Tensor, Tensor)], wrt: &[Tensor], retain: bool) -> Result<Vec<Tensor>> {
    let _guard = NoGrad::new();
    let _retaining = Retaining::new(retain);
    let watch = watcher();
    // Cotangents that have arrived, by node; the heap yields the newest node first.
    let mut pending: HashMap<u64, (Arc<Node>, Cotangents)> = HashMap::new();
    let mut order: BinaryHeap<u64> = BinaryHeap::new();
    let mut wanted: HashMap<(u64, usize), SmallVec<[usize; 1]>> = HashMap::with_capacity(wrt.len());
    for (i, t) in wrt.iter().enumerate() {
        let r = t.node().ok_or_else(|| Error::autodiff("a gradient was asked for with respect to a constant"))?;
        wanted.entry((r.node.id, r.index)).or_default().push(i);
    }
    let mut found: Vec<Option<Tensor>> = vec![None; wrt.len()];
    let mut foreign: Vec<NodeRef> = Vec::new();
    for (output, cotangent) in seeds {
        if output.shape() != cotangent.shape() {
            return Err(Error::shape(format!(
                "cotangent has shape {:?}, its output has {:?}",
                cotangent.shape(),
                output.shape()
            )));
        }
        if let Some(r) = output.node() {
            arrive(&mut pending, &mut order, r, cotangent.detach().cast(output.dtype())?)?;
        }
    }
    // Nodes older than every wanted one cannot lead to it.
    let oldest_wanted = wrt.iter().filter_map(|t| t.node()).map(|r| r.node.id).min().unwrap_or(0);
    while let Some(id) = order.pop() {
        crate::cancel::check()?;
        let Some((node, cts)) = pending.remove(&id) else { continue };
        for (index, ct) in cts.iter().enumerate() {
            for &i in wanted.get(&(id, index)).into_iter().flatten() {
                found[i].clone_from(ct);
            }
        }
        match &node.rule {
            Rule::Leaf => {
                let is_wanted = wanted.contains_key(&(id, 0));
                if is_wanted {
                    foreign.extend(node.inputs.iter().flatten().cloned());
                } else {
                    foreign.push(NodeRef { node: node.clone(), index: 0 });
                }
            }
            Rule::SecondDerivative => {
                return Err(Error::autodiff(
                    "second derivatives are not supported: this value was itself computed as a gradient; use stopGradient to treat it as a constant",
                ))
            }
            Rule::Op(slot) => {
                if id < oldest_wanted {
                    // Only foreign variables can be below; they matter for the second-derivative check alone.
                    foreign.push(NodeRef { node: node.clone(), index: 0 });
                    continue;
                }
                let _watched = watch.as_deref().map(|watch| Watched::begin(watch, id));
                let need: SmallVec<[bool; 8]> = node.inputs.iter().map(Option::is_some).collect();
                let freed = || Error::autodiff("this graph was already used by a backward pass that freed it");
                let grads = {
                    let mut held = slot.lock().map_err(|_| Error::internal("a gradient rule panicked earlier"))?;
                    if retain {
                        held.as_ref().ok_or_else(freed)?(&cts, &need)?
                    } else {
                        let vjp = held.take().ok_or_else(freed)?;
                        drop(held);
                        vjp(&cts, &need)?
                    }
                };
                for (input, grad) in node.inputs.iter().zip(grads) {
                    if let (Some(r), Some(g)) = (input, grad) {
                        arrive(&mut pending, &mut order, r, g)?;
                    }
                }
            }
        }
    }
    let mut out = Vec::with_capacity(wrt.len());
    for (t, g) in wrt.iter().zip(found) {
        let g = match g {
            Some(g) => g.detach().cast(t.dtype())?,
            None => Tensor::zeros(t.shape(), t.dtype(), t.device())?,
        };
        out.push(g);
    }
    drop(_guard);
    if !foreign.is_empty() && is_recording() {
        let poison = Arc::new(Node {
            id: NEXT_ID.fetch_add(1, Relaxed),
            inputs: foreign.into_iter().map(Some).collect(),
            outputs: 1,
            rule: Rule::SecondDerivative,
        });
        out = out.into_iter().map(|g| g.with_node(NodeRef { node: poison.clone(), index: 0 })).collect();
    }
    Ok(out)
}

fn arrive(
    pending: &mut HashMap<u64, (Arc<Node>, Cotangents)>,
    order: &mut BinaryHeap<u64>,
    at: &NodeRef,
    grad: Tensor,
) -> Result<()> {
    let entry = pending.entry(at.node.id).or_insert_with(|| {
        order.push(at.node.id);
        (at.node.clone(), smallvec![None; at.node.outputs])
    });
    let slot = &mut entry.1[at.index];
    *slot = Some(match slot.take() {
        None => grad,
        Some(sum) => sum.accumulate(grad)?,
    });
    Ok(())
}
