//! Continuous batching: requests join and leave between steps, and all that are under way are read together.
use crate::{
    live::{Live, Prefix, Said},
    model::{Model, Sequence},
    request::Request,
};
use std::collections::{HashMap, HashSet, VecDeque};
use tallow_layers::{options, Dim, Error, ErrorKind, Result, TensorSpec};
use tallow_tensor::Tensor;

options! {
    /// How requests share a model.
    pub struct DecoderOptions for "Decoder" () {
        /// The most requests that are under way at once; others wait for their turn.
        max_batch "maxBatch": Dim = Dim(64),
        /// The most tokens of prompts that one step reads, so that a long prompt does not hold others up.
        prompt_tokens "promptTokens": Dim = Dim(1024),
    }
}

/// What became of a request in a step.
#[derive(Debug)]
pub enum Outcome {
    /// It has a token more.
    Said(Said),
    /// It was a prefix, and is read.
    Kept,
    /// It failed, and is over.
    Failed(Error),
}

/// What happened to which request.
#[derive(Debug)]
pub struct Event {
    /// The request.
    pub id: u64,
    /// What happened.
    pub outcome: Outcome,
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Requests under way.
    pub running: usize,
    /// Requests that wait for a place.
    pub waiting: usize,
    /// Bytes of what the model keeps of those under way.
    pub bytes: usize,
}

/// A model and its requests.
pub struct Engine {
    model: Model,
    options: DecoderOptions,
    live: Vec<Live>,
    waiting: VecDeque<Live>,
    /// What requests go on from.
    prefixes: HashMap<u64, Prefix>,
    /// Requests that cannot be.
    refused: Vec<(u64, Error)>,
    /// How many steps there were.
    steps: u64,
}

/// Requests that read equally many tokens, and have sources of the same signature: their places among those under way.
type Group = ((usize, Option<TensorSpec>), Vec<usize>);

