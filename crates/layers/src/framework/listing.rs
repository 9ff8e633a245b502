//! A list of the layers that an initialization meets.
use crate::{LayerId, TensorSpec};

/// A use of a layer.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its identity.
    pub id: LayerId,
    /// Its name.
    pub name: String,
    /// Identities of the layers that it runs.
    pub sublayers: Vec<LayerId>,
    /// How many layers it lies in.
    pub depth: usize,
    /// Whether its instance was not met before; the layers below one that was are not listed again.
    pub first: bool,
    /// What it takes.
    pub inputs: Vec<TensorSpec>,
    /// What it gives.
    pub outputs: Vec<TensorSpec>,
    /// How many tensors are on the data stack behind it, those that the layers around it left there counted too.
    pub height: usize,
}

/// What an initialization notes.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) rows: Vec<Listed>,
    depth: usize,
    /// How many tensors lie on the data stack below those that the layer now being initialized takes.
    pub(super) below: usize,
}

impl Listing {
    /// Notes a layer that is met; gives the number of its row.
    pub(super) fn enter(&mut self, mut met: Listed) -> usize {
        met.depth = self.depth;
        self.depth += 1;
        self.rows.push(met);
        self.rows.len() - 1
    }
    /// Notes what the layer of a row gives.
    pub(super) fn leave(&mut self, row: usize, outputs: Vec<TensorSpec>) {
        self.depth -= 1;
        let row = &mut self.rows[row];
        row.height = self.below + outputs.len();
        row.outputs = outputs;
    }
}
