//! Files to stacks: includes and substacks put in place, and every course that a stack can take.
//!
//! A course is followed by what each module may return, so that "who gets in though his password
//! is wrong" and "which password is stored though it was refused" are answered by the whole stack
//! and not by the look of one line.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Pam;
use super::line::{self, Action, Kind, Module, Parsed, Statement};
use crate::host::root::CONFIG_LIMIT;
use crate::host::{FileKind, Host};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};

/// Folders of service files; an earlier one hides a later one.
const FOLDERS: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];
/// The one file that is read when there is no folder.
const SINGLE: &str = "/etc/pam.conf";
/// Deepest nesting of includes; libpam's own limit for substacks is 16.
const DEPTH_LIMIT: usize = 16;
/// Most modules of one stack.
const STEP_LIMIT: usize = 512;
/// Most lines of one stack, comments and other kinds included.
const LINE_LIMIT: usize = 20_000;
/// Most services.
const SERVICE_LIMIT: usize = 1024;

/// One place of a stack.
#[derive(Clone, Debug)]
pub struct Step {
    /// Depth of substacks around it.
    pub level: usize,
    /// What is called.
    pub call: Call,
    /// File and line.
    pub source: Source,
}

/// What a step calls.
#[derive(Clone, Debug)]
pub enum Call {
    /// A module.
    Module(Rc<Module>),
    /// The head of a substack.
    Substack,
    /// A line or file that libpam can't use: it always fails.
    Broken,
}

/// Every service file of the host.
#[derive(Debug)]
pub struct Files {
    services: BTreeMap<String, Rc<(String, Parsed)>>,
    /// Names that other files include.
    pub included: BTreeSet<String>,
}

impl Files {
    /// Reads them; `None` when the host has no PAM configuration at all.
    pub fn read(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        let mut services = BTreeMap::new();
        let mut folder_seen = false;
        for folder in FOLDERS {
            let entries = match host.list(folder) {
                Ok(entries) => entries,
                Err(e) if e.is_not_found() => continue,
                Err(e) => {
                    gaps.add(e.to_gap("pam", "", ""));
                    continue;
                }
            };
            folder_seen = true;
            for entry in entries.into_iter().filter(|e| e.kind != FileKind::Folder && e.kind != FileKind::Other) {
                if services.contains_key(&entry.name) {
                    continue;
                }
                if services.len() >= SERVICE_LIMIT {
                    gaps.note("pam", "", "", reason::LIMIT_REACHED, format!("{folder}: more than {SERVICE_LIMIT} services"), "");
                    break;
                }
                let path = format!("{folder}/{}", entry.name);
                match host.read_text(&path, CONFIG_LIMIT) {
                    Ok(text) => _ = services.insert(entry.name, Rc::new((path, line::file(&text)))),
                    Err(e) => gaps.add(e.to_gap("pam", "services", &entry.name)),
                }
            }
        }
        if !folder_seen {
            match host.read_text(SINGLE, CONFIG_LIMIT) {
                Ok(text) => services.extend(line::single_file(&text).into_iter().map(|(name, parsed)| (name, Rc::new((SINGLE.to_string(), parsed))))),
                Err(e) if e.is_not_found() => return None,
                Err(e) => gaps.add(e.to_gap("pam", "", "")),
            }
        }
        let mut files = Self { services, included: BTreeSet::new() };
        files.elsewhere(host, gaps);
        let names = files.services.values().flat_map(|f| included(&f.1));
        files.included = names.map(|name| name.rsplit('/').next().unwrap_or(name).to_string()).collect();
        Some(files)
    }

