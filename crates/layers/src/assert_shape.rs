//! Shape assertions: a small language that layers declare their shapes in, and the layers that check it.
//!
//! `'bld,b11l->bld,b11l'`: tensors are separated by commas, inputs from outputs by an arrow. Each letter is one axis, equal
//! letters have equal sizes, a digit is that very size, and `...` covers any number of axes (the same ones everywhere).
use crate::{
    composite, entry, leaf, options, options::Entry, Arity, Base, Call, Composite, Cx, Error, InitCx, LayerArg,
    LayerRef, Leaf, Output, Parts, Result, TensorSpec, Traits,
};
use std::collections::HashMap;
use tallow_tensor::{random::Key, Tensor};

/// The layers of this module.
pub const LAYERS: &[Entry<LayerRef>] = &[
    entry!("assert_shape", AssertShapeOptions, |o: AssertShapeOptions| assert_shape(
        &o.spec,
        o.message,
        o.visible_layer
    )),
    entry!("assert_shape", AssertFunctionOptions, |o: AssertFunctionOptions| {
        assert_function_with(&o.specification, o.layer.0, o.message)
    }),
];

options! {
    /// Checks the shapes of its inputs and passes them on.
    ///
    /// A specification has a letter for each axis. Equal letters have equal sizes, a digit is that very size, and `...` stands for any
    /// number of
    /// axes. Commas divide tensors: `'bld,b1'` is two tensors of 3 and 2 axes whose first sizes are equal.
    ///
    /// Shapes: as `spec` says → the same.
    /// Weights: none.
    /// State: none.
    /// Modes: the same in all.
    /// Errors:
    /// - `InvalidOption`: `spec` is malformed.
    /// - `ShapeMismatch`: `init` or a call finds other shapes.
    ///
    /// Source: Trax.
    /// See: `AssertFunction`, `PrintShape`.
    /// Example:
    /// ```ts
    /// [tl.AssertShape('...3')([[1, 2, 3]])].flat().map((y) => y.shape); // → [[1, 3]]
    /// ```
    pub struct AssertShapeOptions for "AssertShape" ("spec") {
        /// Specification of the inputs, tensors separated by commas.
        spec "spec": String,
        /// Text added to the error.
        message "message": Option<String> = None,
        /// Whether the layer shows up in the printed model.
        visible_layer "visibleLayer": bool = false,
    }
}

options! {
    /// Wraps a layer in checks of its input and output shapes.
    ///
    /// The specification is that of `AssertShape` for the inputs, `->`, and that for the outputs: `'...a->...b'`. A letter means the same
    /// size on both
    /// sides.
    ///
    /// Shapes: as `specification` says.
    /// Weights: `[[], the layer's, []]`; the checks have none.
    /// State: `[[], the layer's, []]`; the checks have none.
    /// Modes: those of the layer.
    /// Errors:
    /// - `InvalidOption`: `specification` is malformed.
    /// - `ShapeMismatch`: `init` or a call finds other shapes.
    ///
    /// Source: Trax.
    /// See: `AssertShape`.
    /// Example:
    /// ```ts
    /// const layer = tl.AssertFunction('...a->...b', tl.Dense(2));
    /// layer.init({ shape: [1, 3], dtype: 'float32' });
    /// [layer([[1, 2, 3]])].flat().map((y) => y.shape); // → [[1, 2]]
    /// ```
    pub struct AssertFunctionOptions for "AssertFunction" ("specification", "layer") {
        /// Specification of inputs and outputs, separated by `->`.
        specification "specification": String,
        /// The layer to wrap.
        layer "layer": LayerArg,
        /// Text added to the error.
        message "message": Option<String> = None,
    }
}

/// Sizes that letters (and the ellipsis) stand for so far.
#[derive(Debug, Default)]
pub struct Sizes {
    letters: HashMap<char, usize>,
    ellipsis: Option<Vec<usize>>,
}

/// One side of a specification: the axes of each tensor, `.` for the ellipsis.
#[derive(Debug, Clone)]
pub struct ShapeSpec {
    text: String,
    tensors: Vec<Vec<char>>,
}

