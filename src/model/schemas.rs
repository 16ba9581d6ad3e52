//! JSON schemas (draft 2020-12) of all families as data. They follow from the types, and a test in `facts` holds
//! `schemas.json` to them (written anew with `ASSAY_WRITE_VECTORS=1 cargo nextest run schemas`): a program that carries the
//! finished text, compressed by `build.rs`, is a tenth smaller than one that can generate it.

use std::io::Read as _;
use std::sync::LazyLock;

use serde_json::{Map, Value};

/// Key of a family's schema that holds its cadence when that is not weekly.
pub const CADENCE: &str = "x-cadence";

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schemas.bin"));

/// Schema of the family of this name; of nothing at all (`false`) when there is no such family.
pub fn of(name: &str) -> &'static Value {
    static SCHEMAS: LazyLock<Map<String, Value>> = LazyLock::new(|| unpack().unwrap_or_default());
    SCHEMAS.get(name).unwrap_or(&Value::Bool(false))
}

/// The program's own bytes: without them no rule loads, since no family has a field.
fn unpack() -> Option<Map<String, Value>> {
    let mut text = Vec::new();
    flate2::read::ZlibDecoder::new(PACKED).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
