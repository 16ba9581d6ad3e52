//! The newest backup of each variety, looked into.

use super::{Looking, Made, Newest, base, mariadb, restic, sums};
use crate::host::archive::{self, HEAD, Integrity, recognise};
use crate::model::fact::Source;
use crate::model::gap::reason;
use crate::model::kept::{BackupKind, BackupSet};

/// Earlier backups that the median is taken of, and the fewest.
const EARLIER: usize = 30;
const FEWEST: usize = 3;
const VARIETIES: [&str; 4] = ["full", "differential", "single", "other"];

/// What looking into one backup told.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub integrity: Integrity,
    pub why: String,
    /// Format and what is inside.
    pub format: String,
}

pub(super) fn look(looking: &mut Looking<'_>, declared: &BackupSet, made: &[Made]) {
    if declared.kind == BackupKind::Borg {
        return;
    }
    for variety in VARIETIES {
        let real: Vec<&Made> = made.iter().filter(|m| m.is_real() && m.run.variety == variety).collect();
        let Some((newest, earlier)) = real.split_last() else { continue };
        let subject = format!("{} {variety}", declared.name);
        let found = match declared.kind {
            BackupKind::Restic => restic::check(looking, declared),
            BackupKind::PostgresqlBase if newest.folder => base::check(looking, newest),
            BackupKind::MariadbFull if newest.folder => mariadb::check(looking, newest, made),
            _ => file(looking, newest),
        };
        let checksum = if newest.folder || declared.kind == BackupKind::Restic { "none" } else { sums::beside(looking, newest) };
        let median = median(newest, earlier);
        note(looking, &subject, &found, checksum, &newest.run.name);
        looking.into.newest.push(Newest {
            subject,
            set: declared.name.clone(),
            name: newest.run.name.clone(),
            at: newest.run.at,
            bytes: newest.run.bytes,
            median_bytes: median,
            percent: median.filter(|m| *m > 0).map(|m| newest.run.bytes.saturating_mul(100) / m),
            format: found.format,
            integrity: found.integrity.word().into(),
            integrity_why: found.why,
            checksum: checksum.into(),
            source: Source::whole(newest.path.clone()),
        });
    }
}

/// What can't be told is a gap, unless a checksum beside the file tells enough.
fn note(looking: &mut Looking<'_>, subject: &str, found: &Found, checksum: &str, name: &str) {
    let vouched = checksum == "matches";
    let (id, remedy) = match found.integrity {
        Integrity::Unread if !vouched => (reason::LIMIT_REACHED, "Restore it elsewhere regularly and record that."),
        Integrity::Silent if !vouched => (reason::UNSUPPORTED, "Write a checksum beside it, such as sha256sum does, or restore it elsewhere and record that."),
        _ => return,
    };
    let why = if found.why.is_empty() { "it was not read to its end" } else { found.why.as_str() };
    looking.gap("newest.integrity", subject, id, format!("{name}: {why}"), remedy);
}

/// A file, or the file that tells what a folder is.
pub(super) fn file(looking: &mut Looking<'_>, made: &Made) -> Found {
    let unread = |why: String| Found { integrity: Integrity::Unread, why, format: made.run.format.clone() };
    let format = match looking.host.read_head(&made.main, HEAD) {
        Ok(head) => recognise(&head),
        Err(e) => return unread(e.to_string()),
    };
    match archive::check(looking.host, &made.main, made.main_bytes, format, &mut looking.budget) {
        Ok(checked) => {
            let inside = checked.told.word;
            let packed = matches!(format.word, "gzip" | "zstd" | "xz" | "lz4") && !matches!(inside, "" | "unknown");
            let shown = if packed { format!("{} {inside}", format.word) } else { format.word.to_string() };
            Found { integrity: checked.integrity, why: checked.why, format: shown }
        }
        Err(e) => unread(e.to_string()),
    }
}

fn median(newest: &Made, earlier: &[&Made]) -> Option<u64> {
    let mut sizes: Vec<u64> = earlier.iter().rev().filter(|m| m.shape == newest.shape && m.run.bytes > 0).take(EARLIER).map(|m| m.run.bytes).collect();
    if sizes.len() < FEWEST {
        return None;
    }
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied()
}
