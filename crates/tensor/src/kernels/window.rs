//! Where windows over spatial axes lie: what convolutions and pooling share.
use smallvec::SmallVec;

/// Windows along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Positions of the input.
    pub(crate) input: usize,
    /// Places of a window.
    pub(crate) size: usize,
    /// Positions from one window to the next.
    pub(crate) stride: usize,
    /// Positions of padding before the first one; negative: positions cut off.
    pub(crate) before: isize,
    /// Positions of padding after the last one; negative: positions cut off.
    pub(crate) after: isize,
    /// Distance of neighbouring positions of the input; what lies between them is zero.
    pub(crate) input_dilation: usize,
    /// Distance of neighbouring places of a window.
    pub(crate) dilation: usize,
    /// Number of windows.
    pub(crate) output: usize,
}

impl Axis {
    /// The position of the input that place `place` of window `window` sees, if it sees one.
    #[inline(always)]
    pub(crate) fn source(&self, window: usize, place: usize) -> Option<usize> {
        let at = (window * self.stride + place * self.dilation).checked_add_signed(-self.before)?;
        // The quotient of the common case costs no division.
        let at = if self.input_dilation == 1 {
            at
        } else if at % self.input_dilation == 0 {
            at / self.input_dilation
        } else {
            return None;
        };
        (at < self.input).then_some(at)
    }
    /// The window that sees position `position` of the input at place `place`, if there is one; inputs are not dilated.
    #[inline(always)]
    pub(crate) fn window_of(&self, position: usize, place: usize) -> Option<usize> {
        let at = position.checked_add_signed(self.before)?.checked_sub(place * self.dilation)?;
        (at % self.stride == 0).then_some(at / self.stride).filter(|&w| w < self.output)
    }
    /// The axis of the convolution that takes cotangents of the output back to the input, its places in reverse order.
    pub(crate) fn transposed(&self) -> Self {
        let reach = ((self.size - 1) * self.dilation) as isize;
        Self {
            input: self.output,
            size: self.size,
            stride: self.input_dilation,
            before: reach - self.before,
            // Whatever is left over; nothing reads it once the output's size is known.
            after: 0,
            input_dilation: self.stride,
            dilation: self.dilation,
            output: self.input,
        }
    }
}

/// The axes of a window, outermost first.
pub(crate) type Axes = SmallVec<[Axis; 3]>;

/// A row-major index taken apart.
#[inline(always)]
pub(crate) fn unravel(
    mut index: usize,
    sizes: impl DoubleEndedIterator<Item = usize>,
    into: &mut SmallVec<[usize; 4]>,
) {
    into.clear();
    for n in sizes.rev() {
        into.push(index % n);
        index /= n;
    }
    into.reverse();
}
