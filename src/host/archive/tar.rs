//! tar as it streams by (POSIX.1-2017 pax, ustar; GNU tar's own forms): every header's checksum, and the end of the archive.

/// Bytes of a block.
const BLOCK: usize = 512;
/// Longest member that is kept, bytes, and most of them.
const KEPT: usize = 64 << 10;
const KEPT_MEMBERS: usize = 8;
/// Members that are kept for whoever asks: they tell what a backup of a database holds.
const WANTED: [&str; 6] =
    ["backup_label", "xtrabackup_checkpoints", "mariadb_backup_checkpoints", "xtrabackup_binlog_info", "mariadb_backup_binlog_info", "PG_VERSION"];

/// Whether a block is a header whose checksum is right.
pub(super) fn is_header(block: &[u8]) -> bool {
    let Some(block) = block.get(..BLOCK) else { return false };
    let Some(written) = octal(block.get(148..156).unwrap_or_default()) else { return false };
    let sum: u64 = block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u64::from(*b) }).sum();
    // A block of nothing has the checksum of eight spaces; a header has a name.
    sum == written && block.first() != Some(&0)
}

/// An archive on its way by.
#[derive(Debug, Default)]
pub(super) struct Walk {
    block: Vec<u8>,
    /// Bytes of the present member and its padding still to come.
    left: u64,
    keeping: Option<(String, usize)>,
    /// Headers seen.
    pub members: u64,
    /// Wanted members: name and content.
    pub kept: Vec<(String, Vec<u8>)>,
    /// Whether the block of zeros that ends an archive came.
    pub ended: bool,
    /// What is wrong.
    pub fault: Option<String>,
}

impl Walk {
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.ended && self.fault.is_none() {
            if self.left > 0 {
                let step = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                let (now, rest) = bytes.split_at(step);
                self.keep(now);
                self.left -= step as u64;
                bytes = rest;
                continue;
            }
            let step = (BLOCK - self.block.len()).min(bytes.len());
            let (now, rest) = bytes.split_at(step);
            self.block.extend_from_slice(now);
            bytes = rest;
            if self.block.len() == BLOCK {
                self.header();
                self.block.clear();
            }
        }
    }

    fn header(&mut self) {
        if self.block.iter().all(|b| *b == 0) {
            self.ended = true;
            return;
        }
        if !is_header(&self.block) {
            self.fault = Some(format!("the header behind {} members of the archive is damaged", self.members));
            return;
        }
        self.members += 1;
        let size = number(self.block.get(124..136).unwrap_or_default()).unwrap_or(0);
        self.left = size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        let name = self.block.get(..100).and_then(|n| n.split(|b| *b == 0).next()).unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        let short = name.trim_start_matches("./");
        self.keeping = None;
        if let (true, Ok(size)) = (WANTED.contains(&short) && self.kept.len() < KEPT_MEMBERS, usize::try_from(size))
            && size <= KEPT
        {
            self.kept.push((short.to_string(), Vec::new()));
            self.keeping = Some((short.to_string(), size));
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let (Some((_, size)), Some((_, content))) = (&self.keeping, self.kept.last_mut()) else { return };
        let room = size.saturating_sub(content.len());
        content.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    /// What is wrong once nothing more comes.
    pub(super) fn verdict(&self) -> Option<String> {
        match &self.fault {
            Some(fault) => Some(fault.clone()),
            None if !self.ended => Some(format!("the archive is cut short behind {} members", self.members)),
            None => None,
        }
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(|c| matches!(c, ' ' | '\0'));
    u64::from_str_radix(text, 8).ok()
}

/// A size: octal, or base 256 when the first bit is set (GNU).
fn number(field: &[u8]) -> Option<u64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => {
            let low = field.get(field.len().checked_sub(8)?..)?;
            Some(low.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
        }
        _ => octal(field),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the archive is made by tar itself")]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn archives_of_tar_itself_whole_cut_and_changed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("backup_label"), "START WAL LOCATION: 0/2000028\n").unwrap();
        std::fs::write(dir.path().join("data"), vec![7; 5000]).unwrap();
        for format in ["gnu", "pax", "ustar"] {
            let made = dir.path().join("x.tar");
            let status =
                Command::new("tar").arg("-C").arg(dir.path()).arg(format!("--format={format}")).arg("-cf").arg(&made).args(["./backup_label", "data"]).status();
            assert!(status.unwrap().success());
            let bytes = std::fs::read(&made).unwrap();
            assert!(is_header(&bytes));
            for step in [1, 7, 512, 100_000] {
                let mut walk = Walk::default();
                bytes.chunks(step).for_each(|c| walk.take(c));
                assert_eq!(walk.verdict(), None);
                assert_eq!(walk.kept[0].1, b"START WAL LOCATION: 0/2000028\n");
            }
            let mut cut = Walk::default();
            cut.take(&bytes[..3000]);
            assert!(cut.verdict().unwrap().contains("cut short"));
            let second = (1..bytes.len() / 512).map(|i| i * 512).rfind(|at| is_header(&bytes[*at..])).unwrap();
            let mut changed = bytes.clone();
            changed[second + 3] ^= 1;
            let mut walk = Walk::default();
            walk.take(&changed);
            assert!(walk.verdict().unwrap().contains("damaged"));
        }
    }

    #[test]
    fn any_bytes_end() {
        let mut seed = 1_u32;
        for _ in 0..200 {
            let bytes: Vec<u8> = (0..1500)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            let mut walk = Walk::default();
            walk.take(&bytes);
            assert!(walk.verdict().is_some());
        }
        assert!(!is_header(&[0; 512]));
    }
}
