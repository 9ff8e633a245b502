//! Event files for TensorBoard, written by the program.
use crate::bridge::{
    args::{Arg, Size},
    environment::run,
    error::Outcome,
    lock::lock,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::{path::Path, sync::Mutex};
use tallow_layers::{Error, ErrorKind};
use tallow_training::{EventFile, Value};

/// An event file; `None` once it is closed.
#[napi]
pub struct NativeEventFile {
    file: Mutex<Option<EventFile>>,
    path: String,
}

/// A new event file in a folder.
#[napi]
pub fn new_event_file(env: Env, folder: String) -> Result<NativeEventFile> {
    run(&env, |_| {
        let file = EventFile::create(Path::new(&folder))?;
        let path = file.path().display().to_string();
        Ok(NativeEventFile { file: Mutex::new(Some(file)), path })
    })
}

impl NativeEventFile {
    fn with(&self, f: impl FnOnce(&mut EventFile) -> tallow_layers::Result<()>) -> Outcome<()> {
        let mut file = lock(&self.file);
        let closed = || {
            let why = format!("SummaryWriter: {} is closed; make a new SummaryWriter to write on", self.path);
            Error::new(ErrorKind::InvalidArgument, why)
        };
        Ok(f(file.as_mut().ok_or_else(closed)?)?)
    }
    fn write(
        &self,
        name: String,
        step: Arg<Size>,
        value: impl FnOnce(&str) -> tallow_layers::Result<Value>,
    ) -> Outcome<()> {
        let step = step.named("SummaryWriter: step")?.0;
        self.with(|file| {
            let value = value(&name)?;
            file.write(step as u64, vec![(name, value)])
        })
    }
}

#[napi]
impl NativeEventFile {
    /// Where it is.
    #[napi]
    pub fn path(&self) -> String {
        self.path.clone()
    }

    /// Adds a number.
    #[napi]
    pub fn scalar(&self, env: Env, name: String, value: f64, step: Arg<Size>) -> Result<()> {
        run(&env, |_| self.write(name, step, |_| Ok(Value::Scalar(value as f32))))
    }

    /// Adds an image.
    #[napi]
    pub fn image(&self, env: Env, name: String, tensor: f64, step: Arg<Size>) -> Result<()> {
        run(&env, |e| {
            let t = e.tensor(tensor)?;
            self.write(name, step, |name| Value::image(name, &t))
        })
    }

    /// Adds how the values of a tensor are distributed.
    #[napi]
    pub fn histogram(&self, env: Env, name: String, tensor: f64, step: Arg<Size>) -> Result<()> {
        run(&env, |e| {
            let t = e.tensor(tensor)?;
            self.write(name, step, |name| Value::histogram(name, &t))
        })
    }

    /// Adds text.
    #[napi]
    pub fn text(&self, env: Env, name: String, text: String, step: Arg<Size>) -> Result<()> {
        run(&env, |_| self.write(name, step, |_| Ok(Value::Text(text))))
    }

    /// Hands everything to the operating system.
    #[napi]
    pub fn flush(&self, env: Env) -> Result<()> {
        run(&env, |_| self.with(EventFile::flush))
    }

    /// Flushes and closes it; a second time does nothing.
    #[napi]
    pub fn close(&self, env: Env) -> Result<()> {
        run(&env, |_| {
            let file = lock(&self.file).take();
            Ok(file.map_or(Ok(()), |mut file| file.flush())?)
        })
    }
}
