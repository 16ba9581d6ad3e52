//! The only door to examined sockets: bounded in time, bytes and connections.
//!
//! ```text
//! Dialer -> identify: wait for a greeting, then ask politely, one connection per question -> Seen
//!        -> udp::identify: datagrams of the protocols that its port or process suggest, then of all    -> Seen
//!        -> tls::survey: one connection per version, then one finished handshake          -> Survey
//!        -> metadata: the questions about regions that a recognised cloud answers         -> Said
//! ```
//! Nothing here judges, and nothing here changes what it speaks to.

pub mod ber;
pub mod bson;
pub mod dial;
pub mod halt;
pub mod identify;
mod interview;
pub mod metadata;
mod pace;
pub mod ports;
pub mod reader;
pub mod seen;
pub mod service;
pub mod tls;
pub mod udp;

use std::time::Duration;

/// Bounds of a survey.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest time for everything said to one endpoint.
    pub endpoint_deadline: Duration,
    /// Longest time for everything else that a full survey asks of an endpoint that speaks TLS.
    pub survey_deadline: Duration,
    /// Longest time to connect, and to wait for one answer.
    pub answer_timeout: Duration,
    /// Connections at once to one endpoint; two at least.
    pub per_target: usize,
    /// Connections at once in all.
    pub total: usize,
    /// Bytes read of one connection.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            endpoint_deadline: Duration::from_secs(10),
            survey_deadline: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(3),
            per_target: 4,
            total: 64,
            bytes: 64 << 10,
        }
    }
}
