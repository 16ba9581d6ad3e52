//! Registers of the packet filter while a class of packets runs through a rule, and comparisons with them.

use super::packet::{Field, Packet, Part, Test};
use super::ranges::Ranges;
use crate::host::nftables::{Comparison, Element, register_offset};

/// What a register holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The same bytes for every packet of the class.
    Bytes(Vec<u8>),
    /// Bytes of a field from this one on, those that the mask leaves.
    Field { field: Field, from: usize, length: usize, mask: Option<Vec<u8>> },
    /// Sometimes this, sometimes that.
    Varying(usize),
    /// Not known, and why.
    Unknown(usize, String),
}

impl Content {
    const fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Field { length, .. } | Self::Varying(length) | Self::Unknown(length, _) => *length,
        }
    }

    /// The first so many bytes.
    fn head(&self, length: usize) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes.get(..length).unwrap_or(bytes).to_vec()),
            Self::Field { field, from, mask, .. } => {
                Self::Field { field: *field, from: *from, length, mask: mask.as_ref().map(|m| m.get(..length).unwrap_or(m).to_vec()) }
            }
            Self::Varying(_) => Self::Varying(length),
            Self::Unknown(_, why) => Self::Unknown(length, why.clone()),
        }
    }
}

/// All registers: 64 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registers(Vec<(usize, Content)>);

impl Registers {
    /// Puts contents one behind the other into a register.
    pub fn put(&mut self, register: u32, contents: Vec<Content>) {
        let Some(mut at) = register_offset(register) else { return };
        for content in contents {
            let end = at + content.length();
            self.0.retain(|(o, c)| o + c.length() <= at || *o >= end);
            self.0.push((at, content));
            at = end;
        }
    }

    /// What stands in the first so many bytes of a register.
    pub fn take(&self, register: u32, length: usize) -> Vec<Content> {
        let unknown = |length| Content::Unknown(length, "a register that nothing was loaded into".into());
        let Some(begin) = register_offset(register) else { return vec![unknown(length)] };
        let (mut at, end) = (begin, begin + length);
        let mut out = Vec::new();
        while at < end {
            let here = self.0.iter().find(|(o, _)| *o == at).map(|(_, c)| c);
            let content = match here {
                Some(content) if content.length() > 0 => content.head(content.length().min(end - at)),
                // What is shorter than four bytes is filled up with zeros.
                _ if at % 4 != 0 && at > begin => Content::Bytes(vec![0; (4 - at % 4).min(end - at)]),
                _ => unknown(end - at),
            };
            at += content.length();
            out.push(content);
        }
        out
    }

    /// `(register & mask) ^ xor` into another.
    pub fn mask(&mut self, from: u32, to: u32, mask: &[u8], xor: &[u8]) {
        let mut at = 0;
        let mut out = Vec::new();
        for content in self.take(from, mask.len()) {
            let length = content.length();
            let slice = |bytes: &[u8]| bytes.get(at..at + length).unwrap_or_default().to_vec();
            let (m, x) = (slice(mask), slice(xor));
            out.push(match content {
                Content::Bytes(bytes) => Content::Bytes(bytes.iter().zip(m.iter().zip(&x)).map(|(b, (m, x))| (b & m) ^ x).collect()),
                Content::Field { field, from, length, mask: None } if x.iter().all(|b| *b == 0) => Content::Field { field, from, length, mask: Some(m) },
                Content::Field { length, .. } => Content::Unknown(length, "an address that is combined bit by bit".into()),
                other => other,
            });
            at += length;
        }
        self.put(to, out);
    }

    /// Turns the order of bytes in words of `size`.
    pub fn turn(&mut self, from: u32, to: u32, length: usize, size: usize) {
        let turned = self.take(from, length).into_iter().map(|content| match content {
            Content::Bytes(bytes) if size > 0 && cfg!(target_endian = "little") => {
                Content::Bytes(bytes.chunks(size).flat_map(|word| word.iter().rev().copied()).collect())
            }
            Content::Field { length, .. } if size > 1 => Content::Unknown(length, "a field in another order of bytes".into()),
            other => other,
        });
        let turned = turned.collect();
        self.put(to, turned);
    }

