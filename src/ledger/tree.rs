//! The Merkle tree of RFC 6962 section 2.1, append-only.
//!
//! Every complete subtree's hash is kept by level: `levels[k][i]` covers leaves `i·2^k .. (i+1)·2^k`.
//! The last hash of each level is the compact frontier, so a push costs one hash on average, and
//! any proof of any earlier size takes O(log² n) look-ups.

use crate::model::ids::Digest;

/// Hash of a leaf: SHA-256(0x00 || bytes).
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(0);
    message.extend_from_slice(bytes);
    Digest::of(&message)
}

/// Hash of an inner node: SHA-256(0x01 || left || right).
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut message = [1; 65];
    message[1..33].copy_from_slice(left.bytes());
    message[33..].copy_from_slice(right.bytes());
    Digest::of(&message)
}

/// Root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Digest {
    Digest::of(&[])
}

/// A tree with every leaf hash it was given.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree over these leaves, in order.
    pub fn from_leaf_hashes(hashes: impl IntoIterator<Item = Digest>) -> Self {
        let mut tree = Self::new();
        for hash in hashes {
            tree.push(hash);
        }
        tree
    }

    /// How many leaves.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |l| l.len() as u64)
    }

    /// The hash of one leaf.
    pub fn leaf(&self, index: u64) -> Option<Digest> {
        self.at(0, index)
    }

    /// Appends a leaf hash; its index is the size before.
    pub fn push(&mut self, hash: Digest) {
        let mut hash = hash;
        let mut level = 0;
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(row) = self.levels.get_mut(level) else { return };
            row.push(hash);
            let [.., left, right] = row.as_slice() else { return };
            if row.len() % 2 != 0 {
                return;
            }
            hash = node_hash(left, right);
            level += 1;
        }
    }

    /// Root over all leaves.
    pub fn root(&self) -> Digest {
        self.root_at(self.size()).unwrap_or_else(empty_root)
    }

    /// Root as it was at `size`; `None` beyond the tree.
    pub fn root_at(&self, size: u64) -> Option<Digest> {
        if size == 0 { Some(empty_root()) } else { self.subtree(0, size) }
    }

    /// Audit path of leaf `index` in the tree of `size` leaves (RFC 6962 section 2.1.1), leaf side
    /// first; `None` when there is no such leaf or size.
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Digest>> {
        if index >= size || size > self.size() {
            return None;
        }
        let (mut low, mut high) = (0, size);
        let mut path = Vec::new();
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                path.push(self.subtree(middle, high)?);
                high = middle;
            } else {
                path.push(self.subtree(low, middle)?);
                low = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// Proof that the tree of `old` leaves is a prefix of the tree of `new` leaves (RFC 6962
    /// section 2.1.2); `None` when `old` is 0 or beyond `new`, or `new` beyond the tree.
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Digest>> {
        if old == 0 || old > new || new > self.size() {
            return None;
        }
        let (mut low, mut high) = (0, new);
        let mut whole = true;
        let mut path = Vec::new();
        while old != high {
            let middle = low + split(high - low);
            if old <= middle {
                path.push(self.subtree(middle, high)?);
                high = middle;
            } else {
                path.push(self.subtree(low, middle)?);
                low = middle;
                whole = false;
            }
        }
        if !whole {
            path.push(self.subtree(low, high)?);
        }
        path.reverse();
        Some(path)
    }

    fn at(&self, level: usize, index: u64) -> Option<Digest> {
        self.levels.get(level)?.get(usize::try_from(index).ok()?).copied()
    }

    /// Hash over leaves `low .. high`; `low` is a multiple of the largest power of two in `high - low`.
    fn subtree(&self, low: u64, high: u64) -> Option<Digest> {
        let count = high.checked_sub(low)?;
        if count.is_power_of_two() {
            let level = count.trailing_zeros();
            return self.at(level as usize, low >> level);
        }
        if count == 0 {
            return None;
        }
        let middle = low + split(count);
        Some(node_hash(&self.subtree(low, middle)?, &self.subtree(middle, high)?))
    }
}

/// The largest power of two smaller than `count` (which is at least 2).
fn split(count: u64) -> u64 {
    1 << (count.saturating_sub(1)).max(1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962's recursive definition, word for word.
    fn definition(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            many => {
                let mut k = 1;
                while k * 2 < many.len() {
                    k *= 2;
                }
                node_hash(&definition(&many[..k]), &definition(&many[k..]))
            }
        }
    }

    #[test]
    fn every_root_of_every_size_is_the_definition() {
        let leaves: Vec<Digest> = (0..70u8).map(|i| leaf_hash(&[i])).collect();
        let tree = Tree::from_leaf_hashes(leaves.iter().copied());
        for size in 0..=leaves.len() {
            assert_eq!(tree.root_at(size as u64), Some(definition(&leaves[..size])), "{size}");
        }
        assert_eq!((tree.size(), tree.root()), (70, definition(&leaves)));
        assert_eq!(tree.root_at(71), None);
    }

    #[test]
    fn proofs_beyond_the_tree_do_not_exist() {
        let tree = Tree::from_leaf_hashes([leaf_hash(b"a"), leaf_hash(b"b")]);
        assert_eq!(tree.inclusion(2, 2), None);
        assert_eq!(tree.inclusion(0, 3), None);
        assert_eq!(tree.consistency(0, 2), None);
        assert_eq!(tree.consistency(2, 1), None);
        assert_eq!(tree.consistency(2, 3), None);
        assert_eq!(tree.consistency(2, 2), Some(Vec::new()));
        assert_eq!(tree.inclusion(0, 1), Some(Vec::new()));
        assert_eq!(Tree::new().inclusion(0, 0), None);
    }
}
