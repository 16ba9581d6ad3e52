//! Which files a command line starts: programs, the scripts that interpreters are given, what
//! wrappers such as nice, flock or sudo are asked to run, folders of run-parts.

use std::collections::BTreeMap;

use super::shell::{self, Command, Part, Word};

/// Deepest nesting of `sh -c` and wrappers.
const DEPTH_LIMIT: usize = 8;
/// Most files kept of one text.
const FILE_LIMIT: usize = 1_024;

/// Where a command starts from.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Variables whose value is known; `PATH` decides where programs are looked for.
    pub variables: BTreeMap<String, String>,
    /// Working folder; `None` when it can't be told.
    pub folder: Option<String>,
}

/// What is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// A file by its path.
    File(String),
    /// A program looked for in the folders of the search path that stand beside it.
    Name(String, Vec<String>),
    /// A script that a shell reads.
    ShellScript(String),
    /// A script of another interpreter.
    Script(String),
    /// Every program of a folder, run by run-parts.
    Folder(String),
}

/// What a text starts.
#[derive(Debug, Default)]
pub struct Outcome {
    /// In order; what is started for another account is left out.
    pub files: Vec<Started>,
    /// Commands whose program can't be told without running them.
    pub unresolved: usize,
}

/// What a shell starts when it reads `text`.
pub fn by_shell(text: &str, context: &Context) -> Outcome {
    let mut out = Outcome::default();
    let mut context = context.clone();
    script(text, &mut context, &mut out, 0);
    out
}

/// What starting these arguments starts; an unknown one is `None`.
pub fn by_arguments(arguments: &[Option<String>], context: &Context) -> Outcome {
    let mut out = Outcome::default();
    program(arguments, None, context, &mut out, 0);
    out
}

fn script(text: &str, context: &mut Context, out: &mut Outcome, depth: usize) {
    if depth > DEPTH_LIMIT {
        return;
    }
    for command in shell::commands(text) {
        simple(&command, context, out, depth);
        if out.files.len() >= FILE_LIMIT {
            return;
        }
    }
}

/// Words that may stand before a command.
const BEFORE: [&str; 9] = ["if", "then", "elif", "else", "while", "until", "do", "!", "{"];

fn simple(command: &Command, context: &mut Context, out: &mut Outcome, depth: usize) {
    let mut words: &[Word] = &command.words;
    while let Some((first, rest)) = words.split_first() {
        let plain = literal(first).filter(|_| !first.quoted);
        if plain.is_some_and(|p| BEFORE.contains(&p) || p == "time") || first.parts.is_empty() && !first.quoted {
            words = rest;
        } else {
            break;
        }
    }
    let assigned = words.iter().take_while(|w| assignment(w).is_some()).count();
    let (before, words) = words.split_at_checked(assigned).unwrap_or((words, &[]));
    if words.is_empty() {
        for word in before {
            assign(word, context);
        }
        return;
    }
    let values: Vec<Option<String>> = words.iter().map(|w| expand(w, context)).collect();
    let is_pattern =
        words.first().is_some_and(|w| !w.quoted) && values.first().and_then(Option::as_deref).is_some_and(|v| v.contains(['*', '?']) && v.len() > 1);
    if is_pattern {
        return;
    }
    match values.first().and_then(Option::as_deref) {
        Some("export" | "readonly" | "declare" | "typeset" | "local") => words.iter().skip(1).for_each(|w| assign(w, context)),
        Some("cd") => context.folder = values.get(1).cloned().flatten().and_then(|to| absolute(&to, context.folder.as_deref())),
        Some("unset") => values.iter().skip(1).flatten().for_each(|name| {
            context.variables.remove(name);
        }),
        _ => program(&values, command.input.as_deref(), context, out, depth),
    }
}

fn literal(word: &Word) -> Option<&str> {
    match word.parts.as_slice() {
        [Part::Text(text)] => Some(text),
        _ => None,
    }
}

/// Name of the variable that `NAME=…` sets.
fn assignment(word: &Word) -> Option<&str> {
    let Some(Part::Text(first)) = word.parts.first() else { return None };
    let (name, _) = first.split_once('=')?;
    shell::is_name(name).then_some(name)
}

fn assign(word: &Word, context: &mut Context) {
    let Some(name) = assignment(word) else { return };
    match expand(word, context) {
        Some(text) => context.variables.insert(name.into(), text.split_once('=').map_or(String::new(), |(_, v)| v.to_string())),
        None => context.variables.remove(name),
    };
}

