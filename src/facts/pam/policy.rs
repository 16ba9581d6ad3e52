//! Which new passwords the stack stores: how long, checked by what, remembered, hashed how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::line::Module;
use super::modules::{self, LOCAL_PASSWORD};
use super::settings::{self, Settings};
use super::stack::{Call, Step, courses};
use crate::facts::accounts::database;
use crate::host::Host;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// What a new password of an ordinary local account must be, by the `password` stack of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// Service whose stack was followed: `passwd`, or what stands for it.
    pub service: String,
    /// Module that stores it; empty: none does, local passwords can't be changed through PAM.
    pub module: String,
    /// `pam_pwquality`, `pam_cracklib`, `pam_passwdqc`; empty: none in the stack.
    pub strength_module: String,
    /// Whether a password that this module refuses is never stored.
    pub strength_enforced: bool,
    /// Length of the shortest password that can be stored, characters: credits taken off, the limit of pam_unix (6 by default) included.
    pub minimum_length: i64,
    /// What sets it: file of settings, or the module's line.
    pub minimum_length_source: Source,
    /// Least number of classes of characters (digits, small, capital, others) that must occur.
    pub minimum_classes: i64,
    /// Whether words of a dictionary are refused.
    pub dictionary: bool,
    /// Whether root is held to the same when setting passwords.
    pub enforced_for_root: bool,
    /// How many old passwords can't be used again; 0: none is remembered.
    pub history: i64,
    /// What sets it.
    pub history_source: Source,
    /// Hash scheme of new passwords, names of crypt(5).
    pub scheme: String,
    /// Rounds or cost; `null`: the library's default.
    pub rounds: Option<i64>,
    /// What sets scheme and rounds: an argument of pam_unix, or `ENCRYPT_METHOD` of login.defs(5).
    pub scheme_source: Source,
    /// Line of the module that stores it.
    pub source: Source,
}

/// Modules that judge a new password.
const STRENGTH: [&str; 3] = ["pam_pwquality", "pam_cracklib", "pam_passwdqc"];

/// Follows the `password` stack of a service.
pub fn password(host: &Host, service: &str, steps: &[Step], gaps: &mut Gaps) -> Password {
    let allowed = courses(steps, &|m| modules::new_password(m, &|_| false));
    let find = |names: &[&str], called: bool| {
        steps.iter().enumerate().find_map(|(i, step)| match &step.call {
            Call::Module(m) if names.contains(&m.name()) && (!called || allowed.called.get(i) == Some(&true)) => Some((i, m.as_ref(), &step.source)),
            _ => None,
        })
    };
    let Some((setter_at, setter, source)) = find(&LOCAL_PASSWORD, true) else {
        return Password { service: service.into(), ..Password::default() };
    };
    let enforced = |at: usize, names: &[&str]| {
        let refused = courses(steps, &|m| modules::new_password(m, &|m| names.contains(&m.name())));
        // With use_authtok pam_unix takes no other password than the one that was not refused.
        refused.called.get(setter_at) != Some(&true) || (setter.has("use_authtok") && at < setter_at)
    };
    let mut out = Password { service: service.into(), module: setter.name().into(), source: source.clone(), ..Password::default() };
    scheme(host, setter, source, &mut out, gaps);
    out.minimum_length = setter.number("minlen").unwrap_or(UNIX_LENGTH);
    out.minimum_length_source = source.clone();
    if let Some((at, module, source)) = find(&STRENGTH, false) {
        let strength = strength(host, module, source, gaps);
        out.strength_module = module.name().into();
        out.strength_enforced = strength.enforcing && enforced(at, &[module.name()]);
        if out.strength_enforced {
            out.minimum_classes = strength.classes;
            out.dictionary = strength.dictionary;
            out.enforced_for_root = strength.for_root;
            if strength.length > out.minimum_length {
                (out.minimum_length, out.minimum_length_source) = (strength.length, strength.length_source);
            }
        }
    }
    out.history = setter.number("remember").unwrap_or(0);
    out.history_source = source.clone();
    if let Some((at, module, source)) = find(&["pam_pwhistory"], false) {
        let (remember, place) = history(host, module, source, gaps);
        if enforced(at, &["pam_pwhistory"]) && remember > out.history {
            (out.history, out.history_source) = (remember, place);
        }
    }
    out
}

