//! Another machine to which records are sent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::fact::Source;

/// One target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// Program, transport, target and port, such as `rsyslog tcp logs.example.org:6514`.
    pub subject: String,
    /// `rsyslog`, `syslog-ng`, `journal-upload` or `audisp-remote`.
    pub program: String,
    /// Name or address as written.
    pub target: String,
    /// Port.
    pub port: u32,
    /// `udp`, `tcp`, `relp`, `http`.
    pub transport: String,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// Whether the receiver must prove who it is; `false` without encryption.
    pub authenticated: bool,
    /// Whether the target is this machine itself.
    pub this_machine: bool,
    /// The deciding line.
    pub source: Source,
}

impl Forward {
    /// A target without encryption.
    pub(super) fn plain(program: &str, transport: &str, target: &str, port: u32, source: Source) -> Self {
        let is_local = |a: std::net::IpAddr| a.is_loopback();
        let this_machine = target == "localhost" || target.trim_matches(['[', ']']).parse().is_ok_and(is_local);
        Self {
            subject: format!("{program} {transport} {target}:{port}"),
            program: program.into(),
            target: target.into(),
            port,
            transport: transport.into(),
            this_machine,
            source,
            ..Self::default()
        }
    }
}
