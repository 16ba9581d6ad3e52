//! What a service's own configuration says about an endpoint, in the same words for every program,
//! so that rules and the comparison with the wire need not know the program.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fact::Source;

/// One endpoint that a configuration makes a service listen on. A server with three names on one
/// address has three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfiguredEndpoint {
    /// Program, address and port, and what tells it from its neighbours, such as `nginx 0.0.0.0:443 shop.example.org`; unique in its family.
    pub subject: String,
    /// Program, such as `nginx`, `postfix`, `slapd`.
    pub program: String,
    /// Address as the program resolves it: `0.0.0.0` or `::` for all; a path for a local (AF_UNIX) socket.
    pub address: String,
    /// Port; 0 for a local socket.
    pub port: u32,
    /// `tcp`, `udp` or `unix`.
    pub transport: String,
    /// Names that select it (SNI, Host), as written; empty when none is needed.
    pub names: Vec<String>,
    /// `required` (nothing of the protocol without TLS), `offered` (STARTTLS or the like, plaintext goes on working), `none`.
    pub tls: String,
    /// Versions that the configuration leaves on, oldest first, such as `TLSv1.2`; `null` when the file leaves it to the library's own default.
    pub versions: Option<Vec<String>>,
    /// Cipher list for TLS 1.2 and older as written; empty when it is left to the default.
    pub ciphers: String,
    /// Files of certificates, absolute.
    pub certificates: Vec<String>,
    /// Files of private keys, absolute.
    pub keys: Vec<String>,
    /// Where it is told to listen.
    pub source: Source,
    /// Where the versions were decided; the place is empty when nothing decides them.
    pub versions_source: Source,
}

impl ConfiguredEndpoint {
    /// An endpoint without TLS that needs no name; what a configuration says beyond that is set by whoever reads it.
    pub fn plain(program: &str, subject: String, source: Source) -> Self {
        Self {
            subject,
            program: program.into(),
            address: String::new(),
            port: 0,
            transport: "tcp".into(),
            names: Vec::new(),
            tls: "none".into(),
            versions: None,
            ciphers: String::new(),
            certificates: Vec::new(),
            keys: Vec::new(),
            source,
            versions_source: Source::default(),
        }
    }
}
