//! Ed448 (RFC 8032 section 5.2): verification only, over public numbers.

use num_bigint::BigUint;
use sha3::Shake256;
use sha3::digest::{ExtendableOutput as _, Update as _, XofReader as _};

use super::verify::Verified;

/// Bytes of a key, and of each half of a signature.
const LENGTH: usize = 57;
/// Coordinates of the base point.
const BASE_X: &str = "4f1970c66bed0ded221d15a622bf36da9e146570470f1767ea6de324a3d3a46412ae1af72ab66511433b80e18b00938e2626a82bc70cc05e";
const BASE_Y: &str = "693f46716eb6bc248876203756c9c7624bea73736ca3984087789c1e05a0c2d73ad3ff1ce67c39c4fdbd132c4ed7c8ad9808795bf230fa14";
/// Order of the group of the base point.
const ORDER: &str = "3fffffffffffffffffffffffffffffffffffffffffffffffffffffff7cca23e9c44edb49aed63690216cc2728dc58f552378c292ab5844f3";
/// d is minus this.
const MINUS_D: u32 = 39_081;

/// Whether the signature of `message` holds under the key.
pub fn verify(message: &[u8], signature: &[u8], key: &[u8]) -> Verified {
    Verified::from_truth(accepts(message, signature, key).unwrap_or(false))
}

fn accepts(message: &[u8], signature: &[u8], key: &[u8]) -> Option<bool> {
    let (r_bytes, s_bytes) = signature.split_at_checked(LENGTH).filter(|(_, s)| s.len() == LENGTH)?;
    let curve = Curve::new()?;
    let (a, r) = (curve.decode(key)?, curve.decode(r_bytes)?);
    let s = BigUint::from_bytes_le(s_bytes);
    if s >= curve.order {
        return None;
    }
    let mut hash = Shake256::default();
    // dom4(0, "")
    hash.update(b"SigEd448\0\0");
    hash.update(r_bytes);
    hash.update(key);
    hash.update(message);
    let mut wide = [0; 2 * LENGTH];
    hash.finalize_xof().read(&mut wide);
    let k = BigUint::from_bytes_le(&wide) % &curve.order;
    // [4][S]B = [4]R + [4][k]A
    let left = curve.by_four(curve.times(&s, &curve.base));
    let right = curve.by_four(curve.add(&r, &curve.times(&k, &a)));
    Some(&left.x * &right.z % &curve.p == &right.x * &left.z % &curve.p && &left.y * &right.z % &curve.p == &right.y * &left.z % &curve.p)
}

/// x² + y² = 1 + d x² y² over the field of 2^448 − 2^224 − 1.
struct Curve {
    p: BigUint,
    order: BigUint,
    base: Point,
}

/// x = X/Z, y = Y/Z.
#[derive(Clone)]
struct Point {
    x: BigUint,
    y: BigUint,
    z: BigUint,
}

impl Curve {
    fn new() -> Option<Self> {
        let one = BigUint::from(1_u8);
        let p = (&one << 448_u32) - (&one << 224_u32) - &one;
        let number = |text: &str| BigUint::parse_bytes(text.as_bytes(), 16);
        Some(Self { p, order: number(ORDER)?, base: Point { x: number(BASE_X)?, y: number(BASE_Y)?, z: one } })
    }

    /// Section 5.2.3.
    fn decode(&self, bytes: &[u8]) -> Option<Point> {
        let (last, rest) = bytes.split_last().filter(|(_, rest)| rest.len() == LENGTH - 1)?;
        if last & 0x7f != 0 {
            return None;
        }
        let y = BigUint::from_bytes_le(rest);
        if y >= self.p {
            return None;
        }
        let one = BigUint::from(1_u8);
        let y2 = &y * &y % &self.p;
        // x² = (1 − y²) / (1 + 39081 y²)
        let u = self.subtract(&one, &y2);
        let v = (&y2 * MINUS_D + &one) % &self.p;
        let square = u * v.modinv(&self.p)? % &self.p;
        let root = square.modpow(&((&self.p + 1_u8) >> 2_u8), &self.p);
        let odd = last & 0x80 != 0;
        if &root * &root % &self.p != square || root == BigUint::ZERO && odd {
            return None;
        }
        let x = if root.bit(0) == odd { root } else { &self.p - root };
        Some(Point { x, y, z: one })
    }

    fn subtract(&self, a: &BigUint, b: &BigUint) -> BigUint {
        if a >= b { a - b } else { a + &self.p - b }
    }

    /// Section 5.2.4; complete, so it also doubles.
    fn add(&self, left: &Point, right: &Point) -> Point {
        let p = &self.p;
        let a = &left.z * &right.z % p;
        let b = &a * &a % p;
        let (c, d) = (&left.x * &right.x % p, &left.y * &right.y % p);
        let minus_e = &c * &d % p * MINUS_D % p;
        // F = B − E, G = B + E, with E = d C D and d negative.
        let (f, g) = ((&b + &minus_e) % p, self.subtract(&b, &minus_e));
        let h = (&left.x + &left.y) * (&right.x + &right.y) % p;
        let cross = self.subtract(&self.subtract(&h, &c), &d);
        Point { x: &a * &f % p * cross % p, y: &a * &g % p * self.subtract(&d, &c) % p, z: f * g % p }
    }

    fn by_four(&self, point: Point) -> Point {
        let twice = self.add(&point, &point);
        self.add(&twice, &twice)
    }

    fn times(&self, scalar: &BigUint, point: &Point) -> Point {
        let mut sum = Point { x: BigUint::ZERO, y: BigUint::from(1_u8), z: BigUint::from(1_u8) };
        for bit in (0..scalar.bits()).rev() {
            sum = self.add(&sum, &sum);
            if scalar.bit(bit) {
                sum = self.add(&sum, point);
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hexadecimal: &str) -> Vec<u8> {
        (0..hexadecimal.len()).step_by(2).map(|i| u8::from_str_radix(&hexadecimal[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_vector_of_the_standard_holds_and_every_damage_breaks_it() {
        // RFC 8032 section 7.4, "Blank".
        let key = bytes("5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778edf124769b46c7061bd6783df1e50f6cd1fa1abeafe8256180");
        let signature = bytes(
            "533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f2b233f034f628281f2fd7a22ddd47d7828c59bd0a21bfd3980\
             ff0d2028d4b18a9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4dbb61149f05a7363268c71d95808ff2e652600",
        );
        assert_eq!(verify(b"", &signature, &key), Verified::Valid);
        assert_eq!(verify(b"x", &signature, &key), Verified::Invalid);
        for at in (0..signature.len()).step_by(13) {
            let mut damaged = signature.clone();
            damaged[at] ^= 1;
            assert_eq!(verify(b"", &damaged, &key), Verified::Invalid, "{at}");
            assert_eq!(verify(b"", &signature[..at], &key), Verified::Invalid);
        }
    }
}
