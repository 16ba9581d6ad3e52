//! Headers of installed packages: a table of tags over a block of values.
//!
//! ```text
//! u32 entries, u32 bytes, entries × { u32 tag, u32 type, u32 offset, u32 count }, bytes      big endian
//! ```

/// Largest number of entries and of bytes that rpm itself accepts.
const ENTRY_LIMIT: usize = 0xffff;
/// Most strings of one entry that are decoded.
const STRING_LIMIT: usize = 1 << 20;

/// Tags that are read; numbers of rpm's `rpmtag.h`.
pub(super) mod tag {
    pub const SIGPGP: u32 = 259;
    pub const SIGGPG: u32 = 262;
    pub const DSAHEADER: u32 = 267;
    pub const RSAHEADER: u32 = 268;
    pub const OPENPGP: u32 = 278;
    pub const NAME: u32 = 1000;
    pub const VERSION: u32 = 1001;
    pub const RELEASE: u32 = 1002;
    pub const EPOCH: u32 = 1003;
    pub const INSTALLTIME: u32 = 1008;
    pub const VENDOR: u32 = 1011;
    pub const ARCH: u32 = 1022;
    pub const SOURCERPM: u32 = 1044;
    pub const DIRINDEXES: u32 = 1116;
    pub const BASENAMES: u32 = 1117;
    pub const DIRNAMES: u32 = 1118;
    pub const MODULARITYLABEL: u32 = 5096;
}

/// One header.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    index: &'a [u8],
    store: &'a [u8],
}

impl<'a> Header<'a> {
    /// Splits a blob of the database; `None` when its lengths contradict each other.
    pub fn new(blob: &'a [u8]) -> Option<Self> {
        let entries = usize::try_from(be32(blob, 0)?).ok().filter(|n| (1..=ENTRY_LIMIT).contains(n))?;
        let bytes = usize::try_from(be32(blob, 4)?).ok()?;
        let (index, store) = blob.get(8..)?.split_at_checked(entries * 16)?;
        Some(Self { index, store: store.get(..bytes)? })
    }

    /// Type, values and count of a tag.
    fn entry(&self, tag: u32) -> Option<(u32, &'a [u8], usize)> {
        let entry = self.index.chunks_exact(16).find(|e| be32(e, 0) == Some(tag))?;
        let offset = usize::try_from(be32(entry, 8)?).ok()?;
        Some((be32(entry, 4)?, self.store.get(offset..)?, usize::try_from(be32(entry, 12)?).ok()?))
    }

    /// A string; of an array the first.
    pub fn text(&self, tag: u32) -> Option<String> {
        self.strings(tag).next().map(|s| String::from_utf8_lossy(s).into_owned())
    }

    /// The strings of an array.
    pub fn strings(&self, tag: u32) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (values, count) = match self.entry(tag) {
            Some((6, values, _)) => (values, 1),
            Some((8 | 9, values, count)) => (values, count.min(STRING_LIMIT)),
            _ => (&[] as &[u8], 0),
        };
        let mut rest = values;
        std::iter::from_fn(move || {
            let end = rest.iter().position(|b| *b == 0)?;
            let (string, after) = rest.split_at(end);
            rest = after.get(1..)?;
            Some(string)
        })
        .take(count)
    }

    /// The numbers of an array of 32-bit integers.
    pub fn numbers(&self, tag: u32) -> impl Iterator<Item = u32> + use<'a> {
        let (values, count) = match self.entry(tag) {
            Some((4, values, count)) => (values, count.min(STRING_LIMIT)),
            _ => (&[] as &[u8], 0),
        };
        values.chunks_exact(4).take(count).filter_map(|c| be32(c, 0))
    }

    /// Bytes of a binary tag.
    pub fn bytes(&self, tag: u32) -> Option<&'a [u8]> {
        match self.entry(tag)? {
            (7, values, count) => values.get(..count),
            _ => None,
        }
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// Id of the key that made an OpenPGP signature packet (RFC 4880 5.2, RFC 9580), 16 hexadecimal
/// digits; `unknown` for a signature that does not say.
pub fn signing_key(packet: &[u8]) -> String {
    issuer(packet).map_or_else(|| "unknown".into(), |id| id.iter().map(|b| format!("{b:02x}")).collect())
}

