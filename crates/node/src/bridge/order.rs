//! The order of calls: what is asked for first happens first, on whichever thread.
//!
//! Jobs wait for the compute thread. What JavaScript does at once with a layer (call it, read or set its weights or state) comes after the
//! jobs it asked for before, so these are done first: those that wait here and now, on the JavaScript thread; one that runs is waited
//! for, while JavaScript does what it asks. Only jobs that touch the same weights or state matter. A training loop is not waited for:
//! beside it a layer is as after the last finished step, and what would change it is refused. Calls on the compute thread run between two of
//! its steps; other jobs that would change what it trains, and a second loop, wait for its end.
use super::{
    error::Outcome,
    host::{is_serving, serving, Inbox},
    lock::lock,
    turn::in_turn,
};
use napi::Env;
use std::{
    cell::RefCell,
    collections::HashSet,
    sync::{
        atomic::{AtomicBool, Ordering::SeqCst},
        Arc, Mutex, MutexGuard,
    },
};
use tallow_layers::{for_each_instance, ErrorKind, LayerRef, Store};

/// Where weights and state lie that are read and that may change ([`tallow_layers::layer::Slot::places`]).
#[derive(Debug, Default, Clone)]
pub(crate) struct Access {
    reads: HashSet<usize>,
    changes: HashSet<usize>,
}

impl Access {
    fn of(layer: &LayerRef, mut note: impl FnMut(&mut Self, &LayerRef, [usize; 2])) -> Self {
        let mut out = Self::default();
        for_each_instance(layer, &mut |l| note(&mut out, l, l.base().slot.places()));
        out
    }
    /// A call: reads weights and changes state, if there may be some; `weights` says whether it sets the weights first.
    pub(crate) fn call(layer: &LayerRef, weights: bool) -> Self {
        Self::of(layer, |out, l, [w, s]| {
            if weights { &mut out.changes } else { &mut out.reads }.insert(w);
            let changes = l.base().slot.may_have_state() || l.is_driven();
            if changes { &mut out.changes } else { &mut out.reads }.insert(s);
        })
    }
    /// Reads weights and state.
    pub(crate) fn read(layer: &LayerRef) -> Self {
        Self::of(layer, |out, _, places| out.reads.extend(places))
    }
    /// Reads weights.
    pub(crate) fn read_weights(layer: &LayerRef) -> Self {
        Self::of(layer, |out, _, [w, _]| out.reads.extend([w]))
    }
    /// Reads state.
    pub(crate) fn read_state(layer: &LayerRef) -> Self {
        Self::of(layer, |out, _, [_, s]| out.reads.extend([s]))
    }
    /// Sets weights and state.
    pub(crate) fn set(layer: &LayerRef) -> Self {
        Self::of(layer, |out, _, places| out.changes.extend(places))
    }
    /// Sets weights.
    pub(crate) fn set_weights(layer: &LayerRef) -> Self {
        Self::of(layer, |out, _, [w, _]| out.changes.extend([w]))
    }
    /// Sets state.
    pub(crate) fn set_state(layer: &LayerRef) -> Self {
        Self::of(layer, |out, _, [_, s]| out.changes.extend([s]))
    }
    /// Sets the state of those instances that `state` has an entry of.
    pub(crate) fn set_state_in(layer: &LayerRef, state: &Store) -> Self {
        Self::of(layer, |out, l, [_, s]| {
            if state.contains_key(&l.base().id) {
                out.changes.insert(s);
            }
        })
    }
    /// Whether the one and the other may not change places.
    fn conflicts(&self, other: &Self) -> bool {
        !self.changes.is_disjoint(&other.changes)
            || !self.changes.is_disjoint(&other.reads)
            || !self.reads.is_disjoint(&other.changes)
    }
    fn add(&mut self, other: &Self) {
        self.reads.extend(&other.reads);
        self.changes.extend(&other.changes);
    }
}

/// What a job does, beside which loops if any; gives what settles its promise.
type Work = Box<dyn FnOnce(Option<Beside>) -> Settle + Send>;
/// Settles the promise of a job, which by then is done: who awaited it must not find it running.
pub(crate) type Settle = Box<dyn FnOnce() + Send>;

/// How a job goes with training loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is a training loop, which is not waited for.
    Endless,
    /// It runs between two steps of a loop, and itself refuses to change what the loop does.
    Beside,
    /// It waits for the end of loops whose weights or state it would change.
    Apart,
}

/// A job that was asked for.
pub(crate) struct Pending {
    access: Access,
    way: Way,
    /// Training loops, and jobs behind such, that were asked for before it and touch what it does.
    behind: Vec<Arc<Pending>>,
    /// Taken by whoever runs it.
    work: Mutex<Option<Work>>,
    done: AtomicBool,
    turn: Arc<Mutex<()>>,
    inbox: Arc<Inbox>,
}

