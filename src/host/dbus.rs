//! Questions to services on the system's message bus (D-Bus Specification 0.43), read-only.
//!
//! ```text
//! sign-in    \0 "AUTH EXTERNAL " hex(decimal uid) CRLF -> "OK " guid CRLF, "BEGIN" CRLF
//! message    'l' or 'B', type u8, flags u8, version 1, body u32, serial u32, fields a(yv), zeros to 8, body
//! types      1 call, 2 answer, 3 error, 4 signal      fields  1 object 2 interface 3 member 4 error 5 answer-to 6 to 8 signature
//! ```
//! Only questions that change nothing are asked, and none of them starts a service (`NO_AUTO_START`).

use std::collections::BTreeMap;
use std::time::Duration;

use super::local_socket::LocalSocket;
use super::{Host, ReadError};

/// Socket of the system's bus.
pub const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

/// Longest conversation.
const TALK_TIME: Duration = Duration::from_secs(10);
/// Longest message, bytes: 20,000 units.
const MESSAGE_LIMIT: usize = 8 << 20;
/// Most values of one message.
const VALUE_LIMIT: usize = 500_000;
/// How deep values may be nested (the specification's sum for arrays and structures).
const DEPTH_LIMIT: usize = 64;
/// Most messages passed over (signals) until the answer comes.
const OTHERS_LIMIT: usize = 256;
/// Longest line while signing in.
const LINE_LIMIT: usize = 1024;
/// `NO_AUTO_START`: a service that does not run is not started to answer.
const NO_AUTO_START: u8 = 2;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Socket or protocol.
    #[error(transparent)]
    Socket(#[from] ReadError),
    /// The bus or the service answered with an error of this name.
    #[error("{0} answers {1}")]
    Refused(String, String),
}

impl BusError {
    /// Whether nobody with that name is on the bus, or it has no such object: what is asked about does not run.
    pub fn is_absent(&self) -> bool {
        const ABSENT: [&str; 4] = ["ServiceUnknown", "NameHasNoOwner", "UnknownObject", "UnknownInterface"];
        match self {
            Self::Socket(e) => e.is_not_found(),
            Self::Refused(_, name) => name.strip_prefix("org.freedesktop.DBus.Error.").is_some_and(|n| ABSENT.contains(&n)),
        }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `y`, `q`, `u`, `t`, and `h` (the place of a descriptor, which is never taken).
    Unsigned(u64),
    /// `n`, `i`, `x`.
    Signed(i64),
    /// `b`.
    Bool(bool),
    /// `d`.
    Double(f64),
    /// `s`, `o`, `g`; bytes that are not UTF-8 replaced.
    Text(String),
    /// `a`.
    Array(Vec<Value>),
    /// `(…)`, and the two of a dictionary's entry.
    Structure(Vec<Value>),
}

impl Value {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Unsigned(n) => i64::try_from(*n).ok(),
            Self::Signed(n) => Some(*n),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub const fn truth(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// Items of an array or a structure; none for anything else.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) | Self::Structure(items) => items,
            _ => &[],
        }
    }
}

/// A unit that systemd has loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedUnit {
    /// Name, such as `chrony.service`.
    pub name: String,
    /// `loaded`, `not-found`, `masked`, `error`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, …
    pub active: String,
    /// State of its type, such as `running` or `exited`.
    pub sub: String,
    /// Its object, for [`Bus::properties`].
    pub object: String,
}

/// A conversation with the bus.
#[derive(Debug)]
pub struct Bus {
    socket: LocalSocket,
    serial: u32,
}

