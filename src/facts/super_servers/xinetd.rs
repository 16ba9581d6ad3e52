//! xinetd.conf(5): `defaults` and `service` blocks, included files and folders.

use std::collections::BTreeSet;

use super::{Reader, SuperService, protocol};
use crate::model::fact::Source;
use crate::model::gap::reason;

/// The usual file.
pub const MAIN: &str = "/etc/xinetd.conf";
/// Most files read.
const FILE_LIMIT: usize = 512;
/// Deepest chain of includes.
const DEPTH_LIMIT: usize = 8;
/// Most attributes kept of all blocks.
const ATTRIBUTE_LIMIT: usize = 20_000;

/// One block as written.
#[derive(Clone, Debug, Default)]
struct Block {
    /// Service; empty for `defaults`.
    name: String,
    attributes: Vec<Attribute>,
    path: String,
    line: usize,
}

#[derive(Clone, Debug)]
struct Attribute {
    name: String,
    operator: &'static str,
    values: Vec<String>,
}

/// Reads a file with its includes.
pub fn read(reader: &mut Reader<'_>, main: &str, started: &str, out: &mut Vec<SuperService>) {
    let mut files = Files { reader, blocks: Vec::new(), count: 0, attributes: 0 };
    files.file(main, 0);
    let blocks = files.blocks;
    let defaults: Vec<Attribute> = blocks.iter().filter(|b| b.name.is_empty()).flat_map(|b| b.attributes.clone()).collect();
    let listed = |name: &str| -> Option<BTreeSet<String>> {
        let found: Vec<&Attribute> = defaults.iter().filter(|a| a.name == name).collect();
        (!found.is_empty()).then(|| found.iter().flat_map(|a| a.values.clone()).collect())
    };
    let (enabled, disabled) = (listed("enabled"), listed("disabled").unwrap_or_default());
    for block in blocks.iter().filter(|b| !b.name.is_empty()) {
        let id = block.last("id").unwrap_or_else(|| block.name.clone());
        let is_on = !block.is_disabled() && !disabled.contains(&id) && enabled.as_ref().is_none_or(|e| e.contains(&id));
        let starts = is_on && started != "no";
        let service = service(reader, block, &defaults, &id);
        out.push(SuperService { starts, started: if starts { started.into() } else { "no".into() }, ..service });
    }
}

struct Files<'r, 'a> {
    reader: &'r mut Reader<'a>,
    blocks: Vec<Block>,
    count: usize,
    attributes: usize,
}

impl Files<'_, '_> {
    fn file(&mut self, path: &str, depth: usize) {
        if self.count >= FILE_LIMIT || depth > DEPTH_LIMIT {
            return self.reader.gap(path, reason::LIMIT_REACHED, format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes"));
        }
        self.count += 1;
        let Some(text) = self.reader.text(path) else { return };
        let mut block: Option<Block> = None;
        let mut open = false;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match (words.as_slice(), open) {
                (["includedir", folder, ..], false) => self.folder(folder, depth),
                (["include", file, ..], false) => self.file(file, depth + 1),
                (["service", name, rest @ ..], false) => {
                    block = Some(Block { name: (*name).into(), path: path.into(), line: index + 1, attributes: Vec::new() });
                    open = rest.first() == Some(&"{");
                }
                (["defaults", rest @ ..], false) => {
                    block = Some(Block { path: path.into(), line: index + 1, ..Block::default() });
                    open = rest.first() == Some(&"{");
                }
                (["{", ..], false) => open = true,
                (["}", ..], true) => {
                    self.blocks.extend(block.take());
                    open = false;
                }
                (_, true) => self.attribute(block.as_mut(), line, path, index + 1),
                _ => self.reader.gap(path, reason::MALFORMED, format!("{path}:{}: neither a block nor an include of xinetd.conf(5)", index + 1)),
            }
        }
    }

    fn folder(&mut self, folder: &str, depth: usize) {
        for name in self.reader.files(folder) {
            if !name.contains('.') && !name.ends_with('~') {
                self.file(&format!("{}/{name}", folder.trim_end_matches('/')), depth + 1);
            }
        }
    }

    fn attribute(&mut self, block: Option<&mut Block>, line: &str, path: &str, number: usize) {
        let found = ["+=", "-=", "="].into_iter().find_map(|o| line.split_once(o).map(|(name, values)| (name, o, values)));
        let (Some((name, operator, values)), Some(block)) = (found, block) else {
            return self.reader.gap(path, reason::MALFORMED, format!("{path}:{number}: not an attribute of xinetd.conf(5)"));
        };
        if self.attributes >= ATTRIBUTE_LIMIT {
            return self.reader.gap(path, reason::LIMIT_REACHED, format!("{path}:{number}: more than {ATTRIBUTE_LIMIT} attributes"));
        }
        self.attributes += 1;
        let values = values.split_whitespace().map(String::from).collect();
        block.attributes.push(Attribute { name: name.trim().to_ascii_lowercase(), operator, values });
    }
}

impl Block {
    fn last(&self, name: &str) -> Option<String> {
        self.attributes.iter().rfind(|a| a.name == name).and_then(|a| a.values.first()).cloned()
    }

    fn all(&self, name: &str) -> Vec<String> {
        self.attributes.iter().rfind(|a| a.name == name).map(|a| a.values.clone()).unwrap_or_default()
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.all(name).iter().any(|v| v.eq_ignore_ascii_case(value))
    }

    fn is_disabled(&self) -> bool {
        self.has("disable", "yes") || self.has("flags", "disable")
    }
}

