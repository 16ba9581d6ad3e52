//! Root causes: findings of one rule whose words differ only in what differs from host to host.
//!
//! The common form of a message has no numbers that stand alone, no addresses, no digests and not the subject itself; names, versions and paths stay,
//! for they tell one cause from another. Findings whose rule, verdict and common form are equal have one cause. Pure.

use std::borrow::Cow;

use crate::model::finding::{Finding, Verdict};
use crate::model::ids::Digest;

/// Version of the common form: what was derived with another one is derived anew.
pub const VERSION: i64 = 1;
/// Shortest subject that is looked for in a message, characters.
const MIN_SUBJECT: usize = 3;
/// Longest message that lists keep, characters.
pub const MAX_MESSAGE: usize = 300;
/// Shortest run of hexadecimal digits that is taken for a digest or an id, characters.
const MIN_HEX: usize = 8;

/// Stands for a root cause: the first 16 bytes of a SHA-256.
pub type CauseId = [u8; 16];

/// The root cause of a finding.
pub fn of(finding: &Finding) -> CauseId {
    let text = format!("{}\0{}\0{}", finding.rule, finding.verdict.id(), common(&said(finding), &finding.subject));
    let mut id = [0; 16];
    id.copy_from_slice(Digest::of(text.as_bytes()).bytes().get(..16).unwrap_or(&[0; 16]));
    id
}

/// What a finding says: its message, or why it can't be told.
pub fn said(finding: &Finding) -> Cow<'_, str> {
    match (&finding.reason, finding.verdict) {
        (Some(reason), Verdict::Unknown) if finding.message.is_empty() => Cow::Borrowed(&reason.detail),
        _ => Cow::Borrowed(&finding.message),
    }
}

/// The message with what differs from host to host replaced by `#`, the subject by `…`.
fn common(message: &str, subject: &str) -> String {
    let message = if subject.chars().count() >= MIN_SUBJECT { Cow::Owned(message.replace(subject, "…")) } else { Cow::Borrowed(message) };
    let mut out = String::with_capacity(message.len());
    for (number, word) in message.split_whitespace().enumerate() {
        if number > 0 {
            out.push(' ');
        }
        push_word(&mut out, word);
    }
    out
}

fn push_word(out: &mut String, word: &str) {
    let bare = word.trim_matches(|c: char| matches!(c, ',' | ';' | '.' | '(' | ')' | '"' | '\''));
    let has_digit = bare.bytes().any(|b| b.is_ascii_digit());
    let is_number = has_digit && bare.chars().all(|c| c.is_ascii_digit() || !c.is_alphanumeric());
    let is_hex = has_digit && bare.len() >= MIN_HEX && bare.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '-'));
    if is_number || is_hex {
        out.push('#');
        return;
    }
    // The line of a place goes, its path stays: /etc/sudoers.d/ops:7.
    match bare.rsplit_once(':') {
        Some((place, line)) if place.len() > 1 && !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()) => {
            out.push_str(place);
            out.push_str(":#");
        }
        _ => out.push_str(bare),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{Severity, UnknownReason};

    fn finding(subject: &str, message: &str) -> Finding {
        let (rule, verdict, severity) = ("r".into(), Verdict::Fail, Severity::High);
        Finding { rule, subject: subject.into(), verdict, severity, message: message.into(), reason: None, citations: Vec::new() }
    }

    #[test]
    fn what_differs_from_host_to_host_is_one_cause() {
        for (a, b) in [
            (("", "left 14 days ago, limit 1 day"), ("", "left 3 days ago, limit 1 day")),
            (("0.0.0.0:22/tcp", "0.0.0.0:22/tcp accepts ssh-rsa"), ("[::]:2222/tcp", "[::]:2222/tcp accepts ssh-rsa")),
            (("m.keller", "sudo ALL by /etc/sudoers.d/ops:7"), ("a.lee", "sudo ALL by /etc/sudoers.d/ops:12")),
            (("", "key SHA256 9f86d081884c7d65 is weak"), ("", "key SHA256 60303ae22b998861 is weak")),
        ] {
            assert_eq!(of(&finding(a.0, a.1)), of(&finding(b.0, b.1)), "{a:?} {b:?}");
        }
    }

    #[test]
    fn names_versions_and_paths_tell_causes_apart() {
        for (a, b) in [
            ("accepts TLSv1.0", "accepts TLSv1.1"),
            ("/srv is not encrypted", "/home is not encrypted"),
            ("FTP without TLS", "telnet without TLS"),
            ("kernel 6.1.0-9-amd64 runs", "kernel 6.1.0-10-amd64 runs"),
        ] {
            assert_ne!(of(&finding("", a)), of(&finding("", b)), "{a} {b}");
        }
        let mut unknown = finding("", "accepts TLSv1.0");
        unknown.verdict = Verdict::Unknown;
        assert_ne!(of(&finding("", "accepts TLSv1.0")), of(&unknown));
    }

    #[test]
    fn what_can_not_be_told_is_caused_by_its_reason() {
        let mut unknown = finding("", "");
        unknown.verdict = Verdict::Unknown;
        unknown.reason = Some(UnknownReason { kind: "gap".into(), id: "x".into(), detail: "package lists are 41 days old".into(), remedy: String::new() });
        let mut later = unknown.clone();
        later.reason.as_mut().unwrap().detail = "package lists are 9 days old".into();
        assert_eq!((of(&unknown), said(&unknown).as_ref()), (of(&later), "package lists are 41 days old"));
        later.reason.as_mut().unwrap().detail = "the package lists can't be read".into();
        assert_ne!(of(&unknown), of(&later));
    }
}