impl Bus {
    /// Signs in to the bus at this socket by the process's own user id.
    pub fn connect(host: &Host, path: &str) -> Result<Self, BusError> {
        let mut socket = LocalSocket::connect(host, path, TALK_TIME)?;
        let uid = rustix::process::geteuid().as_raw().to_string();
        let hex: String = uid.bytes().map(|b| format!("{b:02x}")).collect();
        socket.send(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let answer = line(&mut socket)?;
        if !answer.starts_with("OK ") {
            return Err(ReadError::Denied(path.into()).into());
        }
        socket.send(b"BEGIN\r\n")?;
        let mut bus = Self { socket, serial: 0 };
        bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", &[])?;
        Ok(bus)
    }

    /// Every property of one interface of an object.
    pub fn properties(&mut self, service: &str, object: &str, interface: &str) -> Result<BTreeMap<String, Value>, BusError> {
        let body = self.call(service, object, "org.freedesktop.DBus.Properties", "GetAll", &[interface])?;
        let entries = body.into_iter().next().ok_or_else(|| self.malformed("an answer without properties"))?;
        let pair = |entry: &Value| match entry.items() {
            [Value::Text(name), value] => Some((name.clone(), value.clone())),
            _ => None,
        };
        Ok(entries.items().iter().filter_map(pair).collect())
    }

    /// Units that the system manager has loaded (org.freedesktop.systemd1(5)).
    pub fn units(&mut self) -> Result<Vec<LoadedUnit>, BusError> {
        let body = self.call("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "ListUnits", &[])?;
        let rows = body.into_iter().next().ok_or_else(|| self.malformed("an answer without units"))?;
        rows.items().iter().map(|row| unit(row).ok_or_else(|| self.malformed("a unit of another form"))).collect()
    }

    /// Asks; arguments are texts.
    fn call(&mut self, service: &str, object: &str, interface: &str, member: &str, arguments: &[&str]) -> Result<Vec<Value>, BusError> {
        self.serial += 1;
        let fields = [(1, 'o', object), (2, 's', interface), (3, 's', member), (6, 's', service)];
        self.socket.send(&question(self.serial, &fields, arguments))?;
        for _ in 0..OTHERS_LIMIT {
            let message = self.message()?;
            if message.answers != Some(u64::from(self.serial)) {
                continue;
            }
            return match message.kind {
                2 => Ok(message.body),
                3 => Err(BusError::Refused(service.into(), message.error)),
                _ => Err(self.malformed("neither an answer nor an error")),
            };
        }
        Err(self.malformed("no answer among many messages"))
    }

    fn message(&mut self) -> Result<Message, BusError> {
        const HEAD: usize = 16;
        let mut bytes = self.socket.receive(HEAD)?;
        let length = remaining(&bytes).ok_or_else(|| self.malformed("a head of another form"))?;
        bytes.extend(self.socket.receive(length)?);
        parse(&bytes).ok_or_else(|| self.malformed("a message of another form"))
    }

    fn malformed(&self, what: &str) -> BusError {
        self.socket.malformed(what).into()
    }
}

fn unit(row: &Value) -> Option<LoadedUnit> {
    // Name, description, load, active, sub, followed, object, and what is queued.
    let text = |at: usize| row.items().get(at).and_then(Value::text).map(String::from);
    Some(LoadedUnit { name: text(0)?, load: text(2)?, active: text(3)?, sub: text(4)?, object: text(6)? })
}

/// One line of the sign-in, without its end.
fn line(socket: &mut LocalSocket) -> Result<String, ReadError> {
    let mut out = Vec::new();
    while !out.ends_with(b"\r\n") {
        if out.len() == LINE_LIMIT {
            return Err(socket.malformed("an endless line"));
        }
        out.extend(socket.receive(1)?);
    }
    Ok(String::from_utf8_lossy(&out).trim_end().to_string())
}

/// A method call whose arguments are texts.
fn question(serial: u32, fields: &[(u8, char, &str)], arguments: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for argument in arguments {
        put_text(&mut body, argument);
    }
    let mut list = Vec::new();
    for (code, kind, text) in fields {
        pad(&mut list, 8);
        list.extend([*code, 1, *kind as u8, 0]);
        put_text(&mut list, text);
    }
    if !arguments.is_empty() {
        pad(&mut list, 8);
        let signature = "s".repeat(arguments.len());
        list.extend([8, 1, b'g', 0, u8::try_from(signature.len()).unwrap_or(0)]);
        list.extend(signature.bytes());
        list.push(0);
    }
    let mut out = vec![b'l', 1, NO_AUTO_START, 1];
    put_number(&mut out, body.len());
    out.extend(serial.to_le_bytes());
    put_number(&mut out, list.len());
    out.extend(list);
    pad(&mut out, 8);
    out.extend(body);
    out
}

fn pad(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

fn put_number(out: &mut Vec<u8>, number: usize) {
    out.extend(u32::try_from(number).unwrap_or(0).to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    pad(out, 4);
    put_number(out, text.len());
    out.extend(text.bytes());
    out.push(0);
}

/// What came.
#[derive(Debug)]
struct Message {
    kind: u8,
    answers: Option<u64>,
    error: String,
    body: Vec<Value>,
}

/// Bytes that follow the first 16.
fn remaining(head: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(head)?;
    reader.at = 4;
    let body = reader.u32()?;
    reader.at = 12;
    let fields = reader.u32()?;
    let length = usize::try_from(fields).ok()?.checked_next_multiple_of(8)?.checked_add(usize::try_from(body).ok()?)?;
    (length <= MESSAGE_LIMIT).then_some(length)
}

fn parse(bytes: &[u8]) -> Option<Message> {
    let mut reader = Reader::new(bytes)?;
    let mut out = Message { kind: *bytes.get(1)?, answers: None, error: String::new(), body: Vec::new() };
    reader.at = 12;
    let mut signature = String::new();
    for field in reader.value(&mut b"a(yv)".as_slice(), 0)?.items() {
        match field.items() {
            [Value::Unsigned(4), Value::Text(name)] => out.error.clone_from(name),
            [Value::Unsigned(5), Value::Unsigned(serial)] => out.answers = Some(*serial),
            [Value::Unsigned(8), Value::Text(text)] => signature.clone_from(text),
            _ => {}
        }
    }
    reader.align(8)?;
    let mut left = signature.as_bytes();
    while !left.is_empty() {
        out.body.push(reader.value(&mut left, 0)?);
    }
    Some(out)
}

/// Reads values by their signature.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
    values: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let big = match bytes.first()? {
            b'l' => false,
            b'B' => true,
            _ => return None,
        };
        Some(Self { bytes, at: 0, big, values: 0 })
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(to)?;
        (self.at <= self.bytes.len()).then_some(())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let out = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(out)
    }

    /// An aligned number of so many bytes.
    fn number(&mut self, size: usize) -> Option<u64> {
        self.align(size)?;
        let big = self.big;
        let bytes = self.take(size)?;
        let fold = |n: u64, b: &u8| n << 8 | u64::from(*b);
        Some(if big { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) })
    }

    fn u32(&mut self) -> Option<u32> {
        self.number(4).and_then(|n| u32::try_from(n).ok())
    }

    fn text(&mut self, length: usize) -> Option<Value> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        (*self.take(1)?.first()? == 0).then_some(Value::Text(text))
    }

