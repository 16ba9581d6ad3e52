//! Signing in: passwords, one-time links, sessions and who may do what.
//!
//! A session is 32 random bytes in a cookie together with the second it began; the store keeps the
//! SHA-256 of the whole cookie value, so the beginning can't be moved by its holder:
//! ```text
//! cookie = base64url(32 random bytes) "." Unix seconds        stored: SHA-256(cookie) -> user, idle expiry
//! ```
//! Failures are counted by name, by address, and for second factors by user; a right password forgives those of the name alone.

mod factors;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::Semaphore;

use super::seal::SealError;
use super::store::{Grant, Store, StoreError, TokenRow, UserRow};
use crate::model::ids::{Digest, RandomId};

use factors::takes;
pub use factors::{begin_second_factor, confirm_second_factor, is_setup_alive, issue_setup, pending_secret, redeem_setup};

/// Shortest password that is accepted, characters.
pub const MIN_PASSWORD_CHARS: usize = 12;
/// Longest password that is looked at, bytes.
pub const MAX_PASSWORD_BYTES: usize = 1024;
/// Longest name to sign in with, bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// A session ends this long after its last use, seconds.
pub const SESSION_IDLE_SECONDS: i64 = 2 * 3_600;
/// A session ends this long after its beginning, seconds.
pub const SESSION_SECONDS: i64 = 12 * 3_600;
/// A one-time sign-in link lives this long, seconds.
pub const LINK_SECONDS: i64 = 15 * 60;
/// Between password and second factor, seconds.
const SECOND_SECONDS: i64 = 5 * 60;
/// Codes that may be tried in that time.
const SECOND_TRIES: u32 = 5;
/// The setting that names the roles which need a second factor.
pub const SECOND_FACTOR_ROLES: &str = "second-factor";
/// Failures of one address before it is locked for the rest of its window: many people may come from behind one.
const ADDRESS_ATTEMPTS: u32 = 100;
/// Window of an address, seconds.
const ADDRESS_SECONDS: i64 = 15 * 60;
/// Idle expiry is moved at most this often, seconds.
const TOUCH_SECONDS: i64 = 5 * 60;
/// Wrong passwords for one name before it is locked.
const FREE_ATTEMPTS: u32 = 5;
/// First lock, seconds; doubled by each further failure.
const LOCK_SECONDS: i64 = 60;
/// Longest lock, seconds.
const MAX_LOCK_SECONDS: i64 = 15 * 60;
/// Names and sessions remembered in memory.
const MAX_REMEMBERED: usize = 10_000;
/// Passwords verified at the same time: each takes 19 MiB.
const PARALLEL_VERIFICATIONS: usize = 2;
/// Argon2id: 19 MiB, 2 passes, 1 lane (OWASP password storage cheat sheet; RFC 9106 section 4).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Unknown name or wrong password; which one is not told.
    #[error("name or password is wrong")]
    Wrong,
    /// Too many wrong passwords.
    #[error("too many attempts for this name; try again in {0} s")]
    Locked(i64),
    /// A link that was used, has expired or never existed.
    #[error("this sign-in link was used, has expired or is not ours; ask for a new one")]
    Link,
    /// A password that can't be set.
    #[error("password must have {MIN_PASSWORD_CHARS} characters or more and at most {MAX_PASSWORD_BYTES} bytes")]
    Password,
    /// No random bytes, or the hash function failed.
    #[error("password hashing failed: {0}")]
    Hash(String),
    /// A code of a second factor that is none, or was used.
    #[error("the code is wrong or was used already")]
    Code,
    /// The secret of a second factor.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything, users and tokens included.
    Admin,
    /// Reads, exports, and decides on findings.
    Reviewer,
    /// Reads and exports.
    Auditor,
    /// Reads.
    Viewer,
}

impl Role {
    /// All, most powerful first.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Reviewer, Self::Auditor, Self::Viewer];

