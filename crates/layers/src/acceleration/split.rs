//! How a batch is cut into equal shares, one for each device, and put together again.
use crate::{Error, Result, TensorSpec};
use tallow_tensor::{Device, Tensor};

/// The shares of a batch: rows (positions of the first axis) of each input on each device, the last ones padded with zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Split {
    /// Number of devices.
    n: usize,
    /// Rows of the first input.
    batch: usize,
    /// Rows of each input on one device.
    shares: Vec<usize>,
}

impl Split {
    /// The shares of inputs with these signatures on `n` devices.
    ///
    /// # Errors
    /// `ShapeMismatch` when there is no input, one has no axes, or one cannot be cut as the first one is.
    pub(super) fn of(inputs: &[TensorSpec], n: usize) -> Result<Self> {
        let rows = |s: &TensorSpec| {
            let text = || format!("inputs are split over {n} devices along their first axis, but {s} has no axes");
            s.shape.first().copied().ok_or_else(|| Error::shape(text()))
        };
        let Some(first) = inputs.first() else {
            return Err(Error::shape(format!("there is no input to split over {n} devices")));
        };
        let batch = rows(first)?;
        let shares = inputs.iter().map(|s| match rows(s)? {
            r if r == batch => Ok(r.div_ceil(n)),
            r if batch.is_multiple_of(n) && r.is_multiple_of(n) => Ok(r / n),
            _ => Err(Error::shape(format!(
                "{first} and {s} cannot be split alike over {n} devices: give them first axes of equal size, or of multiples of {n}"
            ))),
        });
        Ok(Self { n, batch, shares: shares.collect::<Result<_>>()? })
    }
    /// Rows of the first input on one device.
    fn share(&self) -> usize {
        self.shares.first().copied().unwrap_or(0)
    }
    /// Signatures of the inputs on one device.
    pub(super) fn specs(&self, inputs: &[TensorSpec]) -> Vec<TensorSpec> {
        let one = |(s, rows): (&TensorSpec, &usize)| {
            let mut shape = s.shape.clone();
            shape[0] = *rows;
            s.with_shape(shape)
        };
        inputs.iter().zip(&self.shares).map(one).collect()
    }
    /// The inputs on each device.
    ///
    /// # Errors
    /// Those of the allocation.
    pub(super) fn inputs(&self, xs: &[Tensor]) -> Result<Vec<Vec<Tensor>>> {
        let padded = xs.iter().zip(&self.shares).map(|(x, rows)| pad(x, rows * self.n)).collect::<Result<Vec<_>>>()?;
        let device = |i| {
            padded.iter().zip(&self.shares).map(|(x, rows)| Ok(x.narrow(0, i * rows, *rows)?)).collect::<Result<_>>()
        };
        (0..self.n).map(device).collect()
    }
    /// The gradient of an input from those on each device: padded rows are left out.
    ///
    /// # Errors
    /// Those of the allocation.
    pub(super) fn input_gradient(&self, like: &[usize], parts: &[Tensor]) -> Result<Tensor> {
        first_rows(&Tensor::concat(parts, 0)?, like[0])
    }
    /// Rows of a whole output of which each device gives `rows`: those that come of padding are left out, where rows of the
    /// output are rows of the batch (or several each).
    fn kept(&self, rows: usize) -> usize {
        match self.share() {
            0 => rows * self.n,
            share if rows.is_multiple_of(share) => self.batch * (rows / share),
            _ => rows * self.n,
        }
    }
    /// The signature of a whole output from that on one device.
    pub(super) fn output_spec(&self, one: &TensorSpec) -> TensorSpec {
        let mut shape = one.shape.clone();
        match shape.first_mut() {
            Some(rows) => *rows = self.kept(*rows),
            None => shape.push(self.n),
        }
        one.with_shape(shape)
    }
    /// A whole output from those on each device: joined along the first axis; numbers become a vector.
    ///
    /// # Errors
    /// `ShapeMismatch` when devices give different shapes.
    pub(super) fn output(&self, parts: &[Tensor]) -> Result<Tensor> {
        match parts.first().and_then(|p| p.shape().first()) {
            Some(&rows) => first_rows(&Tensor::concat(parts, 0)?, self.kept(rows)),
            None => Ok(Tensor::stack(parts, 0)?),
        }
    }
    /// The cotangents on each device of an output of shape `one` there, from that of the whole.
    ///
    /// # Errors
    /// Those of the allocation.
    pub(super) fn cotangents(&self, one: &[usize], whole: &Tensor) -> Result<Vec<Tensor>> {
        let Some(&rows) = one.first() else {
            return (0..self.n).map(|i| Ok(whole.index(0, i as isize)?)).collect();
        };
        let whole = pad(whole, rows * self.n)?;
        (0..self.n).map(|i| Ok(whole.narrow(0, i * rows, rows)?)).collect()
    }
}

/// `x` with zeros below it, `rows` rows in all.
fn pad(x: &Tensor, rows: usize) -> Result<Tensor> {
    let missing = rows - x.shape()[0].min(rows);
    if missing == 0 {
        return Ok(x.clone());
    }
    let mut widths = vec![(0, 0); x.rank()];
    widths[0] = (0, missing);
    Ok(x.pad(&widths, 0.0)?)
}

fn first_rows(x: &Tensor, rows: usize) -> Result<Tensor> {
    if x.shape()[0] == rows {
        return Ok(x.clone());
    }
    Ok(x.narrow(0, 0, rows)?)
}

/// `x` with its first axis cut in two, the first of size `n`.
///
/// # Errors
/// `ShapeMismatch` unless `n` divides the size of the first axis.
pub fn reshape_by_device(x: &Tensor, n: usize) -> Result<Tensor> {
    let Some((&batch, rest)) = x.shape().split_first() else {
        return Err(Error::shape(format!("reshapeByDevice: a number has no first axis to split over {n} devices")));
    };
    if !batch.is_multiple_of(n) {
        return Err(Error::shape(format!("reshapeByDevice: {n} devices do not divide the batch size {batch} evenly")));
    }
    Ok(x.reshape(&[&[n, batch / n], rest].concat())?)
}

/// `x` once for each of `n` devices, along a new first axis and without a copy; itself for one device.
///
/// # Errors
/// `ShapeMismatch` when the shape has too many elements.
pub fn for_n_devices(x: &Tensor, n: usize) -> Result<Tensor> {
    if n < 2 {
        return Ok(x.clone());
    }
    Ok(x.expand_dims(0)?.broadcast_to(&[&[n], x.shape()].concat())?)
}

/// `x` in the memory of the CPU.
///
/// # Errors
/// `Device` when it cannot be read.
pub fn on_cpu(x: &Tensor) -> Result<Tensor> {
    Ok(x.to_device(&Device::Cpu)?)
}

/// `x` in the memory of the accelerator; itself when there is none that this build can use, or more than one.
///
/// # Errors
/// `Device` when it cannot be moved.
pub fn on_accelerator(x: &Tensor) -> Result<Tensor> {
    match tallow_tensor::accelerator() {
        Some(device) => Ok(x.to_device(&device)?),
        None => Ok(x.clone()),
    }
}
