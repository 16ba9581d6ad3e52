//! Packs every YAML file below `rules/`, sorted by path, so that the program carries its own rules
//! (`src/rules/embedded.rs` draws the format), and the schemas of the facts.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// The schemas, by family.
const SCHEMAS: &str = "src/model/schemas.json";

fn main() -> io::Result<()> {
    let home = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let base = home.join("rules");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let mut files = Vec::new();
    if base.is_dir() {
        collect(&base, &mut files)?;
    }
    files.sort();
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    for file in &files {
        let relative = file.strip_prefix(&base).map_err(io::Error::other)?.to_string_lossy().into_owned();
        for piece in [relative.as_bytes(), &std::fs::read(file)?] {
            packed.write_all(&u32::try_from(piece.len()).map_err(io::Error::other)?.to_be_bytes())?;
            packed.write_all(piece)?;
        }
    }
    std::fs::write(out.join("rules.bin"), packed.finish()?)?;
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&std::fs::read(home.join(SCHEMAS))?)?;
    std::fs::write(out.join("schemas.bin"), packed.finish()?)?;
    println!("cargo::rerun-if-changed={SCHEMAS}");
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
