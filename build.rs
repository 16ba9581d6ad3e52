//! Embeds every YAML file below `rules/`, sorted by path, so that the program carries its own pack.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let base = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?).join("rules");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?).join("embedded_rules.rs");
    let mut files = Vec::new();
    if base.is_dir() {
        collect(&base, &mut files)?;
    }
    files.sort();
    let mut text = String::from("/// Path below `rules/` -> bytes, sorted by path.\nstatic EMBEDDED: &[(&str, &[u8])] = &[\n");
    for file in &files {
        let relative = file.strip_prefix(&base).map_err(io::Error::other)?.to_string_lossy().into_owned();
        writeln!(text, "    ({relative:?}, include_bytes!({:?})),", file.display().to_string()).map_err(io::Error::other)?;
    }
    text.push_str("];\n");
    std::fs::write(out, text)?;
    println!("cargo::rerun-if-changed=rules");
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}