    /// Files outside of the folders that an include names by an absolute path; they are no services.
    fn elsewhere(&mut self, host: &Host, gaps: &mut Gaps) {
        let outside = |name: &str| name.starts_with('/') && !FOLDERS.iter().any(|f| name.strip_prefix(f).is_some_and(|rest| rest.starts_with('/')));
        for _ in 0..DEPTH_LIMIT {
            let names: BTreeSet<String> = self.services.values().flat_map(|f| included(&f.1)).filter(|n| outside(n)).map(String::from).collect();
            let open: Vec<String> = names.into_iter().filter(|n| !self.services.contains_key(n)).take(SERVICE_LIMIT).collect();
            let before = self.services.len();
            for path in open {
                match host.read_text(&path, CONFIG_LIMIT) {
                    Ok(text) => _ = self.services.insert(path.clone(), Rc::new((path, line::file(&text)))),
                    Err(e) if e.is_not_found() => {}
                    Err(e) => gaps.add(e.to_gap("pam", "services", &path)),
                }
            }
            if self.services.len() == before {
                return;
            }
        }
    }

    /// Names of all services, sorted.
    pub fn names(&self) -> Vec<String> {
        self.services.keys().filter(|name| !name.starts_with('/')).cloned().collect()
    }

    /// Path of a service's own file.
    pub fn path(&self, service: &str) -> &str {
        self.services.get(service).map_or("", |f| f.0.as_str())
    }

    /// The stack that decides for a service; the second value tells that it is the one of `other`.
    pub fn stack(&self, service: &str, kind: Kind, gaps: &mut Vec<Gap>) -> (Vec<Step>, bool) {
        let mut builder = Builder { services: &self.services, kind, steps: Vec::new(), gaps, lines: 0 };
        builder.add(service, 0, 0);
        let own = !builder.steps.is_empty() || service == "other";
        if !own {
            builder.add("other", 0, 0);
        }
        (builder.steps, !own)
    }
}

/// Names that a file includes.
fn included(parsed: &Parsed) -> impl Iterator<Item = &str> {
    parsed.iter().filter_map(|(_, statement)| match statement.as_ref().ok()? {
        Statement::IncludeAll(name) | Statement::Include(_, name) | Statement::Substack(_, name) => Some(name.as_str()),
        Statement::Module(..) => None,
    })
}

struct Builder<'a> {
    services: &'a BTreeMap<String, Rc<(String, Parsed)>>,
    kind: Kind,
    steps: Vec<Step>,
    gaps: &'a mut Vec<Gap>,
    /// Lines looked at, in all files together.
    lines: usize,
}

impl Builder<'_> {
    fn add(&mut self, name: &str, level: usize, depth: usize) {
        let key = FOLDERS.iter().find_map(|f| name.strip_prefix(f)?.strip_prefix('/')).unwrap_or(name);
        let Some(file) = self.services.get(key).cloned() else {
            if depth > 0 {
                note(self.gaps, name, reason::MISSING, format!("{name} is included and is not there: what includes it refuses everybody"));
                self.steps.push(Step { level, call: Call::Broken, source: Source::whole(name) });
            }
            return;
        };
        let (path, parsed) = (&file.0, &file.1);
        for (number, statement) in parsed {
            self.lines += 1;
            if depth > DEPTH_LIMIT || self.steps.len() >= STEP_LIMIT || self.lines > LINE_LIMIT {
                let detail = format!("{path}:{number}: more than {DEPTH_LIMIT} levels, {STEP_LIMIT} modules or {LINE_LIMIT} lines");
                note(self.gaps, name, reason::LIMIT_REACHED, detail);
                self.steps.push(Step { level, call: Call::Broken, source: Source::line(path, *number, "") });
                return;
            }
            match statement {
                Ok(Statement::IncludeAll(target)) => self.add(target, level, depth + 1),
                Ok(Statement::Include(k, target)) if *k == self.kind => self.add(target, level, depth + 1),
                Ok(Statement::Substack(k, target)) if *k == self.kind => {
                    self.steps.push(Step { level, call: Call::Substack, source: Source::line(path, *number, "substack") });
                    self.add(target, level + 1, depth + 1);
                }
                Ok(Statement::Module(k, module)) if *k == self.kind => {
                    let source = Source::line(path, *number, module.name());
                    self.steps.push(Step { level, call: Call::Module(Rc::new(module.clone())), source });
                }
                Ok(_) => {}
                Err(problem) => {
                    note(self.gaps, name, reason::MALFORMED, format!("{path}:{number}: {problem}"));
                    // libpam takes a line of unknown kind for the kind that is asked, and fails.
                    self.steps.push(Step { level, call: Call::Broken, source: Source::line(path, *number, "") });
                }
            }
        }
    }
}

