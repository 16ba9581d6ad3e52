//! What the machine shares as files: Samba, the kernel's NFS server, the rsync daemon.

mod nfs;
mod rsync;
mod samba;
mod smb_conf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super_servers::launch::{Launch, Wanted};
use super::super_servers::launches;
use super::{Document, HostFamily};
use crate::host::{CONFIG_LIMIT, Host};
use crate::model::configured::ConfiguredEndpoint;
use crate::model::fact::Source;
use crate::model::gap::{Gaps, reason};

/// File shares and what offers them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sharing {
    /// Samba, one for each configuration.
    pub samba: Vec<SambaServer>,
    /// Samba's shares, by subject.
    pub smb_shares: Vec<SmbShare>,
    /// NFS exports, one for each folder and client.
    pub nfs_exports: Vec<NfsExport>,
    /// Modules of rsync daemons, by subject.
    pub rsync_modules: Vec<RsyncModule>,
    /// What Samba and rsync daemons are made to listen on.
    pub endpoints: Vec<ConfiguredEndpoint>,
}

/// A Samba server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SambaServer {
    /// `samba` and the configuration.
    pub subject: String,
    /// Version of its package; empty when no package owns it.
    pub version: String,
    /// Whether it runs or a boot starts it.
    pub starts: bool,
    /// `running`, `boot`, `on demand by …` or `no`.
    pub started: String,
    /// Oldest dialect that is accepted, as smb.conf(5) names it, such as `SMB2_02` or `NT1`.
    pub min_protocol: String,
    /// Newest one.
    pub max_protocol: String,
    /// Whether a dialect of SMB 1 or older is accepted.
    pub smb1: bool,
    /// Encryption demanded of every connection: `required`, `desired`, `if_required` or `off` (server smb encrypt).
    pub encryption: String,
    /// Signatures demanded of every connection: `mandatory`, `auto` or `disabled` (server signing; SMB 2 and later treat disabled as auto).
    pub signing: String,
    /// `never`, `bad user`, `bad password` or `bad uid` (map to guest).
    pub map_to_guest: String,
    /// `no`, `ntlmv1-permitted`, `ntlmv2-only`, `mschapv2-and-ntlmv2-only` or `disabled` (ntlm auth).
    pub ntlm_auth: String,
    /// Interfaces and addresses, as written; empty: all.
    pub interfaces: Vec<String>,
    /// Whether it listens on those alone (bind interfaces only).
    pub bind_interfaces_only: bool,
    /// Clients let in, as written; empty: every one.
    pub hosts_allow: Vec<String>,
    /// Whether only loopback is listened on or let in.
    pub this_machine: bool,
    /// The configuration.
    pub source: Source,
    /// Line that decides the oldest dialect; without a line by default.
    pub min_protocol_source: Source,
    /// Line that decides about encryption, likewise.
    pub encryption_source: Source,
    /// Line that decides about signatures, likewise.
    pub signing_source: Source,
}

/// One share of Samba.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmbShare {
    /// `samba [NAME]` with the configuration behind it.
    pub subject: String,
    /// Name.
    pub name: String,
    /// Folder, as written; empty for `homes` without one.
    pub path: String,
    /// Whether its server starts and the share is available.
    pub starts: bool,
    /// Whether strangers come in without a password (guest ok).
    pub guest: bool,
    /// Whether it may be written to.
    pub writable: bool,
    /// Encryption demanded for it: `required`, `desired`, `if_required` or `off`.
    pub encryption: String,
    /// Clients let in, as written; empty: every one.
    pub hosts_allow: Vec<String>,
    /// Whether only loopback is listened on or let in.
    pub this_machine: bool,
    /// Where it begins.
    pub source: Source,
    /// Line that decides about strangers; without a line by default.
    pub guest_source: Source,
}

/// One folder exported to one client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NfsExport {
    /// Folder and client, such as `/srv 10.0.0.0/8`.
    pub subject: String,
    /// Folder.
    pub path: String,
    /// Client as written: host, network, `@netgroup`, pattern, or `*`.
    pub client: String,
    /// Whether every address may mount it.
    pub everyone: bool,
    /// Whether the kernel's server runs or a boot starts it.
    pub starts: bool,
    /// Flavours of security, in order: `sys`, `krb5`, `krb5i`, `krb5p`, `none`.
    pub security: Vec<String>,
    /// Whether it may be written to under any flavour.
    pub writable: bool,
    /// Whether the client's root is not root here under any flavour (root_squash or all_squash).
    pub root_squash: bool,
    /// Whether every user of the client is the anonymous one here, under every flavour.
    pub all_squash: bool,
    /// Whether only ports below 1024 are answered.
    pub secure_port: bool,
    /// Whether TLS is demanded of clients (xprtsec without `none`).
    pub tls_required: bool,
    /// Where it stands.
    pub source: Source,
}

