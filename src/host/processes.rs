//! Running processes: which files they map, and where they belong (proc(5)).

use super::{CONFIG_LIMIT, FileKind, Host, ReadError};

/// Largest map table of one process that is read, bytes (150,000 mappings).
pub const MAPS_LIMIT: usize = 16 << 20;

/// Process ids, ascending.
pub fn ids(host: &Host) -> Result<Vec<u32>, ReadError> {
    let mut out: Vec<u32> = host.list("/proc")?.iter().filter(|e| e.kind == FileKind::Folder).filter_map(|e| e.name.parse().ok()).collect();
    out.sort_unstable();
    Ok(out)
}

/// Paths of executable mappings whose file was replaced or removed, sorted; `None` when the process has ended.
pub fn deleted_code(host: &Host, pid: u32) -> Result<Option<Vec<String>>, ReadError> {
    let path = format!("/proc/{pid}/maps");
    let text = match host.read_text(&path, MAPS_LIMIT) {
        Ok(text) => text,
        Err(e) => return if has_ended(host, pid, &e) { Ok(None) } else { Err(e) },
    };
    let mut out: Vec<String> = text.lines().filter_map(deleted_path).map(String::from).collect();
    out.sort();
    out.dedup();
    Ok(Some(out))
}

/// ENOENT when opening, ESRCH when reading.
fn has_ended(host: &Host, pid: u32, error: &ReadError) -> bool {
    error.is_not_found() || (!matches!(error, ReadError::Denied(_) | ReadError::TooLarge(..)) && !host.exists(&format!("/proc/{pid}/exe")).unwrap_or(true))
}

/// Where deleted files are mapped on purpose: shared memory, generated code, temporary files.
const ON_PURPOSE: &[&str] = &["/memfd:", "/SYSV", "/dev/", "/run/", "/tmp/", "/var/tmp/", "/anon_hugepage", "/[aio]", "/drm", "/i915"];

/// `7f10-7f20 r-xp 0000 fe:01 77   /usr/lib/libx.so.1 (deleted)`: the path.
fn deleted_path(line: &str) -> Option<&str> {
    let rest = line.strip_suffix(" (deleted)")?;
    let mut words = rest.splitn(3, ' ');
    let permissions = words.nth(1)?;
    let path = rest.get(rest.find('/')?..)?;
    let is_code = permissions.as_bytes().get(2) == Some(&b'x');
    let path = without_package_manager_suffix(path);
    (is_code && !ON_PURPOSE.iter().any(|p| path.starts_with(p))).then_some(path)
}

/// dpkg and rpm rename a file before they remove it.
fn without_package_manager_suffix(path: &str) -> &str {
    let path = path.strip_suffix(".dpkg-new").or_else(|| path.strip_suffix(".dpkg-tmp")).unwrap_or(path);
    match path.rsplit_once(';') {
        Some((before, hex)) if hex.len() == 8 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => before,
        _ => path,
    }
}

/// The running file, and whether it was replaced or removed; `None` when the process has ended.
pub fn executable(host: &Host, pid: u32) -> Result<Option<(String, bool)>, ReadError> {
    match host.read_link(&format!("/proc/{pid}/exe")) {
        Ok(target) => Ok(Some(match target.strip_suffix(" (deleted)") {
            Some(path) => (without_package_manager_suffix(path).into(), true),
            None => (target, false),
        })),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e),
    }
}

/// The systemd service it belongs to, from its control group; empty when it is part of none.
pub fn service(host: &Host, pid: u32) -> String {
    let text = host.read_text(&format!("/proc/{pid}/cgroup"), CONFIG_LIMIT).unwrap_or_default();
    let path = text.lines().find_map(|l| l.strip_prefix("0::").or_else(|| l.split_once(":name=systemd:").map(|(_, p)| p)));
    path.and_then(|p| p.rsplit('/').find(|part| part.ends_with(".service"))).unwrap_or_default().to_string()
}

/// Name of the program as the kernel keeps it, 15 bytes; unprintable ones replaced.
pub fn name(host: &Host, pid: u32) -> String {
    let text = host.read_text(&format!("/proc/{pid}/comm"), CONFIG_LIMIT).unwrap_or_default();
    text.trim_end_matches('\n').chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// Real user id; `None` when the process has ended.
pub fn uid(host: &Host, pid: u32) -> Option<u32> {
    let text = host.read_text(&format!("/proc/{pid}/status"), CONFIG_LIMIT).ok()?;
    text.lines().find_map(|l| l.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_that_was_deleted() {
        let of = |line: &str| deleted_path(line).map(String::from);
        let code = "7f1000-7f2000 r-xp 00001000 fe:01 77                         /usr/lib/x86 64/libssl.so.3 (deleted)";
        assert_eq!(of(code), Some("/usr/lib/x86 64/libssl.so.3".into()));
        assert_eq!(of(&code.replace("r-xp", "r--p")), None);
        assert_eq!(of(code.trim_end_matches(" (deleted)")), None);
        for on_purpose in ["/memfd:x", "/SYSV00000000", "/dev/zero", "/tmp/ffi1", "/run/user/1000/orcexec.x"] {
            assert_eq!(of(&code.replace("/usr/lib/x86 64/libssl.so.3", on_purpose)), None, "{on_purpose}");
        }
        assert_eq!(of(&code.replace("libssl.so.3", "libssl.so.3;5f3a00ff")), of(code));
        assert_eq!(of(&code.replace("libssl.so.3", "libssl.so.3.dpkg-tmp")), of(code));
        for garbage in [" (deleted)", "x (deleted)", "a b /c (deleted)", "/ (deleted)"] {
            assert_eq!(of(garbage), None, "{garbage}");
        }
    }
}
