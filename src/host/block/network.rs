//! File systems of other machines, and whether their wire is encrypted (nfs(5), mount.cifs(8), mount.ceph(8)).

use crate::host::{CONFIG_LIMIT, Host};

/// Types that are served by another machine or by the hypervisor.
const REMOTE: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ceph",
    "glusterfs",
    "9p",
    "afs",
    "lustre",
    "virtiofs",
    "ncpfs",
    "gfs2",
    "ocfs2",
    "orangefs",
    "beegfs",
    "vboxsf",
    "vmhgfs",
    "davfs",
    "davfs2",
    "sshfs",
    "s3fs",
];
/// FUSE programs that speak to another machine.
const REMOTE_FUSE: &[&str] = &[
    "sshfs",
    "s3fs",
    "rclone",
    "glusterfs",
    "ceph",
    "ceph-fuse",
    "gcsfuse",
    "blobfuse",
    "blobfuse2",
    "goofys",
    "davfs",
    "curlftpfs",
    "juicefs",
    "mount-s3",
    "seaweedfs",
    "moosefs",
    "mfs",
    "hadoop",
    "vmhgfs-fuse",
];

/// Whether the wire hides what is read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// `encrypted`, `plaintext` or `unknown`.
    pub word: &'static str,
    /// The option that decides, or the one that is missing.
    pub why: String,
}

/// Whether a type belongs to another machine.
pub fn is_remote(kind: &str) -> bool {
    REMOTE.contains(&kind) || program(kind).is_some_and(|p| REMOTE_FUSE.contains(&p))
}

/// `sshfs` of `fuse.sshfs`.
fn program(kind: &str) -> Option<&str> {
    kind.strip_prefix("fuse.")
}

/// What the options demand of the wire; `None` for a local file system.
pub fn transport(host: &Host, kind: &str, source: &str, options: &str) -> Option<Transport> {
    if !is_remote(kind) {
        return None;
    }
    let answer = |word, why: &str| Transport { word, why: why.into() };
    let option = |name: &str| options.split(',').rev().find_map(|o| o.strip_prefix(name).and_then(|r| r.strip_prefix('=')));
    let has = |name: &str| options.split(',').any(|o| o == name);
    let found = match program(kind).unwrap_or(kind) {
        "nfs" | "nfs4" => nfs(host, source, &option),
        "cifs" | "smb3" | "smbfs" if has("seal") => answer("encrypted", "option seal"),
        "cifs" | "smb3" | "smbfs" if sessions_are_sealed(host) => answer("encrypted", "every session is encrypted, as /proc/fs/cifs/DebugData says"),
        "cifs" | "smb3" | "smbfs" if is_loopback(source.trim_start_matches('/')) => answer("unknown", "a local tunnel carries it"),
        "cifs" | "smb3" | "smbfs" => answer("plaintext", "option seal is not set"),
        "ceph" if option("ms_mode").is_some_and(|m| m == "secure" || m == "prefer-secure") => answer("encrypted", "option ms_mode=secure"),
        "ceph" if program(kind).is_none() => answer("plaintext", "option ms_mode is not secure"),
        "9p" if matches!(option("trans"), Some("tcp")) => answer("plaintext", "9p over TCP"),
        "9p" | "virtiofs" | "vboxsf" | "vmhgfs" | "vmhgfs-fuse" => return None,
        "sshfs" => answer("encrypted", "ssh"),
        "curlftpfs" if has("ssl") || source.starts_with("ftps://") => answer("encrypted", "FTP over TLS"),
        "curlftpfs" if has("ssl_try") => answer("unknown", "FTP, with TLS only when the server offers it"),
        "curlftpfs" => answer("plaintext", "FTP without option ssl"),
        "s3fs" if option("url").is_some_and(|u| u.starts_with("http://")) => answer("plaintext", "option url names http"),
        "s3fs" => answer("encrypted", "https"),
        _ if source.starts_with("https://") => answer("encrypted", "https"),
        _ if source.starts_with("http://") => answer("plaintext", "http"),
        other => Transport { word: "unknown", why: format!("the options of {other} do not tell") },
    };
    Some(found)
}

