//! A batch of samples as `autoregressive_sample` of Trax makes them: all rows go on together until each has seen its end.
use crate::{
    history::History,
    model::{Model, Reading, Sequence, Start},
    sampling::{draw_at, SamplingOptions},
    values::{ids_of, Id},
};
use tallow_layers::{
    options, options::show, options::OptionType, Dim, Error, ErrorKind, HostValue, KeyArg, LayerRef, NotNegative,
    Result,
};
use tallow_tensor::{random::Key, Tensor};

/// The token that each row begins with: one for all, or a list of one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartIds {
    /// The same for all rows.
    All(i32),
    /// One for each row.
    Each(Vec<i32>),
}
impl OptionType for StartIds {
    const TS: &'static str = "number | readonly number[] | Tensor";
    const EXPECTED: &'static str = "the id of a token, or one for each row of the batch";
    fn parse(v: &HostValue) -> Option<Self> {
        match v {
            HostValue::Number(_) => Id::parse(v).map(|id| Self::All(id.0)),
            HostValue::Tensor(t) if t.shape().len() == 2 && t.shape()[1] == 1 => {
                let t = t.reshape(&[t.shape()[0]]).ok()?;
                ids_of("startId", &HostValue::Tensor(t)).ok().map(Self::Each)
            }
            _ => ids_of("startId", v).ok().map(Self::Each),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::All(id) => id.to_string(),
            Self::Each(ids) => format!("{ids:?}"),
        }
    }
}

options! {
    /// Samples as Trax makes them.
    pub struct AutoregressiveOptions for "autoregressiveSample" () {
        /// How many sequences are made.
        batch_size "batchSize": Dim = Dim(1),
        /// How even the choice is: 1 draws by the model's probabilities, 0 takes the likeliest token.
        temperature "temperature": NotNegative = NotNegative(1.0),
        /// Key of the draws; needed unless `temperature` is 0.
        rng "rng": Option<KeyArg> = None,
        /// The token that a model which shifts its input to the right begins with; `null` for a model that does not.
        start_id "startId": Option<StartIds> = Some(StartIds::All(0)),
        /// The token that ends a sequence.
        eos_id "eosId": Id = Id(1),
        /// The most tokens.
        max_length "maxLength": Dim = Dim(100),
        /// Whether a model in mode 'eval' reads all tokens each time.
        eval_mode "evalMode": bool = false,
        /// With `evalMode`: the least length that tokens are filled up to.
        eval_min_length "evalMinLength": Dim = Dim(1),
    }
}

/// Samples of a batch, a token of each row at a time.
pub struct Autoregressive {
    model: Model,
    rows: Vec<Row>,
    sampling: SamplingOptions,
    eos: i32,
    /// The most tokens; without one it goes on as long as it is asked.
    most: Option<usize>,
    count: usize,
}

struct Row {
    sequence: Option<Sequence>,
    start: Start,
    pending: Vec<i32>,
    key: Option<Key>,
    ended: bool,
}

/// The most rows of a batch.
const MOST_ROWS: usize = 1 << 16;

fn wrong(what: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, what)
}

/// The rows of inputs, `[batch, …]`, each with a batch axis of 1.
fn rows_of(inputs: &HostValue, batch: usize) -> Result<Option<Vec<Tensor>>> {
    let inputs = match inputs {
        HostValue::Null => return Ok(None),
        HostValue::Tensor(t) => t.detach(),
        other => {
            return Err(wrong(format!(
                "autoregressiveSample: `inputs` must be a tensor [batch, length], got {}",
                show(other)
            )))
        }
    };
    if inputs.rank() < 2 || inputs.shape()[0] != batch {
        let shape = inputs.shape();
        return Err(wrong(format!(
            "autoregressiveSample: `inputs` must be [batchSize, length] with a batchSize of {batch}, got {shape:?}"
        )));
    }
    (0..batch).map(|i| Ok(inputs.narrow(0, i, 1)?)).collect::<Result<_>>().map(Some)
}

