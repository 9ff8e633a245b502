//! What predict mode remembers of earlier inputs: a window that forgets its oldest part when it is full.
use crate::{Call, Dim, Error, ErrorKind, Filled, Local, Mode, Output, Result, TensorSpec, Tree};
use tallow_tensor::Tensor;

/// Sizes of the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Positions remembered.
    pub len: usize,
    /// Positions forgotten when it is full.
    pub drop: usize,
}

/// The inputs that attention sees in a call, and where the new ones stand in them.
pub(super) struct Seen {
    /// The inputs of a first call too long to be a piece: all that is seen, and nothing behind it.
    pub whole: Option<Vec<Tensor>>,
    /// Where the first new position stands.
    pub start: usize,
    /// How many new ones there are.
    pub new: usize,
    /// What the window holds from now on, and how many positions that is. Where it is not `whole`, this is what is seen.
    pub window: Vec<Filled>,
    pub end: usize,
}

impl Seen {
    /// The inputs from the `from`th on: what is remembered with what is new, along axis 1; where Trax's has empty places behind it, without those.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn inputs(&self, from: usize) -> Result<Vec<Tensor>> {
        match &self.whole {
            Some(inputs) => Ok(inputs[from..].to_vec()),
            None => self.window[from..].iter().map(Filled::held).collect(),
        }
    }
}

/// Runs a call in mode `'predict'` position by position, where a piece of several continues a sequence; `None` for other calls.
pub(super) fn one_by_one(call: &Call, step: impl Fn(Call) -> Result<Output>) -> Result<Option<Output>> {
    let n = call.xs[0].shape().get(1).copied().unwrap_or(0);
    let started = match call.s {
        Tree::Tuple(parts) if parts.len() == 3 => parts[0].one()?.item()? > 0.0,
        _ => false,
    };
    if n < 2 || !started {
        return Ok(None);
    }
    let (mut ys, mut state) = (tallow_tensor::memory::room(n)?, call.s.clone());
    for i in 0..n {
        let xs = call.xs.iter().map(|x| x.narrow(1, i, 1)).collect::<tallow_tensor::Result<Vec<_>>>()?;
        let out = step(Call { xs: &xs, w: call.w, s: &state, key: call.key })?;
        ys.extend(out.ys);
        state = out.state.unwrap_or(state);
    }
    Ok(Some(Output { ys: vec![Tensor::concat(&ys, 1)?], state: Some(state) }))
}

/// The state that a call in mode `'predict'` begins with where its batch is another than the state was made for, and nothing is
/// remembered yet, so that any number of sequences can begin; `None` where the state fits.
///
/// # Errors
/// `ShapeMismatch` where sequences are under way.
pub(super) fn refitted(
    call: &Call,
    window: Option<&Window>,
    init: impl FnOnce(&[TensorSpec]) -> Result<Local>,
) -> Result<Option<Tree<Tensor>>> {
    let Some(window) = window else { return Ok(None) };
    let (end, seen, _) = window.read(call.s, call.xs.len())?;
    let (batch, held) = (call.xs[0].shape()[0], seen[0].spec().shape.first().copied().unwrap_or(0));
    if batch == held {
        return Ok(None);
    }
    if end > 0 {
        return Err(Error::other_batch(batch, held));
    }
    let specs: Vec<TensorSpec> = call.xs.iter().map(TensorSpec::of).collect();
    Ok(Some(crate::drawing::without_drawing(|| init(&specs))?.state))
}

/// What `mode` needs of the options that predict mode has; `None` in other modes.
///
/// # Errors
/// `InvalidOption` in mode `'predict'` unless attention is causal and the sizes make sense.
pub(super) fn of_options(
    kind: &str,
    mode: Mode,
    causal: bool,
    chunks: (Option<Dim>, usize),
    sizes: (Option<Dim>, Option<Dim>),
) -> Result<Option<Window>> {
    if mode != Mode::Predict {
        return Ok(None);
    }
    if !causal {
        return Err(Error::option(format!("{kind}: mode 'predict' needs `causal: true`")));
    }
    let chunk = chunks.0.map(|c| c.0);
    let len = sizes.0.map(|d| d.0).or(chunk.map(|c| c * (1 + chunks.1)));
    let drop = sizes.1.map(|d| d.0).or(chunk);
    let (Some(len), Some(drop)) = (len, drop) else {
        let what = "mode 'predict' needs `predictMemLen` and `predictDropLen`, or `chunkLen`";
        return Err(Error::option(format!("{kind}: {what}")));
    };
    if drop > len {
        return Err(Error::option(format!(
            "{kind}: `predictDropLen` ({drop}) must be at most `predictMemLen` ({len})"
        )));
    }
    Ok(Some(Window { len, drop }))
}

