//! What packages carry beside the binary: man pages and completions are written from the command line
//! as the program knows it (anew with `ASSAY_WRITE_VECTORS=1`), units hold what is promised of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(packaging().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The pages of a command and of all below it, by name.
fn pages(command: clap::Command) -> BTreeMap<String, String> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = BTreeMap::new();
    page(&mut pages, &command);
    pages
}

fn page(pages: &mut BTreeMap<String, String>, command: &clap::Command) {
    for inner in command.get_subcommands() {
        page(pages, inner);
    }
    let name = command.get_display_name().unwrap_or(command.get_name()).to_string();
    let man = Man::new(command.clone()).title(&name).source("assay").manual("assay");
    let mut out = Vec::new();
    man.render_title(&mut out).unwrap();
    man.render_name_section(&mut out).unwrap();
    man.render_synopsis_section(&mut out).unwrap();
    man.render_description_section(&mut out).unwrap();
    man.render_options_section(&mut out).unwrap();
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out).unwrap();
    }
    let mut rest = Roff::new();
    if let Some(examples) = examples(command) {
        rest.control("SH", ["EXAMPLES"]);
        verbatim(&mut rest, &examples);
    }
    if let Some(after) = command.get_after_help().map(ToString::to_string).filter(|after| after.starts_with("Exit codes:")) {
        rest.control("SH", ["EXIT STATUS"]).text([roman(after)]);
    }
    rest.control("SH", ["SEE ALSO"]);
    let parent = name.rsplit_once('-').filter(|(p, _)| p.starts_with("assay")).map_or("assay", |(parent, _)| parent);
    let parent = if parent == name { "assay-agent.yaml" } else { parent };
    let others = if parent == "assay-agent.yaml" { vec![] } else { vec![roman(", "), bold("assay-agent.yaml"), roman("(5)")] };
    let section = if parent == "assay-agent.yaml" { "(5)" } else { "(1)" };
    rest.text([vec![bold(parent), roman(section)], others].concat());
    rest.to_writer(&mut out).unwrap();
    pages.insert(format!("{name}.1"), String::from_utf8(out).unwrap());
}

/// The lines below `Examples:` of a command's help.
fn examples(command: &clap::Command) -> Option<String> {
    let help = command.clone().term_width(0).render_long_help().to_string();
    let (_, after) = help.split_once("Examples:\n")?;
    let lines = after.lines().take_while(|l| l.starts_with(' ') || l.is_empty());
    Some(lines.map(|l| l.strip_prefix("  ").unwrap_or(l)).collect::<Vec<_>>().join("\n").trim_end().to_string())
}

fn verbatim(roff: &mut Roff, text: &str) {
    roff.control("nf", []);
    roff.text([roman(text)]);
    roff.control("fi", []);
}

/// The sample configuration says what every key means: the page is that text.
fn configuration_page() -> String {
    let mut roff = Roff::new();
    roff.control("TH", ["assay-agent.yaml", "5", "", "assay", "assay"]);
    roff.control("SH", ["NAME"]).text([roman("assay-agent.yaml - configuration of the assay agent")]);
    roff.control("SH", ["SYNOPSIS"]);
    verbatim(&mut roff, "/etc/assay/agent.yaml\n/etc/assay/agent.yaml.d/*.yaml");
    let sample = read("agent.yaml");
    let mut blocks = sample.split("\n\n");
    roff.control("SH", ["DESCRIPTION"]).text([roman(comment(blocks.next().unwrap()))]);
    roff.control("SH", ["KEYS"]);
    for block in blocks {
        let keys: Vec<&str> = block.lines().filter_map(|l| l.strip_prefix("#: ")).collect();
        roff.control("PP", []);
        roff.control("nf", []).text([bold(keys.join("\n"))]).control("fi", []);
        roff.control("RS", ["4"]).text([roman(comment(block))]);
        let example: Vec<&str> = block.lines().filter_map(|l| l.strip_prefix("#   ")).collect();
        if !example.is_empty() {
            roff.control("PP", []);
            verbatim(&mut roff, &example.join("\n"));
        }
        roff.control("RE", []);
    }
    roff.control("SH", ["SEE ALSO"]).text([bold("assay-agent"), roman("(1), "), bold("assay-enroll"), roman("(1)")]);
    roff.render()
}

/// The sentences of a block of comments.
fn comment(block: &str) -> String {
    let lines = block.lines().filter(|l| !l.starts_with("#:") && !l.starts_with("#   "));
    lines.filter_map(|l| l.strip_prefix("# ")).collect::<Vec<_>>().join(" ")
}

fn completions() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, command) in [("assay", assay::cli::assay::command()), ("assay-collector", assay::cli::collector::command())] {
        for (shell, file) in [(Shell::Bash, name.to_string()), (Shell::Zsh, format!("_{name}")), (Shell::Fish, format!("{name}.fish"))] {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut command.clone(), name, &mut out);
            let text = String::from_utf8(out).unwrap();
            let trimmed: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
            all.insert(file, format!("{}\n", trimmed.join("\n")));
        }
    }
    all
}

