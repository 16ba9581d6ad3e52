//! Private halves of key exchanges (RFC 8446 section 4.2.8): X25519, P-256, P-384, ML-KEM and their hybrids.

use ml_kem::kem::{Decapsulate, Kem, KeyExport};
use ml_kem::{Seed, ml_kem_512, ml_kem_768, ml_kem_1024};
use ring::agreement::{self, Algorithm, ECDH_P256, ECDH_P384, EphemeralPrivateKey, UnparsedPublicKey, X25519};
use ring::rand::SystemRandom;

use super::client_hello::random;

/// Computes the shared secret from the server's half; `None` when that half is no key.
type Finish = Box<dyn FnOnce(&[u8]) -> Option<Vec<u8>> + Send>;

/// Our half of one key exchange.
pub struct Share {
    /// Group.
    pub group: u16,
    /// What is sent.
    pub public: Vec<u8>,
    finish: Finish,
}

impl Share {
    /// A fresh one; `None` for groups that are named but not computed here, or without random bytes.
    pub fn of(group: u16) -> Option<Self> {
        let half = match group {
            0x001d => curve(&X25519),
            0x0017 => curve(&ECDH_P256),
            0x0018 => curve(&ECDH_P384),
            0x0200 => module(ml_kem_512::DecapsulationKey::from_seed(seed())),
            0x0201 => module(ml_kem_768::DecapsulationKey::from_seed(seed())),
            0x0202 => module(ml_kem_1024::DecapsulationKey::from_seed(seed())),
            // draft-ietf-tls-ecdhe-mlkem: for X25519 the module comes first.
            0x11ec => hybrid(module(ml_kem_768::DecapsulationKey::from_seed(seed()))?, 1088, curve(&X25519)?),
            0x11eb => hybrid(curve(&ECDH_P256)?, 65, module(ml_kem_768::DecapsulationKey::from_seed(seed()))?),
            0x11ed => hybrid(curve(&ECDH_P384)?, 97, module(ml_kem_1024::DecapsulationKey::from_seed(seed()))?),
            _ => None,
        }?;
        Some(Self { group, public: half.0, finish: half.1 })
    }

    /// The shared secret.
    pub fn agree(self, server: &[u8]) -> Option<Vec<u8>> {
        (self.finish)(server)
    }
}

fn curve(algorithm: &'static Algorithm) -> Option<(Vec<u8>, Finish)> {
    let private = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new()).ok()?;
    let public = private.compute_public_key().ok()?.as_ref().to_vec();
    let finish = move |server: &[u8]| agreement::agree_ephemeral(private, &UnparsedPublicKey::new(algorithm, server), <[u8]>::to_vec).ok();
    Some((public, Box::new(finish)))
}

/// A module-lattice key (FIPS 203).
fn module<K>(private: K) -> Option<(Vec<u8>, Finish)>
where
    K: Decapsulate + Send + 'static,
    <K::Kem as Kem>::EncapsulationKey: KeyExport,
{
    let public = private.encapsulation_key().to_bytes().to_vec();
    let finish = move |server: &[u8]| private.decapsulate_slice(server).ok().map(|secret| secret.to_vec());
    Some((public, Box::new(finish)))
}

fn seed() -> Seed {
    Seed::from(random::<64>())
}

/// Both halves one after the other; the server's first half is `length` bytes.
fn hybrid(first: (Vec<u8>, Finish), length: usize, second: (Vec<u8>, Finish)) -> Option<(Vec<u8>, Finish)> {
    let finish = move |server: &[u8]| {
        let (head, tail) = server.split_at_checked(length)?;
        Some([(first.1)(head)?, (second.1)(tail)?].concat())
    };
    Some(([first.0, second.0].concat(), Box::new(finish)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_a_curve_agree_and_sizes_are_those_of_the_drafts() {
        for (group, size) in
            [(0x001d, 32), (0x0017, 65), (0x0018, 97), (0x0200, 800), (0x0201, 1184), (0x0202, 1568), (0x11ec, 1216), (0x11eb, 1249), (0x11ed, 1665)]
        {
            let share = Share::of(group).unwrap();
            assert_eq!(share.public.len(), size, "{group:#06x}");
            assert_eq!(share.agree(b"short"), None);
        }
        let (a, b) = (Share::of(0x001d).unwrap(), Share::of(0x001d).unwrap());
        let (ours, theirs) = (a.public.clone(), b.public.clone());
        assert_eq!(a.agree(&theirs), b.agree(&ours));
        assert!(Share::of(0x0100).is_none());
    }

    #[test]
    fn a_hybrid_is_both_secrets_in_order() {
        use ml_kem::kem::TryKeyInit as _;
        let share = Share::of(0x11ec).unwrap();
        let (module, curve_key) = share.public.split_at(1184);
        let key = ml_kem::ml_kem_768::EncapsulationKey::new_from_slice(module).unwrap();
        let (ciphertext, secret) = key.encapsulate_deterministic(&ml_kem::B32::from([7; 32]));
        let server = Share::of(0x001d).unwrap();
        let answer = [ciphertext.as_slice(), &server.public].concat();
        let expected = [secret.to_vec(), server.agree(curve_key).unwrap()].concat();
        assert_eq!(share.agree(&answer), Some(expected));
    }
}
