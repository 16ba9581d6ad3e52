//! DNS over UDP; the messages are those of [`crate::probe::service::dns`].

use super::exchange::{Exchange, Heard};
use super::{Asked, UdpProtocol};
use crate::probe::dial::Dialer;
use crate::probe::service::dns::{RECURSIVE, ROOT, VERSION, seen};

/// DNS.
pub const PROTOCOL: UdpProtocol =
    UdpProtocol { name: "dns", ports: &[53], processes: &["named", "unbound", "dnsmasq", "systemd-resolve"], ask: |dialer| Box::pin(ask(dialer)) };

/// Asks what no server has to look up, then whether it would look something up for us.
async fn ask(dialer: &Dialer) -> Asked {
    let mut exchange = match Exchange::open(dialer).await {
        Ok(exchange) => exchange,
        Err(e) => return e.into(),
    };
    let (root, version) = (ROOT.message(), VERSION.message());
    let heard = exchange.ask_all(&[&root, &version], |b| [ROOT, VERSION].iter().position(|q| q.answer(b).is_some())).await;
    let [root, version] = [(ROOT, heard.first()), (VERSION, heard.get(1))].map(|(query, heard)| query.answer(heard.and_then(Heard::answer)?));
    if root.is_none() && version.is_none() {
        return heard.into_iter().fold(Asked::Silent, |known, next| super::further(known, next.into()));
    }
    let recursive = exchange.ask_patiently(&RECURSIVE.message(), |b| RECURSIVE.answer(b).is_some()).await;
    let recursive = recursive.answer().and_then(|b| RECURSIVE.answer(b));
    Asked::Found(Box::new(seen(root.as_ref(), version.as_ref(), recursive.as_ref())))
}
