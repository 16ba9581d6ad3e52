//! Machines made of a few files, for unit tests.

use super::Host;

/// A mounted root with these files; it lives as long as the folder.
pub(crate) fn rooted(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
    let root = made(files);
    let host = Host::rooted(root.path()).unwrap();
    (root, host)
}

/// A recorded machine with these files, `/proc` and `/sys` among them.
pub(crate) fn recorded(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
    let root = made(files);
    let host = Host::recorded(root.path()).unwrap();
    (root, host)
}

fn made(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}
