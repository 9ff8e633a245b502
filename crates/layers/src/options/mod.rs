//! Options of layers, initializers and functions: one struct each, written once by [`options!`](crate::options!).
//!
//! The struct carries docs, types and defaults; from it come the parser (unknown keys, wrong types and values outside a
//! domain are refused in the caller's words) and the metadata that the TypeScript facade and the docs are generated from.
//! Options that several layers share are a [`Group`], which is written once and nested in the structs of those layers.
use crate::{Error, HostValue, Result};
use std::marker::PhantomData;

pub mod domains;
mod entry;
mod show;
pub mod values;
pub mod windows;

pub use entry::Entry;
pub use show::show;

/// Named values as options come in: those given, in the order they were given.
pub type Fields = [(String, HostValue)];

/// Why an option was refused: the path to it and the sentence.
pub type Refusal = String;

/// A type that an option can have.
pub trait OptionType: Sized {
    /// The TypeScript type.
    const TS: &'static str;
    /// What is expected, after "must be".
    const EXPECTED: &'static str;
    /// The value, or `None` if `v` is not of this type or outside its domain.
    fn parse(v: &HostValue) -> Option<Self>;
    /// The value that an explicit `null` means; `None`: the default.
    fn null() -> Option<Self> {
        None
    }
    /// The value as written in TypeScript, for `@defaultValue`.
    fn show(&self) -> String;
    /// What was wrong with `v`, if there is more to say than [`OptionType::EXPECTED`].
    fn explain(v: &HostValue) -> Option<String> {
        let _ = v;
        None
    }
}

/// One option, for the code generator.
#[derive(Debug, Clone)]
pub struct FieldMeta {
    /// camelCase name.
    pub name: &'static str,
    /// TypeScript type.
    pub ts: &'static str,
    /// Documentation.
    pub doc: &'static str,
    /// Default as TypeScript; `None`: required.
    pub default: Option<String>,
    /// Whether `null` means something of its own.
    pub nullable: bool,
}

/// A layer, initializer or function, for the code generator.
#[derive(Debug, Clone)]
pub struct Meta {
    /// Name of the factory.
    pub kind: &'static str,
    /// Documentation.
    pub doc: &'static str,
    /// Names of the positional parameters, in order.
    pub positional: &'static [&'static str],
    /// Name of the rest parameter, if any.
    pub rest: Option<&'static str>,
    /// Its own options, positional ones included.
    pub fields: Vec<FieldMeta>,
    /// Options that it shares with others.
    pub groups: Vec<GroupMeta>,
}

impl Meta {
    /// All options: its own, and behind them those that it shares.
    pub fn all(&self) -> impl Iterator<Item = &FieldMeta> {
        self.fields.iter().chain(self.groups.iter().flat_map(|g| &g.fields))
    }
}

/// A group of options, for the code generator.
#[derive(Debug, Clone)]
pub struct GroupMeta {
    /// Name of the TypeScript interface.
    pub name: &'static str,
    /// Documentation.
    pub doc: &'static str,
    /// Its options.
    pub fields: Vec<FieldMeta>,
}

/// Options that several layers share.
pub trait Group: Sized {
    /// Their camelCase names.
    const KEYS: &'static [&'static str];
    /// Those of the layer `kind`, whose keys are all known.
    ///
    /// # Errors
    /// `InvalidOption` naming the key and what it must be.
    fn take(kind: &str, map: &Fields) -> Result<Self>;
    /// Metadata for the code generator.
    fn meta() -> GroupMeta;
}

/// What a caller gives of the group `G`, for layers that only hand it on: it is checked here, and what is not given is left out.
#[derive(Debug, Clone)]
pub struct Given<G> {
    /// Names and values as the caller wrote them.
    pub pairs: Vec<(&'static str, HostValue)>,
    group: PhantomData<G>,
}

impl<G: Group> Group for Given<G> {
    const KEYS: &'static [&'static str] = G::KEYS;
    fn take(kind: &str, map: &Fields) -> Result<Self> {
        G::take(kind, map)?;
        let given = |key: &&'static str| Some((*key, find(map, key)?.clone()));
        Ok(Self { pairs: G::KEYS.iter().filter_map(given).collect(), group: PhantomData })
    }
    fn meta() -> GroupMeta {
        G::meta()
    }
}

