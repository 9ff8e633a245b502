//! Convolution composed of other operations, on any device.
use crate::{
    kernels::{conv::Conv, window::Axis},
    ops::{dense, window::places},
    Result, Tensor,
};

/// The sum over the places of the window of a product each.
pub(super) fn conv(c: &Conv, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let x = places::pad(&places::dilate(x, &c.axes)?, &c.axes, 0.0)?;
    let n: usize = c.axes.iter().map(|a: &Axis| a.size).product();
    let w = w.reshape(&[n, c.inputs, c.outputs])?;
    let mut sum: Option<Tensor> = None;
    for place in 0..n {
        let seen = places::at(&x, &c.axes, place)?;
        // The bias goes with the first place.
        let part = dense(&seen, &w.index(0, place as isize)?, bias.filter(|_| place == 0))?;
        sum = Some(match sum {
            Some(s) => s.add(&part)?,
            None => part,
        });
    }
    sum.ok_or_else(|| crate::Error::internal("a window has at least one place"))
}
