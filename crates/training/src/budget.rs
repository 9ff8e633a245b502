//! How much may be read.
use std::io::{Error, Read, Result};

/// Reads from another reader, and fails where that gives more than a number of bytes: a small file can unpack to gigabytes.
pub(crate) struct Budget<R> {
    from: R,
    most: u64,
    left: u64,
}

impl<R> Budget<R> {
    pub(crate) fn new(from: R, most: u64) -> Self {
        Self { from, most, left: most }
    }
}

impl<R: Read> Read for Budget<R> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let n = self.from.read(bytes)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            let most = self.most;
            Error::other(format!("it unpacks to more than the {most} bytes that a checkpoint of this model may have"))
        })?;
        Ok(n)
    }
}
