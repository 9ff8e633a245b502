//! Event files, as TensorBoard reads them: what a training run measured, step by step.
//!
//! A file is a sequence of records ([`record`]), each a protocol buffer message ([`message`]). It only ever grows, and what a
//! report wrote is on its way to the disk when the report ends.
mod histogram;
mod image;
mod message;
mod record;
mod summaries;

pub use message::{Histogram, Recorded, Value};
pub(crate) use summaries::PREFIX as SUMMARIES;

use crate::{progress::Progress, Error, Result};
use message::Event;
use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};
use tallow_layers::{
    files::{io_error, open_regular},
    ErrorKind, LayerRef,
};
use tallow_tensor::Tensor;

/// An event file that is being written.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
    /// Step and time of the last report.
    last: Option<(u64, f64)>,
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

impl Value {
    /// A tensor as an image: `[height, width]`, or `[height, width, channels]` with 1, 3 or 4 channels.
    ///
    /// # Errors
    /// `ShapeMismatch` naming the tag for any other shape.
    pub fn image(tag: &str, t: &Tensor) -> Result<Self> {
        image::of(tag, t)
    }
    /// How the values of a tensor are distributed.
    ///
    /// # Errors
    /// `ShapeMismatch` naming the tag for a tensor without values, `NotFinite` for values that are not finite.
    pub fn histogram(tag: &str, t: &Tensor) -> Result<Self> {
        histogram::of(tag, t)
    }
}

impl EventFile {
    /// A new file in `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// `Io` naming the path when the folder cannot be made or written to.
    pub fn create(folder: &Path) -> Result<Self> {
        /// Files of one process in one second have different names.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        fs::create_dir_all(folder).map_err(|e| io_error("make the folder", folder, &e))?;
        let time = now();
        let (seconds, process, count) = (time as u64, std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = folder.join(format!("events.out.tfevents.{seconds:010}.tallow.{process}.{count}"));
        let file =
            OpenOptions::new().append(true).create_new(true).open(&path).map_err(|e| io_error("write", &path, &e))?;
        let mut made = Self { path, file: BufWriter::new(file), last: None };
        made.put(&Event { time, step: 0, values: Vec::new() })?;
        made.flush()?;
        Ok(made)
    }
    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Adds values by tag, as of a step. Nothing is sure to be written before [`EventFile::flush`].
    ///
    /// # Errors
    /// `Io` naming the path.
    pub fn write(&mut self, step: u64, values: Vec<(String, Value)>) -> Result<()> {
        self.put(&Event { time: now(), step, values })
    }
    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// `Io` naming the path.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|e| io_error("write", &self.path, &e))
    }
    /// Adds what a step measured and the summaries that layers of `model` hold, and flushes.
    ///
    /// # Errors
    /// `Io` naming the path; `ShapeMismatch` for a summary that is no image.
    pub(crate) fn report(&mut self, p: &Progress, model: &LayerRef) -> Result<()> {
        let (done, seconds) = self.last.replace((p.done, p.seconds)).unwrap_or((0, 0.0));
        let scalars = [
            ("metrics/loss", p.report.loss),
            ("training/learning_rate", p.learning_rate),
            ("training/gradients_l2", p.report.gradients_l2),
            ("training/weights_l2", p.report.weights_l2),
            ("training/steps per second", (p.done - done) as f64 / (p.seconds - seconds).max(1e-9)),
        ];
        let mut values: Vec<_> = scalars.map(|(tag, v)| (tag.to_string(), Value::Scalar(v as f32))).into();
        values.extend(summaries::of(model)?);
        self.write(p.step, values)?;
        self.flush()
    }
    fn put(&mut self, event: &Event) -> Result<()> {
        record::write(&mut self.file, &event.encode()).map_err(|e| io_error("write", &self.path, &e))
    }
}

/// What an event file holds, in the order it was written. A record that was cut off at the end, as by a crash, is left out.
///
/// # Errors
/// `Io` naming the path for a file that cannot be read or is damaged.
pub fn read(path: &Path) -> Result<Vec<Recorded>> {
    let (mut file, _) = open_regular(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|e| io_error("read", path, &e))?;
    let damaged =
        |what: String| Error::new(ErrorKind::Io, format!("{} is no valid event file: {what}", path.display()));
    let records = record::split(&bytes).map_err(damaged)?;
    let mut out = Vec::new();
    for record in records {
        out.extend(message::decode(record).map_err(damaged)?);
    }
    Ok(out)
}
