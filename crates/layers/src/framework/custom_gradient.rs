//! Leaves that bring their own backward pass.
use crate::{BackwardCall, Call, Error, ErrorKind, Leaf, Output, Result, Tree};
use tallow_tensor::{custom_vjp, random::Key, Tensor};

struct Residuals {
    xs: Vec<Tensor>,
    ys: Vec<Tensor>,
    w: Tree<Tensor>,
    s: Tree<Tensor>,
    new_s: Tree<Tensor>,
}

/// Runs a leaf's forward, which is `run`, unrecorded, to be differentiated by its own `backward`.
pub(crate) fn forward<L: Leaf>(
    leaf: &L,
    run: impl FnOnce(Call) -> Result<Output>,
    xs: &[Tensor],
    w: &Tree<Tensor>,
    s: &Tree<Tensor>,
    key: Key,
) -> Result<Output> {
    let mut inputs: Vec<Tensor> = xs.to_vec();
    inputs.extend(w.leaves().into_iter().cloned());
    let n = xs.len();
    let mut new_state = None;
    let (w0, s0, held) = (w.map(&mut Tensor::detach), s.map(&mut Tensor::detach), leaf.clone());
    let ys = custom_vjp(
        &inputs,
        |inputs| {
            let xs = inputs[..n].to_vec();
            let out = run(Call { xs: &xs, w: &w0, s: &s0, key })?;
            let new_s = out.state.clone().unwrap_or_else(|| s0.clone());
            new_state = out.state;
            Ok((out.ys.clone(), Residuals { xs, ys: out.ys, w: w0, s: s0, new_s }))
        },
        move |r, cts, _need| {
            let cotangents = cts
                .iter()
                .chain(std::iter::repeat(&None))
                .zip(&r.ys)
                .map(|(ct, y)| match ct {
                    Some(ct) => Ok(ct.clone()),
                    None => Tensor::zeros(y.shape(), y.dtype(), y.device()),
                })
                .collect::<tallow_tensor::Result<Vec<_>>>()?;
            let call = Call { xs: &r.xs, w: &r.w, s: &r.s, key };
            let own = held.abilities().gradient;
            let own = own.ok_or_else(|| Error::new(ErrorKind::Internal, "this layer has no backward of its own"))?;
            let (dxs, dw) =
                own.backward(BackwardCall { call, ys: &r.ys, new_state: &r.new_s, cotangents: &cotangents })?;
            check(&dxs, &r.xs, &dw, &r.w)?;
            Ok(dxs.into_iter().chain(dw.leaves().into_iter().map(|t| Some(t.clone()))).collect())
        },
    )?;
    Ok(Output { ys, state: new_state })
}

/// Zeros shaped as `w`: gradients of weights that a backward says nothing about.
pub(crate) fn zeros_like(w: &Tree<Tensor>) -> Result<Tree<Tensor>> {
    Ok(w.try_map(&mut |t| Tensor::zeros(t.shape(), t.dtype(), t.device()))?)
}

/// Refuses gradients that do not fit what they are of.
pub(crate) fn check(dxs: &[Option<Tensor>], xs: &[Tensor], dw: &Tree<Tensor>, w: &Tree<Tensor>) -> Result<()> {
    let wrong = |what: String| Error::shape(format!("backward returned {what}"));
    if dxs.len() != xs.len() {
        return Err(wrong(format!("{} gradients for {} inputs", dxs.len(), xs.len())));
    }
    let (dw, w) = (dw.leaves(), w.leaves());
    if dw.len() != w.len() {
        return Err(wrong(format!("{} weight gradients for {} weights", dw.len(), w.len())));
    }
    let pairs = dxs.iter().zip(xs).filter_map(|(g, x)| g.as_ref().map(|g| (g, x)));
    for (g, t) in pairs.chain(dw.into_iter().zip(w)) {
        if g.shape() != t.shape() {
            return Err(wrong(format!("a gradient of shape {:?} for a tensor of shape {:?}", g.shape(), t.shape())));
        }
    }
    Ok(())
}
