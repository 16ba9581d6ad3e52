//! ONC RPC over UDP; the calls are those of [`crate::probe::service::rpc`].

use super::exchange::{Exchange, Heard};
use super::{Asked, UdpProtocol};
use crate::probe::dial::Dialer;
use crate::probe::service::rpc::{Channel, first_call, parse, talk};

/// ONC RPC.
pub const PROTOCOL: UdpProtocol =
    UdpProtocol { name: "rpc", ports: &[111, 2049], processes: &["rpcbind", "rpc.mountd", "rpc.statd", "ganesha.nfsd"], ask: |dialer| Box::pin(ask(dialer)) };

/// Makes the null call of the port mapper, and goes on as the reply tells.
async fn ask(dialer: &Dialer) -> Asked {
    let mut exchange = match Exchange::open(dialer).await {
        Ok(exchange) => exchange,
        Err(e) => return e.into(),
    };
    match exchange.ask(&first_call().bytes(), |b| parse(b).is_some()).await {
        Heard::Answer(reply) => Asked::Found(Box::new(talk(&mut Channel::Datagrams(exchange), &reply).await)),
        other => other.into(),
    }
}
