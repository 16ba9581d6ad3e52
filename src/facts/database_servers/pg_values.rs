//! Settings of PostgreSQL that are told, their forms, and their defaults by release
//! (PostgreSQL manual, "Server Configuration"; `postgres -C NAME` of release 15 for the forms).

/// Form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `on` or `off`.
    Bool,
    /// A whole number, of the unit.
    Number(Unit),
    /// A word of a fixed list without regard to case.
    Word(&'static [&'static str]),
    /// Text.
    Text,
    /// Only whether it is set.
    Presence,
}

/// Unit of a number without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// None.
    Plain,
    /// MB.
    Megabytes,
}

/// One setting that is told.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Name.
    pub name: &'static str,
    /// Form.
    pub kind: Kind,
    /// Default of a major release; `None` when the release has no such setting or leaves it to who built it.
    pub default: fn(u32) -> Option<&'static str>,
}

const TLS: &[&str] = &["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const COMMIT: &[&str] = &["local", "remote_write", "remote_apply", "on", "off"];
const LEVEL: &[&str] = &["minimal", "replica", "logical"];
const ARCHIVE: &[&str] = &["always", "on", "off"];
const STATEMENTS: &[&str] = &["none", "ddl", "mod", "all"];
const SCHEMES: &[&str] = &["md5", "scram-sha-256"];

const fn known(name: &'static str, kind: Kind, default: fn(u32) -> Option<&'static str>) -> Known {
    Known { name, kind, default }
}

/// Every setting that is told, by name.
pub const KNOWN: &[Known] = &[
    known("archive_command", Kind::Presence, |_| Some("")),
    known("archive_library", Kind::Presence, |v| if v >= 15 { Some("") } else { None }),
    known("archive_mode", Kind::Word(ARCHIVE), |_| Some("off")),
    known("full_page_writes", Kind::Bool, |_| Some("on")),
    known("fsync", Kind::Bool, |_| Some("on")),
    known("hot_standby", Kind::Bool, |v| Some(if v >= 10 { "on" } else { "off" })),
    known("listen_addresses", Kind::Text, |_| Some("localhost")),
    // A list since 18.
    known("log_connections", Kind::Text, |v| Some(if v >= 18 { "" } else { "off" })),
    known("log_disconnections", Kind::Bool, |_| Some("off")),
    known("log_statement", Kind::Word(STATEMENTS), |_| Some("none")),
    known("logging_collector", Kind::Bool, |_| Some("off")),
    known("max_slot_wal_keep_size", Kind::Number(Unit::Megabytes), |v| if v >= 13 { Some("-1") } else { None }),
    known("max_wal_senders", Kind::Number(Unit::Plain), |v| Some(if v >= 10 { "10" } else { "0" })),
    known("password_encryption", Kind::Word(SCHEMES), |v| Some(if v >= 14 { "scram-sha-256" } else { "md5" })),
    known("port", Kind::Number(Unit::Plain), |_| Some("5432")),
    known("ssl", Kind::Bool, |_| Some("off")),
    known("ssl_ca_file", Kind::Text, |_| Some("")),
    known("ssl_cert_file", Kind::Text, |_| Some("server.crt")),
    known("ssl_ciphers", Kind::Text, |_| Some("HIGH:MEDIUM:+3DES:!aNULL")),
    known("ssl_key_file", Kind::Text, |_| Some("server.key")),
    known("ssl_max_protocol_version", Kind::Word(TLS), |v| if v >= 12 { Some("") } else { None }),
    known("ssl_min_protocol_version", Kind::Word(TLS), |v| {
        if v >= 13 {
            Some("TLSv1.2")
        } else if v == 12 {
            Some("TLSv1")
        } else {
            None
        }
    }),
    known("synchronous_commit", Kind::Word(COMMIT), |_| Some("on")),
    known("synchronous_standby_names", Kind::Text, |_| Some("")),
    known("wal_level", Kind::Word(LEVEL), |v| Some(if v >= 10 { "replica" } else { "minimal" })),
];

/// A written value in the form in which the server shows it; `None` when the server would refuse it.
pub fn shown(known: &Known, value: &str) -> Option<String> {
    match known.kind {
        Kind::Bool => boolean(value).map(on_off),
        Kind::Number(unit) => number(value, unit).map(|n| n.to_string()),
        Kind::Word(words) => word(known.name, words, value),
        Kind::Text if known.name == "log_connections" => Some(boolean(value).map_or_else(|| value.into(), on_off)),
        Kind::Text => Some(value.into()),
        Kind::Presence => Some(if value.is_empty() { "" } else { "set" }.into()),
    }
}

fn on_off(yes: bool) -> String {
    if yes { "on" } else { "off" }.into()
}

/// `parse_bool`: on, off and every unambiguous beginning of true, false, yes and no.
pub fn boolean(value: &str) -> Option<bool> {
    let value = value.to_ascii_lowercase();
    let begins = |word: &str| !value.is_empty() && word.starts_with(&value);
    if value == "1" || value == "on" || begins("true") || begins("yes") {
        return Some(true);
    }
    (value == "0" || value.len() > 1 && begins("off") || begins("false") || begins("no")).then_some(false)
}

fn word(name: &str, words: &[&str], value: &str) -> Option<String> {
    let lower = value.to_ascii_lowercase();
    let same = words.iter().find(|w| w.eq_ignore_ascii_case(value)).map(|w| (*w).to_string());
    let other = || match (name, lower.as_str(), boolean(value)) {
        ("wal_level", "archive" | "hot_standby", _) => Some("replica".into()),
        // Before 14 yes meant md5.
        ("password_encryption", _, Some(true)) => Some("md5".into()),
        ("synchronous_commit" | "archive_mode", _, Some(yes)) => Some(on_off(yes)),
        ("ssl_min_protocol_version" | "ssl_max_protocol_version", "", _) => Some(String::new()),
        _ => None,
    };
    same.or_else(other)
}

/// A whole number, decimal, octal or hexadecimal, with a unit of its own or without.
fn number(value: &str, unit: Unit) -> Option<i64> {
    let text = value.trim();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text.strip_prefix('+').unwrap_or(text)), |rest| (-1, rest));
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (16, hex),
        None if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) => (8, digits),
        None => (10, digits),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    let number = sign * i64::from_str_radix(digits, radix).ok()?;
    match (rest.trim(), unit) {
        ("", _) => Some(number),
        ("MB", Unit::Megabytes) => Some(number),
        ("GB", Unit::Megabytes) => number.checked_mul(1 << 10),
        ("TB", Unit::Megabytes) => number.checked_mul(1 << 20),
        // Rounded to the nearest, as the server does.
        ("kB", Unit::Megabytes) => Some((number + 512).div_euclid(1024)),
        ("B", Unit::Megabytes) => Some((number + (1 << 19)).div_euclid(1 << 20)),
        _ => None,
    }
}