/// The word's text when every part of it is known.
fn expand(word: &Word, context: &Context) -> Option<String> {
    const LONGEST: usize = 8_192;
    let mut out = String::new();
    for part in &word.parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Variable(name) => out.push_str(context.variables.get(name)?),
            Part::Opaque => return None,
        }
    }
    (out.len() <= LONGEST).then_some(out)
}

/// Commands of the shell itself, and words that end a compound command.
const BUILTINS: &[&str] = &[
    "[", "[[", "test", "echo", "printf", "exit", "return", "set", "shift", "trap", "umask", "read", "wait", "break", "continue", "for", "case", "select",
    "function", "in", "fi", "done", "esac", "}", "]]", "type", "hash", "ulimit", "let", "getopts", "alias", "unalias", ":", "true", "false", "times", "jobs",
    "fg", "bg", "kill", "pwd", "popd", "pushd", "shopt", "mapfile", "enable", "history", "logout", "eval", "bind", "complete", "disown", "dirs",
];

/// A program that starts another: its options that take a value, and how many words it takes
/// before the command.
const WRAPPERS: &[(&str, &[&str], usize)] = &[
    ("builtin", &[], 0),
    ("chronic", &[], 0),
    ("chrt", &["-T", "-P", "-D"], 1),
    ("command", &[], 0),
    ("cronic", &[], 0),
    ("eatmydata", &[], 0),
    ("env", &["-u", "-C", "-S", "--unset", "--chdir"], 0),
    ("exec", &["-a"], 0),
    ("flock", &["-w", "-E", "--timeout", "--conflict-exit-code"], 1),
    ("ionice", &["-c", "-n", "--class", "--classdata"], 0),
    ("nice", &["-n", "--adjustment"], 0),
    ("nohup", &[], 0),
    ("setlock", &[], 1),
    ("setsid", &[], 0),
    ("softlimit", &["-a", "-c", "-d", "-f", "-l", "-m", "-o", "-p", "-r", "-s", "-t"], 0),
    ("stdbuf", &["-i", "-o", "-e"], 0),
    ("systemd-cat", &["-t", "-p", "--identifier", "--priority"], 0),
    ("systemd-inhibit", &[], 0),
    ("taskset", &[], 1),
    ("time", &["-f", "-o"], 0),
    ("timeout", &["-k", "-s", "--kill-after", "--signal"], 1),
    ("xargs", &["-I", "-n", "-P", "-L", "-d", "-a", "-s", "-E"], 0),
    ("catchsegv", &[], 0),
    ("cgexec", &["-g"], 0),
    ("keep-one-running", &[], 0),
    ("lckdo", &["-W"], 1),
    ("logsave", &[], 1),
    ("run-one", &[], 0),
    ("run-this-one", &[], 0),
    ("strace", &["-o", "-e", "-s", "-p", "-u"], 0),
    (
        "systemd-run",
        &["-p", "-u", "-E", "-H", "-M", "--property", "--unit", "--setenv", "--description", "--slice", "--working-directory", "--on-calendar", "--on-active"],
        0,
    ),
    ("unbuffer", &[], 0),
    ("watch", &["-n", "--interval"], 0),
    ("busybox", &[], 0),
];

/// Programs that change over to an account, and the options that take a value.
const CHANGERS: &[(&str, &[&str])] = &[
    ("sudo", &["-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T", "-U", "-r", "-t", "--user", "--group", "--host", "--chdir"]),
    ("doas", &["-u", "-C"]),
    ("runuser", &["-u", "-g", "-G", "-s", "-c", "-w", "--user", "--group", "--shell", "--command"]),
    ("su", &["-g", "-G", "-s", "-c", "-w", "--group", "--shell", "--command"]),
];

/// Interpreters, their options that take a value, and those after which no script follows.
const INTERPRETERS: &[(&str, &[&str], &[&str])] = &[
    ("python", &["-W", "-X"], &["-c", "-m"]),
    ("perl", &["-I"], &["-e", "-E"]),
    ("ruby", &["-I", "-r"], &["-e"]),
    ("node", &["-r", "--require"], &["-e", "-p", "--eval", "--print"]),
    ("nodejs", &["-r", "--require"], &["-e", "-p", "--eval", "--print"]),
    ("php", &["-c", "-d"], &["-r", "-R", "-B", "-i", "-v"]),
    ("lua", &["-l"], &["-e"]),
    ("tclsh", &[], &[]),
    ("expect", &[], &["-c"]),
    ("Rscript", &[], &["-e"]),
    ("awk", &["-v", "-F"], &[]),
];

