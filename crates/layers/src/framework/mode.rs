//! How a layer behaves: in training, evaluation or prediction.
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
