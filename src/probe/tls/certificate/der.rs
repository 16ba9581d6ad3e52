//! Bounded reading of DER (ITU-T X.690): what certificates and OCSP responses are made of.
//!
//! Lengths need not be minimal, for libraries that clients use accept that too; everything else
//! that is not DER is refused. Nothing here allocates by a length that was only claimed.

use std::fmt::Write as _;

/// BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub const OID: u8 = 0x06;
/// ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// UTCTime.
pub const UTC_TIME: u8 = 0x17;
/// GeneralizedTime.
pub const GENERALIZED_TIME: u8 = 0x18;
/// SEQUENCE and SEQUENCE OF.
pub const SEQUENCE: u8 = 0x30;
/// SET OF.
pub const SET: u8 = 0x31;

/// A context-specific tag holding a primitive value.
pub const fn context(number: u8) -> u8 {
    0x80 | number
}

/// A context-specific tag holding further elements.
pub const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

/// Longest object identifier kept, bytes of its encoding.
const OID_LIMIT: usize = 64;

/// What is wrong with some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// One tagged value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Identifier octet.
    pub tag: u8,
    /// Content octets.
    pub content: &'a [u8],
    /// Identifier, length and content.
    pub whole: &'a [u8],
}

/// Elements one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Over these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element, whatever it is.
    pub fn element(&mut self) -> Result<Element<'a>, Malformed> {
        let cut = Malformed("an element is cut short");
        let (&tag, after) = self.rest.split_first().ok_or(cut)?;
        if tag & 0x1f == 0x1f {
            return Err(Malformed("a tag has several octets"));
        }
        let (&first, after) = after.split_first().ok_or(cut)?;
        let (length, after) = match first {
            0..=0x7f => (usize::from(first), after),
            0x81..=0x84 => {
                let (octets, after) = after.split_at_checked(usize::from(first & 0x7f)).ok_or(cut)?;
                (octets.iter().fold(0_usize, |n, b| n << 8 | usize::from(*b)), after)
            }
            _ => return Err(Malformed("a length is indefinite or beyond 4 octets")),
        };
        let (content, rest) = after.split_at_checked(length).ok_or(cut)?;
        let whole = self.rest.get(..self.rest.len() - rest.len()).ok_or(cut)?;
        self.rest = rest;
        Ok(Element { tag, content, whole })
    }

    /// The next element, which must have this tag.
    pub fn expect(&mut self, tag: u8) -> Result<Element<'a>, Malformed> {
        let element = self.element()?;
        if element.tag == tag { Ok(element) } else { Err(Malformed("an element has another tag than its place asks for")) }
    }

    /// The next element if it has this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Malformed> {
        if self.rest.first() == Some(&tag) { self.element().map(Some) } else { Ok(None) }
    }

    /// The elements of a SEQUENCE.
    pub fn sequence(&mut self) -> Result<Self, Malformed> {
        Ok(self.expect(SEQUENCE)?.inside())
    }

    /// An error when something is left.
    pub const fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("bytes follow where nothing should")) }
    }
}