/// The object that options come in.
///
/// # Errors
/// `InvalidOption` if it is no object or has a key that is not in `known`.
pub fn object<'a>(kind: &str, v: &'a HostValue, known: &[&str]) -> Result<&'a Fields> {
    let map = v.record().ok_or_else(|| Error::option(format!("{kind}: options must be an object, got {}", show(v))))?;
    for (key, _) in map {
        if !known.contains(&key.as_str()) {
            let hint = nearest(key, known).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            let list = if known.is_empty() {
                "it takes no options".to_string()
            } else {
                let quoted: Vec<_> = known.iter().map(|k| format!("`{k}`")).collect();
                format!("it takes {}", quoted.join(", "))
            };
            return Err(Error::option(format!("{kind}: unknown option `{key}`: {list}{hint}")));
        }
    }
    Ok(map)
}

/// The option that was probably meant: the same but for case and underscores, one with the key in it, or a misspelt one.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace('_', "");
    let key = plain(key);
    let within = |k: &str| key.len() > 2 && (k.contains(&key) || k.len() > 2 && key.contains(k));
    let misspelt = |k: &str| edits(&key, k) <= 2.min(key.len() / 3);
    let ways: [&dyn Fn(&str) -> bool; 3] = [&|k| k == key, &misspelt, &within];
    ways.iter().find_map(|fits| known.iter().find(|k| fits(&plain(k))).copied())
}

/// How many letters must be changed, added or taken away to make `b` of `a` (Levenshtein's distance).
pub fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}

/// What was given by a name.
fn find<'a>(map: &'a Fields, key: &str) -> Option<&'a HostValue> {
    map.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The value of one option: `None` if it is left out (or an explicit null that means the default).
///
/// # Errors
/// `InvalidOption` in the words of the type.
pub fn field<T: OptionType>(kind: &str, key: &str, map: &Fields) -> Result<Option<T>> {
    match find(map, key) {
        None => Ok(None),
        Some(HostValue::Null) => Ok(T::null()),
        Some(v) => T::parse(v).map(Some).ok_or_else(|| refused::<T>(kind, key, v)),
    }
}

fn refused<T: OptionType>(kind: &str, key: &str, v: &HostValue) -> Error {
    match T::explain(v) {
        Some(why) => Error::option(format!("{kind}: `{key}` {why}")),
        None => Error::option(format!("{kind}: `{key}` must be {}, got {}", T::EXPECTED, show(v))),
    }
}

/// The error for a required option that is missing.
pub fn missing<T: OptionType>(kind: &str, key: &str) -> Error {
    Error::option(format!("{kind}: `{key}` is required and must be {}", T::EXPECTED))
}

