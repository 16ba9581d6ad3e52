//! The one redactor: text that may hold secrets (command lines, crontab lines, connection strings)
//! to text that may leave the host.
//!
//! It errs on the side of taking out: a word that looks like a secret is replaced by
//! [`REDACTED`], what names it stays. Input is bounded by [`TEXT_LIMIT`]; what is cut off is marked.

use std::sync::LazyLock;

use regex_lite::{Captures, Regex};

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";
/// Longest text looked at, bytes; the rest is dropped.
pub const TEXT_LIMIT: usize = 64 << 10;
/// Shortest run of letters and digits that is taken for a random token.
const TOKEN_LENGTH: usize = 24;

/// Replaces every secret that can be recognised.
pub fn text(input: &str) -> String {
    let end = (0..=input.len().min(TEXT_LIMIT)).rev().find(|i| input.is_char_boundary(*i)).unwrap_or(0);
    let mut out = input.get(..end).unwrap_or("").to_string();
    for pattern in PATTERNS.iter() {
        out = pattern.replace_all(&out, |c: &Captures<'_>| kept(c)).into_owned();
    }
    out = words(&out);
    if end < input.len() {
        out.push('…');
    }
    out
}

/// A command line: each argument by itself, so that blanks inside one hide nothing, and the
/// argument after a secret option is taken out whole.
pub fn command(arguments: &[String]) -> String {
    let program = arguments.first().map_or("", |a| a.rsplit('/').next().unwrap_or(a));
    let mut out: Vec<String> = Vec::new();
    let mut secret_next = false;
    for argument in arguments {
        if std::mem::take(&mut secret_next) {
            out.push(REDACTED.into());
            continue;
        }
        let (flag, attached) = argument.split_at_checked(2).unwrap_or((argument, ""));
        let short = short_options(program).contains(&flag);
        if short && !attached.is_empty() && !argument.starts_with("--") {
            out.push(format!("{flag}{REDACTED}"));
            continue;
        }
        secret_next = short && !reads_terminal(program) || (argument.starts_with('-') && !argument.contains('=') && SECRET_NAME.is_match(argument));
        if argument.contains(char::is_whitespace) && SECRET_NAME.is_match(argument) && (argument.contains('=') || argument.contains(':')) {
            out.push(whole(argument));
        } else {
            out.push(text(argument));
        }
    }
    text(&out.join(" "))
}

/// `name=value with blanks` as one argument: everything behind the first mark goes.
fn whole(argument: &str) -> String {
    match argument.split_once('=') {
        Some((name, _)) if SECRET_NAME.is_match(name) && !name.contains(char::is_whitespace) => format!("{name}={REDACTED}"),
        _ => text(argument),
    }
}

/// Short options that carry a secret, by program.
fn short_options(program: &str) -> &'static [&'static str] {
    match program {
        "mysql" | "mysqldump" | "mysqladmin" | "mariadb" | "mariadb-dump" | "mariadb-admin" | "sshpass" => &["-p"],
        "curl" | "wget" => &["-u"],
        "redis-cli" => &["-a"],
        "ldapsearch" | "ldapmodify" | "ldapadd" | "ldapwhoami" | "ldappasswd" => &["-w"],
        "smbclient" | "rpcclient" => &["-U"],
        "snmpget" | "snmpwalk" => &["-c", "-A", "-X"],
        "mosquitto_pub" | "mosquitto_sub" | "ipmitool" => &["-P"],
        _ => &[],
    }
}

/// Programs whose option without a value asks at the terminal: the next word is no secret.
fn reads_terminal(program: &str) -> bool {
    program.starts_with("mysql") || program.starts_with("mariadb")
}

const NAMES: &str = r"pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|secret[_-]?key|encryption[_-]?key|account[_-]?key|shared[_-]?key|auth(?:orization|key)?|credentials?|psk|sas|signature|sig|cookie|session[_-]?id";

static SECRET_NAME: LazyLock<Regex> =
    LazyLock::new(|| compile(&format!(r"(?i)(?:^|[^a-z])(?:[a-z0-9]+[_.-])*(?:{NAMES})(?:$|[^a-z])|(?:password|passwd|passphrase|secret|token)")));

