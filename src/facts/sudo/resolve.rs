//! Statements to grants: aliases, negation, groups, Defaults, and which line decides.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::parse::{AliasKind, CommandGroup, Item, Scope};
use super::shells::Programs;
use super::{Grant, Sudo};
use crate::facts::Document as _;
use crate::facts::accounts::database::{GroupLine, PasswdLine};
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Deepest nesting of aliases.
const ALIAS_DEPTH: usize = 32;
/// Most items that one list may grow to.
const LIST_LIMIT: usize = 4096;
/// Most grants kept.
const GRANT_LIMIT: usize = 20_000;

/// What the grants are resolved against.
#[derive(Debug)]
pub struct World<'a> {
    /// passwd(5).
    pub users: &'a [PasswdLine],
    /// group(5).
    pub groups: &'a [GroupLine],
    /// Name of this host.
    pub hostname: &'a str,
    /// Its addresses without loopback; `None` when they can't be told, as of a root folder.
    pub addresses: Option<Vec<IpAddr>>,
    /// Whether nsswitch.conf(5) names a directory service.
    pub directory: bool,
    /// What the commands are.
    pub programs: Programs<'a>,
}

/// One rule where it stands.
#[derive(Debug)]
pub struct Rule {
    /// Users.
    pub users: Vec<Item>,
    /// Hosts.
    pub hosts: Vec<Item>,
    /// Commands.
    pub commands: CommandGroup,
    /// Place.
    pub source: Source,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Policy {
    /// In file order.
    pub rules: Vec<Rule>,
    /// Aliases.
    pub aliases: BTreeMap<(AliasKind, String), Vec<Item>>,
    /// `authenticate` and `!authenticate`, in file order.
    pub authenticate: Vec<(Scope, bool)>,
    /// `runas_default`.
    pub run_as_default: Option<String>,
    /// `exempt_group`.
    pub exempt_group: Option<String>,
    /// `noexec` of the global part.
    pub no_exec: bool,
    /// `targetpw`, `rootpw` or `runaspw` of the global part without the ending; empty or `own`: none of them.
    pub password_of: String,
}

/// A grant while later lines may still take it back.
struct Built {
    grant: Grant,
    commands: Vec<Item>,
    no_exec: bool,
    limited_in_time: bool,
}

impl Policy {
    /// The grants, those overruled by a later line taken back.
    pub fn grants(&self, world: &World<'_>, gaps: &mut Gaps) -> Vec<Grant> {
        let mut out: Vec<Built> = Vec::new();
        let mut subjects: BTreeMap<String, u32> = BTreeMap::new();
        for rule in &self.rules {
            if out.len() >= GRANT_LIMIT {
                gaps.note(Sudo::NAME, "grants", "", reason::LIMIT_REACHED, format!("sudoers grants more than {GRANT_LIMIT} times"), "");
                break;
            }
            let users = self.expand(AliasKind::User, &rule.users);
            let here = self.host_applies(&rule.hosts, world);
            let reached = decided(&users, world);
            for (index, user) in users.iter().enumerate() {
                let accounts: Vec<String> =
                    if here { reached.iter().filter(|(_, i)| **i == index).map(|(name, _)| name.clone()).collect() } else { Vec::new() };
                let built = self.build(rule, user, accounts, world, &mut subjects);
                note_unresolved(user, &built.grant.subject, world, gaps);
                out.push(built);
            }
        }
        finish(out, world, gaps)
    }

