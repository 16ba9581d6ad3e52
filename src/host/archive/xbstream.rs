//! Streams of mariadb-backup (`mbstream`): chunks with a checksum each.
//!
//! ```text
//! XBSTCK01, flags u8, type u8 (P payload, E end), length of path u32, path
//! P: length u64, offset u64, CRC-32 u32, bytes          little endian
//! ```

use flate2::Crc;

/// Longest path, bytes.
const PATH: usize = 4096;
/// Longest file that is kept, bytes.
const KEPT: usize = 64 << 10;
const WANTED: [&str; 4] = ["xtrabackup_checkpoints", "mariadb_backup_checkpoints", "xtrabackup_binlog_info", "mariadb_backup_binlog_info"];

/// A stream on its way by.
#[derive(Debug, Default)]
pub(super) struct Walk {
    head: Vec<u8>,
    payload: Option<Payload>,
    /// Files that begun and did not end.
    open: std::collections::BTreeSet<String>,
    /// Chunks seen.
    pub chunks: u64,
    /// Wanted files: name and content.
    pub kept: Vec<(String, Vec<u8>)>,
    /// What is wrong.
    pub fault: Option<String>,
}

#[derive(Debug)]
struct Payload {
    path: String,
    left: u64,
    checksum: u32,
    crc: Crc,
}

impl Walk {
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.fault.is_none() {
            if let Some(payload) = &mut self.payload {
                let step = usize::try_from(payload.left).unwrap_or(usize::MAX).min(bytes.len());
                let (now, rest) = bytes.split_at(step);
                payload.crc.update(now);
                payload.left -= step as u64;
                if WANTED.contains(&payload.path.as_str()) {
                    keep(&mut self.kept, &payload.path, now);
                }
                bytes = rest;
                self.close();
                continue;
            }
            let Some((&first, rest)) = bytes.split_first() else { break };
            self.head.push(first);
            bytes = rest;
            self.chunk();
        }
    }

    /// A chunk's head, once it is whole.
    fn chunk(&mut self) {
        let Some(length) = u32_at(&self.head, 10) else { return };
        let length = length as usize;
        if !self.head.starts_with(b"XBSTCK01") || length > PATH {
            self.fault = Some(format!("chunk {} of the stream is damaged", self.chunks + 1));
            return;
        }
        let is_end = self.head.get(9) == Some(&b'E');
        let Some(path) = self.head.get(14..14 + length) else { return };
        let path = String::from_utf8_lossy(path).into_owned();
        if is_end {
            self.open.remove(&path);
            self.chunks += 1;
            self.head.clear();
            return;
        }
        let (Some(left), Some(checksum)) = (u64_at(&self.head, 14 + length), u32_at(&self.head, 30 + length)) else { return };
        self.open.insert(path.clone());
        self.payload = Some(Payload { path, left, checksum, crc: Crc::new() });
        self.head.clear();
        self.close();
    }

    fn close(&mut self) {
        let Some(payload) = self.payload.take_if(|p| p.left == 0) else { return };
        self.chunks += 1;
        if payload.crc.sum() != payload.checksum {
            self.fault = Some(format!("chunk {} of the stream ({}) has another checksum", self.chunks, payload.path));
        }
    }

    /// What is wrong once nothing more comes.
    pub(super) fn verdict(&self) -> Option<String> {
        if self.fault.is_some() {
            return self.fault.clone();
        }
        let cut = self.payload.is_some() || !self.head.is_empty() || !self.open.is_empty();
        cut.then(|| format!("the stream is cut short behind {} chunks", self.chunks))
    }
}

fn keep(kept: &mut Vec<(String, Vec<u8>)>, path: &str, bytes: &[u8]) {
    if kept.last().is_none_or(|(name, _)| name != path) {
        kept.push((path.to_string(), Vec::new()));
    }
    if let Some((_, content)) = kept.last_mut() {
        let room = KEPT.saturating_sub(content.len());
        content.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(content: &[u8]) -> Vec<u8> {
        let mut crc = Crc::new();
        crc.update(content);
        let head = |kind: u8| [b"XBSTCK01\0".as_slice(), &[kind], &22_u32.to_le_bytes(), b"xtrabackup_checkpoints"].concat();
        let payload = [&(content.len() as u64).to_le_bytes()[..], &0_u64.to_le_bytes(), &crc.sum().to_le_bytes(), content].concat();
        [head(b'P'), payload, head(b'E')].concat()
    }

    #[test]
    fn chunks_are_added_up() {
        let whole = stream(b"to_lsn = 5\n");
        for step in [1, 13, 1000] {
            let mut walk = Walk::default();
            whole.chunks(step).for_each(|c| walk.take(c));
            assert_eq!((walk.verdict(), walk.kept[0].1.as_slice()), (None, &b"to_lsn = 5\n"[..]));
        }
        for length in 1..whole.len() {
            let mut walk = Walk::default();
            walk.take(&whole[..length]);
            assert!(walk.verdict().is_some(), "{length}");
        }
        let mut changed = whole.clone();
        let at = changed.windows(6).position(|w| w == b"to_lsn").unwrap();
        changed[at] ^= 1;
        let mut walk = Walk::default();
        walk.take(&changed);
        assert!(walk.verdict().unwrap().contains("checksum"));
        let mut walk = Walk::default();
        walk.take(&[0xff; 5000]);
        assert!(walk.verdict().is_some());
    }
}