/// Group 1, where there is one, stays; the match is replaced.
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // PEM and OpenSSH private keys, closed or cut off.
        r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)".to_string(),
        // scheme://user:password@host, the last @ before the path.
        r"([a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@]*:)[^\s/]*(?:@)".to_string(),
        // A token as the user of a URL.
        r"([a-zA-Z][a-zA-Z0-9+.-]*://)[A-Za-z0-9_-]{20,}@".to_string(),
        // Authorization: Bearer …
        r"(?i)\b((?:proxy-)?authorization[\x22']?\s*[:=]\s*[\x22']?(?:bearer|basic|token|digest|negotiate)\s+)[^\s\x22',;]+".to_string(),
        r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}".to_string(),
        // name=value, name: value, "name": "value", with quotes or without.
        format!(r#"(?i)((?:[a-z0-9]+[_.-])*[a-z0-9]*(?:{NAMES})[a-z0-9_]*["']?\s*(?:=>|:=|=|:)\s*)(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,;&|"']+)"#),
        // --password value, -passin pass:value
        format!(r#"(?i)((?:^|\s)--?(?:[a-z0-9]+-)*(?:{NAMES})(?:-[a-z0-9]+)*\s+)(?:"[^"]*"?|'[^']*'?|[^\s-]\S*)"#),
        r"(?i)\b(pass:)[^\s]+".to_string(),
        // IDENTIFIED BY 'value'
        r"(?i)(identified\s+(?:with\s+\S+\s+)?by\s+(?:password\s+)?)(?:'[^']*'?|\x22[^\x22]*\x22?|\S+)".to_string(),
        // crypt(5) hashes.
        r"\$(?:1|2[abxy]|5|6|7|y|gy|sha1|md5|argon2id?|scrypt|pbkdf2[a-z0-9-]*)\$[^\s:;,\x22']+".to_string(),
        // Tokens that name their issuer.
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b".to_string(),
        r"\b(?:gh[oprsu]_|github_pat_|glpat-|xox[abeoprs]-|sk_live_|rk_live_|sk-|npm_|pypi-|hvs\.|dop_v1_|AIza|ya29\.|SG\.)[A-Za-z0-9._-]{10,}".to_string(),
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?".to_string(),
    ]
    .iter()
    .map(|p| compile(p))
    .collect()
});

#[expect(clippy::expect_used, reason = "constant patterns; a test compiles each")]
fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern compiles")
}

fn kept(captures: &Captures<'_>) -> String {
    let whole = captures.get(0).map_or("", |m| m.as_str());
    let prefix = captures.get(1).map_or("", |m| m.as_str());
    let suffix = if prefix.contains("://") || (prefix.is_empty() && whole.ends_with('@')) { "@" } else { "" };
    format!("{prefix}{REDACTED}{suffix}")
}

