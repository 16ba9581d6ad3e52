//! Checksums that lie beside a backup, as sha256sum(1) and its kin write them.

use super::{Looking, Made};
use crate::host::CONFIG_LIMIT;
use crate::host::archive;

/// Ends of the names of files for one file, and lists for a whole folder; both hold SHA-256 or SHA-512.
const BESIDE: [&str; 4] = [".sha256", ".sha256sum", ".sha512", ".sha512sum"];
const LISTS: [&str; 3] = ["SHA256SUMS", "SHA512SUMS", "sha256sum.txt"];

/// `matches`, `differs`, `none`, `unread`.
pub(super) fn beside(looking: &mut Looking<'_>, made: &Made) -> &'static str {
    let (folder, name) = made.path.rsplit_once('/').unwrap_or(("", &made.path));
    let own = BESIDE.iter().map(|end| (format!("{}{end}", made.path), true));
    let lists = LISTS.iter().map(|list| (format!("{folder}/{list}"), false));
    for (path, alone) in own.chain(lists) {
        let Ok(text) = looking.host.read_text(&path, CONFIG_LIMIT) else { continue };
        let Some(wanted) = sum_of(&text, name, alone) else { continue };
        return match archive::digest(looking.host, &made.path, wanted.len(), &mut looking.budget) {
            Ok(Some(is)) if is == wanted => "matches",
            Ok(Some(_)) => "differs",
            _ => "unread",
        };
    }
    "none"
}

/// The checksum of a file in a list; a file with one checksum and no name is for the file that it is named after.
fn sum_of(text: &str, name: &str, alone: bool) -> Option<String> {
    let is_sum = |word: &str| matches!(word.len(), 64 | 128) && word.bytes().all(|b| b.is_ascii_hexdigit());
    for line in text.lines().map(str::trim) {
        // BSD: SHA256 (name) = sum
        if let Some((head, sum)) = line.rsplit_once(") = ") {
            let named = head.split_once(" (").map_or("", |(_, n)| n);
            if is_sum(sum) && base(named) == name {
                return Some(sum.to_ascii_lowercase());
            }
            continue;
        }
        let (sum, named) = line.trim_start_matches('\\').split_once([' ', '\t']).unwrap_or((line, ""));
        let named = named.trim_start_matches([' ', '*', '\t']);
        if is_sum(sum) && (base(named) == name || (alone && named.is_empty())) {
            return Some(sum.to_ascii_lowercase());
        }
    }
    None
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_their_forms() {
        let sum = "ab".repeat(32);
        let found = |text: &str, alone| sum_of(text, "x.tar", alone);
        for text in
            [format!("{sum}  x.tar\n"), format!("# a\n{sum} *x.tar"), format!("SHA256 (x.tar) = {}", sum.to_uppercase()), format!("{sum}  /srv/b/x.tar")]
        {
            assert_eq!(found(&text, false), Some(sum.clone()), "{text}");
        }
        assert_eq!((found(&sum, true), found(&sum, false)), (Some(sum.clone()), None));
        assert_eq!(found(&format!("{sum}  y.tar"), true), None);
        assert_eq!(found("not a sum  x.tar", true), None);
    }
}
