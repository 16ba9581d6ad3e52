//! What dpkg and apt leave on disk, read the way they read it.

pub mod apt_conf;
pub mod apt_lists;
pub mod apt_periodic;
pub mod apt_pins;
pub mod apt_sources;
pub mod control;
pub mod owners;
pub mod status;
pub mod unattended_log;
pub mod version;

/// Whether apt reads a file of a `.d` folder (apt.conf(5), sources.list(5), apt_preferences(5)):
/// letters, digits, `-`, `_`, `:` and `.` only, with one of `extensions` (an empty one: none at all).
pub fn is_read_by_apt(name: &str, extensions: &[&str]) -> bool {
    let clean = !name.starts_with('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'));
    let extension = name.rsplit_once('.').map(|(_, e)| e);
    clean && extensions.iter().any(|wanted| if wanted.is_empty() { extension.is_none() } else { extension == Some(wanted) })
}

/// Shell-like match of a whole text: `*`, `?` and literal characters, without regard to case.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    glob(pattern.as_bytes(), text.as_bytes(), u8::eq_ignore_ascii_case)
}

/// The same, with regard to case.
pub fn glob_matches_exactly(pattern: &str, text: &str) -> bool {
    glob(pattern.as_bytes(), text.as_bytes(), |a, b| a == b)
}

fn glob(p: &[u8], t: &[u8], same: impl Fn(&u8, &u8) -> bool) -> bool {
    let (mut i, mut j) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while j < t.len() {
        match (p.get(i), t.get(j)) {
            (Some(b'*'), _) => {
                star = Some((i, j));
                i += 1;
            }
            (Some(a), Some(b)) if *a == b'?' || same(a, b) => {
                i += 1;
                j += 1;
            }
            _ => {
                let Some((at, from)) = star else {
                    return false;
                };
                star = Some((at, from + 1));
                i = at + 1;
                j = from + 1;
            }
        }
    }
    p.get(i..).is_some_and(|rest| rest.iter().all(|b| *b == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_apt_ignores_are_ignored() {
        assert!(is_read_by_apt("debian.sources", &["sources"]));
        assert!(is_read_by_apt("20auto-upgrades", &["", "conf"]));
        assert!(is_read_by_apt("10a:b", &["", "conf"]) && !is_read_by_apt("x.", &["", "conf"]));
        for name in ["a.list.save", "a.list~", ".a.list", "a b.list", "a.sources.disabled", "a"] {
            assert!(!is_read_by_apt(name, &["list", "sources"]), "{name}");
        }
    }

    #[test]
    fn globs_match_whole_texts() {
        for (pattern, text) in [("*", ""), ("php*", "php8.2"), ("12.*", "12.15"), ("a?c*e", "abcde"), ("**", "x")] {
            assert!(glob_matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("php", "php8.2"), ("a?", "a"), ("*x", "xy"), ("", "a")] {
            assert!(!glob_matches(pattern, text), "{pattern} {text}");
        }
    }
}
