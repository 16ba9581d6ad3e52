//! What an operator declares of places: whose folders lie side by side, where payment data must not be, what must be
//! empty, and where the machine stands.

use serde::{Deserialize, Serialize};

/// Most declarations of one kind.
pub const DECLARATIONS: usize = 256;
/// Most names of one declaration.
const NAMES: usize = 256;

/// Folders of tenants: each match of the pattern is one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantPattern {
    /// Absolute path; `*`, `?` and `[…]` of glob(7) in any part, a name alone for one tenant.
    pub path: String,
    /// Name of the tenant, for a path without a pattern; empty: the folder's own name.
    #[serde(default)]
    pub name: String,
    /// Accounts that serve the tenant, `{tenant}` standing for its name; empty: whoever owns the folder.
    #[serde(default)]
    pub accounts: Vec<String>,
}

/// A folder or file in which no payment data may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchPath {
    /// Absolute path on the host.
    pub path: String,
    /// What is looked for; empty: everything that is known.
    #[serde(default)]
    pub kinds: Vec<NumberKind>,
    /// Patterns of glob(7) for paths that are left out, such as `*/cache/*`; `*` also stands for slashes.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Most bytes read below this path, unpacked ones counted too.
    #[serde(default = "search_bytes")]
    pub max_bytes: u64,
}

/// 16 GiB.
const fn search_bytes() -> u64 {
    16 << 30
}

/// Kind of number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberKind {
    /// Number of a payment card.
    Card,
    /// International Bank Account Number.
    Iban,
}

impl NumberKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Card, Self::Iban];

    /// Stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Iban => "iban",
        }
    }
}

/// A path that must be empty, or hold no more than so much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathLimit {
    /// Absolute path on the host.
    pub path: String,
    /// Most regular files below it.
    #[serde(default)]
    pub max_files: u64,
    /// Most bytes of these files together; none: not limited beyond the number of files.
    #[serde(default)]
    pub max_bytes: Option<u64>,
    /// What allows more than nothing, such as `support request 4711`.
    #[serde(default)]
    pub note: String,
}

/// Where the machine stands, for machines that no cloud tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Site {
    /// Whoever runs the place, such as `example hosting`.
    pub provider: String,
    /// Region in the provider's words, such as `eu-central-1`; compared with the regions of data sets.
    pub region: String,
    /// Data centre or zone, such as `FRA1`.
    pub zone: String,
    /// Country by ISO 3166-1, two capital letters.
    pub country: String,
}

impl Site {
    /// Whether nothing is declared.
    pub const fn is_empty(&self) -> bool {
        self.provider.is_empty() && self.region.is_empty() && self.zone.is_empty() && self.country.is_empty()
    }
}