    fn build(&self, rule: &Rule, user: &Item, accounts: Vec<String>, world: &World<'_>, subjects: &mut BTreeMap<String, u32>) -> Built {
        let default = [Item::plain(self.run_as_default.clone().unwrap_or_else(|| "root".into()))];
        let run_as = self.expand(AliasKind::Runas, rule.commands.run_as.as_deref().unwrap_or(&default));
        let commands = self.expand(AliasKind::Command, &rule.commands.commands);
        let who = shown(user);
        let mut subject = format!("{who} {}:{}", rule.source.place, rule.source.line);
        let count = subjects.entry(subject.clone()).or_default();
        *count += 1;
        if *count > 1 {
            subject = format!("{subject} ({count})");
        }
        let (not_before, not_after) = (moment(&rule.commands.not_before), moment(&rule.commands.not_after));
        let no_exec = rule.commands.no_exec.unwrap_or(self.no_exec);
        let grant = Grant {
            subject,
            tool: "sudo".into(),
            password_needed: self.password_needed(&rule.commands, &accounts, &run_as, &commands, world),
            all_commands: commands.iter().rev().find(|c| c.text == "ALL").is_some_and(|c| !c.negated),
            as_root: matches_root(&run_as, world),
            who,
            accounts,
            hosts: self.expand(AliasKind::Host, &rule.hosts).iter().map(shown).collect(),
            run_as: run_as.iter().map(shown).collect(),
            commands: commands.iter().map(shown).collect(),
            password_of: if self.password_of.is_empty() { "own".into() } else { self.password_of.clone() },
            no_exec,
            set_env: rule.commands.set_env.unwrap_or(false),
            root_shell: false,
            root_shell_by: String::new(),
            root_shell_accounts: Vec::new(),
            writable_place: String::new(),
            writable_by: String::new(),
            not_before,
            not_after,
            source: rule.source.clone(),
        };
        Built { grant, commands, no_exec, limited_in_time: not_before.is_some() || not_after.is_some() }
    }

    /// Aliases replaced by their members; a negated alias negates each of them.
    fn expand(&self, kind: AliasKind, items: &[Item]) -> Vec<Item> {
        let mut out = Vec::new();
        self.expand_into(kind, items, false, 0, &mut out);
        out
    }

    fn expand_into(&self, kind: AliasKind, items: &[Item], negated: bool, depth: usize, out: &mut Vec<Item>) {
        for item in items {
            if out.len() >= LIST_LIMIT {
                return;
            }
            let negated = negated != item.negated;
            match self.aliases.get(&(kind, item.text.clone())) {
                Some(members) if depth < ALIAS_DEPTH => self.expand_into(kind, members, negated, depth + 1, out),
                _ => out.push(Item { negated, ..item.clone() }),
            }
        }
    }

    /// Whether the host list holds for this host; an address counts where the host's own are not known.
    fn host_applies(&self, hosts: &[Item], world: &World<'_>) -> bool {
        let short = world.hostname.split('.').next().unwrap_or("");
        let mut answer = false;
        for host in self.expand(AliasKind::Host, hosts) {
            let pattern = host.text.to_ascii_lowercase();
            let named = [world.hostname, short].iter().any(|name| crate::model::pattern::matches(&pattern, &name.to_ascii_lowercase()));
            let matched = host.text == "ALL"
                || named
                || world.hostname.is_empty()
                || match &world.addresses {
                    Some(own) if !pattern.starts_with('+') => own.iter().any(|a| super::addresses::covers(&pattern, *a)),
                    _ => !host.negated && (pattern.starts_with('+') || super::addresses::is_address(&pattern)),
                };
            if matched {
                answer = !host.negated;
            }
        }
        answer
    }

    fn password_needed(&self, group: &CommandGroup, accounts: &[String], run_as: &[Item], commands: &[Item], world: &World<'_>) -> bool {
        if let Some(needed) = group.password {
            return needed;
        }
        let exempt = self.exempt_group.as_deref().map(|group| Item::plain(format!("%{group}")));
        let for_account = |account: Option<&PasswdLine>| {
            if let (Some(account), Some(exempt)) = (account, &exempt)
                && matches_user(&exempt.text, account, world)
            {
                return false;
            }
            let mut needed = true;
            // Global and host entries first, then user, run-as and command ones (sudoers(5)).
            for rank in 0..4 {
                for (scope, value) in &self.authenticate {
                    if self.scope_rank(scope, account, run_as, commands, world) == Some(rank) {
                        needed = *value;
                    }
                }
            }
            needed
        };
        if accounts.is_empty() {
            return for_account(None);
        }
        world.users.iter().filter(|u| accounts.contains(&u.name)).all(|u| for_account(Some(u)))
    }