    /// The word in the store and on pages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Reviewer => "reviewer",
            Self::Auditor => "auditor",
            Self::Viewer => "viewer",
        }
    }

    /// The role of this word; an unknown word may only look.
    pub fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|r| r.word() == word).unwrap_or(Self::Viewer)
    }

    /// The one of the two that may do less.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        let rank = |role: Self| Self::ALL.iter().position(|r| *r == role);
        if rank(self) >= rank(other) { self } else { other }
    }

    /// Whether the person may record and decide.
    pub const fn may_record(self) -> bool {
        matches!(self, Self::Admin | Self::Reviewer)
    }

    /// Whether evidence may leave with this person.
    pub const fn may_export(self) -> bool {
        !matches!(self, Self::Viewer)
    }
}

/// A living session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who.
    pub user: UserRow,
    /// What they may do.
    pub role: Role,
    /// Token that each form of this session carries; empty when a program came with an API token.
    pub form_token: String,
    /// Digest of the cookie, or of the API token.
    pub digest: Digest,
    /// Within what an auditor may look; `None`: without bounds.
    pub grant: Option<Grant>,
    /// The role needs a second factor, and none is set up: nothing opens but setting it up.
    pub must_enrol: bool,
    /// The API token that stands for the person.
    pub token: Option<TokenRow>,
}

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The other end of the connection.
    pub address: Option<IpAddr>,
    /// What the browser says of itself, cut.
    pub agent: String,
}

impl Origin {
    /// One line for the list of sessions.
    pub fn label(&self) -> String {
        let address = self.address.map_or_else(|| "unknown address".into(), |a| a.to_string());
        if self.agent.is_empty() { address } else { format!("{address} · {}", self.agent) }
    }
}

/// The doorkeeper: counts failures and bounds the work that strangers can cause.
#[derive(Debug)]
pub struct Gate {
    failures: Mutex<HashMap<String, Failures>>,
    addresses: Mutex<HashMap<IpAddr, (u32, i64)>>,
    touched: Mutex<HashMap<Digest, i64>>,
    verifications: Semaphore,
    decoy: Option<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    locked_until: i64,
    /// The lock that the log knows of.
    told_until: i64,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A gate that has seen nobody; hashes one random password for names that do not exist.
    pub fn new() -> Self {
        let decoy = random_text().and_then(|text| hash(text.as_bytes())).ok();
        Self {
            failures: Mutex::default(),
            addresses: Mutex::default(),
            touched: Mutex::default(),
            verifications: Semaphore::new(PARALLEL_VERIFICATIONS),
            decoy,
        }
    }

    /// The user of this name and password. Takes as long for a name that does not exist.
    pub async fn check_password(&self, store: &Store, name: &str, password: &str, now: i64) -> Result<UserRow, AuthError> {
        if name.len() > MAX_NAME_BYTES || password.len() > MAX_PASSWORD_BYTES {
            return Err(AuthError::Wrong);
        }
        self.admit(name, now)?;
        let user = store.user_by_name(name).await?;
        let known = user.as_ref().filter(|u| !u.password.is_empty());
        let decoy = || self.decoy.clone().ok_or_else(|| AuthError::Hash("no random bytes at the start".into()));
        let expected = known.map_or_else(decoy, |u| Ok(u.password.clone()))?;
        let (given, is_known) = (password.to_string(), known.is_some());
        let permit = self.verifications.acquire().await.map_err(|e| AuthError::Hash(e.to_string()))?;
        let right = tokio::task::spawn_blocking(move || verify(&given, &expected)).await.map_err(|e| AuthError::Hash(e.to_string()))?;
        drop(permit);
        match user {
            Some(user) if right && is_known => {
                lock(&self.failures).remove(name);
                Ok(user)
            }
            _ => Err(AuthError::Wrong),
        }
    }