const SHELLS: [&str; 9] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "rbash", "busybox-sh"];

fn program(words: &[Option<String>], input: Option<&str>, context: &Context, out: &mut Outcome, depth: usize) {
    let Some(first) = words.first() else { return };
    let Some(first) = first.as_deref().filter(|f| !f.is_empty()) else {
        out.unresolved += 1;
        return;
    };
    if depth > DEPTH_LIMIT || out.files.len() >= FILE_LIMIT {
        return;
    }
    let name = first.rsplit('/').next().unwrap_or(first);
    let arguments = words.get(1..).unwrap_or_default();
    if name == "." && first == "." || name == "source" && first == "source" {
        match arguments.first().cloned().flatten().and_then(|path| absolute(&path, context.folder.as_deref())) {
            Some(path) => out.files.push(Started::ShellScript(path)),
            None => out.unresolved += 1,
        }
        return;
    }
    if !first.contains('/') && BUILTINS.contains(&first) {
        return;
    }
    if first == "command" && matches!(arguments.first().and_then(|a| a.as_deref()), Some("-v" | "-V")) {
        return;
    }
    if !["command", "builtin", "exec"].contains(&first) {
        add(first, context, out);
    }
    if let Some((_, valued, positional)) = WRAPPERS.iter().find(|(n, ..)| *n == name) {
        return wrapped(name, arguments, valued, *positional, context, out, depth);
    }
    if let Some((_, valued)) = CHANGERS.iter().find(|(n, _)| *n == name) {
        return changed(name, arguments, valued, context, out, depth);
    }
    if SHELLS.contains(&name) {
        return shell_arguments(arguments, input, context, out, depth);
    }
    match name {
        "run-parts" => {
            let folder = arguments.iter().flatten().rfind(|a| !a.starts_with('-')).and_then(|f| absolute(f, context.folder.as_deref()));
            out.files.extend(folder.map(Started::Folder));
        }
        "start-stop-daemon" => daemon(arguments, out),
        "find" => found(arguments, context, out, depth),
        "java" => {
            let jar = arguments.iter().skip_while(|a| a.as_deref() != Some("-jar")).nth(1).cloned().flatten();
            out.files.extend(jar.and_then(|j| absolute(&j, context.folder.as_deref())).map(Started::Script));
        }
        _ => {
            let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            if let Some((_, valued, ends)) = INTERPRETERS.iter().find(|(n, ..)| *n == base) {
                interpreted(base, arguments, valued, ends, context, out);
            }
        }
    }
}

fn add(first: &str, context: &Context, out: &mut Outcome) {
    if !first.contains('/') {
        let search = context.variables.get("PATH").map_or("", String::as_str);
        out.files.push(Started::Name(first.into(), search.split(':').map(String::from).collect()));
        return;
    }
    match absolute(first, context.folder.as_deref()) {
        Some(path) => out.files.push(Started::File(path)),
        None => out.unresolved += 1,
    }
}

fn absolute(path: &str, folder: Option<&str>) -> Option<String> {
    if path.starts_with('/') {
        return Some(path.into());
    }
    let relative = path.strip_prefix("~/").map_or(path, |_| "");
    folder.filter(|_| !relative.is_empty()).map(|f| format!("{}/{}", f.trim_end_matches('/'), relative.trim_start_matches("./")))
}

/// Index of the first word that is no option and no value of one.
fn operands(arguments: &[Option<String>], valued: &[&str]) -> usize {
    let mut at = 0;
    while let Some(Some(word)) = arguments.get(at) {
        if word == "--" {
            return at + 1;
        }
        if !word.starts_with('-') || word == "-" {
            break;
        }
        at += 1 + usize::from(valued.contains(&word.as_str()));
    }
    at
}

fn wrapped(name: &str, arguments: &[Option<String>], valued: &[&str], positional: usize, context: &Context, out: &mut Outcome, depth: usize) {
    if name == "systemd-run" && arguments.iter().flatten().any(|a| a.starts_with("--uid") || a.contains("User=")) {
        return;
    }
    let mut at = operands(arguments, valued) + positional;
    if name == "env" {
        while arguments.get(at).and_then(|a| a.as_deref()).is_some_and(|a| a.split_once('=').is_some_and(|(n, _)| shell::is_name(n))) {
            at += 1;
        }
    }
    let rest = arguments.get(at..).unwrap_or_default();
    if name == "flock" && rest.first().and_then(|r| r.as_deref()).is_some_and(|r| r == "-c" || r == "--command") {
        if let Some(Some(text)) = rest.get(1) {
            script(text, &mut context.clone(), out, depth + 1);
        }
        return;
    }
    program(rest, None, context, out, depth + 1);
}

