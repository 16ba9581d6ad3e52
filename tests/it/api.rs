//! The document of the API: made of its routes, kept beside them. Written anew with `ASSAY_WRITE_VECTORS=1`.

use std::path::Path;

use assay::collector::api::openapi;

#[test]
fn api_document_is_that_of_the_routes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/collector/api/openapi.json");
    let document = serde_json::to_string_pretty(&openapi::document()).unwrap() + "\n";
    if std::env::var_os("ASSAY_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == document, "{} is not what the routes say: write it anew with ASSAY_WRITE_VECTORS=1", path.display());
}
