//! What the readers of each kind share: the machine, the accounts, and the lists that grow.

use std::collections::{BTreeMap, BTreeSet};

use super::names::Names;
use super::started::{self, Context, Outcome, Started};
use super::trust::{Found, Trust};
use super::{Access, Executed, Job, Jobs, Lingering, Place, Weak, shell};
use crate::facts::Document as _;
use crate::host::{FileKind, Host, ReadError};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};
use crate::model::redact;

/// Most jobs kept.
const JOB_LIMIT: usize = 20_000;
/// Most files kept of what root executes.
const EXECUTED_LIMIT: usize = 20_000;
/// Most files named of one job, and jobs named of one file.
const NAMED_LIMIT: usize = 32;
/// How many scripts deep a job is followed.
const SCRIPT_DEPTH: usize = 3;
/// Bytes of a file looked at to tell a script from a program.
const HEAD: usize = 256;

/// Lists that grow.
pub struct Gathering<'a> {
    pub host: &'a Host,
    pub names: &'a Names,
    pub trust: Trust<'a>,
    gaps: &'a mut Gaps,
    jobs: Vec<Job>,
    executed: BTreeMap<String, Executed>,
    followed: BTreeSet<String>,
    pub lingering: Vec<Lingering>,
    places: BTreeMap<String, Place>,
    pub access: Vec<Access>,
    /// Paths that may not be read.
    denied: Vec<ReadError>,
    limited: bool,
    limited_files: bool,
}

impl<'a> Gathering<'a> {
    pub fn new(host: &'a Host, names: &'a Names, gaps: &'a mut Gaps) -> Self {
        Self {
            host,
            names,
            trust: Trust::new(host, names),
            gaps,
            jobs: Vec::new(),
            executed: BTreeMap::new(),
            followed: BTreeSet::new(),
            lingering: Vec::new(),
            places: BTreeMap::new(),
            access: Vec::new(),
            denied: Vec::new(),
            limited: false,
            limited_files: false,
        }
    }

    /// Says what is missing of the accounts, without which neither owner nor group has a name.
    pub fn note_accounts(&mut self) {
        if let Some(error) = &self.names.accounts_error {
            self.gaps.add(error.to_gap(Jobs::NAME, "", ""));
        }
        if let Some(error) = &self.names.groups_error {
            for path in ["executed_as_root.weakest", "places.weakest"] {
                self.gaps.add(error.to_gap(Jobs::NAME, path, ""));
            }
        }
        if let Some(error) = &self.names.expiry_error {
            self.gaps.add(error.to_gap(Jobs::NAME, "items.account_expired", ""));
            self.gaps.add(error.to_gap(Jobs::NAME, "lingering.account_expired", ""));
        }
        if self.trust.is_copied_by_user() {
            let detail = "the root folder is not root's: owners were lost when the machine was copied, only modes and lists still tell";
            for path in ["executed_as_root.weakest", "places.weakest"] {
                self.gaps.note(Jobs::NAME, path, "", reason::MISSING, detail, "Copy the machine as root, or scan it itself.");
            }
        }
    }

    pub fn gap(&mut self, path: &str, subject: &str, id: &str, detail: impl Into<String>) {
        self.gaps.note(Jobs::NAME, path, subject, id, detail, "");
    }

    pub fn error(&mut self, path: &str, subject: &str, error: &ReadError) {
        self.gaps.add(error.to_gap(Jobs::NAME, path, subject));
    }

    /// The text of a file; absence is a fact, anything else a gap over the whole list.
    pub fn text(&mut self, path: &str, limit: usize) -> Option<String> {
        match self.host.read_text(path, limit) {
            Ok(text) => Some(text),
            Err(e) if e.is_not_found() => None,
            Err(e) => {
                self.unread(path, e);
                None
            }
        }
    }

    /// The entries of a folder; absence is a fact, anything else a gap over the whole list.
    pub fn list(&mut self, path: &str) -> Vec<(String, FileKind)> {
        match self.host.list(path) {
            Ok(entries) => entries.into_iter().map(|e| (e.name, e.kind)).collect(),
            Err(e) if e.is_not_found() => Vec::new(),
            Err(e) => {
                self.unread(path, e);
                Vec::new()
            }
        }
    }

