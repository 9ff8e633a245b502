//! An output that several threads write.

/// The start of an output that several threads write, each its own part.
pub(crate) struct Out<T>(pub(super) *mut T);
// SAFETY: writing through it is unsafe, and who does so vouches that the parts are disjoint.
unsafe impl<T: Send> Sync for Out<T> {}

impl<T> Out<T> {
    /// Shares the whole of `data`, or all the room it has.
    pub(crate) fn new(data: &mut Vec<T>) -> Self {
        Self(data.as_mut_ptr())
    }
    /// `len` elements from `at`.
    ///
    /// # Safety
    /// They lie within the vector, which outlives the use, are initialised or only written, and nobody else uses them meanwhile.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, at: usize, len: usize) -> &mut [T] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(at), len) }
    }
}