/// pam_unix's own least length.
const UNIX_LENGTH: i64 = 6;

struct Strength {
    enforcing: bool,
    length: i64,
    length_source: Source,
    classes: i64,
    dictionary: bool,
    for_root: bool,
}

fn strength(host: &Host, module: &Module, source: &Source, gaps: &mut Gaps) -> Strength {
    match module.name() {
        "pam_passwdqc" => passwdqc(host, module, source, gaps),
        "pam_cracklib" => {
            let mut settings = Settings::default();
            settings.arguments(&module.arguments, source);
            // pam_cracklib(8): least length 9, one credit for each class; it always asks the dictionary.
            let (length, length_source) = length(&settings, 9, 1, source);
            Strength { enforcing: true, length, length_source, classes: classes(&settings), dictionary: true, for_root: settings.has("enforce_for_root") }
        }
        _ => {
            let mut settings = settings::quality(host, gaps);
            settings.arguments(&module.arguments, source);
            let (length, length_source) = length(&settings, 8, 0, source);
            let on = |name: &str| settings.number(name).is_none_or(|(value, _)| value != 0);
            Strength {
                enforcing: on("enforcing"),
                length,
                length_source,
                classes: classes(&settings),
                dictionary: on("dictcheck"),
                for_root: settings.has("enforce_for_root"),
            }
        }
    }
}

/// Below this the libraries never go.
const QUALITY_LENGTH: i64 = 6;

/// Positive credits are characters that count twice, so that the shortest password is shorter than `minlen`.
fn length(settings: &Settings, default: i64, credit: i64, module: &Source) -> (i64, Source) {
    let (minimum, source) = settings.number("minlen").map_or_else(|| (default, module.clone()), |(n, source)| (n, source.clone()));
    let credits: i64 = ["dcredit", "ucredit", "lcredit", "ocredit"].iter().map(|name| settings.number(name).map_or(credit, |(n, _)| n).clamp(0, 1000)).sum();
    (minimum.saturating_sub(credits).max(QUALITY_LENGTH), source)
}

fn classes(settings: &Settings) -> i64 {
    let demanded = ["dcredit", "ucredit", "lcredit", "ocredit"].iter().filter(|name| settings.number(name).is_some_and(|(n, _)| n < 0)).count();
    let minimum = settings.number("minclass").map_or(0, |(n, _)| n.clamp(0, 4));
    minimum.max(i64::try_from(demanded).unwrap_or(0))
}

/// passwdqc.conf(5): `min=N0,N1,N2,N3,N4`, the shortest length for one to four classes and phrases.
fn passwdqc(host: &Host, module: &Module, source: &Source, gaps: &mut Gaps) -> Strength {
    let mut settings = Settings::default();
    if let Some(path) = module.value("config") {
        settings = settings::plain(host, path, "password", gaps);
    }
    settings.arguments(&module.arguments, source);
    let (text, length_source) = settings.text("min").map_or(("disabled,24,11,8,7", source), |found| found);
    let shortest = text.split(',').filter_map(|n| n.trim().parse::<i64>().ok()).min().unwrap_or(0);
    let enforce = settings.text("enforce").map_or("everyone", |(value, _)| value);
    Strength {
        enforcing: enforce != "none",
        length: shortest,
        length_source: length_source.clone(),
        classes: 0,
        dictionary: true,
        for_root: enforce == "everyone",
    }
}

/// Its file since Linux-PAM 1.5.3.
const HISTORY_FILE: &str = "/etc/security/pwhistory.conf";
/// pam_pwhistory(8).
const HISTORY_DEFAULT: i64 = 10;

