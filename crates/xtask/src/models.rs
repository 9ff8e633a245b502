//! The factories of models: their options, the same with all of them filled in, and documentation.
use crate::{
    docs::{comment, escape, Doc, Head, Page},
    typescript::{documented, interface, named_options, plain, upper_first, HEADER},
};
use std::fmt::Write as _;
use tallow_layers::{
    models::FILLED_TYPES,
    options::{FieldMeta, Meta},
    registry,
};

/// A file of models: the module in the registry, its name, the files whose compositions it calls, and what it makes.
pub struct File {
    pub module: &'static str,
    name: &'static str,
    pub title: &'static str,
    compositions: &'static [(&'static str, &'static [&'static str])],
    returns: &'static str,
    make: &'static str,
    /// Trax's own file.
    pub trax: &'static str,
}

/// Models of two inputs, a source and a target, and as many outputs.
const OF_PAIRS: &[&str] = &["Transformer", "Reformer", "ConfigurableTransformer"];

/// Models of two inputs, tokens and ids of their sequences, and one output; all others have one of each.
const OF_PACKED: &[&str] = &["PackedTransformerLM"];

/// The blocks that docs of models must have.
const BLOCKS: &[Head] =
    &[Head::Shapes, Head::Weights, Head::State, Head::Modes, Head::Errors, Head::Source, Head::Example];

/// What is wrong with the docs of models.
pub fn faults() -> Vec<String> {
    let of = |m: Meta| {
        let kind = m.kind;
        Doc::parse(m.doc).faults(BLOCKS).into_iter().map(move |fault| format!("{kind}: {fault}"))
    };
    registry::models().iter().flat_map(|t| t.iter()).flat_map(|e| of((e.meta)())).collect()
}

/// Models, and the blocks of them.
pub const FILES: &[File] = &[
    File {
        module: "models",
        name: "models",
        title: "Models of several layers.",
        compositions: &[
            (
                "transformer",
                &["packedTransformerLM", "transformer", "transformerDecoder", "transformerEncoder", "transformerLM"],
            ),
            ("reformer", &["reformer"]),
            ("reformerLM", &["reformerLM", "reformerShortenLM"]),
            (
                "configurableTransformer",
                &["configurableTransformer", "configurableTransformerEncoder", "configurableTransformerLM"],
            ),
            ("hourglass", &["hourglassLM"]),
            ("mlp", &["mlp"]),
        ],
        returns: "Layer",
        make: "makeModel",
        trax: "[Trax](https://github.com/google/trax/tree/master/trax/models)",
    },
    File {
        module: "models.reformer",
        name: "reformerBlocks",
        title: "Blocks that Reformers are made of.",
        compositions: &[("reformerBlocks", &["decoderBlock", "encoderBlock", "encoderDecoderBlock"])],
        returns: "LayerNest[]",
        make: "makeBlock",
        trax: "[Trax](https://github.com/google/trax/blob/master/trax/models/reformer/reformer.py)",
    },
];

/// All files.
pub fn files() -> Vec<(String, String)> {
    FILES.iter().map(|f| (format!("src/generated/{}.ts", f.name), file(f))).collect()
}

/// What is declared of the models in a file.
pub fn of(f: &File) -> Vec<Meta> {
    let metas = registry::models().iter().flat_map(|t| t.iter());
    metas.filter(|e| e.module == f.module).map(|e| (e.meta)()).collect()
}

