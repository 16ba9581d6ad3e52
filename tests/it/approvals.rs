//! Approved against actual privileged access, both ways; shared accounts and keys of other owners.

use assay::model::against::Against;
use assay::model::approvals::Approvals;
use assay::model::fact::Observation;
use assay::model::roster::Roster;
use assay::rules::access::{self, Access};

use super::access_facts::{ROSTER, observe, planted};

fn derive(observation: &Observation, roster: Option<&str>, approvals: Option<&str>) -> (Access, Vec<String>) {
    let roster = roster.map(|text| Roster::parse("people.csv", text.as_bytes()).unwrap());
    let approvals = approvals.map(|text| Approvals::parse("approved.csv", text.as_bytes()).unwrap());
    let (access, gaps) = access::derive(observation, Against { roster: roster.as_ref(), approvals: approvals.as_ref(), ..Against::default() });
    // No database is asked here.
    (access.unwrap(), gaps.into_iter().map(|g| g.path).filter(|path| path != "leaver_roles").collect())
}

fn shown(access: &Access) -> (Vec<String>, Vec<String>) {
    let privileged = access.privileged.iter().map(|p| format!("{} {} ({}:{})", p.subject, p.approved, p.source.place, p.source.line)).collect();
    let approvals = access.approvals.iter().map(|a| format!("{} {} {}", a.subject, a.state, a.source.line)).collect();
    (privileged, approvals)
}

const HEAD: &str = "Person;Access;Host;Reason;Approver;Expires\n";

#[test]
fn differences_show_in_both_directions() {
    let dir = tempfile::tempdir().unwrap();
    planted(dir.path());
    let observation = observe(dir.path());
    let approvals = format!(
        "{HEAD}anna;sudo;;deployments;cto;\n ANNA BERG ;group docker;;containers;cto;2026-01-31\nnora;sudo;;on call;cto;31.12.2026\nmax keller;*;;old;cto;\n\
         anna;docker;other*;elsewhere;cto;\n"
    );
    let (access, gaps) = derive(&observation, Some(ROSTER), Some(&approvals));
    assert_eq!(gaps, Vec::<String>::new());
    let (privileged, listed) = shown(&access);
    assert_eq!(
        privileged,
        [
            // The approval for docker is over; the one for another host does not count here.
            "anna: docker expired (/etc/group:9)",
            "anna: sudo yes (/etc/sudoers.d/ops:2)",
            "m.keller: docker yes (/etc/group:9)",
            "m.keller: sudo yes (/etc/sudoers.d/ops:2)",
        ]
    );
    assert_eq!(listed, ["anna: sudo used 2", "ANNA BERG: docker expired 3", "nora: sudo unused 4", "max keller: * left 5"]);
    // eva is in group sudo, but her account is expired: nobody acts through it.
    assert!(!access.privileged.iter().any(|p| p.subject.contains("eva") || p.subject.contains("e.exit")));
}

#[test]
fn without_a_list_nothing_is_approved_and_nothing_passes() {
    let dir = tempfile::tempdir().unwrap();
    planted(dir.path());
    let observation = observe(dir.path());
    let (access, gaps) = derive(&observation, Some(ROSTER), None);
    assert_eq!(gaps, ["approvals", "privileged"]);
    assert!(access.privileged.iter().all(|p| p.approved == "no"));
    let (access, _) = derive(&observation, Some(ROSTER), Some(HEAD));
    assert!(!access.privileged.is_empty() && access.approvals.is_empty());
    // Without a roster accounts stand for people, and what rests on the roster is a gap.
    let (access, gaps) = derive(&observation, None, Some(&format!("{HEAD}deploy;sudo;;;cto;\n")));
    assert_eq!(shown(&access).0, ["deploy: docker no (/etc/group:9)", "deploy: sudo yes (/etc/sudoers.d/ops:2)"]);
    assert!(gaps.contains(&"leavers".to_string()) && !gaps.contains(&"privileged".to_string()));
}

#[test]
fn keys_tell_who_shares_an_account_and_whose_account_it_is() {
    let dir = tempfile::tempdir().unwrap();
    planted(dir.path());
    let (access, _) = derive(&observe(dir.path()), Some(ROSTER), None);
    let shared: Vec<String> = access.accounts.iter().filter(|a| a.people.len() > 1).map(|a| format!("{} {}", a.subject, a.people.join("+"))).collect();
    assert_eq!(shared, ["deploy anna+m.keller"]);
    let foreign: Vec<String> = access.keys.iter().filter(|k| !k.same).map(|k| format!("{} of {} in {}", k.subject, k.key_of, k.account_of)).collect();
    assert_eq!(foreign, ["anna: /home/anna/.ssh/authorized_keys:1 of e.exit in anna", "mkeller: /home/mkeller/.ssh/authorized_keys:1 of anna in m.keller"]);
}
