//! The collector's own certificate authority.
//!
//! Folder: `ca.pem`, `ca-key.pem` (0600). ECDSA P-256, because browsers don't take Ed25519
//! certificates; host keys are Ed25519.

use std::net::IpAddr;
use std::path::Path;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::PkiError;
use super::keys::{requested_key, spki_of};
use crate::host::durable;
use crate::model::ids::HostId;

/// Seconds in a day.
const DAY: i64 = 86_400;
/// Life of the authority, days.
const CA_DAYS: i64 = 3_650;
/// Life of a host certificate, days; renewed at two thirds.
pub const HOST_DAYS: i64 = 90;
/// Life of a server certificate for browsers, days; made anew at each start.
const SERVER_DAYS: i64 = 397;
/// The certificate for agents begins and ends this far from its making, days. It begins long ago, for agents whose clock was reset
/// know no later time than their last receipt or their build. It ends late, for a collector may run for years. Its key never
/// leaves the memory of a process that holds the authority's own key.
const AGENTS_SERVER_DAYS: i64 = 3_650;
/// Certificates begin this long in the past, for hosts whose clock is a little behind.
const BACKDATE: i64 = 3_600;

/// A certificate made for a host.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The host's id.
    pub host: HostId,
    /// The host's public key, SubjectPublicKeyInfo DER.
    pub spki: Vec<u8>,
    /// The certificate, PEM.
    pub certificate: String,
    /// End of its validity, Unix seconds.
    pub not_after: i64,
}

/// A certificate with its key, for a rustls server.
#[derive(Debug)]
pub struct ServerCertificate {
    /// Server certificate and CA.
    pub chain: Vec<CertificateDer<'static>>,
    /// Private key.
    pub key: PrivateKeyDer<'static>,
}

/// The authority with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// Opens the authority of a folder, or makes one.
    pub fn load_or_create(folder: &Path, now: i64) -> Result<Self, PkiError> {
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
        if !certificate.exists() {
            let made = Self::create(now)?;
            let write = |path: &Path, text: &str, mode| durable::write(path, text.as_bytes(), mode).map_err(|e| PkiError::File(path.display().to_string(), e));
            write(&key, &made.issuer.key().serialize_pem(), 0o600)?;
            write(&certificate, &made.pem, 0o644)?;
            return Ok(made);
        }
        let read = |path: &Path| std::fs::read_to_string(path).map_err(|e| PkiError::File(path.display().to_string(), e));
        Self::from_pem(&certificate.display().to_string(), read(&certificate)?, &key.display().to_string(), &read(&key)?)
    }

    fn create(now: i64) -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| PkiError::Random)?;
        let mut params = named(&format!("assay collector {}", crate::model::ids::hex_encode(&super::random::<4>()?)))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        valid(&mut params, now, CA_DAYS)?;
        let certificate = params.self_signed(&key).map_err(|e| failed(&e))?;
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Ok(Self { issuer: Issuer::new(params, key), der, pem })
    }

    fn from_pem(name: &str, pem: String, key_name: &str, key_pem: &str) -> Result<Self, PkiError> {
        let bad = |e: String| PkiError::Certificate(name.into(), e);
        let key = KeyPair::from_pem(key_pem).map_err(|e| PkiError::Certificate(key_name.into(), e.to_string()))?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| bad(e.to_string()))?;
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|e| bad(e.to_string()))?;
        Ok(Self { issuer, der, pem })
    }

    /// The CA certificate, DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The CA certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs a host's request: client authentication only, whatever the request asks for.
    pub fn issue_host(&self, request_pem: &str, name: &str, now: i64) -> Result<Issued, PkiError> {
        self.certify(&requested_key(request_pem)?, name, now)
    }

    /// A new certificate for a raw Ed25519 key whose holder has just proved to have it.
    pub fn certify(&self, public_key: &[u8; 32], name: &str, now: i64) -> Result<Issued, PkiError> {
        let spki = spki_of(public_key);
        let subject = SubjectPublicKeyInfo::from_der(&spki).map_err(|e| failed(&e))?;
        let mut params = named(name)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let not_after = valid(&mut params, now, HOST_DAYS)?;
        let certificate: Certificate = params.signed_by(&subject, &self.issuer).map_err(|e| failed(&e))?;
        Ok(Issued { host: HostId::of_spki(&spki), spki, certificate: certificate.pem(), not_after })
    }

    /// A certificate for browsers, for these DNS names and addresses.
    pub fn server_certificate(&self, names: &[String], now: i64) -> Result<ServerCertificate, PkiError> {
        self.serve_as(names, now - BACKDATE, now.saturating_add(SERVER_DAYS * DAY))
    }

    /// A certificate for the agents' listener, for these DNS names and addresses.
    pub fn agents_certificate(&self, names: &[String], now: i64) -> Result<ServerCertificate, PkiError> {
        self.serve_as(names, now.saturating_sub(AGENTS_SERVER_DAYS * DAY), now.saturating_add(AGENTS_SERVER_DAYS * DAY))
    }

    fn serve_as(&self, names: &[String], not_before: i64, not_after: i64) -> Result<ServerCertificate, PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| PkiError::Random)?;
        let mut params = named("assay collector")?;
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => SanType::DnsName(name.as_str().try_into().map_err(|e: rcgen::Error| PkiError::Certificate(name.clone(), e.to_string()))?),
            });
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (date(not_before)?, date(not_after)?);
        let certificate = params.signed_by(&key, &self.issuer).map_err(|e| failed(&e))?;
        Ok(ServerCertificate {
            chain: vec![certificate.der().clone(), self.der.clone()],
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        })
    }
}

