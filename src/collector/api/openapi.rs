//! The document of the API (OpenAPI 3.1), made of the rows that its routes are made of.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::Json;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::caller::{Caller, FORM_TOKEN};
use super::operation::{Answer, Operation};
use super::problem::Refusal;
use super::{ROOT, operations};

/// What the parameters of paths are.
const PARAMETERS: &[(&str, &str)] = &[
    ("type", "Id of a record type"),
    ("entry", "Id of the entry, or the first eight digits of it or more"),
    ("digest", "SHA-256 of the file, hexadecimal"),
    ("host", "Id of the host, 64 hexadecimal digits"),
    ("rule", "Id of the rule"),
    ("page", "Id of a page of commitments"),
];

const TEXT: &str = "Everything that the pages do. Who asks is known by an API token (`assay-collector token api`), or by the session's cookie, with which \
what changes something must carry the session's form token in the header `x-form-token`. Times are integer Unix seconds, days are YYYY-MM-DD in UTC. \
A refusal is an id that never changes and a sentence. Without HTTPS (the demo) the cookie is called `assay`.";

/// `GET /openapi.json`
pub async fn show(_caller: Caller) -> Json<&'static Value> {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    Json(DOCUMENT.get_or_init(document))
}

/// The document. The same for every collector of this version.
pub fn document() -> Value {
    let settings = || SchemaSettings::draft2020_12().with(|s| (s.definitions_path, s.meta_schema) = ("/components/schemas".into(), None));
    let (mut read, mut written) = (settings().for_deserialize().into_generator(), settings().for_serialize().into_generator());
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in operations() {
        let told = told(&operation, &mut read, &mut written);
        paths.entry(operation.path).or_default().insert(operation.method.into(), told);
    }
    let refusal = |text: &str, written: &mut SchemaGenerator| json!({ "description": text, "content": { "application/json": { "schema": written.subschema_for::<Refusal>() } } });
    let responses = json!({
        "NotSignedIn": refusal("Nobody is known by the token or cookie, or there is none", &mut written),
        "Refused": refusal("It was not done: the id and the sentence say why", &mut written),
        "Failed": refusal("The collector failed or is busy; nothing was done", &mut written),
    });
    // What is sent and what is answered may be one type that reads and writes alike; where it does not, the two must have two names.
    let mut schemas = written.take_definitions(true);
    for (name, schema) in read.take_definitions(true) {
        let other = schemas.insert(name.clone(), schema.clone());
        if other.is_some_and(|other| other != schema) {
            tracing::error!(name, "two schemas of the API have one name");
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "assay collector", "version": "1", "description": TEXT, "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" } },
        "servers": [{ "url": ROOT }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "An API token: acts for its user, within its role" },
                "session": { "type": "apiKey", "in": "cookie", "name": "__Host-assay", "description": "The session of a browser" },
                "form": { "type": "apiKey", "in": "header", "name": FORM_TOKEN, "description": "The session's form token, as forms carry it" },
            },
        },
    })
}

fn told(operation: &Operation, read: &mut SchemaGenerator, written: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = operation.parameters().map(path_parameter).collect();
    parameters.extend(operation.query.map(|draw| query_parameters(draw(read).to_value())).into_iter().flatten());
    let mut responses = Map::new();
    for (status, answer) in &operation.answers {
        let (media, schema) = match answer {
            Answer::Json(draw) => ("application/json", draw(written).to_value()),
            // OpenAPI 3.1: bytes have no schema but their media type.
            Answer::Bytes(media) => (*media, json!({})),
        };
        let text = if *status == 201 { "It was recorded" } else { "What was asked for" };
        responses.insert(status.to_string(), json!({ "description": text, "content": { media: { "schema": schema } } }));
    }
    for (status, name) in [("401", "NotSignedIn"), ("4XX", "Refused"), ("5XX", "Failed")] {
        responses.insert(status.into(), json!({ "$ref": format!("#/components/responses/{name}") }));
    }
    let is_change = operation.method != "get";
    let session = if is_change { json!({ "session": [], "form": [] }) } else { json!({ "session": [] }) };
    let mut out = json!({
        "operationId": id(operation), "summary": operation.text, "parameters": parameters, "responses": responses,
        "security": [{ "token": [] }, session],
    });
    if let (Some(body), Value::Object(out)) = (operation.body, &mut out) {
        let schema = body(read).to_value();
        out.insert("requestBody".into(), json!({ "required": true, "content": { "application/json": { "schema": schema } } }));
    }
    out
}

/// Such as `get-records-type-entry`.
fn id(operation: &Operation) -> String {
    let parts = operation.path.split(['/', '{', '}', '.']).filter(|p| !p.is_empty());
    std::iter::once(operation.method).chain(parts).collect::<Vec<_>>().join("-")
}

fn path_parameter(name: &str) -> Value {
    let text = PARAMETERS.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
    let mut schema = json!({ "type": "string", "minLength": 1 });
    if name == "type"
        && let Ok(types) = crate::records::types::builtin()
    {
        schema["enum"] = types.iter().map(|t| t.id.as_str()).collect();
    }
    json!({ "name": name, "in": "path", "required": true, "description": text, "schema": schema })
}

/// The properties of a type as parameters.
fn query_parameters(mut schema: Value) -> Vec<Value> {
    let required: Vec<Value> = schema["required"].as_array().cloned().unwrap_or_default();
    let Some(properties) = schema["properties"].as_object_mut() else { return Vec::new() };
    let parameter = |(name, property): (&String, &mut Value)| {
        let mut text = Value::Null;
        if let Some(property) = property.as_object_mut() {
            text = property.remove("description").unwrap_or_default();
            // Left out and empty are one thing in a query.
            property.remove("default");
        }
        json!({ "name": name, "in": "query", "required": required.iter().any(|r| r == name), "description": text, "schema": property })
    };
    properties.iter_mut().map(parameter).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_says_what_it_takes_and_answers() {
        let mut seen = BTreeSet::new();
        for operation in operations() {
            let name = format!("{} {}", operation.method, operation.path);
            assert!(seen.insert(id(&operation)), "{name}: its id is another one's");
            assert!(operation.text.len() > 5 && !operation.text.ends_with('.'), "{name}: say in a line what it does");
            assert!(!operation.answers.is_empty(), "{name}: add .answers::<T>(200)");
            assert_eq!(operation.takes_body, operation.body.is_some(), "{name}: a handler that reads a body has .sends::<T>(), and no other");
            // Asking for a scan says everything by its address.
            let says_nothing = operation.method == "get" || operation.method == "delete" || name == "post /hosts/{host}/scan";
            assert!(says_nothing || operation.takes_body, "{name}: what changes something reads a body");
        }
    }

    #[test]
    fn what_is_referred_to_is_there_and_no_two_schemas_have_one_name() {
        let document = document();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer} is not there");
        }
        let settings = || SchemaSettings::draft2020_12().with(|s| (s.definitions_path, s.meta_schema) = ("/components/schemas".into(), None));
        let (mut read, mut written) = (settings().for_deserialize().into_generator(), settings().for_serialize().into_generator());
        for operation in operations() {
            told(&operation, &mut read, &mut written);
        }
        for (name, schema) in read.definitions() {
            assert!(written.definitions().get(name).is_none_or(|other| other == schema), "{name}: what is read and what is written differ; rename one");
        }
    }
}
