//! Where records come from: a zip file, a folder or a single JSON file, one record at a time.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Largest record, bytes.
pub const MAX_RECORD: usize = 16 << 20;
/// Most files of one source.
pub const MAX_FILES: usize = 2_000_000;
/// Largest directory of a zip file, bytes.
const MAX_DIRECTORY: u64 = 512 << 20;
/// Deepest folder, levels.
const MAX_DEPTH: usize = 8;
/// How far from the end the end record is looked for, bytes: it may carry a comment.
const END_SEARCH: u64 = 22 + 65_535;

/// Why a source can't be read at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file or folder can't be read.
    #[error("{0}: {1}")]
    Read(String, std::io::Error),
    /// Not a zip file.
    #[error("{0}: not a zip file that is read here: {1}")]
    Zip(String, &'static str),
    /// Neither of the three.
    #[error("{0}: give a zip file, a folder or a JSON file of OSV records")]
    Kind(String),
    /// Beyond a limit.
    #[error("{0}: more than {MAX_FILES} files")]
    TooMany(String),
}

/// Gets name, content (or what is wrong with it), how many came before and how many there are.
pub type Visit<'v> = dyn FnMut(&str, Result<Vec<u8>, String>, usize, usize) + 'v;

/// Visits every `.json` file in the order of names (zip: of the directory).
pub fn visit(path: &Path, visit: &mut Visit<'_>) -> Result<(), SourceError> {
    let name = path.display().to_string();
    let metadata = std::fs::metadata(path).map_err(|e| SourceError::Read(name.clone(), e))?;
    if metadata.is_dir() {
        return visit_folder(path, visit);
    }
    if !metadata.is_file() {
        return Err(SourceError::Kind(name));
    }
    let file = File::open(path).map_err(|e| SourceError::Read(name.clone(), e))?;
    let mut magic = [0u8; 4];
    let length = file.read_at(&mut magic, 0).map_err(|e| SourceError::Read(name.clone(), e))?;
    match (magic.get(..length), path.extension().and_then(|e| e.to_str())) {
        (Some(b"PK\x03\x04" | b"PK\x05\x06"), _) => visit_zip(&file, metadata.len(), &name, visit),
        (_, Some("json")) => {
            visit(&name, read_file(path), 0, 1);
            Ok(())
        }
        _ => Err(SourceError::Kind(name)),
    }
}

