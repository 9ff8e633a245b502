//! A checkpoint that is not as it was written is refused, wherever it is damaged.
use crate::trainer::{model, trainer};
use std::fs;
use tallow_training::{checkpoint_info, verify_checkpoint};

/// Numbers that look drawn and are the same in every run (SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

#[test]
fn what_is_lost_or_moved_in_blocks_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, damaged) = (folder.path().join("run"), folder.path().join("damaged"));
    trainer(model(Vec::new()), 1).save(&path, 1, None).expect("saved");
    let whole = fs::read(&path).expect("the file");
    let mut numbers = Numbers(31);
    let mut found = 0;
    for _ in 0..300 {
        let (a, b, n) = (numbers.below(whole.len() - 64), numbers.below(whole.len() - 64), 1 + numbers.below(64));
        let mut zeros = whole.clone();
        zeros[a..a + n].fill(0);
        let mut moved = whole.clone();
        moved.copy_within(a..a + n, b);
        for bytes in [zeros, moved] {
            fs::write(&damaged, &bytes).expect("written");
            let read = verify_checkpoint(&damaged);
            assert_eq!(read.is_err(), bytes != whole, "{n} bytes at {a} and {b}");
            found += usize::from(read.is_err());
        }
    }
    assert!(found > 500, "{found}");
}

#[test]
fn a_header_tells_step_notes_and_tensors() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run");
    let run = trainer(model(Vec::new()), 1);
    run.save(&path, 7, Some(r#"{"a":[1]}"#)).expect("saved");
    let info = checkpoint_info(&path).expect("the header");
    assert_eq!((info.step, info.notes.as_deref()), (Some(7), Some(r#"{"a":[1]}"#)));
    assert!(info.tensors.windows(2).all(|t| t[0].name < t[1].name));
    let first = &info.tensors[0];
    assert_eq!((first.shape.as_slice(), first.dtype.as_str(), first.bytes), (&[8, 16][..], "float32", 512));
    let error = run.save(&path, 8, Some("[1]")).expect_err("no object");
    assert_eq!(error.code(), "InvalidArgument");
    assert_eq!(checkpoint_info(&path).expect("the header"), info);
}
