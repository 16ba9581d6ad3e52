//! ECDSA over every named prime curve, and DSA (FIPS 186): what the everyday library leaves out.
//!
//! Only public numbers are calculated with, so nothing here needs constant time.

use num_bigint::BigUint;

use super::algorithm::{Hash, PublicKey};
use super::curves::Curve;
use super::der::{INTEGER, Reader, bit_length};
use super::verify::Verified;

/// Longest prime of DSA that is calculated with, bits (FIPS 186-4 goes to 3072).
const DSA_LIMIT: u32 = 8_192;
/// Longest subgroup order of DSA, bits.
const DSA_ORDER_LIMIT: u32 = 512;

/// ECDSA (FIPS 186-5 section 6.4.2).
pub fn ecdsa(hash: Hash, message: &[u8], signature: &[u8], key: &PublicKey<'_>, curve: &Curve) -> Verified {
    let Some(digest) = hash.of(message) else {
        return Verified::not(format!("hash {} is not calculated", hash.name()));
    };
    let Some(field) = Field::of(curve) else {
        return Verified::not(format!("curve {} is not calculated with", curve.name));
    };
    let Some(public) = field.decode(key.bytes) else {
        return Verified::Invalid;
    };
    Verified::from_truth(accepts(&field, &public, &digest, signature).unwrap_or(false))
}

fn accepts(field: &Field, public: &Point, digest: &[u8], signature: &[u8]) -> Option<bool> {
    let (r, s) = pair(signature, &field.order)?;
    let w = s.modinv(&field.order)?;
    let u1 = leftmost(digest, field.order.bits()) * &w % &field.order;
    let u2 = &r * &w % &field.order;
    let sum = field.sum_of_products(&u1, &u2, public);
    let (x, _) = field.affine(&sum)?;
    Some(x % &field.order == r)
}

/// DSA (FIPS 186-4 section 4.7).
pub fn dsa(hash: Hash, message: &[u8], signature: &[u8], key: &PublicKey<'_>) -> Verified {
    let Some(digest) = hash.of(message) else {
        return Verified::not(format!("hash {} is not calculated", hash.name()));
    };
    let Some([p, q, g, y]) = dsa_numbers(key) else {
        return Verified::not("the DSA key is malformed or has no parameters".into());
    };
    if p.bits() > u64::from(DSA_LIMIT) || q.bits() > u64::from(DSA_ORDER_LIMIT) {
        return Verified::not(format!("a DSA key of {} bits is too large to calculate with", p.bits()));
    }
    let holds = || {
        let (r, s) = pair(signature, &q)?;
        let w = s.modinv(&q)?;
        let u1 = leftmost(&digest, q.bits()) * &w % &q;
        let u2 = &r * &w % &q;
        Some(g.modpow(&u1, &p) * y.modpow(&u2, &p) % &p % &q == r)
    };
    Verified::from_truth(holds().unwrap_or(false))
}

fn dsa_numbers(key: &PublicKey<'_>) -> Option<[BigUint; 4]> {
    let mut parameters = key.algorithm.parameters?.inside();
    let next = |reader: &mut Reader<'_>| Some(BigUint::from_bytes_be(reader.expect(INTEGER).ok()?.unsigned().ok()?));
    let (p, q, g) = (next(&mut parameters)?, next(&mut parameters)?, next(&mut parameters)?);
    let y = next(&mut Reader::new(key.bytes))?;
    let two = BigUint::from(2_u8);
    (p > two && q > two && g < p && y < p).then_some([p, q, g, y])
}

/// Both numbers of a signature, each between 1 and the order.
fn pair(signature: &[u8], order: &BigUint) -> Option<(BigUint, BigUint)> {
    let mut outer = Reader::new(signature);
    let mut fields = outer.sequence().ok()?;
    outer.end().ok()?;
    let mut number = || {
        let bytes = fields.expect(INTEGER).ok()?.unsigned().ok()?;
        // An order has at most 640 bits; no larger number needs to be built.
        (bit_length(bytes) <= 1024).then(|| BigUint::from_bytes_be(bytes)).filter(|n| *n > BigUint::ZERO && n < order)
    };
    let (r, s) = (number()?, number()?);
    fields.end().ok()?;
    Some((r, s))
}

/// The leftmost bits of a digest as a number.
fn leftmost(digest: &[u8], bits: u64) -> BigUint {
    let number = BigUint::from_bytes_be(digest);
    let length = 8 * digest.len() as u64;
    if length > bits { number >> (length - bits) } else { number }
}

/// Arithmetic on one curve.
struct Field {
    p: BigUint,
    a: BigUint,
    b: BigUint,
    generator: Point,
    order: BigUint,
}

/// Our public key (SEC 1 section 2.3.3, uncompressed) for a secret number. Takes a time that depends on the secret: good for
/// examining a server, for nothing else.
pub fn public_key(curve: &Curve, secret: &[u8]) -> Option<Vec<u8>> {
    let field = Field::of(curve)?;
    let point = field.sum_of_products(&BigUint::from_bytes_be(secret), &BigUint::ZERO, &field.generator);
    let (x, y) = field.affine(&point)?;
    Some([&[4][..], &field.padded(&x)?, &field.padded(&y)?].concat())
}

/// The shared secret of ECDH (SEC 1 section 3.3.1): the first coordinate.
pub fn agree(curve: &Curve, secret: &[u8], peer: &[u8]) -> Option<Vec<u8>> {
    let field = Field::of(curve)?;
    let peer = field.decode(peer)?;
    let point = field.sum_of_products(&BigUint::ZERO, &BigUint::from_bytes_be(secret), &peer);
    field.padded(&field.affine(&point)?.0)
}

