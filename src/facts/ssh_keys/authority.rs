//! Ways in that stand in no authorized_keys file: certificate authorities, the names that their
//! certificates must carry, and programs that are asked for keys.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SshKeys, expand, line};
use crate::facts::Document as _;
use crate::facts::accounts::database::PasswdLine;
use crate::facts::sshd::{AccountAccess, Sshd};
use crate::host::Host;
use crate::host::root::CONFIG_LIMIT;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// One key whose certificates are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// `PATH:LINE`.
    pub subject: String,
    /// Key type.
    pub kind: String,
    /// Size, bits.
    pub bits: Option<u32>,
    /// `SHA256:…`.
    pub fingerprint: String,
    /// Comment.
    #[schemars(extend("x-personal" = true))]
    pub comment: String,
    /// Criteria of the Match block that trusts it; empty: everybody's.
    #[schemars(extend("x-personal" = true))]
    pub criteria: String,
    /// The TrustedUserCAKeys line.
    pub trusted_by: Source,
    /// File and line of the key.
    pub source: Source,
}

/// One name that a certificate may carry to open an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// `ACCOUNT PATH:LINE`.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// Account that it opens.
    #[schemars(extend("x-personal" = true))]
    pub account: String,
    /// The name.
    #[schemars(extend("x-personal" = true))]
    pub name: String,
    /// File and line.
    pub source: Source,
}

/// One program that is asked for keys or principals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyProgram {
    /// `KEYWORD PATH:LINE`.
    pub subject: String,
    /// `authorizedkeyscommand` or `authorizedprincipalscommand`.
    pub keyword: String,
    /// Its path, arguments left out.
    pub program: String,
    /// Criteria of the Match block that asks it; empty: for everybody.
    #[schemars(extend("x-personal" = true))]
    pub criteria: String,
    /// File and line.
    pub source: Source,
}

/// Keyword, value, criteria and place of every line of these keywords that is not `none`.
fn lines<'a>(sshd: &'a Sshd, keywords: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str, &'a str, &'a Source)> {
    let global = sshd.settings.iter().map(|s| (s.keyword.as_str(), s.value.as_str(), "", &s.source));
    let inside = sshd.overrides.iter().map(|o| (o.keyword.as_str(), o.value.as_str(), o.criteria.as_str(), &o.source));
    global.chain(inside).filter(move |(keyword, value, ..)| keywords.contains(keyword) && !value.eq_ignore_ascii_case("none"))
}

/// Keys of every TrustedUserCAKeys file.
pub fn trusted(host: &Host, sshd: &Sshd, gaps: &mut Gaps) -> Vec<Authority> {
    let mut out: Vec<Authority> = Vec::new();
    for (_, path, criteria, source) in lines(sshd, &["trustedusercakeys"]) {
        let text = match host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => text,
            Err(e) if e.is_not_found() => continue,
            Err(e) => {
                gaps.add(e.to_gap(SshKeys::NAME, "authorities", path));
                continue;
            }
        };
        for (index, text) in text.lines().enumerate() {
            let subject = format!("{path}:{}", index + 1);
            if let (Ok(Some(key)), false) = (line::parse(text), out.iter().any(|a| a.subject == subject)) {
                out.push(Authority {
                    subject,
                    source: Source::line(path, index + 1, key.kind.clone()),
                    kind: key.kind,
                    bits: key.bits,
                    fingerprint: key.fingerprint,
                    comment: key.comment,
                    criteria: criteria.into(),
                    trusted_by: source.clone(),
                });
            }
        }
    }
    out
}

/// Keys that a program or a certificate authority hands out can't be listed.
pub fn note_unlisted(sshd: &Sshd, authorities: &[Authority], gaps: &mut Gaps) {
    for (keyword, value, _, source) in lines(sshd, &["authorizedkeyscommand", "trustedusercakeys"]) {
        if keyword == "trustedusercakeys" && !authorities.iter().any(|a| a.source.place == value) {
            continue;
        }
        let detail = format!("{}:{}: {keyword} lets in keys that stand in no authorized_keys file", source.place, source.line);
        gaps.note(SshKeys::NAME, "items", keyword, reason::UNSUPPORTED, detail, "Review the keys at their origin.");
    }
}

/// Programs that are asked.
pub fn programs(sshd: &Sshd) -> Vec<KeyProgram> {
    lines(sshd, &["authorizedkeyscommand", "authorizedprincipalscommand"])
        .map(|(keyword, program, criteria, source)| KeyProgram {
            subject: format!("{keyword} {}:{}", source.place, source.line),
            keyword: keyword.into(),
            program: program.into(),
            criteria: criteria.into(),
            source: source.clone(),
        })
        .collect()
}

/// Most lines kept.
const PRINCIPAL_LIMIT: usize = 100_000;

/// Names in AuthorizedPrincipalsFile of every account.
pub fn principals(host: &Host, users: &[PasswdLine], by_name: &BTreeMap<&str, &AccountAccess>, gaps: &mut Gaps) -> Vec<Principal> {
    let mut out: Vec<Principal> = Vec::new();
    for user in users {
        for pattern in by_name.get(user.name.as_str()).map(|a| a.authorized_principals_files.as_slice()).unwrap_or_default() {
            let path = expand(pattern, user);
            let text = match host.read_text(&path, CONFIG_LIMIT) {
                Ok(text) => text,
                Err(e) if e.is_not_found() => continue,
                Err(e) => {
                    gaps.add(e.to_gap(SshKeys::NAME, "principals", &user.name));
                    continue;
                }
            };
            for (index, line) in text.lines().enumerate() {
                // Options may stand before the name (sshd_config(5)); it is the last word.
                let line = line.split('#').next().unwrap_or("");
                let Some(name) = line.split_whitespace().next_back() else { continue };
                if out.len() >= PRINCIPAL_LIMIT {
                    gaps.note(SshKeys::NAME, "principals", "", reason::LIMIT_REACHED, format!("{path}: more than {PRINCIPAL_LIMIT} principals"), "");
                    return out;
                }
                out.push(Principal {
                    subject: format!("{} {path}:{}", user.name, index + 1),
                    account: user.name.clone(),
                    name: name.into(),
                    source: Source::line(path.clone(), index + 1, ""),
                });
            }
        }
    }
    out.sort_by(|a, b| (&a.account, &a.source).cmp(&(&b.account, &b.source)));
    out.dedup();
    out
}
