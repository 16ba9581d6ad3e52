//! Certificates of every kind, made by the openssl command.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::run;

/// A folder of keys and certificates, by name.
pub struct Forge {
    folder: tempfile::TempDir,
    next_serial: AtomicU32,
}

/// What one certificate is made of.
#[derive(Clone, Copy)]
pub struct Make<'a> {
    /// Name of the files.
    pub name: &'a str,
    /// Subject, as `openssl req -subj` takes it.
    pub subject: &'a str,
    /// Kind of the key: `rsa:BITS`, `rsa-pss:BITS`, `ec:CURVE`, `dsa:BITS`, `ed25519`, `ed448`, or `=NAME` for a key that is there.
    pub key: &'a str,
    /// Name of the issuer's certificate; empty: signed by its own key.
    pub issuer: &'a str,
    /// Extensions as openssl's configuration writes them, beside the key identifiers; `none`: version 1.
    pub extensions: &'a str,
    /// Further arguments of `openssl x509 -req`, such as `-sha1`.
    pub arguments: &'a [&'a str],
}

/// An ordinary leaf of `root` for `a.example`.
pub const LEAF: Make<'static> = Make {
    name: "leaf",
    subject: "/CN=a.example",
    key: "ec:P-256",
    issuer: "root",
    extensions: "subjectAltName=DNS:a.example,DNS:*.w.example,IP:192.0.2.7\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth",
    arguments: &[],
};
/// An ordinary self-signed root.
pub const ROOT: Make<'static> = Make { name: "root", subject: "/O=Lab/CN=Root", key: "ec:P-256", issuer: "", extensions: AUTHORITY, arguments: &[] };
/// An ordinary intermediate authority of `root`.
pub const SUB: Make<'static> = Make { name: "sub", subject: "/O=Lab/CN=Sub", key: "ec:P-256", issuer: "root", extensions: AUTHORITY, arguments: &[] };
/// Extensions of an authority.
pub const AUTHORITY: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign";

impl Forge {
    /// An empty one.
    pub fn new() -> Self {
        Self { folder: super::folder(), next_serial: AtomicU32::new(4096) }
    }

    /// A file of the folder.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Makes a key and a certificate; gives its DER.
    pub fn make(&self, make: Make<'_>) -> Vec<u8> {
        let key = match make.key.strip_prefix('=') {
            Some(name) => self.path(&format!("{name}.key")),
            None => self.key(make.name, make.key),
        };
        let (request, extensions) = (self.path("request.pem"), self.path("extensions.cnf"));
        run(self.openssl(&["req", "-new", "-subj", make.subject, "-key"]).arg(&key).arg("-out").arg(&request));
        let serial = self.next_serial.fetch_add(1, Ordering::Relaxed).to_string();
        let mut command = self.openssl(&["x509", "-req", "-days", "365", "-set_serial", &serial, "-in"]);
        command.arg(&request).arg("-out").arg(self.path(&format!("{}.pem", make.name)));
        if make.issuer.is_empty() {
            command.arg("-signkey").arg(&key);
        } else {
            command.arg("-CA").arg(self.path(&format!("{}.pem", make.issuer))).arg("-CAkey").arg(self.path(&format!("{}.key", make.issuer)));
        }
        if make.extensions != "none" {
            let own = if make.extensions.contains("KeyIdentifier") { "" } else { "subjectKeyIdentifier=hash\n" };
            // The key of an issuer without an identifier can't be named.
            let nameless = self.path(&format!("{}.nameless", make.issuer)).exists() || own.is_empty();
            let issuers = if nameless { "" } else { "authorityKeyIdentifier=keyid\n" };
            std::fs::write(&extensions, format!("{own}{issuers}{}\n", make.extensions)).unwrap();
            command.arg("-extfile").arg(&extensions);
        }
        if make.extensions == "none" || make.extensions.contains("KeyIdentifier=none") {
            std::fs::write(self.path(&format!("{}.nameless", make.name)), "").unwrap();
        }
        run(command.args(make.arguments));
        self.der(make.name)
    }

    /// DER of a certificate.
    pub fn der(&self, name: &str) -> Vec<u8> {
        let (pem, der) = (self.path(&format!("{name}.pem")), self.path("one.der"));
        run(self.openssl(&["x509", "-outform", "DER", "-in"]).arg(pem).arg("-out").arg(&der));
        std::fs::read(der).unwrap()
    }

