//! From which networks people signed in: records of wtmp(5), addresses cut to their network.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Monitoring;
use crate::facts::Document as _;
use crate::host::{Host, ReadError};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

const WTMP: &str = "/var/log/wtmp";
/// Size of `struct utmp` on x86_64 (utmp(5)).
const RECORD: usize = 384;
/// `USER_PROCESS`.
const USER_PROCESS: i16 = 7;
/// Bytes read from the end: some 20,000 records.
const TAIL_LIMIT: u64 = 384 * 20_000;
/// Most networks kept.
const ORIGIN_LIMIT: usize = 1_000;

/// One network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Network: the first 24 bits of an IPv4 address, the first 48 of an IPv6 address, such as `192.0.2.0/24`; `names` for hosts that are recorded by name.
    #[schemars(extend("x-personal" = true))]
    pub subject: String,
    /// `loopback`, `link`, `private` (RFC 1918, RFC 4193), `public`, or `unknown` for names.
    pub scope: String,
    /// Sign-ins from there in the records that are kept.
    #[schemars(extend("x-volatile" = true))]
    pub count: u64,
    /// The newest of them, Unix seconds.
    #[schemars(extend("x-volatile" = true))]
    pub newest_at: i64,
    /// The file of records.
    pub source: Source,
}

/// By subject.
pub(super) fn gather(host: &Host, gaps: &mut Gaps) -> Vec<Origin> {
    let bytes = match tail(host) {
        Ok(bytes) => bytes,
        Err(e) if e.is_not_found() => return Vec::new(),
        Err(e) => {
            gaps.add(e.to_gap(Monitoring::NAME, "logins", ""));
            return Vec::new();
        }
    };
    let Some(found) = origins(&bytes) else {
        gaps.note(Monitoring::NAME, "logins", "", reason::MALFORMED, format!("{WTMP}: not an array of {RECORD}-byte records"), "");
        return Vec::new();
    };
    if found.len() > ORIGIN_LIMIT {
        gaps.note(Monitoring::NAME, "logins", "", reason::LIMIT_REACHED, format!("more than {ORIGIN_LIMIT} networks"), "");
    }
    let origin = |((subject, scope), (count, newest_at)): ((String, &str), (u64, i64))| Origin {
        subject,
        scope: scope.into(),
        count,
        newest_at,
        source: Source::whole(WTMP),
    };
    found.into_iter().take(ORIGIN_LIMIT).map(origin).collect()
}

fn tail(host: &Host) -> Result<Vec<u8>, ReadError> {
    let mut file = host.open_file(WTMP)?;
    let fail = |e: std::io::Error| ReadError::Io(WTMP.into(), e.to_string());
    let size = file.seek(SeekFrom::End(0)).map_err(fail)?;
    // From the beginning of a record.
    let whole = size - size % RECORD as u64;
    file.seek(SeekFrom::Start(whole.saturating_sub(TAIL_LIMIT))).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(TAIL_LIMIT).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

type Origins = BTreeMap<(String, &'static str), (u64, i64)>;

/// `None` when the bytes are no such array.
fn origins(bytes: &[u8]) -> Option<Origins> {
    let mut out = Origins::new();
    for record in bytes.chunks_exact(RECORD) {
        let kind = i16::from_ne_bytes(*record.first_chunk()?);
        // Anything but 0 to 9 is another layout (such as that of 64-bit ARM).
        if !(0..=9).contains(&kind) {
            return None;
        }
        if kind != USER_PROCESS {
            continue;
        }
        let field = record.get(76..332)?.split(|b| *b == 0).next().unwrap_or_default();
        let text = String::from_utf8_lossy(field);
        // Terminals of this machine, and displays of its own.
        if text.is_empty() || text.starts_with(':') || text.starts_with("tmux") || text.starts_with("screen") {
            continue;
        }
        let at = i64::from(u32::from_ne_bytes(*record.get(340..)?.first_chunk()?));
        let entry = out.entry(network(&text)).or_default();
        *entry = (entry.0 + 1, entry.1.max(at));
    }
    Some(out)
}

fn network(text: &str) -> (String, &'static str) {
    match text.split('%').next().unwrap_or_default().parse::<IpAddr>().map(|a| a.to_canonical()) {
        Ok(IpAddr::V4(a)) => {
            let [x, y, z, _] = a.octets();
            let scope = if a.is_loopback() {
                "loopback"
            } else if a.is_link_local() {
                "link"
            } else if a.is_private() {
                "private"
            } else {
                "public"
            };
            (format!("{x}.{y}.{z}.0/24"), scope)
        }
        Ok(IpAddr::V6(a)) => {
            let [x, y, z, ..] = a.segments();
            let scope = if a.is_loopback() {
                "loopback"
            } else if a.is_unicast_link_local() {
                "link"
            } else if a.is_unique_local() {
                "private"
            } else {
                "public"
            };
            (format!("{}/48", std::net::Ipv6Addr::new(x, y, z, 0, 0, 0, 0, 0)), scope)
        }
        Err(_) => ("names".into(), "unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: i16, host: &str, at: u32) -> Vec<u8> {
        let mut out = vec![0_u8; RECORD];
        out[..2].copy_from_slice(&kind.to_ne_bytes());
        out[76..76 + host.len()].copy_from_slice(host.as_bytes());
        out[340..344].copy_from_slice(&at.to_ne_bytes());
        out
    }

    #[test]
    fn addresses_become_networks() {
        let bytes = [
            record(7, "192.0.2.7", 5),
            record(7, "192.0.2.9", 9),
            record(8, "198.51.100.1", 9),
            record(7, ":0", 9),
            record(7, "10.1.2.3", 1),
            record(7, "fe80::1%eth0", 2),
            record(7, "2001:db8:5:6::1", 3),
            record(7, "host.example", 4),
        ]
        .concat();
        let found = origins(&bytes).unwrap();
        let shown: Vec<String> = found.iter().map(|((n, s), (c, a))| format!("{n} {s} {c} {a}")).collect();
        assert_eq!(shown, ["10.1.2.0/24 private 1 1", "192.0.2.0/24 public 2 9", "2001:db8:5::/48 public 1 3", "fe80::/48 link 1 2", "names unknown 1 4"]);
        assert_eq!(origins(&record(99, "x", 0)), None);
        for end in 0..800 {
            let _ = origins(&bytes[..end]);
        }
    }
}
