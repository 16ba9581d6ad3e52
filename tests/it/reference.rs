//! REFERENCE.md is generated from the schemas and the rule pack; written anew with
//! `ASSAY_WRITE_VECTORS=1`.

use std::fmt::Write as _;
use std::path::Path;

use assay::agent::doctor;
use assay::facts::{self, FAMILIES};
use assay::model::fact::{is_marked, resolve};
use assay::model::gap::reason;
use assay::model::{advisories, compared};
use assay::records::kind::Shape;
use assay::records::types;
use assay::rules::{Pack, access, framework, transfers};
use serde_json::Value;

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn kind(root: &Value, schema: &Value) -> String {
    let optional = schema.get("anyOf").is_some() || schema["type"].as_array().is_some_and(|t| t.iter().any(|t| t == "null"));
    let resolved = resolve(root, schema);
    let name = match &resolved["type"] {
        Value::Array(types) => types.iter().find_map(|t| t.as_str().filter(|t| *t != "null")).unwrap_or("any").to_string(),
        other => other.as_str().unwrap_or("any").to_string(),
    };
    let name = match name.as_str() {
        "array" => format!("list of {}", kind(root, &resolved["items"])),
        other => other.to_string(),
    };
    if optional { format!("{name} or null") } else { name }
}

fn fields(out: &mut String, root: &Value, schema: &Value, prefix: &str) {
    let schema = resolve(root, schema);
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, field) in properties {
        let path = format!("{prefix}{name}");
        let marks = [("x-volatile", "volatile"), ("x-personal", "personal data")];
        let marks: Vec<&str> = marks.into_iter().filter(|(mark, _)| is_marked(field, mark)).map(|(_, word)| word).collect();
        let text = one_line(field["description"].as_str().unwrap_or_default());
        // A source looks the same everywhere and stands in the introduction.
        if name == "source" {
            continue;
        }
        let _ =
            writeln!(out, "| `{path}` | {} | {text}{} |", kind(root, field), if marks.is_empty() { String::new() } else { format!(" *{}*", marks.join(", ")) });
        let inner = resolve(root, field);
        let (inner, prefix) = if inner["items"].is_object() { (&inner["items"], format!("{path}[].")) } else { (inner, format!("{path}.")) };
        fields(out, root, inner, &prefix);
    }
}

fn family(out: &mut String, name: &str, title: &str, schema: &Value) {
    let _ = write!(out, "\n### {name}\n\n{title}.\n\n| field | type | meaning |\n|---|---|---|\n");
    fields(out, schema, schema, "");
}

/// The schemas with their descriptions, which the program does not carry.
fn described() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/model/schemas.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn generated() -> String {
    let schemas = described();
    let mut out = String::from(
        "# Reference\n\nGenerated from the program (`tests/it/reference.rs`); not edited by hand.\n\n## Facts\n\nEvery item carries \
         `source {place, line, directive}`: where it was observed. *Volatile* fields change by themselves and are kept apart from the digest of the \
         facts. Rules see a family under its name.\n",
    );
    for entry in FAMILIES {
        family(&mut out, entry.name, entry.title, &schemas[entry.name]);
    }
    family(&mut out, access::NAME, "Derived from the families above and the roster: people who left, and their ways in", &schemas[access::NAME]);
    family(&mut out, transfers::NAME, "Derived from `connections` and the list of third parties: public peers and who they are", &schemas[transfers::NAME]);
    family(
        &mut out,
        advisories::NAME,
        "Derived from the families above and an index of advisories: published holes that the installed packages still have",
        &schemas[advisories::NAME],
    );
    family(
        &mut out,
        compared::NAME,
        "Derived from the families above: what configurations say about endpoints beside what their sockets showed",
        &schemas[compared::NAME],
    );
    let pack = Pack::builtin(facts::schemas()).unwrap();
    let mut frameworks = framework::builtin().unwrap();
    // The column of promises has those.
    frameworks.retain(|f| f.kind == framework::Kind::Framework);
    out.push_str("\n## Rules\n\n| rule | severity | what must hold | promises | controls |\n|---|---|---|---|---|\n");
    for rule in &pack.rules {
        let controls: Vec<String> = frameworks.iter().flat_map(|f| f.controls_of(&rule.id)).map(|c| c.id.clone()).collect();
        let _ =
            writeln!(out, "| `{}` | {} | {} | {} | {} |", rule.id, rule.severity.word(), one_line(&rule.title), rule.promises.join(" "), controls.join(" "));
    }
    records(&mut out, &framework::builtin().unwrap());
    gaps(&mut out);
    capabilities(&mut out);
    metrics(&mut out);
    out
}

