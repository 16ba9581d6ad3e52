//! Local authority files (pklocalauthority(8), `.pkla`): key files with one entry a group.

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Line of its heading.
    pub line: usize,
    /// `unix-user:NAME`, `unix-group:NAME`, `unix-netgroup:NAME`, `unix-user:*`, `default`.
    pub identities: Vec<String>,
    /// Action ids with `*`.
    pub actions: Vec<String>,
    /// `ResultAny`, `ResultInactive`, `ResultActive`; empty when not set.
    pub results: [String; 3],
}

/// Names of the three results.
pub const RESULTS: [&str; 3] = ["ResultAny", "ResultInactive", "ResultActive"];

/// Entries in order; lines that belong to none are left out as glib does.
pub fn entries(text: &str) -> Vec<Entry> {
    let mut out: Vec<Entry> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('[') && line.ends_with(']') {
            out.push(Entry { line: index + 1, ..Entry::default() });
            continue;
        }
        let (Some(entry), Some((key, value))) = (out.last_mut(), line.split_once('=')) else { continue };
        let list = || value.split(';').map(str::trim).filter(|v| !v.is_empty()).map(String::from).collect::<Vec<_>>();
        match key.trim() {
            "Identity" => entry.identities = list(),
            "Action" => entry.actions = list(),
            key => {
                let slot = RESULTS.iter().position(|r| *r == key).and_then(|i| entry.results.get_mut(i));
                if let Some(slot) = slot {
                    *slot = value.trim().to_string();
                }
            }
        }
    }
    out.retain(|e| !e.identities.is_empty() && !e.actions.is_empty());
    out
}

/// The last value of a key of a key file.
pub fn value(text: &str, key: &str) -> Option<(usize, String)> {
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with('#'));
    let found = lines.filter_map(|(i, l)| l.split_once('=').filter(|(k, _)| k.trim() == key).map(|(_, v)| (i + 1, v.trim().to_string())));
    found.last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_rubbish_is_not() {
        let text =
            "lost=1\n[A b]\nIdentity=unix-group:staff;unix-user:*;\nAction=org.a.*; org.b\nResultActive=yes\n#ResultAny=yes\n[empty]\nResultAny=yes\n=\n[\n";
        let found = entries(text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].line, found[0].identities.len(), found[0].actions[1].as_str()), (2, 2, "org.b"));
        assert_eq!(found[0].results, [String::new(), String::new(), "yes".to_string()]);
        assert_eq!(value("#AdminIdentities=x\nAdminIdentities=unix-user:0\n", "AdminIdentities"), Some((2, "unix-user:0".into())));
    }
}
