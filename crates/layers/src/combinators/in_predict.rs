//! What becomes of a layer in mode `'predict'` that is itself in all others.
use crate::{
    framework::{layer::Reversible, mode::HostMode},
    options, Arity, Base, Cx, Error, InitCx, Layer, LayerArg, LayerRef, Mode, Nesting, Rebuild, Result, TensorSpec,
    Traits,
};
use std::sync::Arc;
use tallow_tensor::{random::Key, Tensor};

options! {
    /// A layer that takes whole sequences in every mode: in mode `'predict'` it is as in mode `'eval'`, or refuses to run.
    ///
    /// It is for layers that cannot work position by position, such as the encoder of a classifier, or layers that join several positions to one.
    /// In all other modes, and in its printed form, it is the layer itself.
    ///
    /// Shapes: those of the layer.
    /// Weights: those of the layer.
    /// State: that of the layer.
    /// Modes: `withMode('predict')` gives the layer in mode `'eval'`; with `refusal`, a layer that refuses `init` and calls.
    /// Errors:
    /// - `InvalidOption`: a layer with a `refusal` is in mode `'predict'`.
    ///
    /// Source: tallow; Trax has it as a habit of its models.
    /// See: `Cache`.
    /// Example:
    /// ```ts
    /// const layer = tl.WholeSequences(tl.Serial(tl.ShiftRight(), tl.Relu()), { refusal: 'it reads whole sequences' });
    /// layer.withMode('predict')([[1, 2, 3]]); // throws LayerError: [InvalidOption] …
    /// ```
    pub struct WholeSequencesOptions for "WholeSequences" ("layer") {
        /// The layer.
        layer "layer": LayerArg,
        /// Why there is no mode `'predict'`; `null`: it is as mode `'eval'`.
        refusal "refusal": Option<String> = None,
    }
}

pub(super) fn whole_sequences(o: WholeSequencesOptions) -> Result<LayerRef> {
    Ok(in_predict(o.layer.0, o.refusal.map_or(InPredict::Whole, InPredict::Refused)))
}

/// What a copy in mode `'predict'` does. Weights, state and printed form are those of the layer, as if nothing stood around it.
#[derive(Debug)]
pub enum InPredict {
    /// It becomes another layer, of this base, around a copy in mode `'eval'`.
    Another {
        /// Identity and name of the other layer.
        base: Base,
        /// What makes it in mode `'predict'`, and a layer such as this one in all others.
        on: fn(Base, LayerRef, Mode) -> LayerRef,
    },
    /// It takes whole sequences, as in mode `'eval'`.
    Whole,
    /// It refuses, for this reason.
    Refused(String),
}

/// A layer that a copy in mode `'predict'` becomes something else of.
pub fn in_predict(inner: LayerRef, then: InPredict) -> LayerRef {
    Arc::new(Bystander { inner, then, refused: false })
}

/// The layer, and what becomes of it.
#[derive(Debug)]
struct Bystander {
    inner: LayerRef,
    then: InPredict,
    /// Whether this is a copy in mode `'predict'` of a layer that has none.
    refused: bool,
}

impl Bystander {
    fn check(&self) -> Result<()> {
        match &self.then {
            InPredict::Refused(why) if self.refused => Err(Error::option(why.clone())),
            _ => Ok(()),
        }
    }
}

impl Layer for Bystander {
    fn base(&self) -> &Base {
        self.inner.base()
    }
    fn arity(&self) -> Arity {
        self.inner.arity()
    }
    fn sublayers(&self) -> &[LayerRef] {
        self.inner.sublayers()
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        self.check()?;
        self.inner.signature(inputs)
    }
    fn init(&self, cx: &mut InitCx, inputs: &[TensorSpec], key: Key) -> Result<()> {
        self.check()?;
        self.inner.init(cx, inputs, key)
    }
    fn forward(&self, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        self.check()?;
        self.inner.forward(cx, xs, key)
    }
    fn rebuild(&self, r: &mut Rebuild) -> LayerRef {
        let predict = r.mode == Some(Mode::Predict);
        match &self.then {
            InPredict::Another { base, on } => {
                let base = base.rebuilt(r);
                match r.mode {
                    Some(Mode::Predict) => on(base, r.layer_in(&self.inner, Mode::Eval), Mode::Predict),
                    mode => on(base, r.layer(&self.inner), mode.unwrap_or(Mode::Train)),
                }
            }
            InPredict::Whole => {
                let inner = if predict { r.layer_in(&self.inner, Mode::Eval) } else { r.layer(&self.inner) };
                in_predict(inner, InPredict::Whole)
            }
            InPredict::Refused(why) => {
                let refused = if r.mode.is_some() { predict } else { self.refused };
                Arc::new(Self { inner: r.layer(&self.inner), then: InPredict::Refused(why.clone()), refused })
            }
        }
    }
    fn traits(&self) -> Traits {
        self.inner.traits()
    }
    fn nesting(&self) -> Nesting<'_> {
        self.inner.nesting()
    }
    fn reversible(&self) -> Option<&dyn Reversible> {
        self.inner.reversible()
    }
    fn host_mode(&self) -> Option<&HostMode> {
        self.inner.host_mode()
    }
    fn sequence(&self, cx: &Cx, sliced: &[Tensor], carry: &[Tensor]) -> Result<Option<[Vec<Tensor>; 2]>> {
        self.inner.sequence(cx, sliced, carry)
    }
}