/// What people record, and what asks for it.
fn records(out: &mut String, frameworks: &[framework::Framework]) {
    out.push_str(
        "\n## Record types\n\nWhat people must say (`assay-collector record`). *Every*: days after which an attestation is renewed, or a register is signed as \
         complete again. Fields in bold are required. `assay-collector record types TYPE` tells what each field means.\n\n\
         | type | shape | per | every | fields | deadlines | promises | controls |\n|---|---|---|---|---|---|---|---|\n",
    );
    for kind in types::builtin().unwrap() {
        let fields: Vec<String> = kind.fields.iter().map(|f| if f.required { format!("**{}**", f.name) } else { f.name.clone() }).collect();
        let per = if kind.shape == Shape::Attestation { format!("{:?}", kind.per).to_lowercase() } else { String::new() };
        let deadlines: Vec<&str> = kind.deadlines.iter().map(|d| d.text.as_str()).collect();
        let asked = frameworks.iter().filter(|f| f.kind == framework::Kind::Framework).flat_map(|f| &f.controls).filter(|c| c.records.contains(&kind.id));
        let _ = writeln!(
            out,
            "| `{}` | {} | {per} | {} | {} | {} | {} | {} |",
            kind.id,
            format!("{:?}", kind.shape).to_lowercase(),
            kind.cadence_days.map_or_else(String::new, |d| d.to_string()),
            fields.join(" "),
            one_line(&deadlines.join("; ")),
            kind.promises.join(" "),
            asked.map(|c| c.id.clone()).collect::<Vec<_>>().join(" ")
        );
    }
}

/// Why something could not be observed.
fn gaps(out: &mut String) {
    out.push_str("\n## Gaps\n\nWhat could not be observed is told as a gap with one of these reasons; rules that read it say *unknown*.\n\n| reason | meaning |\n|---|---|\n");
    for (id, meaning) in reason::ALL {
        let _ = writeln!(out, "| `{id}` | {meaning} |");
    }
}

/// What the gatherer needs beside the rights of an ordinary process.
fn capabilities(out: &mut String) {
    out.push_str(
        "\n## Capabilities\n\nThe gatherer is no superuser; it holds these, and without one of them the facts beside it are gaps \
         (`assay doctor` says which are missing).\n\n| capability | facts |\n|---|---|\n",
    );
    for (_, name, facts) in doctor::CAPABILITIES {
        let _ = writeln!(out, "| `{name}` | {facts} |");
    }
}

/// What `/metrics` of the collector tells.
fn metrics(out: &mut String) {
    out.push_str(
        "\n## Metrics\n\nOf `assay-collector serve --operations ADDR:PORT`, at `/metrics`. Histograms have `_bucket`, `_sum` and `_count`.\n\n\
         | metric | type | meaning |\n|---|---|---|\n",
    );
    let text = assay::collector::metrics::Metrics::new(0, 0).text().unwrap();
    let mut help = "";
    for line in text.lines() {
        if let Some((_, said)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            help = said;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            let _ = writeln!(out, "| `{name}` | {kind} | {} |", one_line(help));
        }
    }
}

#[test]
fn the_reference_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("REFERENCE.md");
    let text = generated();
    if std::env::var_os("ASSAY_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "REFERENCE.md is not current; write it with ASSAY_WRITE_VECTORS=1 cargo nextest run reference");
    assert!(text.lines().count() > 200);
}
