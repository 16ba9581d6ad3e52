//! Encryption policies of files and folders (Documentation/filesystems/fscrypt.rst).

use std::os::fd::AsFd as _;

use crate::host::ioctl::{self, KEY_NAME_BYTES};
use crate::host::{Host, ReadError};

/// A policy and whether its key is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// 1 or 2.
    pub version: u8,
    /// How contents are encrypted.
    pub contents: String,
    /// How names are.
    pub names: String,
    /// `present`, `absent`, `being removed`; empty when the kernel can't say (version 1).
    pub key: &'static str,
}

impl Policy {
    /// Such as `fscrypt v2 AES-256-XTS, names AES-256-CBC-CTS, key present`.
    pub fn shown(&self) -> String {
        let key = if self.key.is_empty() { String::new() } else { format!(", key {}", self.key) };
        format!("fscrypt v{} {}, names {}{key}", self.version, self.contents, self.names)
    }
}

/// File systems that are asked: local ones that can have policies. A remote one could block.
pub const FILE_SYSTEMS: &[&str] = &["ext4", "f2fs", "ubifs"];

/// The policy of a file or folder of this machine; `None` when it has none.
pub fn read(host: &Host, path: &str) -> Result<Option<Policy>, ReadError> {
    if !host.is_this_machine() {
        return Ok(None);
    }
    let fail = |e: rustix::io::Errno| ReadError::Io(path.into(), format!("its encryption policy: {e}"));
    let fd = host.open_to_ask(path)?;
    let Some(bytes) = ioctl::encryption_policy(fd.as_fd()).map_err(fail)? else {
        return Ok(None);
    };
    let Some(mut policy) = parse(&bytes) else {
        return Err(ReadError::Io(path.into(), "its encryption policy has an unknown version".into()));
    };
    if let Some(name) = key_name(&bytes) {
        policy.key = match ioctl::encryption_key_status(fd.as_fd(), name) {
            Ok(1) => "absent",
            Ok(2) => "present",
            Ok(3) => "being removed",
            _ => "",
        };
    }
    Ok(Some(policy))
}

/// Decodes a policy as the kernel gives it.
pub fn parse(bytes: &[u8]) -> Option<Policy> {
    let (&code, rest) = bytes.split_first()?;
    // The first version is written as 0 (fscrypt.h).
    let version = match code {
        0 => 1,
        2 => 2,
        _ => return None,
    };
    Some(Policy { version, contents: mode(*rest.first()?), names: mode(*rest.get(1)?), key: "" })
}

fn key_name(bytes: &[u8]) -> Option<[u8; KEY_NAME_BYTES]> {
    (bytes.first() == Some(&2)).then(|| bytes.get(8..24)?.try_into().ok()).flatten()
}

fn mode(code: u8) -> String {
    match code {
        1 => "AES-256-XTS".into(),
        4 => "AES-256-CBC-CTS".into(),
        5 => "AES-128-CBC-ESSIV".into(),
        6 => "AES-128-CBC-CTS".into(),
        7 => "SM4-XTS".into(),
        8 => "SM4-CBC-CTS".into(),
        9 => "Adiantum".into(),
        10 => "AES-256-HCTR2".into(),
        other => format!("mode {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_and_odd_bytes() {
        let mut second = vec![2, 1, 4, 3, 0, 0, 0, 0];
        second.extend([7; 16]);
        assert_eq!(parse(&second).unwrap().shown(), "fscrypt v2 AES-256-XTS, names AES-256-CBC-CTS");
        assert_eq!(key_name(&second), Some([7; 16]));
        assert_eq!(parse(&[0, 9, 9, 0]).unwrap().shown(), "fscrypt v1 Adiantum, names Adiantum");
        assert_eq!((parse(&[1, 1, 4]), parse(&[]), parse(&[2, 1])), (None, None, None));
        assert_eq!(key_name(&second[..20]), None);
    }
}