impl Autoregressive {
    /// Samples of a layer, which is run in the mode that the options say; with `ends` up to the end, else without one.
    ///
    /// # Errors
    /// `InvalidOption`, `InvalidArgument`.
    pub fn new(layer: &LayerRef, inputs: &HostValue, o: &HostValue, ends: bool) -> Result<Self> {
        let o = AutoregressiveOptions::parse(o)?;
        if o.temperature.0 > 0.0 && o.rng.is_none() {
            let what = "autoregressiveSample: `rng` is required unless `temperature` is 0, and must be a random key; tl.random.key(seed) makes one";
            return Err(Error::option(what));
        }
        let n = o.batch_size.0;
        if n > MOST_ROWS {
            return Err(Error::option(format!(
                "autoregressiveSample: `batchSize` must be at most {MOST_ROWS}, got {n}"
            )));
        }
        let starts: Vec<Option<i32>> = match o.start_id {
            None => vec![None; n],
            Some(StartIds::All(id)) => vec![Some(id); n],
            Some(StartIds::Each(ids)) => ids.into_iter().map(Some).collect(),
        };
        if starts.len() != n {
            let got = starts.len();
            return Err(wrong(format!("autoregressiveSample: `startId` has {got} ids for a batchSize of {n}")));
        }
        let reading = if o.eval_mode { Reading::Whole(o.eval_min_length.0) } else { Reading::Next };
        let model = Model::new(layer.clone(), reading);
        let inputs = rows_of(inputs, n)?;
        let takes_source = layer.arity().n_in > 1;
        let rows = starts.into_iter().enumerate().map(|(i, start)| {
            let row = inputs.as_ref().map(|rows| rows[i].clone());
            let (source, prompt) = match row {
                Some(row) if takes_source => (Some(row), Vec::new()),
                Some(row) => (None, ids_of("`inputs`", &HostValue::Tensor(row))?),
                None => (None, Vec::new()),
            };
            let pending: Vec<i32> = start.into_iter().chain(prompt).collect();
            if pending.is_empty() {
                return Err(wrong(
                    "autoregressiveSample: there are no `inputs` and `startId` is null, so there is nothing to go on from; give one of them".into(),
                ));
            }
            let key = o.rng.as_ref().map(|key| key.0.fold_in(i as u32));
            Ok(Row { sequence: None, start: Start { source, start }, pending, key, ended: false })
        });
        Ok(Self {
            rows: rows.collect::<Result<_>>()?,
            model,
            sampling: SamplingOptions { temperature: o.temperature, ..SamplingOptions::new() },
            eos: o.eos_id.0,
            most: ends.then_some(o.max_length.0),
            count: 0,
        })
    }
    /// The next token of each row, `int32[batch, 1]`; nothing where all have ended.
    ///
    /// # Errors
    /// Those of the model and of the choice. What was read stays read.
    pub fn next_tokens(&mut self) -> Result<Option<Tensor>> {
        if self.most.is_some_and(|most| self.count >= most || self.rows.iter().all(|row| row.ended)) {
            return Ok(None);
        }
        for row in &mut self.rows {
            if row.sequence.is_none() {
                row.sequence = Some(self.model.begin(row.start.clone())?);
            }
        }
        let (mut sequences, tokens): (Vec<_>, Vec<_>) =
            self.rows.iter_mut().filter_map(|row| Some((row.sequence.as_mut()?, &row.pending[..]))).unzip();
        let logits = self.model.read(&mut sequences, &tokens)?;
        let size = logits.shape()[1];
        let logits = logits.values::<f32>()?;
        let mut chosen = Vec::with_capacity(self.rows.len()); // few
        for (row, logits) in self.rows.iter_mut().zip(logits.chunks_exact(size)) {
            let draw = || row.key.map_or(Ok(0.0), |key| draw_at(key, self.count as u32));
            let token = self.sampling.choose(logits, &History::default(), draw)? as i32;
            row.ended |= token == self.eos;
            row.pending = vec![token];
            chosen.push(token);
        }
        self.count += 1;
        let shape = [chosen.len(), 1];
        Ok(Some(Tensor::from_vec(chosen, &shape)?))
    }
}
