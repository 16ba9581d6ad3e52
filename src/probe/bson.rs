//! BSON (bsonspec.org, version 1.1), as far as answers of MongoDB have to be read.

use super::reader::Reader;

/// Most fields of one document.
const FIELDS_LIMIT: usize = 500;

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Double, 32-bit and 64-bit integers, and truth as 0 and 1.
    Number(f64),
    /// UTF-8 text.
    Text(String),
    /// Any other kind.
    Other,
}

impl Value {
    /// The number, if it is one.
    pub const fn number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }
}

/// A document of whole numbers, and of one text at its end.
pub fn document(numbers: &[(&str, i32)], text: Option<(&str, &str)>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, number) in numbers {
        body.extend_from_slice(&[&[0x10][..], name.as_bytes(), &[0], &number.to_le_bytes()].concat());
    }
    if let Some((name, text)) = text {
        let length = u32::try_from(text.len() + 1).unwrap_or(0).to_le_bytes();
        body.extend_from_slice(&[&[0x02][..], name.as_bytes(), &[0], &length, text.as_bytes(), &[0]].concat());
    }
    let length = u32::try_from(body.len() + 5).unwrap_or(0);
    [&length.to_le_bytes()[..], &body, &[0]].concat()
}

/// Fields of the first document in `bytes`; nested ones are skipped.
pub fn read(bytes: &[u8]) -> Option<Vec<(String, Value)>> {
    let mut r = Reader::new(bytes);
    let length = usize::try_from(r.u32_le()?).ok()?;
    let mut r = Reader::new(r.take(length.checked_sub(4)?)?);
    let mut fields = Vec::new();
    loop {
        let kind = r.u8()?;
        if kind == 0 {
            return Some(fields);
        }
        if fields.len() == FIELDS_LIMIT {
            return None;
        }
        let name = String::from_utf8_lossy(r.until_nul()?).into_owned();
        fields.push((name, value(kind, &mut r)?));
    }
}

fn value(kind: u8, r: &mut Reader<'_>) -> Option<Value> {
    let size = |r: &mut Reader<'_>| usize::try_from(r.u32_le()?).ok();
    Some(match kind {
        0x01 => Value::Number(f64::from_le_bytes(r.take(8)?.try_into().ok()?)),
        0x02 => {
            let length = size(r)?;
            let text = r.take(length)?;
            Value::Text(String::from_utf8_lossy(text.strip_suffix(&[0]).unwrap_or(text)).into_owned())
        }
        0x08 => Value::Number(f64::from(r.u8()?)),
        0x10 => Value::Number(f64::from(i32::from_le_bytes(r.take(4)?.try_into().ok()?))),
        // Precise enough for what is looked at.
        #[expect(clippy::cast_precision_loss, reason = "codes and versions are small")]
        0x12 => Value::Number(i64::from_le_bytes(r.take(8)?.try_into().ok()?) as f64),
        _ => {
            skip(kind, r)?;
            Value::Other
        }
    })
}

fn skip(kind: u8, r: &mut Reader<'_>) -> Option<()> {
    let size = |r: &mut Reader<'_>| usize::try_from(r.u32_le()?).ok();
    let count = match kind {
        // Document, array, code with scope: the length counts itself.
        0x03 | 0x04 | 0x0f => size(r)?.checked_sub(4)?,
        // Binary: and a byte of its kind.
        0x05 => size(r)?.checked_add(1)?,
        0x07 => 12,
        0x06 | 0x0a | 0x7f | 0xff => 0,
        0x09 | 0x11 => 8,
        0x0b => {
            r.until_nul()?;
            r.until_nul()?;
            0
        }
        // Database pointer: text and an identifier.
        0x0c => size(r)?.checked_add(12)?,
        // Code, symbol.
        0x0d | 0x0e => size(r)?,
        0x13 => 16,
        _ => return None,
    };
    r.take(count).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_and_cut_ones_are_not() {
        let bytes = document(&[("listDatabases", 1), ("nameOnly", 1)], Some(("$db", "admin")));
        let fields = read(&bytes).unwrap();
        assert_eq!(fields[0], ("listDatabases".into(), Value::Number(1.0)));
        assert_eq!(fields[2], ("$db".into(), Value::Text("admin".into())));
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), None);
        }
        assert_eq!(read(b"\x05\0\0\0\0"), Some(vec![]));
        assert_eq!(read(b"\x00\0\0\0\0"), None);
        // A nested document, a date, a kind that nobody knows.
        let nested = b"\x1f\0\0\0\x03a\0\x05\0\0\0\0\x09b\0\0\0\0\0\0\0\0\0\x08c\0\x01\0";
        let length = u32::try_from(nested.len()).unwrap().to_le_bytes();
        let nested = [&length[..], &nested[4..]].concat();
        assert_eq!(read(&nested).unwrap()[2], ("c".into(), Value::Number(1.0)));
        assert_eq!(read(b"\x08\0\0\0\x42a\0\0"), None);
    }
}
