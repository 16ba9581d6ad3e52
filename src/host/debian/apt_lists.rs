//! What `apt update` left: Release files and package lists below `/var/lib/apt/lists`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use super::apt_pins::Release;
use super::control::Paragraphs;
use crate::host::lz4::Lz4Reader;
use crate::host::{Host, ReadError};

/// Where apt keeps its lists.
pub const FOLDER: &str = "/var/lib/apt/lists";
/// Largest Release file, bytes (Debian's has 150 KiB).
const RELEASE_LIMIT: usize = 16 << 20;
/// Most decompressed bytes read of one list (Debian's main has 60 MiB).
pub const LIST_BYTES: u64 = 1 << 30;
/// Suffixes of lists that can be read, plain first.
const READABLE: &[&str] = &["", ".lz4", ".zst"];
/// Suffixes of lists that apt may keep and that can't.
const UNREADABLE: &[&str] = &[".xz", ".gz", ".bz2", ".lzma"];

/// One Release file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseFile {
    /// Path of it.
    pub place: String,
    /// What pins look at.
    pub release: Release,
    /// `Architectures`.
    pub architectures: Vec<String>,
    /// `No-Support-for-Architecture-all: Packages`: the lists of each architecture hold `all`, too.
    pub all_is_inside: bool,
    /// `Date`, Unix seconds.
    pub date: Option<i64>,
    /// `Valid-Until`, Unix seconds; 0 when it can't be read, which apt takes for expired.
    pub valid_until: Option<i64>,
    /// Whether the file carries a signature or one lies beside it (`Release.gpg`).
    pub signed: bool,
    /// Modification time, Unix seconds: apt sets it to the server's time of change.
    pub modified: i64,
    /// Size of each file that the checksums name, by path below the suite.
    pub sizes: BTreeMap<String, u64>,
}

