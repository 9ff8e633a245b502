//! Where time and memory go, layer by layer.
use super::place::Around;
use serde_json::{json, Value};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
    time::Instant,
};
use tallow_layers::{LayerId, LayerRef, Observer, Tree};
use tallow_tensor::{
    autodiff::{next_node, Watch},
    memory::{begin_inner_peak, end_inner_peak, memory},
    Tensor,
};

/// So many spans are kept: some 100 MB. What comes after is not measured.
const MOST_SPANS: usize = 1 << 20;

/// What the uses of a layer in one place took, all together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProfileRow {
    /// Positions and names of the layers around, and of the layer.
    pub path: String,
    /// Its name.
    pub name: String,
    /// How many layers it lies in.
    pub depth: usize,
    /// How often it ran, repetitions for a backward pass left out.
    pub calls: usize,
    /// Milliseconds forward, with the layers in it and without.
    pub forward_ms: f64,
    /// Those without the layers in it.
    pub forward_self_ms: f64,
    /// Milliseconds of backward passes, with the layers in it; what they repeat of the forward pass counts too.
    pub backward_ms: f64,
    /// Those without the layers in it.
    pub backward_self_ms: f64,
    /// The most bytes of the outputs of a call.
    pub output_bytes: usize,
    /// The most bytes that a call left behind: its outputs, and what is kept for a backward pass.
    pub kept_bytes: usize,
    /// The most bytes alive at once within a call, above those alive when it began.
    pub peak_bytes: usize,
}

/// A place where layers run.
#[derive(Debug)]
struct Place {
    path: String,
    name: String,
    depth: usize,
    /// The instance that ran there first.
    id: Option<LayerId>,
    sublayers: Vec<LayerId>,
    /// Whether it calls functions of the host.
    calls_host: bool,
}

impl Place {
    /// That of what belongs to no layer.
    fn outside() -> Self {
        let name = "(no layer)".to_owned();
        Self { path: name.clone(), name, depth: 0, id: None, sublayers: Vec::new(), calls_host: false }
    }
}

/// What is being done: a layer, or the rule of a node in a backward pass.
#[derive(Debug)]
struct Span {
    row: usize,
    /// The instance, for a layer.
    layer: Option<LayerId>,
    thread: usize,
    parent: Option<usize>,
    backward: bool,
    /// Seconds since the start.
    start: f64,
    end: f64,
    /// Seconds that the spans within it took.
    within: f64,
    /// Nodes that were recorded while it ran.
    nodes: [u64; 2],
    before: usize,
    after: usize,
    peak: usize,
    outer_peak: usize,
    output_bytes: usize,
}

#[derive(Debug, Default)]
struct Thread {
    number: usize,
    /// Spans under way, the innermost last; `None` for what was not measured.
    open: Vec<Option<usize>>,
    /// Where these stand.
    around: Vec<Around>,
    /// Spans of layers, by the first node they recorded.
    layers: Vec<usize>,
}

#[derive(Debug, Default)]
struct State {
    spans: Vec<Span>,
    rows: Vec<Place>,
    by_path: HashMap<String, usize>,
    threads: HashMap<ThreadId, Thread>,
    cut_off: bool,
    ended: bool,
}

/// Hears of what runs, and measures it.
#[derive(Debug)]
pub struct Profile {
    start: Instant,
    state: Mutex<State>,
}

impl Default for Profile {
    fn default() -> Self {
        Self { start: Instant::now(), state: Mutex::default() }
    }
}

