//! Advisories end to end: real records of Debian and AlmaLinux against real versions, planted holes and
//! sound decoys on a root made here, and the collector's verdicts.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{ASSAY, run, text};

const DATA: &str = "tests/vectors/osv";

/// Records of a few kinds in a folder.
fn write_records(folder: &Path, records: &[Value]) {
    std::fs::create_dir_all(folder).unwrap();
    for record in records {
        std::fs::write(folder.join(format!("{}.json", record["id"].as_str().unwrap())), record.to_string()).unwrap();
    }
}

fn record(id: &str, ecosystem: &str, package: &str, events: &Value) -> Value {
    json!({"id": id, "modified": "2024-01-03T00:00:00Z", "published": "2024-01-02T00:00:00Z",
        "affected": [{"package": {"ecosystem": ecosystem, "name": package}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}]})
}

fn fixed(version: &str) -> Value {
    json!([{"introduced": "0"}, {"fixed": version}])
}

fn import(folder: &Path, index: &Path) {
    let (code, out, error) = run(ASSAY, &["advisories", "import", text(folder), "--output", text(index)]);
    assert_eq!(code, 0, "{out}{error}");
}

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// A Debian 12 root with these packages: name, version, source field.
fn debian_root(root: &Path, packages: &[(&str, &str, &str)]) {
    write(root, "etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    let status: String = packages
        .iter()
        .map(|(name, version, source)| {
            let source = if source.is_empty() { String::new() } else { format!("Source: {source}\n") };
            format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\n{source}Version: {version}\n\n")
        })
        .collect();
    write(root, "var/lib/dpkg/status", &status);
}

fn match_json(arguments: &[&str]) -> Value {
    let (code, out, error) = run(ASSAY, &[&["advisories", "match"], arguments, &["--format", "json"]].concat());
    assert!(code == 0 || code == 3, "{code}: {error}");
    serde_json::from_str(&out).unwrap()
}

fn subjects(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|a| a["subject"].as_str().unwrap().to_string()).collect()
}