    fn unread(&mut self, path: &str, error: ReadError) {
        if matches!(error, ReadError::Denied(_)) {
            self.denied.push(error);
            return;
        }
        self.error("items", path, &error);
        self.error("executed_as_root", path, &error);
    }

    /// The first path that may not be read.
    pub fn first_denied(&self) -> Option<&ReadError> {
        self.denied.first()
    }

    /// One gap of a list tells of every path that may not be read: one remedy mends them all.
    fn note_denied(&mut self) {
        const NAMED: usize = 8;
        let mut told = BTreeSet::new();
        self.denied.retain(|e| told.insert(e.to_string()));
        let Some(first) = self.denied.first() else { return };
        let gap = first.to_gap(Jobs::NAME, "items", "files not read");
        let others: Vec<String> = self.denied.iter().skip(1).take(NAMED).map(|e| e.to_string().split(": ").next().unwrap_or_default().to_string()).collect();
        let more = self.denied.len() - 1;
        let detail = if more == 0 { gap.detail.clone() } else { format!("{}; {more} more, such as {}", gap.detail, others.join(", ")) };
        for path in ["items", "executed_as_root"] {
            self.gaps.add(Gap { path: path.into(), detail: detail.clone(), ..gap.clone() });
        }
    }

    pub fn owner(&self, path: &str) -> String {
        self.host.stat(path).map(|s| self.names.user(s.uid)).unwrap_or_default()
    }

    /// A job with its account filled in.
    pub fn job(&self, kind: &str, place: &str, runs_as: &str, source: Source) -> Job {
        let account = self.names.account(runs_as);
        let known = account.is_some() || matches!(runs_as, "*" | "(dynamic)");
        let uncertain = !known && !self.names.directories.is_empty();
        Job {
            subject: format!("{kind} {place}"),
            kind: kind.into(),
            runs_as: runs_as.into(),
            account_known: (!uncertain).then_some(known),
            account_expired: if known { self.names.has_expired(runs_as) } else { Some(false) },
            owner: self.owner(&source.place),
            enabled: true,
            source,
            ..Job::default()
        }
    }

    /// Keeps a job and, when it runs as root, what it starts.
    pub fn keep(&mut self, mut job: Job, outcome: Outcome) {
        if self.jobs.len() >= JOB_LIMIT {
            if !std::mem::replace(&mut self.limited, true) {
                self.gap("", "", reason::LIMIT_REACHED, format!("more than {JOB_LIMIT} jobs"));
            }
            return;
        }
        if job.account_known.is_none() {
            let detail = format!("{} is no local account, {} may know it", job.runs_as, self.names.directories.join(", "));
            self.gap("items.account_known", &job.subject, reason::UNSUPPORTED, detail);
        }
        job.unresolved = outcome.unresolved as u64;
        let as_root = job.enabled && self.is_root(&job.runs_as);
        if as_root && outcome.unresolved > 0 {
            let place = format!("{}:{}", job.source.place, job.source.line);
            self.gap("executed_as_root", &job.subject, reason::UNSUPPORTED, format!("{place}: a program of this job is only known when it runs"));
        }
        for started in outcome.files {
            let by = as_root.then_some(job.subject.as_str());
            if let Some(path) = self.start(started, by, &job.source, 0)
                && job.runs_files.len() < NAMED_LIMIT
                && !job.runs_files.contains(&path)
            {
                job.runs_files.push(path);
            }
        }
        job.program = job.runs_files.first().cloned().unwrap_or_default();
        self.jobs.push(job);
    }

    fn is_root(&self, account: &str) -> bool {
        account == "root" || account == "*" || self.names.account(account).is_some_and(|a| a.uid == 0)
    }

    /// The path of what is started, as it may be shown; `by` is the job when root executes it.
    fn start(&mut self, started: Started, by: Option<&str>, source: &Source, depth: usize) -> Option<String> {
        let (path, role) = match started {
            Started::File(path) => (path, "program"),
            Started::ShellScript(path) | Started::Script(path) if path.starts_with("/dev/") || path.starts_with("/proc/") => return Some(path),
            Started::ShellScript(path) => {
                self.execute(&path, "script", by, source);
                self.follow(&path, true, by, depth);
                return Some(redact::text(&path));
            }
            Started::Script(path) => (path, "script"),
            Started::Folder(path) => {
                self.folder(&path, by, source, depth);
                return Some(redact::text(&path));
            }
            Started::Name(name, folders) => (self.search(&name, &folders, by, source)?, "program"),
        };
        self.execute(&path, role, by, source);
        self.follow(&path, false, by, depth);
        Some(redact::text(&path))
    }

