//! Which services name which certificates and keys: the well-known directives of their
//! configurations, line by line. Conditions, includes outside the usual folders and variables are
//! the business of each program's own family, whose endpoints join in [`super::uses`].

use super::uses::ServiceUse;
use crate::facts::Document as _;
use crate::host::glob::glob;
use crate::host::{CONFIG_LIMIT, FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Most configuration files of one program.
const FILE_LIMIT: usize = 2_000;

/// How one program names its files.
struct Program {
    name: &'static str,
    /// Configuration files; `*` stands for any part of one name.
    files: &'static [&'static str],
    /// Directives of certificates, in lower case.
    certificates: &'static [&'static str],
    /// Directives of keys, in lower case.
    keys: &'static [&'static str],
    /// Folder below which relative paths lie; `.`: that of the file, `^`: the program's own below /etc.
    base: &'static str,
    /// A directive and the values of which one must be set, else nothing is used; empty: none.
    needs: (&'static str, &'static [&'static str]),
    /// How its lines belong together.
    lines: Lines,
}

/// How the lines of a configuration belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    /// One directive a line.
    Single,
    /// Several on one line, ended by semicolons and braces.
    Statements,
    /// A line that begins with a blank goes on with the one before (postconf(5)).
    Blank,
    /// The same, and the blank is no part of it (RFC 2849).
    Ldif,
}

const NONE: (&str, &[&str]) = ("", &[]);

static PROGRAMS: &[Program] = &[
    Program {
        name: "nginx",
        files: &["/etc/nginx/nginx.conf", "/etc/nginx/conf.d/*.conf", "/etc/nginx/sites-enabled/*", "/etc/nginx/snippets/*.conf"],
        certificates: &["ssl_certificate", "proxy_ssl_certificate"],
        keys: &["ssl_certificate_key", "proxy_ssl_certificate_key"],
        base: "^",
        needs: NONE,
        lines: Lines::Statements,
    },
    Program {
        name: "apache",
        files: &[
            "/etc/apache2/apache2.conf",
            "/etc/apache2/sites-enabled/*",
            "/etc/apache2/conf-enabled/*",
            "/etc/httpd/conf/httpd.conf",
            "/etc/httpd/conf.d/*.conf",
        ],
        certificates: &["sslcertificatefile", "sslcertificatechainfile"],
        keys: &["sslcertificatekeyfile"],
        base: "^",
        needs: NONE,
        lines: Lines::Single,
    },
    Program {
        name: "postfix",
        files: &["/etc/postfix/main.cf"],
        certificates: &["smtpd_tls_cert_file", "smtpd_tls_eccert_file", "smtp_tls_cert_file", "smtpd_tls_chain_files", "smtp_tls_chain_files"],
        keys: &["smtpd_tls_key_file", "smtpd_tls_eckey_file", "smtp_tls_key_file"],
        base: "",
        needs: NONE,
        lines: Lines::Blank,
    },
    Program {
        name: "dovecot",
        files: &["/etc/dovecot/dovecot.conf", "/etc/dovecot/local.conf", "/etc/dovecot/conf.d/*.conf"],
        certificates: &["ssl_cert", "ssl_alt_cert", "ssl_server_cert_file"],
        keys: &["ssl_key", "ssl_alt_key", "ssl_server_key_file"],
        base: "/etc/dovecot",
        needs: NONE,
        lines: Lines::Single,
    },
    Program {
        name: "postgresql",
        files: &["/etc/postgresql/*/*/postgresql.conf", "/var/lib/pgsql/data/postgresql.conf", "/var/lib/pgsql/*/data/postgresql.conf"],
        certificates: &["ssl_cert_file"],
        keys: &["ssl_key_file"],
        base: ".",
        needs: ("ssl", &["on", "true", "yes", "1"]),
        lines: Lines::Single,
    },
    Program {
        name: "mysql",
        files: &["/etc/mysql/my.cnf", "/etc/mysql/conf.d/*.cnf", "/etc/mysql/*.conf.d/*.cnf", "/etc/my.cnf", "/etc/my.cnf.d/*.cnf"],
        certificates: &["ssl_cert", "ssl-cert"],
        keys: &["ssl_key", "ssl-key"],
        base: "/var/lib/mysql",
        needs: NONE,
        lines: Lines::Single,
    },
    Program {
        name: "slapd",
        files: &["/etc/ldap/slapd.conf", "/etc/openldap/slapd.conf", "/etc/ldap/slapd.d/cn=config.ldif", "/etc/openldap/slapd.d/cn=config.ldif"],
        certificates: &["tlscertificatefile", "olctlscertificatefile"],
        keys: &["tlscertificatekeyfile", "olctlscertificatekeyfile"],
        base: "",
        needs: NONE,
        lines: Lines::Ldif,
    },
    Program {
        name: "redis",
        files: &["/etc/redis/*.conf", "/etc/redis.conf", "/etc/valkey/*.conf"],
        certificates: &["tls-cert-file"],
        keys: &["tls-key-file"],
        base: "",
        needs: NONE,
        lines: Lines::Single,
    },
    Program {
        name: "mosquitto",
        files: &["/etc/mosquitto/mosquitto.conf", "/etc/mosquitto/conf.d/*.conf"],
        certificates: &["certfile"],
        keys: &["keyfile"],
        base: "",
        needs: NONE,
        lines: Lines::Single,
    },
    Program { name: "stunnel", files: &["/etc/stunnel/*.conf"], certificates: &["cert"], keys: &["key"], base: "", needs: NONE, lines: Lines::Single },
    Program {
        name: "vsftpd",
        files: &["/etc/vsftpd.conf", "/etc/vsftpd/*.conf"],
        certificates: &["rsa_cert_file", "dsa_cert_file"],
        keys: &["rsa_private_key_file", "dsa_private_key_file"],
        base: "",
        needs: ("ssl_enable", &["yes", "true", "1"]),
        lines: Lines::Single,
    },
    Program {
        name: "proftpd",
        files: &["/etc/proftpd/*.conf", "/etc/proftpd/conf.d/*.conf", "/etc/proftpd.conf"],
        certificates: &["tlsrsacertificatefile", "tlseccertificatefile", "tlscertificatechainfile"],
        keys: &["tlsrsacertificatekeyfile", "tlseccertificatekeyfile"],
        base: "",
        needs: ("tlsengine", &["on", "yes", "true", "1"]),
        lines: Lines::Single,
    },
];

