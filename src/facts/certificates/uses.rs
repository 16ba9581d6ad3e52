//! What services use: one list for every source that knows of some.

use super::directives;
use crate::facts::{containers, database_servers, directory, ftp, mail, web};
use crate::host::Host;
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::Gaps;

/// Certificates and keys that belong together in one service's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUse {
    /// Program.
    pub service: String,
    /// Files of certificates, absolute.
    pub certificates: Vec<String>,
    /// Files of keys, absolute.
    pub keys: Vec<String>,
    /// Where they are named.
    pub source: Source,
}

impl ServiceUse {
    /// Of an endpoint that a family of its own resolved.
    pub fn of_endpoint(endpoint: ConfiguredEndpoint) -> Self {
        Self { service: endpoint.program, certificates: endpoint.certificates, keys: endpoint.keys, source: endpoint.source }
    }
}

/// Every source; a family with [`ConfiguredEndpoint`]s joins in [`effective`].
static SOURCES: &[fn(&Host, &mut Gaps) -> Vec<ServiceUse>] = &[effective, directives::uses];

/// What the families of services made of whole configurations; what of them can't be read is a gap of their own.
fn effective(host: &Host, _: &mut Gaps) -> Vec<ServiceUse> {
    let mut gaps = Gaps::new();
    let endpoints = [
        web::endpoints(host),
        mail::endpoints(host),
        ftp::endpoints(host, &mut gaps),
        directory::endpoints(host, &mut gaps),
        database_servers::configured_endpoints(host),
        containers::endpoints(host, &mut gaps),
    ];
    endpoints.into_iter().flatten().map(ServiceUse::of_endpoint).collect()
}

/// What services use, in the order of the sources; what two of them tell is told once.
pub fn uses(host: &Host, gaps: &mut Gaps) -> Vec<ServiceUse> {
    let mut out: Vec<ServiceUse> = Vec::new();
    for source in SOURCES {
        for found in source(host, gaps) {
            let known = |u: &ServiceUse| u.service == found.service && u.certificates == found.certificates && u.keys == found.keys;
            if (!found.certificates.is_empty() || !found.keys.is_empty()) && !out.iter().any(known) {
                out.push(found);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_uses() {
        let endpoint = ConfiguredEndpoint {
            address: "0.0.0.0".into(),
            port: 443,
            tls: "required".into(),
            certificates: vec!["/a.pem".into()],
            keys: vec!["/a.key".into()],
            ..ConfiguredEndpoint::plain("nginx", "nginx 0.0.0.0:443".into(), Source::line("/etc/nginx/nginx.conf", 3, "listen"))
        };
        let found = ServiceUse::of_endpoint(endpoint);
        assert_eq!((found.service.as_str(), found.keys.as_slice(), found.source.line), ("nginx", ["/a.key".to_string()].as_slice(), 3));
    }
}
