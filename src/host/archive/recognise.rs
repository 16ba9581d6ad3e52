//! Formats by their first bytes.

/// Bytes that tell a format: a whole header of tar and more.
pub const HEAD: usize = 4096;

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Stable word, such as `gzip`, `tar`, `sql`, `age`; `empty`, `zeros`, `text` and `unknown` among them.
    pub word: &'static str,
    /// Whether the content is encrypted; `None`: the head does not tell.
    pub encrypted: Option<bool>,
}

const fn plain(word: &'static str) -> Format {
    Format { word, encrypted: Some(false) }
}

const fn sealed(word: &'static str) -> Format {
    Format { word, encrypted: Some(true) }
}

const fn open(word: &'static str) -> Format {
    Format { word, encrypted: None }
}

/// Where a format's mark stands, and what it means.
const MARKS: &[(usize, &[u8], Format)] = &[
    (0, b"age-encryption.org/v1\n", sealed("age")),
    (0, b"-----BEGIN AGE ENCRYPTED FILE-----", sealed("age")),
    (0, b"Salted__", sealed("openssl")),
    (0, b"U2FsdGVkX1", sealed("openssl")),
    (0, b"LUKS\xba\xbe", sealed("luks")),
    (0, b"\x1f\x8b\x08", plain("gzip")),
    (0, b"\x28\xb5\x2f\xfd", plain("zstd")),
    (0, b"\xfd7zXZ\0", plain("xz")),
    (0, b"\x04\x22\x4d\x18", plain("lz4")),
    (0, b"7z\xbc\xaf\x27\x1c", open("7z")),
    (0, b"XBSTCK01", plain("xbstream")),
    (0, b"PGDMP", plain("pg-custom")),
    (0, b"SQLite format 3\0", plain("sqlite")),
    (0, b"REDIS", plain("redis")),
    (0, b"\x6d\xe2\x99\x81", plain("mongodump")),
    (0, b"070701", plain("cpio")),
    (0, b"hsqs", plain("squashfs")),
    // Both may hold an encrypted disk inside.
    (0, b"QFI\xfb", open("qcow2")),
    (0, b"VMA\0", open("vma")),
];

/// What the first bytes of a file (at most [`HEAD`]) say.
pub fn recognise(head: &[u8]) -> Format {
    if head.is_empty() {
        return plain("empty");
    }
    if head.iter().all(|b| *b == 0) {
        return plain("zeros");
    }
    let marked = MARKS.iter().find(|(at, mark, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(mark)));
    if let Some((.., format)) = marked {
        return *format;
    }
    if head.len() >= 10 && head.starts_with(b"BZh") && matches!(head.get(3), Some(b'1'..=b'9')) && head.get(4..10) == Some(b"1AY&SY") {
        return plain("bzip2");
    }
    // Seen by its flag (APPNOTE.TXT 4.4.4, bit 0).
    if head.starts_with(b"PK\x03\x04") {
        return Format { word: "zip", encrypted: head.get(6).map(|flags| flags & 1 == 1) };
    }
    if super::tar::is_header(head) {
        return plain("tar");
    }
    if let Some(format) = super::openpgp::recognise(head) {
        return format;
    }
    if is_text(head) {
        return plain(if is_sql(head) { "sql" } else { "text" });
    }
    open("unknown")
}

/// Printable, line by line; a character of UTF-8 may be cut at the end.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => std::str::from_utf8(head.get(..e.valid_up_to()).unwrap_or_default()).unwrap_or_default(),
        Err(_) => return false,
    };
    !valid.is_empty() && !valid.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}'))
}

fn is_sql(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let dump = ["PostgreSQL database dump", "PostgreSQL database cluster dump", "MySQL dump", "MariaDB dump"];
    dump.iter().any(|mark| text.contains(mark))
        || text.lines().take(20).any(|line| ["CREATE TABLE ", "INSERT INTO ", "BEGIN TRANSACTION;"].iter().any(|s| line.starts_with(s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_tell_formats_and_encryption() {
        let said = |head: &[u8]| {
            let format = recognise(head);
            (format.word, format.encrypted)
        };
        assert_eq!(said(b""), ("empty", Some(false)));
        assert_eq!(said(&[0; 600]), ("zeros", Some(false)));
        assert_eq!(said(b"age-encryption.org/v1\n-> X25519 abc"), ("age", Some(true)));
        assert_eq!(said(b"Salted__12345678"), ("openssl", Some(true)));
        assert_eq!(said(b"PK\x03\x04\x33\0\x01\0"), ("zip", Some(true)));
        assert_eq!(said(b"PK\x03\x04\x14\0\0\0"), ("zip", Some(false)));
        assert_eq!(said(b"-- MySQL dump 10.19  Distrib 10.11\n"), ("sql", Some(false)));
        assert_eq!(said("2026-11-27 backup ended wéll\n".as_bytes()), ("text", Some(false)));
        assert_eq!(said(b"\x93\x01\xfe\x9b\xff\0\x12"), ("unknown", None));
        assert_eq!(said(b"BZh91AY&SY...."), ("bzip2", Some(false)));
        // What only looks like bzip2.
        assert_eq!(said(b"BZh9 is a name\n"), ("text", Some(false)));
    }
}
