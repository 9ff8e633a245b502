//! Positions: their state in mode `'predict'`, and features of them.
use crate::{Error, Result, TensorSpec, Tree};
use tallow_tensor::{memory, DType, Tensor};

/// The signature of `(batch, length, features)` with float32 positions added.
pub(super) fn positioned(x: &TensorSpec) -> Result<Vec<TensorSpec>> {
    if x.rank() != 3 {
        return Err(Error::shape(format!("expected (batch, length, features), got {x}")));
    }
    Ok(vec![TensorSpec::new(x.shape.clone(), x.dtype.promote(DType::F32))])
}

/// Index of the next position, in the state of predict.
pub(super) fn next_position(state: &Tree<Tensor>) -> Result<usize> {
    Ok(state.one()?.item()? as usize)
}

/// The state of predict whose next position is `position`.
pub(super) fn at_position(position: usize) -> Tree<Tensor> {
    Tree::Leaf(Tensor::scalar(position as i32))
}

/// Indices of the next positions, one for each sequence, in the state of predict. Before the first position any number of sequences fits.
pub(super) fn next_positions(state: &Tensor, batch: usize) -> Result<Vec<i64>> {
    let index = state.to_f64_vec()?;
    if index.len() != batch {
        let begun = index.iter().any(|&i| i > 0.0);
        return if begun { Err(Error::other_batch(batch, index.len())) } else { Ok(memory::full(batch, 0)?) };
    }
    Ok(index.into_iter().map(|i| i as i64).collect())
}

/// The state of predict `length` positions behind those of `starts`.
pub(super) fn moved_on(starts: &[i64], length: usize) -> Result<Tensor> {
    Ok(Tensor::from_vec(starts.iter().map(|&s| s as i32 + length as i32).collect(), &[starts.len()])?)
}

/// Three features of position `t` among bins of `length` positions: one over the bin's number from 1, the place in the bin
/// as a share of it, and whether the bin's number from 0 is odd.
pub(super) fn bin_features(t: i64, length: i64) -> [f32; 3] {
    let (bin, place) = (t.div_euclid(length), t.rem_euclid(length));
    [1.0 / (1 + bin) as f32, place as f32 / length as f32, (bin % 2) as f32]
}