/// Declares an options struct with docs, types and defaults, its parser and its metadata.
///
/// ```ignore
/// options! {
///     /// What the layer does.
///     pub struct DenseOptions for "Dense" ("nUnits") {
///         /// Width of the layer.
///         n_units "nUnits": Dim,
///         /// Whether to add a bias.
///         use_bias "useBias": bool = true,
///     }
/// }
/// ```
/// In Rust, `DenseOptions::new(Dim(4))` are these options with their defaults, which no code states again: what differs is set by
/// `DenseOptions { use_bias: false, ..DenseOptions::new(Dim(4)) }`.
///
/// Positional parameters stand in parentheses; a rest parameter follows as `...("sublayers")`.
///
/// What several layers share is declared by `pub group LSHOptions { … }`, fields as above, and taken in by `with (lsh: LSHOptions)`
/// behind the positional parameters; `with (lsh: Given<LSHOptions>)` takes it in to hand it on.
#[macro_export]
macro_rules! options {
    ($(#[doc = $doc:literal])* pub struct $S:ident for $kind:literal ( $($pos:literal),* ) $(...($rest:literal))?
        $(with ( $($g:ident : $G:ty),* ))? {
        $( $(#[doc = $fd:literal])* $n:ident $j:literal : $t:ty $(= $d:expr)? ),* $(,)?
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub struct $S {
            $( $(#[doc = $fd])* pub $n: $t, )*
            $($( #[doc = "What it shares with others."] pub $g: $G, )*)?
        }
        impl $S {
            /// Options from what a caller gave.
            ///
            /// # Errors
            /// `InvalidOption` naming the key and what it must be.
            pub fn parse(v: &$crate::HostValue) -> $crate::Result<Self> {
                let known: &[&[&str]] = &[&[$($j),*] $($(, <$G as $crate::options::Group>::KEYS)*)?];
                let _map = $crate::options::object($kind, v, &known.concat())?;
                Ok(Self {
                    $( $n: $crate::options!(@take _map, $kind, $j, $t $(, $d)?), )*
                    $($( $g: $crate::options::Group::take($kind, _map)?, )*)?
                })
            }
            /// Metadata for the code generator.
            pub fn meta() -> $crate::options::Meta {
                $crate::options::Meta {
                    kind: $kind,
                    doc: concat!($($doc, "\n"),*),
                    positional: &[$($pos),*],
                    rest: $crate::options!(@rest $($rest)?),
                    fields: vec![ $( $crate::options!(@meta ($($fd),*), $j, $t $(, $d)?) ),* ],
                    groups: vec![ $($( <$G as $crate::options::Group>::meta() ),*)? ],
                }
            }
            $crate::options!(@new [] [] [$($($g: $G),*)?] $({ $n: $t $(= $d)? })*);
        }
    };
    ($(#[doc = $doc:literal])* pub group $S:ident {
        $( $(#[doc = $fd:literal])* $n:ident $j:literal : $t:ty $(= $d:expr)? ),* $(,)?
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub struct $S { $( $(#[doc = $fd])* pub $n: $t ),* }
        impl $S {
            $crate::options!(@new [] [] [] $({ $n: $t $(= $d)? })*);
        }
        impl $crate::options::Group for $S {
            const KEYS: &'static [&'static str] = &[$($j),*];
            fn take(kind: &str, map: &$crate::options::Fields) -> $crate::Result<Self> {
                Ok(Self { $( $n: $crate::options!(@take map, kind, $j, $t $(, $d)?) ),* })
            }
            fn meta() -> $crate::options::GroupMeta {
                $crate::options::GroupMeta {
                    name: stringify!($S),
                    doc: concat!($($doc, "\n"),*),
                    fields: vec![ $( $crate::options!(@meta ($($fd),*), $j, $t $(, $d)?) ),* ],
                }
            }
        }
    };
    // Options without a default become arguments; those with one get it.
    (@new [$($a:tt)*] [$($f:tt)*] [$($g:tt)*] { $n:ident : $t:ty } $($rest:tt)*) => {
        $crate::options!(@new [$($a)* $n: $t,] [$($f)* $n,] [$($g)*] $($rest)*);
    };
    (@new [$($a:tt)*] [$($f:tt)*] [$($g:tt)*] { $n:ident : $t:ty = $d:expr } $($rest:tt)*) => {
        $crate::options!(@new [$($a)*] [$($f)* $n: $d,] [$($g)*] $($rest)*);
    };
    (@new [$($a:tt)*] [$($f:tt)*] [$($g:ident : $G:ty),*]) => {
        /// The defaults, with what has none: options of its own in their order, then those that it shares.
        #[allow(dead_code, clippy::new_without_default, clippy::too_many_arguments)] // not all are made in Rust
        #[must_use]
        pub fn new($($a)* $($g: $G),*) -> Self {
            Self { $($f)* $($g),* }
        }
    };
    (@take $m:ident, $kind:expr, $j:literal, $t:ty) => {
        $crate::options::field::<$t>($kind, $j, $m)?.ok_or_else(|| $crate::options::missing::<$t>($kind, $j))?
    };
    (@take $m:ident, $kind:expr, $j:literal, $t:ty, $d:expr) => {
        match $crate::options::field::<$t>($kind, $j, $m)? { Some(v) => v, None => $d }
    };
    (@meta ($($fd:literal),*), $j:literal, $t:ty $(, $d:expr)?) => {
        $crate::options::FieldMeta {
            name: $j,
            ts: <$t as $crate::options::OptionType>::TS,
            doc: concat!($($fd, "\n"),*),
            default: $crate::options!(@default $t $(, $d)?),
            nullable: <$t as $crate::options::OptionType>::null().is_some(),
        }
    };
    (@default $t:ty) => { None };
    (@default $t:ty, $d:expr) => { Some({ let d: $t = $d; $crate::options::OptionType::show(&d) }) };
    (@rest) => { None };
    (@rest $r:literal) => { Some($r) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::json;
    use crate::Dim;

    options! {
        /// Sizes.
        pub group SizeOptions {
            /// Width.
            width "width": Dim = Dim(2),
            /// Height; null: as wide.
            height "height": Option<Dim> = None,
        }
    }
    options! {
        /// Has sizes.
        pub struct BoxOptions for "Box" () with (size: SizeOptions) {
            /// Whether it is open.
            open "open": bool = false,
        }
    }
    options! {
        /// Makes something that has sizes.
        pub struct MakerOptions for "Maker" ("open") with (size: Given<SizeOptions>) {
            /// Whether it is open.
            open "open": bool,
        }
    }

    #[test]
    fn a_group_is_parsed_as_options_of_the_layer() {
        let o = BoxOptions::parse(&json!({"height": 5}).into()).unwrap();
        assert_eq!((o.open, o.size.width.0, o.size.height.map(|d| d.0)), (false, 2, Some(5)));
        let refused = |v: serde_json::Value| BoxOptions::parse(&v.into()).unwrap_err().to_string();
        assert!(refused(json!({"width": 0})).contains("Box: `width` must be"), "{}", refused(json!({"width": 0})));
        let unknown = refused(json!({"heigh": 1}));
        assert!(unknown.contains("it takes `open`, `width`, `height`; did you mean `height`?"), "{unknown}");
        let meta = BoxOptions::meta();
        assert_eq!(meta.all().map(|f| f.name).collect::<Vec<_>>(), ["open", "width", "height"]);
        assert_eq!(meta.groups[0].name, "SizeOptions");
    }

    #[test]
    fn defaults_are_made_with_what_has_none() {
        let o =
            BoxOptions { open: true, ..BoxOptions::new(SizeOptions { height: Some(Dim(3)), ..SizeOptions::new() }) };
        assert_eq!((o.open, o.size.width.0, o.size.height.map(|d| d.0)), (true, 2, Some(3)));
        let parsed = BoxOptions::parse(&json!({}).into()).unwrap();
        let made = BoxOptions::new(SizeOptions::new());
        assert_eq!((made.open, made.size.width.0), (parsed.open, parsed.size.width.0));
    }

    #[test]
    fn what_is_handed_on_is_what_was_given() {
        let o = MakerOptions::parse(&json!({"open": true, "width": 3}).into()).unwrap();
        let shown = |o: MakerOptions| o.size.pairs.iter().map(|(name, v)| (*name, show(v))).collect::<Vec<_>>();
        assert_eq!((o.open, shown(o)), (true, vec![("width", "3".to_string())]));
        let o = MakerOptions::parse(&json!({"open": true, "height": null}).into()).unwrap();
        assert_eq!(shown(o), [("height", "null".to_string())]);
        let refused = MakerOptions::parse(&json!({"open": true, "width": "wide"}).into()).unwrap_err().to_string();
        assert!(refused.contains("Maker: `width` must be"), "{refused}");
        assert_eq!(MakerOptions::meta().groups[0].fields[0].default.as_deref(), Some("2"));
    }

    #[test]
    fn the_probable_option_is_found() {
        let known = ["nUnits", "useBias", "kernelInitializer", "nHeads"];
        for (key, meant) in [
            ("n_units", Some("nUnits")),
            ("useBais", Some("useBias")),
            ("heads", Some("nHeads")),
            ("initializer", Some("kernelInitializer")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(key, &known), meant, "{key}");
        }
        assert_eq!((edits("kitten", "sitting"), edits("", "abc"), edits("abc", "")), (3, 3, 3));
    }
}
