//! The ledger against vectors of other implementations, exhaustive small trees and its own golden files.

use std::path::PathBuf;

use assay::ledger::checkpoint::{self, Verifier};
use assay::ledger::proof::ProofError;
use assay::ledger::tree::{Tree, empty_root, leaf_hash};
use assay::ledger::{Leaf, check_receipt, verify_consistency, verify_inclusion};
use assay::model::canonical;
use assay::model::envelope::{Envelope, RECEIPT_TYPE};
use assay::model::ids::{Digest, HostId, Lineage, RandomId, hex_decode};
use assay::model::receipt::Receipt;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

fn golden(name: &str, actual: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    if std::env::var_os("ASSAY_WRITE_VECTORS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(String::from_utf8_lossy(actual), String::from_utf8_lossy(&expected), "{name}");
}

fn key() -> (Ed25519KeyPair, Verifier) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[0x33; 32]).unwrap();
    let public = pair.public_key().as_ref().try_into().unwrap();
    (pair, Verifier::new("assay.invalid/00112233445566778899aabbccddeeff", public).unwrap())
}

fn leaf(sequence: u64) -> Leaf {
    Leaf::report(RandomId::new([0x44; 16]), Digest::of(b"report"), HostId::new([0x55; 32]), Lineage::new([0x22; 16]), sequence, 1_795_000_010)
}

/// The leaves that every Certificate Transparency implementation is tested with
/// (transparency-dev/merkle `proof/verify_test.go`).
const LEAVES: [&str; 8] = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn digests(texts: &[&str]) -> Vec<Digest> {
    texts.iter().map(|t| t.parse().unwrap()).collect()
}

fn known() -> Tree {
    Tree::from_leaf_hashes(LEAVES.iter().map(|l| leaf_hash(&hex_decode(l).unwrap())))
}