    /// The first folder of the search path that holds the program decides; whoever may write one
    /// before it decides instead.
    fn search(&mut self, name: &str, folders: &[String], by: Option<&str>, source: &Source) -> Option<String> {
        for folder in folders.iter().filter(|f| f.starts_with('/')) {
            let path = format!("{}/{name}", folder.trim_end_matches('/'));
            if self.host.stat(&path).is_ok_and(|s| s.kind == FileKind::File) {
                return Some(path);
            }
            if by.is_some() && self.look(folder).is_some_and(|found| found.weak.is_some()) {
                self.execute(folder, "search-path", by, source);
            }
        }
        None
    }

    fn folder(&mut self, folder: &str, by: Option<&str>, source: &Source, depth: usize) {
        self.execute(folder, "folder", by, source);
        if by.is_none() {
            return;
        }
        for (name, _) in self.list(folder) {
            let path = format!("{}/{name}", folder.trim_end_matches('/'));
            if super::cron::is_run_by_run_parts(&name) && self.is_executable(&path) {
                self.execute(&path, "script", by, source);
                self.follow(&path, false, by, depth);
            }
        }
    }

    pub fn is_executable(&self, path: &str) -> bool {
        self.host.stat(path).is_ok_and(|s| s.kind == FileKind::File && s.mode & 0o111 != 0)
    }

    /// Records a file that root executes.
    pub fn execute(&mut self, path: &str, role: &str, by: Option<&str>, source: &Source) {
        let Some(by) = by else { return };
        let path = redact::text(path);
        if let Some(known) = self.executed.get_mut(&path) {
            if known.by.len() < NAMED_LIMIT && !known.by.iter().any(|b| b == by) {
                known.by.push(by.into());
            }
            return;
        }
        if self.executed.len() >= EXECUTED_LIMIT {
            if !std::mem::replace(&mut self.limited_files, true) {
                self.gap("executed_as_root", "", reason::LIMIT_REACHED, format!("more than {EXECUTED_LIMIT} files"));
            }
            return;
        }
        let Some(found) = self.look(&path) else { return };
        // What lies in a folder that is weak itself is told by the folder.
        let told = |w: &Weak| w.path != path && self.executed.get(&w.path).is_some_and(|e| e.weakest.is_some());
        if matches!(role, "hook" | "environment") && found.weak.as_ref().is_some_and(told) {
            return;
        }
        if let Some(group) = &found.uncertain {
            let detail = format!("{path}: group {group} may write on the way to it, and its members may stand in a directory service");
            self.gap("executed_as_root.weakest", &path, reason::UNSUPPORTED, detail);
        }
        let stat = found.stat;
        let executed = Executed {
            subject: path.clone(),
            role: role.into(),
            by: vec![by.into()],
            exists: stat.is_some(),
            owner: stat.map(|s| self.names.user(s.uid)).unwrap_or_default(),
            group: stat.map(|s| self.names.group(s.gid)).unwrap_or_default(),
            mode: stat.map(|s| s.mode),
            weakest: found.weak,
            source: source.clone(),
        };
        self.executed.insert(path, executed);
    }

    fn look(&mut self, path: &str) -> Option<Found> {
        match self.trust.look(path, None) {
            Ok(found) => Some(found),
            Err(e) if matches!(e, ReadError::Denied(_)) => {
                self.denied.push(e);
                None
            }
            Err(e) => {
                self.error("executed_as_root", path, &e);
                None
            }
        }
    }