    /// The order of a Defaults entry that holds here.
    fn scope_rank(&self, scope: &Scope, account: Option<&PasswdLine>, run_as: &[Item], commands: &[Item], world: &World<'_>) -> Option<u8> {
        match scope {
            Scope::Global => Some(0),
            Scope::Hosts(hosts) => self.host_applies(hosts, world).then_some(0),
            Scope::Users(users) => {
                let users = self.expand(AliasKind::User, users);
                let account = account?;
                let last = users.iter().rev().find(|item| matches_user(&item.text, account, world))?;
                (!last.negated).then_some(1)
            }
            Scope::Runas(list) => {
                let list = self.expand(AliasKind::Runas, list);
                (matches_root(run_as, world) && matches_root(&list, world)).then_some(2)
            }
            Scope::Commands(list) => {
                let list = self.expand(AliasKind::Command, list);
                let covered = |c: &Item| c.negated || list.iter().any(|l| !l.negated && (l.text == "ALL" || l.text == c.text));
                commands.iter().all(covered).then_some(3)
            }
        }
    }
}

/// Account -> index of the list item that decides for it (the last one that matches), when that
/// item is not negated.
fn decided(users: &[Item], world: &World<'_>) -> BTreeMap<String, usize> {
    let mut out = BTreeMap::new();
    for account in world.users {
        let last = users.iter().enumerate().rev().find(|(_, item)| matches_user(&item.text, account, world));
        if let Some((index, item)) = last
            && !item.negated
        {
            out.insert(account.name.clone(), index);
        }
    }
    out
}

pub fn matches_user(item: &str, account: &PasswdLine, world: &World<'_>) -> bool {
    if item == "ALL" {
        return true;
    }
    if let Some(gid) = item.strip_prefix("%#") {
        return gid.parse() == Ok(account.gid) || world.groups.iter().any(|g| gid.parse() == Ok(g.gid) && g.members.contains(&account.name));
    }
    if let Some(name) = item.strip_prefix('%') {
        return world.groups.iter().any(|g| g.name == name && (g.gid == account.gid || g.members.contains(&account.name)));
    }
    match item.strip_prefix('#') {
        Some(uid) => uid.parse() == Ok(account.uid),
        None => item == account.name,
    }
}

fn matches_root(list: &[Item], world: &World<'_>) -> bool {
    let root = world.users.iter().find(|u| u.name == "root");
    let hit = |text: &str| matches!(text, "ALL" | "root" | "#0") || root.is_some_and(|root| text.starts_with('%') && matches_user(text, root, world));
    list.iter().rev().find(|item| hit(&item.text)).is_some_and(|item| !item.negated)
}

/// Most entries of one account that are compared with later ones.
const ENTRY_LIMIT: usize = 4096;

/// One permitted command of one account.
struct Entry {
    grant: usize,
    command: usize,
}

/// The last line that matches decides (sudoers(5)): a later denial takes a command back, and so does
/// a later grant of it that asks for the password when the earlier one does not.
fn finish(mut built: Vec<Built>, world: &World<'_>, gaps: &mut Gaps) -> Vec<Grant> {
    let mut alive: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
    for (index, later) in built.iter().enumerate() {
        for account in &later.grant.accounts {
            let entries = alive.entry(account).or_default();
            for (number, command) in later.commands.iter().enumerate() {
                if (command.negated || later.grant.password_needed) && !later.limited_in_time && entries.len() <= ENTRY_LIMIT {
                    entries.retain(|e| !overrules(later, command, built.get(e.grant), e.command));
                }
                if !command.negated {
                    entries.push(Entry { grant: index, command: number });
                }
            }
        }
    }
    if let Some((account, _)) = alive.iter().find(|(_, e)| e.len() > ENTRY_LIMIT) {
        let detail = format!("sudoers grants {account} more than {ENTRY_LIMIT} commands: which of them later lines take back is not told");
        gaps.note(Sudo::NAME, "grants", "", reason::LIMIT_REACHED, detail, "");
    }
    let mut kept: Vec<(BTreeSet<String>, BTreeSet<usize>)> = built.iter().map(|_| Default::default()).collect();
    for (account, entries) in &alive {
        for entry in entries {
            if let Some((accounts, commands)) = kept.get_mut(entry.grant) {
                accounts.insert((*account).to_string());
                commands.insert(entry.command);
            }
        }
    }
    for (built, (accounts, commands)) in built.iter_mut().zip(kept) {
        let reached = !built.grant.accounts.is_empty();
        built.grant.accounts.retain(|a| accounts.contains(a));
        let counts = |number: usize, command: &Item| !command.negated && (!reached || commands.contains(&number));
        let left: Vec<Item> = built.commands.iter().enumerate().filter(|(n, c)| counts(*n, c)).map(|(_, c)| c.clone()).collect();
        judge_commands(&mut built.grant, &left, built.no_exec, world, gaps);
    }
    built.into_iter().map(|b| b.grant).collect()
}

/// Whether `command` of a later line decides instead of an earlier entry.
fn overrules(later: &Built, command: &Item, earlier: Option<&Built>, number: usize) -> bool {
    let Some(earlier) = earlier else { return false };
    let Some(before) = earlier.commands.get(number) else { return false };
    let covers =
        command.text == "ALL" || (unmerged(&command.text) == unmerged(&before.text) && (command.arguments.is_none() || command.arguments == before.arguments));
    let everybody = matches!(later.grant.run_as.as_slice(), [all] if all == "ALL");
    let stricter = command.negated || (later.grant.password_needed && !earlier.grant.password_needed);
    covers && stricter && (everybody || earlier.grant.run_as == later.grant.run_as)
}

/// sudo compares programs by their inode: where `/bin` is a link, both names are one.
fn unmerged(path: &str) -> &str {
    path.strip_prefix("/usr").filter(|rest| rest.starts_with("/bin/") || rest.starts_with("/sbin/")).unwrap_or(path)
}

/// Fills in which of the commands is a way to a root shell.
pub fn judge_commands(grant: &mut Grant, commands: &[Item], no_exec: bool, world: &World<'_>, gaps: &mut Gaps) {
    if !grant.as_root {
        return;
    }
    if let Some(how) = commands.iter().find_map(|c| world.programs.how(c, no_exec)) {
        grant.root_shell = true;
        grant.root_shell_by = how;
    }
    for command in commands {
        match world.programs.writable(command) {
            Ok(None) => {}
            Ok(Some((place, who))) => {
                grant.writable_place = place;
                grant.writable_by = who;
                return;
            }
            Err(e) => gaps.add(e.to_gap(Sudo::NAME, "grants.writable_place", &grant.subject)),
        }
    }
}

fn note_unresolved(user: &Item, subject: &str, world: &World<'_>, gaps: &mut Gaps) {
    let local = match user.text.strip_prefix('%') {
        Some(name) if name.starts_with(':') => false,
        Some(name) => !world.directory || name.starts_with('#') || world.groups.iter().any(|g| g.name == name),
        None => !user.text.starts_with('+'),
    };
    if !local && !user.negated {
        let detail = format!("{subject}: the members of this group stand in no local file");
        gaps.note(Sudo::NAME, "grants.accounts", subject, reason::UNSUPPORTED, detail, "Review the group at the directory service.");
    }
}

/// `YYYYMMDDHHMMSSZ`, minutes and seconds optional.
fn moment(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches('Z');
    let part = |from: usize, to: usize| digits.get(from..to).and_then(|t| t.parse::<i8>().ok());
    let year = digits.get(..4)?.parse().ok()?;
    let time = jiff::civil::DateTime::new(year, part(4, 6)?, part(6, 8)?, part(8, 10)?, part(10, 12).unwrap_or(0), part(12, 14).unwrap_or(0), 0).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

pub fn shown(item: &Item) -> String {
    format!("{}{}", if item.negated { "!" } else { "" }, item.text)
}