/// A declaration that makes no sense: key and problem, one sentence fragment.
pub type Mistake = (&'static str, String);

/// Checks forms; everything here is also bounded in number.
pub fn check(declared: &super::declared::Declared) -> Result<(), Mistake> {
    let counts = [
        ("tenants", declared.tenants.len()),
        ("tenants_trusted", declared.tenants_trusted.len()),
        ("search", declared.search.len()),
        ("path_limits", declared.path_limits.len()),
    ];
    for (key, count) in counts {
        if count > DECLARATIONS {
            return Err((key, format!("{count} declarations are more than {DECLARATIONS}")));
        }
    }
    check_tenants(declared)?;
    for search in &declared.search {
        absolute("search", &search.path)?;
        if search.max_bytes == 0 {
            return Err(("search", format!("{}: max_bytes is 0, which reads nothing; leave the path out", search.path)));
        }
        if search.exclude.len() > NAMES {
            return Err(("search", format!("{}: more than {NAMES} patterns to exclude", search.path)));
        }
    }
    distinct("search", declared.search.iter().map(|s| s.path.as_str()))?;
    for limit in &declared.path_limits {
        absolute("path_limits", &limit.path)?;
        if limit.max_files > 0 && limit.note.trim().is_empty() {
            return Err(("path_limits", format!("{}: more than no file needs a note that says what allows it", limit.path)));
        }
    }
    distinct("path_limits", declared.path_limits.iter().map(|l| l.path.as_str()))?;
    let site = &declared.site;
    let is_country = site.country.is_empty() || site.country.len() == 2 && site.country.bytes().all(|b| b.is_ascii_uppercase());
    if !is_country {
        return Err(("site", format!("country {:?} is not two capital letters, such as DE", site.country)));
    }
    for data in &declared.data {
        if data.regions.len() > NAMES || data.regions.iter().any(|r| r.trim().is_empty()) {
            return Err(("data", format!("{}: regions holds an empty name or more than {NAMES}", data.path)));
        }
    }
    Ok(())
}

fn check_tenants(declared: &super::declared::Declared) -> Result<(), Mistake> {
    for tenant in &declared.tenants {
        absolute("tenants", &tenant.path)?;
        let is_pattern = tenant.path.contains(['*', '?', '[']);
        if is_pattern && !tenant.name.is_empty() {
            return Err(("tenants", format!("{}: a pattern stands for many tenants and can't have one name", tenant.path)));
        }
        if tenant.path.split('/').any(|part| part == ".." || part == ".") || tenant.path.trim_end_matches('/').is_empty() {
            return Err(("tenants", format!("{:?} is not a folder without . and ..", tenant.path)));
        }
        if tenant.accounts.len() > NAMES || tenant.accounts.iter().any(|a| a.trim().is_empty()) {
            return Err(("tenants", format!("{}: accounts holds an empty name or more than {NAMES}", tenant.path)));
        }
    }
    distinct("tenants", declared.tenants.iter().map(|t| t.path.as_str()))
}

fn absolute(key: &'static str, path: &str) -> Result<(), Mistake> {
    if path.starts_with('/') { Ok(()) } else { Err((key, format!("{path:?} is not an absolute path"))) }
}

fn distinct<'p>(key: &'static str, paths: impl Iterator<Item = &'p str>) -> Result<(), Mistake> {
    let mut seen = std::collections::BTreeSet::new();
    for path in paths {
        if !seen.insert(path.trim_end_matches('/')) {
            return Err((key, format!("{path:?} is declared twice")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::declared::Declared;

    fn tenant(path: &str, name: &str) -> TenantPattern {
        TenantPattern { path: path.into(), name: name.into(), accounts: Vec::new() }
    }

    #[test]
    fn mistakes_are_told_in_one_sentence() {
        let limit = |path: &str, files, note: &str| PathLimit { path: path.into(), max_files: files, max_bytes: None, note: note.into() };
        let search = |path: &str, bytes| SearchPath { path: path.into(), kinds: Vec::new(), exclude: Vec::new(), max_bytes: bytes };
        let cases = [
            (Declared { tenants: vec![tenant("srv/a", "")], ..Declared::default() }, "\"srv/a\" is not an absolute path"),
            (Declared { tenants: vec![tenant("/srv/*", "a")], ..Declared::default() }, "can't have one name"),
            (Declared { tenants: vec![tenant("/srv/../x", "")], ..Declared::default() }, "without . and .."),
            (Declared { tenants: vec![tenant("/srv/a", ""), tenant("/srv/a/", "")], ..Declared::default() }, "declared twice"),
            (Declared { search: vec![search("/srv", 0)], ..Declared::default() }, "max_bytes is 0"),
            (Declared { path_limits: vec![limit("/srv/office", 3, "")], ..Declared::default() }, "needs a note"),
            (Declared { site: Site { country: "de".into(), ..Site::default() }, ..Declared::default() }, "not two capital letters"),
        ];
        for (declared, says) in cases {
            let (_, problem) = check(&declared).unwrap_err();
            assert!(problem.contains(says) && !problem.contains('\n'), "{problem}");
        }
        let sound = Declared {
            tenants: vec![tenant("/srv/tenants/*", ""), tenant("/srv/big", "big")],
            search: vec![search("/srv", 1)],
            path_limits: vec![limit("/srv/office", 0, ""), limit("/srv/support", 5, "support request 4711")],
            site: Site { country: "DE".into(), ..Site::default() },
            ..Declared::default()
        };
        assert_eq!(check(&sound), Ok(()));
    }
}
