//! The sum of gradients over all ranks: the same bits on each, and however many they are.
use super::{
    own_parts,
    sum_tree::{nodes_of, SumTree},
    Transport,
};
use crate::{
    communicator::{failed, Communicator},
    Error, Result,
};
use std::ops::Range;
use tallow_layers::ErrorKind;
use tallow_tensor::{memory, Tensor};

/// Numbers that are sent together, unless one gradient has more.
const BUCKET: usize = 1 << 20;

/// Gradients of all weights, summed over the parts of a node.
pub(super) type Sums = Vec<(Range<usize>, Vec<Tensor>)>;

/// The gradients of all ranks, from the sums of the nodes that this rank has: in buckets, of which each rank adds up an equal slice.
///
/// # Errors
/// Those of the communicator; `DTypeMismatch` for gradients that are not float32.
pub(super) fn sum_over_ranks(
    ranks: &dyn Communicator,
    parts: usize,
    transport: Transport,
    own: &Sums,
) -> Result<Vec<Tensor>> {
    let Some((_, like)) = own.first() else { return Err(failed("this rank has no part of the batch".to_owned())) };
    let mut out = Vec::with_capacity(like.len());
    while out.len() < like.len() {
        let (first, mut end, mut size) = (out.len(), out.len(), 0);
        while end < like.len() && (end == first || size + like[end].size() <= BUCKET) {
            size += like[end].size();
            end += 1;
        }
        let of_bucket: Vec<&[Tensor]> = own.iter().map(|(_, sums)| &sums[first..end]).collect();
        let summed = bucket(ranks, parts, transport, &of_bucket, size)?;
        let mut rest = &summed[..];
        for like in &like[first..end] {
            let (own, others) = rest.split_at(like.size());
            out.push(Tensor::from_vec(memory::copy(own)?, like.shape())?.to_device(like.device())?);
            rest = others;
        }
    }
    Ok(out)
}

/// The sum of a bucket of `size` numbers, from the nodes of this rank.
fn bucket(
    ranks: &dyn Communicator,
    parts: usize,
    transport: Transport,
    own: &[&[Tensor]],
    size: usize,
) -> Result<Vec<f32>> {
    let (rank, n) = (ranks.rank(), ranks.size());
    let nodes: Vec<Vec<Range<usize>>> = (0..n).map(|r| nodes_of(own_parts(parts, r, n), parts)).collect();
    let slice = size.div_ceil(n).next_multiple_of(transport.together());
    // To each rank its slice of every node.
    let mut sent = memory::zeros(&[n, own.len(), slice])?;
    for (i, tensors) in own.iter().enumerate() {
        let mut at = 0;
        for t in *tensors {
            let values = t.values::<f32>()?;
            let mut values = &values[..];
            while !values.is_empty() {
                let (to, from) = (at / slice, at % slice);
                let count = values.len().min(slice - from);
                let place = (to * own.len() + i) * slice + from;
                sent[place..place + count].copy_from_slice(&values[..count]);
                values = &values[count..];
                at += count;
            }
        }
    }
    let sent = transport.packed(sent)?;
    let packed = slice / transport.together();
    let counts: Vec<usize> = nodes.iter().map(|of_rank| of_rank.len() * packed).collect();
    let mut received = memory::zeros(counts.iter().sum::<usize>())?;
    ranks.exchange(&sent, &counts, &mut received)?;
    drop(sent);
    let mut received = transport.unpacked(received)?;
    let mut tree: SumTree<&mut [f32]> = SumTree::new(parts);
    let mut rest = &mut received[..];
    for node in nodes.into_iter().flatten() {
        let (sum, others) = rest.split_at_mut(slice);
        rest = others;
        tree.push(node, sum, |a, b| {
            a.iter_mut().zip(b.iter()).for_each(|(a, b)| *a += b);
            Ok(a)
        })?;
    }
    let lost = || Error::new(ErrorKind::Internal, format!("rank {rank} misses parts of a sum"));
    let sum = tree.sum().ok_or_else(lost)?;
    let sum = transport.packed(memory::copy(sum)?)?;
    let mut all = memory::zeros(&[n, packed])?;
    ranks.all_gather(&sum, &mut all)?;
    transport.unpacked(all)
}
