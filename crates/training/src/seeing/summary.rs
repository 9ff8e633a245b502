//! What a model is made of: its layers, what they give, what they hold.
use super::place::Around;
use crate::Result;
use std::collections::HashSet;
use tallow_layers::{held, list, LayerId, LayerRef, Listed, Store, TensorSpec, Tree};
use tallow_tensor::{ops::Quantization, Tensor};

/// What a layer, or all of a model, holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds {
    /// Numbers in weights.
    pub weights: usize,
    /// Those of them that training changes: the floats.
    pub trainable: usize,
    /// Bytes of weights and state.
    pub bytes: usize,
}

/// A use of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryRow {
    /// Positions and names of the layers around, and of the layer: as weights are named. Empty for the model itself.
    pub path: String,
    /// Its name.
    pub name: String,
    /// How many layers it lies in.
    pub depth: usize,
    /// What it takes.
    pub inputs: Vec<TensorSpec>,
    /// What it gives.
    pub outputs: Vec<TensorSpec>,
    /// How many tensors are on the data stack behind it.
    pub height: usize,
    /// What it and the layers in it hold; nothing for what is counted in an earlier row.
    pub holds: Holds,
    /// Whether it is an instance of an earlier row.
    pub shared: bool,
    /// What its own large matrices are held in, where they are quantized.
    pub quantized: Option<Quantization>,
}

/// The layers of a model, in the order they run; the first is the model.
#[derive(Debug, Clone)]
pub struct Summary {
    /// A row for each use of a layer; the layers in one that is shared stand once.
    pub rows: Vec<SummaryRow>,
    /// What the model holds.
    pub total: Holds,
}

fn bytes_of(t: &Tensor) -> usize {
    t.size().saturating_mul(t.dtype().size())
}

/// What an instance holds itself.
fn own(id: LayerId, weights: &Store, state: &Store) -> Holds {
    let leaves = |store: &'_ Store| -> Vec<Tensor> {
        store.get(&id).map(Tree::leaves).unwrap_or_default().into_iter().cloned().collect()
    };
    let matrices = weights.get(&id).map(Tree::matrices).unwrap_or_default();
    let (in_matrices, bytes): (Vec<usize>, Vec<usize>) =
        matrices.iter().map(|m| (m.shape().iter().product::<usize>(), m.bytes())).unzip();
    let (weights, state) = (leaves(weights), leaves(state));
    Holds {
        weights: weights.iter().map(Tensor::size).chain(in_matrices).sum(),
        // A model with quantized weights is not trained.
        trainable: weights.iter().filter(|t| t.dtype().is_float()).map(Tensor::size).sum(),
        bytes: weights.iter().chain(&state).map(bytes_of).chain(bytes).sum(),
    }
}

/// Tells what a layer is made of when it is called with inputs of these signatures. No weights are made.
///
/// # Errors
/// Inputs a layer does not take, with its path.
pub fn summary(layer: &LayerRef, inputs: &[TensorSpec]) -> Result<Summary> {
    let (listed, mut weights, state) = list(layer, inputs)?;
    // What is made is float32; what is held may take less.
    weights.extend(held(layer).0.into_iter().filter(|(_, tree)| !tree.matrices().is_empty()));
    let mut around: Vec<Around> = Vec::new();
    let mut rows: Vec<SummaryRow> = Vec::new();
    let mut seen = HashSet::new();
    for Listed { id, name, sublayers, depth, first, inputs, outputs, height } in listed {
        around.truncate(depth);
        let path = around.last_mut().map_or_else(String::new, |around| around.path_of(id, &name));
        around.push(Around::new(path.clone(), sublayers.into_iter()));
        let new = seen.insert(id);
        let quantized = weights.get(&id).and_then(|tree| tree.matrices().first().map(|m| m.quantization()));
        let (holds, shared) = (Holds::default(), !first);
        rows.push(SummaryRow { path, name, depth, inputs, outputs, height, holds, shared, quantized });
        if !new {
            continue;
        }
        // What a layer holds, those around it hold too: the last rows that lie less and less deep.
        let held = own(id, &weights, &state);
        let mut inner = depth + 1;
        for row in rows.iter_mut().rev().filter(|row| row.depth <= depth) {
            if row.depth >= inner {
                continue;
            }
            inner = row.depth;
            row.holds.weights += held.weights;
            row.holds.trainable += held.trainable;
            row.holds.bytes += held.bytes;
            if inner == 0 {
                break;
            }
        }
    }
    let total = rows.first().map_or_else(Holds::default, |row| row.holds);
    Ok(Summary { rows, total })
}