impl State {
    fn thread(&mut self) -> &mut Thread {
        let number = self.threads.len();
        self.threads.entry(thread::current().id()).or_insert_with(|| Thread { number, ..Thread::default() })
    }
    /// The number of the row of a path.
    fn row(&mut self, place: Place) -> usize {
        if let Some(row) = self.by_path.get(&place.path) {
            return *row;
        }
        self.by_path.insert(place.path.clone(), self.rows.len());
        self.rows.push(place);
        self.rows.len() - 1
    }
    /// Begins a span on this thread.
    fn begin(&mut self, row: usize, layer: Option<LayerId>) {
        let parent = self.around();
        let Place { path, sublayers, .. } = &self.rows[row];
        let around = Around::new(path.clone(), sublayers.iter().copied());
        let thread = {
            let thread = self.thread();
            thread.around.push(around);
            thread.number
        };
        let backward = layer.is_none() || parent.is_some_and(|p| self.spans[p].backward);
        let full = self.spans.len() >= MOST_SPANS;
        self.cut_off |= full;
        let span = (!full && !self.ended).then_some(self.spans.len());
        self.thread().open.push(span);
        let Some(number) = span else { return };
        if layer.is_some() {
            self.thread().layers.push(number);
        }
        let before = memory().bytes;
        let nodes = [next_node(), u64::MAX];
        let (outer_peak, output_bytes) = (begin_inner_peak(), 0);
        let (start, end, within, after, peak) = (0.0, 0.0, 0.0, before, before);
        self.spans.push(Span {
            row,
            layer,
            thread,
            parent,
            backward,
            start,
            end,
            within,
            nodes,
            before,
            after,
            peak,
            outer_peak,
            output_bytes,
        });
    }
    /// Ends the innermost span of this thread.
    fn end(&mut self, now: f64, output_bytes: usize) {
        self.thread().around.pop();
        let Some(number) = self.thread().open.pop().flatten() else { return };
        let span = &mut self.spans[number];
        span.end = now;
        span.peak = end_inner_peak(span.outer_peak);
        span.after = memory().bytes;
        span.nodes[1] = next_node();
        span.output_bytes = output_bytes;
        let (took, parent) = (span.end - span.start, span.parent);
        if let Some(parent) = parent {
            self.spans[parent].within += took;
        }
    }
    /// The innermost layer of this thread that recorded a node.
    fn recorder(&mut self, node: u64) -> Option<usize> {
        let layers = std::mem::take(&mut self.thread().layers);
        let from = layers.partition_point(|&i| self.spans[i].nodes[0] <= node);
        // What was begun last of those that had begun; or, if it had ended, one that it ran in.
        let mut at = from.checked_sub(1).map(|i| layers[i]);
        while let Some(i) = at {
            if node < self.spans[i].nodes[1] && self.spans[i].layer.is_some() {
                break;
            }
            at = self.spans[i].parent;
        }
        self.thread().layers = layers;
        at
    }
    /// The span that one which begins now lies in.
    fn around(&mut self) -> Option<usize> {
        if let Some(innermost) = self.thread().open.last() {
            return *innermost;
        }
        // A layer that a method of a class calls may run on another thread than the class.
        let innermost = |t: &Thread| t.open.last().copied().flatten();
        self.threads.values().filter_map(innermost).find(|&i| self.rows[self.spans[i].row].calls_host)
    }
    /// Where a layer stands that begins to run.
    fn place(&mut self, layer: &LayerRef) -> Place {
        let (id, name) = (layer.base().id, layer.base().name.clone());
        let around = self.around();
        let (path, depth) = match around {
            None => (name.clone(), 0),
            Some(i) => {
                let (row, backward) = (&self.rows[self.spans[i].row], self.spans[i].backward);
                // What runs itself in a way of its own stands where it stands, and what a backward pass repeats where it stood.
                let below = |other: &&Place| other.id == Some(id) && is_below(&other.path, &row.path);
                let known = (backward || row.id == Some(id)).then(|| self.rows.iter().find(below)).flatten();
                match known {
                    Some(known) => (known.path.clone(), known.depth),
                    None => {
                        let (depth, number) = (row.depth + 1, self.spans[i].thread);
                        let around = self.threads.values_mut().find(|t| t.number == number);
                        let path = around.and_then(|t| t.around.last_mut()).map(|around| around.path_of(id, &name));
                        (path.unwrap_or_else(|| name.clone()), depth)
                    }
                }
            }
        };
        let sublayers = layer.sublayers().iter().map(|l| l.base().id).collect();
        Place { path, name, depth, id: Some(id), sublayers, calls_host: layer.traits().calls_host }
    }
}