/// A list that starts from the defaults: `=` replaces, `+=` adds, `-=` takes away.
fn list(block: &Block, defaults: &[Attribute], name: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for attribute in defaults.iter().chain(&block.attributes).filter(|a| a.name == name) {
        match attribute.operator {
            "=" => out.clone_from(&attribute.values),
            "+=" => out.extend(attribute.values.iter().cloned()),
            _ => out.retain(|v| !attribute.values.contains(v)),
        }
    }
    out
}

fn service(reader: &mut Reader<'_>, block: &Block, defaults: &[Attribute], id: &str) -> SuperService {
    let written = block.last("protocol").unwrap_or_default();
    let is_datagram = block.has("socket_type", "dgram");
    let transport = if written.starts_with("udp") || (written.is_empty() && is_datagram) { "udp" } else { "tcp" };
    let is_rpc = block.has("type", "RPC");
    let port = match block.last("port").and_then(|p| p.parse::<u16>().ok()) {
        Some(port) => port.into(),
        None if is_rpc => 0,
        None => reader.port(&block.name, transport),
    };
    let internal = block.has("type", "INTERNAL");
    let server = block.last("server").unwrap_or_default();
    let mut words = block.all("server_args");
    let wrapped = server.rsplit('/').next() == Some("tcpd");
    let mut program = server;
    if wrapped && !words.is_empty() {
        program = words.remove(0);
    } else if block.has("flags", "NAMEINARGS") && !words.is_empty() {
        words.remove(0);
    }
    let program = if internal { "internal".to_string() } else { program };
    let bind = block.last("bind").or_else(|| block.last("interface"));
    let default_bind = || defaults.iter().rfind(|a| a.name == "bind" || a.name == "interface").and_then(|a| a.values.first()).cloned();
    let mut clients = list(block, defaults, "only_from");
    clients.extend(list(block, defaults, "no_access").into_iter().map(|c| format!("!{c}")));
    SuperService {
        subject: format!("xinetd {id}"),
        manager: "xinetd".into(),
        name: block.name.clone(),
        address: bind.or_else(default_bind).unwrap_or_else(|| "*".into()),
        port,
        transport: transport.into(),
        protocol: protocol::of(&program, &block.name, port, transport).into(),
        program,
        arguments: u32::try_from(words.len()).unwrap_or(u32::MAX),
        account: block.last("user").unwrap_or_default(),
        clients,
        wrapped,
        starts: false,
        started: String::new(),
        source: Source::line(block.path.clone(), block.line, block.name.clone()),
        words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    fn shown(files: &[(&str, &str)], gaps: &mut Gaps) -> Vec<String> {
        let (_root, host) = rooted(files);
        let mut reader = Reader { host: &host, family: "super_servers", path: "services", gaps, ports: None };
        let mut out = Vec::new();
        read(&mut reader, MAIN, "boot", &mut out);
        out.iter().map(|s| format!("{}|{}|{}/{}|{}|{}|{}", s.subject, s.address, s.port, s.transport, s.protocol, s.clients.join(" "), s.starts)).collect()
    }

    #[test]
    fn defaults_includes_and_what_is_disabled() {
        let main = "defaults\n{\n only_from = 10.0.0.0/8\n disabled = off-by-list\n}\nservice telnet\n{\n disable = no\n socket_type = stream\n server = /usr/sbin/in.telnetd\n only_from += 192.0.2.1\n bind = 127.0.0.1\n}\n\
            includedir /etc/xinetd.d\n";
        let files = [
            (MAIN, main),
            (
                "/etc/xinetd.d/tftp",
                "service tftp\n{\n\tsocket_type = dgram\n\tprotocol = udp\n\tserver = /usr/sbin/in.tftpd\n\tserver_args = -s /srv\n\tdisable = yes\n}\n",
            ),
            ("/etc/xinetd.d/list", "service echo {\n id = off-by-list\n type = INTERNAL\n socket_type = stream\n}\n"),
            (
                "/etc/xinetd.d/custom",
                "service own\n{\n type = UNLISTED\n port = 2300\n socket_type = stream\n server = /usr/sbin/tcpd\n server_args = /usr/sbin/in.ftpd -l\n only_from = 0.0.0.0/0\n no_access = 1.2.3.4\n}\n",
            ),
            ("/etc/xinetd.d/x.rpmsave", "service shell\n{\n}\n"),
            ("/etc/services", "telnet 23/tcp\ntftp 69/udp\necho 7/tcp\n"),
        ];
        let mut gaps = Gaps::new();
        assert_eq!(
            shown(&files, &mut gaps),
            [
                "xinetd telnet|127.0.0.1|23/tcp|telnet|10.0.0.0/8 192.0.2.1|true",
                "xinetd own|*|2300/tcp|ftp|0.0.0.0/0 !1.2.3.4|true",
                "xinetd off-by-list|*|7/tcp|echo|10.0.0.0/8|false",
                "xinetd tftp|*|69/udp|tftp|10.0.0.0/8|false",
            ]
        );
        assert!(gaps.into_sorted().is_empty());
    }

    #[test]
    fn hostile_text_ends() {
        let text = "defaults\n{\n enabled = a\n}\nservice a\n{\n id = a\n bad\n}\ninclude /etc/xinetd.conf\nnonsense\n}\n";
        for end in 0..text.len() {
            let _ = shown(&[(MAIN, &text[..end])], &mut Gaps::new());
        }
        let mut gaps = Gaps::new();
        let found = shown(&[(MAIN, text)], &mut gaps);
        assert!(found.iter().all(|s| s.ends_with("true")) && found.len() <= FILE_LIMIT);
        let gaps = gaps.into_sorted();
        assert!(gaps.iter().any(|g| g.reason == reason::LIMIT_REACHED) && gaps.iter().any(|g| g.reason == reason::MALFORMED));
    }
}
