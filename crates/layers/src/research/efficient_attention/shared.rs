//! Options that attentions of this module share.
use super::hashing::Buckets;
use crate::{options, Count, Dim, HostValue, Mode, Rate};

options! {
    /// Options that self-attentions share.
    pub group EfficientAttentionOptions {
        /// Size of a query and a key.
        d_qk "dQk": Dim = Dim(64),
        /// Size of a value.
        d_v "dV": Dim = Dim(64),
        /// Whether positions see earlier ones only.
        causal "causal": bool = false,
        /// Whether there is one more input, behind the vectors, that tells valid positions from padding.
        masked "masked": bool = false,
        /// Whether there is one more input, the last, that tells the segment of each position, outside of which it sees nothing.
        use_segments "useSegments": bool = false,
        /// How the layer behaves.
        mode "mode": Mode = Mode::Train,
        /// Probability of dropping an attention strength.
        attention_dropout "attentionDropout": Rate = Rate(0.0),
        /// Probability of dropping a feature of the output, the same at all positions.
        output_dropout "outputDropout": Rate = Rate(0.0),
    }
}

impl EfficientAttentionOptions {
    /// Names and values, for a layer that hands them on.
    pub(super) fn pairs(&self) -> Vec<(&'static str, HostValue)> {
        let mut pairs: Vec<(&'static str, HostValue)> = vec![
            ("dQk", self.d_qk.0.into()),
            ("dV", self.d_v.0.into()),
            ("causal", self.causal.into()),
            ("masked", self.masked.into()),
            ("mode", self.mode.into()),
            ("attentionDropout", self.attention_dropout.0.into()),
            ("outputDropout", self.output_dropout.0.into()),
        ];
        // Not every attention that a layer is made with knows of segments.
        pairs.extend(self.use_segments.then(|| ("useSegments", true.into())));
        pairs
    }
}

options! {
    /// Options that decide which positions LSH attention sees, and how much of it is remembered.
    pub group LSHOptions {
        /// Positions per chunk.
        chunk_len "chunkLen": Dim = Dim(128),
        /// Chunks seen before a position's own.
        n_chunks_before "nChunksBefore": Count = Count(1),
        /// Chunks seen after a position's own.
        n_chunks_after "nChunksAfter": Count = Count(0),
        /// Rounds of hashing.
        n_hashes "nHashes": Dim = Dim(1),
        /// Number of buckets, or numbers whose product it is; even. By default two for each chunk.
        n_buckets "nBuckets": Option<Buckets> = None,
        /// Positions that predict mode remembers; null: what chunks can see.
        predict_mem_len "predictMemLen": Option<Dim> = Some(Dim(2048)),
        /// Positions forgotten when the memory is full; null: a chunk.
        predict_drop_len "predictDropLen": Option<Dim> = Some(Dim(256)),
        /// Length that the buckets in the state have room for, whatever the input's.
        max_length_for_buckets "maxLengthForBuckets": Option<Dim> = None,
        /// How many heads Trax computes at a time to save memory; all are computed at once here, as none needs memory that outlives it.
        n_parallel_heads "nParallelHeads": Option<Dim> = Some(Dim(1)),
        /// Changes nothing: there is no compilation that a loop could shorten.
        use_python_loop "usePythonLoop": bool = false,
        /// Whether automatic differentiation is reported in place of a backward of its own; the numbers are the same.
        use_reference_code "useReferenceCode": bool = false,
    }
}