/// One module of an rsync daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RsyncModule {
    /// `rsync [NAME]` with the configuration behind it.
    pub subject: String,
    /// Name.
    pub name: String,
    /// Folder, as written.
    pub path: String,
    /// Whether a daemon runs, a boot starts it or connections do.
    pub starts: bool,
    /// Whether it may be written to (read only = no).
    pub writable: bool,
    /// Whether a name and password are demanded (auth users).
    pub authenticated: bool,
    /// Whether the file of passwords is there; null: none is named.
    pub secrets_present: Option<bool>,
    /// Clients let in, as written; empty: every one.
    pub hosts_allow: Vec<String>,
    /// Whether only loopback is listened on or let in.
    pub this_machine: bool,
    /// Where it begins.
    pub source: Source,
    /// Line that decides about names and passwords; without a line by default.
    pub authenticated_source: Source,
}

impl Document for Sharing {
    const NAME: &'static str = "sharing";
    const TITLE: &'static str = "Effective configuration of Samba, NFS exports and rsync daemons";
}

impl HostFamily for Sharing {
    const WATCHED: &'static [&'static str] = &[
        "/etc/samba/*",
        "/etc/exports",
        "/etc/exports.d/*",
        "/etc/nfs.conf",
        "/etc/rsyncd.conf",
        "/etc/rsyncd.d/*",
        "/etc/default/rsync",
        "/etc/default/samba",
        "/etc/systemd/system/multi-user.target.wants/*",
    ];

    fn gather(host: &Host, gaps: &mut Gaps) -> Option<Self> {
        Some(read(host, gaps))
    }
}

/// What Samba and rsync daemons are made to listen on.
pub fn endpoints(host: &Host, gaps: &mut Gaps) -> Vec<ConfiguredEndpoint> {
    read(host, gaps).endpoints
}

/// Every program whose launch is asked for, with one search.
const PROGRAMS: [&str; 7] = ["smbd", "samba", "rsync", "rpc.nfsd", "nfsdctl", "ganesha.nfsd", "nfsd"];

fn read(host: &Host, gaps: &mut Gaps) -> Sharing {
    let wanted = Wanted {
        programs: &PROGRAMS,
        scripts: &[
            ("smbd", "smbd"),
            ("smb", "smbd"),
            ("samba", "smbd"),
            ("samba-ad-dc", "samba"),
            ("nfs-kernel-server", "rpc.nfsd"),
            ("nfs-server", "rpc.nfsd"),
            ("nfs", "rpc.nfsd"),
            ("rsync", "rsync"),
            ("rsyncd", "rsync"),
        ],
        family: Sharing::NAME,
        path: "",
    };
    // A unit that was not read could start any of them.
    let mut own = Gaps::new();
    let launches = launches(host, wanted, &mut own);
    for gap in own.into_sorted() {
        for path in ["samba", "smb_shares", "nfs_exports", "rsync_modules"] {
            gaps.add(crate::model::gap::Gap { path: path.into(), ..gap.clone() });
        }
    }
    let mut reading = Reading { host, gaps, out: Sharing::default() };
    samba::read(&mut reading, &launches);
    nfs::read(&mut reading, &launches);
    rsync::read(&mut reading, &launches);
    let mut out = reading.out;
    out.samba.sort_by(|a, b| a.subject.cmp(&b.subject));
    out.samba.dedup_by(|a, b| a.subject == b.subject);
    out.smb_shares.sort_by(|a, b| a.subject.cmp(&b.subject));
    out.smb_shares.dedup_by(|a, b| a.subject == b.subject);
    out.nfs_exports.sort_by(|a, b| (&a.subject, a.source.line).cmp(&(&b.subject, b.source.line)));
    out.nfs_exports.dedup_by(|a, b| a.subject == b.subject);
    out.rsync_modules.sort_by(|a, b| a.subject.cmp(&b.subject));
    out.rsync_modules.dedup_by(|a, b| a.subject == b.subject);
    out.endpoints.sort_by(|a, b| a.subject.cmp(&b.subject));
    out.endpoints.dedup_by(|a, b| a.subject == b.subject);
    out
}

/// What the readers of each program share.
struct Reading<'a> {
    host: &'a Host,
    gaps: &'a mut Gaps,
    out: Sharing,
}

impl Reading<'_> {
    fn gap(&mut self, path: &str, subject: &str, id: &str, detail: impl Into<String>) {
        self.gaps.note(Sharing::NAME, path, subject, id, detail, "");
    }

    /// The text of a file that is there; another failure is a gap of these lists.
    fn text(&mut self, path: &str, lists: &[&str]) -> Option<String> {
        match self.host.read_text(path, CONFIG_LIMIT) {
            Ok(text) => Some(text),
            Err(e) if e.is_not_found() => None,
            Err(e) => {
                for list in lists {
                    self.gaps.add(e.to_gap(Sharing::NAME, list, path));
                }
                None
            }
        }
    }
}

fn started(launches: &[Launch], program: &str) -> Option<String> {
    launches.iter().find(|l| l.program == program).map(|l| l.how.clone())
}

/// Whether an address is this machine's alone.
fn is_loopback(address: &str) -> bool {
    address == "localhost" || address == "::1" || address.split('/').next().is_some_and(|a| a.starts_with("127."))
}

/// A limit that was reached in a list.
const LIMIT: &str = reason::LIMIT_REACHED;
