//! File capabilities as the kernel stores them (capabilities(7), include/uapi/linux/capability.h).
//!
//! ```text
//! magic_etc u32: revision in the top byte, effective flag in bit 0
//! revision 1: permitted u32, inheritable u32
//! revision 2: permitted, inheritable (low words), permitted, inheritable (high words)
//! revision 3: as 2, then the root user of the namespace, u32             all little-endian
//! ```

/// What an attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileCapabilities {
    pub permitted: Vec<String>,
    pub inheritable: Vec<String>,
    pub effective: bool,
    pub root_uid: u32,
}

/// Names by number.
const NAMES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

/// `None`: not in a documented format.
pub(super) fn parse(bytes: &[u8]) -> Option<FileCapabilities> {
    let word = |i: usize| bytes.get(i * 4..i * 4 + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    let magic = word(0)?;
    let (words, high, root) = match magic >> 24 {
        1 => (3, false, false),
        2 => (5, true, false),
        3 => (6, true, true),
        _ => return None,
    };
    if bytes.len() != words * 4 {
        return None;
    }
    let wide = |low: usize, upper: usize| Some(u64::from(word(low)?) | if high { u64::from(word(upper)?) << 32 } else { 0 });
    Some(FileCapabilities {
        permitted: names(wide(1, 3)?),
        inheritable: names(wide(2, 4)?),
        effective: magic & 1 == 1,
        root_uid: if root { word(5)? } else { 0 },
    })
}

fn names(set: u64) -> Vec<String> {
    (0..64).filter(|n| set >> n & 1 == 1).map(|n| NAMES.get(n).map_or_else(|| format!("cap_{n}"), |name| (*name).to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions() {
        // setcap cap_net_raw+ep FILE; getfattr -e hex -n security.capability FILE (libcap 2.66)
        let two = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(parse(&two).unwrap(), FileCapabilities { permitted: vec!["cap_net_raw".into()], inheritable: vec![], effective: true, root_uid: 0 });
        let three = [0, 0, 0, 3, 0x80, 0, 0, 0, 0x40, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x80, 0xa0, 0x86, 1, 0];
        let parsed = parse(&three).unwrap();
        assert_eq!((parsed.permitted, parsed.inheritable), (vec!["cap_setuid".into(), "cap_bpf".into()], vec!["cap_setgid".into(), "cap_63".into()]));
        assert_eq!((parsed.effective, parsed.root_uid), (false, 100_000));
        assert_eq!(parse(&[0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]).unwrap().permitted, ["cap_chown"]);
    }

    #[test]
    fn any_other_bytes_are_none() {
        let two = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for length in 0..two.len() {
            assert_eq!(parse(&two[..length]), None);
        }
        assert_eq!(parse(&[0xff; 20]), None);
        assert_eq!(parse(&[0xff; 24]), None);
    }
}
