//! The thread that talks to MPI, and nobody else does: a rank that fails leaves its messages to it, and goes on.
//!
//! Nothing here blocks. Who waits looks whether another rank has failed, and after a failure the thread stays with the messages that were
//! under way, whose memory MPI may still use, until the process ends.
use super::{
    super::operations::failed,
    control::Control,
    round::{bytes_behind, head, read, shown, written, Head, Round},
};
use crate::{Error, Result};
use mpi::{
    request::{multiple_scope, LocalScope, RequestCollection},
    topology::SimpleCommunicator,
    traits::{Communicator, Destination, Source},
    Tag, Threading,
};
use std::{
    hint::spin_loop,
    ops::Range,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError},
    thread,
    time::{Duration, Instant},
};
use tallow_layers::ErrorKind;
use tallow_tensor::memory;

const HEAD: Tag = 1;
const BYTES: Tag = 2;
/// Largest message, in bytes: MPI counts them in 32 bits.
const PIECE: usize = 1 << 28;
/// How often this thread looks what others say while there is nothing to do, and while it waits.
const IDLE: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(5);
/// How long who waits asks again and again after a message came, before it sleeps between two times. It does not yield: on a busy machine it would
/// get the processor back milliseconds later.
const BUSY: Duration = Duration::from_micros(200);
const NAP: Duration = Duration::from_micros(20);
/// How long messages of a rank that says it has ended may still be on their way.
const LATE: Duration = Duration::from_secs(1);
/// How long the end of a process waits after a failure until the others end too, so that each can say why: one that failed, and one that
/// goes on in some other way, as others may then too.
const FAREWELL: Duration = Duration::from_secs(1);
const LONG_FAREWELL: Duration = Duration::from_secs(60);

/// The bytes that came from each rank.
pub(super) type Received = Result<Vec<Vec<u8>>>;

/// What the thread is asked for.
pub(super) enum Asked {
    Round(Round, Sender<Received>),
    /// The work of all ranks has failed, for this reason.
    Fail(String),
    Leave(Leave),
}

/// Looks at a message that has come, of a number, and says what is wrong with it.
type Came<'a> = dyn FnMut(usize, &[u8]) -> std::result::Result<(), String> + 'a;

/// The process ends.
pub(super) struct Leave {
    /// Why, if it is a failure.
    pub(super) failure: Option<String>,
    /// Where to say that it may.
    pub(super) left: Sender<()>,
}

/// Starts MPI, tells the rank and their number, serves, and ends MPI when it is asked to leave.
pub(super) fn run(started: &Sender<Result<(usize, usize)>>, asked: Receiver<Asked>, patience: Duration) {
    // Who waits for the start, or for the end, has gone only where the process ends.
    let Some((universe, _)) = mpi::initialize_with_threading(Threading::Multiple) else {
        let what = "another part of this process started MPI before";
        let _ = started.send(Err(Error::new(ErrorKind::InvalidArgument, what)));
        return;
    };
    let world = universe.world();
    let (rank, size) = (world.rank() as usize, world.size() as usize);
    let (comm, control) = (world.duplicate(), Control::new(&world, rank, size));
    let _ = started.send(Ok((rank, size)));
    let now = Instant::now();
    let lane = Lane { control, rank, size, asked, patience, rounds: 0, looked: now, answer: None, doing: None };
    let left = lane.serve(&comm);
    drop((comm, universe));
    let _ = left.send(());
}

struct Lane {
    control: Control,
    rank: usize,
    size: usize,
    asked: Receiver<Asked>,
    /// How long a rank that lives may be waited for.
    patience: Duration,
    rounds: u64,
    looked: Instant,
    /// Who waits for the round under way, and its head.
    answer: Option<Sender<Received>>,
    doing: Option<Head>,
}

/// Messages under way, and for each the rank that it goes to or comes from.
struct Messages<'a, 'b> {
    requests: &'b mut RequestCollection<'a, [u8]>,
    open: Vec<Option<usize>>,
}