    /// Counts the attempt before it is made, so that attempts in parallel count too.
    fn admit(&self, name: &str, now: i64) -> Result<(), AuthError> {
        let mut failures = lock(&self.failures);
        if failures.len() >= MAX_REMEMBERED && !failures.contains_key(name) {
            failures.retain(|_, f| f.locked_until > now);
            if failures.len() >= MAX_REMEMBERED {
                return Err(AuthError::Locked(LOCK_SECONDS));
            }
        }
        let seen = failures.entry(name.to_string()).or_default();
        if seen.locked_until > now {
            return Err(AuthError::Locked(seen.locked_until - now));
        }
        seen.count = seen.count.saturating_add(1);
        if seen.count > FREE_ATTEMPTS {
            let doublings = (seen.count - FREE_ATTEMPTS - 1).min(8);
            seen.locked_until = now + (LOCK_SECONDS << doublings).min(MAX_LOCK_SECONDS);
        }
        Ok(())
    }

    /// Whether the present lock of a name was not told yet; the next answer is no until it is locked anew.
    pub fn tells_lock(&self, name: &str) -> bool {
        let mut failures = lock(&self.failures);
        let Some(seen) = failures.get_mut(name).filter(|f| f.told_until < f.locked_until) else { return false };
        seen.told_until = seen.locked_until;
        true
    }

    /// Counts an attempt of an address before it is made; a network of IPv6 (/64) is one address.
    pub fn admit_address(&self, address: Option<IpAddr>, now: i64) -> Result<(), AuthError> {
        let Some(address) = address.map(network) else { return Ok(()) };
        let mut seen = lock(&self.addresses);
        if seen.len() >= MAX_REMEMBERED && !seen.contains_key(&address) {
            seen.retain(|_, (_, since)| now - *since < ADDRESS_SECONDS);
            if seen.len() >= MAX_REMEMBERED {
                return Err(AuthError::Locked(LOCK_SECONDS));
            }
        }
        let (count, since) = seen.entry(address).or_insert((0, now));
        if now - *since >= ADDRESS_SECONDS {
            (*count, *since) = (0, now);
        }
        if *count >= ADDRESS_ATTEMPTS {
            return Err(AuthError::Locked(*since + ADDRESS_SECONDS - now));
        }
        *count += 1;
        Ok(())
    }

    /// An attempt of this address was right: it counts no longer.
    pub fn forgive_address(&self, address: Option<IpAddr>) {
        let Some(address) = address.map(network) else { return };
        if let Some((count, _)) = lock(&self.addresses).get_mut(&address) {
            *count = count.saturating_sub(1);
        }
    }

    /// Begins a session; the cookie's value. That an auditor signed in is an entry of the ledger.
    pub async fn open_session(&self, store: &Store, user: &RandomId, now: i64) -> Result<String, AuthError> {
        self.open_session_from(store, user, &Origin::default(), now).await
    }

    /// The same, with where it comes from.
    pub async fn open_session_from(&self, store: &Store, user: &RandomId, origin: &Origin, now: i64) -> Result<String, AuthError> {
        let user = store.user(user).await?.ok_or(AuthError::Link)?;
        let cookie = format!("{}.{now}", random_text()?);
        let is_logged = Role::of(&user.role) == Role::Auditor;
        store.begin_session(&Digest::of(cookie.as_bytes()), &user, now, now + SESSION_IDLE_SECONDS, &origin.label(), is_logged).await?;
        Ok(cookie)
    }

    /// Whether a code of the second factor is asked of this user; then what the next form must carry.
    pub async fn ask_second(&self, store: &Store, user: &RandomId, now: i64) -> Result<Option<String>, AuthError> {
        if store.second_factor(user).await?.is_none_or(|s| s.confirmed_at.is_none()) {
            return Ok(None);
        }
        let pending = random_text()?;
        store.put_secret("second", &Digest::of(pending.as_bytes()), &user.to_string(), now + SECOND_SECONDS, SECOND_TRIES).await?;
        Ok(Some(pending))
    }

    /// The user whose password was right and whose code is, too. A step or recovery code serves once.
    pub async fn check_second(&self, store: &Store, pending: &str, code: &str, now: i64) -> Result<RandomId, AuthError> {
        let digest = Digest::of(pending.as_bytes());
        let user: RandomId = store.take_secret("second", &digest, now).await?.and_then(|s| s.parse().ok()).ok_or(AuthError::Link)?;
        self.check_code(store, &user, code, now).await?;
        store.drop_secret("second", &digest).await?;
        Ok(user)
    }

