//! UDP sockets: silence is normal there, so what a socket might have said is a gap only where
//! something suggests it.

use super::targets::{EXCLUDED, Target};
use super::{Examined, Services, blank, fill};
use crate::facts::Document as _;
use crate::model::gap::{Gaps, reason};
use crate::probe::dial::Dialer;
use crate::probe::identify::Outcome;
use crate::probe::udp;

/// Everything about one socket, within its deadline.
pub(super) async fn examine(target: &Target, dialer: &Dialer, excluded: bool) -> Examined {
    let outcome = match excluded {
        true => Outcome::Unasked(EXCLUDED.into()),
        false => match tokio::time::timeout(dialer.left(), udp::identify(dialer)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Timeout("the endpoint used up its time".into()),
        },
    };
    let mut gaps = Gaps::new();
    let mut service = blank(target);
    let (name, id, detail) = match outcome {
        Outcome::Identified(mut seen) => {
            if target.is_wildcard && target.outward.is_none() {
                seen.trusting_loopback("this host has no other address to ask at");
            }
            fill(&mut service, &seen, &mut gaps);
            service.outcome = "identified".into();
            return Examined { service: Some(service), gaps: gaps.into_sorted(), ..Examined::default() };
        }
        Outcome::Unidentified { banner, head } => {
            service.banner = banner;
            ("unidentified", "", format!("first bytes {head}"))
        }
        Outcome::Silent | Outcome::Closed => ("silent", reason::TIMEOUT, "no question was answered".into()),
        Outcome::Refused => ("refused", reason::UNREACHABLE, "the host says that nothing listens".into()),
        Outcome::Timeout(what) => ("timeout", reason::TIMEOUT, what),
        Outcome::Unreachable(what) => ("unreachable", reason::UNREACHABLE, what),
        Outcome::Unasked(what) if excluded => ("unasked", reason::EXCLUDED, what),
        Outcome::Unasked(what) => ("unasked", reason::UNSUPPORTED, what),
    };
    service.outcome = name.into();
    service.source.directive.clone_from(&detail);
    // A socket of this host that is gone meanwhile has nothing to tell.
    let is_gone = target.local && name == "refused";
    if let Some(presumed) = udp::presumed(&target.process, target.address.port()).filter(|_| !id.is_empty() && !is_gone) {
        service.presumed = presumed.into();
        let detail = format!("{}: {detail}, where {presumed} is usual", service.source.place);
        for field in ["items.open", "items.versions", "items.exports"] {
            gaps.note(Services::NAME, field, &target.subject, id, detail.clone(), "Look which program listens there and what its configuration offers.");
        }
    }
    Examined { service: Some(service), gaps: gaps.into_sorted(), ..Examined::default() }
}
