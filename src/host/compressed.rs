//! Files that may be compressed, recognised by their first bytes.

use std::io::{BufRead, BufReader, Read, Seek as _};

use super::{Host, ReadError};

/// Most bytes that one file may unpack to.
pub const UNPACKED_LIMIT: u64 = 1 << 30;
/// Largest window of zstd (as a power of two) and dictionary of xz: what their own tools write.
const WINDOW_LOG: u32 = 27;
const XZ_LIMIT_KIB: u32 = 128 << 10;

/// Why a file was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A compression that is not read.
    #[error("{0}: {1} is not read")]
    Unsupported(String, &'static str),
}

/// The file unpacked, ended by an error at [`UNPACKED_LIMIT`].
pub fn open(host: &Host, path: &str) -> Result<Box<dyn BufRead>, OpenError> {
    let fail = |e: std::io::Error| ReadError::Io(path.to_string(), e.to_string());
    let mut file = host.open_file(path)?;
    let mut magic = [0u8; 6];
    let mut filled = 0;
    while filled < magic.len() {
        match file.read(magic.get_mut(filled..).unwrap_or_default()).map_err(fail)? {
            0 => break,
            n => filled += n,
        }
    }
    file.rewind().map_err(fail)?;
    let unpacked: Box<dyn Read> = match magic {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder = zstd::stream::read::Decoder::new(file).map_err(fail)?;
            decoder.window_log_max(WINDOW_LOG).map_err(fail)?;
            Box::new(decoder)
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(lzma_rust2::XzReader::new_mem_limit(BufReader::new(file), true, XZ_LIMIT_KIB)),
        [b'B', b'Z', b'h', ..] => return Err(OpenError::Unsupported(path.into(), "bzip2")),
        [0, b'Z', b'C', b'K', b'1', ..] => return Err(OpenError::Unsupported(path.into(), "zchunk")),
        _ => return Ok(Box::new(BufReader::new(Ended { inner: file, left: UNPACKED_LIMIT }))),
    };
    Ok(Box::new(BufReader::with_capacity(1 << 16, Ended { inner: unpacked, left: UNPACKED_LIMIT })))
}

/// Reads up to a limit, and fails there instead of ending like a shorter file.
struct Ended<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Ended<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| std::io::Error::other("unpacks to more than is read"))?;
        Ok(read)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "files are packed by the usual tools")]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn every_compression_is_recognised_by_content_and_a_cut_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::rooted(dir.path()).unwrap();
        let text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
        let unpack = |path: &str| -> std::io::Result<String> {
            let mut out = String::new();
            open(&host, path).map_err(std::io::Error::other)?.read_to_string(&mut out)?;
            Ok(out)
        };
        for tool in ["gzip", "xz", "bzip2"] {
            let packed = dir.path().join(tool);
            std::fs::write(&packed, &text).unwrap();
            assert!(Command::new(tool).args(["-k", "-S", ".x"]).arg(&packed).status().is_ok_and(|s| s.success()) || tool == "bzip2");
        }
        std::fs::write(dir.path().join("zstd.x"), zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap();
        std::fs::write(dir.path().join("plain.x"), &text).unwrap();
        std::fs::write(dir.path().join("zck.x"), b"\0ZCK1\x80").unwrap();
        for name in ["gzip", "xz", "zstd", "plain"] {
            assert_eq!(unpack(&format!("/{name}.x")).unwrap(), text, "{name}");
            let bytes = std::fs::read(dir.path().join(format!("{name}.x"))).unwrap();
            std::fs::write(dir.path().join("cut"), &bytes[..bytes.len() / 2]).unwrap();
            assert!(name == "plain" || unpack("/cut").is_err(), "{name}");
        }
        assert!(matches!(open(&host, "/zck.x"), Err(OpenError::Unsupported(_, "zchunk"))));
        assert!(matches!(open(&host, "/none"), Err(OpenError::Read(e)) if e.is_not_found()));
    }
}
