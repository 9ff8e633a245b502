//! Encoders of text: on the calling thread, or on one of their own.
use crate::bridge::{
    compute::submit_text,
    environment::run,
    error::{Failure, Outcome},
    lock::lock,
    wire::Wire,
};
use napi::{bindgen_prelude::*, Env};
use napi_derive::napi;
use std::{
    io::{Read, Write},
    path::Path,
    sync::{Arc, Mutex, OnceLock},
};
use tallow_data::{
    checked_ids, load, train_byte_pair, ByteEncoder, ByteOptions, BytePairOptions, CharacterEncoder, CharacterOptions,
    DecodeOptions, EncodeOptions, Encoder, Stream,
};
use tallow_layers::{
    files::{io_error, open_regular},
    Error as LayerError, HostValue,
};
use tallow_tensor::Tensor;

/// An encoder; empty until it is read or trained.
#[napi]
pub struct NativeEncoder {
    inner: Arc<OnceLock<Arc<dyn Encoder>>>,
}

fn encoder(made: impl Encoder + 'static) -> NativeEncoder {
    NativeEncoder { inner: Arc::new(OnceLock::from(Arc::new(made) as Arc<dyn Encoder>)) }
}

/// An encoder to train.
#[napi]
pub fn new_encoder(env: Env) -> Result<NativeEncoder> {
    run(&env, |_| Ok(NativeEncoder { inner: Arc::default() }))
}

/// The bytes of text.
#[napi]
pub fn byte_encoder(env: Env, options: Wire) -> Result<NativeEncoder> {
    run(&env, |_| Ok(encoder(ByteEncoder::new(&ByteOptions::parse(&options.0)?)?)))
}

/// The characters of a text.
#[napi]
pub fn character_encoder(env: Env, text: String, options: Wire) -> Result<NativeEncoder> {
    run(&env, |_| Ok(encoder(CharacterEncoder::of(&text, &CharacterOptions::parse(&options.0)?)?)))
}

/// The encoder of a file.
#[napi]
pub fn load_encoder(env: Env, path: String) -> Result<NativeEncoder> {
    run(&env, |_| {
        let path = Path::new(&path);
        let mut json = Vec::new();
        open_regular(path)?.0.read_to_end(&mut json).map_err(|e| io_error("read", path, &e))?;
        let inner =
            load(&json).map_err(|e| LayerError::new(e.kind(), format!("{}: {}", path.display(), e.message())))?;
        Ok(NativeEncoder { inner: Arc::new(OnceLock::from(inner)) })
    })
}

/// Ids as a tensor, which is how numbers cross.
fn tensor(ids: Vec<i32>) -> Outcome<Tensor> {
    let shape = [ids.len()];
    Ok(Tensor::from_vec(ids, &shape)?)
}

impl NativeEncoder {
    /// The encoder behind an argument that may be left out.
    pub(crate) fn given(argument: Option<ClassInstance<'_, Self>>) -> Outcome<Option<Arc<dyn Encoder>>> {
        argument.map(|encoder| encoder.get()).transpose()
    }
    /// The encoder, once there is one.
    fn get(&self) -> Outcome<Arc<dyn Encoder>> {
        self.inner.get().cloned().ok_or_else(|| Failure::Internal("an encoder is not trained yet".to_owned()))
    }
}

#[napi]
impl NativeEncoder {
    /// Learns a vocabulary of byte pairs; then this is its encoder.
    #[napi(ts_return_type = "Promise<unknown>")]
    pub fn train<'env>(&self, env: &'env Env, texts: Vec<String>, options: Wire) -> Result<Object<'env>> {
        run(env, |_| {
            let (o, inner) = (BytePairOptions::parse(&options.0)?, self.inner.clone());
            let work = move || {
                let trained = train_byte_pair(&texts, &o)?;
                inner.get_or_init(|| Arc::new(trained));
                Ok(())
            };
            submit_text(env, work, |_, _, ()| Ok(Wire(HostValue::Null)))
        })
    }
    /// The ids of a text, as a tensor.
    #[napi]
    pub fn encode(&self, env: Env, text: String, options: Wire) -> Result<f64> {
        run(&env, |e| Ok(e.insert(&env, tensor(self.get()?.encode(&text, &EncodeOptions::parse(&options.0)?)?)?)))
    }
    /// The ids of several texts, on a thread of their own, as tensors.
    #[napi(ts_return_type = "Promise<unknown>")]
    pub fn encode_batch<'env>(&self, env: &'env Env, texts: Vec<String>, options: Wire) -> Result<Object<'env>> {
        run(env, |_| {
            let (encoder, o) = (self.get()?, EncodeOptions::parse(&options.0)?);
            let work = move || texts.iter().map(|text| tensor(encoder.encode(text, &o)?)).collect::<Outcome<Vec<_>>>();
            submit_text(env, work, |_, _, all| Ok(Wire(HostValue::List(all.into_iter().map(Into::into).collect()))))
        })
    }
    /// The text of ids.
    #[napi]
    pub fn decode(&self, env: Env, ids: Vec<f64>, options: Wire) -> Result<String> {
        run(&env, |_| {
            let encoder = self.get()?;
            let ids = checked_ids(&*encoder, &ids)?;
            Ok(encoder.decode(&ids, &DecodeOptions::parse(&options.0)?)?)
        })
    }
    /// Decodes ids as they come.
    #[napi]
    pub fn stream(&self, env: Env, options: Wire) -> Result<NativeTextStream> {
        run(&env, |_| {
            let encoder = self.get()?;
            let stream = encoder.clone().stream(DecodeOptions::parse(&options.0)?);
            Ok(NativeTextStream { encoder, stream: Mutex::new(stream) })
        })
    }
    /// How many ids there are.
    #[napi]
    pub fn vocab_size(&self, env: Env) -> Result<f64> {
        run(&env, |_| Ok(self.get()?.vocab_size() as f64))
    }
    /// The id of a token.
    #[napi]
    pub fn id_of(&self, env: Env, token: String) -> Result<Option<u32>> {
        run(&env, |_| Ok(self.get()?.id_of(&token)))
    }
    /// The token of an id.
    #[napi]
    pub fn token_of(&self, env: Env, id: f64) -> Result<Option<String>> {
        run(&env, |_| {
            let encoder = self.get()?;
            let [id] = checked_ids(&*encoder, &[id])?[..] else { return Ok(None) };
            Ok(encoder.token_of(id))
        })
    }
    /// Writes the encoder to a file.
    #[napi]
    pub fn save(&self, env: Env, path: String) -> Result<()> {
        run(&env, |_| {
            let (json, path) = (self.get()?.to_json()?, Path::new(&path));
            let write =
                |file: &mut std::fs::File| file.write_all(json.as_bytes()).map_err(|e| io_error("write", path, &e));
            Ok(tallow_training::write_whole_file(path, write)?)
        })
    }
}

/// Text from ids that come one by one.
#[napi]
pub struct NativeTextStream {
    encoder: Arc<dyn Encoder>,
    stream: Mutex<Box<dyn Stream>>,
}

#[napi]
impl NativeTextStream {
    /// What is whole with one more id.
    #[napi]
    pub fn push(&self, env: Env, id: f64) -> Result<String> {
        run(&env, |_| {
            let mut text = String::new();
            for id in checked_ids(&*self.encoder, &[id])? {
                text.push_str(&lock(&self.stream).push(id)?);
            }
            Ok(text)
        })
    }
    /// What is left at the end.
    #[napi]
    pub fn end(&self, env: Env) -> Result<String> {
        run(&env, |_| Ok(lock(&self.stream).end()?))
    }
}
