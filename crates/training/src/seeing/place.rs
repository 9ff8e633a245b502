//! Where a layer stands in the one that runs it, as it is met: the same words as in the names of weights.
use tallow_layers::LayerId;

/// A layer that is running, and which of its sublayers it ran last.
#[derive(Debug)]
pub(super) struct Around {
    pub(super) path: String,
    sublayers: Vec<LayerId>,
    next: usize,
}

impl Around {
    /// A layer at a path.
    pub(super) fn new(path: String, sublayers: impl Iterator<Item = LayerId>) -> Self {
        Self { path, sublayers: sublayers.collect(), next: 0 }
    }
    /// The path of a layer that this one runs: with its position, or without one where it is no sublayer.
    pub(super) fn path_of(&mut self, id: LayerId, name: &str) -> String {
        let from = |start: usize| (start..self.sublayers.len()).find(|&i| self.sublayers[i] == id);
        // A layer that stands in several places is met in their order.
        let own = match from(self.next).or_else(|| from(0)) {
            Some(i) => {
                self.next = i + 1;
                format!("{i}.{name}")
            }
            None => name.to_owned(),
        };
        if self.path.is_empty() {
            own
        } else {
            format!("{}/{own}", self.path)
        }
    }
}
