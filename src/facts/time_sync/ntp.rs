//! ntp.conf(5) of ntp and NTPsec, ntpd.conf(5) of OpenNTPD, and the options of BusyBox's ntpd.

use super::Configured;
use crate::facts::monitoring::observed::option;
use crate::facts::monitoring::texts::Told;
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::reason;

/// Where ntpd of each package looks, first that exists.
const MAIN: [&str; 2] = ["/etc/ntpsec/ntp.conf", "/etc/ntp.conf"];
/// Where OpenNTPD of each distribution looks.
const OPEN: [&str; 2] = ["/etc/openntpd/ntpd.conf", "/etc/ntpd.conf"];
/// OpenNTPD's drift file: fixed when it is built.
const OPEN_DRIFT: [&str; 3] = ["/var/lib/openntpd/db/ntpd.drift", "/var/db/ntpd.drift", "/var/lib/openntpd/ntpd.drift"];
/// How deep files may be included (ntpd's own limit is 5).
const DEPTH_LIMIT: usize = 5;
/// Most files.
const FILE_LIMIT: usize = 256;

fn chosen(host: &Host, arguments: &[String], option_names: &[&str], usual: &[&str]) -> String {
    let present = || usual.iter().find(|p| host.exists(p).unwrap_or(false)).or(usual.last()).copied().unwrap_or_default().to_string();
    option(arguments, option_names).unwrap_or_else(present)
}

pub(super) fn read(host: &Host, arguments: &[String], mut told: Told<'_>) -> Configured {
    let main = chosen(host, arguments, &["-c", "--configfile"], &MAIN);
    let mut out = Configured { main: main.clone(), ..Configured::default() };
    let mut files = 0;
    out.found = file(host, &main, 0, &mut files, &mut told, &mut out);
    // NTPsec reads a folder of this name beside its file.
    let folder = main.strip_suffix(".conf").map(|stem| format!("{stem}.d"));
    for path in folder.map(|f| told.glob(host, &format!("{f}/*.conf"))).unwrap_or_default() {
        file(host, &path, 1, &mut files, &mut told, &mut out);
    }
    if let Some(drift) = option(arguments, &["-f", "--driftfile"]) {
        out.drift = drift;
    }
    out
}

fn file(host: &Host, path: &str, depth: usize, files: &mut usize, told: &mut Told<'_>, out: &mut Configured) -> bool {
    *files += 1;
    if depth > DEPTH_LIMIT || *files > FILE_LIMIT {
        if *files <= FILE_LIMIT + 1 {
            told.gap(reason::LIMIT_REACHED, format!("{path}: more than {DEPTH_LIMIT} levels or {FILE_LIMIT} files of includes"));
        }
        return true;
    }
    let Some(text) = told.text(host, path) else { return false };
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().map(|w| w.trim_matches('"')).collect();
        let Some((keyword, rest)) = words.split_first() else { continue };
        let source = Source::line(path, index + 1, *keyword);
        match *keyword {
            "server" | "pool" | "peer" => server(keyword, rest, source, out),
            "refclock" => out.keep("ntpd", "refclock", &rest.iter().take(1).copied().collect::<String>(), !rest.contains(&"noselect"), "none", source),
            "unpeer" => out.sources.retain(|s| Some(&s.address.as_str()) != rest.first()),
            "driftfile" => out.drift = rest.first().map(|w| (*w).to_string()).unwrap_or_default(),
            "includefile" => {
                if let Some(included) = rest.first() {
                    let beside = format!("{}/{included}", path.rsplit_once('/').map_or("", |(f, _)| f));
                    let included = if included.starts_with('/') { (*included).to_string() } else { beside };
                    for path in told.glob(host, &included) {
                        file(host, &path, depth + 1, files, told, out);
                    }
                }
            }
            _ => {}
        }
    }
    true
}

fn server(kind: &str, words: &[&str], source: Source, out: &mut Configured) {
    let words: Vec<&&str> = words.iter().filter(|w| !matches!(**w, "-4" | "-6")).collect();
    let Some((address, options)) = words.split_first() else { return };
    let has = |name: &str| options.iter().any(|w| **w == name);
    // 127.127.t.u is a clock of this machine; type 1 is its own undisciplined one.
    let clock = address.strip_prefix("127.127.");
    let is_itself = clock.is_some_and(|c| c.starts_with("1."));
    let authentication = if has("nts") {
        "nts"
    } else if has("key") || has("autokey") {
        "key"
    } else {
        "none"
    };
    let kind = if clock.is_some() { "refclock" } else { kind };
    out.keep("ntpd", kind, address, !has("noselect") && !is_itself, authentication, source);
}