impl ShapeSpec {
    /// Reads `'bld,b11l'`.
    ///
    /// # Errors
    /// `InvalidOption` for a character that is no letter, digit, comma or part of `...`, or two ellipses in one tensor.
    pub fn parse(text: &str) -> Result<Self> {
        let tensors: Vec<Vec<char>> = text.replace("...", ".").split(',').map(|t| t.chars().collect()).collect();
        for t in &tensors {
            if t.iter().any(|c| !(c.is_ascii_alphanumeric() || *c == '.'))
                || t.iter().filter(|c| **c == '.').count() > 1
            {
                return Err(Error::option(format!(
                    "shape specification '{text}' must be letters and digits, at most one '...' a tensor, and commas between tensors"
                )));
            }
        }
        Ok(Self { text: text.into(), tensors })
    }
    /// How many tensors it describes.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }
    /// Whether it describes none; never so.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }
    /// Checks shapes against it, given the sizes seen before, and learns new ones.
    ///
    /// # Errors
    /// `ShapeMismatch` naming the specification and the shapes.
    pub fn check(&self, sizes: &mut Sizes, specs: &[TensorSpec]) -> Result<()> {
        let fits = specs.len() == self.len()
            && self.tensors.iter().zip(specs).all(|(axes, spec)| sizes.accept(axes, &spec.shape));
        if fits {
            return Ok(());
        }
        let shapes: Vec<String> = specs.iter().map(|s| format!("{:?}", s.shape)).collect();
        Err(Error::shape(format!("expected shapes '{}', got {}", self.text, shapes.join(", "))))
    }
}

impl Sizes {
    fn accept(&mut self, axes: &[char], shape: &[usize]) -> bool {
        let Some(dot) = axes.iter().position(|c| *c == '.') else {
            return axes.len() == shape.len() && axes.iter().zip(shape).all(|(c, d)| self.bind(*c, *d));
        };
        let (before, after) = (&axes[..dot], &axes[dot + 1..]);
        if shape.len() < before.len() + after.len() {
            return false;
        }
        let middle = &shape[before.len()..shape.len() - after.len()];
        let last = &shape[shape.len() - after.len()..];
        before.iter().zip(shape).all(|(c, d)| self.bind(*c, *d))
            && after.iter().zip(last).all(|(c, d)| self.bind(*c, *d))
            && self.ellipsis.get_or_insert_with(|| middle.to_vec()) == middle
    }
    fn bind(&mut self, letter: char, size: usize) -> bool {
        match letter.to_digit(10) {
            Some(n) => n as usize == size,
            None => *self.letters.entry(letter).or_insert(size) == size,
        }
    }
}

/// A whole specification, inputs and outputs.
#[derive(Debug, Clone)]
struct Contract {
    inputs: ShapeSpec,
    outputs: ShapeSpec,
    message: Option<String>,
}

impl Contract {
    fn parse(text: &str, message: Option<String>) -> Result<Self> {
        let (a, b) = text
            .split_once("->")
            .ok_or_else(|| Error::option(format!("specification '{text}' needs '->' between inputs and outputs")))?;
        Ok(Self { inputs: ShapeSpec::parse(a)?, outputs: ShapeSpec::parse(b)?, message })
    }
    fn check_inputs(&self, inputs: &[TensorSpec]) -> Result<Sizes> {
        let mut sizes = Sizes::default();
        // A layer may take fewer inputs than there are on the stack; the caller passes exactly its own.
        self.inputs.check(&mut sizes, inputs).map_err(|e| explain(e, "inputs", self.message.as_deref()))?;
        Ok(sizes)
    }
    fn check_outputs(&self, sizes: &mut Sizes, outputs: &[TensorSpec]) -> Result<()> {
        self.outputs.check(sizes, outputs).map_err(|e| explain(e, "outputs", self.message.as_deref()))
    }
}

