//! Files that are written whole or not at all.
use crate::{Error, Result};
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The error for a file that something cannot be done with.
pub(crate) fn io(what: &str, path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::new("Io", format!("cannot {what} {}: {e}", path.display()))
}

/// Writes `data` under a temporary name beside `path`, syncs it, and renames it, so `path` always holds the old or the new
/// content, whole.
///
/// # Errors
/// `Io` naming the path; the old file is then untouched.
pub(crate) fn write(path: &Path, data: &[u8]) -> Result<()> {
    let temporary = temporary_beside(path);
    let result = write_synced(&temporary, data).and_then(|()| fs::rename(&temporary, path));
    if let Err(e) = result {
        let _ = fs::remove_file(&temporary);
        return Err(io("write", path, &e));
    }
    // The rename itself must reach the disk too; where folders cannot be opened the system takes care of it.
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if let Ok(f) = File::open(folder) {
            let _ = f.sync_all();
        }
    }
    Ok(())
}

/// A name that no other writer uses, of this process or another.
fn temporary_beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().map_or_else(Default::default, std::ffi::OsStr::to_os_string);
    name.push(format!(".{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Relaxed)));
    path.with_file_name(name)
}

fn write_synced(path: &Path, data: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(data)?;
    file.sync_all()
}