/// Random-looking runs: letters of both cases and digits, long, and no fingerprint or path.
fn words(input: &str) -> String {
    let mut out = String::with_capacity(input.len());
    let mut run = String::new();
    for c in input.chars().chain(std::iter::once('\0')) {
        if c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '=') {
            run.push(c);
            continue;
        }
        let fingerprint = out.ends_with("SHA256:") || out.ends_with("MD5:");
        out.push_str(if random(&run) && !fingerprint { REDACTED } else { &run });
        run.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

fn random(run: &str) -> bool {
    let count = |test: fn(&u8) -> bool| run.bytes().filter(test).count();
    run.len() >= TOKEN_LENGTH && count(u8::is_ascii_digit) >= 3 && count(u8::is_ascii_uppercase) >= 3 && count(u8::is_ascii_lowercase) >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text with one planted secret `S3cr3t-Pl4nt` and what must stay readable.
    const PLANTED: &[(&str, &str)] = &[
        ("postgres://app:S3cr3t-Pl4nt@db.internal/shop", "db.internal/shop"),
        ("https://user:S3cr3t-Pl4nt@p@host/x", "host/x"),
        ("PGPASSWORD=S3cr3t-Pl4nt pg_dump shop", "pg_dump shop"),
        ("export DB_PASS='S3cr3t-Pl4nt more'; run", "run"),
        ("{\"user\": \"bob\", \"password\": \"S3cr3t-Pl4nt\"}", "bob"),
        ("curl -H 'Authorization: Bearer S3cr3t-Pl4nt' https://api", "https://api"),
        ("--password S3cr3t-Pl4nt --host db", "--host db"),
        ("--db-password=S3cr3t-Pl4nt --host db", "--host db"),
        ("openssl rsa -passin pass:S3cr3t-Pl4nt -in key.pem", "-in key.pem"),
        ("Server=db;User Id=sa;Password=S3cr3t-Pl4nt;Encrypt=true", "Encrypt=true"),
        ("Server=db;Pwd=S3cr3t-Pl4nt;Encrypt=true", "Encrypt=true"),
        ("AccountKey=S3cr3t-Pl4nt;EndpointSuffix=core", "EndpointSuffix=core"),
        ("https://x/blob?sv=1&sig=S3cr3t-Pl4nt&se=2", "se=2"),
        ("CREATE USER bob IDENTIFIED BY 'S3cr3t-Pl4nt' REQUIRE SSL", "REQUIRE SSL"),
        ("aws_secret_access_key = S3cr3t-Pl4nt", "aws_secret_access_key"),
        ("API_TOKEN: S3cr3t-Pl4nt", "API_TOKEN"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nS3cr3t-Pl4nt\n-----END OPENSSH PRIVATE KEY-----\nafter", "after"),
        ("-----BEGIN PRIVATE KEY-----\nS3cr3t-Pl4nt", ""),
        ("bob:$6$S3cr3t-Pl4nt$abc:19000", "19000"),
    ];

    #[test]
    fn planted_secrets_go_and_the_rest_stays() {
        for (input, stays) in PLANTED {
            let out = text(input);
            assert!(!out.contains("S3cr3t") && !out.contains("Pl4nt"), "{input} -> {out}");
            assert!(out.contains(stays) && out.contains(REDACTED), "{input} -> {out}");
        }
        for token in
            ["ghp_abcdefghij0123456789", "AKIAABCDEFGHIJKLMNOP", "eyJhbGciOiJI.eyJzdWIi.abc", "xoxb-1234567890-abc", "Zm9vYmFyQmF6MTIzNDU2Nzg5MEFCQ0RF"]
        {
            assert_eq!(text(&format!("a {token} b")), format!("a {REDACTED} b"), "{token}");
        }
    }

    #[test]
    fn command_lines_lose_their_secrets() {
        let line = |words: &[&str]| command(&words.iter().map(|w| (*w).to_string()).collect::<Vec<_>>());
        assert_eq!(line(&["/usr/bin/mysqldump", "-u", "bob", "-pS3cr3t", "shop"]), format!("/usr/bin/mysqldump -u bob -p{REDACTED} shop"));
        assert_eq!(line(&["mysql", "-p", "shop"]), "mysql -p shop");
        assert_eq!(line(&["curl", "-u", "bob:S3cr3t", "https://x"]), format!("curl -u {REDACTED} https://x"));
        assert_eq!(line(&["x", "--api-token", "two words S3cr3t", "y"]), format!("x --api-token {REDACTED} y"));
        assert_eq!(line(&["x", "PASSWORD=two words S3cr3t"]), format!("x PASSWORD={REDACTED}"));
        assert_eq!(line(&["sshpass", "-p", "S3cr3t", "ssh", "h"]), format!("sshpass -p {REDACTED} ssh h"));
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        for plain in [
            "/usr/sbin/nginx -c /etc/nginx/nginx.conf -g 'daemon off;'",
            "SHA256:Zm9vYmFyQmF6MTIzNDU2Nzg5MEFCQ0RFRkdI key of max",
            "0 3 * * * root /usr/local/bin/backup --full /srv/data-2026-11-22",
            "postgres: 15/main: checkpointer",
            "https://example.org:8443/path?x=1",
        ] {
            assert_eq!(text(plain), plain);
        }
    }

    #[test]
    fn long_text_is_cut_and_marked() {
        let out = text(&"é".repeat(TEXT_LIMIT));
        assert!(out.len() <= TEXT_LIMIT + '…'.len_utf8() && out.ends_with('…'));
    }
}
