//! The ledger as static files, in the layout of C2SP tlog-tiles:
//!
//! ```text
//! checkpoint                     the signed checkpoint that the files below lead to
//! tile/L/N[.p/W]                 up to 256 hashes of 32 bytes: of the leaves (L = 0), of full tiles one level below (L > 0)
//! tile/entries/N[.p/W]           the entries behind tile/0/N, each with its length before it (2 bytes, big endian)
//! N                              decimal in groups of three digits, all but the last behind an x: x001/x234/067
//! .p/W                           a tile that is not full yet, W wide
//! ```
//! Tiles never change; a monitor that has the files of one checkpoint fetches only what is new.

use super::tree::Tree;
use crate::model::ids::Digest;

/// Hashes in a full tile, and entries in a full bundle.
pub const WIDTH: usize = 256;

/// Level of a path: a level of the tree, or the entries themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Hashes.
    Hashes(usize),
    /// Entries.
    Entries,
}

/// One tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Level, from 0.
    pub level: usize,
    /// Index within the level, from 0.
    pub index: u64,
    /// 1 to 256 hashes.
    pub hashes: Vec<Digest>,
}

impl Tile {
    /// Its place below the prefix of the log.
    pub fn path(&self) -> String {
        path(Level::Hashes(self.level), self.index, self.hashes.len())
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|h| *h.bytes()).collect()
    }
}

/// Path of the tile or bundle of this width (1 to 256).
pub fn path(level: Level, index: u64, width: usize) -> String {
    let level = match level {
        Level::Hashes(level) => level.to_string(),
        Level::Entries => "entries".into(),
    };
    let mut groups = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    groups.reverse();
    let partial = if width < WIDTH { format!(".p/{width}") } else { String::new() };
    format!("tile/{level}/{}{partial}", groups.join("/"))
}

/// Whether a text is the path of a tile or bundle, in the one spelling that exists.
pub fn is_path(text: &str) -> bool {
    let Some((level, rest)) = text.strip_prefix("tile/").and_then(|t| t.split_once('/')) else { return false };
    let number = |digits: &str| if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse::<u64>().ok() } else { None };
    let level = match (level, number(level)) {
        ("entries", _) => Level::Entries,
        (_, Some(l @ 0..=63)) => Level::Hashes(usize::try_from(l).unwrap_or_default()),
        _ => return false,
    };
    let (index, width) = rest.split_once(".p/").map_or((rest, Some(WIDTH as u64)), |(index, width)| (index, number(width)));
    let Some(width) = width.and_then(|w| usize::try_from(w).ok()).filter(|w| (1..=WIDTH).contains(w)) else { return false };
    let digits: String = index.chars().filter(char::is_ascii_digit).collect();
    number(&digits).is_some_and(|index| path(level, index, width) == text)
}

/// Bytes of a bundle of entries; `None` when an entry is longer than its length can say.
pub fn bundle<'e>(entries: impl IntoIterator<Item = &'e [u8]>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for entry in entries {
        out.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
        out.extend_from_slice(entry);
    }
    Some(out)
}

/// The right edge of a tree: what its tiles that are not full yet hold. Enough to go on from any size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// By level; each row is shorter than [`WIDTH`].
    rows: Vec<Vec<Digest>>,
}

impl Frontier {
    /// The edge of a tree of `size` leaves, from the tiles that are not full; `None` when `read` does not have one of them whole.
    pub fn read(size: u64, mut read: impl FnMut(&str) -> Option<Vec<u8>>) -> Option<Self> {
        let mut rows = Vec::new();
        let mut complete = size;
        while complete > 0 {
            let width = usize::try_from(complete % WIDTH as u64).ok()?;
            complete /= WIDTH as u64;
            if width == 0 {
                rows.push(Vec::new());
                continue;
            }
            let bytes = read(&path(Level::Hashes(rows.len()), complete, width))?;
            let hashes: Vec<Digest> = bytes.chunks(32).filter_map(|c| <[u8; 32]>::try_from(c).ok()).map(Digest::new).collect();
            if hashes.len() != width || bytes.len() != width * 32 {
                return None;
            }
            rows.push(hashes);
        }
        Some(Self { size, rows })
    }

    /// How many leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash; the tiles that are full with it, lowest level first.
    pub fn push(&mut self, leaf: Digest) -> Vec<Tile> {
        let mut full = Vec::new();
        let mut hash = leaf;
        self.size += 1;
        let mut complete = self.size;
        for level in 0.. {
            if self.rows.len() == level {
                self.rows.push(Vec::new());
            }
            let Some(row) = self.rows.get_mut(level) else { break };
            row.push(hash);
            complete /= WIDTH as u64;
            if row.len() < WIDTH {
                break;
            }
            let hashes = std::mem::take(row);
            hash = Tree::from_leaf_hashes(hashes.iter().copied()).root();
            full.push(Tile { level, index: complete.saturating_sub(1), hashes });
        }
        full
    }