/// Jacobian coordinates: x = X/Z², y = Y/Z³; Z = 0 is the point at infinity.
#[derive(Clone, Debug)]
struct Point {
    x: BigUint,
    y: BigUint,
    z: BigUint,
}

impl Point {
    fn affine(x: BigUint, y: BigUint) -> Self {
        Self { x, y, z: BigUint::from(1_u8) }
    }

    fn infinity() -> Self {
        Self { x: BigUint::from(1_u8), y: BigUint::from(1_u8), z: BigUint::ZERO }
    }

    fn is_infinity(&self) -> bool {
        self.z == BigUint::ZERO
    }
}

impl Field {
    fn of(curve: &Curve) -> Option<Self> {
        let number = |hexadecimal: &str| BigUint::parse_bytes(hexadecimal.as_bytes(), 16);
        Some(Self {
            p: number(curve.p)?,
            a: number(curve.a)?,
            b: number(curve.b)?,
            generator: Point::affine(number(curve.x)?, number(curve.y)?),
            order: number(curve.order)?,
        })
    }

    /// A coordinate in as many bytes as the prime has.
    fn padded(&self, number: &BigUint) -> Option<Vec<u8>> {
        let bytes = number.to_bytes_be();
        let length = usize::try_from(self.p.bits().div_ceil(8)).ok()?;
        Some([vec![0; length.checked_sub(bytes.len())?], bytes].concat())
    }

    /// A public key (SEC 1 section 2.3.4) that lies on the curve.
    fn decode(&self, bytes: &[u8]) -> Option<Point> {
        let length = usize::try_from(self.p.bits().div_ceil(8)).ok()?;
        let (form, rest) = bytes.split_first()?;
        let (x, y) = rest.split_at_checked(length)?;
        let x = BigUint::from_bytes_be(x);
        if x >= self.p {
            return None;
        }
        let right = (&x * &x % &self.p * &x + &self.a * &x + &self.b) % &self.p;
        let y = match (form, y.len()) {
            (4, n) if n == length => BigUint::from_bytes_be(y),
            (2 | 3, 0) => self.root(&right, form & 1 == 1)?,
            _ => return None,
        };
        (y < self.p && &y * &y % &self.p == right).then(|| Point::affine(x, y))
    }

    /// A square root where p is 3 modulo 4: every curve of the table but P-224.
    fn root(&self, square: &BigUint, odd: bool) -> Option<BigUint> {
        if &self.p % 4_u8 != BigUint::from(3_u8) {
            return None;
        }
        let root = square.modpow(&((&self.p + 1_u8) >> 2_u8), &self.p);
        Some(if root.bit(0) == odd { root } else { &self.p - root })
    }

    fn subtract(&self, a: &BigUint, b: &BigUint) -> BigUint {
        if a >= b { a - b } else { a + &self.p - b }
    }

    fn double(&self, point: &Point) -> Point {
        if point.is_infinity() || point.y == BigUint::ZERO {
            return Point::infinity();
        }
        let p = &self.p;
        let y2 = &point.y * &point.y % p;
        let s = ((&point.x * &y2) << 2_u8) % p;
        let z2 = &point.z * &point.z % p;
        let m = (&point.x * &point.x * 3_u8 + &self.a * (&z2 * &z2 % p)) % p;
        let x = self.subtract(&(&m * &m % p), &((&s << 1_u8) % p));
        let y = self.subtract(&(&m * self.subtract(&s, &x) % p), &(((&y2 * &y2) << 3_u8) % p));
        let z = ((&point.y * &point.z) << 1_u8) % p;
        Point { x, y, z }
    }

    fn add(&self, left: &Point, right: &Point) -> Point {
        if left.is_infinity() {
            return right.clone();
        }
        if right.is_infinity() {
            return left.clone();
        }
        let p = &self.p;
        let (lz2, rz2) = (&left.z * &left.z % p, &right.z * &right.z % p);
        let (u1, u2) = (&left.x * &rz2 % p, &right.x * &lz2 % p);
        let s1 = &left.y * (&rz2 * &right.z % p) % p;
        let s2 = &right.y * (&lz2 * &left.z % p) % p;
        let (h, r) = (self.subtract(&u2, &u1), self.subtract(&s2, &s1));
        if h == BigUint::ZERO {
            return if r == BigUint::ZERO { self.double(left) } else { Point::infinity() };
        }
        let h2 = &h * &h % p;
        let h3 = &h2 * &h % p;
        let v = &u1 * &h2 % p;
        let x = self.subtract(&self.subtract(&(&r * &r % p), &h3), &((&v << 1_u8) % p));
        let y = self.subtract(&(&r * self.subtract(&v, &x) % p), &(&s1 * &h3 % p));
        let z = &left.z * &right.z % p * &h % p;
        Point { x, y, z }
    }

    /// u1 times the generator plus u2 times `point`, both from the top bit down.
    fn sum_of_products(&self, u1: &BigUint, u2: &BigUint, point: &Point) -> Point {
        let both = self.add(&self.generator, point);
        let mut sum = Point::infinity();
        for bit in (0..u1.bits().max(u2.bits())).rev() {
            sum = self.double(&sum);
            sum = match (u1.bit(bit), u2.bit(bit)) {
                (true, true) => self.add(&sum, &both),
                (true, false) => self.add(&sum, &self.generator),
                (false, true) => self.add(&sum, point),
                (false, false) => sum,
            };
        }
        sum
    }

    fn affine(&self, point: &Point) -> Option<(BigUint, BigUint)> {
        let inverse = point.z.modinv(&self.p)?;
        let square = &inverse * &inverse % &self.p;
        Some((&point.x * &square % &self.p, &point.y * (&square * &inverse % &self.p) % &self.p))
    }
}
