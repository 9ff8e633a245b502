//! An operation as messages: what goes to each rank, and what is to come from it.
use crate::Result;
use std::ops::Range;
use tallow_tensor::memory;

/// What a rank calls; all call alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) operation: Operation,
    /// What the ranks must have alike: how many values there are, or which rank it is about.
    pub(super) count: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Exchange,
    AllGather,
    AllGatherBytes,
    Scatter,
    Barrier,
}

const OPERATIONS: [(Operation, &str); 5] = [
    (Operation::Exchange, "exchange"),
    (Operation::AllGather, "all_gather"),
    (Operation::AllGatherBytes, "all_gather_bytes"),
    (Operation::Scatter, "broadcast"),
    (Operation::Barrier, "barrier"),
];

/// One operation.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) call: Call,
    /// What is sent, and which part of it each rank gets.
    pub(super) sent: Vec<u8>,
    pub(super) parts: Vec<Range<usize>>,
    /// Bytes that come from each rank; none where these have lengths of their own.
    pub(super) expected: Option<Vec<usize>>,
}

impl Round {
    /// Of values: `pieces` for each rank, one after another, or one for all; `counts[i]` come from rank `i`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn of_values(
        operation: Operation,
        count: usize,
        sent: &[f32],
        parts: Vec<Range<usize>>,
        counts: &[usize],
    ) -> Result<Self> {
        let sent = memory::copy(bytemuck::cast_slice(sent))?;
        let parts = parts.into_iter().map(|part| part.start * VALUE..part.end * VALUE).collect();
        let expected = Some(counts.iter().map(|count| count * VALUE).collect());
        Ok(Self { call: Call { operation, count }, sent, parts, expected })
    }
    /// Of the same bytes for all of `n` ranks, of which each brings its own number.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn of_bytes(operation: Operation, bytes: &[u8], n: usize) -> Result<Self> {
        let parts = (0..n).map(|_| 0..bytes.len()).collect();
        Ok(Self { call: Call { operation, count: 0 }, sent: memory::copy(bytes)?, parts, expected: None })
    }
    /// Values that go to other ranks than `me`.
    pub(super) fn bytes_to_others(&self, me: usize) -> u64 {
        let others = self.parts.iter().enumerate().filter(|(rank, _)| *rank != me);
        others.map(|(_, part)| part.len() as u64).sum()
    }
}

/// Bytes of a value.
const VALUE: usize = size_of::<f32>();

/// What goes before the bytes of a round: what is called, the number of the round, and how many bytes there are.
pub(super) type Head = [u64; 4];

/// The head of `bytes` in operation number `round`.
pub(super) fn head(call: Call, round: u64, bytes: usize) -> Head {
    let operation = OPERATIONS.iter().position(|(o, _)| *o == call.operation).unwrap_or(OPERATIONS.len());
    [operation as u64, call.count as u64, round, bytes as u64]
}
/// A head as it is sent.
pub(super) fn written(head: Head) -> [u8; size_of::<Head>()] {
    let mut bytes = [0; size_of::<Head>()];
    bytes.chunks_exact_mut(size_of::<u64>()).zip(head).for_each(|(to, word)| to.copy_from_slice(&word.to_le_bytes()));
    bytes
}
/// A head as it came.
pub(super) fn read(bytes: &[u8]) -> Head {
    let mut head = Head::default();
    let words =
        bytes.chunks_exact(size_of::<u64>()).map(|word| word.iter().rev().fold(0, |sum, &b| sum << 8 | u64::from(b)));
    head.iter_mut().zip(words).for_each(|(to, word)| *to = word);
    head
}

/// How many bytes come behind a head.
///
/// # Errors
/// What rank `from` calls, and what `mine` is, where they are not alike.
pub(super) fn bytes_behind(
    theirs: &Head,
    from: usize,
    mine: &Head,
    me: usize,
    expected: Option<usize>,
) -> std::result::Result<usize, String> {
    let bytes = theirs[3] as usize;
    if theirs[..3] == mine[..3] && expected.is_none_or(|n| n == bytes) {
        return Ok(bytes);
    }
    let (theirs, mine) = (shown(theirs), shown(mine));
    Err(if theirs == mine {
        format!("rank {from} calls {theirs} with other lengths of pieces than rank {me}")
    } else {
        format!("rank {from} calls {theirs} where rank {me} calls {mine}")
    })
}

/// A call as errors show it.
pub(super) fn shown([operation, count, round, _]: &Head) -> String {
    let of = OPERATIONS.get(*operation as usize);
    let name = of.map_or("something unknown", |(_, name)| name);
    match of {
        Some((Operation::Barrier | Operation::AllGatherBytes, _)) => format!("{name} as operation {round}"),
        _ => format!("{name} of {count} values as operation {round}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlike_calls_are_named() {
        let gather = Call { operation: Operation::AllGather, count: 5 };
        let barrier = Call { operation: Operation::Barrier, count: 0 };
        let refused = |theirs: Head, mine: Head, expected| bytes_behind(&theirs, 2, &mine, 0, expected).unwrap_err();
        assert_eq!(bytes_behind(&head(gather, 7, 20), 2, &head(gather, 7, 0), 0, Some(20)), Ok(20));
        assert_eq!(bytes_behind(&head(gather, 7, 20), 2, &head(gather, 7, 0), 0, None), Ok(20));
        assert_eq!(
            refused(head(gather, 7, 20), head(barrier, 7, 0), None),
            "rank 2 calls all_gather of 5 values as operation 7 where rank 0 calls barrier as operation 7"
        );
        assert_eq!(
            refused(head(barrier, 6, 0), head(barrier, 7, 0), None),
            "rank 2 calls barrier as operation 6 where rank 0 calls barrier as operation 7"
        );
        assert_eq!(
            refused(head(gather, 7, 24), head(gather, 7, 20), Some(20)),
            "rank 2 calls all_gather of 5 values as operation 7 with other lengths of pieces than rank 0"
        );
        assert!(refused([9, 0, 7, 0], head(barrier, 7, 0), None).contains("something unknown"));
    }

    #[test]
    fn heads_are_read_as_they_were_written() {
        let sent = [3, u64::MAX, 1 << 40, 258];
        assert_eq!(read(&written(sent)), sent);
    }

    #[test]
    fn bytes_for_others_are_counted() {
        let round = Round::of_values(Operation::Exchange, 6, &[1.0; 6], vec![0..2, 2..4, 4..6], &[2, 2, 2]).unwrap();
        assert_eq!((round.bytes_to_others(1), round.parts[1].clone()), (16, 8..16));
        assert_eq!(Round::of_bytes(Operation::AllGatherBytes, &[1, 2, 3], 4).unwrap().bytes_to_others(0), 9);
    }
}
