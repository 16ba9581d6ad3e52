//! auditd.conf(5) and audisp-remote.conf(5): lines of `key = value`.

use std::collections::BTreeMap;

use super::files::AuditLog;
use super::{Forward, Logging};
use crate::facts::Document as _;
use crate::facts::monitoring::texts::Told;
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// Where the plugin that sends records to another machine is switched on.
const PLUGINS: [&str; 2] = ["/etc/audit/plugins.d/au-remote.conf", "/etc/audisp/plugins.d/au-remote.conf"];
const REMOTE: [&str; 2] = ["/etc/audit/audisp-remote.conf", "/etc/audisp/audisp-remote.conf"];

/// Keys in lower case, their value and line.
pub(super) type Keys = BTreeMap<String, (String, usize)>;

pub(super) fn keys(text: &str) -> Keys {
    let mut out = Keys::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            out.insert(key.trim().to_ascii_lowercase(), (value.trim().to_string(), index + 1));
        }
    }
    out
}

/// The value of a key in lower case, or its default.
pub(super) fn word(keys: &Keys, key: &str, default: &str) -> String {
    keys.get(key).map_or_else(|| default.to_string(), |(value, _)| value.to_ascii_lowercase())
}

/// How the file of records is kept.
pub(super) fn log(keys: &Keys, path: &str) -> AuditLog {
    let action = word(keys, "max_log_file_action", "rotate");
    let count: i64 = keys.get("num_logs").and_then(|(v, _)| v.parse().ok()).unwrap_or(0);
    let rotates = action == "rotate" && count >= 2 || action == "keep_logs";
    let file = keys.get("log_file").map_or_else(|| "/var/log/audit/audit.log".to_string(), |(value, _)| value.clone());
    let line = keys.get("max_log_file_action").or_else(|| keys.get("num_logs")).map_or(0, |(_, line)| *line);
    AuditLog {
        path: file,
        rotated: rotates,
        pieces: if action == "keep_logs" { -1 } else { count - 1 },
        source: Source::line(path, line, "max_log_file_action"),
    }
}

/// Where the plugin sends records, when it is on.
pub(super) fn forward(host: &Host, gaps: &mut Gaps) -> Option<Forward> {
    let mut told = Told { family: Logging::NAME, path: "forwards", subject: String::new(), gaps };
    let is_on = |text: String| word(&keys(&text), "active", "no") == "yes";
    let plugin = PLUGINS.iter().find_map(|p| told.text(host, p))?;
    if !is_on(plugin) {
        return None;
    }
    let (path, text) = REMOTE.iter().find_map(|p| told.text(host, p).map(|t| (*p, t)))?;
    let keys = keys(&text);
    let (target, line) = keys.get("remote_server").cloned().filter(|(v, _)| !v.is_empty())?;
    let port = keys.get("port").and_then(|(v, _)| v.parse().ok()).unwrap_or(60);
    // Kerberos signs and encrypts; nothing else does.
    let kerberos = word(&keys, "transport", "tcp") == "krb5" || word(&keys, "enable_krb5", "no") == "yes";
    let mut out = Forward::plain("audisp-remote", "tcp", &target, port, Source::line(path, line, "remote_server"));
    (out.encrypted, out.authenticated) = (kerberos, kerberos);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn keys_rotation_and_the_plugin() {
        let found = keys("# c\nlog_file = /x/audit.log\nMAX_LOG_FILE_ACTION = ROTATE\nnum_logs = 5\nbroken\n");
        let log = log(&found, "/etc/audit/auditd.conf");
        assert_eq!((log.path.as_str(), log.rotated, log.pieces, log.source.line), ("/x/audit.log", true, 4, 3));
        assert_eq!(super::log(&keys("max_log_file_action = keep_logs\n"), "x").pieces, -1);
        assert!(!super::log(&keys("max_log_file_action = ignore\nnum_logs = 5\n"), "x").rotated);
        let remote = "remote_server = logs.example\nport = 61\ntransport = tcp\n";
        let (_root, host) = rooted(&[("etc/audit/plugins.d/au-remote.conf", "active = yes\n"), ("etc/audit/audisp-remote.conf", remote)]);
        let sent = forward(&host, &mut Gaps::new()).unwrap();
        assert_eq!((sent.subject.as_str(), sent.encrypted), ("audisp-remote tcp logs.example:61", false));
        let (_root, host) = rooted(&[("etc/audit/plugins.d/au-remote.conf", "active = no\n"), ("etc/audit/audisp-remote.conf", remote)]);
        assert_eq!(forward(&host, &mut Gaps::new()), None);
    }
}