impl Pending {
    fn is_done(&self) -> bool {
        self.done.load(SeqCst)
    }
    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        lock(&self.work)
    }
    fn is_running(&self) -> bool {
        !self.is_done() && self.work().is_none()
    }
    /// Whether it is a training loop.
    pub(crate) fn is_endless(&self) -> bool {
        self.way == Way::Endless
    }
    /// Those before it that are not done.
    fn before(&self) -> impl Iterator<Item = &Arc<Pending>> {
        self.behind.iter().filter(|p| !p.is_done())
    }
    /// Whether something before it must end first.
    pub(crate) fn must_wait(&self) -> bool {
        let changes = |p: &Pending| {
            !self.access.changes.is_disjoint(&p.access.reads) || !self.access.changes.is_disjoint(&p.access.changes)
        };
        self.way != Way::Beside && self.before().any(|p| changes(p))
    }
    /// Runs it, unless it was taken.
    fn run(&self) {
        let work = self.work().take();
        self.finish(work);
    }
    /// Runs it when it is its turn to compute, and no job before it runs on the JavaScript thread. Until then JavaScript may take it.
    pub(crate) fn run_in_turn(&self) {
        in_turn(|| {
            let turn = lock(&self.turn);
            let work = self.work().take();
            drop(turn);
            self.finish(work);
        });
    }
    fn finish(&self, work: Option<Work>) {
        if let Some(work) = work {
            let mut beside: Option<Access> = None;
            self.before().for_each(|p| beside.get_or_insert_default().add(&p.access));
            let settle = work(beside.map(Beside));
            self.done.store(true, SeqCst);
            self.inbox.ring();
            settle();
        }
    }
}

/// The jobs of an environment.
pub(crate) struct Order {
    pending: RefCell<Vec<Arc<Pending>>>,
    /// What the jobs ask of the JavaScript thread.
    inbox: Arc<Inbox>,
    /// Held by the JavaScript thread while it runs jobs, so that the compute thread begins none.
    turn: Arc<Mutex<()>>,
}

impl Order {
    /// No jobs yet; they ask the JavaScript thread through its inbox.
    pub(crate) fn new(inbox: Arc<Inbox>) -> Self {
        Self { pending: RefCell::default(), inbox, turn: Arc::default() }
    }
    /// A new job, behind all others.
    pub(crate) fn push(&self, access: Access, way: Way, work: Work) -> Arc<Pending> {
        let job = Arc::new(Pending {
            behind: loops_among(&self.waiting(), &access),
            access,
            way,
            work: Mutex::new(Some(work)),
            done: AtomicBool::new(false),
            turn: self.turn.clone(),
            inbox: self.inbox.clone(),
        });
        self.pending.borrow_mut().push(job.clone());
        job
    }
    /// Whether all jobs are done.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting().is_empty()
    }
    /// The jobs that are not done.
    fn waiting(&self) -> Vec<Arc<Pending>> {
        let mut pending = self.pending.borrow_mut();
        pending.retain(|p| !p.is_done());
        pending.clone()
    }
    /// Does what was asked for before `access` and must come before it; gives what could not be waited for.
    pub(crate) fn done_before(&self, env: &Env, access: impl FnOnce() -> Access) -> Option<Beside> {
        // What a job asks JavaScript for is part of that job.
        if is_serving() || self.pending.borrow().is_empty() || self.waiting().is_empty() {
            return None;
        }
        let access = access();
        loop {
            let turn = lock(&self.turn);
            let (chosen, beside) = choose(&self.waiting(), &access);
            if let Some(running) = chosen.iter().find(|p| p.is_running()) {
                drop(turn);
                self.inbox.wait(env, || running.is_done());
                continue;
            }
            chosen.iter().for_each(|p| serving(|| tallow_tensor::autodiff::recording(|| p.run())));
            return beside.map(Beside);
        }
    }
}

/// What stands in the way of a change: a training loop, or jobs behind it.
pub(crate) struct Beside(Access);

impl Beside {
    /// Whether it stands in the way of a change.
    fn refuses(&self, change: &Access) -> bool {
        self.0.conflicts(change)
    }
    /// Refuses a change that it stands in the way of.
    pub(crate) fn refuse(&self, what: &str, change: &Access) -> Outcome<()> {
        if !self.refuses(change) {
            return Ok(());
        }
        let what = format!(
            "{what}, but a training loop runs on the same weights or state, and one would overwrite the other; await the loop first, or call layer.withMode('eval')"
        );
        Err(tallow_layers::Error::new(ErrorKind::Busy, what).into())
    }
}

/// The training loops, and the jobs behind such, that `access` may not change places with.
fn loops_among(waiting: &[Arc<Pending>], access: &Access) -> Vec<Arc<Pending>> {
    let mut beside: Option<Access> = None;
    let mut out = Vec::new();
    for job in waiting {
        if job.is_endless() || beside.as_ref().is_some_and(|b| b.conflicts(&job.access)) {
            beside.get_or_insert_default().add(&job.access);
            if access.conflicts(&job.access) {
                out.push(job.clone());
            }
        }
    }
    out
}