fn visit_folder(root: &Path, visit: &mut Visit<'_>) -> Result<(), SourceError> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![(root.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let fail = |e| SourceError::Read(folder.display().to_string(), e);
        for entry in std::fs::read_dir(&folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let kind = entry.file_type().map_err(fail)?;
            // Links are not followed: a folder of records has none, and one could lead round in circles.
            if kind.is_dir() && depth < MAX_DEPTH {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() && entry.path().extension().is_some_and(|e| e == "json") {
                files.push(entry.path());
            }
        }
        if files.len() > MAX_FILES {
            return Err(SourceError::TooMany(root.display().to_string()));
        }
    }
    files.sort();
    for (number, path) in files.iter().enumerate() {
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        visit(&name, read_file(path), number, files.len());
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    file.take(MAX_RECORD as u64 + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() > MAX_RECORD { Err(too_large()) } else { Ok(bytes) }
}

fn too_large() -> String {
    format!("it is larger than {MAX_RECORD} bytes")
}

/// The directory of a zip file.
struct Central {
    offset: u64,
    size: u64,
    count: u64,
}

fn visit_zip(file: &File, length: u64, name: &str, visit: &mut Visit<'_>) -> Result<(), SourceError> {
    let bad = |why| SourceError::Zip(name.to_string(), why);
    let central = central(file, length).map_err(bad)?;
    if central.count > MAX_FILES as u64 {
        return Err(SourceError::TooMany(name.into()));
    }
    if central.size > MAX_DIRECTORY || central.offset.saturating_add(central.size) > length {
        return Err(bad("its directory lies outside the file"));
    }
    let mut directory = vec![0; usize::try_from(central.size).unwrap_or_default()];
    file.read_exact_at(&mut directory, central.offset).map_err(|e| SourceError::Read(name.into(), e))?;
    let total = usize::try_from(central.count).unwrap_or_default();
    let mut rest = directory.as_slice();
    for number in 0..total {
        let (entry, after) = Entry::parse(rest).ok_or_else(|| bad("its directory is damaged"))?;
        rest = after;
        if entry.name.ends_with(".json") {
            visit(&entry.name, entry.read(file), number, total);
        }
    }
    Ok(())
}

/// Finds the directory, that of zip64 included (more than 65,535 records are common).
fn central(file: &File, length: u64) -> Result<Central, &'static str> {
    let start = length.saturating_sub(END_SEARCH);
    let mut tail = vec![0; usize::try_from(length - start).unwrap_or_default()];
    file.read_exact_at(&mut tail, start).map_err(|_| "its end can't be read")?;
    let at = tail.windows(4).rposition(|w| w == b"PK\x05\x06").ok_or("it has no end record (cut off?)")?;
    let end = tail.get(at..).unwrap_or_default();
    let found = || Some(Central { count: u64::from(u16_at(end, 10)?), size: u64::from(u32_at(end, 12)?), offset: u64::from(u32_at(end, 16)?) });
    let plain = found().ok_or("its end record is cut off")?;
    if plain.count != 0xffff && plain.size != 0xffff_ffff && plain.offset != 0xffff_ffff {
        return Ok(plain);
    }
    let locator = at.checked_sub(20).and_then(|l| tail.get(l..at)).filter(|l| l.starts_with(b"PK\x06\x07"));
    let Some(locator) = locator else {
        return Ok(plain);
    };
    let mut large = [0u8; 56];
    file.read_exact_at(&mut large, u64_at(locator, 8).unwrap_or(u64::MAX)).map_err(|_| "its zip64 end record lies outside the file")?;
    if !large.starts_with(b"PK\x06\x06") {
        return Err("its zip64 end record is damaged");
    }
    let found = || Some(Central { count: u64_at(&large, 32)?, size: u64_at(&large, 40)?, offset: u64_at(&large, 48)? });
    found().ok_or("its zip64 end record is cut off")
}

/// One entry of the directory.
struct Entry {
    name: String,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    offset: u64,
}

impl Entry {
    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        if !bytes.starts_with(b"PK\x01\x02") {
            return None;
        }
        let length = |at| u16_at(bytes, at).map(usize::from);
        let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
        let mut entry = Self {
            name: String::from_utf8_lossy(bytes.get(46..46 + name)?).into_owned(),
            flags: u16_at(bytes, 8)?,
            method: u16_at(bytes, 10)?,
            crc: u32_at(bytes, 16)?,
            packed: u64::from(u32_at(bytes, 20)?),
            size: u64::from(u32_at(bytes, 24)?),
            offset: u64::from(u32_at(bytes, 42)?),
        };
        entry.widen(bytes.get(46 + name..46 + name + extra)?);
        Some((entry, bytes.get(46 + name + extra + comment..)?))
    }

    /// Numbers of eight bytes stand in extra field 1, in this order, where the short ones are full.
    fn widen(&mut self, mut extra: &[u8]) {
        while let (Some(id), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
            let Some(mut body) = extra.get(4..4 + usize::from(length)) else { return };
            if id == 1 {
                for field in [&mut self.size, &mut self.packed, &mut self.offset] {
                    if *field == 0xffff_ffff
                        && let Some(wide) = u64_at(body, 0)
                    {
                        *field = wide;
                        body = body.get(8..).unwrap_or_default();
                    }
                }
                return;
            }
            extra = extra.get(4 + usize::from(length)..).unwrap_or_default();
        }
    }

    fn read(&self, file: &File) -> Result<Vec<u8>, String> {
        if self.flags & 1 != 0 {
            return Err("it is encrypted".into());
        }
        if self.size > MAX_RECORD as u64 || self.packed > MAX_RECORD as u64 {
            return Err(too_large());
        }
        let mut head = [0u8; 30];
        let outside = |_| "it lies outside the zip file".to_string();
        file.read_exact_at(&mut head, self.offset).map_err(outside)?;
        let (Some(name), Some(extra)) = (u16_at(&head, 26), u16_at(&head, 28)) else { return Err("its header is cut off".into()) };
        if !head.starts_with(b"PK\x03\x04") {
            return Err("it has no header where the directory says".into());
        }
        let mut packed = vec![0; usize::try_from(self.packed).unwrap_or_default()];
        let start = self.offset.saturating_add(30 + u64::from(name) + u64::from(extra));
        file.read_exact_at(&mut packed, start).map_err(outside)?;
        let plain = match self.method {
            0 => packed,
            8 => {
                let mut plain = Vec::new();
                let decoder = flate2::bufread::DeflateDecoder::new(packed.as_slice());
                decoder.take(MAX_RECORD as u64 + 1).read_to_end(&mut plain).map_err(|_| "it does not unpack")?;
                plain
            }
            other => return Err(format!("its compression method {other} is not read")),
        };
        let mut crc = flate2::Crc::new();
        crc.update(&plain);
        if plain.len() as u64 != self.size || crc.sum() != self.crc {
            return Err("its bytes are not those that were packed".into());
        }
        Ok(plain)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    super::wire::u32_at(bytes, at)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    type Seen = Vec<(String, Result<Vec<u8>, String>)>;

    fn seen(path: &Path) -> Result<Seen, SourceError> {
        let mut out = Vec::new();
        visit(path, &mut |name, content, _, _| out.push((name.to_string(), content)))?;
        Ok(out)
    }

    fn stored_zip() -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (name, text) in [("a.json", "{}"), ("LICENSE", "x"), ("b/c.json", "[1]")] {
            writer.start_file(name, options).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn zip_folder_and_file_give_their_records() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.zip");
        std::fs::write(&path, stored_zip()).unwrap();
        let expected = vec![("a.json".to_string(), Ok(b"{}".to_vec())), ("b/c.json".to_string(), Ok(b"[1]".to_vec()))];
        assert_eq!(seen(&path).unwrap(), expected);
        let folder = dir.path().join("records");
        std::fs::create_dir_all(folder.join("b")).unwrap();
        std::fs::write(folder.join("a.json"), "{}").unwrap();
        std::fs::write(folder.join("b/c.json"), "[1]").unwrap();
        std::os::unix::fs::symlink(&folder, folder.join("loop")).unwrap();
        assert_eq!(seen(&folder).unwrap(), expected);
        assert_eq!(seen(&folder.join("a.json")).unwrap().len(), 1);
        std::fs::write(dir.path().join("x.txt"), "x").unwrap();
        assert!(matches!(seen(&dir.path().join("x.txt")), Err(SourceError::Kind(_))));
        assert!(matches!(seen(Path::new("/dev/null")), Err(SourceError::Kind(_))));
    }

    #[test]
    fn damaged_zip_files_never_panic_and_never_change_a_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.zip");
        let good = stored_zip();
        for i in 0..good.len() {
            for byte in [0, 0xff, good[i] ^ 1] {
                let mut changed = good.clone();
                changed[i] = byte;
                std::fs::write(&path, &changed).unwrap();
                for (_, content) in seen(&path).unwrap_or_default() {
                    if let Ok(content) = content {
                        assert!([&b"{}"[..], b"[1]", b"x"].contains(&content.as_slice()), "byte {i}");
                    }
                }
            }
            std::fs::write(&path, &good[..i]).unwrap();
            let _ = seen(&path);
        }
    }
}
