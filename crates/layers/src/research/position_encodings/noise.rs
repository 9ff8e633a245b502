//! The walk that `InfinitePositionalEncoding` is drifting by: the same in every instance and process.
use crate::Result;
use parking_lot::Mutex;
use std::sync::Arc;
use tallow_tensor::{
    memory,
    random::{threefry_2x32, Key},
};

/// The seed, as in Trax.
const SEED: i64 = 234_234_535;

/// Sums of even steps over 0 .. 2√3, one walk for each of some channels; computed as far as was asked for, and then kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Noise(Arc<Mutex<Walk>>);

#[derive(Debug, Default)]
struct Walk {
    depth: usize,
    /// Rows of `depth` sums.
    sums: Vec<f64>,
}

impl Noise {
    /// Rows `lo..hi` of `depth` channels; the next row of a walk does not depend on how far it was asked for before.
    pub(super) fn rows(&self, lo: usize, hi: usize, depth: usize) -> Result<Vec<f32>> {
        let mut walk = self.0.lock();
        if walk.depth != depth {
            *walk = Walk { depth, sums: Vec::new() };
        }
        let (key, _) = Key::new(SEED).split_pair();
        let held = walk.sums.len();
        memory::grow(&mut walk.sums, (hi * depth).saturating_sub(held))?;
        for i in walk.sums.len()..hi * depth {
            // The number of a draw has 32 bits, as in Trax; later ones begin anew.
            let word = threefry_2x32(key, [i as u32, 0])[0];
            let step = word as f32 / (i32::MAX as f32) * 3f32.sqrt();
            let before = if i < depth { 0.0 } else { walk.sums[i - depth] };
            walk.sums.push(before + f64::from(step));
        }
        Ok(memory::collect(walk.sums[lo * depth..hi * depth].iter().map(|&s| s as f32))?)
    }
}
