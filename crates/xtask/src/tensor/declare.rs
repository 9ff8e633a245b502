//! How a function of tensors is declared: its name in TypeScript, the Rust function that documents it, what it takes and gives.

/// A method of `Tensor`, or a function of the facade.
#[derive(Clone, Copy)]
pub struct Function {
    /// Its name in TypeScript.
    pub name: &'static str,
    /// The method of the Rust `Tensor` that its docs are read from; by default its name in snake case.
    pub rust: Option<&'static str>,
    /// The export of the addon; by default its name.
    pub native: Option<&'static str>,
    pub params: &'static [Param],
    /// What the export is given after the tensor, where that is not each parameter in its turn. Takes the place of it.
    pub call: Option<&'static str>,
    /// The body, where one call of the addon does not do.
    pub body: Option<&'static str>,
    pub gives: Gives,
    /// What holds in TypeScript only; added to the docs.
    pub note: Option<&'static str>,
    /// One to three lines, with what they give behind `// →`.
    pub example: &'static str,
}

/// A parameter.
#[derive(Clone, Copy)]
pub struct Param {
    pub name: &'static str,
    pub kind: Kind,
    pub doc: &'static str,
}

/// What kind of argument a parameter takes. `{p}` stands for the parameter, `{what}` for the function.
#[derive(Clone, Copy)]
pub struct Kind {
    /// What follows the name in the signature.
    pub ts: &'static str,
    /// What the addon is given.
    pub call: &'static str,
}

/// What a function gives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    Tensor,
    Tensors,
    /// Values and places.
    Pair,
}

/// A function of no parameters, with an example.
pub const fn function(name: &'static str, example: &'static str) -> Function {
    Function {
        name,
        rust: None,
        native: None,
        params: &[],
        call: None,
        body: None,
        gives: Gives::Tensor,
        note: None,
        example,
    }
}

impl Function {
    pub const fn takes(mut self, params: &'static [Param]) -> Self {
        self.params = params;
        self
    }
    pub const fn rust(mut self, name: &'static str) -> Self {
        self.rust = Some(name);
        self
    }
    pub const fn native(mut self, name: &'static str) -> Self {
        self.native = Some(name);
        self
    }
    pub const fn call(mut self, arguments: &'static str) -> Self {
        self.call = Some(arguments);
        self
    }
    pub const fn body(mut self, body: &'static str) -> Self {
        self.body = Some(body);
        self
    }
    pub const fn gives(mut self, gives: Gives) -> Self {
        self.gives = gives;
        self
    }
    pub const fn note(mut self, note: &'static str) -> Self {
        self.note = Some(note);
        self
    }
}

impl Kind {
    /// A parameter of this kind.
    pub const fn named(self, name: &'static str, doc: &'static str) -> Param {
        Param { name, kind: self, doc }
    }
}

const fn kind(ts: &'static str, call: &'static str) -> Kind {
    Kind { ts, call }
}

/// A tensor, or a number: two exports of the addon.
pub const OPERAND: Kind = kind(": Operand", "");
/// A tensor, or a number: one export of the addon, which is told which.
pub const EITHER: Kind = kind(": Operand", "...operand({p}, '{what}: {p}')");
pub const TENSOR: Kind = kind(": Tensor", "idOf({p}, '{what}: {p}')");
pub const TENSORS: Kind = kind(": readonly Tensor[]", "ids('{what}: {p}', {p})");
pub const NUMBER: Kind = kind(": number | bigint", "{p}");
pub const BOUND: Kind = kind(": number | bigint | null", "{p}");
/// A whole number.
pub const WHOLE: Kind = kind(": number", "{p}");
/// A list of whole numbers.
pub const WHOLES: Kind = kind(": readonly number[]", "{p}");
pub const ORDER: Kind = kind("?: readonly number[] | null", "{p} ?? null");
pub const TEXT: Kind = kind(": string", "{p}");
pub const DTYPE: Kind = kind(": DType", "dtypeCode({p}, '{what}: {p}')");
/// The dtype of what is made, as an option.
pub const DTYPE_OPTION: Kind =
    kind(": { dtype?: DType } = {}", "dtypeCode(optionsOf('{what}', {p}, DTYPE).dtype ?? 'float32', '{what}: dtype')");
pub const APPROXIMATE: Kind = kind(" = true", "{p}");
/// Axes to reduce over, and whether they stay.
pub const REDUCE: Kind = kind("?: ReduceArgument", "...reduced('{what}', {p}, arguments.length)");
/// The axis to reduce over, and whether it stays.
pub const REDUCE_ONE: Kind = kind("?: ReduceArgument", "...reducedOne('{what}', {p}, arguments.length)");
/// Axes, or all.
pub const AXES: Kind = kind("?: ReduceArgument", "axesOf('{what}', {p}).axis ?? null");
/// An axis that must be given.
pub const AXIS: Kind = kind(": AxisArgument", "axisOf('{what}', {p}) ?? -1");
/// An axis, or all elements as one.
pub const AXIS_OR_ALL: Kind = kind("?: AxisArgument", "axisOf('{what}', {p})");
pub const FIRST_AXIS: Kind = kind(": AxisArgument = 0", "axisOf('{what}', {p}) ?? 0");
pub const LAST_AXIS: Kind = kind(": AxisArgument = -1", "axisOf('{what}', {p}) ?? -1");
/// How values are sorted.
pub const SORT: Kind =
    kind(": number | { axis?: number; descending?: boolean } = -1", "...sorted('{what}', {p}, arguments.length)");
/// Where a part begins or ends on each axis.
pub const PLACES: Kind = kind(": readonly (number | null)[]", "");
/// From each element to the next.
pub const STEPS: Kind = kind("?: readonly number[]", "");
/// How many parts, or where they begin.
pub const PARTS: Kind = kind(": number | readonly number[]", "");
/// How many elements to put before and after each axis.
pub const WIDTHS: Kind = kind(": readonly (readonly [number, number])[]", "widthsOf({p})");
/// What to put there.
pub const PADDING: Kind = kind(": number | bigint | { value?: number | bigint } = 0", "paddingOf({p})");
/// The dtype and device of what is made.
pub const OPTIONS: Kind = kind(": TensorOptions = {}", "");
