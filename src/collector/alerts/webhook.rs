//! A POST of JSON, signed as Standard Webhooks say (standardwebhooks.com, specification 1.0):
//!
//! ```text
//! webhook-id: RANDOM16   webhook-timestamp: Unix seconds   webhook-signature: v1,base64(HMAC-SHA-256(key, id "." timestamp "." body))
//! key = "whsec_" base64(24 to 64 bytes)
//! ```
//! Taken: any answer of 2xx. The body of the answer is not read.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::target::Target;
use super::{AlertError, chain};
use crate::collector::store::{Letter, Store};
use crate::pki;

/// How a key begins.
const PREFIX: &str = "whsec_";
/// Bytes of a key that is made.
const KEY_BYTES: usize = 32;
/// Longest time for an exchange.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A fresh key as the receiver gets it.
pub(super) fn generate_key() -> Result<String, pki::PkiError> {
    Ok(format!("{PREFIX}{}", STANDARD.encode(pki::random::<KEY_BYTES>()?)))
}

/// The bytes of a key.
pub(super) fn key_bytes(key: &str) -> Result<Vec<u8>, AlertError> {
    let bytes = key.strip_prefix(PREFIX).and_then(|k| STANDARD.decode(k).ok()).filter(|b| (24..=64).contains(&b.len()));
    bytes.ok_or_else(|| AlertError::Bad("a key of a webhook is whsec_ and the base64 of 24 to 64 bytes; leave it empty to have one made".into()))
}

/// The header that proves who sent a body, and when.
pub(super) fn signature(key: &[u8], id: &str, at: i64, body: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

/// Sends one letter.
pub(super) async fn send(store: &Store, target: &Target, letter: &Letter, now: i64) -> Result<(), AlertError> {
    let secret = String::from_utf8(target.secret(store)?).map_err(|_| AlertError::Bad("the key is no text".into()))?;
    let failed = |e: reqwest::Error| AlertError::Receiver(chain(&e.without_url()));
    pki::install_provider();
    let tls = pki::tls::outgoing_client(&target.body.ca).map_err(|e| AlertError::Bad(e.to_string()))?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .user_agent(concat!("assay-collector/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(failed)?;
    let id = letter.id.to_string();
    let answer = client
        .post(&target.body.address)
        .header("content-type", "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", now)
        .header("webhook-signature", signature(&key_bytes(&secret)?, &id, now, &letter.body))
        .body(letter.body.clone())
        .send()
        .await
        .map_err(failed)?;
    if answer.status().is_success() { Ok(()) } else { Err(AlertError::Receiver(format!("the receiver answered {}", answer.status()))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of the specification's reference libraries.
        let key = key_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let header = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(key_bytes("secret").is_err() && key_bytes("whsec_AAAA").is_err());
        assert_eq!(key_bytes(&generate_key().unwrap()).unwrap().len(), KEY_BYTES);
    }
}
