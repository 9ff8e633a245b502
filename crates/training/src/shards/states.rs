//! The states behind the parts of a batch, as bytes that ranks hand each other.
use crate::{
    communicator::{failed, Communicator},
    safetensors_file::{element_kind, read_elements},
    Error, Result,
};
use serde::{Deserialize, Serialize};
use tallow_layers::{elements, for_each_instance, ErrorKind, LayerId, LayerRef, Store, TensorSpec, Tree};
use tallow_tensor::{DType, Tensor};

/// The tensors of the states of a rank, part after part.
#[derive(Serialize, Deserialize)]
struct Header(Vec<Vec<(String, Vec<usize>)>>);

/// The states behind all parts, in their order, from those of this rank.
///
/// # Errors
/// Those of the communicator; `RankFailed` for states that do not fit those of this rank.
pub(super) fn of_all_parts(ranks: &dyn Communicator, layer: &LayerRef, own: Vec<Store>) -> Result<Vec<Store>> {
    let mut ids = Vec::new();
    for_each_instance(layer, &mut |l| ids.push(l.base().id));
    let Some(like) = own.first() else { return Ok(own) };
    if leaves(&ids, like).is_empty() {
        // All layers of all ranks are the same, so no rank has more to tell; of each part there is the same.
        return Ok(own);
    }
    let all = ranks.all_gather_bytes(&bytes_of(&ids, &own)?)?;
    let mut states = Vec::new();
    for (rank, bytes) in all.iter().enumerate() {
        if rank == ranks.rank() {
            states.extend(own.iter().cloned());
            continue;
        }
        let read = read(&ids, like, bytes);
        states.extend(read.map_err(|why| failed(format!("the state of rank {rank} is not that of this one: {why}")))?);
    }
    Ok(states)
}

fn leaves<'a>(ids: &[LayerId], state: &'a Store) -> Vec<&'a Tensor> {
    ids.iter().filter_map(|id| state.get(id)).flat_map(Tree::leaves).collect()
}

fn bytes_of(ids: &[LayerId], states: &[Store]) -> Result<Vec<u8>> {
    let header = |state: &Store| {
        leaves(ids, state).into_iter().map(|t| (t.dtype().name().to_owned(), t.shape().to_vec())).collect()
    };
    let header = serde_json::to_vec(&Header(states.iter().map(header).collect()));
    let header = header.map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    for t in states.iter().flat_map(|state| leaves(ids, state)) {
        elements::write(t, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
    }
    Ok(bytes)
}

/// The states in `bytes`, of the structure of `like`.
fn read(ids: &[LayerId], like: &Store, bytes: &[u8]) -> std::result::Result<Vec<Store>, String> {
    let early = || "it ends early".to_owned();
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(early)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|e| e.to_string())?;
    let (header, mut rest) = rest.split_at_checked(length).ok_or_else(early)?;
    let Header(parts) = serde_json::from_slice(header).map_err(|e| e.to_string())?;
    let expected = leaves(ids, like);
    let part = |specs: Vec<(String, Vec<usize>)>| {
        if specs.len() != expected.len() {
            return Err(format!("it has {} tensors in place of {}", specs.len(), expected.len()));
        }
        let mut tensors = specs.into_iter().zip(&expected).map(|((dtype, shape), like)| {
            let dtype = DType::parse(&dtype).map_err(|e| e.message().to_owned())?;
            let spec = TensorSpec::new(shape, dtype);
            if spec.shape.len() != like.rank() || dtype != like.dtype() {
                return Err(format!("it has {spec} in place of {}", TensorSpec::of(like)));
            }
            let tensor = read_elements(element_kind(dtype), &spec, &mut rest)?;
            tensor.to_device(like.device()).map_err(|e| e.message().to_owned())
        });
        let mut state = like.clone();
        for id in ids {
            let Some(tree) = like.get(id) else { continue };
            let tree = tree.try_map(&mut |_| tensors.next().ok_or_else(early)?)?;
            state.insert(*id, tree);
        }
        Ok(state)
    };
    parts.into_iter().map(part).collect()
}
