//! Private halves of key exchanges (RFC 8446 section 4.2.8): X25519, the NIST and Brainpool curves, primes, ML-KEM and its
//! hybrids. They look at servers; nothing of ours is protected by them.

use ml_kem::kem::{Decapsulate, Kem, KeyExport};
use ml_kem::{Seed, ml_kem_512, ml_kem_768, ml_kem_1024};
use num_bigint::BigUint;
use ring::agreement::{self, Algorithm, ECDH_P256, ECDH_P384, EphemeralPrivateKey, UnparsedPublicKey, X25519};
use ring::rand::SystemRandom;

use super::certificate::{curves, ecdsa};
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
            0x0019 => slow_curve("1.3.132.0.35"),
            22 => slow_curve("1.3.132.0.10"),
            26 | 31 => slow_curve("1.3.36.3.3.2.8.1.1.7"),
            27 | 32 => slow_curve("1.3.36.3.3.2.8.1.1.11"),
            28 | 33 => slow_curve("1.3.36.3.3.2.8.1.1.13"),
            0x0100..=0x0104 => prime(group),
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

/// A curve that ring does not have, by its object identifier.
fn slow_curve(oid: &str) -> Option<(Vec<u8>, Finish)> {
    let curve = curves::by_oid(oid)?;
    let secret = random::<32>();
    let public = ecdsa::public_key(curve, &secret)?;
    Some((public, Box::new(move |server: &[u8]| ecdsa::agree(curve, &secret, server))))
}

/// A prime group of RFC 7919 appendix A: p = 2^b - 2^(b-64) + ([2^(b-130) e] + X) 2^64 - 1, generator 2.
fn prime(group: u16) -> Option<(Vec<u8>, Finish)> {
    let (bits, offset) = match group {
        0x0100 => (2048_usize, 560_316_u32),
        0x0101 => (3072, 2_625_351),
        0x0102 => (4096, 5_736_041),
        0x0103 => (6144, 15_705_020),
        0x0104 => (8192, 10_965_728),
        _ => return None,
    };
    let one = BigUint::from(1_u8);
    let prime = (&one << bits) - (&one << (bits - 64)) + ((euler(bits - 130) + offset) << 64_usize) - 1_u8;
    let secret = BigUint::from_bytes_be(&random::<32>());
    let padded = move |number: &BigUint| {
        let bytes = number.to_bytes_be();
        [vec![0; (bits / 8).saturating_sub(bytes.len())], bytes].concat()
    };
    let public = padded(&BigUint::from(2_u8).modpow(&secret, &prime));
    let finish = move |server: &[u8]| (server.len() == bits / 8).then(|| padded(&BigUint::from_bytes_be(server).modpow(&secret, &prime)));
    Some((public, Box::new(finish)))
}

/// The whole part of 2^bits e, by the series of 1/n!.
fn euler(bits: usize) -> BigUint {
    // What is cut off of each term stays far below the last bit.
    const GUARD: usize = 64;
    let mut term = BigUint::from(1_u8) << (bits + GUARD);
    let mut sum = BigUint::ZERO;
    let mut n = 0_u32;
    while term != BigUint::ZERO {
        sum += &term;
        n += 1;
        term /= n;
    }
    sum >> GUARD
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
        assert!(Share::of(30).is_none());
    }

    #[test]
    fn slow_groups_agree_and_their_primes_are_the_published_ones() {
        for (group, size) in [(0x0019, 133), (22, 65), (26, 65), (0x0100, 256), (0x0101, 384)] {
            let (a, b) = (Share::of(group).unwrap(), Share::of(group).unwrap());
            assert_eq!(a.public.len(), size, "{group:#06x}");
            let (ours, theirs) = (a.public.clone(), b.public.clone());
            let secret = a.agree(&theirs);
            assert!(secret.is_some() && secret == b.agree(&ours), "{group:#06x}");
        }
        let one = BigUint::from(1_u8);
        let prime = (&one << 2048_usize) - (&one << 1984_usize) + ((euler(2048 - 130) + 560_316_u32) << 64_usize) - 1_u8;
        assert_eq!(super::super::primes::name(&prime.to_bytes_be()), "ffdhe2048");
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