/// The files that the known programs' configurations name.
pub fn uses(host: &Host, gaps: &mut Gaps) -> Vec<ServiceUse> {
    let mut out = Vec::new();
    for program in PROGRAMS {
        let mut files = Vec::new();
        for pattern in program.files {
            let found = glob(host, pattern);
            found.errors.iter().for_each(|e| gaps.add(e.to_gap(super::Certificates::NAME, "uses", program.name)));
            files.extend(found.paths.into_iter().filter(|path| host.stat(path).is_ok_and(|s| s.kind == FileKind::File)));
        }
        if files.len() > FILE_LIMIT {
            files.truncate(FILE_LIMIT);
            let detail = format!("{} has more than {FILE_LIMIT} configuration files", program.name);
            gaps.note(super::Certificates::NAME, "uses", program.name, reason::LIMIT_REACHED, detail, "");
        }
        for file in files {
            match host.read_text(&file, CONFIG_LIMIT) {
                Ok(text) => out.extend(of_text(program, &file, &text, gaps)),
                Err(e) if e.is_not_found() => {}
                Err(e) => gaps.add(e.to_gap(super::Certificates::NAME, "uses", program.name)),
            }
        }
    }
    out
}

struct Named {
    value: String,
    line: usize,
    directive: String,
    is_key: bool,
}

fn of_text(program: &Program, file: &str, text: &str, gaps: &mut Gaps) -> Vec<ServiceUse> {
    let mut named: Vec<Named> = Vec::new();
    let (needed, values) = program.needs;
    let mut is_on = needed.is_empty();
    for (number, line) in logical(text, program.lines) {
        let line = line.trim();
        if line.starts_with(['#', ';', '!']) {
            continue;
        }
        let statements: Vec<&str> = match program.lines {
            Lines::Statements => line.split('#').next().unwrap_or("").split([';', '{', '}']).collect(),
            _ => vec![line],
        };
        for statement in statements {
            let Some((directive, value)) = assignment(statement) else { continue };
            let name = directive.to_ascii_lowercase();
            if name == needed {
                is_on = values.iter().any(|v| value.eq_ignore_ascii_case(v));
            }
            let is_key = program.keys.contains(&name.as_str());
            if !is_key && !program.certificates.contains(&name.as_str()) {
                continue;
            }
            for value in value.split(',').map(str::trim).filter(|v| !v.is_empty()) {
                named.push(Named { value: value.into(), line: number, directive: directive.into(), is_key });
            }
        }
    }
    if !is_on {
        return Vec::new();
    }
    named.retain(|n| {
        let known = !n.value.contains(['$', '%']) && !n.value.starts_with("data:") && !n.value.starts_with("engine:");
        if !known {
            let detail = format!("{file}:{}: {} names a file by a variable", n.line, n.directive);
            gaps.note(super::Certificates::NAME, "uses", &format!("{} {file}:{}", program.name, n.line), reason::UNSUPPORTED, detail, "");
        }
        known
    });
    let folder = file.rsplit_once('/').map_or("", |(f, _)| f);
    // `/etc/httpd` of `/etc/httpd/conf.d/ssl.conf`
    let top = file.match_indices('/').nth(2).and_then(|(i, _)| file.get(..i)).unwrap_or(folder);
    let base = match program.base {
        "." => folder,
        "^" => top,
        base => base,
    };
    pairs(program.name, file, &named, base)
}