/// sudo, su and their kin: followed only when the account stays root.
fn changed(name: &str, arguments: &[Option<String>], valued: &[&str], context: &Context, out: &mut Outcome, depth: usize) {
    let value =
        |options: &[&str]| arguments.iter().position(|a| a.as_deref().is_some_and(|a| options.contains(&a))).and_then(|i| arguments.get(i + 1)).cloned();
    let glued = arguments.iter().flatten().find_map(|a| a.strip_prefix("--user=").or_else(|| a.strip_prefix("-u").filter(|u| !u.is_empty()))).map(String::from);
    let mut at = operands(arguments, valued);
    let mut account = value(&["-u", "--user"]).or_else(|| glued.map(Some));
    let by_option = account.is_some();
    if name == "su" || name == "runuser" && !by_option {
        while arguments.get(at).and_then(|a| a.as_deref()) == Some("-") {
            at += 1;
        }
        account = arguments.get(at).cloned();
    }
    let is_root = match &account {
        None => true,
        Some(Some(account)) => matches!(account.as_str(), "root" | "0" | "#0") || account.starts_with('-'),
        Some(None) => false,
    };
    if !is_root {
        return;
    }
    if name == "su" || name == "runuser" && !by_option {
        if let Some(Some(text)) = value(&["-c", "--command"]) {
            script(&text, &mut context.clone(), out, depth + 1);
        }
        return;
    }
    while arguments.get(at).and_then(|a| a.as_deref()).is_some_and(|a| a.split_once('=').is_some_and(|(n, _)| shell::is_name(n))) {
        at += 1;
    }
    if at < arguments.len() {
        program(arguments.get(at..).unwrap_or_default(), None, context, out, depth + 1);
    }
}

fn shell_arguments(arguments: &[Option<String>], input: Option<&str>, context: &Context, out: &mut Outcome, depth: usize) {
    let mut takes_text = false;
    let mut at = 0;
    while let Some(Some(word)) = arguments.get(at) {
        if word == "--" {
            at += 1;
            break;
        }
        if !word.starts_with(['-', '+']) || word == "-" {
            break;
        }
        takes_text |= !word.starts_with("--") && word.starts_with('-') && word.contains('c');
        at += 1 + usize::from(matches!(word.as_str(), "-o" | "+o" | "--rcfile" | "--init-file" | "-O" | "+O"));
    }
    match (arguments.get(at), takes_text) {
        (Some(Some(text)), true) => script(text, &mut context.clone(), out, depth + 1),
        (Some(Some(path)), false) => match absolute(path, context.folder.as_deref()) {
            Some(path) => out.files.push(Started::ShellScript(path)),
            None => out.unresolved += 1,
        },
        (Some(None), _) => out.unresolved += 1,
        (None, _) => {
            if let Some(text) = input {
                script(text, &mut context.clone(), out, depth + 1);
            }
        }
    }
}

fn interpreted(name: &str, arguments: &[Option<String>], valued: &[&str], ends: &[&str], context: &Context, out: &mut Outcome) {
    let is_end = |a: &Option<String>| a.as_deref().is_some_and(|a| ends.contains(&a));
    // `-f` names the script of awk and php.
    let named = arguments.iter().position(|a| a.as_deref() == Some("-f")).filter(|_| matches!(name, "php" | "awk" | "expect"));
    let at = named.map_or_else(|| operands(arguments, valued), |i| i + 1);
    if name == "awk" && named.is_none() || arguments.iter().take(at).any(is_end) {
        return;
    }
    if let Some(Some(path)) = arguments.get(at)
        && let Some(path) = absolute(path, context.folder.as_deref())
    {
        out.files.push(Started::Script(path));
    }
}