    /// Follows a script into what it starts by literal paths; programs found by name are left out,
    /// a script's search path is its caller's.
    fn follow(&mut self, path: &str, read_by_shell: bool, by: Option<&str>, depth: usize) {
        let Some(by) = by else { return };
        if depth >= SCRIPT_DEPTH || !self.followed.insert(path.to_string()) {
            return;
        }
        let Ok(head) = self.host.read_head(path, HEAD) else { return };
        let head = String::from_utf8_lossy(&head).into_owned();
        let job = by.split_once(" inside ").map_or(by, |(job, _)| job);
        let origin = format!("{job} inside {path}");
        let here = Source::line(path, 1, "");
        let mut is_shell = read_by_shell && !head.starts_with('\u{7f}') && !head.contains('\0');
        if let Some(line) = head.strip_prefix("#!") {
            let words: Vec<&str> = line.lines().next().unwrap_or("").split_whitespace().collect();
            let interpreter = words.first().copied().unwrap_or("");
            let called = words.iter().map(|w| w.rsplit('/').next().unwrap_or(w)).find(|w| *w != "env" && !w.starts_with('-') && !w.contains('='));
            is_shell |= called.is_some_and(|c| ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"].contains(&c));
            if interpreter.starts_with('/') {
                self.execute(interpreter, "program", Some(&origin), &here);
            }
        }
        if !is_shell {
            return;
        }
        let Ok(text) = self.host.read_text(path, shell::TEXT_LIMIT) else { return };
        let outcome = started::by_shell(&text, &Context::default());
        for started in outcome.files {
            if !matches!(started, Started::Name(..)) {
                let here = Source::whole(path);
                self.start(started, Some(&origin), &here, depth + 1);
            }
        }
    }

    /// Records a file or folder that decides what runs; absent ones are left out.
    pub fn place(&mut self, path: &str, kind: &str, account: &str) {
        // The owner of a table that outlived its account is nobody else: the table's jobs tell of it.
        let orphan = || self.host.stat(path).ok().map(|s| s.uid).filter(|uid| !self.names.knows(*uid));
        let also = self.names.account(account).map(|a| a.uid).or_else(orphan);
        match self.trust.look(path, also) {
            Ok(Found { stat: Some(stat), weak, .. }) => {
                let weakest = weak.filter(|w| !is_spool_group(path, w));
                let place = Place {
                    subject: path.into(),
                    kind: kind.into(),
                    account: account.into(),
                    owner: self.names.user(stat.uid),
                    group: self.names.group(stat.gid),
                    mode: stat.mode,
                    weakest,
                    source: Source::whole(path),
                };
                self.places.insert(path.into(), place);
            }
            Ok(_) => {}
            Err(e) => self.error("places", path, &e),
        }
    }

    pub fn finish(mut self, cron: &str) -> Jobs {
        self.note_denied();
        let mut items = self.jobs;
        items.sort_by(|a, b| (&a.subject, a.source.line).cmp(&(&b.subject, b.source.line)));
        items.dedup_by(|a, b| a.subject == b.subject);
        let mut executed_as_root: Vec<Executed> = self.executed.into_values().collect();
        executed_as_root.iter_mut().for_each(|e| e.by.sort());
        let mut lingering = self.lingering;
        lingering.sort_by(|a, b| a.subject.cmp(&b.subject));
        Jobs { items, executed_as_root, lingering, places: self.places.into_values().collect(), access: self.access, cron: cron.into() }
    }
}

/// at(1) on Debian keeps its jobs in folders of its own account: atd(8) runs a file only as its
/// owner and only when its head names the same one.
fn is_spool_group(path: &str, weak: &Weak) -> bool {
    path.starts_with("/var/spool/cron/at") && weak.owner == "daemon" && weak.mode & 0o002 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_may_not_be_read_are_one_gap_of_a_list() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::rooted(root.path()).unwrap();
        let names = Names::read(&host, 0);
        let mut gaps = Gaps::new();
        let mut gathering = Gathering::new(&host, &names, &mut gaps);
        for path in ["/root/.profile", "/root/.profile", "/var/spool/cron/atjobs", "/root/.bashrc"] {
            gathering.unread(path, ReadError::Denied(path.into()));
        }
        gathering.finish("debian");
        let gaps = gaps.into_sorted();
        let told: Vec<(&str, &str)> = gaps.iter().map(|g| (g.path.as_str(), g.subject.as_str())).collect();
        assert_eq!(told, [("executed_as_root", "files not read"), ("items", "files not read")]);
        assert_eq!(gaps[0].detail, "/root/.profile: permission denied; 2 more, such as /var/spool/cron/atjobs, /root/.bashrc");
    }
}