/// Lines with the number of the first of those that belong together.
fn logical(text: &str, lines: Lines) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        // Comments and empty lines do not end what goes on.
        if lines == Lines::Blank && (line.trim().is_empty() || line.trim_start().starts_with('#')) {
            continue;
        }
        let goes_on = matches!(lines, Lines::Blank | Lines::Ldif) && line.starts_with([' ', '\t']);
        match out.last_mut().filter(|_| goes_on) {
            Some((_, before)) if lines == Lines::Ldif => before.push_str(line.get(1..).unwrap_or("")),
            Some((_, before)) => {
                before.push(' ');
                before.push_str(line.trim());
            }
            None => out.push((index + 1, line.to_string())),
        }
    }
    out
}

/// `Name value`, `name = value` or `name: value`, quotes and dovecot's `<` taken off.
fn assignment(statement: &str) -> Option<(&str, String)> {
    let statement = statement.trim();
    let end = statement.find(|c: char| c.is_whitespace() || c == '=' || c == ':')?;
    let (name, rest) = statement.split_at_checked(end)?;
    let value = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '=' || c == ':');
    let value = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value.get(1..)?.split(quote).next().unwrap_or(""),
        _ => value.split(" #").next().unwrap_or("").trim(),
    };
    let value = value.trim_start_matches('<').trim();
    (!name.is_empty() && !value.is_empty()).then(|| (name, value.to_string()))
}

/// The first certificate with the first key and so on when a file names as many of both; else all
/// of the file together.
fn pairs(service: &str, file: &str, named: &[Named], base: &str) -> Vec<ServiceUse> {
    let place = |value: &str| if value.starts_with('/') { Some(value.to_string()) } else { (!base.is_empty()).then(|| format!("{base}/{value}")) };
    let (keys, certificates): (Vec<&Named>, Vec<&Named>) = named.iter().partition(|n| n.is_key);
    let made = |certificates: &[&Named], keys: &[&Named]| {
        let first = certificates.first().or(keys.first())?;
        let paths = |list: &[&Named]| list.iter().filter_map(|n| place(&n.value)).collect();
        Some(ServiceUse {
            service: service.into(),
            certificates: paths(certificates),
            keys: paths(keys),
            source: Source::line(file, first.line, first.directive.clone()),
        })
    };
    if certificates.len() == keys.len() {
        return certificates.iter().zip(&keys).filter_map(|(c, k)| made(&[c], &[k])).collect();
    }
    made(&certificates, &keys).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;

    #[test]
    fn directives_of_programs() {
        let (_root, host) = rooted(&[
            (
                "etc/nginx/sites-enabled/a",
                "server {\n  listen 443 ssl; ssl_certificate /a.pem; ssl_certificate_key a.key; # ssl_certificate /no.pem;\n}\nserver { ssl_certificate $x.pem; }\n",
            ),
            ("etc/nginx/sites-available/b", "ssl_certificate /never.pem;\n"),
            ("etc/apache2/sites-enabled/b.conf", "SSLCertificateFile \"/b c.pem\"\n  sslcertificatekeyfile /b.key\n#SSLCertificateFile /no\n"),
            ("etc/dovecot/conf.d/10-ssl.conf", "ssl_cert = </etc/dovecot/private/d.pem\nssl_key = <d.key\n"),
            ("etc/postfix/main.cf", "smtpd_tls_chain_files =\n  /k1.pem,\n# words\n\t/k2.pem\nx = y\n"),
            ("etc/httpd/conf.d/ssl.conf", "SSLCertificateFile tls/h.pem\n"),
            ("etc/ldap/slapd.d/cn=config.ldif", "olcTLSCertificateFile: /a/very/lo\n ng.pem\n"),
            ("etc/postgresql/15/main/postgresql.conf", "ssl = on\nssl_cert_file = 'server.crt'   # word\nssl_key_file='/p.key'\n"),
            ("etc/vsftpd.conf", "ssl_enable=NO\nrsa_cert_file=/v.pem\n"),
        ]);
        let mut gaps = Gaps::new();
        let shown: Vec<String> =
            uses(&host, &mut gaps).iter().map(|u| format!("{} {} {} {}", u.service, u.certificates.join(","), u.keys.join(","), u.source.line)).collect();
        assert_eq!(
            shown,
            [
                "nginx /a.pem /etc/nginx/a.key 2",
                "apache /b c.pem /b.key 1",
                "apache /etc/httpd/tls/h.pem  1",
                "postfix /k1.pem,/k2.pem  1",
                "dovecot /etc/dovecot/private/d.pem /etc/dovecot/d.key 1",
                "postgresql /etc/postgresql/15/main/server.crt /p.key 2",
                "slapd /a/very/long.pem  1"
            ]
        );
        let gaps = gaps.into_sorted();
        assert_eq!((gaps.len(), gaps[0].subject.as_str()), (1, "nginx /etc/nginx/sites-enabled/a:4"));
    }

    #[test]
    fn assignments_of_any_text() {
        assert_eq!(assignment("a = 'b'"), Some(("a", "b".into())));
        for text in ["", "=", ":", "a", "a=", "a ''", "a \"", "ä ö", "a=\u{0}"] {
            let _ = assignment(text);
        }
    }
}
