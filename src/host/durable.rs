//! Writing that survives a crash: a file is either the old one or the new one, whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes `bytes` to `path` through a temporary file: written, fsynced, renamed, and the folder
/// fsynced. `mode` are the permission bits of a new file (`0o600` for secrets).
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = parent(path);
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path has no file name"))?;
    let mut random = [0u8; 8];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random).map_err(|_| io::Error::other("no randomness"))?;
    let temporary = folder.join(format!(".{}.{}.tmp", name.to_string_lossy(), crate::model::ids::hex_encode(&random)));
    let written = write_new(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, path));
    if let Err(e) = written {
        // The old file stands; the leftover is only litter, so its removal may fail unnoticed.
        let _ = fs::remove_file(&temporary);
        return Err(e);
    }
    sync_folder(folder)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Creates a file to be written bit by bit and renamed once it is whole; one that is there is emptied.
pub fn create(path: &Path, mode: u32) -> io::Result<File> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)
}

/// Makes a rename or removal of `path` durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    sync_folder(parent(path))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Makes renames and removals inside `folder` durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn replaces_whole_and_leaves_no_litter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write(&path, b"one", 0o600).unwrap();
        write(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write(&dir.path().join("missing/key"), b"x", 0o600).is_err());
    }
}