#[test]
fn roots_and_proofs_are_those_of_certificate_transparency() {
    let tree = known();
    assert_eq!(empty_root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (i, root) in ROOTS.iter().enumerate() {
        assert_eq!(tree.root_at(i as u64 + 1).unwrap().to_string(), *root);
    }
    let inclusion: [(u64, u64, &[&str]); 4] = [
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    for (index, size, proof) in inclusion {
        assert_eq!(tree.inclusion(index, size).unwrap(), digests(proof), "{index} of {size}");
    }
    let consistency: [(u64, u64, &[&str]); 3] = [
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 5, &["5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e", "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
        (
            6,
            7,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
    ];
    for (old, new, proof) in consistency {
        assert_eq!(tree.consistency(old, new).unwrap(), digests(proof), "{old} to {new}");
    }
}

/// What a damaged proof looks like: one hash less, one more, each bit of the first byte of each hash.
fn damaged(proof: &[Digest]) -> Vec<Vec<Digest>> {
    let mut all = vec![[proof, &[Digest::of(b"more")]].concat(), [&[Digest::of(b"more")], proof].concat()];
    for i in 0..proof.len() {
        let mut less = proof.to_vec();
        less.remove(i);
        all.push(less);
        let mut bytes = *proof[i].bytes();
        bytes[0] ^= 8;
        let mut changed = proof.to_vec();
        changed[i] = Digest::new(bytes);
        all.push(changed);
    }
    all
}

#[test]
fn every_inclusion_in_every_small_tree_verifies_and_nothing_near_it_does() {
    let leaves: Vec<Digest> = (0..34u8).map(|i| leaf_hash(&[i])).collect();
    let tree = Tree::from_leaf_hashes(leaves.iter().copied());
    for size in 1..=34u64 {
        let root = tree.root_at(size).unwrap();
        for index in 0..size {
            let (hash, proof) = (leaves[index as usize], tree.inclusion(index, size).unwrap());
            assert_eq!(verify_inclusion(&hash, index, size, &proof, &root), Ok(()), "{index} of {size}");
            assert!(verify_inclusion(&Digest::of(b"x"), index, size, &proof, &root).is_err());
            assert!(verify_inclusion(&hash, index + 1, size, &proof, &root).is_err());
            assert!(verify_inclusion(&hash, index, size, &proof, &Digest::of(b"x")).is_err());
            for bad in damaged(&proof) {
                assert!(verify_inclusion(&hash, index, size, &bad, &root).is_err(), "{index} of {size}: {bad:?}");
            }
        }
    }
    assert_eq!(verify_inclusion(&leaves[0], 0, 0, &[], &empty_root()), Err(ProofError::Range { index: 0, size: 0 }));
    assert!(verify_inclusion(&leaves[0], u64::MAX - 1, u64::MAX, &leaves, &leaves[0]).is_err());
}

#[test]
fn every_small_tree_is_a_prefix_of_every_larger_one_and_of_nothing_else() {
    let tree = Tree::from_leaf_hashes((0..34u8).map(|i| leaf_hash(&[i])));
    for new in 1..=34u64 {
        let new_root = tree.root_at(new).unwrap();
        for old in 1..=new {
            let (old_root, proof) = (tree.root_at(old).unwrap(), tree.consistency(old, new).unwrap());
            assert_eq!(verify_consistency(old, &old_root, new, &new_root, &proof), Ok(()), "{old} to {new}");
            assert!(verify_consistency(old, &Digest::of(b"x"), new, &new_root, &proof).is_err());
            assert!(verify_consistency(old, &old_root, new, &Digest::of(b"x"), &proof).is_err());
            for bad in damaged(&proof) {
                assert!(verify_consistency(old, &old_root, new, &new_root, &bad).is_err(), "{old} to {new}: {bad:?}");
            }
        }
    }
    assert_eq!(verify_consistency(0, &empty_root(), 5, &tree.root_at(5).unwrap(), &[]), Ok(()));
    assert!(verify_consistency(0, &Digest::of(b"x"), 5, &tree.root_at(5).unwrap(), &[]).is_err());
    assert!(verify_consistency(6, &tree.root_at(6).unwrap(), 5, &tree.root_at(5).unwrap(), &[]).is_err());
}

#[test]
fn leaf_checkpoint_and_verifier_key() {
    let (pair, verifier) = key();
    golden("leaf.json", &leaf(7).to_bytes().unwrap());
    golden("leaf.hash", leaf(7).hash().unwrap().to_string().as_bytes());
    golden("verifier.key", verifier.to_string().as_bytes());
    let note = checkpoint::sign(&verifier, 1, &leaf(7).hash().unwrap(), |m| pair.sign(m).as_ref().to_vec());
    golden("checkpoint.txt", note.as_bytes());
    assert_eq!(checkpoint::open(&note, &verifier).unwrap().root, leaf(7).hash().unwrap());
}

fn receipt(change: impl FnOnce(&mut Receipt)) -> Envelope {
    let (pair, verifier) = key();
    let others = (0..4u8).map(|i| leaf_hash(&[i]));
    let leaf = leaf(7);
    let tree = Tree::from_leaf_hashes(others.chain([leaf.hash().unwrap()]));
    let mut receipt = Receipt {
        format: assay::model::receipt::FORMAT.into(),
        report: leaf.reference,
        host: leaf.host.unwrap(),
        lineage: leaf.lineage.unwrap(),
        sequence: 7,
        received: leaf.at,
        leaf: String::from_utf8(leaf.to_bytes().unwrap()).unwrap(),
        index: 4,
        proof: tree.inclusion(4, 5).unwrap(),
        checkpoint: checkpoint::sign(&verifier, 5, &tree.root(), |m| pair.sign(m).as_ref().to_vec()),
    };
    change(&mut receipt);
    Envelope::seal(RECEIPT_TYPE, &canonical::to_bytes(&receipt).unwrap(), &verifier.keyid(), |m| pair.sign(m).as_ref().to_vec())
}

#[test]
fn a_receipt_proves_itself_and_a_false_one_is_caught_though_signed() {
    let (_, verifier) = key();
    assert_eq!(check_receipt(&receipt(|_| ()), &verifier).unwrap().index, 4);
    assert_eq!(check_receipt(&receipt(|r| r.report = Digest::of(b"other")), &verifier), Err(ProofError::Differs("report")));
    assert_eq!(check_receipt(&receipt(|r| r.host = HostId::new([9; 32])), &verifier), Err(ProofError::Differs("host")));
    assert_eq!(check_receipt(&receipt(|r| r.sequence = 8), &verifier), Err(ProofError::Differs("sequence")));
    assert_eq!(check_receipt(&receipt(|r| r.index = 3), &verifier), Err(ProofError::Length));
    let other = |r: &mut Receipt| {
        r.leaf = r.leaf.replace("\"sequence\":7", "\"sequence\":8");
        r.sequence = 8;
    };
    assert_eq!(check_receipt(&receipt(other), &verifier), Err(ProofError::Root));
    assert!(matches!(check_receipt(&receipt(|r| r.format = "x".into()), &verifier), Err(ProofError::Receipt(_))));
    let stranger = Verifier::new(verifier.name(), [7; 32]).unwrap();
    assert!(matches!(check_receipt(&receipt(|_| ()), &stranger), Err(ProofError::Envelope(_))));
}
