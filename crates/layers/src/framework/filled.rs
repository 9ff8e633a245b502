//! Tensors of state of which nothing is held but what was written.
use crate::{Result, TensorSpec};
use tallow_tensor::{memory, Device, Tensor};

/// Places of a piece, up to which what is added is written to the last one's end.
const PIECE: usize = 64;

/// The places of a tensor along one axis that were written, in order; where Trax's nesting is asked for, zeros stand behind them, as many as there
/// is room for.
///
/// It is replaced, never changed. Clones, and what follows from it, share the pieces that it holds, so that a step copies no more than the last one.
#[derive(Debug, Clone)]
pub struct Filled {
    /// At least one, which may have no places.
    pieces: Vec<Tensor>,
    axis: usize,
    room: usize,
    /// Whether Trax has the axis and the one before it as one.
    joined: bool,
}

impl PartialEq for Filled {
    /// Whether it is the other with its very tensors.
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Tensor, &Tensor)| a.is_same(b);
        self.pieces.len() == other.pieces.len()
            && self.pieces.iter().zip(&other.pieces).all(same)
            && (self.axis, self.room, self.joined) == (other.axis, other.room, other.joined)
    }
}

impl Filled {
    /// What is held of a tensor that has room for so many places along an axis.
    pub(crate) fn new(held: Tensor, axis: usize, room: usize) -> Self {
        Self { pieces: vec![held], axis, room, joined: false }
    }
    /// The same, shown with the axis and the one before it as one.
    pub(crate) fn joined(self) -> Self {
        Self { joined: true, ..self }
    }
    /// The places that were written, as one tensor: a copy where there are several pieces.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn held(&self) -> Result<Tensor> {
        Ok(match &self.pieces[..] {
            [one] => one.clone(),
            all => Tensor::concat(all, self.axis as isize)?,
        })
    }
    /// How many places were written.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| self.places(piece)).sum()
    }
    fn places(&self, piece: &Tensor) -> usize {
        piece.shape()[self.axis]
    }
    fn part(&self, piece: &Tensor, start: usize, len: usize) -> Result<Tensor> {
        Ok(piece.narrow(self.axis as isize, start, len)?)
    }
    /// What comes of each piece by `f`.
    fn map(&self, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let mut pieces = memory::room(self.pieces.len())?;
        for piece in &self.pieces {
            pieces.push(f(piece)?);
        }
        Ok(Self { pieces, ..self.clone() })
    }
    /// The same without gradients.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn detach(&self) -> Result<Self> {
        self.map(|piece| Ok(piece.detach()))
    }
    /// The same on a device.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn to_device(&self, device: &Device) -> Result<Self> {
        self.map(|piece| Ok(piece.to_device(device)?))
    }
    /// This, and places behind it in its type.
    ///
    /// # Errors
    /// `ShapeMismatch` where they do not fit; `OutOfMemory`.
    pub(crate) fn append(&self, x: &Tensor) -> Result<Self> {
        let (x, mut next) = (x.cast(self.pieces[0].dtype())?, self.to_device(x.device())?);
        let mut from = 0;
        while from < self.places(&x) {
            let last = next.pieces.len() - 1;
            if self.places(&next.pieces[last]) >= PIECE {
                let none = self.part(&next.pieces[last], 0, 0)?;
                next.pieces.push(none);
                continue;
            }
            let last = &mut next.pieces[last];
            let count = (PIECE - self.places(last)).min(self.places(&x) - from);
            // Always a copy: a view would hold all that comes.
            *last = Tensor::concat(&[last.clone(), self.part(&x, from, count)?], self.axis as isize)?;
            from += count;
        }
        Ok(next)
    }
    /// This without its first places.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn without(&self, mut first: usize) -> Result<Self> {
        let mut pieces = self.pieces.clone();
        while pieces.len() > 1 && first >= self.places(&pieces[0]) {
            first -= self.places(&pieces.remove(0));
        }
        let piece = &pieces[0];
        if first > 0 {
            let rest = self.part(piece, first, self.places(piece).saturating_sub(first))?;
            // A copy, as in `append`.
            pieces[0] = Tensor::concat(&[self.part(piece, 0, 0)?, rest], self.axis as isize)?;
        }
        Ok(Self { pieces, ..self.clone() })
    }
    /// Some places, which ascend, of row `row` of the first axis, which stays.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn take(&self, row: usize, mut places: &[i32]) -> Result<Tensor> {
        let (mut found, mut start) = (memory::room(self.pieces.len())?, 0);
        for piece in &self.pieces {
            let end = start + self.places(piece);
            let (here, behind) = places.split_at(places.partition_point(|&place| (place as usize) < end));
            if !here.is_empty() {
                let mut own = memory::room(here.len())?;
                own.extend(here.iter().map(|&place| place - start as i32));
                let own = Tensor::from_vec(own, &[here.len()])?;
                found.push(piece.narrow(0, row, 1)?.take(&own, self.axis as isize)?);
            }
            (places, start) = (behind, end);
        }
        Ok(match &found[..] {
            [] => self.part(&self.pieces[0].narrow(0, row, 1)?, 0, 0)?,
            [one] => one.clone(),
            all => Tensor::concat(all, self.axis as isize)?,
        })
    }
    /// Bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.size() * piece.dtype().size()).sum()
    }
    /// The shape with room for all places, the axes apart.
    fn whole(&self) -> Vec<usize> {
        let mut shape = self.pieces[0].shape().to_vec();
        shape[self.axis] = self.room;
        shape
    }
    /// The signature of [`Filled::shown`].
    pub(crate) fn spec(&self) -> TensorSpec {
        let mut shape = self.whole();
        if self.joined {
            let places = shape.remove(self.axis);
            shape[self.axis - 1] = shape[self.axis - 1].saturating_mul(places);
        }
        TensorSpec::new(shape, self.pieces[0].dtype())
    }
    /// As Trax has it: zeros behind what was written. Where that is nothing, they take no memory, however much room there is.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn shown(&self) -> Result<Tensor> {
        let (TensorSpec { shape, dtype }, device) = (self.spec(), self.pieces[0].device());
        let written = self.len();
        if written == 0 {
            return Ok(Tensor::zeros(&vec![1; shape.len()], dtype, device)?.broadcast_to(&shape)?);
        }
        let mut rest = self.whole();
        rest[self.axis] = self.room.saturating_sub(written);
        let rest = Tensor::zeros(&rest, dtype, device)?;
        let mut all = self.pieces.clone();
        all.push(rest);
        Ok(Tensor::concat(&all, self.axis as isize)?.reshape(&shape)?)
    }
}
