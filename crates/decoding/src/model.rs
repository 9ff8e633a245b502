//! A model as decoding reads with it: tokens in, the logits of the next one out.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tallow_layers::{call_beside, for_each_instance, Error, ErrorKind, LayerRef, Result, Stream, Streams, TensorSpec};
use tallow_tensor::{memory, no_grad, random::Key, DType, Tensor};

/// How a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// In mode `'predict'`: the next tokens only.
    Next,
    /// In mode `'eval'`: all tokens each time, filled up with zeros to a power of two that is no less than this.
    Whole(usize),
}

/// A model, and what its sequences begin with.
#[derive(Debug)]
pub struct Model {
    layer: LayerRef,
    reading: Reading,
    positions: Option<usize>,
    /// By the signature of the source, if there is one.
    streams: Mutex<HashMap<Option<TensorSpec>, Arc<Streams>>>,
}

/// How many signatures of sources are remembered.
const SOURCES: usize = 64;

/// What a sequence is to be read with.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// What is read once, `[1, …]`, by a model that takes a source and a target.
    pub source: Option<Tensor>,
    /// The token that stands before the first one.
    pub start: Option<i32>,
}

/// A sequence as far as it was read; a clone goes on by itself.
#[derive(Debug, Clone)]
pub struct Sequence {
    begun: Start,
    read: usize,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Next(Arc<Streams>, Stream),
    Whole(Vec<i32>),
}

impl Sequence {
    /// How many positions were read, the start among them.
    pub fn read(&self) -> usize {
        self.read
    }
    /// What must be alike in sequences that are read together.
    pub fn company(&self) -> Option<TensorSpec> {
        self.begun.source.as_ref().map(TensorSpec::of)
    }
    /// Bytes of what the model keeps of it.
    pub fn bytes(&self) -> usize {
        match &self.state {
            State::Next(_, stream) => stream.bytes(),
            State::Whole(tokens) => tokens.len() * size_of::<i32>(),
        }
    }
}

fn refused(kind: ErrorKind, what: String) -> Error {
    Error::new(kind, what)
}

