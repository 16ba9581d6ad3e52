//! JSON schemas (draft 2020-12) of all families as data. They follow from the types, and a test in `facts` holds
//! `schemas.json` to them (written anew with `ASSAY_WRITE_VECTORS=1 cargo nextest run schemas`): a program that carries the
//! finished text, compressed by `build.rs`, is a tenth smaller than one that can generate it.

//!
//! ```text
//! repeated: length of name (4 bytes, big endian) | name | length (4) | zlib( schema as JSON )
//! ```

use std::io::Read as _;

use serde_json::Value;

/// Key of a family's schema that holds its cadence when that is not weekly.
pub const CADENCE: &str = "x-cadence";

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schemas.bin"));

/// Schema of the family of this name, unpacked for this caller; of nothing at all (`false`) when there is no such family: without
/// a schema no rule over it loads.
pub fn of(name: &str) -> Value {
    packed(name).and_then(unpack).unwrap_or(Value::Bool(false))
}

fn packed(name: &str) -> Option<&'static [u8]> {
    let mut rest = PACKED;
    loop {
        let (key, value) = (take(&mut rest)?, take(&mut rest)?);
        if key == name.as_bytes() {
            return Some(value);
        }
    }
}

fn take(rest: &mut &'static [u8]) -> Option<&'static [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let (piece, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = after;
    Some(piece)
}

fn unpack(bytes: &[u8]) -> Option<Value> {
    let mut text = Vec::new();
    flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
