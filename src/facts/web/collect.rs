//! Where the readers put what they find; names are made unique and key files looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::items::NamedFile;
use super::upstream::OwnAddresses;
use super::{Listing, Site, Upstream, Web};
use crate::host::{FileKind, Host};
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// Most items of one list.
const ITEM_LIMIT: usize = 20_000;

/// Takes what the readers find.
pub struct Collector<'a> {
    /// Machine.
    pub host: &'a Host,
    /// Family that asks.
    pub family: &'static str,
    /// Where gaps go.
    pub gaps: &'a mut Gaps,
    /// What was found.
    pub web: Web,
    /// Addresses of this machine.
    pub own: OwnAddresses,
    /// List and subject of what was added.
    known: BTreeSet<(&'static str, String)>,
}

impl<'a> Collector<'a> {
    /// Nothing found yet.
    pub fn new(host: &'a Host, family: &'static str, gaps: &'a mut Gaps) -> Self {
        Self { host, family, gaps, web: Web::default(), own: OwnAddresses::read(host), known: BTreeSet::new() }
    }

    /// Notes what is not known.
    pub fn gap(&mut self, path: &str, subject: &str, id: &str, detail: impl Into<String>, remedy: &str) {
        self.gaps.note(self.family, path, subject, id, detail, remedy);
    }

    /// Whether an item is new and there is room for it.
    fn takes(&mut self, list: &'static str, length: usize, subject: &str) -> bool {
        if length >= ITEM_LIMIT {
            // Said once.
            if self.known.insert((list, String::new())) {
                self.gap(list, "", reason::LIMIT_REACHED, format!("more than {ITEM_LIMIT} items of {list}"), "");
            }
            return false;
        }
        self.known.insert((list, subject.to_string()))
    }

    /// Adds an endpoint; its subject as it ends up in the document.
    pub fn endpoint(&mut self, mut endpoint: ConfiguredEndpoint) -> String {
        if self.known.contains(&("endpoints", endpoint.subject.clone())) {
            endpoint.subject = format!("{} {}:{}", endpoint.subject, endpoint.source.place, endpoint.source.line);
        }
        let subject = endpoint.subject.clone();
        if self.takes("endpoints", self.web.endpoints.len(), &subject) {
            self.web.endpoints.push(endpoint);
        }
        subject
    }

    /// Adds a site.
    pub fn site(&mut self, site: Site) {
        if self.takes("sites", self.web.sites.len(), &site.subject) {
            self.web.sites.push(site);
        }
    }

    /// Adds a hand-over.
    pub fn upstream(&mut self, upstream: Upstream) {
        if self.takes("upstreams", self.web.upstreams.len(), &upstream.subject) {
            self.web.upstreams.push(upstream);
        }
    }

    /// Adds a listed folder.
    pub fn listing(&mut self, listing: Listing) {
        if self.takes("listings", self.web.listings.len(), &listing.subject) {
            self.web.listings.push(listing);
        }
    }

    /// The whole document.
    pub fn finish(mut self) -> Web {
        let endpoints = std::mem::take(&mut self.web.endpoints);
        self.web.key_files = named_files(self.host, self.family, "key_files", &endpoints, self.gaps);
        self.web.endpoints = endpoints;
        self.web
    }
}

/// The files of certificates and keys that endpoints name, looked at.
pub fn named_files(host: &Host, family: &str, path: &str, endpoints: &[ConfiguredEndpoint], gaps: &mut Gaps) -> Vec<NamedFile> {
    let mut out: BTreeMap<String, NamedFile> = BTreeMap::new();
    let mut failed = BTreeSet::new();
    for endpoint in endpoints {
        let certificates = endpoint.certificates.iter().map(|c| (c, "certificate"));
        for (file, kind) in certificates.chain(endpoint.keys.iter().map(|k| (k, "key"))) {
            if out.contains_key(file) || failed.contains(file) {
                continue;
            }
            let state = match host.stat(file) {
                Ok(stat) if stat.kind == FileKind::File => "file",
                Ok(_) => "other",
                Err(e) if e.is_not_found() => "missing",
                Err(e) => {
                    gaps.add(e.to_gap(family, path, file));
                    failed.insert(file.clone());
                    continue;
                }
            };
            let item = NamedFile {
                subject: file.clone(),
                kind: kind.into(),
                state: state.into(),
                endpoint: endpoint.subject.clone(),
                source: endpoint.source.clone(),
            };
            out.insert(file.clone(), item);
        }
    }
    out.into_values().collect()
}

/// Whether other machines reach an address; a name counts as one that they do.
pub fn is_exposed(address: &str) -> bool {
    if address.starts_with('/') || address.starts_with("unix:") || address.starts_with('@') || address == "localhost" {
        return false;
    }
    address.parse::<IpAddr>().map_or(true, |ip| match ip {
        IpAddr::V4(ip) => !ip.is_loopback(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    })
}

/// `ADDRESS:PORT`, IPv6 in brackets.
pub fn socket(address: &str, port: u32) -> String {
    if port == 0 {
        return address.to_string();
    }
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// `FILE:LINE`.
pub fn place(source: &Source) -> String {
    format!("{}:{}", source.place, source.line)
}