impl Model {
    /// A layer in mode `'predict'`, or in mode `'eval'` to be read whole.
    pub fn new(layer: LayerRef, reading: Reading) -> Self {
        let mut positions: Option<usize> = None;
        for_each_instance(&layer, &mut |l| positions = positions.into_iter().chain(l.traits().positions).min());
        Self { layer, reading, positions, streams: Mutex::default() }
    }
    /// The layer.
    pub fn layer(&self) -> &LayerRef {
        &self.layer
    }
    /// How many positions of a sequence it can read, if that is limited.
    pub fn positions(&self) -> Option<usize> {
        self.positions
    }
    fn key(&self) -> Key {
        self.layer.base().slot.key().unwrap_or(Key::new(0))
    }
    /// A sequence that has read nothing.
    ///
    /// # Errors
    /// `InvalidArgument` where a source is missing or too much, `NotInitialized`, and what the layer does not take.
    pub fn begin(&self, begun: Start) -> Result<Sequence> {
        let name = &self.layer.base().name;
        match (self.layer.arity().n_in, &begun.source) {
            (1, None) | (2, Some(_)) => {}
            (1, Some(_)) => {
                let what = format!("{name} takes tokens only, but `inputs` are given; put them before the prompt");
                return Err(refused(ErrorKind::InvalidArgument, what));
            }
            (2, None) => {
                let what = format!("{name} takes a source and a target; give the source as `inputs`");
                return Err(refused(ErrorKind::InvalidArgument, what));
            }
            (n, _) => {
                let what =
                    format!("{name} takes {n} inputs; decoding is for models of tokens, or of a source and a target");
                return Err(refused(ErrorKind::ArityMismatch, what));
            }
        }
        let state = match self.reading {
            Reading::Whole(_) => State::Whole(Vec::new()),
            Reading::Next => {
                let streams = self.streams(begun.source.as_ref())?;
                let stream = streams.begin();
                State::Next(streams, stream)
            }
        };
        Ok(Sequence { begun, read: 0, state })
    }
    fn streams(&self, source: Option<&Tensor>) -> Result<Arc<Streams>> {
        let mut known = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let source = source.map(TensorSpec::of);
        if let Some(streams) = known.get(&source) {
            return Ok(streams.clone());
        }
        if known.len() == SOURCES {
            known.clear();
        }
        let target = TensorSpec::new([1, 1], DType::I32);
        let inputs: Vec<TensorSpec> = source.iter().cloned().chain([target]).collect();
        let made = Arc::new(Streams::new(&self.layer, &inputs)?);
        known.insert(source, made.clone());
        Ok(made)
    }
    /// Reads the next tokens of sequences, each as many: the logits behind the last one, `float32[sequences, vocabulary]`.
    ///
    /// # Errors
    /// Those of the layer, after which all sequences are as they were, and `ShapeMismatch` for outputs that are no logits.
    pub fn read(&self, sequences: &mut [&mut Sequence], tokens: &[&[i32]]) -> Result<Tensor> {
        let each = tokens.first().map_or(0, |t| t.len());
        let logits = match self.reading {
            Reading::Next => self.read_next(sequences, tokens, each)?,
            Reading::Whole(least) => {
                let rows = sequences
                    .iter()
                    .zip(tokens)
                    .map(|(s, t)| self.read_whole(s, t, least))
                    .collect::<Result<Vec<_>>>()?;
                for (s, t) in sequences.iter_mut().zip(tokens) {
                    if let State::Whole(all) = &mut s.state {
                        all.extend_from_slice(t);
                    }
                }
                Tensor::concat(&rows, 0)?
            }
        };
        sequences.iter_mut().for_each(|s| s.read += each);
        Ok(logits)
    }
    fn read_next(&self, sequences: &mut [&mut Sequence], tokens: &[&[i32]], each: usize) -> Result<Tensor> {
        let x = Tensor::from_vec(tokens.concat(), &[tokens.len(), each])?;
        let sources: Vec<Tensor> = sequences.iter().filter_map(|s| s.begun.source.clone()).collect();
        let mut xs = Vec::with_capacity(2); // two inputs
        if !sources.is_empty() {
            xs.push(Tensor::concat(&sources, 0)?);
        }
        xs.push(x);
        let mut all = None;
        let mut streams: Vec<&mut Stream> = Vec::with_capacity(sequences.len()); // as many as sequences
        for s in sequences.iter_mut() {
            if let State::Next(of, stream) = &mut s.state {
                all.get_or_insert_with(|| of.clone());
                streams.push(stream);
            }
        }
        let Some(all) = all else {
            return Err(refused(ErrorKind::Internal, "there are no sequences to read".to_owned()));
        };
        let ys = all.call(&mut streams, xs, self.key())?;
        self.logits(&ys, tokens.len(), each, each - 1)
    }
    /// The logits behind all tokens of one sequence and some more.
    fn read_whole(&self, sequence: &Sequence, tokens: &[i32], least: usize) -> Result<Tensor> {
        let State::Whole(before) = &sequence.state else {
            return Err(refused(ErrorKind::Internal, "a sequence was begun by another model".to_owned()));
        };
        // A model that shifts puts the start before them itself: it is not given, and what comes next stands one further.
        let shifts = sequence.begun.start.is_some();
        let given = before.iter().chain(tokens).skip(usize::from(shifts)).copied();
        let count = before.len() + tokens.len() - usize::from(shifts);
        let length = least.max(count + 1).checked_next_power_of_two().unwrap_or(usize::MAX);
        let mut all: Vec<i32> = memory::zeros(length)?;
        all.iter_mut().zip(given).for_each(|(to, token)| *to = token);
        let at = if shifts { count } else { count - 1 };
        let x = Tensor::from_vec(all, &[1, length])?;
        let xs = sequence.begun.source.iter().cloned().chain([x]).collect();
        let (ys, _) = no_grad(|| call_beside(&self.layer, xs, self.key()))?;
        self.logits(&ys, 1, length, at)
    }
    /// The logits at a position of `[rows, length, vocabulary]`, as float32.
    fn logits(&self, ys: &[Tensor], rows: usize, length: usize, at: usize) -> Result<Tensor> {
        let fits = |y: &&Tensor| {
            matches!(y.shape(), [n, l, v] if *n == rows && *l == length && *v > 0) && y.dtype().is_float()
        };
        let Some(y) = ys.first().filter(fits) else {
            let name = &self.layer.base().name;
            let got = ys.first().map_or("nothing".to_owned(), |y| TensorSpec::of(y).to_string());
            let what = format!("{name} must give logits [{rows}, {length}, vocabulary] to be decoded with, got {got}");
            return Err(Error::shape(what));
        };
        Ok(y.detach().index(1, at as isize)?.cast(DType::F32)?)
    }
}
