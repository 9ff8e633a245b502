//! Every operation on tensors of a few elements, by its kernel and on the general path. Small, so that Miri can
//! follow each access of the kernels (`npm run test:unsafe`); the values of large ones are tested with the operations themselves.
use crate::empty::{Op, OPS};
use tallow_tensor::{
    backward, force_general_path,
    testing::{random, within, Tolerance},
    DType, ErrorKind, Result, Tensor,
};

/// Outputs and the gradient of what is float of them, or the kind of error.
fn outcome(op: Op, x: &Tensor) -> std::result::Result<Vec<Tensor>, ErrorKind> {
    let run = || -> Result<Vec<Tensor>> {
        let x = if x.dtype().is_float() { x.variable() } else { x.clone() };
        let mut out = op(&x)?;
        let seeds: Vec<(Tensor, Tensor)> = out
            .iter()
            .filter(|y| y.dtype().is_float() && y.is_tracked())
            .map(|y| Ok((y.clone(), y.detach().ones_like()?)))
            .collect::<Result<_>>()?;
        if !seeds.is_empty() {
            out.extend(backward(&seeds, std::slice::from_ref(&x), false)?);
        }
        Ok(out.iter().map(Tensor::detach).collect())
    };
    run().map_err(|e| e.kind())
}

/// The same values, seen through storages of other layouts.
fn layouts(x: &Tensor) -> Result<Vec<(&'static str, Tensor)>> {
    let wide = Tensor::concat(&[x.clone(), x.clone()], -1)?;
    Ok(vec![
        ("plain", x.clone()),
        ("transposed", x.transpose(None)?.contiguous()?.transpose(None)?),
        ("the end of a wider one", wide.split(2, -1)?.remove(1)),
    ])
}

#[test]
fn every_operation_on_a_few_elements() {
    let dtypes: &[DType] = if cfg!(miri) { &[DType::F32] } else { &[DType::F32, DType::F64, DType::BF16, DType::I32] };
    let shapes: &[&[usize]] = if cfg!(miri) { &[&[2, 3, 5]] } else { &[&[3, 5], &[2, 3, 5], &[2, 4, 17], &[1, 9, 33]] };
    let mut wrong = Vec::new();
    for (&dtype, shape) in dtypes.iter().flat_map(|d| shapes.iter().map(move |s| (d, s))) {
        let x = random(shape, 5).mul_scalar(2).and_then(|x| x.cast(dtype)).unwrap();
        for (layout, x) in layouts(&x).unwrap() {
            for (name, op) in OPS {
                let kernel = outcome(*op, &x);
                // Miri follows the accesses of the kernels; the values are compared where they are computed at full speed.
                if cfg!(miri) {
                    continue;
                }
                let general = force_general_path(|| outcome(*op, &x));
                let what = format!("{name} of {dtype}{shape:?} ({layout})");
                match (kernel, general) {
                    (Ok(a), Ok(b)) if a.len() == b.len() => {
                        // Powers and quotients of small numbers magnify rounding; the exact tests are elsewhere.
                        let t = if dtype == DType::BF16 { 0.1 } else { 1e-3 };
                        let near = Tolerance { absolute: t, relative: t };
                        wrong.extend(
                            a.iter()
                                .zip(&b)
                                .filter_map(|(a, b)| Some(format!("{what}: {}", within(a, b, near).err()?))),
                        );
                    }
                    (Err(a), Err(b)) if a == b => {}
                    (a, b) => wrong.push(format!("{what}: the kernel gives {a:?}, the general path {b:?}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}