    /// One value; its type is taken from the signature.
    fn value(&mut self, signature: &mut &[u8], depth: usize) -> Option<Value> {
        self.values += 1;
        if depth > DEPTH_LIMIT || self.values > VALUE_LIMIT {
            return None;
        }
        let (kind, rest) = signature.split_first()?;
        *signature = rest;
        Some(match kind {
            b'y' => Value::Unsigned(self.number(1)?),
            b'q' => Value::Unsigned(self.number(2)?),
            b'u' | b'h' => Value::Unsigned(self.number(4)?),
            b't' => Value::Unsigned(self.number(8)?),
            b'n' => Value::Signed(i64::from(u16::try_from(self.number(2)?).ok()?.cast_signed())),
            b'i' => Value::Signed(i64::from(self.u32()?.cast_signed())),
            b'x' => Value::Signed(self.number(8)?.cast_signed()),
            b'b' => Value::Bool(self.u32()? != 0),
            b'd' => Value::Double(f64::from_bits(self.number(8)?)),
            b's' | b'o' => {
                let length = usize::try_from(self.u32()?).ok()?;
                self.text(length)?
            }
            b'g' => {
                let length = usize::from(*self.take(1)?.first()?);
                self.text(length)?
            }
            b'v' => {
                let length = usize::from(*self.take(1)?.first()?);
                let own = self.take(length)?;
                self.take(1)?;
                let mut own = own;
                let value = self.value(&mut own, depth + 1)?;
                if !own.is_empty() {
                    return None;
                }
                value
            }
            b'a' => self.array(signature, depth)?,
            b'(' => self.structure(signature, b')', depth)?,
            b'{' => self.structure(signature, b'}', depth)?,
            _ => return None,
        })
    }

    fn array(&mut self, signature: &mut &[u8], depth: usize) -> Option<Value> {
        let length = usize::try_from(self.u32()?).ok()?;
        let element = *signature;
        let size = complete_type(element, 0)?;
        self.align(match element.first()? {
            b'x' | b't' | b'd' | b'(' | b'{' => 8,
            b'n' | b'q' => 2,
            b'y' | b'g' | b'v' => 1,
            _ => 4,
        })?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        let mut items = Vec::new();
        while self.at < end {
            let before = self.at;
            let mut own = element.get(..size)?;
            items.push(self.value(&mut own, depth + 1)?);
            if self.at == before {
                return None;
            }
        }
        *signature = element.get(size..)?;
        (self.at == end).then_some(Value::Array(items))
    }

