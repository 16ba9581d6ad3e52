//! Thresholds: one file with complete defaults, `policy` in rules.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// TLS versions by name and wire code (RFC 8446 section 4.1.2 and predecessors), oldest first.
pub const TLS_VERSIONS: [(&str, u16); 6] =
    [("SSLv2", 0x0002), ("SSLv3", 0x0300), ("TLSv1.0", 0x0301), ("TLSv1.1", 0x0302), ("TLSv1.2", 0x0303), ("TLSv1.3", 0x0304)];

/// Databases, caches, queues, file shares and management that were made for inner networks.
const INTERNAL_PROTOCOLS: [&str; 18] = [
    "amqp",
    "docker",
    "elasticsearch",
    "etcd",
    "kubelet",
    "ldap",
    "memcached",
    "mongodb",
    "mysql",
    "nfs",
    "opensearch",
    "postgresql",
    "redis",
    "rsync",
    "smb",
    "snmp",
    "tftp",
    "x11",
];

/// The thresholds that rules judge against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Oldest TLS version that may be accepted, a name of [`TLS_VERSIONS`].
    pub tls_minimum_version: String,
    /// Whether a hybrid of elliptic curves and ML-KEM must be among the groups of TLS 1.3.
    pub tls_post_quantum_required: bool,
    /// A certificate must be valid for at least this many more days.
    pub certificate_remaining_days: i64,
    /// Longest validity of a certificate that claims to follow the rules for public ones (CA/Browser Forum), days; 0: no limit.
    pub certificate_validity_maximum_days: i64,
    /// Smallest RSA key, bits.
    pub rsa_minimum_bits: i64,
    /// Smallest elliptic-curve key, and smallest curve of a key exchange, bits.
    pub ec_minimum_bits: i64,
    /// Shortest prime of a Diffie-Hellman key exchange, bits.
    pub dh_minimum_bits: i64,
    /// Oldest package list that still tells what is pending, days.
    pub package_lists_maximum_days: i64,
    /// A pending security update must be installed within this many days of its publication.
    pub security_update_maximum_days: i64,
    /// Automatic updates must have ended well within this many days, beside their own interval.
    pub automatic_updates_maximum_days: i64,
    /// The fix of a critical advisory must be installed within this many days of its publication.
    pub critical_update_maximum_days: i64,
    /// Oldest index of advisories that still tells what is known, days.
    pub advisory_data_maximum_days: i64,
    /// Days after the employment end until every way in must be closed.
    pub leaver_limit_days: i64,
    /// An account that can sign in must have done so within this many days.
    pub dormant_account_days: i64,
    /// Password hash schemes that may be used (names of crypt(5)).
    pub password_schemes: Vec<String>,
    /// Shortest password that may be set, characters.
    pub password_minimum_length: i64,
    /// Old passwords that can't be used again, at least; 0: not asked for.
    pub password_history_minimum: i64,
    /// Wrong passwords after which an account is locked, at most; 0: lockout is not asked for.
    pub lockout_maximum_failures: i64,
    /// Seconds until a locked account opens by itself, at least (opening by an administrator alone satisfies it).
    pub lockout_minimum_seconds: i64,
    /// Whether becoming root by su must be limited to a group.
    pub su_restricted: bool,
    /// Longest permitted password age, days; 0: no limit.
    pub password_maximum_days: i64,
    /// Most attempts to authenticate within one SSH connection.
    pub ssh_auth_tries_maximum: i64,
    /// Longest time that SSH may leave a connection unauthenticated, seconds.
    pub ssh_login_grace_maximum_seconds: i64,
    /// Fewest PBKDF2 iterations of a LUKS key slot that a passphrase or key file opens.
    pub luks_pbkdf2_minimum_iterations: i64,
    /// Least memory of Argon2 of such a key slot, KiB.
    pub luks_argon2_minimum_kib: i64,
    /// Database roles that may be superusers beside those that a server comes with.
    pub database_superusers: Vec<String>,
    /// Whether PostgreSQL must keep checksums of its data pages.
    pub database_checksums_required: bool,
    /// Longest time that a replica of a database may be behind, seconds.
    pub replication_lag_maximum_seconds: i64,
    /// Most log that an inactive replication slot may hold back, MiB.
    pub replication_slot_maximum_mib: i64,
    /// Ports that may be reached from everywhere, such as `443/tcp`; empty: not asked for.
    pub exposed_endpoints: Vec<String>,
    /// Protocols (as in `services`) of services that are never meant for everybody.
    pub internal_protocols: Vec<String>,
    /// Warn about the end of life of the operating system this many days ahead.
    pub os_end_of_life_warning_days: i64,
    /// A backup or snapshot may be this late, minutes.
    pub backup_delay_minutes: i64,
    /// Smallest size of a backup beside the median of its kind, percent.
    pub backup_size_minimum_percent: i64,
    /// A lock of a backup repository this old, hours, was left behind.
    pub backup_lock_maximum_hours: i64,
    /// A time service must have set the clock within this many hours.
    pub time_sync_maximum_hours: i64,
    /// Largest difference of the clock to its source, milliseconds.
    pub time_offset_maximum_milliseconds: i64,
    /// Largest difference of the clock to the collector's, seconds; messages take their time, so a few are no difference.
    pub collector_clock_maximum_seconds: i64,
    /// Records of sign-ins, of the system and of auditing must be kept at least this many days; 0: not asked for.
    pub log_retention_minimum_days: i64,
    /// Something must have been recorded within this many hours.
    pub log_silence_maximum_hours: i64,
    /// Whether every machine must have an engine against malware that runs.
    pub anti_malware_required: bool,
    /// Oldest signatures of an engine against malware, days.
    pub malware_signatures_maximum_days: i64,
    /// A scan for malware must have ended within this many days.
    pub malware_scan_maximum_days: i64,
    /// Whether every machine must have a monitoring agent that runs.
    pub monitoring_agent_required: bool,
    /// Whether the accounts that may use cron and at must be listed.
    pub job_schedulers_listed: bool,
    /// Whether no FTP server may start at all, with TLS or without.
    pub ftp_forbidden: bool,
    /// What a super server must not start: words of `super_servers.services.protocol`.
    pub forbidden_protocols: Vec<String>,
    /// Schemes in which a directory may store new passwords, without braces.
    pub directory_password_schemes: Vec<String>,
    /// Oldest image of a container that may run, days since it was made; 0: not asked for.
    pub container_image_maximum_days: i64,
    /// Units and init scripts that may not be told to start.
    pub units_forbidden: Vec<String>,
    /// Kernel settings that must have one of these values; a key with `*` for the interface: on every interface.
    pub kernel_settings: Vec<KernelSetting>,
}

