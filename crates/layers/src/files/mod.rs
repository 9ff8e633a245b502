//! Opening files that are read.
use crate::{Error, ErrorKind, Result};
use std::{
    fmt::Display,
    fs::{self, File, Metadata},
    path::Path,
};

pub mod elements;
pub mod npy;

/// The error for a file that something cannot be done with.
pub fn io_error(what: &str, path: &Path, why: &dyn Display) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {what} {}: {why}", path.display()))
}

/// What a path leads to, if it is no regular file.
pub fn not_regular(found: &Metadata) -> Option<&'static str> {
    match (found.is_file(), found.is_dir()) {
        (true, _) => None,
        (_, true) => Some("it is a folder, not a regular file"),
        _ => Some("it is not a regular file, but a device, pipe or socket"),
    }
}

/// Opens a regular file for reading, and says how many bytes it has.
///
/// # Errors
/// `Io` naming the path, at once for anything but a regular file: a device may never end, and to open a pipe is to wait for its
/// other end.
pub fn open_regular(path: &Path) -> Result<(File, u64)> {
    let fail = |why: &dyn Display| io_error("read", path, why);
    let check = |found: &Metadata| not_regular(found).map_or(Ok(()), |why| Err(fail(&why)));
    check(&fs::metadata(path).map_err(|e| fail(&e))?)?;
    let file = File::open(path).map_err(|e| fail(&e))?;
    // What the path leads to may have changed since.
    let found = file.metadata().map_err(|e| fail(&e))?;
    check(&found)?;
    Ok((file, found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let folder = std::env::temp_dir().join(format!("tallow-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("numbers");
        fs::write(&file, [1, 2, 3]).unwrap();
        assert_eq!(open_regular(&file).unwrap().1, 3);
        let refused = |path: &Path| open_regular(path).unwrap_err();
        let error = refused(&folder);
        assert_eq!(error.code(), "Io");
        assert!(error.message().contains("not a regular file"), "{}", error.message());
        #[cfg(unix)]
        {
            assert!(refused(Path::new("/dev/zero"))
                .message()
                .contains("cannot read /dev/zero: it is not a regular file"));
            let socket = folder.join("socket");
            let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            assert!(refused(&socket).message().contains("not a regular file"));
        }
        assert!(refused(&folder.join("absent")).message().contains("absent"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
