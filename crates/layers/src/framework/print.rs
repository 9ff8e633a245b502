//! How layers are printed.
use crate::{stack::deep, LayerNest, LayerRef};

/// Trax's printed form: name, arity where it is not one, and the sublayers, indented.
pub fn print(layer: &LayerRef) -> String {
    let mut out = String::new();
    print_at(layer, 0, &mut out);
    out
}

/// Prints a layer whose first line stands where `out` ends, all others behind `indent` blanks.
fn print_at(layer: &LayerRef, indent: usize, out: &mut String) {
    let base = layer.base();
    let arity = layer.arity();
    *out += &base.name;
    if arity.n_in != 1 {
        *out += &format!("_in{}", arity.n_in);
    }
    if arity.n_out != 1 {
        *out += &format!("_out{}", arity.n_out);
    }
    match &base.to_print {
        Some(shown) => print_inner(shown, indent, out, print_nest),
        None => print_inner(layer.sublayers(), indent, out, print_at),
    }
}

/// The items in brackets, a line each; those that print as nothing are left out.
fn print_inner<T>(items: &[T], indent: usize, out: &mut String, print: fn(&T, usize, &mut String)) {
    if items.is_empty() {
        return;
    }
    let line = |out: &mut String, indent: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent)); // few
    };
    out.push('[');
    let mut any = false;
    for item in items {
        let before = out.len();
        line(out, indent + 2);
        let start = out.len();
        deep(|| print(item, indent + 2, out));
        if out.len() == start {
            out.truncate(before);
        } else {
            any = true;
        }
    }
    if !any {
        line(out, indent);
    }
    line(out, indent);
    out.push(']');
}

/// No layer and lists of layers as Python prints them.
fn print_nest(nest: &LayerNest, indent: usize, out: &mut String) {
    match nest {
        LayerNest::Null => *out += "None",
        LayerNest::One(l) => print_at(l, indent, out),
        LayerNest::List(v) => {
            out.push('[');
            for (i, nest) in v.iter().enumerate() {
                if i > 0 {
                    *out += ", ";
                }
                print_nest(nest, indent, out);
            }
            out.push(']');
        }
    }
}