fn explain(e: Error, side: &str, message: Option<&str>) -> Error {
    let more = message.map_or(String::new(), |m| format!(" ({m})"));
    Error::shape(format!("{side}: {}{more}", e.message()))
}

/// Checks inputs against the left side of a specification such as `'bld,b1l->bld'`; for layers whose shapes Trax asserts.
///
/// # Errors
/// `ShapeMismatch` naming the specification and the shapes.
pub fn check_inputs(specification: &str, inputs: &[TensorSpec]) -> Result<()> {
    Contract::parse(specification, None)?.check_inputs(inputs).map(|_| ())
}

#[derive(Debug, Clone)]
struct AssertShape {
    spec: ShapeSpec,
    message: Option<String>,
    visible: bool,
}

impl Leaf for AssertShape {
    fn name(&self) -> String {
        if self.visible { "AssertShape" } else { "" }.into()
    }
    fn arity(&self) -> Arity {
        Arity::new(self.spec.len(), self.spec.len())
    }
    fn signature(&self, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        self.spec.check(&mut Sizes::default(), inputs).map_err(|e| explain(e, "tensors", self.message.as_deref()))?;
        Ok(inputs.to_vec())
    }
    fn forward(&self, call: Call) -> Result<Output> {
        self.signature(&call.xs.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        Ok(call.xs.to_vec().into())
    }
}

/// A layer that checks shapes and passes tensors on.
///
/// # Errors
/// `InvalidOption` for a malformed specification.
pub fn assert_shape(spec: &str, message: Option<String>, visible: bool) -> Result<LayerRef> {
    Ok(leaf(AssertShape { spec: ShapeSpec::parse(spec)?, message, visible }))
}

/// Wraps a layer in shape checks, as Trax's decorator does with functions that return layers.
///
/// # Errors
/// `InvalidOption` for a malformed specification.
pub fn assert_function(specification: &str, layer: LayerRef) -> Result<LayerRef> {
    assert_function_with(specification, layer, None)
}

fn assert_function_with(specification: &str, layer: LayerRef, message: Option<String>) -> Result<LayerRef> {
    let contract = Contract::parse(specification, message)?;
    let check = |spec: &ShapeSpec| leaf(AssertShape { spec: spec.clone(), message: None, visible: false });
    let layers = vec![check(&contract.inputs), layer, check(&contract.outputs)];
    let arity = Arity::of_stack(&layers);
    Ok(composite(Parts { base: Base::new("Serial"), layers, arity }, Asserted(contract)))
}

/// A layer between two checks that share their letters; prints and nests as the Serial that Trax makes of them.
#[derive(Debug, Clone)]
struct Asserted(Contract);

impl Asserted {
    fn check(&self, inputs: &[TensorSpec], outputs: &[TensorSpec]) -> Result<()> {
        let n = self.0.inputs.len().min(inputs.len());
        let mut sizes = self.0.check_inputs(&inputs[..n])?;
        let m = self.0.outputs.len().min(outputs.len());
        self.0.check_outputs(&mut sizes, &outputs[..m])
    }
}

impl Composite for Asserted {
    fn signature(&self, parts: &Parts, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
        let outputs = crate::stack_signature(&parts.layers, inputs)?;
        self.check(inputs, &outputs)?;
        Ok(outputs)
    }
    fn init(&self, parts: &Parts, cx: &mut InitCx, inputs: &[TensorSpec]) -> Result<()> {
        let outputs = cx.init_stack(&parts.layers, inputs)?;
        self.check(inputs, &outputs)
    }
    fn forward(&self, parts: &Parts, cx: &mut Cx, xs: Vec<Tensor>, key: Key) -> Result<Vec<Tensor>> {
        let specs: Vec<TensorSpec> = xs.iter().map(TensorSpec::of).collect();
        let ys = cx.apply_stack(&parts.layers, xs, key)?;
        self.check(&specs, &ys.iter().map(TensorSpec::of).collect::<Vec<_>>())?;
        Ok(ys)
    }
    fn traits(&self) -> Traits {
        Traits::ON_STACK
    }
}
