//! Programs that distributions ship with set-ID bits or capabilities: `rules/data/setuid-programs.csv`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

const DATA: &str = include_str!("../../../rules/data/setuid-programs.csv");
/// Folders that usrmerge moved below `/usr`.
const MERGED: [&str; 6] = ["/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/"];

/// Whether a program at this path is shipped with this privilege: `setuid` or `setgid`.
pub(super) fn has_bit(path: &str, bit: &str) -> bool {
    privileges(path).contains(&bit)
}

/// Whether a program at this path is shipped with at least these capabilities.
pub(super) fn has_capabilities(path: &str, wanted: &[String]) -> bool {
    privileges(path).iter().any(|row| wanted.iter().all(|w| row.split(' ').any(|c| c == w)))
}

fn privileges(path: &str) -> Vec<&'static str> {
    let merged = if MERGED.iter().any(|m| path.starts_with(m)) { format!("/usr{path}") } else { path.to_string() };
    let Some((_, name)) = merged.rsplit_once('/') else { return Vec::new() };
    let rows = BY_NAME.get(name).map(Vec::as_slice).unwrap_or_default();
    rows.iter().filter(|(pattern, _)| matches(pattern, &merged)).map(|(_, privilege)| *privilege).collect()
}

/// `*` stands for one folder.
fn matches(pattern: &str, path: &str) -> bool {
    let (mut a, mut b) = (pattern.split('/'), path.split('/'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(x), Some(y)) if x == y => {}
            _ => return false,
        }
    }
}

/// File name -> its rows: path and privilege.
static BY_NAME: LazyLock<BTreeMap<&'static str, Vec<(&'static str, &'static str)>>> = LazyLock::new(|| {
    let mut rows: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in DATA.lines().filter(|l| l.starts_with('/')) {
        let mut cells = line.split(',');
        if let (Some(path), Some(_), Some(privilege)) = (cells.next(), cells.next(), cells.next()) {
            rows.entry(path.rsplit('/').next().unwrap_or_default()).or_default().push((path, privilege));
        }
    }
    rows
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_before_and_after_the_merge_and_of_any_processor() {
        for path in ["/usr/bin/su", "/bin/su", "/usr/bin/sudo", "/sbin/mount.nfs"] {
            assert!(has_bit(path, "setuid"), "{path}");
        }
        assert!(has_bit("/usr/lib/aarch64-linux-gnu/utempter/utempter", "setgid"));
        assert!(has_capabilities("/bin/ping", &["cap_net_raw".into()]));
        for path in ["/usr/local/bin/su", "/tmp/su", "/usr/bin/vim.basic", "/usr/lib/a/b/utempter/utempter", "/home/x/usr/bin/sudo"] {
            assert!(!has_bit(path, "setuid") && !has_bit(path, "setgid"), "{path}");
        }
        assert!(!has_capabilities("/bin/ping", &["cap_net_raw".into(), "cap_sys_admin".into()]));
    }

    #[test]
    fn every_row_of_the_data_file_is_whole() {
        let rows: Vec<&str> = DATA.lines().filter(|l| !l.starts_with('#')).skip(1).collect();
        for row in &rows {
            let cells: Vec<&str> = row.split(',').collect();
            assert_eq!(cells.len(), 4, "{row}");
            assert!(cells[0].starts_with('/') && !MERGED.iter().any(|m| cells[0].starts_with(m)), "{row}");
            assert!(["setuid", "setgid"].contains(&cells[2]) || cells[2].split(' ').all(|c| c.starts_with("cap_")), "{row}");
        }
        assert!(rows.len() > 150);
    }
}
