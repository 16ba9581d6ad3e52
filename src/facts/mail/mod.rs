//! Mail servers as they are configured: Postfix and Dovecot.
//!
//! Values are those that take effect: the last one of a name, variables and conditions put in, options of
//! each service over those of all, defaults of the release.

mod dovecot;
mod items;
mod postfix;

pub use items::{MailListener, MailServer, Outgoing};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::web::{NamedFile, is_exposed, named_files};
use super::{Document, HostFamily};
use crate::host::Host;
use crate::model::configured::ConfiguredEndpoint;
use crate::model::gap::{Gaps, reason};

/// Effective configuration of the mail servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// One entry per program and configuration.
    pub servers: Vec<MailServer>,
    /// One entry per address and port, and per further name with a certificate of its own.
    pub endpoints: Vec<ConfiguredEndpoint>,
    /// What happens there, by the same subjects.
    pub listeners: Vec<MailListener>,
    /// Services that hand mail to other machines.
    pub outgoing: Vec<Outgoing>,
    /// Certificates and keys named by endpoints, by path.
    pub key_files: Vec<NamedFile>,
}

impl Document for Mail {
    const NAME: &'static str = "mail";
    const TITLE: &'static str = "Effective configuration of mail servers";
}

impl HostFamily for Mail {
    const WATCHED: &'static [&'static str] = &["/etc/postfix/**", "/etc/dovecot/**", "/usr/share/dovecot/protocols.d/*"];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        Some(read(host, Self::NAME, gaps))
    }
}

/// Endpoints of the mail servers, for families that ask which service uses a certificate; gaps go to the family `mail` alone.
pub(crate) fn endpoints(host: &Host) -> Vec<ConfiguredEndpoint> {
    read(host, Mail::NAME, &mut Gaps::new()).endpoints
}

fn read(host: &Host, family: &'static str, gaps: &mut Gaps) -> Mail {
    let mut collector = Collector { host, family, gaps, mail: Mail::default() };
    postfix::gather(&mut collector);
    dovecot::gather(&mut collector);
    let mut mail = collector.mail;
    mail.key_files = named_files(host, family, "key_files", &mail.endpoints, gaps);
    mail
}

/// Most items of one list.
const ITEM_LIMIT: usize = 10_000;

/// Takes what the readers find.
struct Collector<'a> {
    host: &'a Host,
    family: &'static str,
    gaps: &'a mut Gaps,
    mail: Mail,
}

impl Collector<'_> {
    fn gap(&mut self, path: &str, subject: &str, id: &str, detail: impl Into<String>, remedy: &str) {
        self.gaps.note(self.family, path, subject, id, detail, remedy);
    }

    /// Adds an endpoint and, for its main name, what happens there.
    fn add(&mut self, mut endpoint: ConfiguredEndpoint, listener: Option<MailListener>) {
        if self.mail.endpoints.len() >= ITEM_LIMIT {
            return self.gap("endpoints", "", reason::LIMIT_REACHED, format!("more than {ITEM_LIMIT} endpoints"), "");
        }
        if self.mail.endpoints.iter().any(|e| e.subject == endpoint.subject) {
            endpoint.subject = format!("{} {}:{}", endpoint.subject, endpoint.source.place, endpoint.source.line);
        }
        if self.mail.endpoints.iter().any(|e| e.subject == endpoint.subject) {
            return;
        }
        if let Some(listener) = listener {
            let exposed = is_exposed(&endpoint.address);
            let (subject, tls) = (endpoint.subject.clone(), endpoint.tls.clone());
            self.mail.listeners.push(MailListener { subject, exposed, tls, ..listener });
        }
        self.mail.endpoints.push(endpoint);
    }
}
