//! Packs every YAML file below `rules/`, sorted by path, so that the program carries its own rules
//! (`src/rules/embedded.rs` draws the format), the schemas of the facts, and the date of the build.

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
    std::fs::write(out.join("schemas.bin"), schemas(&std::fs::read_to_string(home.join(SCHEMAS))?)?)?;
    println!("cargo::rerun-if-changed={SCHEMAS}");
    println!("cargo::rustc-env=ASSAY_BUILT_AT={}", built_at()?);
    println!("cargo::rerun-if-changed=rules");
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}

/// Each family's schema packed by itself, so that nobody unpacks all of them for one (`src/model/schemas.rs` draws the format). The
/// file has a family's name on a line of its own, two blanks from the margin.
fn schemas(text: &str) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("  \"").and_then(|l| l.strip_suffix("\": {")) else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|l| *l != "  }" && *l != "  },").collect();
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        packed.write_all(shortened(&format!("{{\n{}\n}}", body.join("\n"))).as_bytes())?;
        for piece in [name.as_bytes(), &packed.finish()?] {
            out.extend(u32::try_from(piece.len()).map_err(io::Error::other)?.to_be_bytes());
            out.extend(piece);
        }
    }
    Ok(out)
}

/// A schema without its descriptions and indentation: those are for people, who read the reference page. The file has one key a
/// line, as serde_json writes it, and a description that ends an object leaves a comma behind on the line before.
fn shortened(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim) {
        // A field may bear that name too: its schema is an object.
        if line.starts_with("\"description\": \"") {
            continue;
        }
        if line.starts_with('}')
            && let Some(last) = lines.last_mut()
        {
            *last = last.strip_suffix(',').unwrap_or(last);
        }
        lines.push(line);
    }
    lines.concat()
}

/// Unix seconds that have passed for sure when this program runs. Never the clock of the building machine, so that the same
/// sources give the same bytes: `SOURCE_DATE_EPOCH` (reproducible-builds.org), else the day of the newest release in the change log,
/// else the day on which this was written.
fn built_at() -> io::Result<u64> {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=CHANGELOG.md");
    if let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") {
        return text.trim().parse().map_err(|_| io::Error::other(format!("SOURCE_DATE_EPOCH {text:?} is not a number of seconds")));
    }
    let log = std::fs::read_to_string("CHANGELOG.md").unwrap_or_default();
    Ok(log.lines().filter(|l| l.starts_with("## ")).filter_map(|l| seconds_of(l.split_whitespace().last()?)).max().unwrap_or(WRITTEN_AT).max(WRITTEN_AT))
}

/// 2026-11-27, midnight UTC.
const WRITTEN_AT: u64 = 1_795_737_600;

/// Unix seconds of midnight UTC of a day `YYYY-MM-DD` (days from civil, Howard Hinnant's public-domain algorithm).
fn seconds_of(day: &str) -> Option<u64> {
    let mut parts = day.split('-').map(|p| p.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = (year % 400) * 365 + (year % 400) / 4 - (year % 400) / 100 + day_of_year;
    (year / 400 * 146_097 + day_of_era).checked_sub(719_468)?.checked_mul(86_400)
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
