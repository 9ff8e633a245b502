//! What the layers of a class of the host run in, while one of its methods does.
//!
//! A method calls the layers in the fields of its object as a program would, by their handles, which know nothing of the call that
//! the method is part of. The host finds that call here: its weights and state, the keys of its layers, and, in a copy of the class
//! in another mode, the copies of its layers.
use crate::{
    drawing::without_drawing, for_each_instance, framework::nesting, peers::Peers, signature, Cx, Error, ErrorKind,
    InitCx, LayerId, LayerRef, Result, Store, TensorSpec, Tree,
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tallow_tensor::{is_recording, no_grad, random::Key, Tensor};

/// The layers in the fields of an object, as a class or a copy of it has them.
#[derive(Debug)]
pub struct Fields {
    /// The layers, in the order of the fields.
    pub layers: Vec<LayerRef>,
    /// Instances that the object knows under the identity of another, as a deep copy of its class has them.
    renamed: HashMap<LayerId, LayerId>,
    /// Everything in the fields and below them, by identity.
    below: HashMap<LayerId, LayerRef>,
    /// Whether these are copies of what the handles of the object mean.
    copied: bool,
}

impl Fields {
    /// The layers that the object itself has.
    pub fn new(layers: Vec<LayerRef>) -> Arc<Self> {
        Self::of(layers, HashMap::new(), false)
    }
    /// Copies of these: `layers`, each under the identity that `renamed` gives, or the same.
    pub fn copied(&self, layers: Vec<LayerRef>, mut renamed: impl FnMut(LayerId) -> LayerId) -> Arc<Self> {
        let known = |id: &LayerId| *self.renamed.iter().find(|(_, now)| *now == id).map_or(id, |(known, _)| known);
        // What another stands in place of is within that one, and the object does not mean it.
        let is_meant = |id: &&LayerId| !self.renamed.contains_key(id);
        let changed = |id: &LayerId| Some((known(id), renamed(*id))).filter(|(known, now)| known != now);
        let renamed = self.below.keys().filter(is_meant).filter_map(changed).collect();
        Self::of(layers, renamed, true)
    }
    fn of(layers: Vec<LayerRef>, renamed: HashMap<LayerId, LayerId>, copied: bool) -> Arc<Self> {
        let mut below = HashMap::new();
        let mut add = |l: &LayerRef| {
            below.entry(l.base().id).or_insert_with(|| l.clone());
        };
        // What stands in a field itself is what a method means, if it is there in another mode, too.
        layers.iter().for_each(&mut add);
        layers.iter().for_each(|l| for_each_instance(l, &mut add));
        Arc::new(Self { layers, renamed, below, copied })
    }
    /// Identities of everything in the fields and below them.
    pub fn ids(&self) -> impl Iterator<Item = LayerId> + '_ {
        self.below.keys().copied()
    }
}

/// A call of a class of the host, or its initialization, as long as a method of it runs.
#[derive(Debug)]
pub struct HostRun {
    /// The name of the class, for messages.
    pub name: String,
    fields: Arc<Fields>,
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    /// Outputs are computed.
    Forward(Forward),
    /// Weights and state are made.
    Init(Mutex<Init>),
    /// Only signatures are found out; inputs of the layers called so far.
    Signature(Mutex<HashMap<LayerId, Vec<TensorSpec>>>),
}

#[derive(Debug)]
struct Forward {
    weights: Store,
    left: Option<Store>,
    peers: Option<Arc<Peers>>,
    /// The keys of the fields, in order; the last one is for layers that stand in none.
    keys: Vec<Key>,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    state: Store,
    uses: HashMap<Option<LayerId>, usize>,
}

#[derive(Debug, Default)]
struct Init {
    /// Taken while a layer is being initialized.
    cx: Option<InitCx>,
    /// Layers that were called meanwhile.
    waiting: Vec<(LayerRef, Vec<TensorSpec>)>,
}