    /// The tiles that are not full, lowest level first.
    pub fn partial(&self) -> Vec<Tile> {
        let mut complete = self.size;
        let mut tiles = Vec::new();
        for (level, row) in self.rows.iter().enumerate() {
            complete /= WIDTH as u64;
            if !row.is_empty() {
                tiles.push(Tile { level, index: complete, hashes: row.clone() });
            }
        }
        tiles
    }

    /// Root over all leaves. A level's complete subtrees and what is right of them are split as leaves would be (RFC 6962
    /// section 2.1: at the largest power of two below the size).
    pub fn root(&self) -> Digest {
        let mut rest: Option<Digest> = None;
        for row in &self.rows {
            let hashes = row.iter().copied().chain(rest);
            let tree = Tree::from_leaf_hashes(hashes);
            if tree.size() > 0 {
                rest = Some(tree.root());
            }
        }
        rest.unwrap_or_else(super::tree::empty_root)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ledger::tree::leaf_hash;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(path(Level::Hashes(0), 0, 256), "tile/0/000");
        assert_eq!(path(Level::Hashes(1), 1_234_067, 256), "tile/1/x001/x234/067");
        assert_eq!(path(Level::Entries, 1_234_067, 8), "tile/entries/x001/x234/067.p/8");
        for good in ["tile/0/000", "tile/63/x001/x234/067", "tile/entries/x001/000.p/255", "tile/0/001.p/1"] {
            assert!(is_path(good), "{good}");
        }
        for bad in [
            "tile/0/0",
            "tile/64/000",
            "tile/00/000",
            "tile/0/x000/001",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/../000",
            "tile/-1/000",
            "tile/0/",
            "tile//000",
            "/tile/0/000",
            "tile/0/000/",
            "checkpoint",
            "tile/0/001/000",
            "tile/0/x1/000",
            "tile/0/99999999999999999999999",
            "tile/0/٠٠٠",
        ] {
            assert!(!is_path(bad), "{bad}");
        }
    }

    /// The example of the specification: a tree of 70,000.
    #[test]
    fn tiles_lead_to_the_roots_of_the_tree() {
        let mut tree = Tree::new();
        let mut edge = Frontier::default();
        let mut files = BTreeMap::new();
        let mut full = [0; 3];
        for n in 0..70_000u32 {
            let leaf = leaf_hash(&n.to_be_bytes());
            tree.push(leaf);
            for tile in edge.push(leaf) {
                full[tile.level] += 1;
                assert_eq!(tile.hashes.len(), WIDTH);
                files.insert(tile.path(), tile.bytes());
            }
            if n < 600 || n % 997 == 0 || n >= 69_990 {
                assert_eq!((edge.size(), edge.root()), (tree.size(), tree.root()));
                let written: BTreeMap<String, Vec<u8>> = edge.partial().iter().map(|t| (t.path(), t.bytes())).collect();
                assert_eq!(Frontier::read(edge.size(), |path| written.get(path).cloned()).as_ref(), Some(&edge));
            }
        }
        assert_eq!(full, [273, 1, 0]);
        let widths: Vec<(String, usize)> = edge.partial().iter().map(|t| (t.path(), t.hashes.len())).collect();
        assert_eq!(widths, [("tile/0/273.p/112".into(), 112), ("tile/1/001.p/17".into(), 17), ("tile/2/000.p/1".into(), 1)]);
        let above = &files["tile/1/000"];
        let below = Tree::from_leaf_hashes(files["tile/0/003"].chunks(32).map(|c| Digest::new(c.try_into().unwrap())));
        assert_eq!(&above[96..128], below.root().bytes());
    }

    #[test]
    fn an_edge_with_a_file_missing_short_or_long_is_not_taken() {
        let mut edge = Frontier::default();
        for n in 0..300u32 {
            edge.push(leaf_hash(&n.to_be_bytes()));
        }
        for (lost, change) in [(true, 0), (false, -1), (false, 32)] {
            let read = |path: &str| {
                let tile = edge.partial().into_iter().find(|t| t.path() == path)?;
                let mut bytes = tile.bytes();
                let length = usize::try_from(i64::try_from(bytes.len()).unwrap() + change).unwrap();
                bytes.resize(length, 0);
                (!lost).then_some(bytes)
            };
            assert_eq!(Frontier::read(300, read), None);
        }
        assert_eq!(Frontier::read(0, |_| None), Some(Frontier::default()));
    }

    #[test]
    fn a_bundle_has_the_length_before_each_entry() {
        assert_eq!(bundle([b"ab".as_slice(), b""]), Some(vec![0, 2, b'a', b'b', 0, 0]));
        assert_eq!(bundle([vec![0; 65_536].as_slice()]), None);
    }
}
