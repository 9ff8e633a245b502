//! `cargo run -p tallow-xtask -- codegen <folder>`: writes `src/generated/*.ts` (one file a module), `docs/layers.md` and `docs/models.md` below that
//! folder, from the registry of layers and the declarations of models, and the methods of tensors from the docs of `crates/tensor`.
//!
//! `scripts/codegen.mjs` formats them, and puts them where they belong or says which of those there are out of date.
mod docs;
mod index;
mod items;
mod models;
mod rust_docs;
mod signatures;
mod tensor;
mod typescript;

use std::{fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [command, folder] = &arguments[..] else { return refuse(&["usage: codegen <folder>".into()]) };
    if command != "codegen" {
        return refuse(&[format!("codegen <folder> is the only command, got {command}")]);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let items = items::items();
    let mut refused = items::faults(&items);
    let of_tensors = match tensor::files(&root, &mut refused) {
        Ok(files) => files,
        Err(e) => return refuse(&[e]),
    };
    refused.extend(models::faults());
    if !refused.is_empty() {
        return refuse(&refused);
    }
    let mut files = typescript::files(&items);
    files.extend(of_tensors);
    files.extend(models::files());
    files.push(("src/generated/errorCode.ts".into(), typescript::error_codes()));
    files.push(("docs/layers.md".into(), index::layers(&items)));
    files.push(("docs/models.md".into(), index::models()));
    for (name, text) in files {
        let path = Path::new(folder).join(&name);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        if let Err(e) = written {
            return refuse(&[format!("cannot write {}: {e}", path.display())]);
        }
    }
    ExitCode::SUCCESS
}

fn refuse(why: &[String]) -> ExitCode {
    why.iter().for_each(|line| eprintln!("{line}"));
    ExitCode::FAILURE
}
