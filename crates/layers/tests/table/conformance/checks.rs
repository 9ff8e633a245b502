//! What is checked of a case.
use super::case::Case;
use tallow_layers::{
    combinators::parallel, deep_copy, init, init_signature, load_state, load_weights, print, pure_fn, signature,
    view_state, view_weights, with_mode, LayerRef, Mode, Result, Store, TensorSpec, Tree,
};
use tallow_tensor::{
    backward, no_grad,
    random::Key,
    testing::{gradient_error, random, tolerance, within},
    DType, Tensor,
};

const INIT_KEY: Key = Key([3, 141]);
const CALL_KEY: Key = Key([59, 26]);

/// All that is wrong with a case; empty if it holds.
pub fn case(case: &Case) -> Vec<String> {
    let subject = match no_grad(|| Subject::new(case)) {
        Ok(s) => s,
        Err(e) => return vec![format!("[{}] {e}", e.code())],
    };
    let mut found = Vec::new();
    let mut check = |name: &str, result: Result<Option<String>>| match result {
        Ok(None) => {}
        Ok(Some(text)) => found.push(text),
        Err(e) => found.push(format!("{name}: [{}] {e}", e.code())),
    };
    check("arity", no_grad(|| subject.arity()));
    check("signature", no_grad(|| subject.signature()));
    check("purity", no_grad(|| subject.purity()));
    check("key", no_grad(|| subject.key(case.random)));
    check("trees", no_grad(|| subject.trees()));
    check("copies", no_grad(|| subject.copies(case)));
    check("refusals", no_grad(|| Ok(subject.refusals())));
    if case.no_gradient_check.is_none() {
        check("gradients", subject.gradients());
    }
    check("sharing", subject.sharing());
    if let Some(axis) = case.time_axis {
        check("steps", no_grad(|| subject.steps(axis, case.random)));
    }
    found
}

/// What is wrong with the gradients of a case that is excused from that check. Such a test is ignored; asked for
/// (`--include-ignored`), it shows what the excuse hides.
pub fn excused(case: &Case) -> Vec<String> {
    match no_grad(|| Subject::new(case)).and_then(|subject| subject.gradients()) {
        Ok(found) => found.into_iter().collect(),
        Err(e) => vec![format!("[{}] {e}", e.code())],
    }
}

struct Subject {
    layer: LayerRef,
    inputs: Vec<Tensor>,
    weights: Store,
    state: Store,
}

fn specs(ts: &[Tensor]) -> Vec<TensorSpec> {
    ts.iter().map(TensorSpec::of).collect()
}

fn leaves(tree: &Tree<Tensor>) -> Vec<Tensor> {
    tree.leaves().into_iter().cloned().collect()
}

fn same_bits(a: &[Tensor], b: &[Tensor]) -> Result<bool> {
    if specs(a) != specs(b) {
        return Ok(false);
    }
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a.to_f64_vec()?, b.to_f64_vec()?);
        if a.iter().zip(&b).any(|(x, y)| x.to_bits() != y.to_bits() && !(x.is_nan() && y.is_nan())) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn to_f64(t: &Tensor) -> Result<Tensor> {
    Ok(if t.dtype().is_float() { t.cast(DType::F64)? } else { t.clone() })
}

