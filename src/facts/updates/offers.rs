//! dnf, zypper and apk in the form that all managers share.

use super::{Automatic, GlobalKey, Held, Orphaned, PackageList, Pending, Repository, Updates};
use crate::facts::{Document as _, os};
use crate::host::manager::{self, Manager};
use crate::host::{Host, apk, offers, rpm};
use crate::model::fact::Source;
use crate::model::gap::{Gap, Gaps, reason};

/// What hides with the updates that wait: all of it comes from the same lists.
const WITH_PENDING: [&str; 3] = ["pending", "held", "orphaned"];

pub(super) fn gather(host: &Host, gaps: &mut Gaps) -> Option<Updates> {
    let read = match manager::of(host)? {
        Manager::Apk => apk::database::read(host).map_err(|e| manager::apk_gap(&e)).map(|d| d.map(|d| apk::upgrades::read(host, &d))),
        _ => rpm::database::read(host).map_err(|e| manager::rpm_gap(&e)).map(|d| d.map(|d| rpm::upgrades::read(host, &d))),
    };
    let found = match read {
        Ok(found) => found?,
        Err(gap) => {
            gaps.add(Gap { family: Updates::NAME.into(), ..gap });
            return None;
        }
    };
    for problem in &found.problems {
        let paths: &[&str] = match problem.path {
            "pending" => &WITH_PENDING,
            "pending.security" => &["pending.security", "held.security"],
            "pending.held" => &["pending.held", "held"],
            ref other => std::slice::from_ref(other),
        };
        for path in paths {
            gaps.note(Updates::NAME, path, &problem.subject, problem.reason, problem.detail.clone(), problem.remedy);
        }
    }
    Some(Updates {
        manager: found.manager.into(),
        security_repository: security_repository(host, gaps, &found).into(),
        global_keys: global_keys(&found),
        repositories: found.repositories.into_iter().map(repository).collect(),
        oldest_list_at: found.lists.iter().filter_map(|l| l.checked_at).min(),
        lists: found.lists.into_iter().map(list).collect(),
        held: found.pending.iter().filter_map(held).collect(),
        pending: found.pending.into_iter().map(pending).collect(),
        orphaned: found.orphaned.into_iter().map(orphaned).collect(),
        automatic: automatic(found.automatic),
    })
}

/// Where a distribution publishes security updates apart from the rest, whether that repository is used.
fn security_repository(host: &Host, gaps: &mut Gaps, found: &offers::Offers) -> &'static str {
    let distribution = os::distribution(host);
    let part = match distribution.id.as_str() {
        // In the ordinary repositories.
        "alpine" | "rhel" | "rocky" | "almalinux" | "centos" | "ol" | "amzn" | "opensuse-tumbleweed" => return "not_published",
        "fedora" => "updates",
        "opensuse-leap" | "sles" => "update",
        other => {
            let detail = format!("where {} publishes security updates is not known", if other.is_empty() { "a distribution without a name" } else { other });
            gaps.note(Updates::NAME, "security_repository", "", reason::UNSUPPORTED, detail, "");
            return "unknown";
        }
    };
    let used = || found.repositories.iter().filter(|r| r.enabled);
    if used().any(|r| format!("{}/{}", r.url, r.subject).to_ascii_lowercase().split(['/', '-', '_', '.']).any(|word| word.starts_with(part))) {
        return "configured";
    }
    // A mirror of one's own may hold them under any name.
    if used().any(|r| r.third_party.is_none()) {
        gaps.note(Updates::NAME, "security_repository", "", reason::UNSUPPORTED, "no enabled repository is known to hold the security updates", "");
        return "unknown";
    }
    "missing"
}

/// apk trusts every key of its folder for every repository.
fn global_keys(found: &offers::Offers) -> Vec<GlobalKey> {
    let files = found.repositories.iter().find(|r| r.kind == "apk").map(|r| r.key_files.as_slice()).unwrap_or_default();
    files
        .iter()
        .map(|file| {
            let name = file.rsplit('/').next().unwrap_or_default();
            GlobalKey { subject: name.into(), distribution: name.starts_with("alpine-devel@lists.alpinelinux.org-"), source: Source::whole(file.clone()) }
        })
        .collect()
}

fn repository(r: offers::Repository) -> Repository {
    Repository {
        subject: r.subject,
        kind: r.kind.into(),
        url: r.url,
        suite: String::new(),
        components: Vec::new(),
        enabled: r.enabled,
        signed: r.signed.into(),
        weakened_by: if r.trusted_without_signature { vec![format!("{} ({}:{})", r.source.directive, r.source.place, r.source.line)] } else { Vec::new() },
        trusted_without_signature: r.trusted_without_signature,
        certificate_unchecked_by: Vec::new(),
        expiry_checked: true,
        expiry_unchecked_by: String::new(),
        third_party: r.third_party,
        origin: String::new(),
        transport: r.transport.into(),
        // Keys of apk are those of `global_keys`.
        key_files: if r.kind == "apk" { Vec::new() } else { r.key_files },
        source: r.source,
    }
}

fn list(l: offers::List) -> PackageList {
    PackageList {
        repository: l.repository,
        suite: String::new(),
        component: l.component,
        architecture: l.architecture,
        security: false,
        present: l.present,
        checked_at: l.checked_at,
        published_at: None,
        valid_until: None,
        source: l.source,
    }
}

fn pending(p: offers::Pending) -> Pending {
    Pending {
        name: p.name,
        architecture: p.architecture,
        installed: p.installed,
        candidate: p.candidate,
        security: p.security,
        severity: p.severity,
        advisories: p.advisories,
        held: p.held.is_some(),
        phased_percentage: 100,
        published_at: p.published_at,
        repository: p.repository,
        source: p.source,
    }
}

fn held(p: &offers::Pending) -> Option<Held> {
    let (by, source) = p.held.clone()?;
    Some(Held {
        subject: format!("{}:{}", p.name, p.architecture),
        name: p.name.clone(),
        installed: p.installed.clone(),
        available: p.candidate.clone(),
        security: p.security,
        by: by.into(),
        source,
    })
}

fn orphaned(o: offers::Orphan) -> Orphaned {
    Orphaned { subject: format!("{}:{}", o.name, o.architecture), name: o.name, installed: o.installed, source: o.source }
}

fn automatic(a: offers::Automatic) -> Automatic {
    Automatic {
        lists_every_days: a.lists_every_days,
        upgrade_every_days: a.upgrade_every_days,
        tool_installed: a.tool_installed,
        enabled: a.enabled,
        origins: Vec::new(),
        // These programs upgrade from every enabled repository.
        covers_security: a.enabled.then_some(true),
        excluded: Vec::new(),
        obstacles: a.obstacles,
        last_run_at: a.last_run_at.max(a.last_success_at),
        last_success_at: a.last_success_at,
        last_failure_at: None,
        source: a.source,
    }
}