    /// Whether a code of a user's second factor is good. A step or recovery code serves once; failures are counted by user.
    pub async fn check_code(&self, store: &Store, user: &RandomId, code: &str, now: i64) -> Result<(), AuthError> {
        let counted = format!("second {user}");
        self.admit(&counted, now)?;
        let factor = store.second_factor(user).await?.filter(|f| f.confirmed_at.is_some()).ok_or(AuthError::Link)?;
        if code.len() > MAX_NAME_BYTES || !takes(store, user, &factor.sealed, code, now).await? {
            return Err(AuthError::Code);
        }
        lock(&self.failures).remove(&counted);
        Ok(())
    }

    /// Whom an API token speaks for, within the lesser of its role and the person's.
    pub async fn token(&self, store: &Store, digest: &Digest, now: i64) -> Result<Option<Session>, AuthError> {
        let Some(token) = store.living_token(digest, now).await? else { return Ok(None) };
        let Some(user) = store.user(&token.user).await? else { return Ok(None) };
        if self.is_due_for_touch(digest, now) {
            store.touch_token(&token.id, now).await?;
        }
        let role = Role::of(&token.role).at_most(Role::of(&user.role));
        let grant = grant_of(store, &user).await?;
        Ok(Some(Session { user, role, form_token: String::new(), digest: *digest, grant, must_enrol: false, token: Some(token) }))
    }

    /// The session behind a cookie's value; `None` when it is unknown, idle for too long or too old.
    pub async fn session(&self, store: &Store, cookie: &str, now: i64) -> Result<Option<Session>, AuthError> {
        let digest = Digest::of(cookie.as_bytes());
        let Some(began) = cookie.rsplit_once('.').and_then(|(_, at)| at.parse::<i64>().ok()) else { return Ok(None) };
        let ends = began.saturating_add(SESSION_SECONDS);
        if now >= ends {
            store.drop_secret("session", &digest).await?;
            return Ok(None);
        }
        let Some(subject) = store.peek_secret("session", &digest, now).await? else { return Ok(None) };
        let Ok(id) = subject.parse::<RandomId>() else { return Ok(None) };
        let Some(user) = store.user(&id).await? else { return Ok(None) };
        if self.is_due_for_touch(&digest, now) {
            store.put_secret("session", &digest, &subject, (now + SESSION_IDLE_SECONDS).min(ends), 0).await?;
        }
        let role = Role::of(&user.role);
        let needs_second = store.setting(SECOND_FACTOR_ROLES).await?.split(' ').any(|word| word == role.word());
        let must_enrol = needs_second && store.second_factor(&user.id).await?.is_none_or(|s| s.confirmed_at.is_none());
        let grant = grant_of(store, &user).await?;
        Ok(Some(Session { user, role, form_token: form_token(cookie), digest, grant, must_enrol, token: None }))
    }

    fn is_due_for_touch(&self, digest: &Digest, now: i64) -> bool {
        let mut touched = lock(&self.touched);
        if touched.get(digest).is_some_and(|at| now - at < TOUCH_SECONDS) {
            return false;
        }
        if touched.len() >= MAX_REMEMBERED {
            touched.retain(|_, at| now - *at < TOUCH_SECONDS);
        }
        touched.insert(*digest, now);
        true
    }

    /// Ends a session.
    pub async fn close_session(&self, store: &Store, cookie: &str) -> Result<(), AuthError> {
        let digest = Digest::of(cookie.as_bytes());
        lock(&self.touched).remove(&digest);
        Ok(store.drop_secret("session", &digest).await?)
    }
}

/// Makes a one-time sign-in for a user: the token of `/signin/once?token=…`.
pub async fn issue_link(store: &Store, user: &RandomId, now: i64) -> Result<String, AuthError> {
    let token = random_text()?;
    store.put_secret("signin", &Digest::of(token.as_bytes()), &user.to_string(), now + LINK_SECONDS, 1).await?;
    Ok(token)
}