impl Subject {
    fn new(case: &Case) -> Result<Self> {
        let layer = case.layer()?;
        let inputs = case.inputs.clone();
        let (weights, state) = init(&layer, &specs(&inputs), INIT_KEY)?;
        Ok(Self { layer, inputs, weights, state })
    }
    fn call(&self, key: Key) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let (ys, state) = pure_fn(&self.layer, self.inputs.clone(), &self.weights, self.state.clone(), key)?;
        let state = leaves(&view_state(&self.layer, &state).expect("room for the state"));
        Ok((ys, state))
    }
    fn arity(&self) -> Result<Option<String>> {
        if self.layer.open() {
            return Ok(None);
        }
        let arity = self.layer.arity();
        if self.inputs.len() != arity.n_in {
            return Ok(Some(format!("the case has {} inputs for {}", self.inputs.len(), arity.n_in)));
        }
        let mut more = self.inputs.clone();
        more.push(random(&[2], 1));
        match pure_fn(&self.layer, more, &self.weights, self.state.clone(), CALL_KEY) {
            Err(e) if e.code() == "ArityMismatch" => Ok(None),
            other => Ok(Some(format!("an input too many gave {other:?} instead of ArityMismatch"))),
        }
    }
    fn signature(&self) -> Result<Option<String>> {
        let declared = signature(&self.layer, &specs(&self.inputs))?;
        let real = specs(&self.call(CALL_KEY)?.0);
        Ok((declared != real).then(|| format!("declares {declared:?}, returns {real:?}")))
    }
    /// A layer that holds nothing refuses the same inputs in `init` and in a call, with one code and one sentence.
    fn refusals(&self) -> Option<String> {
        let holds = self.weights.values().chain(self.state.values()).any(|tree| !tree.leaves().is_empty());
        if holds || self.layer.calls_host() || !self.layer.sublayers().is_empty() {
            return None;
        }
        let refusal = |e: tallow_layers::Error| (e.code(), e.message().to_owned());
        self.other_inputs().into_iter().find_map(|specs| {
            let zeros = specs.iter().map(|s| s.zeros().expect("few zeros")).collect();
            let in_init = init(&self.layer, &specs, INIT_KEY).err().map(refusal);
            let called = pure_fn(&self.layer, zeros, &self.weights, self.state.clone(), CALL_KEY);
            let in_call = called.err().map(refusal);
            let differ = || format!("{specs:?}: init says {in_init:?}, a call says {in_call:?}");
            (in_init != in_call).then(differ)
        })
    }
    /// Signatures of which a layer may not take all: of fewer and of more axes, and of other sizes along each.
    fn other_inputs(&self) -> Vec<Vec<TensorSpec>> {
        let specs = specs(&self.inputs);
        let all = |f: &dyn Fn(&[usize]) -> Vec<usize>| specs.iter().map(|s| s.with_shape(f(&s.shape))).collect();
        let mut out: Vec<Vec<TensorSpec>> = vec![
            all(&|_| vec![]),
            all(&|_| vec![3]),
            all(&|shape| [&[2], shape].concat()),
            all(&|shape| [shape, &[2]].concat()),
        ];
        for (i, spec) in specs.iter().enumerate() {
            for axis in 0..spec.rank() {
                let mut other = specs.clone();
                other[i].shape[axis] += 1;
                out.push(other);
            }
        }
        out
    }
    fn purity(&self) -> Result<Option<String>> {
        let again = init(&self.layer, &specs(&self.inputs), INIT_KEY)?;
        let trees = |w: &Store, s: &Store| {
            [leaves(&view_weights(&self.layer, w)), leaves(&view_state(&self.layer, s).expect("room for the state"))]
                .concat()
        };
        if !same_bits(&trees(&self.weights, &self.state), &trees(&again.0, &again.1))? {
            return Ok(Some("init is not pure: the same key gave other weights or state".into()));
        }
        let (a, b) = (self.call(CALL_KEY)?, self.call(CALL_KEY)?);
        let same = same_bits(&a.0, &b.0)? && same_bits(&a.1, &b.1)?;
        Ok((!same).then(|| "the call is not pure: the same arguments gave other outputs or state".into()))
    }
    fn key(&self, random: bool) -> Result<Option<String>> {
        let same = same_bits(&self.call(CALL_KEY)?.0, &self.call(Key([535, 897]))?.0)?;
        Ok(match (random, same) {
            (true, true) => Some("another key gave the same outputs, though the case says random".into()),
            (false, false) => Some("another key gave other outputs, though the case does not say random".into()),
            _ => None,
        })
    }
    /// Weights and state survive the way through Trax's nesting, and have the structure that is foretold.
    fn trees(&self) -> Result<Option<String>> {
        let (w, s) = (
            view_weights(&self.layer, &self.weights),
            view_state(&self.layer, &self.state).expect("room for the state"),
        );
        let weights = load_weights(&self.layer, &w)?;
        let state = load_state(&self.layer, &s)?;
        let (ys, _) = pure_fn(&self.layer, self.inputs.clone(), &weights, state, CALL_KEY)?;
        if !same_bits(&ys, &self.call(CALL_KEY)?.0)? {
            return Ok(Some("weights and state put back from their trees give other outputs".into()));
        }
        let (w2, s2) = init_signature(&self.layer, &specs(&self.inputs), INIT_KEY)?;
        let (w2, s2) = (
            view_weights(&self.layer, &w2).describe(),
            view_state(&self.layer, &s2).expect("room for the state").describe(),
        );
        let differs = (w2 != w.describe()) || (s2 != s.describe());
        Ok(differs.then(|| format!("init made {} and {}, foretold {w2} and {s2}", w.describe(), s.describe())))
    }
    /// A copy in another mode keeps identity, a deep copy does not; both print alike and run.
    fn copies(&self, case: &Case) -> Result<Option<String>> {
        let text = print(&self.layer);
        if !text.starts_with(&self.layer.base().name) {
            return Ok(Some(format!("prints {text}, which does not start with its name")));
        }
        if print(&case.layer()?) != text {
            return Ok(Some("a second instance prints otherwise".into()));
        }
        let eval = with_mode(&self.layer, Mode::Eval);
        let copy = deep_copy(&self.layer);
        if print(&copy) != text || eval.base().id != self.layer.base().id || copy.base().id == self.layer.base().id {
            return Ok(Some("a copy does not print alike, or has the wrong identity".into()));
        }
        let (_, state) = init_signature(&eval, &specs(&self.inputs), INIT_KEY)?;
        pure_fn(&eval, self.inputs.clone(), &self.weights, state, CALL_KEY)?;
        let weights = load_weights(&copy, &view_weights(&self.layer, &self.weights))?;
        let state = load_state(&copy, &view_state(&self.layer, &self.state).expect("room for the state"))?;
        let (ys, _) = pure_fn(&copy, self.inputs.clone(), &weights, state, CALL_KEY)?;
        let same = same_bits(&ys, &self.call(CALL_KEY)?.0)?;
        Ok((!same).then(|| "a deep copy with the same weights gives other outputs".into()))
    }
    /// Inputs, weights and state in float64, the weights moved off their initial zeros and ones.
    fn in_f64(&self) -> Result<(Vec<Tensor>, Tree<Tensor>, Store)> {
        let inputs = self.inputs.iter().map(to_f64).collect::<Result<_>>()?;
        let mut seed = 500;
        let w = view_weights(&self.layer, &self.weights).try_map(&mut |t| {
            seed += 1;
            let t = to_f64(t)?;
            if !t.dtype().is_float() {
                return Ok::<_, tallow_layers::Error>(t);
            }
            Ok(t.add(&random(t.shape(), seed).mul_scalar(0.1)?)?)
        })?;
        let s = view_state(&self.layer, &self.state).expect("room for the state").try_map(&mut to_f64)?;
        Ok((inputs, w, load_state(&self.layer, &s)?))
    }
    fn gradients(&self) -> Result<Option<String>> {
        let (inputs, w, state) = self.in_f64()?;
        let all: Vec<Tensor> = inputs.iter().cloned().chain(leaves(&w)).collect();
        let n = inputs.len();
        let floats: Vec<usize> = (0..all.len()).filter(|&i| all[i].dtype().is_float()).collect();
        let f = |moved: &[Tensor]| {
            let mut values = all.clone();
            floats.iter().zip(moved).for_each(|(&i, t)| values[i] = t.clone());
            let weights = load_weights(&self.layer, &refilled(&w, &values[n..]))?;
            Ok(pure_fn(&self.layer, values[..n].to_vec(), &weights, state.clone(), CALL_KEY)?.0)
        };
        let moved: Vec<Tensor> = floats.iter().map(|&i| all[i].clone()).collect();
        if moved.is_empty() {
            return Ok(None);
        }
        Ok(gradient_error(f, &moved).err())
    }
    /// The weight gradients of two uses of the layer are the sum of those of each use.
    fn sharing(&self) -> Result<Option<String>> {
        let (inputs, w, state) = self.in_f64()?;
        let arity = self.layer.arity();
        if arity.n_in == 0 || inputs.len() != arity.n_in || w.leaves().iter().all(|t| !t.dtype().is_float()) {
            return Ok(None);
        }
        let w = w.map(&mut |t| if t.dtype().is_float() { t.variable() } else { t.clone() });
        let weights = load_weights(&self.layer, &w)?;
        let variables: Vec<Tensor> = leaves(&w).into_iter().filter(Tensor::is_tracked).collect();
        let gradients = |ys: Vec<Tensor>, offset: usize| -> Result<Vec<Tensor>> {
            let seeds: Vec<(Tensor, Tensor)> = ys
                .into_iter()
                .enumerate()
                .filter(|(_, y)| y.dtype().is_float())
                .map(|(i, y)| (y.clone(), random(y.shape(), 900 + (i + offset) as u64)))
                .collect();
            Ok(backward(&seeds, &variables, true)?)
        };
        let keys = CALL_KEY.split(2);
        let second: Vec<Tensor> = inputs
            .iter()
            .map(|t| if t.dtype().is_float() { Ok(t.mul_scalar(0.5)?) } else { Ok(t.clone()) })
            .collect::<Result<_>>()?;
        let (ys, between) = pure_fn(&self.layer, inputs.clone(), &weights, state.clone(), keys[0])?;
        let n = ys.len();
        let first = gradients(ys, 0)?;
        let (ys, _) = pure_fn(&self.layer, second.clone(), &weights, between, keys[1])?;
        let other = gradients(ys, n)?;
        let twice = parallel(vec![self.layer.clone(), self.layer.clone()])?;
        let (ys, _) = pure_fn(&twice, [inputs, second].concat(), &weights, state, CALL_KEY)?;
        let both = gradients(ys, 0)?;
        for (i, ((a, b), sum)) in first.iter().zip(&other).zip(&both).enumerate() {
            if let Err(text) = within(sum, &a.add(b)?, tolerance(DType::F64)) {
                return Ok(Some(format!("used twice, the gradient of weight {i} is not the sum of both uses: {text}")));
            }
        }
        Ok(None)
    }
    /// Predicting piece by piece gives what evaluation gives at once, for every way to cut the sequence that begins with a long piece,
    /// and for a state that was made for another number of sequences.
    fn steps(&self, axis: isize, random: bool) -> Result<Option<String>> {
        let n = self.inputs[0].shape()[axis as usize];
        let singles = vec![1; n];
        let prompt = [vec![n.div_ceil(2)], vec![1; n / 2]].concat();
        let pairs = (0..n).step_by(2).map(|i| 2.min(n - i)).collect();
        for pieces in [singles.clone(), vec![n], prompt, pairs] {
            match self.pieces(axis, &pieces, false) {
                Ok(None) => {}
                Ok(Some(text)) => return Ok(Some(format!("in pieces of {pieces:?}: {text}"))),
                // A window may refuse long pieces behind the first, in words.
                Err(e) if e.code() == "InvalidArgument" && pieces[1..].iter().any(|&n| n > 1) => {}
                Err(e) => return Err(e),
            }
        }
        // Hashes that are drawn for each sequence are others then.
        if random || axis == 0 {
            return Ok(None);
        }
        let found = self.pieces(axis, &singles, true)?;
        Ok(found.map(|text| format!("with a state made for twice as many sequences: {text}")))
    }
    fn pieces(&self, axis: isize, pieces: &[usize], of_more: bool) -> Result<Option<String>> {
        let eval = with_mode(&self.layer, Mode::Eval);
        let predict = with_mode(&self.layer, Mode::Predict);
        let (_, state) = init_signature(&eval, &specs(&self.inputs), INIT_KEY)?;
        let (whole, _) = pure_fn(&eval, self.inputs.clone(), &self.weights, state, CALL_KEY)?;
        let steps = self.inputs[0].shape()[axis as usize];
        let step = |i: usize, n: usize| -> Result<Vec<Tensor>> {
            let has_time = |t: &Tensor| t.rank() > axis as usize && t.shape()[axis as usize] == steps;
            self.inputs.iter().map(|t| if has_time(t) { Ok(t.narrow(axis, i, n)?) } else { Ok(t.clone()) }).collect()
        };
        let mut first = specs(&step(0, 1)?);
        if of_more {
            first.iter_mut().for_each(|s| s.shape[0] *= 2);
        }
        let (_, mut state) = init_signature(&predict, &first, INIT_KEY)?;
        let mut columns: Vec<Vec<Tensor>> = vec![Vec::new(); whole.len()];
        let mut at = 0;
        for &n in pieces {
            let (ys, next) = pure_fn(&predict, step(at, n)?, &self.weights, state, CALL_KEY)?;
            (state, at) = (next, at + n);
            columns.iter_mut().zip(ys).for_each(|(c, y)| c.push(y));
        }
        for (k, (whole, column)) in whole.iter().zip(columns).enumerate() {
            // What has no time axis, such as a carried value, is right after the last step.
            let last = column.last().cloned().ok_or_else(|| tallow_layers::Error::option("no steps"))?;
            let joined = if last.shape() == whole.shape() { last } else { Tensor::concat(&column, axis)? };
            if let Err(text) = within(&joined, whole, tolerance(DType::F32)) {
                return Ok(Some(format!("output {k} step by step differs from the whole: {text}")));
            }
        }
        Ok(None)
    }
}

/// The same structure with other leaves, given in flattening order.
fn refilled(tree: &Tree<Tensor>, values: &[Tensor]) -> Tree<Tensor> {
    let old = tree.leaves();
    tree.map(&mut |leaf| {
        let at = old.iter().position(|o| std::ptr::eq(*o, leaf)).expect("a leaf of the same tree");
        values[at].clone()
    })
}