fn note(gaps: &mut Vec<Gap>, subject: &str, id: &str, detail: String) {
    let remedy = "Mend the file; pam.conf(5) describes its lines.".into();
    gaps.push(Gap {
        family: <Pam as crate::facts::Document>::NAME.into(),
        path: "services".into(),
        subject: subject.into(),
        reason: id.into(),
        detail,
        remedy,
    });
}

/// Where a stack can lead.
#[derive(Debug)]
pub struct Courses {
    /// Which steps can be called.
    pub called: Vec<bool>,
    /// Whether the whole can succeed, and the step that made it a success.
    pub success: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Impression {
    Undefined,
    Success,
    /// A failure that was taken for an answer (`ok` on a failing code).
    Answer,
    Negative,
}

/// Follows every course; `codes` says what a module may return.
pub fn courses(steps: &[Step], codes: &dyn Fn(&Module) -> Vec<&'static str>) -> Courses {
    let mut out = Courses { called: vec![false; steps.len()], success: None };
    // State: place, impression, and the step that made the success. At most four states a place.
    let mut seen = vec![[false; 4]; steps.len() + 1];
    let mut open = vec![(0_usize, Impression::Undefined, 0_usize)];
    while let Some((at, impression, by)) = open.pop() {
        let Some(slot) = seen.get_mut(at).and_then(|s| s.get_mut(impression as usize)) else { continue };
        if std::mem::replace(slot, true) {
            continue;
        }
        let Some(step) = steps.get(at) else {
            if impression == Impression::Success {
                out.success.get_or_insert(by);
            }
            continue;
        };
        if let Some(called) = out.called.get_mut(at) {
            *called = true;
        }
        match &step.call {
            Call::Substack => open.push((at + 1, impression, by)),
            Call::Broken => open.push((at + 1, Impression::Negative, by)),
            Call::Module(module) => {
                for code in codes(module) {
                    open.push(after(steps, at, impression, by, code, module.control.action(code)));
                }
            }
        }
    }
    out
}

fn after(steps: &[Step], at: usize, impression: Impression, by: usize, code: &str, action: Action) -> (usize, Impression, usize) {
    let level = steps.get(at).map_or(0, |s| s.level);
    let answered = || match impression {
        Impression::Undefined | Impression::Success if code == "success" => (Impression::Success, if impression == Impression::Success { by } else { at }),
        Impression::Undefined | Impression::Success if code != "ignore" => (Impression::Answer, by),
        other => (other, by),
    };
    match action {
        Action::Ignore => (at + 1, impression, by),
        Action::Ok => (at + 1, answered().0, answered().1),
        Action::Done => match answered() {
            (answer @ (Impression::Success | Impression::Answer), by) => (end_of(steps, at, level), answer, by),
            (other, by) => (at + 1, other, by),
        },
        Action::Bad => (at + 1, Impression::Negative, by),
        Action::Die => (end_of(steps, at, level), Impression::Negative, by),
        Action::Reset => (at + 1, Impression::Undefined, by),
        Action::Jump(count) => match jump(steps, at, level, count) {
            Some(target) => (target, impression, by),
            None => (end_of(steps, at, level), Impression::Negative, by),
        },
    }
}

/// The first step behind the substack (or stack) of this level.
fn end_of(steps: &[Step], at: usize, level: usize) -> usize {
    (at + 1..steps.len()).find(|i| steps.get(*i).is_some_and(|s| s.level < level)).unwrap_or(steps.len())
}

/// A substack counts as one module; `None` when the level has fewer.
fn jump(steps: &[Step], at: usize, level: usize, count: u32) -> Option<usize> {
    let level_at = |i: usize| steps.get(i).map(|s| s.level);
    let mut here = at;
    for _ in 0..count {
        if level_at(here + 1)? < level {
            return None;
        }
        here += 1;
        while level_at(here + 1).is_some_and(|l| l > level) {
            here += 1;
        }
    }
    Some(here + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(files: &[(&str, &str)], service: &str) -> Vec<Step> {
        let services = files.iter().map(|(name, text)| ((*name).to_string(), Rc::new((format!("/etc/pam.d/{name}"), line::file(text))))).collect();
        let files = Files { services, included: BTreeSet::new() };
        let mut gaps = Vec::new();
        files.stack(service, Kind::Auth, &mut gaps).0
    }

    /// `pam_permit` succeeds, everything else refuses.
    fn opens(files: &[(&str, &str)]) -> Option<String> {
        let steps = stack(files, "s");
        let courses = courses(&steps, &|m| vec![if m.name() == "pam_permit" { "success" } else { "auth_err" }]);
        courses.success.map(|i| format!("{}:{}", steps[i].source.place, steps[i].source.line))
    }

    #[test]
    fn the_whole_stack_decides_who_gets_in() {
        let debian = "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so\n";
        assert_eq!(opens(&[("s", debian)]), None);
        // The same without pam_deny: the last line lets everyone in.
        assert_eq!(opens(&[("s", "auth [success=1 default=ignore] pam_unix.so\nauth required pam_permit.so\n")]).unwrap(), "/etc/pam.d/s:2");
        assert_eq!(opens(&[("s", "auth sufficient pam_permit.so\n@include c\n"), ("c", debian)]).unwrap(), "/etc/pam.d/s:1");
        // A failure before keeps `sufficient` from ending the stack.
        assert_eq!(opens(&[("s", "auth required pam_unix.so\nauth sufficient pam_permit.so\n")]), None);
        assert_eq!(opens(&[("s", "auth optional pam_permit.so\nauth requisite pam_deny.so\n")]), None);
        assert_eq!(opens(&[("s", "auth optional pam_unix.so\nauth optional pam_permit.so\n")]).unwrap(), "/etc/pam.d/s:2");
        // Nothing that counts: the stack fails.
        assert_eq!(opens(&[("s", "auth optional pam_unix.so\n")]), None);
        assert_eq!(opens(&[("s", "auth [success=5 default=ignore] pam_permit.so\nauth required pam_permit.so\n")]), None);
    }

    #[test]
    fn a_substack_keeps_done_die_and_jumps_to_itself() {
        let sub = ("sub", "auth sufficient pam_permit.so\nauth required pam_deny.so\n");
        assert_eq!(opens(&[("s", "auth substack sub\nauth required pam_deny.so\n"), sub]), None);
        assert_eq!(opens(&[("s", "auth substack sub\nauth optional pam_deny.so\n"), sub]).unwrap(), "/etc/pam.d/sub:1");
        assert_eq!(opens(&[("s", "auth include sub\nauth required pam_deny.so\n"), sub]).unwrap(), "/etc/pam.d/sub:1");
        let jumped = "auth [default=1] pam_unix.so\nauth substack sub\nauth required pam_permit.so\n";
        assert_eq!(opens(&[("s", jumped), sub]).unwrap(), "/etc/pam.d/s:3");
    }

    #[test]
    fn endless_and_missing_includes_fail_closed() {
        assert_eq!(opens(&[("s", "@include s\nauth sufficient pam_permit.so\n")]), None);
        assert_eq!(opens(&[("s", "@include gone\nauth sufficient pam_permit.so\n")]), None);
        assert!(stack(&[("s", "@include s\n@include s\nauth required pam_x.so\n")], "s").len() <= STEP_LIMIT + 2 * DEPTH_LIMIT);
    }
}