impl<'a> Element<'a> {
    /// The elements that it holds.
    pub const fn inside(&self) -> Reader<'a> {
        Reader::new(self.content)
    }

    /// Its only element (an explicit tag).
    pub fn only(&self) -> Result<Element<'a>, Malformed> {
        let mut inside = self.inside();
        let element = inside.element()?;
        inside.end()?;
        Ok(element)
    }

    /// Magnitude of a non-negative INTEGER or ENUMERATED without leading zeros.
    pub fn unsigned(&self) -> Result<&'a [u8], Malformed> {
        match self.content {
            [] => Err(Malformed("an integer is empty")),
            [first, ..] if *first >= 0x80 => Err(Malformed("an integer is negative")),
            bytes => Ok(significant(bytes)),
        }
    }

    /// A small non-negative INTEGER or ENUMERATED.
    pub fn number(&self) -> Result<u64, Malformed> {
        match self.unsigned()? {
            bytes if bytes.len() > 8 => Err(Malformed("an integer has more than 64 bits")),
            bytes => Ok(bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))),
        }
    }

    /// BOOLEAN; BER's other encodings of true are taken, as clients do.
    pub fn truth(&self) -> Result<bool, Malformed> {
        match (self.tag, self.content) {
            (BOOLEAN, [octet]) => Ok(*octet != 0),
            _ => Err(Malformed("a truth value has not one octet")),
        }
    }

    /// Bytes of a BIT STRING of whole octets.
    pub fn octets(&self) -> Result<&'a [u8], Malformed> {
        match (self.tag, self.content) {
            (BIT_STRING, [0, bytes @ ..]) => Ok(bytes),
            _ => Err(Malformed("a bit string is not of whole octets")),
        }
    }

    /// Numbers of the bits that are set in a BIT STRING.
    pub fn bits(&self) -> Result<Vec<u32>, Malformed> {
        let (unused, bytes) = match (self.tag, self.content) {
            (BIT_STRING, [unused @ 0..=7, bytes @ ..]) if bytes.len() <= 16 => (*unused, bytes),
            _ => return Err(Malformed("a bit string is broken or too long")),
        };
        let all = (0_u32..).zip(bytes.iter().flat_map(|b| (0..8).map(move |i| b & (0x80 >> i) != 0)));
        let end = u32::try_from(bytes.len()).unwrap_or(0).saturating_mul(8).saturating_sub(u32::from(unused));
        Ok(all.filter(|(number, set)| *set && *number < end).map(|(number, _)| number).collect())
    }

    /// Dotted object identifier.
    pub fn oid(&self) -> Result<String, Malformed> {
        if self.tag != OID || self.content.is_empty() || self.content.len() > OID_LIMIT || self.content.last().is_some_and(|b| *b >= 0x80) {
            return Err(Malformed("an object identifier is broken"));
        }
        let mut text = String::new();
        let mut arc: u128 = 0;
        for octet in self.content {
            arc = arc.checked_mul(128).ok_or(Malformed("an object identifier has a number beyond 128 bits"))? | u128::from(octet & 0x7f);
            if *octet < 0x80 {
                let written = if text.is_empty() {
                    let root = (arc / 40).min(2);
                    write!(text, "{root}.{}", arc - 40 * root)
                } else {
                    write!(text, ".{arc}")
                };
                written.map_err(|_| Malformed("an object identifier can't be shown"))?;
                arc = 0;
            }
        }
        Ok(text)
    }

    /// UTCTime or GeneralizedTime in Unix seconds (RFC 5280 section 4.1.2.5: always with seconds and `Z`).
    pub fn time(&self) -> Result<i64, Malformed> {
        let wrong = Malformed("a time is not YYMMDDhhmmssZ or YYYYMMDDhhmmssZ");
        let text = self.content.strip_suffix(b"Z").ok_or(wrong)?;
        let digits = |range: std::ops::Range<usize>| -> Result<i64, Malformed> {
            let part = text.get(range).ok_or(wrong)?;
            part.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')).ok_or(wrong))
        };
        let (year, at) = match (self.tag, text.len()) {
            // RFC 5280 section 4.1.2.5.1: 50 to 99 are of the twentieth century.
            (UTC_TIME, 12) => (digits(0..2).map(|y| if y >= 50 { 1900 + y } else { 2000 + y })?, 2),
            (GENERALIZED_TIME, 14) => (digits(0..4)?, 4),
            _ => return Err(wrong),
        };
        let part = |i: usize, least: i64, most: i64| digits(at + 2 * i..at + 2 * i + 2).and_then(|v| (least..=most).contains(&v).then_some(v).ok_or(wrong));
        let (month, day) = (part(0, 1, 12)?, part(1, 1, 31)?);
        let (hour, minute, second) = (part(2, 0, 23)?, part(3, 0, 59)?, part(4, 0, 60)?);
        if day > days_of(year, month) {
            return Err(wrong);
        }
        Ok(days_before(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
    }
}

/// Without leading zeros.
pub fn significant(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

/// Bits of a number without leading zeros.
pub fn bit_length(magnitude: &[u8]) -> u32 {
    let bytes = significant(magnitude);
    bytes.first().map_or(0, |first| u32::try_from(bytes.len()).unwrap_or(u32::MAX / 8).saturating_mul(8) - first.leading_zeros())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar; years begin in March, so that the odd day comes last.
const fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(bytes: &[u8]) -> Element<'_> {
        Reader::new(bytes).element().unwrap()
    }

    #[test]
    fn lengths_never_lead_out_of_the_bytes() {
        assert_eq!(element(&[4, 2, 7, 8, 9]).content, [7, 8]);
        assert_eq!(element(&[4, 0x82, 0, 1, 7]).whole, [4, 0x82, 0, 1, 7]);
        for broken in [&[][..], &[4], &[4, 2, 7], &[4, 0x84, 0xff, 0xff, 0xff, 0xff, 1], &[4, 0x80, 0, 0], &[0x1f, 1, 1], &[4, 0x85, 0, 0, 0, 0, 1]] {
            assert!(Reader::new(broken).element().is_err(), "{broken:?}");
        }
    }

    #[test]
    fn object_identifiers_and_bits_are_read() {
        assert_eq!(element(&[6, 3, 0x88, 0x37, 3]).oid().unwrap(), "2.999.3");
        assert_eq!(element(&[6, 6, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]).oid().unwrap(), "1.2.840.113549");
        assert!(element(&[6, 2, 0x2a, 0x86]).oid().is_err());
        assert_eq!(element(&[3, 2, 5, 0xa0]).bits().unwrap(), [0, 2]);
        assert_eq!(element(&[3, 2, 6, 0xa0]).bits().unwrap(), [0]);
        assert!(element(&[3, 1, 9]).bits().is_err());
    }

    #[test]
    fn times_are_unix_seconds() {
        let time = |tag: u8, text: &str| Element { tag, content: text.as_bytes(), whole: &[] }.time();
        assert_eq!(time(UTC_TIME, "700101000000Z"), Ok(0));
        assert_eq!(time(UTC_TIME, "491231235959Z"), Ok(2_524_607_999));
        assert_eq!(time(UTC_TIME, "500101000000Z"), Ok(-631_152_000));
        assert_eq!(time(GENERALIZED_TIME, "20240229120000Z"), Ok(1_709_208_000));
        assert_eq!(time(GENERALIZED_TIME, "99991231235959Z"), Ok(253_402_300_799));
        for wrong in ["20230229120000Z", "20241301000000Z", "2024010100000Z", "20240101000000", "2024010100000aZ", "20240101240000Z"] {
            assert!(time(GENERALIZED_TIME, wrong).is_err(), "{wrong}");
        }
    }
}