impl Window {
    /// An empty window for inputs of these signatures: `(end, inputs)`, to which a layer adds its own.
    pub(super) fn init(&self, inputs: &[TensorSpec], own: Tree<Tensor>) -> Result<Tree<Tensor>> {
        let empty = |x: &TensorSpec| {
            let mut shape = x.shape.clone();
            shape[1] = 0;
            Ok(Tree::Filled(self.holding(x.with_shape(shape).zeros()?)))
        };
        let inputs = inputs.iter().map(empty).collect::<Result<_>>()?;
        Ok(Tree::Tuple(vec![Tree::Leaf(Tensor::scalar(0i32)), Tree::Tuple(inputs), own]))
    }
    /// An input whose first positions are these.
    fn holding(&self, positions: Tensor) -> Filled {
        Filled::new(positions, 1, self.len)
    }
    /// The new state.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn state(&self, seen: &Seen, own: Tree<Tensor>) -> Result<Tree<Tensor>> {
        let window = seen.window.iter().map(|x| Ok(Tree::Filled(x.detach()?))).collect::<Result<_>>()?;
        Ok(Tree::Tuple(vec![Tree::Leaf(Tensor::scalar(seen.end as i32)), Tree::Tuple(window), own]))
    }
    /// What attention sees in a call as Trax has it: with the empty places of the window behind it.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn in_full(&self, seen: &Seen) -> Result<Vec<Tensor>> {
        match &seen.whole {
            Some(inputs) => Ok(inputs.clone()),
            None => seen.window.iter().map(Filled::shown).collect(),
        }
    }
    /// How much of the window is filled, its inputs, and the layer's own part of the state. A state as Trax has it is read as far as it is filled.
    ///
    /// # Errors
    /// `WeightsMismatch` for a state of another structure.
    pub(super) fn read<'a>(
        &self,
        state: &'a Tree<Tensor>,
        inputs: usize,
    ) -> Result<(usize, Vec<Filled>, &'a Tree<Tensor>)> {
        let wrong = || state.wrong("the state of mode 'predict': (end, inputs, own)");
        let Tree::Tuple(parts) = state else { return Err(wrong()) };
        let [end, Tree::Tuple(window), own] = &parts[..] else { return Err(wrong()) };
        let end = end.one()?.item()? as usize;
        if window.len() != inputs || end > self.len {
            return Err(wrong());
        }
        let read = |t: &Tree<Tensor>| match t {
            Tree::Filled(x) => Ok(x.clone()),
            t => match t.one()? {
                x if x.rank() < 2 => Err(wrong()),
                x if x.shape()[1] == self.len => Ok(self.holding(x.narrow(1, 0, end)?)),
                x => Ok(Filled::new(x.clone(), 1, x.shape()[1])),
            },
        };
        Ok((end, window.iter().map(read).collect::<Result<_>>()?, own))
    }
    /// Adds inputs to what the state remembers; also the layer's own part of the state.
    ///
    /// # Errors
    /// `InvalidArgument` for a long piece that does not start the sequence, `ShapeMismatch` for another batch, `WeightsMismatch`
    /// for a state of another structure.
    pub(super) fn take<'a>(&self, inputs: &[Tensor], state: &'a Tree<Tensor>) -> Result<(Seen, &'a Tree<Tensor>)> {
        let (end, window, own) = self.read(state, inputs.len())?;
        for (x, w) in inputs.iter().zip(&window) {
            let shape = w.spec().shape;
            let fits = x.rank() == shape.len()
                && x.shape()[0] == shape[0]
                && x.shape()[2..] == shape[2..]
                && shape[1] == self.len;
            if !fits {
                let what = format!("an input of shape {:?} does not continue one of {:?}", x.shape(), shape);
                return Err(Error::shape(what));
            }
        }
        let new = inputs[0].shape()[1];
        if new <= self.drop && new < self.len {
            // There may be fewer positions than are to be forgotten.
            let drop = if end + new > self.len { self.drop.min(end) } else { 0 };
            let start = end - drop;
            let window = inputs.iter().zip(&window).map(|(x, w)| w.without(drop)?.append(x)).collect::<Result<_>>()?;
            return Ok((Seen { window, whole: None, start, new, end: start + new }, own));
        }
        if end != 0 {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "predict got {new} positions after the first {end}: more than predictDropLen ({}) go in the first call only",
                    self.drop
                ),
            ));
        }
        let end = new.min(self.len);
        let last = |(x, w): (&Tensor, &Filled)| w.append(&x.narrow(1, new - end, end)?);
        let window = inputs.iter().zip(&window).map(last).collect::<Result<_>>()?;
        Ok((Seen { whole: Some(inputs.to_vec()), start: 0, new, window, end }, own))
    }
}
