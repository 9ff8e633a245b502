//! Files that are written whole or not at all.
use crate::Result;
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};
use tallow_layers::files::{io_error, not_regular};

/// How the name of a file that is being written ends, behind numbers of its own.
const ENDING: &str = ".tmp";
/// Most symbolic links that are followed one after another, as Linux does.
const MAX_LINKS: usize = 40;

/// Milliseconds between attempts to replace a file that another program has open, all together about a second: programs that look at new
/// files, as virus scanners do, are done by then.
const WAITS: [u64; 9] = [1, 2, 5, 10, 25, 50, 100, 300, 500];

/// Writes a file by `fill`, under a temporary name beside it, syncs it, and renames it, so `path` always holds the old or the new
/// content, whole. The new file has the old one's mode. A symbolic link stays, what it leads to is replaced; other hard links to the old
/// file keep the old content. What writers that have ended left beside it is removed. Windows does not replace a file that another program
/// has open: it is tried again for about a second.
///
/// # Errors
/// `Io` naming the path, and those of `fill`; the old file is then untouched. What is no regular file is never replaced.
pub fn write(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let fail = |why: &dyn std::fmt::Display| io_error("write", path, why);
    let target = followed(path).map_err(|e| fail(&e))?;
    let old = match fs::symlink_metadata(&target) {
        Ok(found) => match not_regular(&found) {
            None => Some(found),
            Some(why) => return Err(fail(&format!("{why}, and is not replaced"))),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(fail(&e)),
    };
    if target.file_name().is_none() {
        return Err(fail(&"it has no name"));
    }
    remove_abandoned(&target);
    let (mut file, temporary) = temporary_beside(&target, old.is_some()).map_err(|e| fail(&e))?;
    let written = old
        .map_or(Ok(()), |old| like(&file, &old))
        .map_err(|e| fail(&e))
        .and_then(|()| fill(&mut file))
        .and_then(|()| file.sync_all().map_err(|e| fail(&e)))
        .and_then(|()| {
            patiently(|| fs::rename(&temporary, &target), is_held, thread::sleep).map_err(|e| match is_held(&e) {
                true => fail(&format!("{e}; another program may have it open: close it there and save again")),
                false => fail(&e),
            })
        });
    if let Err(e) = written {
        let _ = fs::remove_file(&temporary);
        return Err(e);
    }
    // The rename itself must reach the disk too; where folders cannot be opened the system takes care of it.
    if let Ok(folder) = File::open(folder_of(&target)) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Whether Windows refuses what was asked for while another program has the file open: access denied, a sharing or a lock violation. Other
/// systems never refuse it for that.
fn is_held(error: &io::Error) -> bool {
    cfg!(windows) && matches!(error.raw_os_error(), Some(5 | 32 | 33))
}

/// What `attempt` gives, which is called again after each of [`WAITS`] while it fails in a way that may pass.
fn patiently<T>(
    mut attempt: impl FnMut() -> io::Result<T>,
    may_pass: impl Fn(&io::Error) -> bool,
    mut wait: impl FnMut(Duration),
) -> io::Result<T> {
    for pause in WAITS {
        match attempt() {
            Err(e) if may_pass(&e) => wait(Duration::from_millis(pause)),
            done => return done,
        }
    }
    attempt()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// What symbolic links lead to, whether or not it is there.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => path = folder_of(&path).join(fs::read_link(&path)?),
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("it is a link that leads to itself"))
}

/// Gives a new file the mode of the old one, and its owner where that is allowed.
fn like(file: &File, old: &fs::Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{fchown, MetadataExt};
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            // Only the superuser may give files away; the group can often still be kept.
            let _ = fchown(file, Some(old.uid()), Some(old.gid())).or_else(|_| fchown(file, None, Some(old.gid())));
        }
    }
    file.set_permissions(old.permissions())
}

/// A new file beside `target` that no other writer uses, of this process or another. It is locked for as long as it is open, by which
/// others see that it is being written; if it replaces another, nobody else may read it yet.
fn temporary_beside(target: &Path, replaces: bool) -> io::Result<(File, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let mut name = target.file_name().map(std::ffi::OsStr::to_os_string).unwrap_or_default();
        name.push(format!(".{}-{}{ENDING}", std::process::id(), NEXT.fetch_add(1, Relaxed)));
        let path = target.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if replaces {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        #[cfg(not(unix))]
        let _ = replaces;
        match options.open(&path) {
            // Where there are no locks, it is only never taken for abandoned.
            Ok(file) => match file.lock() {
                Ok(()) if !path.exists() => {}
                _ => return Ok((file, path)),
            },
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
}

/// Removes temporary files of `target` that nobody writes any more: their process was killed.
fn remove_abandoned(target: &Path) {
    let (Some(name), Ok(folder)) = (target.file_name(), fs::read_dir(folder_of(target))) else { return };
    let name = name.to_string_lossy();
    for found in folder.flatten() {
        let other = found.file_name();
        let numbers = other.to_str().and_then(|o| o.strip_prefix(&*name)?.strip_prefix('.')?.strip_suffix(ENDING));
        let numbers = numbers.and_then(|n| n.split_once('-'));
        let digits = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
        let ours = numbers.is_some_and(|(process, count)| digits(process) && digits(count));
        if !ours || !found.file_type().is_ok_and(|t| t.is_file()) {
            continue;
        }
        if let Ok(file) = OpenOptions::new().write(true).open(found.path()) {
            if file.try_lock().is_ok() {
                let _ = fs::remove_file(found.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outcome after so many refusals, how often it was tried, and how long was waited.
    fn after(refusals: usize, kind: io::ErrorKind) -> (std::result::Result<usize, io::ErrorKind>, usize, Duration) {
        let (mut tried, mut waited) = (0, Duration::ZERO);
        let attempt = || {
            tried += 1;
            if tried > refusals {
                Ok(tried)
            } else {
                Err(io::Error::from(kind))
            }
        };
        let held = |e: &io::Error| e.kind() == io::ErrorKind::PermissionDenied;
        let got = patiently(attempt, held, |pause| waited += pause).map_err(|e| e.kind());
        (got, tried, waited)
    }

    #[test]
    fn what_another_program_holds_is_tried_again_for_a_while() {
        let denied = io::ErrorKind::PermissionDenied;
        assert_eq!(after(0, denied), (Ok(1), 1, Duration::ZERO));
        assert_eq!(after(3, denied), (Ok(4), 4, Duration::from_millis(8)));
        assert_eq!(after(9, denied), (Ok(10), 10, Duration::from_millis(993)));
        assert_eq!(after(10, denied), (Err(denied), 10, Duration::from_millis(993)), "in the end it is an error");
    }

    #[test]
    fn other_errors_are_not_waited_for() {
        let missing = io::ErrorKind::NotFound;
        assert_eq!(after(1, missing), (Err(missing), 1, Duration::ZERO));
        assert_eq!(is_held(&io::Error::from_raw_os_error(32)), cfg!(windows), "on Windows alone");
        assert!(!is_held(&io::Error::from_raw_os_error(2)));
    }
}