    fn structure(&mut self, signature: &mut &[u8], close: u8, depth: usize) -> Option<Value> {
        self.align(8)?;
        let mut items = Vec::new();
        while *signature.first()? != close {
            items.push(self.value(signature, depth + 1)?);
        }
        *signature = signature.get(1..)?;
        Some(Value::Structure(items))
    }
}

/// Bytes of the first complete type of a signature.
fn complete_type(signature: &[u8], depth: usize) -> Option<usize> {
    if depth > DEPTH_LIMIT {
        return None;
    }
    match signature.first()? {
        b'a' => complete_type(signature.get(1..)?, depth + 1).map(|n| n + 1),
        open @ (b'(' | b'{') => {
            let close = if *open == b'(' { b')' } else { b'}' };
            let mut at = 1;
            while *signature.get(at)? != close {
                at += complete_type(signature.get(at..)?, depth + 1)?;
            }
            Some(at + 1)
        }
        b')' | b'}' => None,
        _ => Some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to call 1 with this signature and body.
    fn answer(signature: &str, body: &[u8]) -> Vec<u8> {
        let mut list = vec![5, 1, b'u', 0, 1, 0, 0, 0, 8, 1, b'g', 0, u8::try_from(signature.len()).unwrap()];
        list.extend(signature.bytes());
        list.push(0);
        let mut out = vec![b'l', 2, 0, 1];
        put_number(&mut out, body.len());
        out.extend([9, 0, 0, 0]);
        put_number(&mut out, list.len());
        out.extend(list);
        pad(&mut out, 8);
        out.extend(body);
        out
    }

    #[test]
    fn values_by_their_signature() {
        let mut body = vec![7, 0, 0xff, 0xff];
        body.extend(5_u32.to_le_bytes());
        put_text(&mut body, "é");
        let message = parse(&answer("ynus", &body)).unwrap();
        assert_eq!(message.answers, Some(1));
        assert_eq!(message.body, [Value::Unsigned(7), Value::Signed(-1), Value::Unsigned(5), Value::Text("é".into())]);
        // a{sv} with one entry: the array's padding is not part of its length.
        let mut body = vec![0; 8];
        put_text(&mut body, "On");
        body.extend([1, b'b', 0]);
        pad(&mut body, 4);
        body.extend([1, 0, 0, 0]);
        let length = u32::try_from(body.len() - 8).unwrap();
        body[..4].copy_from_slice(&length.to_le_bytes());
        let message = parse(&answer("a{sv}", &body)).unwrap();
        assert_eq!(message.body, [Value::Array(vec![Value::Structure(vec![Value::Text("On".into()), Value::Bool(true)])])]);
    }

    #[test]
    fn a_question_reads_back() {
        let asked = question(3, &[(1, 'o', "/a"), (3, 's', "GetAll")], &["x.y"]);
        assert_eq!(asked.len(), 16 + remaining(&asked).unwrap());
        assert_eq!(asked[2], NO_AUTO_START);
        let read = parse(&asked).unwrap();
        assert_eq!((read.kind, read.body), (1, vec![Value::Text("x.y".into())]));
    }

    #[test]
    fn hostile_bytes_end() {
        let whole = answer("a(sa{sv})", &[0; 64]);
        for end in 0..whole.len() {
            let _ = parse(&whole[..end]);
            let _ = remaining(&whole[..end]);
            for value in [0, 1, 0x7f, 0xff, b'a', b'(', b'v'] {
                let mut changed = whole.clone();
                changed[end] = value;
                let _ = parse(&changed);
            }
        }
        // Endless nesting, structures without content, signatures that do not end.
        for signature in ["()", "a()", &"a".repeat(200), &"(".repeat(200), "(s", "a{", "}", "vvvv", "aay"] {
            for body in [vec![0; 4096], vec![0xff; 4096], [1, b'v', 0].repeat(1000)] {
                assert!(parse(&answer(signature, &body)).is_none() || matches!(signature, "vvvv" | "aay" | "()" | "a()"), "{signature}");
            }
        }
        assert_eq!(remaining(&[b'l', 2, 0, 1, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn a_recorded_root_has_no_bus() {
        let (_root, host) = crate::host::testing::rooted(&[("run/dbus/system_bus_socket", "")]);
        assert!(matches!(Bus::connect(&host, SYSTEM_BUS), Err(BusError::Socket(_))));
    }
}
