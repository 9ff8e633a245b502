//! How a layer behaves: in training, evaluation or prediction.
use parking_lot::Mutex;
/// How a layer behaves: dropout only in training, incremental state only in predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Training.
    Train,
    /// Evaluation on whole sequences.
    Eval,
    /// One step of a sequence at a time, with state.
    Predict,
    /// Evaluation that keeps attention strengths in state, to be drawn.
    Viz,
}

impl Mode {
    /// Its name, as options write it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Train => "train",
            Mode::Eval => "eval",
            Mode::Predict => "predict",
            Mode::Viz => "viz",
        }
    }
}

/// The mode of a layer that the host language runs, and may set. Copies have one of their own.
#[derive(Debug)]
pub struct HostMode(Mutex<Mode>);

impl HostMode {
    /// This mode, until another is set.
    pub fn new(mode: Mode) -> Self {
        Self(Mutex::new(mode))
    }
    /// The mode last set.
    pub fn get(&self) -> Mode {
        *self.0.lock()
    }
    /// Sets the mode.
    pub fn set(&self, mode: Mode) {
        *self.0.lock() = mode;
    }
    /// The place where the mode stands.
    pub fn place(&mut self) -> &mut Mode {
        self.0.get_mut()
    }
}

impl Clone for HostMode {
    fn clone(&self) -> Self {
        Self::new(self.get())
    }
}
