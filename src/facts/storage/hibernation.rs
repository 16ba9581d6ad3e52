//! Where suspend to disk writes memory, and whether it can (hibernation in Documentation/power/swsusp.rst,
//! systemd-sleep.conf(5), initramfs-tools(7)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data::{self, Data};
use super::view::View;
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// Whether memory can be written to disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hibernation {
    /// Whether nothing switches it off; where it would go stands in `data` with class `hibernation`.
    pub possible: bool,
    /// What switches it off, or names the device.
    pub why: String,
    /// Where that was read.
    pub source: Source,
}

/// Devices named for the image, and what was found of the switches.
pub fn gather(view: &View<'_>, gaps: &mut Gaps) -> (Hibernation, Vec<Data>) {
    let host = view.host();
    if let Some((why, source)) = switched_off(host) {
        return (Hibernation { possible: false, why, source }, Vec::new());
    }
    let mut out: Vec<Data> = Vec::new();
    for (device, source) in targets(host) {
        let line = source.line as usize;
        // A device that is not there takes no image.
        let Some(layer) = view.device(&device, &source.place, line) else {
            continue;
        };
        let same = |d: &Data| d.chain.first().map(|l| &l.name) == Some(&layer.name);
        if layer.is_memory() || out.iter().any(same) {
            continue;
        }
        let shown = if device.starts_with(|c: char| c.is_ascii_digit()) { format!("/dev/{}", layer.name) } else { device.clone() };
        out.push(data::of_device(format!("hibernation {shown}"), &shown, &layer, source, gaps));
    }
    let first = out.first().map(|d| (format!("to {}", d.real_path), d.source.clone()));
    let (possible, (why, source)) = (first.is_some(), first.unwrap_or_else(|| ("no device is named for it".into(), Source::default())));
    (Hibernation { possible, why, source }, out)
}

/// Command line of the kernel: the running one, or what the boot loader is told.
fn command_lines(host: &Host) -> Vec<(String, usize, String)> {
    if host.is_live() {
        return host.read_text("/proc/cmdline", CONFIG_LIMIT).map(|t| vec![("/proc/cmdline".into(), 1, t)]).unwrap_or_default();
    }
    let mut out = Vec::new();
    let mut drop_ins: Vec<String> = host.list("/etc/default/grub.d").unwrap_or_default().into_iter().map(|e| e.name).collect();
    drop_ins.retain(|n| n.ends_with(".cfg"));
    let files = ["/etc/kernel/cmdline".to_string(), "/etc/default/grub".into()].into_iter().chain(drop_ins.iter().map(|n| format!("/etc/default/grub.d/{n}")));
    for path in files {
        let Ok(text) = host.read_text(&path, CONFIG_LIMIT) else {
            continue;
        };
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            let value = if path == "/etc/kernel/cmdline" {
                Some(line)
            } else {
                line.strip_prefix("GRUB_CMDLINE_LINUX").and_then(|r| r.split_once('=')).map(|(_, v)| v)
            };
            if let Some(value) = value {
                out.push((path.clone(), i + 1, value.trim_matches(['"', '\'']).to_string()));
            }
        }
    }
    out
}

fn switched_off(host: &Host) -> Option<(String, Source)> {
    for (path, line, text) in command_lines(host) {
        if let Some(word) = text.split_whitespace().find(|w| matches!(*w, "noresume" | "nohibernate" | "hibernate=no")) {
            return Some((format!("the kernel is told {word}"), Source::line(path, line, word)));
        }
    }
    for unit in ["hibernate.target", "systemd-hibernate.service", "sleep.target"] {
        let path = format!("/etc/systemd/system/{unit}");
        if host.read_link(&path).is_ok_and(|t| t == "/dev/null") {
            return Some((format!("{unit} is masked"), Source::whole(path)));
        }
    }
    if let Some((path, line)) = sleep_conf(host) {
        return Some(("AllowHibernation=no".into(), Source::line(path, line, "AllowHibernation")));
    }
    let states = host.read_text("/sys/power/state", 4096).ok().filter(|_| host.is_live())?;
    let missing = !states.split_whitespace().any(|s| s == "disk");
    missing.then(|| ("the kernel can't hibernate".into(), Source::whole("/sys/power/state")))
}

/// The last `AllowHibernation` of sleep.conf and its drop-ins, when it says no.
fn sleep_conf(host: &Host) -> Option<(String, usize)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for folder in ["/usr/lib/systemd/sleep.conf.d", "/run/systemd/sleep.conf.d", "/etc/systemd/sleep.conf.d"] {
        for entry in host.list(folder).unwrap_or_default().into_iter().filter(|e| e.name.ends_with(".conf")) {
            files.retain(|(name, _)| *name != entry.name);
            files.push((entry.name.clone(), format!("{folder}/{}", entry.name)));
        }
    }
    files.sort();
    let main = ["/usr/lib/systemd/sleep.conf", "/etc/systemd/sleep.conf"].map(|p| (String::new(), p.to_string()));
    let mut decided = None;
    for (_, path) in main.into_iter().chain(files) {
        for (i, line) in host.read_text(&path, CONFIG_LIMIT).unwrap_or_default().lines().enumerate() {
            if let Some(value) = line.trim().strip_prefix("AllowHibernation=") {
                let no = matches!(value.trim().to_ascii_lowercase().as_str(), "no" | "false" | "off" | "0" | "n" | "f");
                decided = no.then(|| (path.clone(), i + 1));
            }
        }
    }
    decided
}

/// Devices in the order in which a boot would try them.
fn targets(host: &Host) -> Vec<(String, Source)> {
    let mut out = Vec::new();
    for (path, line, text) in command_lines(host) {
        if let Some(device) = text.split_whitespace().rev().find_map(|w| w.strip_prefix("resume=")).filter(|d| !d.is_empty()) {
            out.push((device.to_string(), Source::line(path, line, "resume")));
        }
    }
    let path = "/etc/initramfs-tools/conf.d/resume";
    if host.exists("/etc/initramfs-tools").unwrap_or(false) {
        let text = host.read_text(path, CONFIG_LIMIT).unwrap_or_default();
        let lines = text.lines().enumerate().filter_map(|(i, l)| Some((i + 1, l.trim().strip_prefix("RESUME=")?.trim_matches(['"', '\'']))));
        if let Some((line, device)) = lines.last()
            && !matches!(device, "" | "none" | "auto")
        {
            out.push((device.to_string(), Source::line(path, line, "RESUME")));
        }
    }
    let number = host.read_text("/sys/power/resume", 64).ok().filter(|_| host.is_live()).unwrap_or_default().trim().to_string();
    if !matches!(number.as_str(), "" | "0:0") {
        out.push((number, Source::whole("/sys/power/resume")));
    }
    out
}