    /// What openssl makes of a chain: nothing, or the number of its error (openssl-verification-options(1)). The store holds
    /// `anchors`, the first of `sent` is the leaf.
    pub fn verify(&self, sent: &[Vec<u8>], anchors: &[Vec<u8>], arguments: &[&str]) -> Result<(), u32> {
        let bundle = |file: &str, certificates: &[Vec<u8>]| -> PathBuf {
            let path = self.path(file);
            std::fs::write(&path, certificates.iter().map(|der| pem(der)).collect::<String>()).unwrap();
            path
        };
        let mut command = self.openssl(&["verify", "-no_check_time", "-auth_level", "0", "-purpose", "sslserver", "-no-CAfile", "-no-CApath", "-no-CAstore"]);
        command.args(arguments).arg("-trusted").arg(bundle("trusted.pem", anchors));
        if sent.len() > 1 {
            command.arg("-untrusted").arg(bundle("untrusted.pem", &sent[1..]));
        }
        let output = command.arg(bundle("checked.pem", &sent[..1])).stdin(Stdio::null()).output().unwrap();
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let number = text.lines().find_map(|l| l.strip_prefix("error ")?.split(' ').next()?.parse().ok());
        Err(number.unwrap_or_else(|| panic!("openssl verify: {text}{}", String::from_utf8_lossy(&output.stdout))))
    }

    /// An OCSP response about `leaf`, whose state is a line of `openssl ca`'s index: `V` or `R` and a reason; `signer` signs it.
    pub fn staple(&self, leaf: &str, issuer: &str, signer: &str, state: &str, arguments: &[&str]) -> Vec<u8> {
        let serial =
            String::from_utf8(self.openssl(&["x509", "-noout", "-serial", "-in"]).arg(self.path(&format!("{leaf}.pem"))).output().unwrap().stdout).unwrap();
        let serial = serial.trim().trim_start_matches("serial=").to_string();
        let line = match state.split_once(' ') {
            Some(("R", reason)) => format!("R\t351231235959Z\t260102030405Z,{reason}\t{serial}\tunknown\t/CN=leaf\n"),
            Some(_) | None if state == "V" => format!("V\t351231235959Z\t\t{serial}\tunknown\t/CN=leaf\n"),
            _ => String::new(),
        };
        let (index, request, response) = (self.path("index.txt"), self.path("request.ocsp"), self.path("response.ocsp"));
        std::fs::write(&index, line).unwrap();
        let pem = |name: &str| self.path(&format!("{name}.pem"));
        let key = self.path(&format!("{signer}.key"));
        run(self.openssl(&["ocsp", "-no_nonce", "-sha1", "-issuer"]).arg(pem(issuer)).arg("-cert").arg(pem(leaf)).arg("-reqout").arg(&request));
        let mut command = self.openssl(&["ocsp", "-index"]);
        command.arg(&index).arg("-CA").arg(pem(issuer)).arg("-rsigner").arg(pem(signer)).arg("-rkey").arg(key);
        run(command.args(["-ndays", "7", "-reqin"]).arg(&request).arg("-respout").arg(&response).args(arguments));
        std::fs::read(response).unwrap()
    }

    fn key(&self, name: &str, kind: &str) -> PathBuf {
        let path = self.path(&format!("{name}.key"));
        let (algorithm, parameter) = kind.split_once(':').unwrap_or((kind, ""));
        let option = match algorithm {
            "rsa" | "rsa-pss" => vec!["-pkeyopt".to_string(), format!("rsa_keygen_bits:{parameter}")],
            "ec" => vec!["-pkeyopt".into(), format!("ec_paramgen_curve:{parameter}"), "-pkeyopt".into(), "ec_param_enc:named_curve".into()],
            _ => Vec::new(),
        };
        if algorithm == "dsa" {
            let parameters = self.path("dsa.pem");
            run(self
                .openssl(&["genpkey", "-genparam", "-algorithm", "DSA", "-pkeyopt"])
                .arg(format!("dsa_paramgen_bits:{parameter}"))
                .arg("-out")
                .arg(&parameters));
            run(self.openssl(&["genpkey", "-paramfile"]).arg(&parameters).arg("-out").arg(&path));
        } else {
            run(self.openssl(&["genpkey", "-algorithm", algorithm]).args(&option).arg("-out").arg(&path));
        }
        path
    }

    fn openssl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(self.folder.path());
        command
    }
}

/// PEM of a certificate.
pub fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Writes certificates one after the other.
pub fn bundle(path: &Path, certificates: &[Vec<u8>]) {
    std::fs::write(path, certificates.iter().map(|der| pem(der)).collect::<String>()).unwrap();
}