/// Values of one kernel setting that are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelSetting {
    /// Key, such as `kernel.randomize_va_space` or `net.ipv4.conf.*.accept_source_route`.
    pub key: String,
    /// Values.
    pub values: Vec<String>,
}

impl KernelSetting {
    fn of(key: &str, values: &[&str]) -> Self {
        Self { key: key.into(), values: values.iter().map(|v| (*v).to_string()).collect() }
    }
}

/// Protocols without encryption whose servers promise C14 names; they come as units of Debian and Fedora and as scripts of Alpine.
const UNITS_FORBIDDEN: [&str; 16] = [
    "telnet.socket",
    "telnetd",
    "inetutils-telnetd.service",
    "rsh.socket",
    "rlogin.socket",
    "rexec.socket",
    "tftp.socket",
    "tftp.service",
    "tftpd-hpa.service",
    "atftpd.service",
    "in.tftpd",
    "ypserv.service",
    "ypbind.service",
    "rwhod.service",
    "talk.socket",
    "finger.socket",
];

impl Default for Policy {
    fn default() -> Self {
        Self {
            tls_minimum_version: "TLSv1.2".into(),
            tls_post_quantum_required: false,
            certificate_remaining_days: 14,
            // CA/Browser Forum Baseline Requirements section 6.3.2 since 2020-09-01; they shrink in steps from 2026-03-15.
            certificate_validity_maximum_days: 398,
            rsa_minimum_bits: 2048,
            ec_minimum_bits: 224,
            // RFC 9325 section 4.1 and NIST SP 800-131A.
            dh_minimum_bits: 2048,
            package_lists_maximum_days: 7,
            security_update_maximum_days: 30,
            automatic_updates_maximum_days: 7,
            critical_update_maximum_days: 7,
            advisory_data_maximum_days: 14,
            leaver_limit_days: 1,
            dormant_account_days: 90,
            password_schemes: ["yescrypt", "gost-yescrypt", "scrypt", "bcrypt", "sha512crypt", "sha256crypt"].map(String::from).to_vec(),
            // NIST SP 800-63B asks for 8 at least, more where the password is all there is.
            password_minimum_length: 12,
            password_history_minimum: 0,
            lockout_maximum_failures: 100,
            lockout_minimum_seconds: 60,
            su_restricted: false,
            password_maximum_days: 0,
            ssh_auth_tries_maximum: 6,
            ssh_login_grace_maximum_seconds: 120,
            luks_pbkdf2_minimum_iterations: 100_000,
            luks_argon2_minimum_kib: 19_456,
            database_superusers: Vec::new(),
            database_checksums_required: false,
            replication_lag_maximum_seconds: 300,
            replication_slot_maximum_mib: 1024,
            exposed_endpoints: Vec::new(),
            internal_protocols: INTERNAL_PROTOCOLS.map(String::from).to_vec(),
            os_end_of_life_warning_days: 0,
            backup_delay_minutes: 60,
            backup_size_minimum_percent: 50,
            backup_lock_maximum_hours: 24,
            time_sync_maximum_hours: 24,
            time_offset_maximum_milliseconds: 1000,
            collector_clock_maximum_seconds: 60,
            // PCI DSS 4.0 requirement 10.5.1: three months at hand.
            log_retention_minimum_days: 90,
            log_silence_maximum_hours: 24,
            anti_malware_required: true,
            // ClamAV itself warns of signatures older than seven days.
            malware_signatures_maximum_days: 7,
            malware_scan_maximum_days: 7,
            monitoring_agent_required: true,
            job_schedulers_listed: false,
            ftp_forbidden: true,
            forbidden_protocols: [
                "ftp", "telnet", "tftp", "rsh", "rlogin", "rexec", "finger", "talk", "uucp", "rwho", "systat", "netstat", "echo", "discard", "chargen",
                "daytime", "time",
            ]
            .map(String::from)
            .to_vec(),
            directory_password_schemes: ["ARGON2", "PBKDF2-SHA512", "PBKDF2-SHA256", "SSHA512", "SSHA384", "SSHA256", "SSHA", "CRYPT"]
                .map(String::from)
                .to_vec(),
            container_image_maximum_days: 90,
            units_forbidden: UNITS_FORBIDDEN.map(String::from).to_vec(),
            kernel_settings: vec![
                KernelSetting::of("fs.protected_hardlinks", &["1"]),
                KernelSetting::of("fs.protected_symlinks", &["1"]),
                // 1 writes readable dumps of programs with set-ID bits into their working folder (proc(5)).
                KernelSetting::of("fs.suid_dumpable", &["0", "2"]),
                KernelSetting::of("kernel.randomize_va_space", &["2"]),
                KernelSetting::of("kernel.unprivileged_bpf_disabled", &["1", "2"]),
                KernelSetting::of("net.ipv4.conf.*.accept_source_route", &["0"]),
                KernelSetting::of("net.ipv4.tcp_syncookies", &["1", "2"]),
            ],
        }
    }
}

