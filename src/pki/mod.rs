//! Keys, certificates and every rustls configuration for our own connections.

pub mod authority;
pub mod keys;
pub mod tls;
pub mod token;

/// Why a key, certificate or token can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// Not a key we can use.
    #[error("{0}: not an Ed25519 private key in PKCS#8 PEM")]
    Key(String),
    /// Not a certificate or request we can use.
    #[error("{0}: {1}")]
    Certificate(String, String),
    /// Not a token.
    #[error("enrolment token is malformed: it has the form assay1.SECRET.PIN as `assay-collector token` prints it")]
    Token,
    /// TLS could not be set up.
    #[error("tls: {0}")]
    Tls(#[from] rustls::Error),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
}

/// An expired host certificate may be renewed for this long, seconds: 400 days, as long as the spool keeps reports.
pub const RENEWABLE: i64 = 400 * 86_400;

/// When a certificate is valid, Unix seconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// First second.
    pub not_before: i64,
    /// Last second.
    pub not_after: i64,
}

impl Life {
    /// The life of a PEM certificate.
    pub fn of(certificate_pem: &str) -> Result<Self, PkiError> {
        let bad = |e: String| PkiError::Certificate("host certificate".into(), e);
        let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()).map_err(|e| bad(e.to_string()))?;
        let validity = pem.parse_x509().map_err(|e| bad(e.to_string()))?.validity().clone();
        Ok(Self { not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp() })
    }

    /// When two thirds are over, Unix seconds.
    pub const fn two_thirds(self) -> i64 {
        self.not_before.saturating_add(self.not_after.saturating_sub(self.not_before) / 3 * 2)
    }
}

/// SubjectPublicKeyInfo (DER) of a PEM certificate.
pub fn public_key_of(certificate_pem: &str) -> Result<Vec<u8>, PkiError> {
    let bad = |e: String| PkiError::Certificate("host certificate".into(), e);
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()).map_err(|e| bad(e.to_string()))?;
    Ok(pem.parse_x509().map_err(|e| bad(e.to_string()))?.public_key().raw.to_vec())
}

/// `N` bytes from the system's generator.
pub fn random<const N: usize>() -> Result<[u8; N], PkiError> {
    let mut out = [0; N];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut out).map_err(|_| PkiError::Random)?;
    Ok(out)
}

/// Makes ring the process's crypto provider; every binary calls it once before any TLS.
pub fn install_provider() {
    // A second call finds the provider installed, which is what was wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