#[test]
fn planted_holes_are_found_and_sound_decoys_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let (records, index, root) = (dir.path().join("records"), dir.path().join("a.idx"), dir.path().join("root"));
    let with = |mut value: Value, key: &str, what: Value| {
        value[key] = what;
        value
    };
    let urgency = |mut value: Value, word: &str| {
        value["affected"][0]["ecosystem_specific"] = json!({"urgency": word});
        value
    };
    let critical = json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]);
    write_records(
        &records,
        &[
            // Found: one row with DSA and CVE, rated by the CVE's record.
            with(record("DSA-5532-1", "Debian:12", "openssl", &fixed("3.0.11-1~deb12u2")), "upstream", json!(["CVE-2023-5363"])),
            with(record("DEBIAN-CVE-2023-5363", "Debian:12", "openssl", &fixed("3.0.11-1~deb12u2")), "severity", critical),
            // Found through its source package, whose version differs from the binary's.
            urgency(record("DEBIAN-CVE-2024-10", "Debian:12", "lvm2", &fixed("2.03.16-3")), "high"),
            // Found: no fix yet.
            record("DEBIAN-CVE-2024-11", "Debian:12", "zlib", &json!([{"introduced": "0"}])),
            // Found: of two ranges the second holds.
            record(
                "DEBIAN-CVE-2024-12",
                "Debian:12",
                "curl",
                &json!([{"introduced": "0"}, {"fixed": "7.80-1"}, {"introduced": "7.88.1-1"}, {"last_affected": "7.88.1-10"}]),
            ),
            // Decoys: other release, back-ported fix, withdrawn, never affected, unimportant, introduced later, a rebuild of the fix.
            record("DSA-1-1", "Debian:11", "openssl", &fixed("9")),
            record("DEBIAN-CVE-2024-20", "Debian:12", "bash", &fixed("5.2.15-2")),
            with(record("DEBIAN-CVE-2024-21", "Debian:12", "openssl", &fixed("9")), "withdrawn", json!("2024-02-01T00:00:00Z")),
            record("DEBIAN-CVE-2024-22", "Debian:12", "openssl", &fixed("0")),
            urgency(record("DEBIAN-CVE-2024-23", "Debian:12", "bash", &json!([{"introduced": "0"}])), "unimportant"),
            record("DEBIAN-CVE-2024-24", "Debian:12", "zlib", &json!([{"introduced": "1:1.3"}, {"fixed": "1:1.3.1-1"}])),
            record("DEBIAN-CVE-2024-25", "Debian:12", "rebuilt", &fixed("1.0-2")),
            record("DEBIAN-CVE-2024-26", "Debian:12", "removed", &fixed("9")),
        ],
    );
    import(&records, &index);
    debian_root(
        &root,
        &[
            ("libssl3", "3.0.9-1", "openssl"),
            ("openssl", "3.0.9-1", ""),
            ("libdevmapper1.02.1", "2:1.02.185-2", "lvm2 (2.03.16-2)"),
            ("zlib1g", "1:1.2.13.dfsg-1", "zlib"),
            ("libcurl4", "7.88.1-10", "curl"),
            ("bash", "5.2.15-2+b8", "bash (5.2.15-2)"),
            ("rebuilt", "1.0-2+b1", "rebuilt (1.0-2)"),
        ],
    );
    let status = std::fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap();
    write(&root, "var/lib/dpkg/status", &format!("{status}Package: removed\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n"));
    let found = match_json(&[text(&index), "--root", text(&root)]);
    let lists = &found["advisories"];
    assert_eq!(subjects(&lists["critical"]), ["DSA-5532-1 openssl"]);
    let row = &lists["critical"][0];
    assert_eq!(row["aliases"], json!(["CVE-2023-5363", "DEBIAN-CVE-2023-5363"]));
    assert_eq!((&row["packages"], &row["score_tenths"], &row["fixed"]), (&json!(["libssl3", "openssl"]), &json!(98), &json!("3.0.11-1~deb12u2")));
    assert_eq!((&row["offered"], &row["source"]["place"]), (&json!("unknown"), &json!("/var/lib/dpkg/status")));
    assert_eq!(subjects(&lists["high"]), ["DEBIAN-CVE-2024-10 lvm2"]);
    assert_eq!(subjects(&lists["no_fix"]), ["DEBIAN-CVE-2024-11 zlib", "DEBIAN-CVE-2024-12 curl"]);
    assert_eq!(subjects(&lists["unimportant"]), ["DEBIAN-CVE-2024-23 bash"]);
    for list in ["medium", "low", "unrated", "kernels_not_running"] {
        assert_eq!(lists[list], json!([]), "{list}");
    }

    // The same as findings, and unknown without an index.
    let scan = |more: &[&str]| -> Value {
        let families = ["scan", "--root", text(&root), "--format", "json", "--family", "os", "--family", "packages"];
        let (_, out, _) = run(ASSAY, &[&families, more].concat());
        serde_json::from_str(&out).unwrap()
    };
    let report = scan(&["--advisories", text(&index)]);
    let failing: Vec<String> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["verdict"] == "fail" && f["rule"].as_str().unwrap().starts_with("advisory-"))
        .map(|f| format!("{} {}", f["rule"].as_str().unwrap(), f["subject"].as_str().unwrap()))
        .collect();
    assert_eq!(failing, ["advisory-critical DSA-5532-1 openssl", "advisory-high DEBIAN-CVE-2024-10 lvm2"]);
    let (_, out, _) = run(ASSAY, &["scan", "--root", text(&root), "--format", "json", "--all"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    let without: Vec<&Value> = report["findings"].as_array().unwrap().iter().filter(|f| f["rule"] == "advisory-critical").collect();
    assert_eq!((without.len(), &without[0]["verdict"]), (1, &json!("unknown")));
}

#[test]
fn a_release_without_records_is_not_evaluated() {
    let dir = tempfile::tempdir().unwrap();
    let (records, index, root) = (dir.path().join("records"), dir.path().join("a.idx"), dir.path().join("root"));
    write_records(&records, &[record("DSA-1-1", "Debian:11", "openssl", &fixed("9"))]);
    import(&records, &index);
    debian_root(&root, &[("openssl", "3.0.9-1", "")]);
    let found = match_json(&[text(&index), "--root", text(&root)]);
    assert_eq!(found["advisories"], Value::Null);
    assert_eq!((&found["gaps"][0]["reason"], &found["gaps"][0]["path"]), (&json!("unsupported"), &json!("")));
}

#[test]
fn of_several_kernels_only_the_running_one_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (records, index) = (dir.path().join("records"), dir.path().join("a.idx"));
    write_records(&records, &[record("DSA-5594-1", "Debian:12", "linux", &fixed("6.1.69-1"))]);
    import(&records, &index);
    let index = assay::advisory::Index::open(&index).unwrap();
    let image = |release: &str, version: &str, source: &str| json!({"name": format!("linux-image-{release}"), "version": version, "architecture": "amd64", "source_name": "linux-signed-amd64", "source_version": source});
    let old = image("6.1.0-13-amd64", "6.1.55-1", "6.1.55+1");
    let new = image("6.1.0-17-amd64", "6.1.69-1", "6.1.69+1");
    let beside = json!({"name": "linux-libc-dev", "version": "6.1.55-1", "architecture": "amd64", "source_name": "linux", "source_version": "6.1.55-1"});
    let derive = |packages: Vec<&Value>, running: Value, version: Value| {
        let mut observation = assay::model::fact::Observation::default();
        observation.families.insert("os".into(), json!({"id": "debian", "version_id": "12"}));
        observation.families.insert("packages".into(), json!({"items": packages}));
        observation.families.insert("kernel".into(), json!({"running": running, "running_version": version}));
        let derived = assay::advisory::derive(&observation, &index);
        (derived.value.unwrap(), derived.gaps)
    };
    let (found, _) = derive(vec![&old, &new, &beside], json!("6.1.0-17-amd64"), json!("6.1.69-1"));
    assert_eq!((subjects(&found["unrated"]).len(), subjects(&found["kernels_not_running"])), (0, vec!["DSA-5594-1 linux".to_string()]));
    let (found, _) = derive(vec![&old, &new], json!("6.1.0-13-amd64"), json!("6.1.55-1"));
    assert_eq!((&found["unrated"][0]["state"], &found["unrated"][0]["offered"]), (&json!("restart-required"), &json!("yes")));
    // Raised under the same release, and not restarted since.
    let raised = image("6.1.0-13-amd64", "6.1.69-1", "6.1.69+1");
    let (found, _) = derive(vec![&raised], json!("6.1.0-13-amd64"), json!("6.1.55-1"));
    assert_eq!((&found["unrated"][0]["installed"], &found["unrated"][0]["state"]), (&json!("6.1.55-1"), &json!("restart-required")));
    let (found, _) = derive(vec![&old, &beside], json!("6.1.0-13-amd64"), Value::Null);
    assert_eq!(found["unrated"][0]["state"], json!("fixed-available"));
    // A root folder: the newest one would start; whether the older one does not run nobody knows.
    let (found, gaps) = derive(vec![&old, &new], Value::Null, Value::Null);
    assert_eq!(subjects(&found["unrated"]).len(), 0);
    assert_eq!(gaps.iter().map(|g| (g.path.as_str(), g.subject.as_str())).collect::<Vec<_>>(), [("unrated", "linux 6.1.55-1")]);
    // Headers alone hold no kernel.
    let (found, _) = derive(vec![&beside], json!("6.1.0-13-amd64"), Value::Null);
    assert_eq!((subjects(&found["unrated"]).len(), subjects(&found["kernels_not_running"]).len()), (0, 0));
}