fn history(host: &Host, module: &Module, source: &Source, gaps: &mut Gaps) -> (i64, Source) {
    let mut settings = Settings::default();
    if !older_than_1_5_3(host) {
        settings = settings::plain(host, module.value("conf").unwrap_or(HISTORY_FILE), "password.history", gaps);
    }
    settings.arguments(&module.arguments, source);
    settings.number("remember").map_or_else(|| (HISTORY_DEFAULT, source.clone()), |(n, place)| (n.max(0), place.clone()))
}

/// Whether dpkg's database tells of a Linux-PAM that does not know `pwhistory.conf`.
fn older_than_1_5_3(host: &Host) -> bool {
    let Ok(status) = host.read_text("/var/lib/dpkg/status", 64 << 20) else { return false };
    let mut inside = false;
    for line in status.lines() {
        match line.split_once(": ") {
            Some(("Package", name)) => inside = name == "libpam-modules",
            Some(("Version", version)) if inside => {
                let version = version.rsplit_once(':').map_or(version, |(_, v)| v);
                let numbers: Vec<u32> = version.split(['.', '-', '+', '~']).map_while(|p| p.parse().ok()).take(3).collect();
                return numbers.as_slice() < [1, 5, 3].as_slice();
            }
            _ => {}
        }
    }
    false
}

/// Argument of pam_unix, prefix of `ENCRYPT_METHOD`, and crypt(5)'s name.
const SCHEMES: [(&str, &str); 7] = [
    ("gost_yescrypt", "gost-yescrypt"),
    ("yescrypt", "yescrypt"),
    ("blowfish", "bcrypt"),
    ("bigcrypt", "bigcrypt"),
    ("sha256", "sha256crypt"),
    ("sha512", "sha512crypt"),
    ("md5", "md5crypt"),
];

/// pam_unix takes the scheme of login.defs first and its own arguments over it, the last one winning.
fn scheme(host: &Host, setter: &Module, source: &Source, out: &mut Password, gaps: &mut Gaps) {
    let text = match host.read_text(LOGIN_DEFS, crate::host::root::CONFIG_LIMIT) {
        Ok(text) => text,
        Err(e) => {
            if !e.is_not_found() {
                gaps.add(e.to_gap("pam", "password.scheme", ""));
            }
            String::new()
        }
    };
    let argument = setter.arguments.iter().rev().find_map(|a| SCHEMES.iter().find(|(word, _)| word == a));
    let method = database::login_def(&text, "ENCRYPT_METHOD").unwrap_or_default();
    let preset = SCHEMES.iter().find(|(word, _)| method.get(..word.len()).is_some_and(|m| m.eq_ignore_ascii_case(word)));
    (out.scheme, out.scheme_source) = match (argument, preset) {
        (Some((_, name)), _) => ((*name).to_string(), source.clone()),
        (None, Some((_, name))) => ((*name).to_string(), Source::line(LOGIN_DEFS, database::login_def_line(&text, "ENCRYPT_METHOD"), "ENCRYPT_METHOD")),
        // Without either, pam_unix falls back to the oldest scheme of crypt(3).
        (None, None) if setter.name() == "pam_unix" => ("descrypt".to_string(), source.clone()),
        (None, None) => (String::new(), source.clone()),
    };
    let from_file =
        || database::login_def(&text, "SHA_CRYPT_MAX_ROUNDS").and_then(|n| n.parse().ok()).filter(|_| method.to_ascii_uppercase().starts_with("SHA"));
    out.rounds = setter.number("rounds").or_else(|| from_file().filter(|_| out.scheme.starts_with("sha")));
    if out.scheme.is_empty() {
        let detail = format!("{}:{}: the hash scheme of {} is not known", source.place, source.line, setter.name());
        gaps.note("pam", "password.scheme", "", reason::UNSUPPORTED, detail, "");
    }
}

const LOGIN_DEFS: &str = "/etc/login.defs";
