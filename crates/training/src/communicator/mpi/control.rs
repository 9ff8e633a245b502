//! What ranks say beside their operations: that they live, that they have failed, and that they have ended.
//!
//! Each rank tells the next one every second that it lives, the last one the first: so each is watched by one other, however many there are.
use mpi::{
    point_to_point::MatchedReceiveVec,
    request::{Request, StaticScope},
    topology::SimpleCommunicator,
    traits::{Communicator, Destination, Source},
    Tag,
};
use std::time::{Duration, Instant};

const LIVES: Tag = 1;
const FAILED: Tag = 2;
const ENDED: Tag = 3;

/// How often a rank says that it lives.
const EVERY: Duration = Duration::from_secs(1);
/// How long a rank may say nothing: with what it takes to tell the others, they end within ten seconds.
const SILENCE: Duration = Duration::from_secs(7);
/// A rank that has not looked for so long was itself stopped meanwhile, and cannot say that another one was silent.
const ABSENT: Duration = Duration::from_secs(2);
/// Longest reason that is told, in bytes: messages of this size need no answer of who gets them.
const LONGEST: usize = 1024;

/// The messages of this rank beside its operations.
pub(super) struct Control {
    comm: SimpleCommunicator,
    rank: usize,
    size: usize,
    said: Instant,
    heard: Instant,
    looked: Instant,
    /// Messages that are on their way.
    sending: Vec<Request<'static, [u8], StaticScope>>,
    /// When each rank said that it has ended.
    ended: Vec<Option<Instant>>,
}

impl Control {
    pub(super) fn new(world: &SimpleCommunicator, rank: usize, size: usize) -> Self {
        let now = Instant::now();
        let ended = (0..size).map(|_| None).collect();
        Self { comm: world.duplicate(), rank, size, said: now, heard: now, looked: now, sending: Vec::new(), ended }
    }
    /// Says and hears what there is. Gives the reason where the work of all ranks has failed.
    pub(super) fn look(&mut self) -> Option<String> {
        if self.size == 1 {
            return None;
        }
        let now = Instant::now();
        let mut failed = None;
        while let Some(found) = self.comm.any_process().immediate_matched_probe() {
            let (from, tag) = (found.1.source_rank() as usize, found.1.tag());
            let (text, _) = found.matched_receive_vec::<u8>();
            match tag {
                FAILED => failed = failed.or_else(|| Some(String::from_utf8_lossy(&text).into_owned())),
                ENDED => self.ended[from] = Some(now),
                _ => self.heard = now,
            }
        }
        if now - self.looked > ABSENT {
            self.heard = now;
        }
        self.looked = now;
        self.sent();
        if now - self.said >= EVERY {
            self.said = now;
            // Where the last one has not gone yet, the next rank does not read, and another one more would not help.
            if self.sending.is_empty() {
                self.send((self.rank + 1) % self.size, LIVES, &[]);
            }
        }
        if failed.is_none() && self.is_silent() {
            let (before, seconds) = ((self.rank + self.size - 1) % self.size, SILENCE.as_secs());
            failed = Some(format!(
                "rank {before} stalled: it has given no sign of life for {seconds} s, as it was stopped or killed, or its machine is gone"
            ));
        }
        failed
    }
    /// Whether the rank that this one watches has said nothing for too long.
    pub(super) fn is_silent(&self) -> bool {
        self.looked - self.heard > SILENCE
    }
    /// Tells all others that the work of all ranks has failed.
    pub(super) fn tell_failed(&mut self, why: &str) {
        let mut end = why.len().min(LONGEST);
        while !why.is_char_boundary(end) {
            end -= 1;
        }
        // Once in a process, and kept for as long as that lives: it may be on its way until then.
        self.tell(FAILED, Box::leak(why[..end].to_owned().into_boxed_str()).as_bytes());
    }
    /// Tells all others that this rank calls no more operations.
    pub(super) fn tell_ended(&mut self) {
        self.ended[self.rank] = Some(Instant::now());
        self.tell(ENDED, &[]);
    }
    /// Since when a rank has ended.
    pub(super) fn ended(&self, rank: usize) -> Option<Instant> {
        self.ended[rank]
    }
    /// Whether all ranks have ended, and all that this one said has gone.
    pub(super) fn all_ended(&mut self) -> bool {
        self.sent();
        self.sending.is_empty() && self.ended.iter().all(Option::is_some)
    }
    fn tell(&mut self, tag: Tag, text: &'static [u8]) {
        let me = self.rank;
        for rank in (0..self.size).filter(|rank| *rank != me) {
            self.send(rank, tag, text);
        }
    }
    fn send(&mut self, to: usize, tag: Tag, text: &'static [u8]) {
        let request = self.comm.process_at_rank(to as i32).immediate_send_with_tag(StaticScope, text, tag);
        self.sending.push(request);
    }
    /// Forgets the messages that have gone.
    fn sent(&mut self) {
        let open = std::mem::take(&mut self.sending).into_iter().filter_map(|request| request.test().err());
        self.sending = open.collect();
    }
}