    /// `cmp`.
    pub fn compare(&self, packet: &Packet, register: u32, how: Comparison, value: &[u8]) -> Test {
        let contents = self.take(register, value.len());
        let top = vec![0xff; value.len()];
        let bottom = vec![0; value.len()];
        match how {
            Comparison::Equal => between(packet, &contents, value, value),
            Comparison::NotEqual => between(packet, &contents, value, value).inverted(true),
            Comparison::LessOrEqual => between(packet, &contents, &bottom, value),
            Comparison::Greater => between(packet, &contents, &bottom, value).inverted(true),
            Comparison::GreaterOrEqual => between(packet, &contents, value, &top),
            Comparison::Less => between(packet, &contents, value, &top).inverted(true),
        }
    }

    /// `range`.
    pub fn range(&self, packet: &Packet, register: u32, from: &[u8], to: &[u8], outside: bool) -> Test {
        between(packet, &self.take(register, from.len()), from, to).inverted(outside)
    }

    /// Whether the key in a register is an element.
    pub fn element(&self, packet: &Packet, register: u32, element: &Element) -> Test {
        between(packet, &self.take(register, element.from.len()), &element.from, &element.to)
    }
}

/// Whether contents lie between two keys. Keys of several parts are compared part by part, as sets of
/// concatenations do; for single values this is the same.
fn between(packet: &Packet, contents: &[Content], from: &[u8], to: &[u8]) -> Test {
    let (mut at, mut part, mut unknown, mut varying) = (0, Part::new(), None, false);
    for content in contents {
        let length = content.length();
        let (Some(low), Some(high)) = (from.get(at..at + length), to.get(at..at + length)) else {
            return Test::Unknown("a key of another length".into());
        };
        at += length;
        match one(packet, content, low, high) {
            Test::All => {}
            Test::Nothing => return Test::Nothing,
            Test::Parts(parts) => part.extend(parts.into_iter().flatten()),
            Test::Varying => varying = true,
            Test::Unknown(why) => unknown = unknown.or(Some(why)),
            Test::Outside(_) => return Test::Unknown("a key that is compared in parts".into()),
        }
    }
    match (unknown, varying) {
        (Some(why), _) => Test::Unknown(why),
        (None, true) => Test::Varying,
        (None, false) if part.is_empty() => Test::All,
        (None, false) => Test::Parts(vec![part]),
    }
}

fn one(packet: &Packet, content: &Content, low: &[u8], high: &[u8]) -> Test {
    match content {
        Content::Bytes(bytes) => Test::plain(low <= bytes.as_slice() && bytes.as_slice() <= high),
        Content::Varying(_) => Test::Varying,
        Content::Unknown(_, why) => Test::Unknown(why.clone()),
        Content::Field { field, from, length, mask } => of_field(packet, *field, *from, *length, mask.as_deref(), low, high),
    }
}

fn of_field(packet: &Packet, field: Field, from: usize, length: usize, mask: Option<&[u8]>, low: &[u8], high: &[u8]) -> Test {
    let full = packet.bytes_of(field);
    if let Some(only) = packet.field(field).single() {
        let bytes = only.to_be_bytes();
        let bytes = bytes.get(16 - full + from..16 - full + from + length).unwrap_or_default();
        let bytes: Vec<u8> = bytes.iter().enumerate().map(|(i, b)| b & mask.and_then(|m| m.get(i)).copied().unwrap_or(0xff)).collect();
        return Test::plain(low <= bytes.as_slice() && bytes.as_slice() <= high);
    }
    let (Some(first), Some(last)) = (big(low), big(high)) else { return Test::Unknown("a value of unknown length".into()) };
    if from != 0 || length > full {
        return Test::Unknown("a part of an address or port".into());
    }
    let (mut first, mut last) = (first, last);
    if let Some(mask) = mask.and_then(big) {
        let whole = if length >= 16 { u128::MAX } else { (1 << (length * 8)) - 1 };
        let open = whole & !mask;
        // A mask of leading ones leaves a network; others leave no interval.
        if open & open.wrapping_add(1) != 0 || first != last {
            return Test::Unknown("an address under a mask that is no prefix".into());
        }
        if first & open != 0 {
            return Test::Nothing;
        }
        last = first | open;
    }
    let shift = u32::try_from((full - length) * 8).unwrap_or_default();
    if shift > 0 {
        first = first.checked_shl(shift).unwrap_or_default();
        last = last.checked_shl(shift).unwrap_or_default() | ((1 << shift) - 1);
    }
    let wanted = Ranges::of(first, last);
    let within = packet.field(field).and(&wanted);
    if within.is_empty() {
        Test::Nothing
    } else if within == *packet.field(field) {
        Test::All
    } else {
        Test::Parts(vec![vec![(field, wanted)]])
    }
}

