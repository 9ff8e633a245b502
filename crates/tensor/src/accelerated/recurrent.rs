//! Recurrent networks, time first.
use super::launch::{Array::Out, Kernels};
use crate::{tensor::Raw, Result};

/// What a gated recurrent unit is computed from at each step: its weights for the state, and what x and the biases give.
pub(crate) struct Gru<'a> {
    pub(crate) gates: &'a Raw,
    pub(crate) candidates: &'a Raw,
    pub(crate) to_gates: &'a Raw,
    pub(crate) to_candidate: &'a Raw,
}

impl Kernels<'_> {
    /// All gates after their nonlinearities, cells and hidden values, the first of these those of the state.
    pub(crate) fn lstm(
        self,
        [steps, batch, units]: [usize; 3],
        projected: &Raw,
        recurrent: &Raw,
        state: &Raw,
    ) -> Result<Option<[Raw; 3]>> {
        let arrays = [projected.into(), recurrent.into(), state.into(), Out, Out, Out];
        let out = self.exactly("lstm", &[batch.into(), steps.into(), units.into()], &arrays)?;
        let Some([gates, cells, hidden]) = out else { return Ok(None) };
        let whole = (steps + 1, batch, units);
        Ok(Some([gates.reshape((steps, batch, 4 * units))?, cells.reshape(whole)?, hidden.reshape(whole)?]))
    }
    /// Cotangents of the gates before their nonlinearities, and of the state. `turned` is the transpose of the recurrent weights.
    pub(crate) fn lstm_back(
        self,
        [steps, batch, units]: [usize; 3],
        [gates, cells, turned]: [&Raw; 3],
        dy: &Raw,
        dlast: &Raw,
    ) -> Result<Option<[Raw; 2]>> {
        let arrays = [gates.into(), cells.into(), turned.into(), dy.into(), dlast.into(), Out, Out];
        let out = self.exactly("lstm_backward", &[batch.into(), steps.into(), units.into()], &arrays)?;
        let Some([gates, state]) = out else { return Ok(None) };
        Ok(Some([gates.reshape((steps * batch, 4 * units))?, state.reshape((batch, 2 * units))?]))
    }
    /// All gates and candidates, and hidden values, the first of these the state.
    pub(crate) fn gru(
        self,
        [steps, batch, units]: [usize; 3],
        from: &Gru<'_>,
        state: &Raw,
    ) -> Result<Option<[Raw; 3]>> {
        let arrays = [
            from.gates.into(),
            from.candidates.into(),
            from.to_gates.into(),
            from.to_candidate.into(),
            state.into(),
            Out,
            Out,
            Out,
        ];
        let out = self.exactly("gru", &[batch.into(), steps.into(), units.into()], &arrays)?;
        let Some([gates, candidates, hidden]) = out else { return Ok(None) };
        Ok(Some([
            gates.reshape((steps, batch, 2 * units))?,
            candidates.reshape((steps, batch, units))?,
            hidden.reshape((steps + 1, batch, units))?,
        ]))
    }
    /// Cotangents of gates and candidates before their nonlinearities, what the candidate's weights were multiplied with, and the cotangent of the
    /// state. The last two of `kept` are transposes of the weights for the state.
    pub(crate) fn gru_back(
        self,
        [steps, batch, units]: [usize; 3],
        kept: [&Raw; 5],
        dy: &Raw,
        dlast: &Raw,
    ) -> Result<Option<[Raw; 4]>> {
        let [gates, candidates, hidden, gates_turned, candidate_turned] = kept;
        let arrays = [
            gates.into(),
            candidates.into(),
            hidden.into(),
            gates_turned.into(),
            candidate_turned.into(),
            dy.into(),
            dlast.into(),
            Out,
            Out,
            Out,
            Out,
        ];
        let out = self.exactly("gru_backward", &[batch.into(), steps.into(), units.into()], &arrays)?;
        let Some([gates, candidates, resets, state]) = out else { return Ok(None) };
        let rows = steps * batch;
        Ok(Some([
            gates.reshape((rows, 2 * units))?,
            candidates.reshape((rows, units))?,
            resets.reshape((rows, units))?,
            state.reshape((batch, units))?,
        ]))
    }
    /// All cells of a linear recurrence of `[batch, steps, units]`.
    pub(crate) fn linear_recurrence(self, x: &Raw, f: &Raw, state: &Raw) -> Result<Option<Raw>> {
        let (batch, steps, units) = x.dims3()?;
        let arrays = [x.into(), f.into(), state.into(), Out];
        self.one("linear_recurrence", &[batch.into(), steps.into(), units.into()], &arrays, x.dims())
    }
    /// Cotangents of x, f and the state.
    pub(crate) fn linear_recurrence_back(
        self,
        [f, state, cells]: [&Raw; 3],
        dy: &Raw,
        dlast: &Raw,
    ) -> Result<Option<[Raw; 3]>> {
        let (batch, steps, units) = f.dims3()?;
        let arrays = [f.into(), state.into(), cells.into(), dy.into(), dlast.into(), Out, Out, Out];
        let out = self.exactly("linear_recurrence_backward", &[batch.into(), steps.into(), units.into()], &arrays)?;
        let Some([x, of_f, of_state]) = out else { return Ok(None) };
        Ok(Some([x.reshape(f.dims())?, of_f.reshape(f.dims())?, of_state.reshape(state.dims())?]))
    }
    /// All hidden values and cells of simple recurrent units.
    pub(crate) fn sru(self, gates: &Raw, x: &Raw, state: &Raw) -> Result<Option<[Raw; 2]>> {
        let (batch, steps, units) = x.dims3()?;
        let arrays = [gates.into(), x.into(), state.into(), Out, Out];
        let out = self.exactly("sru", &[batch.into(), steps.into(), units.into()], &arrays)?;
        let Some([hidden, cells]) = out else { return Ok(None) };
        Ok(Some([hidden.reshape(x.dims())?, cells.reshape(x.dims())?]))
    }
    /// Cotangents of gates, x and the state.
    pub(crate) fn sru_back(
        self,
        [gates, x, state, cells]: [&Raw; 4],
        dy: &Raw,
        dlast: &Raw,
    ) -> Result<Option<[Raw; 3]>> {
        let (batch, steps, units) = x.dims3()?;
        let arrays = [gates.into(), x.into(), state.into(), cells.into(), dy.into(), dlast.into(), Out, Out, Out];
        let out = self.exactly("sru_backward", &[batch.into(), steps.into(), units.into()], &arrays)?;
        let Some([of_gates, of_x, of_state]) = out else { return Ok(None) };
        Ok(Some([of_gates.reshape(gates.dims())?, of_x.reshape(x.dims())?, of_state.reshape(state.dims())?]))
    }
}