impl HostRun {
    fn new(name: &str, fields: &Arc<Fields>, doing: Doing) -> Arc<Self> {
        Arc::new(Self { name: name.into(), fields: fields.clone(), doing })
    }
    /// A call in `cx`, with this key.
    pub fn forward(name: &str, fields: &Arc<Fields>, cx: &Cx, key: Key) -> Arc<Self> {
        // What the thread of the host must not record, as this one does not, is a constant there.
        let of = |tree: &Tree<Tensor>| if is_recording() { tree.clone() } else { tree.map(&mut Tensor::detach) };
        let mut keys = cx.split(key, fields.layers.len());
        keys.push(key);
        let forward = Forward {
            weights: fields.ids().filter_map(|id| Some((id, of(&*cx.source().find(id)?)))).collect(),
            left: fields.ids().map(|id| Some((id, cx.left(id)?.clone()))).collect(),
            peers: cx.peers(),
            keys,
            progress: Mutex::new(Progress {
                state: fields.ids().filter_map(|id| Some((id, of(&*cx.find_state(id)?)))).collect(),
                uses: HashMap::new(),
            }),
        };
        Self::new(name, fields, Doing::Forward(forward))
    }
    /// An initialization in `cx`, which [`HostRun::end_init`] gives back.
    pub fn init(name: &str, fields: &Arc<Fields>, cx: &mut InitCx) -> Arc<Self> {
        let init = Init { cx: Some(std::mem::take(cx)), waiting: Vec::new() };
        Self::new(name, fields, Doing::Init(Mutex::new(init)))
    }
    /// A run that finds out signatures.
    pub fn signature(name: &str, fields: &Arc<Fields>) -> Arc<Self> {
        Self::new(name, fields, Doing::Signature(Mutex::default()))
    }
    /// The state that a call left to everything in the fields and below.
    pub fn end_forward(&self, cx: &mut Cx) {
        if let Doing::Forward(f) = &self.doing {
            f.progress.lock().state.drain().for_each(|(id, state)| cx.set_state(id, state));
        }
    }
    /// Gives an initialization back.
    pub fn end_init(&self, cx: &mut InitCx) {
        if let Doing::Init(init) = &self.doing {
            if let Some(made) = init.lock().cx.take() {
                *cx = made;
            }
        }
    }
    /// What the handle of `layer` means in this run: the copy that the running copy of the class has.
    pub fn resolve(&self, layer: LayerRef) -> LayerRef {
        if !self.fields.copied {
            return layer;
        }
        let id = layer.base().id;
        let id = self.fields.renamed.get(&id).copied().unwrap_or(id);
        self.fields.below.get(&id).cloned().unwrap_or(layer)
    }
    /// Whether `layer` runs anything that is in the fields or below.
    pub fn concerns(&self, layer: &LayerRef) -> bool {
        let mut found = false;
        for_each_instance(layer, &mut |l| found |= self.fields.below.contains_key(&l.base().id));
        found
    }
    /// Runs a layer as a part of this run. `key` is that of the call if the host gave one.
    ///
    /// # Errors
    /// Those of the layer, with its path.
    pub fn call(&self, layer: &LayerRef, xs: Vec<Tensor>, key: Option<Key>) -> Result<Vec<Tensor>> {
        match &self.doing {
            Doing::Forward(f) => self.apply(f, layer, xs, key),
            Doing::Init(_) | Doing::Signature(_) => {
                let specs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
                self.make(layer, &specs)?;
                let zeros = |s: TensorSpec| s.zeros().map_err(Error::from);
                signature(layer, &specs)?.into_iter().map(zeros).collect()
            }
        }
    }
    fn apply(&self, f: &Forward, layer: &LayerRef, xs: Vec<Tensor>, key: Option<Key>) -> Result<Vec<Tensor>> {
        let mut ids = HashSet::new();
        let (mut weights, mut state) = (Store::new(), Store::new());
        let use_number = {
            let mut progress = f.progress.lock();
            for_each_instance(layer, &mut |l| {
                let (id, slot) = (l.base().id, &l.base().slot);
                ids.insert(id);
                // A layer that stands in no field, as one made by the method, brings its own.
                weights.extend(f.weights.get(&id).cloned().or_else(|| slot.weights()).map(|w| (id, w)));
                state.extend(progress.state.get(&id).cloned().or_else(|| slot.state()).map(|s| (id, s)));
            });
            // Layers that stand in no field are numbered together.
            let of_field = self.fields.layers.iter().map(|l| l.base().id).find(|id| *id == layer.base().id);
            let uses = progress.uses.entry(of_field).or_default();
            *uses += 1;
            *uses - 1
        };
        let mut cx = match &f.left {
            Some(left) => Cx::repeating(&weights, state, left),
            None => Cx::new(&weights, state),
        }
        .among(f.peers.clone());
        let key = key.unwrap_or_else(|| self.key(f, &cx, layer, use_number));
        let ys = cx.apply(layer, xs, key)?;
        let known =
            cx.into_state().into_iter().filter(|(id, _)| ids.contains(id) && self.fields.below.contains_key(id));
        f.progress.lock().state.extend(known);
        Ok(ys)
    }
    /// The key of a use of a layer: that of its field, as in a series; of a use beyond its fields, one that no field has.
    fn key(&self, f: &Forward, cx: &Cx, layer: &LayerRef, use_number: usize) -> Key {
        let fields = &self.fields.layers;
        let places: Vec<usize> = (0..fields.len()).filter(|&i| fields[i].base().id == layer.base().id).collect();
        if let Some(place) = places.get(use_number) {
            return f.keys[*place];
        }
        // Numbers from above meet none that a layer splits its key with.
        cx.fold_in(f.keys[places.last().copied().unwrap_or(fields.len())], u32::MAX - use_number as u32)
    }
    /// Initializes a layer, or notes what for.
    ///
    /// # Errors
    /// Those of the layer, with its path.
    pub fn make(&self, layer: &LayerRef, specs: &[TensorSpec]) -> Result<()> {
        let init = match &self.doing {
            Doing::Forward(_) => {
                let what =
                    format!("{} is initialized while {} runs; initialize it before", layer.base().name, self.name);
                return Err(Error::new(ErrorKind::InvalidArgument, what));
            }
            Doing::Signature(called) => {
                called.lock().entry(layer.base().id).or_insert_with(|| specs.to_vec());
                return Ok(());
            }
            Doing::Init(init) => init,
        };
        let taken = init.lock().cx.take();
        let Some(mut cx) = taken else {
            init.lock().waiting.push((layer.clone(), specs.to_vec()));
            return Ok(());
        };
        let mut made = cx.init(layer, specs);
        loop {
            let next = init.lock().waiting.pop();
            match next {
                Some((layer, specs)) if made.is_ok() => made = cx.init(&layer, &specs),
                Some(_) => {}
                None => break,
            }
        }
        init.lock().cx = Some(cx);
        made
    }
    /// The weights of a layer in this run, as Trax nests them.
    ///
    /// # Errors
    /// `NotInitialized` for a layer that has none yet.
    pub fn weights(&self, layer: &LayerRef) -> Result<Tree<Tensor>> {
        match &self.doing {
            Doing::Forward(f) => nesting::view_weights(layer, &f.weights).shown(),
            _ => self.made(layer, |cx| nesting::view_weights(layer, &cx.weights)),
        }
    }
    /// The state of a layer in this run, as Trax nests it.
    ///
    /// # Errors
    /// `NotInitialized` for a layer that has none yet.
    pub fn state(&self, layer: &LayerRef) -> Result<Tree<Tensor>> {
        match &self.doing {
            Doing::Forward(f) => nesting::view_state(layer, &f.progress.lock().state),
            _ => self.made(layer, |cx| nesting::view_state(layer, &cx.state))?,
        }
    }
    fn made<T>(&self, layer: &LayerRef, view: impl FnOnce(&InitCx) -> T) -> Result<T> {
        let id = layer.base().id;
        let missing = || {
            let (name, class) = (&layer.base().name, &self.name);
            Error::new(ErrorKind::NotInitialized, format!("{class} reads what {name} holds before it first calls {name}; call it before, or initialize it in initWeightsAndState"))
        };
        match &self.doing {
            Doing::Init(init) => match &init.lock().cx {
                Some(cx) if cx.state.contains_key(&id) || cx.weights.contains_key(&id) => Ok(view(cx)),
                _ => Err(missing()),
            },
            Doing::Signature(called) => {
                let specs = called.lock().get(&id).cloned().ok_or_else(missing)?;
                let mut cx = InitCx::default();
                no_grad(|| without_drawing(|| cx.init(layer, &specs)))?;
                Ok(view(&cx))
            }
            Doing::Forward(_) => Err(missing()),
        }
    }
    /// Refuses to set what a layer holds while a method runs.
    pub fn refuse(&self, what: &str, layer: &LayerRef) -> Error {
        let (name, class) = (&layer.base().name, &self.name);
        Error::new(ErrorKind::InvalidArgument, format!("{what} of {name} cannot be set while {class} runs, which takes them from its own call; set them before or after"))
    }
}