fn named(name: &str) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let mut serial = super::random::<16>()?;
    // RFC 5280 section 4.1.2.2: positive, so the top bit is clear; not zero.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn valid(params: &mut CertificateParams, now: i64, days: i64) -> Result<i64, PkiError> {
    let not_after = now.saturating_add(days * DAY);
    params.not_before = date(now - BACKDATE)?;
    params.not_after = date(not_after)?;
    Ok(not_after)
}

fn date(at: i64) -> Result<time::OffsetDateTime, PkiError> {
    time::OffsetDateTime::from_unix_timestamp(at).map_err(|e| PkiError::Certificate("validity".into(), e.to_string()))
}

fn failed(e: &rcgen::Error) -> PkiError {
    PkiError::Certificate("certificate".into(), e.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::keys::SigningKey;
    use super::*;

    #[test]
    fn the_same_authority_comes_back_and_a_host_gets_its_own_key_certified() {
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::load_or_create(dir.path(), 1_795_000_000).unwrap();
        let again = Authority::load_or_create(dir.path(), 1_795_000_000).unwrap();
        assert_eq!(first.der(), again.der());
        let key = SigningKey::generate().unwrap();
        let issued = again.issue_host(&key.request("web01").unwrap(), "web01", 1_795_000_000).unwrap();
        assert_eq!((issued.host, issued.spki), (key.id(), key.spki()));
        let (_, pem) = x509_parser::pem::parse_x509_pem(issued.certificate.as_bytes()).unwrap();
        let certificate = pem.parse_x509().unwrap();
        assert_eq!(certificate.validity().not_after.timestamp(), issued.not_after);
        assert!(!certificate.is_ca());
        let life = crate::pki::Life::of(&issued.certificate).unwrap();
        assert_eq!((life.not_before, life.not_after), (1_795_000_000 - BACKDATE, 1_795_000_000 + HOST_DAYS * DAY));
        assert!((59 * DAY..61 * DAY).contains(&(life.two_thirds() - 1_795_000_000)));
        assert!(again.issue_host("nonsense", "x", 0).is_err());
    }
}