/// A threshold that makes no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{key}: {problem}")]
pub struct PolicyError {
    /// The key.
    pub key: &'static str,
    /// What is wrong and how to mend it.
    pub problem: String,
}

impl Policy {
    /// Checks ranges and names.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.tls_minimum_code().is_none() {
            let names: Vec<&str> = TLS_VERSIONS.iter().map(|v| v.0).collect();
            let problem = format!("{:?} is not a TLS version, use one of {}", self.tls_minimum_version, names.join(", "));
            return Err(PolicyError { key: "tls_minimum_version", problem });
        }
        for (key, value) in [
            ("luks_pbkdf2_minimum_iterations", self.luks_pbkdf2_minimum_iterations),
            ("luks_argon2_minimum_kib", self.luks_argon2_minimum_kib),
            ("replication_lag_maximum_seconds", self.replication_lag_maximum_seconds),
            ("replication_slot_maximum_mib", self.replication_slot_maximum_mib),
        ] {
            if !(0..=i64::from(u32::MAX)).contains(&value) {
                return Err(PolicyError { key, problem: format!("{value} is not between 0 and {}", u32::MAX) });
            }
        }
        for (key, value) in self.days() {
            if !(0..=36_500).contains(&value) {
                return Err(PolicyError { key, problem: format!("{value} is not between 0 and 36500") });
            }
        }
        Ok(())
    }

    fn days(&self) -> Vec<(&'static str, i64)> {
        vec![
            ("certificate_remaining_days", self.certificate_remaining_days),
            ("certificate_validity_maximum_days", self.certificate_validity_maximum_days),
            ("rsa_minimum_bits", self.rsa_minimum_bits),
            ("ec_minimum_bits", self.ec_minimum_bits),
            ("dh_minimum_bits", self.dh_minimum_bits),
            ("package_lists_maximum_days", self.package_lists_maximum_days),
            ("security_update_maximum_days", self.security_update_maximum_days),
            ("automatic_updates_maximum_days", self.automatic_updates_maximum_days),
            ("critical_update_maximum_days", self.critical_update_maximum_days),
            ("advisory_data_maximum_days", self.advisory_data_maximum_days),
            ("leaver_limit_days", self.leaver_limit_days),
            ("dormant_account_days", self.dormant_account_days),
            ("password_minimum_length", self.password_minimum_length),
            ("password_history_minimum", self.password_history_minimum),
            ("lockout_maximum_failures", self.lockout_maximum_failures),
            ("lockout_minimum_seconds", self.lockout_minimum_seconds),
            ("password_maximum_days", self.password_maximum_days),
            ("ssh_auth_tries_maximum", self.ssh_auth_tries_maximum),
            ("ssh_login_grace_maximum_seconds", self.ssh_login_grace_maximum_seconds),
            ("container_image_maximum_days", self.container_image_maximum_days),
            ("os_end_of_life_warning_days", self.os_end_of_life_warning_days),
            ("backup_delay_minutes", self.backup_delay_minutes),
            ("backup_size_minimum_percent", self.backup_size_minimum_percent),
            ("backup_lock_maximum_hours", self.backup_lock_maximum_hours),
            ("time_sync_maximum_hours", self.time_sync_maximum_hours),
            ("time_offset_maximum_milliseconds", self.time_offset_maximum_milliseconds),
            ("collector_clock_maximum_seconds", self.collector_clock_maximum_seconds),
            ("log_retention_minimum_days", self.log_retention_minimum_days),
            ("log_silence_maximum_hours", self.log_silence_maximum_hours),
            ("malware_signatures_maximum_days", self.malware_signatures_maximum_days),
            ("malware_scan_maximum_days", self.malware_scan_maximum_days),
        ]
    }

    /// Wire code of the minimum version.
    pub fn tls_minimum_code(&self) -> Option<u16> {
        TLS_VERSIONS.iter().find(|v| v.0 == self.tls_minimum_version).map(|v| v.1)
    }

    /// What rules see: the thresholds and `tls_minimum_code`.
    pub fn as_facts(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let (Some(map), Some(code)) = (value.as_object_mut(), self.tls_minimum_code()) {
            map.insert("tls_minimum_code".into(), code.into());
        }
        value
    }

    /// SHA-256 of the canonical thresholds.
    pub fn digest(&self) -> super::ids::Digest {
        super::ids::Digest::of(&super::canonical::to_bytes(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_nonsense_names_its_key() {
        Policy::default().check().unwrap();
        let policy = Policy { tls_minimum_version: "1.2".into(), ..Policy::default() };
        assert_eq!(policy.check().unwrap_err().key, "tls_minimum_version");
        let policy = Policy { leaver_limit_days: -1, ..Policy::default() };
        assert_eq!(policy.check().unwrap_err().to_string(), "leaver_limit_days: -1 is not between 0 and 36500");
    }
}
