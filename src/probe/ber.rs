//! The few Basic Encoding Rules (ITU-T X.690) that LDAP and SNMP use: definite lengths, low tag
//! numbers.

use super::reader::Reader;

/// BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// OCTET STRING.
pub const OCTETS: u8 = 0x04;
/// ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// SEQUENCE, constructed.
pub const SEQUENCE: u8 = 0x30;

/// Largest length read, bytes: far beyond any answer that is kept.
const LENGTH_LIMIT: usize = 1 << 20;

/// One element: its tag byte, the length of `content`, `content`.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => out.push(short),
        _ => {
            let bytes = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
            let significant: Vec<u8> = bytes.into_iter().skip_while(|b| *b == 0).collect();
            out.push(0x80 | u8::try_from(significant.len()).unwrap_or(4));
            out.extend_from_slice(&significant);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A constructed element of these parts.
pub fn group(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    element(tag, &parts.concat())
}

/// An INTEGER or ENUMERATED that is not negative.
pub fn number(tag: u8, value: u32) -> Vec<u8> {
    // One zero more, so that the first bit is no sign.
    let bytes = [&[0], &value.to_be_bytes()[..]].concat();
    let spare = bytes.windows(2).take_while(|w| matches!(w, [0, next] if *next < 0x80)).count();
    element(tag, bytes.get(spare..).unwrap_or_default())
}

/// The tag of the next element and its content.
pub fn next<'a>(r: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    let tag = r.u8()?;
    // Long tags have no place in these protocols.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let length = length(r)?;
    Some((tag, r.take(length)?))
}

/// The content of the next element when it has this tag.
pub fn expect<'a>(r: &mut Reader<'a>, tag: u8) -> Option<&'a [u8]> {
    next(r).filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// A number that is not negative and fits.
pub fn value(content: &[u8]) -> Option<u32> {
    if content.is_empty() || content.first()? & 0x80 != 0 {
        return None;
    }
    content.iter().try_fold(0u32, |n, b| n.checked_mul(256)?.checked_add(u32::from(*b)))
}

/// Bytes of the whole first element; `None` while its head is not there yet or is malformed.
pub fn whole(bytes: &[u8]) -> Option<usize> {
    let mut r = Reader::new(bytes);
    r.u8()?;
    let length = length(&mut r)?;
    Some(bytes.len() - r.rest().len() + length)
}

fn length(r: &mut Reader<'_>) -> Option<usize> {
    let first = r.u8()?;
    let length = match first {
        0..=0x7f => usize::from(first),
        0x81..=0x84 => r.take(usize::from(first & 0x7f))?.iter().fold(0, |n, b| (n << 8) | usize::from(*b)),
        // Indefinite, or longer than anything.
        _ => return None,
    };
    (length <= LENGTH_LIMIT).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lengths_are_as_in_the_standard() {
        assert_eq!(number(INTEGER, 0), [2, 1, 0]);
        assert_eq!(number(INTEGER, 127), [2, 1, 127]);
        assert_eq!(number(INTEGER, 128), [2, 2, 0, 128]);
        assert_eq!(number(INTEGER, 0x0100_0000), [2, 4, 1, 0, 0, 0]);
        assert_eq!(element(OCTETS, &[7; 127]).get(..2), Some(&[4, 127][..]));
        assert_eq!(element(OCTETS, &[7; 128]).get(..3), Some(&[4, 0x81, 128][..]));
        assert_eq!(element(OCTETS, &[7; 256]).get(..4), Some(&[4, 0x82, 1, 0][..]));
        for n in [0, 1, 127, 128, 255, 256, 65_535, 65_536, u32::MAX] {
            assert_eq!(value(expect(&mut Reader::new(&number(INTEGER, n)), INTEGER).unwrap()), Some(n));
        }
    }

    #[test]
    fn what_is_cut_or_absurd_is_refused() {
        for bytes in [
            &[0x30][..],
            &[0x30, 0x82, 1],
            &[0x30, 0x80, 0, 0],
            &[0x30, 3, 1, 2],
            &[0x1f, 1, 0],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x85, 0, 0, 0, 0, 1],
        ] {
            assert_eq!(next(&mut Reader::new(bytes)), None, "{bytes:?}");
        }
        assert_eq!(whole(&[0x30, 0x82, 1, 0]), Some(260));
        assert_eq!(whole(&[0x30]), None);
        assert_eq!(value(&[]), None);
        assert_eq!(value(&[0x80]), None);
        assert_eq!(value(&[1, 0, 0, 0, 0]), None);
    }
}