/// The jobs that must come before `access`, in their order, and the places of those that would have to but are endless or behind such.
fn choose(waiting: &[Arc<Pending>], access: &Access) -> (Vec<Arc<Pending>>, Option<Access>) {
    let mut beside: Option<Access> = None;
    let mut free = Vec::new();
    for job in waiting {
        if job.is_endless() || beside.as_ref().is_some_and(|b| b.conflicts(&job.access)) {
            beside.get_or_insert_default().add(&job.access);
        } else {
            free.push(job);
        }
    }
    let mut after = access.clone();
    let mut chosen = Vec::new();
    for job in free.into_iter().rev() {
        if after.conflicts(&job.access) {
            after.add(&job.access);
            chosen.push(job.clone());
        }
    }
    chosen.reverse();
    (chosen, beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(reads: &[usize], changes: &[usize]) -> Access {
        Access { reads: reads.iter().copied().collect(), changes: changes.iter().copied().collect() }
    }
    fn job(reads: &[usize], changes: &[usize], endless: bool) -> Arc<Pending> {
        behind(Vec::new(), reads, changes, if endless { Way::Endless } else { Way::Beside })
    }
    fn behind(behind: Vec<Arc<Pending>>, reads: &[usize], changes: &[usize], way: Way) -> Arc<Pending> {
        Arc::new(Pending {
            access: access(reads, changes),
            way,
            behind,
            work: Mutex::default(),
            done: AtomicBool::new(false),
            turn: Arc::default(),
            inbox: Arc::default(),
        })
    }
    fn chosen(jobs: &[Arc<Pending>], wanted: &Access) -> (Vec<usize>, bool) {
        let (chosen, beside) = choose(jobs, wanted);
        let at = |p: &Arc<Pending>| jobs.iter().position(|j| Arc::ptr_eq(j, p)).expect("one of the jobs");
        (chosen.iter().map(at).collect(), beside.is_some_and(|b| b.conflicts(wanted)))
    }

    #[test]
    fn a_job_is_done_before_its_promise_is_settled() {
        let settled = Arc::new(Mutex::new(None));
        let (job, seen) = (job(&[], &[1], true), settled.clone());
        let this = job.clone();
        *job.work() = Some(Box::new(move |_| Box::new(move || *lock(&seen) = Some(this.is_done()))));
        job.run();
        assert_eq!(*lock(&settled), Some(true));
    }

    #[test]
    fn jobs_that_share_nothing_are_left_alone() {
        let jobs = [job(&[1], &[2], false), job(&[3], &[4], false), job(&[1], &[], false)];
        assert_eq!(chosen(&jobs, &access(&[1], &[2])), (vec![0], false));
        assert_eq!(chosen(&jobs, &access(&[1, 3], &[])), (vec![], false), "reading beside reading");
        assert_eq!(chosen(&jobs, &access(&[], &[1])), (vec![0, 2], false), "setting what they read");
    }

    #[test]
    fn what_a_job_waits_for_comes_with_it() {
        let jobs = [job(&[], &[1], false), job(&[1], &[2], false), job(&[], &[9], false)];
        assert_eq!(chosen(&jobs, &access(&[2], &[])), (vec![0, 1], false));
    }

    #[test]
    fn a_loop_and_what_is_behind_it_are_not_waited_for() {
        let jobs = [job(&[], &[1], false), job(&[], &[1, 2], true), job(&[1], &[3], false), job(&[], &[7], false)];
        assert_eq!(chosen(&jobs, &access(&[1], &[])), (vec![0], true));
        assert_eq!(chosen(&jobs, &access(&[3], &[])), (vec![], true), "a job behind the loop");
        assert_eq!(chosen(&jobs, &access(&[7], &[])), (vec![3], false));
    }

    #[test]
    fn beside_a_loop_calls_run_and_what_would_change_its_weights_waits_for_its_end() {
        let jobs = [job(&[], &[1, 2], true), job(&[7], &[], false), job(&[1], &[3], false)];
        let behind_of = |reads: &[usize], changes: &[usize], way| {
            behind(loops_among(&jobs, &access(reads, changes)), reads, changes, way)
        };
        let call = behind_of(&[1], &[4], Way::Beside);
        assert_eq!((call.behind.len(), call.must_wait()), (1, false));
        let seen = Arc::new(Mutex::new(None));
        let told = seen.clone();
        *call.work() = Some(Box::new(move |beside| {
            let refused = |a: &Access| beside.as_ref().map(|b| b.refuses(a));
            *lock(&told) = Some((refused(&access(&[], &[4])), refused(&access(&[], &[2]))));
            Box::new(|| ())
        }));
        call.run_in_turn();
        assert_eq!(*lock(&seen), Some((Some(false), Some(true))));
        assert!(!behind_of(&[1, 2], &[], Way::Apart).must_wait(), "what only reads");
        assert!(!behind_of(&[], &[7], Way::Apart).must_wait(), "what has nothing in common with the loop");
        let load = behind_of(&[], &[1], Way::Apart);
        let second = behind_of(&[], &[1], Way::Endless);
        assert!(load.must_wait() && second.must_wait());
        jobs.iter().for_each(|p| p.done.store(true, SeqCst));
        assert!(!load.must_wait() && !second.must_wait());
    }
}