fn issuer(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let body = if first & 0x40 == 0 {
        // Old format: the low two bits tell how many bytes the length has.
        packet.get(
            match first & 3 {
                0 => 2,
                1 => 3,
                2 => 5,
                _ => 1,
            }..,
        )?
    } else {
        packet.get(
            match *packet.get(1)? {
                0..=191 => 2,
                192..=223 => 3,
                255 => 6,
                _ => return None,
            }..,
        )?
    };
    match *body.first()? {
        2 | 3 => body.get(7..15),
        4 => {
            let hashed = usize::from(u16::from_be_bytes(body.get(4..6)?.try_into().ok()?));
            let (hashed, rest) = body.get(6..)?.split_at_checked(hashed)?;
            let length = usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?));
            issuer_of(hashed).or_else(|| issuer_of(rest.get(2..2 + length)?))
        }
        6 => {
            let hashed = usize::try_from(be32(body, 4)?).ok()?;
            issuer_of(body.get(8..)?.get(..hashed)?)
        }
        _ => None,
    }
}

/// Issuer (16) or issuer fingerprint (33) among the subpackets of a signature.
fn issuer_of(mut area: &[u8]) -> Option<&[u8]> {
    while let Some(first) = area.first() {
        let (length, head) = match *first {
            n @ 0..=191 => (usize::from(n), 1),
            n @ 192..=254 => ((usize::from(n) - 192) * 256 + usize::from(*area.get(1)?) + 192, 2),
            255 => (usize::try_from(be32(area, 1)?).ok()?, 5),
        };
        let packet = area.get(head..)?.get(..length)?;
        match (packet.first()? & 0x7f, packet.get(1)) {
            (16, _) => return packet.get(1..9),
            (33, Some(4)) => return packet.get(14..22),
            (33, Some(6)) => return packet.get(2..10),
            _ => {}
        }
        area = area.get(head + length..)?;
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Builds a header from tag, type and encoded values.
    pub fn header(entries: &[(u32, u32, u32, Vec<u8>)]) -> Vec<u8> {
        let (mut index, mut store) = (Vec::new(), Vec::new());
        for (tag, kind, count, bytes) in entries {
            while *kind == 4 && store.len() % 4 != 0 {
                store.push(0);
            }
            for word in [*tag, *kind, store.len() as u32, *count] {
                index.extend_from_slice(&word.to_be_bytes());
            }
            store.extend_from_slice(bytes);
        }
        let mut out = (entries.len() as u32).to_be_bytes().to_vec();
        out.extend_from_slice(&(store.len() as u32).to_be_bytes());
        out.extend(index);
        out.extend(store);
        out
    }

    #[test]
    fn tags_by_type_and_hostile_lengths() {
        let blob = header(&[
            (tag::NAME, 6, 1, b"bash\0".to_vec()),
            (tag::EPOCH, 4, 1, 7u32.to_be_bytes().to_vec()),
            (tag::BASENAMES, 8, 3, b"a\0bc\0\0".to_vec()),
            (tag::SIGPGP, 7, 2, vec![1, 2]),
        ]);
        let h = Header::new(&blob).unwrap();
        assert_eq!((h.text(tag::NAME).as_deref(), h.text(tag::VENDOR), h.numbers(tag::EPOCH).next()), (Some("bash"), None, Some(7)));
        assert_eq!(h.strings(tag::BASENAMES).collect::<Vec<_>>(), [b"a".as_slice(), b"bc", b""]);
        assert_eq!(h.bytes(tag::SIGPGP), Some([1, 2].as_slice()));
        assert!(Header::new(&blob[..blob.len() - 1]).is_none());
        for at in 0..blob.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = blob.clone();
                damaged[at] = value;
                if let Some(h) = Header::new(&damaged) {
                    let _ = (h.text(tag::NAME), h.numbers(tag::EPOCH).count(), h.strings(tag::BASENAMES).count(), h.bytes(tag::SIGPGP));
                }
            }
        }
    }

    #[test]
    fn keys_of_signatures_of_every_version() {
        let v3 = [0x88, 0x15, 3, 5, 0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(signing_key(&v3), "0102030405060708");
        let mut v4 = vec![0x89, 0, 40, 4, 0, 1, 8, 0, 29, 5, 2, 0, 0, 0, 0, 22, 33, 4];
        v4.extend(1..=20);
        v4.extend([0, 10, 9, 16, 9, 9, 9, 9, 9, 9, 9, 9]);
        assert_eq!(signing_key(&v4), "0d0e0f1011121314");
        for end in 0..v4.len() {
            signing_key(&v4[..end]);
        }
    }
}