pub(super) fn read_open(host: &Host, arguments: &[String], mut told: Told<'_>) -> Configured {
    let main = chosen(host, arguments, &["-f"], &OPEN);
    let mut out = Configured { main: main.clone(), ..Configured::default() };
    out.drift = OPEN_DRIFT.iter().find(|p| host.exists(p).unwrap_or(false)).copied().unwrap_or_default().into();
    let Some(text) = told.text(host, &main) else { return out };
    out.found = true;
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().map(|w| w.trim_matches('"')).collect();
        let source = |directive: &str| Source::line(&main, index + 1, directive);
        match words[..] {
            [kind @ ("server" | "servers"), address, ..] => {
                let word = if kind == "servers" { "pool" } else { "server" };
                out.keep("openntpd", word, address, true, "none", source(kind));
            }
            ["sensor", device, ..] => out.keep("openntpd", "refclock", device, true, "none", source("sensor")),
            _ => {}
        }
    }
    out
}

/// `-p` names a server; several may be given.
pub(super) fn read_busybox(host: &Host, arguments: &[String], mut told: Told<'_>) -> Configured {
    const OPTIONS: &str = "/etc/conf.d/ntpd";
    let text = told.text(host, OPTIONS).unwrap_or_default();
    let from_file = text.lines().enumerate().find_map(|(i, l)| l.trim().strip_prefix("NTPD_OPTS=").map(|v| (i + 1, v.trim_matches(['"', '\'']).to_string())));
    let (source, words): (Source, Vec<String>) = match (arguments.len() > 1, from_file) {
        (false, Some((line, options))) => (Source::line(OPTIONS, line, "NTPD_OPTS"), options.split_whitespace().map(String::from).collect()),
        _ => (Source { place: "ntpd".into(), line: 0, directive: "-p".into() }, arguments.to_vec()),
    };
    let mut out = Configured { main: OPTIONS.into(), found: !text.is_empty(), ..Configured::default() };
    for (index, word) in words.iter().enumerate() {
        let address = if word == "-p" { words.get(index + 1).map(String::as_str) } else { word.strip_prefix("-p") };
        // `keyno:N:address` signs with a key.
        if let Some(address) = address.filter(|a| !a.is_empty()) {
            let keyed = address.strip_prefix("keyno:").and_then(|r| r.split_once(':')).map(|(_, a)| a);
            out.keep("busybox", "server", keyed.unwrap_or(address), true, if keyed.is_some() { "key" } else { "none" }, source.clone());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::rooted;
    use crate::model::gap::Gaps;

    fn shown(found: &Configured) -> Vec<String> {
        found.sources.iter().map(|s| format!("{} {} {} {}", s.kind, s.address, s.usable, s.authentication)).collect()
    }

    #[test]
    fn each_ntpd_has_its_own_words() {
        let (_root, host) = rooted(&[
            (
                "etc/ntpsec/ntp.conf",
                "driftfile /var/d # c\npool -4 a.example iburst\nserver b.example nts\nserver 127.127.1.0\npeer c key 3\nserver d noselect\nserver e\nunpeer e\nincludefile more\n",
            ),
            ("etc/ntpsec/more", "server f\nincludefile /etc/ntpsec/more\n"),
            ("etc/ntpsec/ntp.d/x.conf", "server g\n"),
            ("etc/openntpd/ntpd.conf", "# c\nlisten on *\nservers pool.example\nserver one.example weight 2\nsensor *\nconstraints from \"https://x\"\n"),
            ("etc/conf.d/ntpd", "NTPD_OPTS=\"-N -p pool.example -pkeyno:3:x.example\"\n"),
        ]);
        let mut gaps = Gaps::new();
        let ntp = read(&host, &[], Told { family: "t", path: "sources", subject: String::new(), gaps: &mut gaps });
        assert_eq!(
            shown(&ntp),
            [
                "pool a.example true none",
                "server b.example true nts",
                "refclock 127.127.1.0 false none",
                "peer c true key",
                "server d false none",
                "server f true none",
                "server g true none"
            ]
        );
        assert_eq!((ntp.drift.as_str(), gaps.into_sorted().len()), ("/var/d", 1));
        let mut gaps = Gaps::new();
        let open = read_open(&host, &[], Told { family: "t", path: "sources", subject: String::new(), gaps: &mut gaps });
        assert_eq!(shown(&open), ["pool pool.example true none", "server one.example true none", "refclock * true none"]);
        let busy = read_busybox(&host, &[], Told { family: "t", path: "sources", subject: String::new(), gaps: &mut gaps });
        assert_eq!(shown(&busy), ["server pool.example true none", "server x.example true key"]);
    }
}
