//! Distinguished names (RFC 5280 section 4.1.2.4): as text, and in a form that can be compared.

use super::der::{Element, Malformed, OID, Reader, SEQUENCE, SET, hex};

/// Longest name kept, characters.
const NAME_LIMIT: usize = 512;

/// RFC 4514: last relative name first, attributes by short name or OID, special characters escaped.
pub fn text(name: &[u8]) -> Result<String, Malformed> {
    let mut parts: Vec<String> = Vec::new();
    for attributes in relative_names(name)? {
        let shown = attributes.iter().map(|(kind, value)| {
            let text = string(value).map_or_else(|| format!("#{}", hex(value.whole)), |t| escape(&t));
            kind.oid().map(|oid| format!("{}={text}", short(oid)))
        });
        parts.push(shown.collect::<Result<Vec<_>, _>>()?.join("+"));
    }
    parts.reverse();
    Ok(parts.join(",").chars().take(NAME_LIMIT).collect())
}

/// A form that is equal for names that RFC 5280 section 7.1 calls equal: kinds of string, letter
/// case (ASCII) and the number of spaces don't count.
pub fn canonical(name: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::new();
    for attributes in relative_names(name)? {
        let mut forms: Vec<Vec<u8>> = attributes.iter().map(|(kind, value)| form(kind, value)).collect();
        forms.sort();
        append(&mut out, &forms.concat());
    }
    Ok(out)
}

/// Values of the common name (2.5.4.3).
pub fn common_names(name: &[u8]) -> Result<Vec<String>, Malformed> {
    values_of(name, "2.5.4.3")
}

/// Values of one kind of attribute that are text.
pub fn values_of(name: &[u8], oid: &str) -> Result<Vec<String>, Malformed> {
    let attributes = relative_names(name)?.into_iter().flatten();
    Ok(attributes.filter(|(kind, _)| kind.oid().is_ok_and(|o| o == oid)).filter_map(|(_, value)| string(&value)).collect())
}

type Attribute<'a> = (Element<'a>, Element<'a>);

/// The attributes of each relative name; `name` is the content of the outer SEQUENCE.
pub fn relative_names(name: &[u8]) -> Result<Vec<Vec<Attribute<'_>>>, Malformed> {
    let mut names = Reader::new(name);
    let mut out = Vec::new();
    while !names.is_empty() {
        let mut set = names.expect(SET)?.inside();
        let mut attributes = Vec::new();
        while !set.is_empty() {
            let mut attribute = set.expect(SEQUENCE)?.inside();
            let kind = attribute.expect(OID)?;
            kind.oid()?;
            attributes.push((kind, attribute.element()?));
            attribute.end()?;
        }
        out.push(attributes);
    }
    Ok(out)
}

fn form(kind: &Element<'_>, value: &Element<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, kind.content);
    match string(value) {
        Some(text) => {
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            append(&mut out, words.join(" ").to_ascii_lowercase().as_bytes());
        }
        None => append(&mut out, value.whole),
    }
    out
}

fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}

/// A value of one of the string types.
pub fn string(value: &Element<'_>) -> Option<String> {
    match value.tag {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString
        0x0c | 0x12 | 0x13 | 0x16 | 0x1a => String::from_utf8(value.content.to_vec()).ok(),
        // TeletexString: everybody takes it for Latin-1.
        0x14 => Some(value.content.iter().map(|b| char::from(*b)).collect()),
        // UniversalString, BMPString
        0x1c => value.content.as_chunks::<4>().0.iter().map(|c| char::from_u32(u32::from_be_bytes(*c))).collect(),
        0x1e => String::from_utf16(&value.content.as_chunks::<2>().0.iter().map(|c| u16::from_be_bytes(*c)).collect::<Vec<u16>>()).ok(),
        _ => None,
    }
}

fn short(oid: String) -> String {
    match oid.as_str() {
        "2.5.4.3" => "CN".into(),
        "2.5.4.6" => "C".into(),
        "2.5.4.7" => "L".into(),
        "2.5.4.8" => "ST".into(),
        "2.5.4.9" => "STREET".into(),
        "2.5.4.10" => "O".into(),
        "2.5.4.11" => "OU".into(),
        "0.9.2342.19200300.100.1.25" => "DC".into(),
        "0.9.2342.19200300.100.1.1" => "UID".into(),
        _ => oid,
    }
}

fn escape(value: &str) -> String {
    let mut out = String::new();
    let last = value.chars().count().saturating_sub(1);
    for (i, c) in value.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', c]),
            '#' if i == 0 => out.push_str("\\#"),
            ' ' if i == 0 || i == last => out.push_str("\\ "),
            c if c.is_control() => out.push_str(&format!("\\{:02X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(tag: u8, value: &[u8]) -> Vec<u8> {
        let length = |n: usize| u8::try_from(n).unwrap();
        let mut out = vec![SET, length(value.len() + 9), SEQUENCE, length(value.len() + 7), OID, 3, 0x55, 4, 3, tag, length(value.len())];
        out.extend(value);
        out
    }

    #[test]
    fn kinds_of_string_case_and_spaces_do_not_make_another_name() {
        let base = canonical(&name(0x0c, b"Lab  Root ")).unwrap();
        assert_eq!(base, canonical(&name(0x13, b"lab root")).unwrap());
        assert_eq!(base, canonical(&name(0x1e, b"\0l\0a\0b\0 \0R\0o\0o\0t")).unwrap());
        assert_ne!(base, canonical(&name(0x0c, b"Lab Roots")).unwrap());
        assert_ne!(base, canonical(&name(0x04, b"lab root")).unwrap());
    }

    #[test]
    fn text_is_escaped_and_what_is_no_text_is_hexadecimal() {
        assert_eq!(text(&name(0x0c, b"#a,b\0 ")).unwrap(), "CN=\\#a\\,b\\00\\ ");
        assert_eq!(text(&name(0x0c, &[0xff])).unwrap(), "CN=#0c01ff");
        assert!(text(b"\x31\x05\x30\x03\x06\x01\x55").is_err());
    }
}