fn big(bytes: &[u8]) -> Option<u128> {
    let mut whole = [0_u8; 16];
    let start = 16_usize.checked_sub(bytes.len())?;
    whole.get_mut(start..)?.copy_from_slice(bytes);
    Some(u128::from_be_bytes(whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::firewall::packet::sample;

    const SOURCE: Content = Content::Field { field: Field::Source, from: 0, length: 4, mask: None };

    #[test]
    fn prefixes_masks_and_merged_loads() {
        let packet = Packet { source: Ranges::of(0, u128::from(u32::MAX)), ..sample() };
        let mut registers = Registers::default();
        registers.put(1, vec![SOURCE.head(3)]);
        let ten = Ranges::of(0x0a00_0100, 0x0a00_01ff);
        assert_eq!(registers.compare(&packet, 1, Comparison::Equal, &[10, 0, 1]), Test::Parts(vec![vec![(Field::Source, ten.clone())]]));
        registers.put(1, vec![SOURCE]);
        registers.mask(1, 1, &[255, 255, 255, 0], &[0; 4]);
        assert_eq!(registers.compare(&packet, 1, Comparison::NotEqual, &[10, 0, 1, 0]), Test::Outside(vec![vec![(Field::Source, ten)]]));
        assert!(matches!(registers.compare(&packet, 1, Comparison::Less, &[10, 0, 1, 0]), Test::Unknown(_)));
        // Source and destination loaded at once.
        registers.put(1, vec![SOURCE, Content::Field { field: Field::Destination, from: 0, length: 4, mask: None }]);
        let test = registers.compare(&packet, 1, Comparison::Equal, &[1, 2, 3, 4, 0, 0, 0, 7]);
        assert_eq!(test, Test::Parts(vec![vec![(Field::Source, Ranges::of(0x0102_0304, 0x0102_0304))]]));
        assert_eq!(registers.compare(&packet, 1, Comparison::Equal, &[1, 2, 3, 4, 0, 0, 0, 8]), Test::Nothing);
    }

    #[test]
    fn concatenations_are_padded() {
        let packet = Packet { source: Ranges::of(0, u128::from(u32::MAX)), ..sample() };
        let mut registers = Registers::default();
        registers.put(1, vec![SOURCE]);
        registers.put(9, vec![Content::Field { field: Field::Port, from: 0, length: 2, mask: None }]);
        let element = |port: u8| Element { from: vec![10, 0, 0, 0, 0, port, 0, 0], to: vec![10, 255, 255, 255, 0, port, 0, 0], value: None };
        assert_eq!(registers.element(&packet, 1, &element(22)), Test::Parts(vec![vec![(Field::Source, Ranges::of(0x0a00_0000, 0x0aff_ffff))]]));
        assert_eq!(registers.element(&packet, 1, &element(23)), Test::Nothing);
    }

    #[test]
    fn names_compare_by_their_beginning() {
        let mut registers = Registers::default();
        let mut name = b"eth0".to_vec();
        name.resize(16, 0);
        registers.put(1, vec![Content::Bytes(name)]);
        assert_eq!(registers.compare(&sample(), 1, Comparison::Equal, b"eth"), Test::All);
        assert_eq!(registers.compare(&sample(), 1, Comparison::Equal, b"eth1"), Test::Nothing);
        assert!(matches!(registers.compare(&sample(), 3, Comparison::Equal, b"a"), Test::Unknown(_)));
    }
}
