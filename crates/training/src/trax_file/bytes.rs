//! The bytes of an array, on their way from a file to numbers.
use std::{
    collections::VecDeque,
    io::{Read, Result},
};

/// Bytes of an array that are kept together.
pub(super) const PIECE: u64 = 1 << 20;

/// Bytes, in pieces: each is given back as soon as it is read, so that an array made of them does not stand beside them.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    pieces: VecDeque<Vec<u8>>,
    /// How much of the first piece was read.
    at: usize,
    len: u64,
}

impl Bytes {
    /// Adds bytes at the end.
    pub(super) fn push(&mut self, piece: Vec<u8>) {
        self.len += piece.len() as u64;
        self.pieces.push_back(piece);
    }
    /// How many bytes there are, if none was read.
    pub(super) fn len(&self) -> u64 {
        self.len
    }
}

impl Read for Bytes {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        let Some(piece) = self.pieces.front() else { return Ok(0) };
        let n = out.len().min(piece.len() - self.at);
        out[..n].copy_from_slice(&piece[self.at..self.at + n]);
        self.at += n;
        if self.at == piece.len() {
            self.pieces.pop_front();
            self.at = 0;
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_go_as_they_are_read() {
        let mut bytes = Bytes::default();
        [&b"abc"[..], b"defgh", b"i"].into_iter().for_each(|piece| bytes.push(piece.to_vec()));
        assert_eq!(bytes.len(), 9);
        let mut some = [0; 4];
        bytes.read_exact(&mut some).unwrap();
        assert_eq!((&some, bytes.pieces.len()), (b"abcd", 2));
        let mut rest = String::new();
        bytes.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), bytes.pieces.len()), ("efghi", 0));
    }
}
