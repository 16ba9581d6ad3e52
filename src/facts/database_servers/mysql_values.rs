//! Settings of MariaDB and MySQL that are told: their forms, spellings and defaults by release.

/// One setting that is told: its name, whether it is a truth value, and its default.
pub struct Known {
    /// Name.
    pub name: &'static str,
    /// Whether it is `on` or `off`.
    pub is_bool: bool,
    /// Default of a server; `None` when it has no such setting or the build decides.
    pub default: fn(&Flavour) -> Option<&'static str>,
}

const fn flag(name: &'static str, default: fn(&Flavour) -> Option<&'static str>) -> Known {
    Known { name, is_bool: true, default }
}

const fn text(name: &'static str, default: fn(&Flavour) -> Option<&'static str>) -> Known {
    Known { name, is_bool: false, default }
}

/// Every setting that is told, by name. Defaults: `mariadbd --verbose --help` of 10.11, and the manuals of MariaDB and MySQL.
pub const KNOWN: &[Known] = &[
    text("bind_address", |f| Some(if f.is_mariadb { "" } else { "*" })),
    text("binlog_expire_logs_seconds", |f| if f.is_mariadb { f.since(10, 6, "0") } else { f.since(8, 0, "2592000") }),
    flag("encrypt_binlog", |f| f.mariadb("off")),
    // Newer releases derive it from the seconds.
    text("expire_logs_days", |f| {
        if f.release.is_some() && !f.is_at_least(if f.is_mariadb { 10 } else { 8 }, if f.is_mariadb { 6 } else { 0 }) { Some("0") } else { None }
    }),
    text("gtid_mode", |f| if f.is_mariadb { None } else { Some("OFF") }),
    flag("gtid_strict_mode", |f| f.mariadb("off")),
    flag("innodb_doublewrite", |_| Some("on")),
    flag("innodb_encrypt_log", |f| f.mariadb("off")),
    text("innodb_encrypt_tables", |f| f.mariadb("OFF")),
    text("innodb_flush_log_at_trx_commit", |_| Some("1")),
    flag("local_infile", |f| Some(if f.is_mariadb || !f.is_at_least(8, 0) { "on" } else { "off" })),
    flag("log_bin", |f| if f.is_mariadb { Some("off") } else { f.since(8, 0, "on") }),
    text("port", |_| Some("3306")),
    flag("require_secure_transport", |f| if f.is_mariadb { f.since(10, 5, "off") } else { Some("off") }),
    flag("rpl_semi_sync_master_enabled", |f| f.mariadb("off")),
    flag("rpl_semi_sync_slave_enabled", |f| f.mariadb("off")),
    flag("rpl_semi_sync_source_enabled", |_| None),
    flag("rpl_semi_sync_replica_enabled", |_| None),
    flag("server_audit_logging", |_| None),
    text("server_id", |_| Some("1")),
    flag("skip_grant_tables", |_| Some("off")),
    flag("skip_networking", |_| Some("off")),
    text("ssl_ca", |_| Some("")),
    text("ssl_cert", |_| Some("")),
    text("ssl_cipher", |_| Some("")),
    text("ssl_key", |_| Some("")),
    text("sync_binlog", |f| Some(if f.is_mariadb { "0" } else { "1" })),
    // Older releases differ by the TLS library that they were built with.
    text("tls_version", |f| if f.is_mariadb { f.since(10, 11, "TLSv1.2,TLSv1.3") } else { f.since(8, 4, "TLSv1.2,TLSv1.3") }),
    text("wsrep_cluster_address", |_| None),
    flag("wsrep_on", |f| f.mariadb("off")),
];

/// Which server it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flavour {
    /// MariaDB, not MySQL.
    pub is_mariadb: bool,
    /// Release; `None` when it is not known.
    pub release: Option<(u32, u32)>,
}

impl Flavour {
    /// Whether the release is known to be this one or later.
    pub fn is_at_least(&self, major: u32, minor: u32) -> bool {
        self.release.is_some_and(|r| r >= (major, minor))
    }