/// Whether a one-time sign-in still lives; it is not used up.
pub async fn is_link_alive(store: &Store, token: &str, now: i64) -> Result<bool, AuthError> {
    Ok(store.peek_secret("signin", &Digest::of(token.as_bytes()), now).await?.is_some())
}

/// Uses a one-time sign-in up.
pub async fn redeem_link(store: &Store, token: &str, now: i64) -> Result<RandomId, AuthError> {
    let subject = store.take_secret("signin", &Digest::of(token.as_bytes()), now).await?.ok_or(AuthError::Link)?;
    subject.parse().map_err(|_| AuthError::Link)
}

/// The bounds of an auditor; others have none.
async fn grant_of(store: &Store, user: &UserRow) -> Result<Option<Grant>, AuthError> {
    if Role::of(&user.role) == Role::Auditor { Ok(store.grant(&user.id).await?) } else { Ok(None) }
}

/// The first 64 bits of an IPv6 address: what one subscriber has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

/// The PHC string of a new password.
pub fn hash_password(password: &str) -> Result<String, AuthError> {
    if password.chars().count() < MIN_PASSWORD_CHARS || password.len() > MAX_PASSWORD_BYTES {
        return Err(AuthError::Password);
    }
    hash(password.as_bytes())
}

/// A fresh random id, as users have.
pub fn random_id() -> Result<RandomId, AuthError> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    Ok(RandomId::new(bytes))
}

fn hash(password: &[u8]) -> Result<String, AuthError> {
    let mut salt = [0; 16];
    fill(&mut salt)?;
    let failed = |e: argon2::password_hash::Error| AuthError::Hash(e.to_string());
    let salt = SaltString::encode_b64(&salt).map_err(failed)?;
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|e| AuthError::Hash(e.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password(password, &salt).map_err(failed)?.to_string())
}

fn verify(password: &str, expected: &str) -> bool {
    PasswordHash::new(expected).is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}

fn form_token(cookie: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, cookie.as_bytes());
    URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, b"assay form token"))
}

fn random_text() -> Result<String, AuthError> {
    let mut bytes = [0; 32];
    fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn fill(bytes: &mut [u8]) -> Result<(), AuthError> {
    SystemRandom::new().fill(bytes).map_err(|_| AuthError::Hash("the kernel gave no random bytes".into()))
}

/// A poisoned map is still a map: a panic elsewhere must not lock everybody out.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_verifies_and_short_ones_are_refused() {
        let hashed = hash_password("correct horse battery").unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify("correct horse battery", &hashed));
        assert!(!verify("correct horse batter", &hashed));
        assert!(!verify("", ""));
        assert!(matches!(hash_password("short"), Err(AuthError::Password)));
    }

    #[test]
    fn an_address_is_locked_for_its_window_and_memory_is_bounded() {
        let (gate, here) = (Gate::new(), |n: u128| Some(IpAddr::V6((n << 64).into())));
        for n in 0..ADDRESS_ATTEMPTS {
            gate.admit_address(Some(IpAddr::V6((u128::from(n)).into())), 1_000).unwrap();
        }
        assert!(matches!(gate.admit_address(here(0), 1_100), Err(AuthError::Locked(800))), "one network of IPv6");
        gate.admit_address(here(1), 1_100).unwrap();
        gate.admit_address(here(0), 1_000 + ADDRESS_SECONDS).unwrap();
        for n in 0..30_000 {
            let _ = gate.admit_address(here(n + 5), 2_000);
        }
        assert!(lock(&gate.addresses).len() <= MAX_REMEMBERED);
        gate.admit_address(None, 2_000).unwrap();
    }

    #[test]
    fn a_name_is_locked_after_five_failures_and_longer_each_time() {
        let gate = Gate::new();
        for _ in 0..=FREE_ATTEMPTS {
            gate.admit("anna", 1_000).unwrap();
        }
        assert!(matches!(gate.admit("anna", 1_000), Err(AuthError::Locked(60))));
        gate.admit("ben", 1_000).unwrap();
        gate.admit("anna", 1_060).unwrap();
        assert!(matches!(gate.admit("anna", 1_060), Err(AuthError::Locked(120))));
    }
}
