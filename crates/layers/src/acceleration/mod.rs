//! Running a layer on several devices at once, each on its share of the batch.
//!
//! On the CPU a device is virtual: a replica of the layer that computes beside the others on the pool of threads, with the
//! weights that all of them read.
mod forward;
mod functions;
mod mean;
mod parts;
mod replicas;
mod split;
mod state;

pub use forward::{jit_forward, JitForwardOptions};
pub use functions::{
    ForNDevicesOptions, MeanOrPmeanOptions, OnAcceleratorOptions, OnCpuOptions, ReshapeByDeviceOptions, FUNCTIONS,
};
pub use mean::mean_or_pmean;
pub use parts::{merge_parts, Parts};
pub use split::{for_n_devices, on_accelerator, on_cpu, reshape_by_device};

use crate::{
    entry, framework::layer::Nested, options, options::Entry, peers::Peers, Arity, Base, Cx, Dim, InitCx, Layer,
    LayerArg, LayerRef, Loader, Nesting, Rebuild, Result, TensorSpec, Tree, View,
};
use split::Split;
use std::sync::Arc;
use tallow_tensor::{random::Key, Tensor};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[entry!("acceleration", AccelerateOptions, |o: AccelerateOptions| Ok(
    accelerate(o.layer.0, o.n_devices.map_or(1, |n| n.0))
))];

options! {
    /// Runs a layer on several devices at once, each on an equal share of the batch.
    ///
    /// Inputs are split along their first axis. A batch that `nDevices` does not divide is padded with zeros, and what comes of the padding
    /// is left
    /// out of the outputs. So outputs and gradients are those of the layer itself, up to rounding, as long as the layer treats the items of a
    /// batch one by one. Statistics of a batch, as in `BatchNorm`, are those of a share.
    ///
    /// Device `i` draws random numbers with the `i`-th of `nDevices` keys split from the call's. On the CPU a device is a replica of the
    /// layer that runs
    /// on the pool of threads. Layers that call JavaScript functions run one after another instead.
    ///
    /// Shapes: those of the layer. An output `[]` becomes `[nDevices]`, one number from each device.
    /// Weights: the layer's own, shared by all devices.
    /// State: the layer's own; what is learned is averaged over the devices. When the devices have come to different sequences, in mode
    /// `'predict'`, it is `{ devices, sublayer }`: the states of each, and that of the first.
    /// Modes: those of the layer.
    /// Errors:
    /// - those of the layer.
    /// - `ShapeMismatch`: an input has no axes, or the inputs cannot be split alike.
    ///
    /// Source: Trax.
    /// See: `meanOrPmean`, `reshapeByDevice`.
    /// Example:
    /// ```ts
    /// const layer = tl.Accelerate(tl.Dense(2), { nDevices: 2 });
    /// layer.init({ shape: [4, 3], dtype: 'float32' });
    /// layer(tl.ones([4, 3])).shape; // → [4, 2]
    /// ```
    pub struct AccelerateOptions for "Accelerate" ("layer") {
        /// Layer to run.
        layer "layer": LayerArg,
        /// Number of devices; without it, all there are: one, on the CPU.
        n_devices "nDevices": Option<Dim> = None,
    }
}

/// `layer` on `n_devices` devices at once (at least 1), each on its share of the batch.
pub fn accelerate(layer: LayerRef, n_devices: usize) -> LayerRef {
    Arc::new(Accelerate { base: Base::new("Accelerate"), layer: [layer], n: n_devices.max(1) })
}

#[derive(Debug)]
struct Accelerate {
    base: Base,
    layer: [LayerRef; 1],
    n: usize,
}

impl Accelerate {
    fn sublayer(&self) -> &LayerRef {
        &self.layer[0]
    }
    /// The replicas one after another: every operation is recorded on the one graph, and host functions run on this thread.
    fn in_turns(
        &self,
        cx: &mut Cx,
        split: &Split,
        xs: &[Tensor],
        keys: &[Key],
        peers: Option<Arc<Peers>>,
    ) -> Result<Vec<Tensor>> {
        let start = state::of_devices(self.sublayer(), self.base.id, self.n, cx)?;
        let (mut outputs, mut states) = (Vec::new(), Vec::new());
        for ((xs, state), key) in split.inputs(xs)?.into_iter().zip(start).zip(keys) {
            let mut device = Cx::from_source(cx.source(), state).among(peers.clone());
            outputs.push(device.apply(self.sublayer(), xs, *key)?);
            states.push(device.into_state());
        }
        state::merge(self.sublayer(), self.base.id, states, cx)?;
        let count = outputs.first().map_or(0, Vec::len);
        (0..count).map(|i| split.output(&outputs.iter().map(|ys| ys[i].clone()).collect::<Vec<_>>())).collect()
    }
}

impl Layer for Accelerate {
    fn base(&self) -> &Base {
        &self.base
    }
    fn arity(&self) -> Arity {
        self.sublayer().arity()
    }
    fn sublayers(&self) -> &[LayerRef] {
        &self.layer
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        if self.n == 1 {
            return crate::signature(self.sublayer(), inputs);
        }
        let split = Split::of(inputs, self.n)?;
        let ys = crate::signature(self.sublayer(), &split.specs(inputs))?;
        Ok(ys.iter().map(|y| split.output_spec(y)).collect())
    }
    fn init(&self, cx: &mut InitCx, inputs: &[TensorSpec], _key: Key) -> Result<()> {
        if self.n == 1 {
            return cx.init(self.sublayer(), inputs);
        }
        cx.init(self.sublayer(), &Split::of(inputs, self.n)?.specs(inputs))
    }
    fn forward(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        // Streams are as many as there are, which devices could not share evenly.
        if self.n == 1 || cx.streams().is_some() {
            return cx.apply(self.sublayer(), xs, key);
        }
        let specs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
        let split = Split::of(&specs, self.n)?;
        let keys = key.try_split(self.n)?;
        let peers = self.sublayer().draws_in_step().then(|| Peers::new(&keys));
        if self.sublayer().calls_host() {
            return self.in_turns(cx, &split, &xs, &keys, peers);
        }
        let start = state::of_devices(self.sublayer(), self.base.id, self.n, cx)?;
        let (ys, states) = replicas::run(self.sublayer(), cx.source(), start, split, xs, keys, peers)?;
        state::merge(self.sublayer(), self.base.id, states, cx)?;
        Ok(ys)
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        Arc::new(Self { base: self.base.rebuilt(r), layer: [r.layer(self.sublayer())], n: self.n })
    }
    fn nesting(&self) -> Nesting<'_> {
        Nesting::Own(self)
    }
}

impl Nested for Accelerate {
    fn view_weights(&self, v: &mut View) -> Tree<Tensor> {
        v.weights_of(self.sublayer())
    }
    fn load_weights(&self, tree: &Tree<Tensor>, l: &mut Loader) -> Result<()> {
        l.weights_of(self.sublayer(), tree)
    }
    fn view_state(&self, v: &mut View) -> Tree<Tensor> {
        state::view(v.own(self.base.id), v.state_of(self.sublayer()))
    }
    fn load_state(&self, tree: &Tree<Tensor>, l: &mut Loader) -> Result<()> {
        let (own, inner) = state::parts(tree, self.n)?;
        l.own(self.base.id, own)?;
        l.state_of(self.sublayer(), inner)
    }
}