#[test]
fn module_builds_compare_with_their_stream_only() {
    let dir = tempfile::tempdir().unwrap();
    let (records, index) = (dir.path().join("records"), dir.path().join("a.idx"));
    let erratum = |id: &str, summary: &str, package: &str, version: &str| {
        let mut value = record(id, "AlmaLinux:9", package, &fixed(version));
        value["summary"] = json!(summary);
        value
    };
    write_records(
        &records,
        &[
            erratum("ALSA-2026:7896", "Important: nodejs:20 security update", "nodejs", "1:20.20.2-1.module_el9.7.0+226+88d36870"),
            erratum("ALSA-2026:7000", "Moderate: nodejs:18 security update", "nodejs", "1:18.20.8-1.module_el9.5.0+150+1"),
            erratum("ALSA-2026:1", "Low: nodejs security update", "nodejs", "1:16.20.2-8.el9_4"),
            erratum("ALSA-2026:2", "Critical: p security update", "p", "1.0-2.el9"),
        ],
    );
    import(&records, &index);
    let rows = |packages: &[&str]| -> Vec<String> {
        let mut arguments = vec![text(&index), "--release", "almalinux:9.5"];
        packages.iter().for_each(|p| arguments.extend(["--package", p]));
        let found = match_json(&arguments);
        ["critical", "high", "medium", "low", "unrated"].iter().flat_map(|l| subjects(&found["advisories"][l])).collect()
    };
    assert_eq!(rows(&["nodejs=1:18.19.0-1.module_el9.4.0+100+1"]), ["ALSA-2026:7000 nodejs"]);
    assert_eq!(rows(&["nodejs=1:20.1.0-1.module_el9.4.0+100+1"]), ["ALSA-2026:7896 nodejs"]);
    assert_eq!(rows(&["nodejs=1:16.20.2-3.el9_3"]), ["ALSA-2026:1 nodejs"]);
    assert_eq!(rows(&["nodejs=1:18.20.8-1.module_el9.5.0+150+1", "p=1.0-1.el9"]), ["ALSA-2026:2 p"]);
    // An epoch is newer than any version without one.
    assert!(rows(&["p=1:0.1-1.el9"]).is_empty());
}