/// Holds the files of a folder to what was generated, no more and no less.
fn current(folder: &str, generated: &BTreeMap<String, String>) {
    let path = packaging().join(folder);
    let there = || -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(&path).into_iter().flatten();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        names.map(|name| (name.clone(), std::fs::read_to_string(path.join(&name)).unwrap())).collect()
    };
    if std::env::var_os("ASSAY_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(&path).unwrap();
        there().keys().filter(|name| !generated.contains_key(*name)).for_each(|name| std::fs::remove_file(path.join(name)).unwrap());
        generated.iter().for_each(|(name, text)| std::fs::write(path.join(name), text).unwrap());
    }
    let there = there();
    let stale: Vec<&String> = generated.keys().chain(there.keys()).filter(|name| generated.get(*name) != there.get(*name)).collect();
    assert!(stale.is_empty(), "packaging/{folder} is not current: {stale:?}; write it with ASSAY_WRITE_VECTORS=1 cargo nextest run packaging");
}

#[test]
fn man_pages_are_current() {
    let mut agent = pages(assay::cli::assay::command());
    agent.insert("assay-agent.yaml.5".into(), configuration_page());
    assert!(agent["assay.1"].contains("EXIT STATUS") && agent["assay-scan.1"].contains("EXAMPLES"));
    assert!(agent["assay-agent.yaml.5"].contains("scan_deadline_seconds: 900"));
    current("man/assay", &agent);
    current("man/assay-collector", &pages(assay::cli::collector::command()));
}

#[test]
fn completions_are_current() {
    current("completions", &completions());
}

/// Highest exposure of each unit as `systemd-analyze security` counts it, tenths; lower is better.
const EXPOSURE: &[(&str, u32)] = &[("assay-agent.service", 15), ("assay-gatherer.service", 25), ("assay-enroll.service", 15), ("assay-collector.service", 20)];

/// A folder in which the units can be examined as if the package were installed.
fn units() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(packaging().join("systemd")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // The program and its manual are not on the machine that runs the tests.
        let text: String = text.lines().filter(|l| !l.starts_with("Documentation=")).map(|l| format!("{l}\n")).collect();
        std::fs::write(
            dir.path().join(path.file_name().unwrap()),
            text.replace("/usr/bin/assay-collector", "/bin/true").replace("/usr/bin/assay", "/bin/true"),
        )
        .unwrap();
    }
    dir
}

fn analyze(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("systemd-analyze").args(arguments).env("SYSTEMD_LOG_LEVEL", "warning").output().expect("systemd-analyze");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn units_are_as_closed_as_promised() {
    let dir = units();
    let services = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).filter(|n| n.ends_with(".service"));
    for unit in services {
        let (_, limit) = EXPOSURE.iter().find(|(name, _)| *name == unit).unwrap_or_else(|| panic!("{unit} has no limit"));
        let path = dir.path().join(&unit);
        let (good, text) = analyze(&["security", "--no-pager", "--offline=true", &format!("--threshold={limit}"), path.to_str().unwrap()]);
        assert!(good, "{unit} is more exposed than {limit}:\n{text}");
        assert!(text.contains("Overall exposure level"), "{text}");
    }
}

#[test]
fn units_are_without_mistakes() {
    let dir = units();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "conf") {
            continue;
        }
        let (good, text) = analyze(&["verify", "--man=no", path.to_str().unwrap()]);
        let ours: Vec<&str> = text.lines().filter(|l| l.contains("assay")).collect();
        assert!(good && ours.is_empty(), "{}: {text}", path.display());
    }
}

/// What the gatherer reads must not be hidden from it (systemd.exec(5)).
#[test]
fn the_gatherer_is_not_blinded() {
    let unit = read("systemd/assay-gatherer.service");
    let set: Vec<&str> = unit.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once('=')).map(|(key, _)| key).collect();
    for blind in [
        "PrivateNetwork",
        "PrivateDevices",
        "PrivateTmp",
        "PrivateUsers",
        "ProtectProc",
        "ProcSubset",
        "ProtectKernelModules",
        "InaccessiblePaths",
        "TemporaryFileSystem",
    ] {
        assert!(!set.contains(&blind), "{blind}");
    }
    assert!(unit.contains("\nProtectHome=read-only\n") && !unit.contains("CAP_SYS_ADMIN CAP"));
    for line in unit.lines().filter(|l| l.starts_with("AmbientCapabilities=") || l.starts_with("CapabilityBoundingSet=")) {
        assert!(!line.contains("CAP_SYS_ADMIN"), "{line}");
    }
}

/// The agent confines itself by landlock(7), which no group of systemd.exec(5) up to 252 allows.
#[test]
fn the_agent_may_confine_itself() {
    let unit = read("systemd/assay-agent.service");
    let allowed = unit.lines().find(|l| l.starts_with("SystemCallFilter=@system-service")).unwrap();
    for call in ["seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"] {
        assert!(allowed.split(' ').any(|word| word == call), "{call}");
    }
}

/// Package metadata names files that exist, and every unit, page and completion is packed for both kinds of package.
#[test]
fn packages_hold_every_file() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(home.join("Cargo.toml")).unwrap();
    for folder in ["systemd", "completions"] {
        for entry in std::fs::read_dir(packaging().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let packed = manifest.matches(&format!("\"packaging/{folder}/{name}\"")).count();
            assert_eq!(packed, 2, "{folder}/{name}");
        }
    }
    let sources: Vec<&str> = manifest.lines().filter_map(|l| l.split('"').find(|p| p.starts_with("packaging/"))).collect();
    assert!(sources.len() > 20);
    for source in sources.into_iter().filter(|p| !p.contains('*')) {
        assert!(home.join(source).exists(), "{source}");
    }
    for pages in ["packaging/man/assay/*.1", "packaging/man/assay/assay-agent.yaml.5"] {
        assert_eq!(manifest.matches(pages).count(), 2, "{pages}");
    }
}