    fn since(&self, major: u32, minor: u32, value: &'static str) -> Option<&'static str> {
        self.is_at_least(major, minor).then_some(value)
    }

    const fn mariadb(&self, value: &'static str) -> Option<&'static str> {
        if self.is_mariadb { Some(value) } else { None }
    }
}

/// The form in which settings are told: truth values as `on` and `off`, lists in one order; `None` when it is no value of the setting.
pub fn shown(name: &str, value: &str) -> Option<String> {
    let known = KNOWN.iter().find(|k| k.name == name)?;
    let lower = value.to_ascii_lowercase();
    match (known.is_bool, name) {
        (true, _) => match lower.as_str() {
            "1" | "on" | "true" => Some("on".into()),
            "0" | "off" | "false" => Some("off".into()),
            _ => None,
        },
        (_, "expire_logs_days") => Some(lower.strip_suffix(".000000").unwrap_or(&lower).to_string()),
        (_, "innodb_encrypt_tables") => Some(match lower.as_str() {
            "1" => "ON".into(),
            "0" => "OFF".into(),
            _ => value.to_ascii_uppercase(),
        }),
        (_, "tls_version") => {
            let mut versions: Vec<&str> = value.split(',').map(str::trim).collect();
            versions.sort_unstable();
            Some(versions.join(","))
        }
        _ => Some(value.into()),
    }
}

/// `skip_x`, `disable_x`, `enable_x`, `loose_x` and truth values in one form.
pub fn meaning(name: &str, value: Option<&str>) -> (String, Option<String>) {
    let name = name.strip_prefix("loose_").unwrap_or(name);
    let is_known = |name: &str| KNOWN.iter().any(|k| k.name == name && k.is_bool) || name == "ssl";
    let as_bool = |value: &str| match value.to_ascii_lowercase().as_str() {
        "1" | "on" | "true" => Some(true),
        "0" | "off" | "false" => Some(false),
        _ => None,
    };
    let word = |on: bool| Some(if on { "on" } else { "off" }.to_string());
    if is_known(name) && name != "log_bin" {
        return (name.into(), value.map(|v| as_bool(v).map_or_else(|| v.to_string(), |b| word(b).unwrap_or_default())).or_else(|| word(true)));
    }
    for (prefix, on) in [("skip_", false), ("disable_", false), ("enable_", true)] {
        if let Some(rest) = name.strip_prefix(prefix).filter(|r| is_known(r)) {
            let given = value.and_then(as_bool).unwrap_or(true);
            return (rest.into(), word(given == on));
        }
    }
    (name.into(), value.map(String::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_every_spelling() {
        let shown = |name: &str, value: Option<&str>| {
            let (name, value) = meaning(name, value);
            format!("{name}={}", value.unwrap_or_else(|| "-".into()))
        };
        assert_eq!(shown("skip_networking", None), "skip_networking=on");
        assert_eq!(shown("skip_networking", Some("0")), "skip_networking=off");
        assert_eq!(shown("disable_local_infile", None), "local_infile=off");
        assert_eq!(shown("enable_local_infile", None), "local_infile=on");
        assert_eq!(shown("loose_require_secure_transport", Some("TRUE")), "require_secure_transport=on");
        assert_eq!(shown("skip_ssl", None), "ssl=off");
        assert_eq!(shown("skip_log_bin", None), "log_bin=off");
        assert_eq!(shown("log_bin", Some("/srv/bin")), "log_bin=/srv/bin");
        assert_eq!(shown("bind_address", Some("::")), "bind_address=::");
    }

    #[test]
    fn forms_of_the_server() {
        assert_eq!(shown("expire_logs_days", "3.000000").as_deref(), Some("3"));
        assert_eq!(shown("innodb_encrypt_tables", "1").as_deref(), Some("ON"));
        assert_eq!(shown("tls_version", "TLSv1.3, TLSv1.2").as_deref(), Some("TLSv1.2,TLSv1.3"));
        assert_eq!((shown("log_bin", "FALSE").as_deref(), shown("log_bin", "x"), shown("nothing", "1")), (Some("off"), None, None));
        let old = Flavour { is_mariadb: true, release: Some((10, 5)) };
        let default = |name: &str| KNOWN.iter().find(|k| k.name == name).and_then(|k| (k.default)(&old));
        assert_eq!((default("expire_logs_days"), default("binlog_expire_logs_seconds"), default("tls_version")), (Some("0"), None, None));
    }
}
