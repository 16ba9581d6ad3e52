//! inetd.conf(5) as OpenBSD's and GNU's inetd read it.
//!
//! ```text
//! [ADDRESS:]SERVICE stream|dgram|… tcp|udp|tcp6|rpc/tcp wait|nowait[.MAX] USER[.GROUP] PROGRAM NAME ARGUMENTS…
//! ```
//! A line that begins with a blank goes on with the one before; `ADDRESS:` alone is the address of
//! the lines behind it.

use super::{Reader, SuperService, protocol};
use crate::model::fact::Source;
use crate::model::gap::reason;

/// The usual file.
pub const MAIN: &str = "/etc/inetd.conf";
/// GNU inetd's folder of further ones.
pub const FOLDER: &str = "/etc/inetd.d";
/// Most lines kept.
const LINE_LIMIT: usize = 10_000;

/// Reads files and folders.
pub fn read(reader: &mut Reader<'_>, places: &[String], started: &str, out: &mut Vec<SuperService>) {
    for place in places {
        if reader.host.stat(place).is_ok_and(|s| s.kind == crate::host::FileKind::Folder) {
            for name in reader.files(place) {
                file(reader, &format!("{place}/{name}"), started, out);
            }
        } else {
            file(reader, place, started, out);
        }
    }
}

fn file(reader: &mut Reader<'_>, path: &str, started: &str, out: &mut Vec<SuperService>) {
    let Some(text) = reader.text(path) else { return };
    let mut default_address = String::from("*");
    for (line, words) in entries(&text) {
        if out.len() >= LINE_LIMIT {
            return reader.gap(path, reason::LIMIT_REACHED, format!("{path}: more than {LINE_LIMIT} services"));
        }
        if let [only] = words.as_slice()
            && let Some(address) = only.strip_suffix(':')
        {
            default_address = address.trim_matches(['[', ']']).to_string();
            continue;
        }
        match service(reader, &words, &default_address) {
            Some(service) => out.push(SuperService {
                manager: "inetd".into(),
                starts: started != "no",
                started: started.into(),
                source: Source::line(path, line, service.name.clone()),
                ..service
            }),
            // inetd passes over it as well.
            None if words.len() < 6 => {}
            None => reader.gap(path, reason::MALFORMED, format!("{path}:{line}: not a service of inetd.conf(5)")),
        }
    }
}

/// Words of each entry with its line.
fn entries(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut out: Vec<(usize, Vec<String>)> = Vec::new();
    let mut continues = false;
    for (index, line) in text.lines().enumerate().take(LINE_LIMIT * 4) {
        if line.starts_with('#') || line.trim().is_empty() {
            continues = false;
            continue;
        }
        let words = split(line);
        match out.last_mut().filter(|_| continues && line.starts_with([' ', '\t'])) {
            Some((_, before)) => before.extend(words),
            None => out.push((index + 1, words)),
        }
        continues = true;
    }
    out
}

/// Blanks separate words, quotes hold them together.
fn split(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => out.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    out
}

fn service(reader: &mut Reader<'_>, words: &[String], default_address: &str) -> Option<SuperService> {
    let [name, kind, proto, _wait, user, program, arguments @ ..] = words else { return None };
    if !["stream", "dgram", "raw", "rdm", "seqpacket"].contains(&kind.as_str()) {
        return None;
    }
    let (address, name) = match name.rsplit_once(':') {
        Some((address, name)) => (address.trim_matches(['[', ']']).to_string(), name.to_string()),
        None => (default_address.to_string(), name.clone()),
    };
    let is_rpc = proto.starts_with("rpc/");
    let transport = if proto.trim_start_matches("rpc/").starts_with("udp") { "udp" } else { "tcp" };
    let port = if is_rpc { 0 } else { reader.port(&name, transport) };
    // tcpd stands for the program, whose path is its first argument.
    let wrapped = program.rsplit('/').next() == Some("tcpd");
    let real = if wrapped { arguments.first().cloned().unwrap_or_default() } else { program.clone() };
    let label = if address == "*" || address.is_empty() { String::new() } else { format!("{address}:") };
    let account = user.split(['.', ':', '/']).next().unwrap_or("").to_string();
    Some(SuperService {
        subject: format!("inetd {label}{name}/{proto}"),
        protocol: protocol::of(&real, &name, port, transport).into(),
        address: if address.is_empty() { "*".into() } else { address },
        port,
        transport: transport.into(),
        arguments: u32::try_from(arguments.len().saturating_sub(1)).unwrap_or(u32::MAX),
        words: arguments.get(1..).unwrap_or_default().to_vec(),
        program: real,
        account,
        wrapped,
        name,
        ..SuperService::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    #[test]
    fn addresses_continuations_wrappers_and_comments() {
        let text = "#telnet stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.telnetd\n\
            ftp stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.ftpd -l\n\
            127.0.0.1:2323 stream tcp nowait telnetd\n  /usr/sbin/telnetd telnetd\n\
            10.0.0.1:\n69 dgram udp wait nobody.nogroup /usr/sbin/in.tftpd in.tftpd -s /srv\n*:\n\
            [::1]:echo stream tcp6 nowait root internal\nmountd/1-3 dgram rpc/udp wait root /usr/sbin/rpc.mountd rpc.mountd\nbroken line\n";
        let (_root, host) = rooted(&[("/etc/inetd.conf", text), ("/etc/services", "ftp 21/tcp\necho 7/tcp\n")]);
        let mut gaps = Gaps::new();
        let mut reader = Reader { host: &host, family: "super_servers", path: "services", gaps: &mut gaps, ports: None };
        let mut out = Vec::new();
        read(&mut reader, &[MAIN.to_string()], "no", &mut out);
        let shown: Vec<String> =
            out.iter().map(|s| format!("{}|{}|{}|{}|{}|{}|{}", s.subject, s.address, s.port, s.protocol, s.program, s.account, s.source.line)).collect();
        assert_eq!(
            shown,
            [
                "inetd ftp/tcp|*|21|ftp|/usr/sbin/in.ftpd|root|2",
                "inetd 127.0.0.1:2323/tcp|127.0.0.1|2323|telnet|/usr/sbin/telnetd|telnetd|3",
                "inetd 10.0.0.1:69/udp|10.0.0.1|69|tftp|/usr/sbin/in.tftpd|nobody|6",
                "inetd ::1:echo/tcp6|::1|7|echo|internal|root|8",
                "inetd mountd/1-3/rpc/udp|*|0||/usr/sbin/rpc.mountd|root|9",
            ]
        );
        assert!(out[0].wrapped && !out[1].wrapped && out[2].words == ["-s", "/srv"]);
        assert!(gaps.into_sorted().is_empty());
        for end in (0..text.len()).filter(|e| text.is_char_boundary(*e)) {
            let _ = entries(&text[..end]);
        }
    }
}
