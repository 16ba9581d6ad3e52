//! The rule files that the program carries: compressed by `build.rs`, unpacked when they are asked for and not kept.
//!
//! ```text
//! zlib( repeated: length of path (4 bytes, big endian) | path below rules/ | length (4) | bytes )      sorted by path
//! ```

use std::io::Read as _;

/// Written by `build.rs`.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rules.bin"));

/// Path and bytes of the embedded files whose path begins so, sorted by path.
pub(crate) fn files_below(folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut plain = Vec::new();
    // The program's own bytes: what can't be unpacked leaves no rule, and without rules no pack loads.
    if flate2::read::ZlibDecoder::new(PACKED).read_to_end(&mut plain).is_err() {
        return Vec::new();
    }
    let mut rest = plain.as_slice();
    let mut files = Vec::new();
    while let Some((path, bytes)) = take(&mut rest).zip(take(&mut rest)) {
        let path = String::from_utf8_lossy(path);
        if path.starts_with(folder) {
            files.push((path.into_owned(), bytes.to_vec()));
        }
    }
    files
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let (piece, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = after;
    Some(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_carried_unchanged() {
        let base = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let files = files_below("");
        assert!(files.len() > 100 && files.is_sorted());
        for (path, bytes) in &files {
            assert!(std::fs::read(base.join(path)).unwrap() == *bytes, "{path}");
        }
        for folder in ["frameworks", "commitments", "records"] {
            let there = std::fs::read_dir(base.join(folder)).unwrap().count();
            assert_eq!(files_below(&format!("{folder}/")).len(), there, "{folder}");
        }
    }
}
