//! Documentation of the functions of a crate, read from its sources.
use std::{collections::HashMap, fs, path::Path};
use syn::{
    parse::{Parse, ParseStream},
    Attribute, Expr, Ident, ImplItem, Item, Lit, Meta, Token, Type, Visibility,
};

/// The doc comments of the public methods of a type, by name.
pub struct RustDocs(HashMap<String, String>);

impl RustDocs {
    /// Reads the methods of `type_name` in all sources of `folder`; those that a macro makes too, where each is written
    /// behind its docs as `fn name`.
    ///
    /// # Errors
    /// A sentence, for a file that cannot be read, and for a name that is documented twice.
    pub fn read(folder: &Path, type_name: &str) -> Result<Self, String> {
        let mut docs = Self(HashMap::new());
        let entries = fs::read_dir(folder).map_err(|e| format!("cannot list {}: {e}", folder.display()))?;
        let mut paths: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
        paths.sort();
        for path in paths.iter().filter(|p| p.extension().is_some_and(|e| e == "rs")) {
            let of = |e: &dyn std::fmt::Display| format!("cannot read {}: {e}", path.display());
            let text = fs::read_to_string(path).map_err(|e| of(&e))?;
            for item in syn::parse_file(&text).map_err(|e| of(&e))?.items {
                docs.add(item, type_name).map_err(|e| of(&e))?;
            }
        }
        Ok(docs)
    }

    /// The docs of a method.
    pub fn of(&self, method: &str) -> Option<&str> {
        self.0.get(method).map(String::as_str)
    }

    fn add(&mut self, item: Item, type_name: &str) -> Result<(), String> {
        match item {
            Item::Impl(i) if i.trait_.is_none() && is_named(&i.self_ty, type_name) => {
                for item in i.items {
                    if let ImplItem::Fn(f) = item {
                        if matches!(f.vis, Visibility::Public(_)) {
                            self.insert(&f.sig.ident, &f.attrs)?;
                        }
                    }
                }
            }
            Item::Macro(m) if m.ident.is_none() => {
                // Other macros have another form, and make no methods.
                if let Ok(Listed(list)) = m.mac.parse_body() {
                    for (attrs, name) in list {
                        self.insert(&name, &attrs)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn insert(&mut self, name: &Ident, attrs: &[Attribute]) -> Result<(), String> {
        let text: Vec<String> = attrs.iter().filter_map(doc_line).collect();
        if text.is_empty() {
            return Ok(());
        }
        match self.0.insert(name.to_string(), text.join("\n")) {
            None => Ok(()),
            Some(_) => Err(format!("`{name}` is documented twice")),
        }
    }
}

/// What a macro is given that makes methods: `/// docs` and `fn name … ;`, again and again.
struct Listed(Vec<(Vec<Attribute>, Ident)>);

impl Parse for Listed {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut list = Vec::new();
        while !input.is_empty() {
            let attrs = input.call(Attribute::parse_outer)?;
            input.parse::<Token![fn]>()?;
            list.push((attrs, input.parse()?));
            while !input.peek(Token![;]) {
                input.step(|at| at.token_tree().map(|(_, rest)| ((), rest)).ok_or_else(|| at.error("expected `;`")))?;
            }
            input.parse::<Token![;]>()?;
        }
        Ok(Self(list))
    }
}

fn is_named(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(p) if p.path.is_ident(name))
}

/// The text of a line of a doc comment, without the blank that it begins with.
fn doc_line(attr: &Attribute) -> Option<String> {
    let Meta::NameValue(m) = &attr.meta else { return None };
    match (&m.value, m.path.is_ident("doc")) {
        (Expr::Lit(l), true) => match &l.lit {
            Lit::Str(text) => Some(text.value().strip_prefix(' ').map_or_else(|| text.value(), str::to_owned)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RustDocs, String> {
        let mut docs = RustDocs(HashMap::new());
        for item in syn::parse_file(text).map_err(|e| e.to_string())?.items {
            docs.add(item, "Tensor")?;
        }
        Ok(docs)
    }

    #[test]
    fn methods_are_found_where_they_are_written_and_where_a_macro_makes_them() {
        let text = "
            impl Tensor {
                /// One.
                ///
                /// Formula: `x`
                pub fn one(&self) {}
                /// Hidden.
                fn hidden(&self) {}
                pub fn bare(&self) {}
            }
            impl Other {
                /// Not ours.
                pub fn other(&self) {}
            }
            functions! {
                /// Two.
                fn two, two_scalar = Rule;
                /// Three.
                fn three = Rule;
            }
            rules! { Neg, |x| -x; }
        ";
        let docs = read(text).unwrap();
        assert_eq!(docs.of("one"), Some("One.\n\nFormula: `x`"));
        assert_eq!((docs.of("two"), docs.of("three")), (Some("Two."), Some("Three.")));
        assert_eq!([docs.of("hidden"), docs.of("bare"), docs.of("other"), docs.of("two_scalar")], [None; 4]);
    }

    #[test]
    fn a_name_has_one_documentation() {
        let twice = read("impl Tensor { /// A.\n pub fn a(&self) {} }\n impl Tensor { /// B.\n pub fn a(&self) {} }");
        assert_eq!(twice.err().as_deref(), Some("`a` is documented twice"));
    }
}
