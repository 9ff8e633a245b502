//! Kernels of rows: softmax, layer normalisation, cross-entropy, bias and activation, dropout.
use super::launch::{
    Array::{In, Out},
    Kernels,
};
use crate::{tensor::Raw, Result};

/// Elements of a part of a sum over rows, as the kernels for the CPU cut them.
const GRAIN: usize = 16 * 1024;

/// Rows and columns along the last axis.
fn matrix(x: &Raw) -> (usize, usize) {
    let cols = x.dims().last().copied().unwrap_or(1);
    (x.elem_count().checked_div(cols).unwrap_or(0), cols)
}

/// Rows of a part.
fn tall(rows: usize, cols: usize) -> usize {
    rows.div_ceil(32).max((GRAIN / cols.max(1)).max(1))
}

/// What layer normalisation keeps for backward.
pub(crate) struct Normed<'a> {
    pub(crate) x: &'a Raw,
    pub(crate) scale: Option<&'a Raw>,
    pub(crate) mean: &'a Raw,
    pub(crate) rstd: &'a Raw,
    pub(crate) center: bool,
}

impl Kernels<'_> {
    /// Softmax along the last axis, or its logarithm.
    pub(crate) fn softmax(self, x: &Raw, log: bool) -> Result<Option<Raw>> {
        let (rows, cols) = matrix(x);
        self.one("softmax", &[rows.into(), cols.into(), log.into()], &[x.into(), Out], x.dims())
    }
    /// Its gradient, of the output and the cotangent.
    pub(crate) fn softmax_back(self, y: &Raw, g: &Raw, log: bool) -> Result<Option<Raw>> {
        let (rows, cols) = matrix(y);
        self.one("softmax_backward", &[rows.into(), cols.into(), log.into()], &[y.into(), g.into(), Out], y.dims())
    }
    /// Layer normalisation along the last axis: the result, and of each row the mean and what it was multiplied by.
    pub(crate) fn layer_norm(
        self,
        x: &Raw,
        scale: Option<&Raw>,
        bias: Option<&Raw>,
        epsilon: f64,
        center: bool,
    ) -> Result<Option<[Raw; 3]>> {
        let (rows, cols) = matrix(x);
        let values =
            [rows.into(), cols.into(), epsilon.into(), center.into(), scale.is_some().into(), bias.is_some().into()];
        let found = self.exactly("layer_norm", &values, &[x.into(), In(scale), In(bias), Out, Out, Out])?;
        let Some([y, mean, rstd]) = found else { return Ok(None) };
        Ok(Some([y.reshape(x.dims())?, mean, rstd]))
    }
    /// The gradient of what was normalised.
    pub(crate) fn layer_norm_back(self, kept: &Normed<'_>, g: &Raw) -> Result<Option<Raw>> {
        let (rows, cols) = matrix(kept.x);
        let values = [rows.into(), cols.into(), kept.center.into(), kept.scale.is_some().into()];
        let arrays = [kept.x.into(), In(kept.scale), kept.mean.into(), kept.rstd.into(), g.into(), Out];
        self.one("layer_norm_backward", &values, &arrays, kept.x.dims())
    }
    /// The gradients of scale and bias.
    pub(crate) fn layer_norm_parameters(self, kept: &Normed<'_>, g: &Raw) -> Result<Option<[Raw; 2]>> {
        let (rows, cols) = matrix(kept.x);
        let step = tall(rows, cols);
        let arrays = [kept.x.into(), kept.mean.into(), kept.rstd.into(), g.into(), Out, Out];
        let parts = self.exactly("layer_norm_parameters", &[rows.into(), cols.into(), step.into()], &arrays)?;
        let Some([scale, bias]) = parts else { return Ok(None) };
        let n = rows.div_ceil(step);
        let (scale, bias) = (self.added([1, n, cols], n, &scale)?, self.added([1, n, cols], n, &bias)?);
        Ok(scale.zip(bias).map(|(scale, bias)| [scale, bias]))
    }
    /// Cross-entropy of rows of logits against int32 targets, with label smoothing: the losses, and of each row the largest logit and the
    /// logarithm of the sum of exponentials below it.
    pub(crate) fn cross_entropy(self, x: &Raw, targets: &Raw, smoothing: f64) -> Result<Option<[Raw; 3]>> {
        let (rows, cols) = matrix(x);
        let values = [rows.into(), cols.into(), (1.0 - smoothing).into(), smoothing.into()];
        self.exactly("cross_entropy", &values, &[x.into(), targets.into(), Out, Out, Out])
    }
    /// The gradient of the logits.
    pub(crate) fn cross_entropy_back(
        self,
        x: &Raw,
        targets: &Raw,
        [tops, log_sums]: [&Raw; 2],
        smoothing: f64,
        g: &Raw,
    ) -> Result<Option<Raw>> {
        let (rows, cols) = matrix(x);
        let hot = 1.0 - smoothing;
        let values = [
            rows.into(),
            cols.into(),
            hot.into(),
            (hot + smoothing).into(),
            smoothing.into(),
            (smoothing / cols as f64).into(),
        ];
        let arrays = [x.into(), targets.into(), tops.into(), log_sums.into(), g.into(), Out];
        self.one("cross_entropy_backward", &values, &arrays, x.dims())
    }
    /// The activation of this number, of x + bias.
    pub(crate) fn bias_activation(self, x: &Raw, bias: Option<&Raw>, activation: u32) -> Result<Option<Raw>> {
        let (rows, cols) = matrix(x);
        let values = [rows.into(), cols.into(), activation.into(), bias.is_some().into()];
        self.one("bias_activation", &values, &[x.into(), In(bias), Out], x.dims())
    }
    /// The gradient of x, of what was kept.
    pub(crate) fn activation_back(
        self,
        kept: &Raw,
        bias: Option<&Raw>,
        g: &Raw,
        activation: u32,
    ) -> Result<Option<Raw>> {
        let (rows, cols) = matrix(g);
        let values = [rows.into(), cols.into(), activation.into(), bias.is_some().into()];
        self.one("activation_backward", &values, &[kept.into(), In(bias), g.into(), Out], g.dims())
    }
    /// The gradient of a bias: the sum of the rows of dx.
    pub(crate) fn of_bias(self, dx: &Raw, cols: usize) -> Result<Option<Raw>> {
        let rows = dx.elem_count().checked_div(cols).unwrap_or(0);
        let step = tall(rows, cols);
        let Some(parts) = self.added([1, rows, cols], step, dx)? else { return Ok(None) };
        let n = rows.div_ceil(step);
        self.added([1, n, cols], n, &parts)
    }
    /// x times `factor`, or times 0, by the words of a draw of as many as there are elements.
    pub(crate) fn dropout(self, x: &Raw, key: [u32; 2], threshold: u32, factor: f64) -> Result<Option<Raw>> {
        let values = [key[0].into(), key[1].into(), x.elem_count().into(), threshold.into(), factor.into()];
        if x.elem_count() >= u32::MAX as usize {
            return Ok(None);
        }
        self.one("dropout", &values, &[x.into(), Out], x.dims())
    }
}
