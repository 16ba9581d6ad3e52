//! UEFI Secure Boot and kernel lockdown.

use super::{Boot, Hardening};
use crate::facts::Document as _;
use crate::host::Host;
use crate::model::gap::{Gaps, reason};

/// The variable of the firmware (UEFI specification section 3.3); four bytes of attributes stand before its value.
const SECURE_BOOT: &str = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
const LIMIT: usize = 256;

pub fn gather(host: &Host, gaps: &mut Gaps) -> Boot {
    if !host.is_live() {
        gaps.note(Hardening::NAME, "boot", "", reason::NEEDS_LIVE_KERNEL, "a root folder has no running kernel", "Scan the machine itself.");
        return Boot::default();
    }
    let secure_boot = match host.read(SECURE_BOOT, LIMIT) {
        Ok(bytes) => bytes.get(4).map(|b| *b == 1),
        Err(e) if e.is_not_found() => None,
        Err(e) => {
            gaps.add(e.to_gap(Hardening::NAME, "boot.secure_boot", ""));
            None
        }
    };
    let lockdown = match host.read_text(LOCKDOWN, LIMIT) {
        // `none [integrity] confidentiality`
        Ok(text) => text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(word, _)| word.to_string()).unwrap_or_default(),
        Err(e) if e.is_not_found() => String::new(),
        Err(e) => {
            gaps.add(e.to_gap(Hardening::NAME, "boot.lockdown", ""));
            String::new()
        }
    };
    Boot { secure_boot, lockdown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::recorded;

    #[test]
    fn what_firmware_and_kernel_say() {
        let (_root, host) = recorded(&[(SECURE_BOOT, "\u{6}\0\0\0\u{1}"), (LOCKDOWN, "none [integrity] confidentiality\n")]);
        let found = gather(&host, &mut Gaps::new());
        assert_eq!(found, Boot { secure_boot: Some(true), lockdown: "integrity".into() });
        let (_root, host) = recorded(&[(SECURE_BOOT, "\u{6}"), (LOCKDOWN, "none")]);
        assert_eq!(gather(&host, &mut Gaps::new()), Boot::default());
    }
}