/// Reads `InRelease`, else `Release`, by the names that apt gives them.
pub fn read_release(host: &Host, names: &[String]) -> Result<Option<ReleaseFile>, ReadError> {
    for name in names {
        let place = format!("{FOLDER}/{name}");
        match host.read(&place, RELEASE_LIMIT) {
            Ok(bytes) => {
                let modified = host.stat(&place)?.modified;
                let mut release = parse_release(&bytes, place, modified);
                release.signed = bytes.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----") || host.exists(&format!("{FOLDER}/{name}.gpg"))?;
                return Ok(Some(release));
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

fn parse_release(bytes: &[u8], place: String, modified: i64) -> ReleaseFile {
    let mut out = ReleaseFile {
        place,
        release: Release::default(),
        architectures: Vec::new(),
        all_is_inside: false,
        date: None,
        valid_until: None,
        signed: false,
        modified,
        sizes: BTreeMap::new(),
    };
    let mut in_checksums = false;
    for line in bytes.split(|b| *b == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else {
            continue;
        };
        if let Some(entry) = line.strip_prefix(' ') {
            let mut words = entry.split_whitespace();
            if in_checksums
                && let (Some(_), Some(size), Some(path)) = (words.next(), words.next(), words.next())
                && path.contains("Packages")
                && let Ok(size) = size.parse()
            {
                out.sizes.insert(path.into(), size);
            }
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        in_checksums = matches!(name, "SHA256" | "SHA512" | "MD5Sum" | "SHA1");
        let release = &mut out.release;
        match name {
            "Suite" => release.suite = value.into(),
            "Codename" => release.codename = value.into(),
            "Version" => release.version = value.into(),
            "Origin" => release.origin = value.into(),
            "Label" => release.label = value.into(),
            "NotAutomatic" => release.not_automatic = value == "yes",
            "ButAutomaticUpgrades" => release.but_automatic_upgrades = value == "yes",
            "No-Support-for-Architecture-all" => out.all_is_inside = value.split_whitespace().any(|w| w == "Packages"),
            "Date" => out.date = unix_time(value),
            "Valid-Until" => out.valid_until = Some(unix_time(value).unwrap_or(0)),
            "Architectures" => out.architectures = value.split_whitespace().map(String::from).collect(),
            _ => {}
        }
    }
    out
}

/// `Sat, 17 May 2025 09:14:55 UTC`, as apt reads it: the day's name and leading zeros are not needed.
fn unix_time(text: &str) -> Option<i64> {
    const MONTHS: &str = "jan feb mar apr may jun jul aug sep oct nov dec";
    let words: Vec<&str> = text.split_whitespace().collect();
    let [.., day, month, year, clock, zone] = words.as_slice() else {
        return None;
    };
    let month = MONTHS.split(' ').position(|m| m.eq_ignore_ascii_case(month))?;
    let mut clock = clock.split(':').map(|n| n.parse::<i8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let time = jiff::civil::DateTime::new(year.parse().ok()?, i8::try_from(month).ok()? + 1, day.parse().ok()?, hour, minute, second, 0).ok()?;
    let east = match *zone {
        "UTC" | "GMT" | "Z" => 0,
        offset => {
            let (sign, digits) = offset.strip_prefix('+').map(|d| (1, d)).or_else(|| offset.strip_prefix('-').map(|d| (-1, d)))?;
            let digits: i64 = digits.parse().ok().filter(|d| (0..2400).contains(d))?;
            sign * (digits / 100 * 3600 + digits % 100 * 60)
        }
    };
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second() - east)
}

/// A list file on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It can be read.
    Readable(String),
    /// It is compressed in a way that can't be read.
    Compressed(String),
    /// It is not there.
    Absent,
}

/// Looks for the list `name` under every suffix that apt uses.
pub fn find_list(host: &Host, name: &str) -> Result<Found, ReadError> {
    for suffix in READABLE {
        let path = format!("{FOLDER}/{name}{suffix}");
        if host.exists(&path)? {
            return Ok(Found::Readable(path));
        }
    }
    for suffix in UNREADABLE {
        let path = format!("{FOLDER}/{name}{suffix}");
        if host.exists(&path)? {
            return Ok(Found::Compressed(path));
        }
    }
    Ok(Found::Absent)
}

/// One paragraph of a package list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza {
    /// Binary package.
    pub name: String,
    /// Architecture, `all` included.
    pub architecture: String,
    /// Version.
    pub version: String,
    /// Source package.
    pub source: String,
    /// `Phased-Update-Percentage`, Ubuntu's staged roll-out; 100 without it.
    pub phased_percentage: i64,
    /// Line of the paragraph, from 1.
    pub line: u64,
}

/// Streams a list and calls `each` for every package whose name `wanted` accepts.
pub fn read_list(host: &Host, path: &str, wanted: impl Fn(&[u8]) -> bool, mut each: impl FnMut(Stanza)) -> Result<(), ReadError> {
    let mut paragraphs = Paragraphs::new(open(host, path)?, &["Package", "Version", "Architecture", "Source", "Phased-Update-Percentage"]);
    let fail = |e: super::control::ControlError| ReadError::Io(path.into(), e.to_string());
    while paragraphs.advance().map_err(fail)? {
        if !paragraphs.bytes(0).is_some_and(&wanted) {
            continue;
        }
        let (Some(name), Some(version), Some(architecture)) = (paragraphs.text(0), paragraphs.text(1), paragraphs.text(2)) else {
            return Err(ReadError::Io(path.into(), format!("line {}: package without version or architecture", paragraphs.paragraph_line())));
        };
        let source = paragraphs.text(3).and_then(|s| s.split_whitespace().next().map(String::from)).unwrap_or_else(|| name.clone());
        let phased_percentage = paragraphs.text(4).and_then(|p| p.trim().parse().ok()).unwrap_or(100);
        each(Stanza { name, architecture, version, source, phased_percentage, line: paragraphs.paragraph_line() });
    }
    Ok(())
}

fn open(host: &Host, path: &str) -> Result<Box<dyn BufRead>, ReadError> {
    const BUFFER: usize = 1 << 16;
    let file = host.open_file(path)?;
    let bounded = |reader: Box<dyn Read>| -> Box<dyn BufRead> { Box::new(BufReader::with_capacity(BUFFER, Bounded { inner: reader, left: LIST_BYTES })) };
    Ok(match path.rsplit_once('.').map(|(_, suffix)| suffix) {
        Some("lz4") => bounded(Box::new(Lz4Reader::new(BufReader::with_capacity(BUFFER, file)))),
        Some("zst") => bounded(Box::new(zstd::stream::read::Decoder::new(file).map_err(|e| ReadError::Io(path.into(), e.to_string()))?)),
        _ => bounded(Box::new(file)),
    })
}

/// Unlike `Take`, fails at the limit: a list cut short would hide updates.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(out)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| std::io::Error::other(format!("list is larger than {LIST_BYTES} bytes")))?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_fields_and_sizes() {
        let text = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\nCodename: bookworm-security\n\
            Date: Sat, 17 May 2025 09:14:55 UTC\nValid-Until: Sat, 24 May 2025 9:14:55 +0200\nArchitectures: amd64 arm64\nSHA256:\n 00 0 main/binary-amd64/Packages\n 00 12 main/Contents-amd64\n-----BEGIN PGP SIGNATURE-----\n\nabc=\n";
        let file = parse_release(text, "/x".into(), 5);
        assert_eq!((file.release.label.as_str(), file.release.codename.as_str()), ("Debian-Security", "bookworm-security"));
        assert_eq!(file.sizes, BTreeMap::from([("main/binary-amd64/Packages".to_string(), 0)]));
        assert_eq!(file.architectures, ["amd64", "arm64"]);
        // date -u -d '2025-05-17 09:14:55' +%s
        assert_eq!((file.date, file.valid_until), (Some(1_747_473_295), Some(1_747_473_295 + 7 * 86_400 - 7200)));
    }

    #[test]
    fn only_wanted_packages_in_every_readable_form() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("var/lib/apt/lists");
        std::fs::create_dir_all(&folder).unwrap();
        let text = "Package: a\nSource: s (1)\nVersion: 1\nArchitecture: all\n\nPackage: b\nVersion: 2\nArchitecture: amd64\n\n";
        std::fs::write(folder.join("p"), text).unwrap();
        std::fs::write(folder.join("z.zst"), zstd::bulk::compress(text.as_bytes(), 1).unwrap()).unwrap();
        std::fs::write(folder.join("x.xz"), "").unwrap();
        let host = Host::rooted(root.path()).unwrap();
        for name in ["p", "z"] {
            let Found::Readable(path) = find_list(&host, name).unwrap() else { panic!("{name}") };
            let mut seen = Vec::new();
            read_list(&host, &path, |n| n == b"b", |s| seen.push(format!("{} {} {}", s.name, s.version, s.line))).unwrap();
            assert_eq!(seen, ["b 2 6"]);
        }
        assert_eq!(find_list(&host, "x").unwrap(), Found::Compressed(format!("{FOLDER}/x.xz")));
        assert_eq!(find_list(&host, "y").unwrap(), Found::Absent);
    }
}