fn file(f: &File) -> String {
    let of = of(f);
    let mut groups = Vec::new();
    for g in of.iter().flat_map(|m| &m.groups) {
        if !groups.contains(&g.name) {
            groups.push(g.name);
        }
    }
    // Groups of both files are declared in the first.
    let declared = f.module == FILES[0].module;
    let mut out = format!("{HEADER}/**\n * {}\n *\n * @module\n */\n", f.title);
    let types = |from: &str, names: &[&str], out: &mut String| {
        let used: Vec<String> = names
            .iter()
            .filter(|n| of.iter().any(|m| m.fields.iter().any(|x| words(x.ts, n)) || declared && in_groups(m, n)))
            .map(|n| format!("type {n}"))
            .collect();
        if !used.is_empty() {
            let _ = writeln!(out, "import {{ {} }} from '{from}';", used.join(", "));
        }
    };
    let mut layer = vec!["type Mode"];
    if f.returns == "Layer" {
        layer.insert(0, "type Layer");
    }
    let _ = writeln!(out, "import {{ {} }} from '../layer/layer.js';", layer.join(", "));
    types("../models/blocks.js", &["AttentionType"], &mut out);
    types("../models/hourglass.js", &["ResamplingType"], &mut out);
    for (path, names) in f.compositions {
        let _ = writeln!(out, "import {{ {} }} from '../models/{path}.js';", names.join(", "));
    }
    let _ = writeln!(out, "import {{ {} }} from '../models/make.js';", f.make);
    let _ = writeln!(out, "import {{ namedOptions }} from '../tensor/rest.js';");
    if f.returns == "Layer" {
        let _ = writeln!(out, "import {{ type Tensor }} from '../tensor/tensor.js';");
    }
    if f.returns != "Layer" {
        let _ = writeln!(out, "import {{ type LayerNest }} from '../layer/types.js';");
    }
    types("../layer/types.js", &["LayerFactory", "ResamplingFactory"], &mut out);
    if declared {
        let mut known: Vec<&str> = Vec::new();
        let all: Vec<Meta> = FILES.iter().flat_map(self::of).collect();
        for g in all.iter().flat_map(|m| &m.groups) {
            if !known.contains(&g.name) {
                known.push(g.name);
                let fields: Vec<&FieldMeta> = g.fields.iter().collect();
                out.push('\n');
                out += &comment(&escape(&plain(g.doc)), "");
                out += &interface(g.name, &[], &fields);
                out += &filled(g.name, &[], &fields);
            }
        }
    } else if !groups.is_empty() {
        let names = groups.iter().flat_map(|g| [format!("type {g}"), format!("type Filled{g}")]);
        let _ = writeln!(out, "import {{ {} }} from './{}.js';", names.collect::<Vec<_>>().join(", "), FILES[0].name);
    }
    for m in &of {
        let options = format!("{}Options", upper_first(m.kind));
        out += &factory(f, m, &options);
        out += &filled(
            &options,
            &m.groups.iter().map(|g| g.name).collect::<Vec<_>>(),
            &m.fields.iter().collect::<Vec<_>>(),
        );
    }
    out
}

/// The options of a model, and the function that makes it.
fn factory(f: &File, m: &Meta, options: &str) -> String {
    let by_name: Vec<&FieldMeta> = m.fields.iter().filter(|x| !m.positional.contains(&x.name)).collect();
    let by_place: Vec<&FieldMeta> =
        m.positional.iter().filter_map(|p| m.fields.iter().find(|x| x.name == *p)).collect();
    let mut out = format!("\n/** Options of {{@link {}}}. */\n", m.kind);
    out += &interface(options, &m.groups, &by_name);
    out.push('\n');
    let params = documented(m, &named_options(m));
    out += &Doc::parse(m.doc).tsdoc(&Page { params, thrown: "LayerError", trax: f.trax });
    let declared: String = by_place.iter().map(|x| format!("{}: {}, ", x.name, x.ts)).collect();
    let given: String = by_place.iter().map(|x| format!(", {}", x.name)).collect();
    let (returns, arity) = match f.returns {
        "Layer" if OF_PAIRS.contains(&m.kind) => ("Layer<[Tensor, Tensor], 2>", ", 2, 2"),
        "Layer" if OF_PACKED.contains(&m.kind) => ("Layer<Tensor, 2>", ", 2, 1"),
        "Layer" => ("Layer<Tensor, 1>", ", 1, 1"),
        returns => (returns, ""),
    };
    let _ = write!(
        out,
        "export function {0}({declared}options?: {options}): {returns} {{\n  return {1}('{0}', {2}, {{ ...namedOptions('{0}', options){given} }}{arity});\n}}\n",
        m.kind,
        f.make,
        composition(f, m.kind)
    );
    out
}

/// The composition of a model: its name but for the case.
fn composition(f: &File, kind: &str) -> &'static str {
    let mut names = f.compositions.iter().flat_map(|(_, names)| names.iter().copied());
    names.find(|name| name.eq_ignore_ascii_case(kind)).unwrap_or_default()
}

fn words(ts: &str, name: &str) -> bool {
    ts.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| w == name)
}

fn in_groups(m: &Meta, name: &str) -> bool {
    m.groups.iter().any(|g| g.fields.iter().any(|f| words(f.ts, name)))
}

/// The interface of options that are all there.
fn filled(name: &str, groups: &[&str], fields: &[&FieldMeta]) -> String {
    let mut out = format!("\n/** All of {{@link {name}}}, as the layers are composed with them. @hidden */\n");
    let _ = write!(out, "export interface Filled{name} ");
    if !groups.is_empty() {
        let groups: Vec<String> = groups.iter().map(|g| format!("Filled{g}")).collect();
        let _ = write!(out, "extends {} ", groups.join(", "));
    }
    out += "{\n";
    for f in fields {
        let ts = FILLED_TYPES.iter().find(|(name, _)| *name == f.name).map_or(f.ts, |(_, ts)| *ts);
        let null = if f.nullable { " | null" } else { "" };
        let _ = writeln!(out, "  readonly {}: {ts}{null};", f.name);
    }
    out + "}\n"
}