#[test]
fn fixes_of_a_subscription_count_where_it_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let (records, index) = (dir.path().join("records"), dir.path().join("a.idx"));
    let mut both = record("UBUNTU-CVE-2024-1", "Ubuntu:18.04:LTS", "p", &json!([{"introduced": "0"}]));
    let pro = record("x", "Ubuntu:Pro:18.04:LTS", "p", &fixed("1.0-1ubuntu0.1+esm2"))["affected"][0].clone();
    both["affected"].as_array_mut().unwrap().push(pro);
    write_records(&records, &[both]);
    import(&records, &index);
    let rows = |version: &str| {
        let found = match_json(&[text(&index), "--release", "ubuntu:18.04", "--package", &format!("p={version}")]);
        (subjects(&found["advisories"]["unrated"]).len(), subjects(&found["advisories"]["no_fix"]).len())
    };
    assert_eq!((rows("1.0-1"), rows("1.0-1ubuntu0.1+esm1"), rows("1.0-1ubuntu0.1+esm2")), ((0, 1), (1, 0), (0, 0)));
}

#[test]
fn an_import_is_whole_or_not_at_all_and_tells_what_it_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let (records, index) = (dir.path().join("records"), dir.path().join("a.idx"));
    write_records(&records, &[record("DSA-1-1", "Debian:12", "openssl", &fixed("9"))]);
    std::fs::write(records.join("broken.json"), "{").unwrap();
    let (code, out, _) = run(ASSAY, &["advisories", "import", text(&records), "--output", text(&index)]);
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("1 malformed") && out.contains("broken.json: EOF"), "{out}");
    let before = std::fs::read(&index).unwrap();
    let (code, _, error) = run(ASSAY, &["advisories", "import", text(&dir.path().join("absent.zip")), "--output", text(&index)]);
    assert_eq!((code, std::fs::read(&index).unwrap() == before), (1, true), "{error}");
    let (code, out, _) = run(ASSAY, &["advisories", "info", text(&index), "--format", "json"]);
    let info: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &info["records"], &info["ecosystems"][0]["name"]), (0, &json!(1), &json!("Debian:12")));
    std::fs::write(&index, &before[..before.len() - 1]).unwrap();
    let (code, _, error) = run(ASSAY, &["advisories", "info", text(&index)]);
    assert!(code == 1 && error.contains("damaged"), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file stays");
}

