//! A ledger goes on under a new key: old and new key both sign that the one follows the other.
//!
//! ```text
//! signed text   assay.rotation.v1 \n Unix seconds \n old verifier key \n new verifier key \n
//! ```
//! The statement is behind a leaf that the old key's last checkpoint covers. Whoever trusts the old key follows the
//! statements to the new one; nobody can insert a key without the one before it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::checkpoint::{CheckpointError, Verifier};

/// Version that this code writes.
pub const FORMAT: &str = "assay.rotation.v1";
/// Most rotations of a ledger that are followed.
pub const MAX: usize = 1000;

/// Signs with a private key.
pub type Sign<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// Why a rotation proves nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RotationError {
    /// A key that is none.
    #[error(transparent)]
    Key(#[from] CheckpointError),
    /// Another version.
    #[error("rotation has format {0:?}, not {FORMAT:?}")]
    Format(String),
    /// The names of the two keys differ: that would be another ledger.
    #[error("rotation goes from the ledger {0} to another one, {1}")]
    Name(String, String),
    /// A signature does not verify.
    #[error("rotation is not signed by its {0} key")]
    Signature(&'static str),
    /// More than [`MAX`].
    #[error("more than {MAX} rotations")]
    TooMany,
}

/// One key follows another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// When, Unix seconds.
    pub at: i64,
    /// Who ordered it.
    pub by: String,
    /// Ed25519 signature of the new key over the signed text, base64.
    pub by_new: String,
    /// The same of the old key.
    pub by_old: String,
    /// [`FORMAT`].
    pub format: String,
    /// The old verifier key.
    pub from: String,
    /// The new verifier key.
    pub to: String,
}

impl Rotation {
    /// The statement that `to` follows `from`; each closure signs with the key of its verifier.
    pub fn make(at: i64, by: &str, from: (&Verifier, Sign<'_>), to: (&Verifier, Sign<'_>)) -> Self {
        let (old, new) = (from.0.to_string(), to.0.to_string());
        let message = message(at, &old, &new);
        Self {
            at,
            by: by.into(),
            by_new: STANDARD.encode(to.1(&message)),
            by_old: STANDARD.encode(from.1(&message)),
            format: FORMAT.into(),
            from: old,
            to: new,
        }
    }

    /// Old and new key, if both signed.
    pub fn check(&self) -> Result<(Verifier, Verifier), RotationError> {
        if self.format != FORMAT {
            return Err(RotationError::Format(self.format.chars().take(100).collect()));
        }
        let (old, new): (Verifier, Verifier) = (self.from.parse()?, self.to.parse()?);
        if old.name() != new.name() {
            return Err(RotationError::Name(old.name().into(), new.name().into()));
        }
        let message = message(self.at, &self.from, &self.to);
        for (key, signature, word) in [(&old, &self.by_old, "old"), (&new, &self.by_new, "new")] {
            let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key.public_key());
            let signed = STANDARD.decode(signature).is_ok_and(|signature| key.verify(&message, &signature).is_ok());
            if !signed {
                return Err(RotationError::Signature(word));
            }
        }
        Ok((old, new))
    }
}

/// The key that the ledger has now, for who trusts `known`: the rotations are followed from it, in whatever order they stand.
pub fn follow(known: &Verifier, rotations: &[Rotation]) -> Result<Verifier, RotationError> {
    if rotations.len() > MAX {
        return Err(RotationError::TooMany);
    }
    let steps: Vec<(Verifier, Verifier)> = rotations.iter().map(Rotation::check).collect::<Result<_, _>>()?;
    let mut key = known;
    for _ in 0..steps.len() {
        let Some((_, new)) = steps.iter().find(|(old, _)| old == key) else { break };
        key = new;
    }
    Ok(key.clone())
}

/// The keys under which something of a ledger may be signed whose key is `current` now, newest first.
pub fn keys(current: &Verifier, rotations: &[Rotation]) -> Vec<Verifier> {
    let steps: Vec<(Verifier, Verifier)> = rotations.iter().take(MAX).filter_map(|r| r.check().ok()).collect();
    let mut keys = vec![current.clone()];
    for _ in 0..steps.len() {
        let Some((old, _)) = steps.iter().find(|(_, new)| Some(new) == keys.last()) else { break };
        keys.push(old.clone());
    }
    keys
}

fn message(at: i64, from: &str, to: &str) -> Vec<u8> {
    format!("{FORMAT}\n{at}\n{from}\n{to}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    fn pair(seed: u8) -> (Verifier, Ed25519KeyPair) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        (Verifier::new("assay.invalid/x", pair.public_key().as_ref().try_into().unwrap()).unwrap(), pair)
    }

    fn rotation(from: u8, to: u8) -> Rotation {
        let ((old, a), (new, b)) = (pair(from), pair(to));
        Rotation::make(7, "uid 0", (&old, &|m| a.sign(m).as_ref().to_vec()), (&new, &|m| b.sign(m).as_ref().to_vec()))
    }

    #[test]
    fn who_trusts_any_earlier_key_comes_to_the_last_one() {
        // Two of one second stand in any order.
        let chain = [rotation(2, 3), rotation(1, 2)];
        for seed in [1, 2, 3] {
            assert_eq!(follow(&pair(seed).0, &chain).unwrap(), pair(3).0);
        }
        assert_eq!(follow(&pair(9).0, &chain).unwrap(), pair(9).0, "a foreign key stays what it is");
        assert_eq!(keys(&pair(3).0, &chain), [pair(3).0, pair(2).0, pair(1).0]);
        assert_eq!(keys(&pair(2).0, &chain), [pair(2).0, pair(1).0]);
    }

    #[test]
    fn a_rotation_that_one_of_the_keys_did_not_sign_leads_nowhere() {
        let sound = rotation(1, 2);
        let forged = [
            Rotation { to: pair(3).0.to_string(), ..sound.clone() },
            Rotation { at: 8, ..sound.clone() },
            Rotation { by_old: sound.by_new.clone(), ..sound.clone() },
            Rotation { by_new: sound.by_old.clone(), ..sound.clone() },
            Rotation { by_new: "?".into(), ..sound.clone() },
            Rotation { format: "x".into(), ..sound.clone() },
        ];
        for rotation in forged {
            assert!(follow(&pair(1).0, std::slice::from_ref(&rotation)).is_err(), "{rotation:?}");
            assert_eq!(keys(&pair(2).0, std::slice::from_ref(&rotation)), [pair(2).0]);
        }
    }
}