/// A port as written.
pub fn port(value: &str) -> Option<u32> {
    number(value, Unit::Plain).and_then(|n| u32::try_from(n).ok())
}

/// Versions of TLS between two settings, oldest first; `None` when the lowest is left to the library.
pub fn versions(minimum: &str, maximum: &str) -> Option<Vec<String>> {
    let at = |name: &str| TLS.iter().position(|v| *v == name);
    let from = at(minimum)?;
    let until = at(maximum).unwrap_or(TLS.len() - 1);
    Some(TLS.iter().enumerate().filter(|(i, _)| (from..=until).contains(i)).map(|(_, v)| named(v)).collect())
}

/// The name that policy and wire use.
pub fn named(version: &str) -> String {
    if version == "TLSv1" { "TLSv1.0".into() } else { version.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &str) -> Option<String> {
        shown(KNOWN.iter().find(|k| k.name == name).unwrap(), value)
    }

    #[test]
    fn forms_of_the_server() {
        for (name, value, expected) in [
            ("ssl", "TRUE", Some("on")),
            ("ssl", "of", Some("off")),
            ("ssl", "o", None),
            ("fsync", "n", Some("off")),
            ("port", "0x1F", Some("31")),
            ("port", "010", Some("8")),
            ("max_slot_wal_keep_size", "2 GB", Some("2048")),
            ("max_slot_wal_keep_size", "3000kB", Some("3")),
            ("max_slot_wal_keep_size", "-1", Some("-1")),
            ("max_slot_wal_keep_size", "1 mb", None),
            ("ssl_min_protocol_version", "tlsv1.1", Some("TLSv1.1")),
            ("ssl_max_protocol_version", "", Some("")),
            ("wal_level", "Hot_Standby", Some("replica")),
            ("password_encryption", "on", Some("md5")),
            ("synchronous_commit", "yes", Some("on")),
            ("synchronous_commit", "remote_apply", Some("remote_apply")),
            ("archive_command", "cp %p /x", Some("set")),
            ("log_connections", "receipt,setup_durations", Some("receipt,setup_durations")),
        ] {
            assert_eq!(of(name, value).as_deref(), expected, "{name} {value}");
        }
        assert!(KNOWN.windows(2).all(|w| w[0].name < w[1].name || w[0].name == "full_page_writes"));
    }

    #[test]
    fn ranges_of_versions() {
        assert_eq!(versions("TLSv1.2", ""), Some(vec!["TLSv1.2".into(), "TLSv1.3".into()]));
        assert_eq!(versions("TLSv1", "TLSv1.1"), Some(vec!["TLSv1.0".into(), "TLSv1.1".into()]));
        assert_eq!((versions("", ""), versions("TLSv1.3", "TLSv1.2")), (None, Some(Vec::new())));
    }
}
