//! Layers that threads of the process share, by the numbers that they tell each other.
use super::lock::lock;
use std::{
    collections::{hash_map::RandomState, HashMap},
    hash::{BuildHasher, Hasher},
    sync::{Arc, Mutex, OnceLock},
};
use tallow_layers::LayerRef;

/// What is shared, by number.
#[derive(Default)]
struct Table {
    layers: HashMap<u64, LayerRef>,
    /// The last number given; none is given twice.
    last: u64,
}

fn table() -> &'static Mutex<Table> {
    static TABLE: OnceLock<Mutex<Table>> = OnceLock::new();
    TABLE.get_or_init(Mutex::default)
}

/// A number that other processes, and other copies of the addon in this one, do not have. JavaScript's numbers hold it exactly.
pub(crate) fn process() -> u64 {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    *PROCESS.get_or_init(|| RandomState::new().build_hasher().finish() >> 11)
}

/// A place in the table, which is free again when this is dropped.
pub(crate) struct Share {
    pub(crate) number: u64,
}

impl Share {
    /// Shares a layer under a new number.
    pub(crate) fn new(layer: LayerRef) -> Self {
        let mut table = lock(table());
        table.last += 1;
        let number = table.last;
        table.layers.insert(number, layer);
        Self { number }
    }
    /// Shares another layer under the number.
    pub(crate) fn replace(&self, layer: LayerRef) {
        let before = lock(table()).layers.insert(self.number, layer);
        drop(before);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // A layer is dropped after the lock is given back.
        let layer = lock(table()).layers.remove(&self.number);
        drop(layer);
    }
}

/// What is shared under a number; `Err` tells whether there ever was something.
pub(crate) fn find(number: u64) -> Result<LayerRef, bool> {
    let table = lock(table());
    table.layers.get(&number).map(Arc::clone).ok_or(number != 0 && number <= table.last)
}
