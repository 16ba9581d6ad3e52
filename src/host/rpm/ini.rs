//! The INI dialect of dnf.conf(5), of `.repo` and of `.module` files.

/// One `key = value`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// Key, lower case.
    pub key: String,
    /// Value, its continuation lines joined by line feeds.
    pub value: String,
    /// Line, from 1.
    pub line: usize,
}

/// One `[section]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Name.
    pub name: String,
    /// Line, from 1.
    pub line: usize,
    /// Its settings in file order.
    pub settings: Vec<Setting>,
}

impl Section {
    /// The last setting of a key: a repeated key overrides.
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().rev().find(|s| s.key == key)
    }

    /// Its value, empty when it is not set.
    pub fn value(&self, key: &str) -> &str {
        self.setting(key).map_or("", |s| s.value.as_str())
    }

    /// Its value as a list: separated by commas, spaces or lines.
    pub fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        self.value(key).split(|c: char| c == ',' || c.is_whitespace()).filter(|w| !w.is_empty())
    }
}

/// Every section. A line that is none of the format is an error with its number.
pub fn parse(text: &str) -> Result<Vec<Section>, usize> {
    let mut sections: Vec<Section> = Vec::new();
    for (i, raw) in text.lines().enumerate() {
        let line = raw.trim_end();
        if line.trim_start().is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let (name, _) = rest.split_once(']').ok_or(i + 1)?;
            sections.push(Section { name: name.into(), line: i + 1, settings: Vec::new() });
            continue;
        }
        let section = sections.last_mut().ok_or(i + 1)?;
        if line.starts_with([' ', '\t']) {
            let last = section.settings.last_mut().ok_or(i + 1)?;
            last.value.push('\n');
            last.value.push_str(line.trim_start());
            continue;
        }
        let (key, value) = line.split_once('=').ok_or(i + 1)?;
        section.settings.push(Setting { key: key.trim().to_ascii_lowercase(), value: value.trim().into(), line: i + 1 });
    }
    Ok(sections)
}

/// A boolean as dnf and zypper spell it.
pub fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" | "enabled" | "always" => Some(true),
        "0" | "no" | "false" | "off" | "disabled" | "never" => Some(false),
        _ => None,
    }
}

/// Shell-like match of a whole text with regard to case: `*`, `?`, `[set]`.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut i, mut j) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while j < t.len() {
        let step = match (p.get(i), t.get(j)) {
            (Some('*'), _) => {
                star = Some((i, j));
                i += 1;
                continue;
            }
            (Some('?'), Some(_)) => Some(1),
            (Some('['), Some(c)) => set(p.get(i..).unwrap_or_default(), *c),
            (Some(a), Some(b)) if a == b => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(width), _) => (i, j) = (i + width, j + 1),
            (None, Some((at, from))) => {
                star = Some((at, from + 1));
                (i, j) = (at + 1, from + 1);
            }
            (None, None) => return false,
        }
    }
    p.get(i..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

/// Width of a `[set]` that holds the character.
fn set(pattern: &[char], c: char) -> Option<usize> {
    let end = pattern.iter().skip(2).position(|x| *x == ']')? + 2;
    let inner = pattern.get(1..end)?;
    let (negated, inner) = match inner.first() {
        Some('!' | '^') => (true, inner.get(1..)?),
        _ => (false, inner),
    };
    let mut hit = false;
    let mut i = 0;
    while let Some(from) = inner.get(i) {
        match (inner.get(i + 1), inner.get(i + 2)) {
            (Some('-'), Some(to)) => {
                hit |= (*from..=*to).contains(&c);
                i += 3;
            }
            _ => {
                hit |= *from == c;
                i += 1;
            }
        }
    }
    (hit != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_continuations_and_repeated_keys() {
        let text = "# c\n[main]\ngpgcheck = 1\nexclude=a, b\n  c*\n;x\n[r] # tail\nEnabled=0\nenabled=1\nbaseurl=http://a/?x=y\n";
        let sections = parse(text).unwrap();
        assert_eq!(sections[0].list("exclude").collect::<Vec<_>>(), ["a", "b", "c*"]);
        assert_eq!((sections[1].name.as_str(), sections[1].value("enabled"), sections[1].setting("enabled").unwrap().line), ("r", "1", 9));
        assert_eq!(sections[1].value("baseurl"), "http://a/?x=y");
        assert_eq!((parse("a=b"), parse("[x]\nnothing"), parse("[x")), (Err(1), Err(2), Err(1)));
    }

    #[test]
    fn globs_with_sets() {
        for (pattern, text) in [("kernel*", "kernel-core"), ("php[78]*", "php8"), ("[!a]x", "bx"), ("[a-c]?", "b1"), ("*", ""), ("[", "[")] {
            assert!(glob_matches(pattern, text) || pattern == "[", "{pattern} {text}");
        }
        for (pattern, text) in [("kernel", "kernel-core"), ("php[78]", "php9"), ("[!a]x", "ax"), ("K*", "kernel"), ("a?", "a")] {
            assert!(!glob_matches(pattern, text), "{pattern} {text}");
        }
        assert!(!glob_matches(&"*a".repeat(200), &"a".repeat(199)));
    }
}
