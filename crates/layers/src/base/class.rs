//! Classes of the host language as layers: `class Mine extends Layer`.
use super::{class_with_fields::ClassWithFields, host_layer::HostLayer};
use crate::{
    framework::{layer::print_layers, mode::HostMode},
    leaf_layer::leaf_printing,
    options, Arity, Base, Count, Error, Fields, FnArg, LayerList, LayerRef, Mode, Result,
};
use std::sync::Arc;

options! {
    /// Is the base of layers that are classes of their own.
    ///
    /// A class has `forward`, and may have `initWeightsAndState` and a `backward` of its own. The base by itself cannot be called: without
    /// `forward` a call is a `TypeError`.
    ///
    /// Shapes: what `forward` makes of its inputs.
    /// Weights: what `initWeightsAndState` sets as `this.weights`.
    /// State: what `initWeightsAndState` and `forward` set as `this.state`.
    /// Modes: what the class makes of `this.mode`.
    /// Errors:
    /// - `ArityMismatch`: `forward` returns another number of tensors than `nOut`.
    /// - those that the class throws.
    ///
    /// Source: Trax.
    /// See: `Fn`, `PureLayer`.
    /// Example:
    /// ```ts
    /// class Scale extends tl.Layer {
    ///   declare weights: tl.Tensor;
    ///   override initWeightsAndState() {
    ///     this.weights = tl.tensor([0.5]);
    ///   }
    ///   override forward(x: tl.Tensor) {
    ///     return x.mul(this.weights);
    ///   }
    /// }
    /// const layer = new Scale();
    /// layer.init({ shape: [2], dtype: 'float32' });
    /// layer([2, 4]); // → Tensor float32[2] [1,2]
    /// ```
    pub struct LayerOptions for "Layer" () {
        /// Number of inputs.
        n_in "nIn": Count = Count(1),
        /// Number of outputs.
        n_out "nOut": Count = Count(1),
        /// Printed name.
        name "name": String = "Layer".into(),
        /// Layers in the fields of the object, which are its sublayers.
        fields "fields": Option<LayerList> = None,
        /// Whether the class makes weights or state of its own.
        owns "owns": bool = true,
        /// Layers to print as its substructure.
        sublayers_to_print "sublayersToPrint": Option<LayerList> = None,
        /// Function that runs the methods of the class; given by the subclass.
        driver "driver": Option<FnArg> = None,
        /// How the layer behaves: what the methods of the class see as `this.mode`.
        mode "mode": Mode = Mode::Train,
        /// Whether the class brings its own `backward`.
        has_backward "hasBackward": bool = false,
        /// Whether the class brings its own `reverse`: inputs from outputs.
        reversible "reversible": bool = false,
        /// Whether the class brings its own `reverseAndGrad`.
        reverse_and_grad "reverseAndGrad": bool = false,
    }
}

/// A layer run by a driver.
///
/// # Errors
/// `InvalidOption` for a class with layers in its fields that brings its own gradients.
pub fn layer(o: LayerOptions) -> Result<LayerRef> {
    let fields: Vec<LayerRef> = o.fields.iter().flat_map(|list| &list.0).flat_map(print_layers).cloned().collect();
    let layer = HostLayer {
        name: o.name,
        arity: Arity::new(o.n_in.0, o.n_out.0),
        driver: o.driver.map(|f| f.0),
        mode: HostMode::new(o.mode),
        has_backward: o.has_backward,
        reversible: o.reversible,
        reverse_and_grad: o.reverse_and_grad,
    };
    let to_print = o.sublayers_to_print.map(|l| l.0);
    if fields.is_empty() {
        return Ok(leaf_printing(layer, to_print));
    }
    if layer.has_backward || layer.reversible {
        let (name, what) = (&layer.name, if layer.reversible { "reverse" } else { "backward" });
        return Err(Error::option(format!(
            "{name} has layers in its fields and a {what} of its own, which would have to know theirs; leave one of both out"
        )));
    }
    let base = Base { to_print, ..Base::new(&*layer.name) };
    Ok(Arc::new(ClassWithFields { base, class: layer, fields: Fields::new(fields), owns: o.owns }))
}