/// The format as drawn in ARCHITECTURE.md; a changed vector is a changed format.
#[test]
fn the_index_is_the_golden_vector() {
    let dir = tempfile::tempdir().unwrap();
    let mut of_module = record("ALSA-2026:7896", "AlmaLinux:9", "nodejs", &fixed("1:20.20.2-1.module_el9.7.0+226+88d36870"));
    of_module["summary"] = json!("Important: nodejs:20 security update");
    let mut rated = record("DEBIAN-CVE-2024-12", "Debian:12", "curl", &json!([{"introduced": "7.88.1-1"}, {"last_affected": "7.88.1-10"}]));
    rated["severity"] = json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]);
    rated["affected"][0]["versions"] = json!(["7.74.0-1.3"]);
    let mut advisory = record("DSA-5532-1", "Debian:12", "openssl", &fixed("3.0.11-1~deb12u2"));
    advisory["upstream"] = json!(["CVE-2023-5363"]);
    let mut unimportant = record("DEBIAN-CVE-2024-23", "Debian:12", "bash", &json!([{"introduced": "0"}]));
    unimportant["affected"][0]["ecosystem_specific"] = json!({"urgency": "unimportant"});
    let records = dir.path().join("records");
    write_records(&records, &[of_module, rated, advisory, unimportant, record("DSA-1-1", "npm", "x", &fixed("9"))]);
    let mut import = assay::advisory::Import::default();
    import.add(&records, &mut |_, _| {}).unwrap();
    let (bytes, _) = import.finish(1_700_000_000).unwrap();
    let vector = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/advisories.idx");
    if std::env::var_os("ASSAY_WRITE_VECTORS").is_some() {
        std::fs::write(&vector, &bytes).unwrap();
    }
    assert!(std::fs::read(&vector).unwrap() == bytes, "the bytes of an index changed");
}

/// Runs a Python program of the tests; its output is JSON.
fn python(arguments: &[&str]) -> Value {
    let output = Command::new("/usr/bin/python3").args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every (package, version) pair against an independent matcher with the package manager's own order.
fn same_as_the_reference(zip: &str, release: &str, ecosystem: &str, order: &str) {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("a.idx");
    let (code, out, error) = run(ASSAY, &["advisories", "import", zip, "--output", text(&index)]);
    assert_eq!(code, 0, "{out}{error}");
    let expected = python(&["tests/vectors/osv/reference.py", zip, ecosystem, order]);
    let packages = expected["packages"].as_array().unwrap();
    assert!(packages.len() >= 100, "{}", packages.len());
    let mut arguments = vec![text(&index), "--release", release];
    packages.iter().for_each(|p| arguments.extend(["--package", p.as_str().unwrap()]));
    let found = match_json(&arguments);
    let mut rows: Vec<String> = Vec::new();
    for list in ["critical", "high", "medium", "low", "unrated", "no_fix", "kernels_not_running"] {
        for row in found["advisories"][list].as_array().unwrap() {
            rows.push(format!("{} {} {}", row["id"].as_str().unwrap(), row["source_package"].as_str().unwrap(), row["fixed"].as_str().unwrap()));
        }
    }
    rows.sort();
    let expected: Vec<&str> = expected["rows"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
    assert!(expected.len() > 100, "{}", expected.len());
    assert_eq!(rows, expected);
}

#[test]
fn real_debian_records_match_as_apt_orders_versions() {
    same_as_the_reference(&format!("{DATA}/debian-11.zip"), "debian:11", "Debian:11", "dpkg");
}

#[test]
fn real_almalinux_records_match_as_rpm_orders_versions() {
    same_as_the_reference(&format!("{DATA}/almalinux-9.zip"), "almalinux:9", "AlmaLinux:9", "rpm");
}

#[test]
fn the_version_orders_agree_with_apt_and_rpm() {
    let versions = python(&["tests/vectors/osv/orders.py", DATA]);
    for (order, compare) in
        [("dpkg", assay::host::debian::version::compare as fn(&str, &str) -> std::cmp::Ordering), ("rpm", assay::host::rpm::version::compare)]
    {
        let pairs = versions[order].as_array().unwrap();
        assert!(pairs.len() > 5_000, "{order}: {}", pairs.len());
        for pair in pairs {
            let (a, b) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
            let expected = pair[2].as_i64().unwrap().cmp(&0);
            assert_eq!(compare(a, b), expected, "{order}: {a} {b}");
        }
    }
}