impl<'a> Messages<'a, '_> {
    fn send(&mut self, comm: &SimpleCommunicator, scope: &LocalScope<'a>, to: usize, bytes: &'a [u8], tag: Tag) {
        self.requests.add(comm.process_at_rank(to as i32).immediate_send_with_tag(scope, bytes, tag));
        self.open.push(Some(to));
    }
    fn receive(
        &mut self,
        comm: &SimpleCommunicator,
        scope: &LocalScope<'a>,
        from: usize,
        room: &'a mut [u8],
        tag: Tag,
    ) {
        self.requests.add(comm.process_at_rank(from as i32).immediate_receive_into_with_tag(scope, room, tag));
        self.open.push(Some(from));
    }
}

impl Lane {
    /// Does what it is asked for, until the process may end: where to say so.
    fn serve(mut self, comm: &SimpleCommunicator) -> Sender<()> {
        loop {
            match self.asked.recv_timeout(IDLE) {
                Ok(Asked::Round(round, answer)) => {
                    self.answer = Some(answer);
                    let received = self.round(comm, &round);
                    self.doing = None;
                    if let Some(answer) = self.answer.take() {
                        // Who asked may have gone away, cancelled, while the last messages came.
                        let _ = answer.send(Ok(received));
                    }
                }
                Ok(Asked::Fail(why)) => self.fail(failed(why)),
                Ok(Asked::Leave(leave)) => return self.leave(leave),
                Err(RecvTimeoutError::Timeout) => self.look(),
                // The other end is kept as long as the process lives.
                Err(RecvTimeoutError::Disconnected) => thread::park(),
            }
        }
    }
    /// Sends and receives the messages of a round: the bytes that come from each rank.
    fn round(&mut self, comm: &SimpleCommunicator, round: &Round) -> Vec<Vec<u8>> {
        self.rounds += 1;
        let (me, number) = (self.rank, self.rounds);
        let mine = head(round.call, number, 0);
        self.doing = Some(mine);
        // Each begins with another one, so that not all send to the first at once.
        let others: Vec<usize> = (1..self.size).map(|i| (me + i) % self.size).collect();
        let heads: Vec<_> = round.parts.iter().map(|part| written(head(round.call, number, part.len()))).collect();
        let mut theirs = heads.clone();
        multiple_scope(4 * self.size, |scope, requests| {
            let mut messages = Messages { requests, open: Vec::new() };
            for (from, room) in theirs.iter_mut().enumerate().filter(|(from, _)| *from != me) {
                messages.receive(comm, scope, from, room, HEAD);
            }
            for &to in &others {
                messages.send(comm, scope, to, &heads[to], HEAD);
                for piece in round.sent[round.parts[to].clone()].chunks(PIECE) {
                    messages.send(comm, scope, to, piece, BYTES);
                }
            }
            let mut lengths: Vec<usize> = round.parts.iter().map(Range::len).collect();
            let expected = |from: usize| round.expected.as_ref().map(|e| e[from]);
            self.wait(&mut messages, others.len(), &mut |from, bytes| {
                lengths[from] = bytes_behind(&read(bytes), from, &mine, me, expected(from))?;
                Ok(())
            });
            let mut received = Vec::new();
            for (from, length) in lengths.into_iter().enumerate() {
                let bytes =
                    if from == me { memory::copy(&round.sent[round.parts[me].clone()]) } else { memory::zeros(length) };
                match bytes {
                    Ok(bytes) => received.push(bytes),
                    Err(e) => self.fail(e.into()),
                }
            }
            multiple_scope(self.size, |scope, requests| {
                let mut messages = Messages { requests, open: Vec::new() };
                for (from, room) in received.iter_mut().enumerate().filter(|(from, _)| *from != me) {
                    for piece in room.chunks_mut(PIECE) {
                        messages.receive(comm, scope, from, piece, BYTES);
                    }
                }
                self.wait(&mut messages, usize::MAX, &mut |_, _| Ok(()));
            });
            self.wait(&mut messages, usize::MAX, &mut |_, _| Ok(()));
            received
        })
    }
    /// Waits until the first `n` of these messages have gone or come; `came` is told of each, and may find that it is not as it should be.
    fn wait(&mut self, messages: &mut Messages<'_, '_>, n: usize, came: &mut Came<'_>) {
        let n = n.min(messages.open.len());
        let began = Instant::now();
        let mut moved = began;
        let mut done = Vec::new();
        while let Some(rank) = messages.open[..n].iter().flatten().next().copied() {
            messages.requests.test_some(&mut done);
            for (i, _, bytes) in done.drain(..) {
                moved = Instant::now();
                let rank = messages.open[i].take();
                // Others may be done before these.
                if let Some(Err(why)) = rank.filter(|_| i < n).map(|rank| came(rank, bytes)) {
                    self.fail(failed(why));
                }
            }
            let now = Instant::now();
            if now - self.looked >= LOOK {
                self.look();
                self.look_after(messages.open[..n].iter().flatten());
                if now - began > self.patience {
                    let seconds = self.patience.as_secs();
                    self.fail(failed(format!(
                        "rank {rank} has not come to {} for {seconds} s, though it lives",
                        self.doing()
                    )));
                }
            }
            if now - moved < BUSY {
                spin_loop();
            } else {
                thread::sleep(NAP);
            }
        }
    }
    fn doing(&self) -> String {
        self.doing.as_ref().map_or_else(|| "its end".to_owned(), shown)
    }
    /// Looks what others say, and what this process asks for while a round is under way.
    fn look(&mut self) {
        self.looked = Instant::now();
        if let Some(why) = self.control.look() {
            self.fail(failed(why));
        }
        if self.doing.is_none() {
            return;
        }
        match self.asked.try_recv() {
            Ok(Asked::Fail(why)) => self.fail(failed(why)),
            Ok(Asked::Leave(leave)) => {
                let why = format!("rank {} has ended within {}", self.rank, self.doing());
                self.stay(failed(leave.failure.clone().unwrap_or(why)), Some(leave))
            }
            // One round at a time is asked for.
            Ok(Asked::Round(_, answer)) => {
                let _ = answer.send(Err(Error::new(ErrorKind::Internal, "two operations at once")));
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
    }
    /// Fails where one of the ranks that are waited for has ended.
    fn look_after<'r>(&mut self, mut ranks: impl Iterator<Item = &'r usize>) {
        let late = |rank: &&usize| self.control.ended(**rank).is_some_and(|since| since.elapsed() > LATE);
        if let Some(rank) = ranks.find(late) {
            self.fail(failed(format!("rank {rank} has ended, and rank {} calls {}", self.rank, self.doing())));
        }
    }
    /// Waits until all have ended: where to say that the process may.
    fn leave(mut self, leave: Leave) -> Sender<()> {
        if let Some(why) = &leave.failure {
            let error = failed(why);
            self.stay(error, Some(leave));
        }
        self.control.tell_ended();
        while !self.control.all_ended() {
            if let Some(why) = self.control.look() {
                self.stay(failed(why), Some(leave));
            }
            thread::sleep(LOOK);
        }
        leave.left
    }
    fn fail(&mut self, error: Error) -> ! {
        self.stay(error, None)
    }
    /// Tells all that the work has failed, and whoever asks this thread for anything, until the process ends: it is the memory of messages under
    /// way that must stay.
    fn stay(&mut self, error: Error, leave: Option<Leave>) -> ! {
        let why = match error.kind() {
            ErrorKind::RankFailed => error.to_string(),
            _ => format!("rank {} failed: {error}", self.rank),
        };
        self.control.tell_failed(&why);
        if let Some(answer) = self.answer.take() {
            let _ = answer.send(Err(error));
        }
        let mut leaving: Option<(Leave, Instant)> = None;
        let mut next = leave.map(Asked::Leave);
        loop {
            match next.take() {
                Some(Asked::Round(_, answer)) => {
                    let _ = answer.send(Err(failed(why.clone())));
                }
                Some(Asked::Leave(leave)) => {
                    self.control.tell_ended();
                    leaving = Some((leave, Instant::now()));
                }
                Some(Asked::Fail(_)) | None => {}
            }
            // The reason is known.
            self.control.look();
            if let Some((leave, since)) = &leaving {
                let longest = if leave.failure.is_some() { FAREWELL } else { LONG_FAREWELL };
                if self.control.all_ended() || self.control.is_silent() || since.elapsed() > longest {
                    // MPI is not ended, since messages are under way: its launcher sees that, and ends the others.
                    let _ = leave.left.send(());
                }
            }
            next = self.asked.recv_timeout(LOOK).ok();
        }
    }
}
