//! Layers defined in the host language that have layers in the fields of their objects.
//!
//! Such a layer runs its fields as a series does: they are initialized with the inputs that its `forward` gives them, have their own
//! keys, are printed and saved below it, and go with it into other modes. What it computes with them is the host's: see
//! [`HostRun`].
use super::host_layer::HostLayer;
use crate::{
    framework::layer::{Nested, Nesting},
    Arity, Base, Cx, Error, ErrorKind, Fields, HostRun, InitCx, Layer, LayerRef, Loader, Local, Rebuild, Result,
    TensorSpec, Traits, Tree, View,
};
use std::sync::Arc;
use tallow_tensor::{no_grad, random::Key, Tensor};

/// A class of the host with layers in its fields.
#[derive(Debug)]
pub(super) struct ClassWithFields {
    pub base: Base,
    pub class: HostLayer,
    pub fields: Arc<Fields>,
    /// Whether the class makes weights or state of its own, which then stand before those of its fields.
    pub owns: bool,
}

impl ClassWithFields {
    fn own(&self, run: &Arc<HostRun>, inputs: &[TensorSpec], key: Key) -> Result<Local> {
        if !self.owns {
            return Ok(Local::EMPTY);
        }
        self.class.init_in(Some(run), inputs, key)
    }
    fn run(&self, run: &Arc<HostRun>, xs: &[Tensor], own: &Local, key: Key) -> Result<(Vec<Tensor>, Tree<Tensor>)> {
        let output = self.class.run_in(Some(run), xs, &own.weights, &own.state, key)?;
        let state = output.state.unwrap_or(Tree::EMPTY);
        if !self.owns && !state.is_empty() {
            let what = "sets this.state, so it must define initWeightsAndState, which says what it starts from";
            return Err(Error::new(ErrorKind::InvalidArgument, format!("{} {what}", self.base.name)));
        }
        Ok((output.ys, state))
    }
    /// A run on zeros, in which the fields are made or asked for their signatures.
    fn dry_run(&self, run: &Arc<HostRun>, inputs: &[TensorSpec], key: Key) -> Result<(Vec<TensorSpec>, Local)> {
        no_grad(|| {
            let own = self.own(run, inputs, key)?;
            let zeros = inputs.iter().map(TensorSpec::zeros).collect::<tallow_tensor::Result<Vec<_>>>()?;
            let (ys, _) = self.run(run, &zeros, &own, key)?;
            Ok((ys.iter().map(TensorSpec::of).collect(), own))
        })
    }
    /// What stands for the class itself, and what for its fields.
    fn apart<'a>(&self, tree: &'a Tree<Tensor>) -> (Option<&'a Tree<Tensor>>, Tree<Tensor>) {
        match tree {
            Tree::Tuple(items) if self.owns && !items.is_empty() => (items.first(), Tree::Tuple(items[1..].to_vec())),
            tree => (None, tree.clone()),
        }
    }
}

impl Layer for ClassWithFields {
    fn base(&self) -> &Base {
        &self.base
    }
    fn arity(&self) -> Arity {
        self.class.arity
    }
    fn sublayers(&self) -> &[LayerRef] {
        &self.fields.layers
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let run = HostRun::signature(&self.base.name, &self.fields);
        Ok(self.dry_run(&run, inputs, Key::new(0))?.0)
    }
    fn init(&self, cx: &mut InitCx, inputs: &[TensorSpec], key: Key) -> Result<()> {
        let run = HostRun::init(&self.base.name, &self.fields, cx);
        let made = self.dry_run(&run, inputs, key);
        run.end_init(cx);
        cx.set(self.base.id, made?.1);
        Ok(())
    }
    fn forward(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let run = HostRun::forward(&self.base.name, &self.fields, cx, key);
        let own = Local { weights: cx.weights(self.base.id).clone(), state: cx.state(self.base.id).clone() };
        let (ys, state) = self.run(&run, &xs, &own, key)?;
        run.end_forward(cx);
        cx.set_state(self.base.id, state);
        Ok(ys)
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        let class = r.mode.map_or_else(|| self.class.clone(), |mode| self.class.in_mode(mode));
        let layers = r.layers(&self.fields.layers);
        let fields = self.fields.copied(layers, |id| r.identity(id));
        Arc::new(Self { base: self.base.rebuilt(r), class, fields, owns: self.owns })
    }
    fn traits(&self) -> Traits {
        Traits { calls_host: true, is_driven: true, alone: true, ..Traits::COMPOSITE }
    }
    fn nesting(&self) -> Nesting<'_> {
        Nesting::Own(self)
    }
}

impl Nested for ClassWithFields {
    fn view_weights(&self, v: &mut View) -> Tree<Tensor> {
        let own = self.owns.then(|| v.own(self.base.id));
        Tree::Tuple(own.into_iter().chain(self.fields.layers.iter().map(|l| v.weights_of(l))).collect())
    }
    fn view_state(&self, v: &mut View) -> Tree<Tensor> {
        let own = self.owns.then(|| v.own(self.base.id));
        Tree::Tuple(own.into_iter().chain(self.fields.layers.iter().map(|l| v.state_of(l))).collect())
    }
    fn load_weights(&self, tree: &Tree<Tensor>, l: &mut Loader) -> Result<()> {
        let (own, of_fields) = self.apart(tree);
        own.map_or(Ok(()), |own| l.own(self.base.id, own))?;
        l.each(&self.base, &of_fields, &self.fields.layers, Loader::weights_of)
    }
    fn load_state(&self, tree: &Tree<Tensor>, l: &mut Loader) -> Result<()> {
        let (own, of_fields) = self.apart(tree);
        own.map_or(Ok(()), |own| l.own(self.base.id, own))?;
        l.each(&self.base, &of_fields, &self.fields.layers, Loader::state_of)
    }
}
