//! `cargo run -p tallow-xtask [-- --check]`: writes `src/generated/*.ts` (one file a module) and `docs/layers.md` from the registry of layers, and
//! the methods of tensors from the docs of `crates/tensor`.
//! With `--check` nothing is written; the exit code says whether the files are up to date.
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
    let check = std::env::args().skip(1).any(|a| a == "--check");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let items = items::items();
    let mut refused = items::faults(&items);
    let of_tensors = match tensor::files(&root, &mut refused) {
        Ok(files) => files,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::FAILURE;
        }
    };
    refused.extend(models::faults());
    if !refused.is_empty() {
        refused.iter().for_each(|f| eprintln!("{f}"));
        return ExitCode::FAILURE;
    }
    let mut files = typescript::files(&items);
    files.extend(of_tensors);
    files.extend(models::files());
    files.push(("docs/layers.md".into(), index::layers(&items)));
    let mut stale = false;
    for (name, text) in files {
        let path = root.join(&name);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        if check {
            eprintln!("{name} is out of date; run `npm run codegen`");
            stale = true;
            continue;
        }
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        match written {
            Ok(()) => eprintln!("wrote {name}"),
            Err(e) => {
                eprintln!("cannot write {name}: {e}");
                return ExitCode::FAILURE;
            }
        }
    }
    if stale {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