fn daemon(arguments: &[Option<String>], out: &mut Outcome) {
    let is = |a: &Option<String>, names: &[&str]| {
        a.as_deref().is_some_and(|a| names.iter().any(|n| a == *n || a.strip_prefix(n).is_some_and(|r| r.starts_with('='))))
    };
    let value = |names: &[&str]| {
        let at = arguments.iter().position(|a| is(a, names))?;
        let word = arguments.get(at).cloned().flatten()?;
        word.split_once('=').map(|(_, v)| v.to_string()).or_else(|| arguments.get(at + 1).cloned().flatten())
    };
    let starts = arguments.iter().any(|a| is(a, &["-S", "--start"]));
    let changes = value(&["-c", "--chuid"]).is_some_and(|u| !["root", "0"].contains(&u.split(':').next().unwrap_or("")));
    if starts && !changes {
        out.files.extend(value(&["-a", "--startas"]).or_else(|| value(&["-x", "--exec"])).filter(|p| p.starts_with('/')).map(Started::File));
    }
}

fn found(arguments: &[Option<String>], context: &Context, out: &mut Outcome, depth: usize) {
    for (i, word) in arguments.iter().enumerate() {
        if matches!(word.as_deref(), Some("-exec" | "-execdir" | "-ok" | "-okdir")) {
            let rest = arguments.get(i + 1..).unwrap_or_default();
            let end = rest.iter().position(|w| matches!(w.as_deref(), Some(";" | "+"))).unwrap_or(rest.len());
            program(rest.get(..end).unwrap_or_default(), None, context, out, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<String> {
        let context = Context { variables: BTreeMap::from([("PATH".to_string(), "/usr/bin:/bin".to_string())]), folder: Some("/root".into()) };
        by_shell(text, &context)
            .files
            .into_iter()
            .map(|f| match f {
                Started::File(p) => p,
                Started::Name(n, _) => n,
                Started::ShellScript(p) => format!("sh {p}"),
                Started::Script(p) => format!("script {p}"),
                Started::Folder(p) => format!("all of {p}"),
            })
            .collect()
    }

    #[test]
    fn what_a_crontab_line_starts() {
        for (text, expected) in [
            ("cd / && run-parts --report /etc/cron.hourly", &["run-parts", "all of /etc/cron.hourly"][..]),
            (
                "[ -x /etc/init.d/anacron ] && if [ ! -d /run/systemd/system ]; then /usr/sbin/invoke-rc.d anacron start >/dev/null; fi",
                &["/usr/sbin/invoke-rc.d"],
            ),
            ("test -e /run/systemd/system || SERVICE_MODE=1 /sbin/e2scrub_all -A -r", &["/sbin/e2scrub_all"]),
            ("command -v debian-sa1 > /dev/null && debian-sa1 1 1", &["debian-sa1"]),
            ("cd /opt/app && ./run.sh --token x", &["/opt/app/run.sh"]),
            ("/usr/bin/flock -n /run/lock /usr/bin/nice -n 19 /bin/sh /opt/b.sh", &["/usr/bin/flock", "/usr/bin/nice", "/bin/sh", "sh /opt/b.sh"]),
            ("bash -lc '. /etc/profile; B=/opt; $B/x \"$HOME\"'", &["bash", "sh /etc/profile", "/opt/x"]),
            ("sudo -u bob /home/bob/x; sudo /opt/y; su - bob -c /home/bob/z; su -c /opt/w", &["sudo", "sudo", "/opt/y", "su", "su", "/opt/w"]),
            (
                "php -d a=b -f /var/www/cron.php; python3 -m x /no; python3.11 -u bin/x.py /data",
                &["php", "script /var/www/cron.php", "python3", "python3.11", "script /root/bin/x.py"],
            ),
            ("find /data -name '*.x' -exec /opt/handle {} \\;", &["find", "/opt/handle"]),
            ("timeout -k 5 30 env A=b /opt/x | tee /home/bob/log > /home/bob/out", &["timeout", "env", "/opt/x", "tee"]),
            (
                "systemd-run --scope -p Nice=1 /opt/x; systemd-run --uid=bob /opt/y; watch -n 5 /opt/z",
                &["systemd-run", "/opt/x", "systemd-run", "watch", "/opt/z"],
            ),
            ("rsync -a /home/bob/ /backup/", &["rsync"]),
            ("perl -e 'sleep int(rand(43200))' && certbot -q renew", &["perl", "certbot"]),
        ] {
            assert_eq!(files(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_counted() {
        let context = Context::default();
        assert_eq!(by_shell("$X/run; ./y; cd \"$D\"; ./z", &context).unresolved, 3);
        assert_eq!(by_shell("X=/opt; $X/run; echo $Y", &context).files, [Started::File("/opt/run".into())]);
    }
}