/// Whether a path is another or leads on from it.
fn is_below(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Profile {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
    /// Begins the time of the span that was begun last, as the last thing.
    fn started(&self, mut state: MutexGuard<'_, State>) {
        if let Some(number) = state.thread().open.last().copied().flatten() {
            state.spans[number].start = self.now();
        }
    }
    /// Nothing is measured any more.
    pub fn end(&self) {
        self.state().ended = true;
    }
    /// Whether all was measured: no more than can be kept.
    pub fn is_complete(&self) -> bool {
        !self.state().cut_off
    }
    /// What each layer took, in the order they were met.
    pub fn rows(&self) -> Vec<ProfileRow> {
        let state = self.state();
        let row = |p: &Place| ProfileRow {
            path: p.path.clone(),
            name: p.name.clone(),
            depth: p.depth,
            ..ProfileRow::default()
        };
        let mut rows: Vec<ProfileRow> = state.rows.iter().map(row).collect();
        for span in state.spans.iter().filter(|span| span.end > 0.0) {
            let row = &mut rows[span.row];
            let ms = (span.end - span.start - span.within) * 1e3;
            if span.backward {
                row.backward_self_ms += ms;
                continue;
            }
            row.forward_self_ms += ms;
            // A layer within itself is one call.
            let again = span.parent.is_some_and(|p| state.spans[p].layer == span.layer);
            row.calls += usize::from(!again);
            row.output_bytes = row.output_bytes.max(span.output_bytes);
            row.kept_bytes = row.kept_bytes.max(span.after.saturating_sub(span.before));
            row.peak_bytes = row.peak_bytes.max(span.peak.saturating_sub(span.before));
        }
        for i in 0..rows.len() {
            let inside = |path: &str| {
                path.strip_prefix(&rows[i].path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let within: Vec<usize> = (0..rows.len()).filter(|&j| inside(&rows[j].path)).collect();
            let sum = |of: fn(&ProfileRow) -> f64| within.iter().map(|&j| of(&rows[j])).sum();
            let (forward, backward) = (sum(|r| r.forward_self_ms), sum(|r| r.backward_self_ms));
            (rows[i].forward_ms, rows[i].backward_ms) = (forward, backward);
        }
        rows
    }
    /// The same as a trace in Chrome's format, which `chrome://tracing` and Perfetto show.
    pub fn chrome_trace(&self) -> String {
        let state = self.state();
        let mut events: Vec<Value> = Vec::new();
        for span in state.spans.iter().filter(|span| span.end > 0.0) {
            let row = &state.rows[span.row];
            let name = if span.layer.is_none() { format!("backward of {}", row.name) } else { row.name.clone() };
            let cat = if span.backward { "backward" } else { "forward" };
            events.push(json!({
                "name": name, "cat": cat, "ph": "X", "pid": 1, "tid": span.thread,
                "ts": span.start * 1e6, "dur": (span.end - span.start) * 1e6,
                "args": { "path": row.path, "outputBytes": span.output_bytes, "peakBytes": span.peak.saturating_sub(span.before) },
            }));
            let alive = |at: f64, bytes: usize| json!({ "name": "memory", "ph": "C", "pid": 1, "ts": at * 1e6, "args": { "bytes": bytes } });
            events.extend([alive(span.start, span.before), alive(span.end, span.after)]);
        }
        json!({ "displayTimeUnit": "ms", "traceEvents": events }).to_string()
    }
}

impl Watch for Profile {
    fn begin(&self, node: u64) {
        let mut state = self.state();
        let recorder = state.recorder(node).map(|i| state.spans[i].row);
        let row = recorder.unwrap_or_else(|| state.row(Place::outside()));
        state.begin(row, None);
        self.started(state);
    }
    fn end(&self, _node: u64) {
        let now = self.now();
        self.state().end(now, 0);
    }
}

impl Observer for Profile {
    fn enter(&self, layer: &LayerRef, _xs: &[Tensor], _weights: &Tree<Tensor>) {
        let mut state = self.state();
        let place = state.place(layer);
        let row = state.row(place);
        state.begin(row, Some(layer.base().id));
        self.started(state);
    }
    fn leave(&self, _layer: &LayerRef, ys: Option<&[Tensor]>) {
        let now = self.now();
        let bytes = |t: &Tensor| t.size() * t.dtype().size();
        let mut state = self.state();
        state.end(now, ys.unwrap_or_default().iter().map(bytes).sum());
    }
    fn watch(self: Arc<Self>) -> Arc<dyn Watch> {
        self
    }
}
