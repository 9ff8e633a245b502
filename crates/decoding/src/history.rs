//! Which tokens a sequence has.
use rustc_hash::FxHashMap;

/// The tokens of a prompt and an output, each with how often it is in the output.
#[derive(Debug, Clone, Default)]
pub struct History {
    times: FxHashMap<i32, u32>,
}

impl History {
    /// That of a prompt.
    pub fn of(prompt: &[i32]) -> Self {
        Self { times: prompt.iter().map(|&id| (id, 0)).collect() }
    }
    /// One more token of the output.
    pub fn push(&mut self, id: i32) {
        *self.times.entry(id).or_default() += 1;
    }
    /// Calls `f` with each token and how often it is in the output.
    pub fn each(&self, mut f: impl FnMut(i32, u32)) {
        self.times.iter().for_each(|(&id, &times)| f(id, times));
    }
}