impl Engine {
    /// No requests yet.
    pub fn new(model: Model, options: DecoderOptions) -> Self {
        Self {
            model,
            options,
            live: Vec::new(),
            waiting: VecDeque::new(),
            prefixes: HashMap::new(),
            refused: Vec::new(),
            steps: 0,
        }
    }
    /// How many positions of a sequence the model can read, if that is limited.
    pub fn positions(&self) -> Option<usize> {
        self.model.positions()
    }
    /// Adds a request, which begins with the next step that has a place for it.
    pub fn join(&mut self, id: u64, request: Request) {
        self.waiting.push_back(Live::new(id, request));
    }
    /// Adds a request that goes on from a prefix that was kept.
    pub fn join_after(&mut self, id: u64, request: Request, prefix: u64) {
        match self.prefixes.get(&prefix) {
            Some(prefix) => self.waiting.push_back(Live::after(id, request, prefix)),
            None => {
                let what =
                    "generate: `prefix` was disposed, or is of another decoder; make one with this decoder's prefix()";
                self.refused.push((id, Error::new(ErrorKind::InvalidArgument, what)));
            }
        }
    }
    /// Adds what is read once, for requests to go on from until it leaves.
    pub fn keep(&mut self, id: u64, request: Request) {
        self.waiting.push_back(Live::prefix(id, request));
    }
    /// Ends a request, or forgets a prefix; what the model keeps of it is freed.
    pub fn leave(&mut self, id: u64) {
        self.prefixes.remove(&id);
        self.live.retain(|l| l.id != id);
        self.waiting.retain(|l| l.id != id);
    }
    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.live.is_empty() && self.waiting.is_empty() && self.refused.is_empty()
    }
    /// How much there is to do.
    pub fn load(&self) -> Load {
        let live = self.live.iter().filter_map(Live::sequence).map(Sequence::bytes);
        let bytes = live.chain(self.prefixes.values().map(Prefix::bytes)).sum();
        Load { running: self.live.len(), waiting: self.waiting.len(), bytes }
    }
    /// Reads the next tokens of all requests, and chooses a token for each that has read all it has.
    ///
    /// # Errors
    /// `Aborted` where the work was cancelled; all else is an event of the request that it concerns.
    pub fn step(&mut self) -> Result<Vec<Event>> {
        let refused = self.refused.drain(..).map(|(id, e)| Event { id, outcome: Outcome::Failed(e) });
        let mut events: Vec<Event> = refused.collect();
        // Whoever waits for a place hears in time that it comes too late.
        self.waiting.retain(|waiting| goes_on(waiting.in_time(), waiting.id, &mut events));
        let room = self.options.max_batch.0.saturating_sub(self.live.len());
        self.steps += 1;
        // Who comes is before those who read in this step, when the next one begins.
        let before = self.steps - 1;
        let joining = self.waiting.drain(..room.min(self.waiting.len()));
        self.live.extend(joining.map(|live| live.waiting_since(before)));
        let model = &self.model;
        self.live.retain_mut(|live| goes_on(live.begin(model), live.id, &mut events));
        for ((count, _), places) in self.groups() {
            self.read(&places, count, &mut events)?;
        }
        for live in &mut self.live {
            if let Some(prefix) = live.kept() {
                self.prefixes.insert(live.id, prefix);
                events.push(Event { id: live.id, outcome: Outcome::Kept });
            }
        }
        let over: HashSet<u64> = events.iter().filter(|e| e.ends()).map(|e| e.id).collect();
        self.live.retain(|l| !over.contains(&l.id));
        Ok(events)
    }
    /// What is read in this step: parts of prompts as far as there is room for them, those first that have waited longest, and all that read
    /// one token.
    fn groups(&mut self) -> Vec<Group> {
        let most = self.options.prompt_tokens.0;
        let mut room = most;
        let mut order: Vec<usize> = (0..self.live.len()).collect(); // few
        order.sort_by_key(|&at| self.live[at].since);
        let mut groups: Vec<Group> = Vec::new();
        for at in order {
            let live = &mut self.live[at];
            let count = live.next_read(most);
            if count == 0 {
                continue;
            }
            if count > 1 {
                if count > room {
                    continue;
                }
                room -= count;
                live.since = self.steps;
            }
            let key = (count, live.sequence().and_then(Sequence::company));
            match groups.iter_mut().find(|g| g.0 == key) {
                Some(group) => group.1.push(at),
                None => groups.push((key, vec![at])),
            }
        }
        groups.iter_mut().for_each(|(_, places)| places.sort_unstable());
        groups
    }
    /// Reads for these requests together; where that fails, for each alone, so that only those fail that must.
    fn read(&mut self, places: &[usize], count: usize, events: &mut Vec<Event>) -> Result<()> {
        match self.logits(places, count) {
            Ok(logits) => match logits
                .log_softmax(-1)
                .map_err(Error::from)
                .and_then(|p| self.say(places, count, [&logits, &p], events))
            {
                // They have been read, so there is no second try.
                Err(e) if e.kind() != ErrorKind::Aborted => {
                    self.fail(places, &e, events);
                    Ok(())
                }
                done => done,
            },
            Err(e) if e.kind() == ErrorKind::Aborted => Err(e),
            Err(e) if places.len() == 1 => {
                self.fail(places, &e, events);
                Ok(())
            }
            Err(_) => places.iter().try_for_each(|&at| self.read(&[at], count, events)),
        }
    }
    fn fail(&self, places: &[usize], e: &Error, events: &mut Vec<Event>) {
        events.extend(places.iter().map(|&at| Event { id: self.live[at].id, outcome: Outcome::Failed(e.clone()) }));
    }
    /// The logits of these requests, after what they read next.
    fn logits(&mut self, places: &[usize], count: usize) -> Result<Tensor> {
        let wanted: HashSet<usize> = places.iter().copied().collect();
        let chosen = self.live.iter_mut().enumerate().filter(|(at, _)| wanted.contains(at));
        let (mut sequences, tokens): (Vec<_>, Vec<_>) = chosen.filter_map(|(_, live)| live.reading(count)).unzip();
        self.model.read(&mut sequences, &tokens)
    }
    fn say(
        &mut self,
        places: &[usize],
        count: usize,
        [logits, log_probs]: [&Tensor; 2],
        events: &mut Vec<Event>,
    ) -> Result<()> {
        let size = logits.shape()[1];
        let (logits, log_probs) = (logits.values::<f32>()?, log_probs.values::<f32>()?);
        for (i, &at) in places.iter().enumerate() {
            let live = &mut self.live[at];
            if live.was_read(count) && !live.is_prefix() {
                let row = i * size..(i + 1) * size;
                let said = live.say(&self.model, &logits[row.clone()], &log_probs[row]);
                events.push(Event { id: live.id, outcome: said.map_or_else(Outcome::Failed, Outcome::Said) });
            }
        }
        Ok(())
    }
}

/// Whether a request goes on; if not, it is over.
fn goes_on(result: Result<()>, id: u64, events: &mut Vec<Event>) -> bool {
    let Err(e) = result else { return true };
    events.push(Event { id, outcome: Outcome::Failed(e) });
    false
}

impl Event {
    /// Whether the request is over.
    pub fn ends(&self) -> bool {
        match &self.outcome {
            Outcome::Said(said) => said.finish.is_some(),
            Outcome::Kept | Outcome::Failed(_) => true,
        }
    }
}
