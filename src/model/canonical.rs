//! Canonical JSON: one byte string per value.
//!
//! RFC 8785 restricted to what assay writes: object keys are ASCII and sorted by byte, no white
//! space, integers only (a float is refused), strings escaped as RFC 8785 section 3.2.2.2 says.

pub mod check;

use serde::Serialize;
use serde_json::Value;

/// Deepest nesting that is written or read, in levels.
pub const MAX_DEPTH: usize = 64;
/// Longest object key, bytes before escaping: more than four of the longest paths.
pub const MAX_KEY: usize = 16 << 10;

/// Why a value has no canonical form.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CanonicalError {
    /// A number with a fraction or exponent.
    #[error("number {0} is not an integer between -2^63 and 2^64-1")]
    NotInteger(String),
    /// An object key outside ASCII.
    #[error("object key {0:?} is not ASCII")]
    Key(String),
    /// An object key longer than [`MAX_KEY`].
    #[error("object key is longer than {MAX_KEY} bytes")]
    LongKey,
    /// Nesting beyond [`MAX_DEPTH`].
    #[error("value is nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// The type did not serialise.
    #[error("value does not serialise: {0}")]
    Serialise(String),
}

/// The canonical bytes of any serialisable value.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value).map_err(|e| CanonicalError::Serialise(e.to_string()))?;
    let mut out = Vec::with_capacity(1024);
    write(&value, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    if depth > MAX_DEPTH {
        return Err(CanonicalError::Depth);
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(n) if n.is_i64() || n.is_u64() => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Number(n) => return Err(CanonicalError::NotInteger(n.to_string())),
        Value::String(s) => write_string(s, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            // Sorted here, not by the map: a dependency may switch the map to insertion order.
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            out.push(b'{');
            for (i, key) in keys.into_iter().enumerate() {
                if !key.is_ascii() {
                    return Err(CanonicalError::Key(key.clone()));
                }
                if key.len() > MAX_KEY {
                    return Err(CanonicalError::LongKey);
                }
                if i > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write(&map[key], depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_string(s: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in s.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            c if (c as u32) < 0x20 => out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_nothing_is_padded() {
        let bytes = to_bytes(&json!({"b": [1, -2, null], "a": {"z": true, "y": "é\n\u{1}\""}})).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "{\"a\":{\"y\":\"é\\n\\u0001\\\"\",\"z\":true},\"b\":[1,-2,null]}");
    }

    #[test]
    fn floats_foreign_keys_and_depth_are_refused() {
        assert!(matches!(to_bytes(&json!(1.5)), Err(CanonicalError::NotInteger(_))));
        assert!(matches!(to_bytes(&json!({"é": 1})), Err(CanonicalError::Key(_))));
        let mut deep = json!(1);
        for _ in 0..=MAX_DEPTH {
            deep = json!([deep]);
        }
        assert_eq!(to_bytes(&deep), Err(CanonicalError::Depth));
    }
}