fn nfs<'o>(host: &Host, source: &str, option: &impl Fn(&str) -> Option<&'o str>) -> Transport {
    let say = |word, why: String| Transport { word, why };
    if let Some(mode @ ("tls" | "mtls")) = option("xprtsec") {
        return say("encrypted", format!("option xprtsec={mode}"));
    }
    let flavour = option("sec").map(String::from).or_else(|| default_flavour(host));
    match flavour.as_deref() {
        Some("krb5p") => say("encrypted", "option sec=krb5p".into()),
        _ if is_loopback(source) => say("unknown", "a local tunnel carries it".into()),
        Some(flavours) if flavours.split(':').any(|f| f == "krb5p") => say("unknown", format!("sec={flavours} lets the server choose")),
        Some(flavour) => say("plaintext", format!("sec={flavour} and no xprtsec")),
        None => say("plaintext", "neither sec=krb5p nor xprtsec is set".into()),
    }
}

fn is_loopback(source: &str) -> bool {
    ["127.", "localhost:", "localhost/", "[::1]", "::1"].iter().any(|p| source.starts_with(p))
}

/// `Sec=` of nfsmount.conf(5), which holds for every mount of a root folder without an own option.
fn default_flavour(host: &Host) -> Option<String> {
    let text = host.read_text("/etc/nfsmount.conf", CONFIG_LIMIT).ok()?;
    let mut is_global = false;
    let mut found = None;
    for line in text.lines().map(str::trim).filter(|l| !l.starts_with(['#', ';'])) {
        if let Some(section) = line.strip_prefix('[') {
            is_global = section.split(']').next().unwrap_or_default().trim() == "NFSMount_Global_Options";
        } else if let Some((name, value)) = line.split_once('=')
            && is_global
            && name.trim().eq_ignore_ascii_case("sec")
        {
            found = Some(value.trim().to_string());
        }
    }
    found
}

/// The kernel lists each SMB session with its security; an encrypted one is marked.
fn sessions_are_sealed(host: &Host) -> bool {
    let Ok(text) = host.read_text("/proc/fs/cifs/DebugData", CONFIG_LIMIT) else {
        return false;
    };
    let sessions: Vec<&str> = text.lines().filter(|l| l.contains("Security type:")).collect();
    !sessions.is_empty() && sessions.iter().all(|l| l.contains(" encrypted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_decide_and_silence_is_plain_text() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::rooted(root.path()).unwrap();
        let word = |kind: &str, source: &str, options: &str| transport(&host, kind, source, options).map(|t| t.word);
        for (kind, source, options, expected) in [
            ("nfs4", "nas:/x", "rw,sec=krb5p", Some("encrypted")),
            ("nfs4", "nas:/x", "rw,sec=krb5i", Some("plaintext")),
            ("nfs4", "nas:/x", "rw,sec=sys,xprtsec=mtls", Some("encrypted")),
            ("nfs", "nas:/x", "xprtsec=none", Some("plaintext")),
            ("nfs4", "127.0.0.1:/", "sec=sys", Some("unknown")),
            ("cifs", "//nas/x", "rw,seal", Some("encrypted")),
            ("cifs", "//nas/x", "rw,username=seal", Some("plaintext")),
            ("ceph", "x", "ms_mode=secure", Some("encrypted")),
            ("ceph", "x", "ms_mode=crc", Some("plaintext")),
            ("fuse.sshfs", "a@b:/", "rw", Some("encrypted")),
            ("fuse.glusterfs", "a:/v", "rw", Some("unknown")),
            ("fuse.s3fs", "bucket", "url=http://s3.example", Some("plaintext")),
            ("fuse.s3fs", "bucket", "use_path_request_style", Some("encrypted")),
            ("fuse.curlftpfs", "ftp://a@b", "rw", Some("plaintext")),
            ("fuse.curlftpfs", "ftp://a@b", "ssl", Some("encrypted")),
            ("ext4", "/dev/sda1", "rw", None),
            ("virtiofs", "tag", "rw", None),
        ] {
            assert_eq!(word(kind, source, options), expected, "{kind} {options}");
        }
        std::fs::create_dir_all(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/nfsmount.conf"), "[ MountPoint \"/x\" ]\nSec=sys\n[ NFSMount_Global_Options ]\n# Sec=sys\nSec=krb5p\n").unwrap();
        assert_eq!(word("nfs4", "nas:/x", "rw"), Some("encrypted"));
    }
}
