//! What the modules of Linux-PAM and its common companions answer, by what is asked of the stack.

use super::line::Module;

/// Codes of a module for somebody who has nothing to show: no password, no key, no card, an
/// ordinary account, no special group. Modules that check nothing succeed.
pub fn impostor(module: &Module) -> Vec<&'static str> {
    match module.name() {
        "pam_succeed_if" if broad(&module.arguments) => vec!["success"],
        "pam_faillock" if module.has("authfail") => vec!["ignore", "auth_err"],
        "pam_listfile" => vec!["success", "auth_err"],
        "pam_cap" | "pam_gnome_keyring" | "pam_kwallet" | "pam_kwallet5" | "pam_ecryptfs" => vec!["success", "ignore"],
        name if UNCHECKED.contains(&name) => vec!["success"],
        name if SILENT.contains(&name) => vec!["ignore"],
        name if DIRECTORIES.contains(&name) => vec!["auth_err", "user_unknown", "authinfo_unavail"],
        _ => vec!["auth_err"],
    }
}

/// Modules that succeed without a proof of who is there.
const UNCHECKED: [&str; 12] = [
    "pam_access",
    "pam_debug",
    "pam_echo",
    "pam_faillock",
    "pam_lastlog",
    "pam_localuser",
    "pam_permit",
    "pam_securetty",
    "pam_shells",
    "pam_tally",
    "pam_tally2",
    "pam_usertype",
];

/// Modules that have no say in authentication: they answer "ignore".
const SILENT: [&str; 17] = [
    "pam_env",
    "pam_faildelay",
    "pam_group",
    "pam_issue",
    "pam_keyinit",
    "pam_limits",
    "pam_loginuid",
    "pam_mail",
    "pam_mkhomedir",
    "pam_motd",
    "pam_nologin",
    "pam_selinux",
    "pam_sepermit",
    "pam_systemd",
    "pam_tmpdir",
    "pam_umask",
    "pam_warn",
];

/// Modules that ask a directory, which need not know the account or be there.
const DIRECTORIES: [&str; 8] = ["pam_sss", "pam_ldap", "pam_ldapd", "pam_krb5", "pam_winbind", "pam_radius_auth", "pam_tacplus", "pam_systemd_home"];

/// Modules that check the password of local accounts.
pub const LOCAL_PASSWORD: [&str; 3] = ["pam_unix", "pam_unix2", "pam_pwdb"];

/// Whether the conditions of pam_succeed_if(8) hold for an ordinary account without anything being
/// asked of it. Lists, groups and names are narrow: they are meant for whoever is listed.
fn broad(arguments: &[String]) -> bool {
    let mut conditions = 0;
    let mut words = arguments.iter().map(String::as_str).filter(|a| !FLAGS.contains(a));
    while let (Some(left), Some(operator), Some(right)) = (words.next(), words.next(), words.next()) {
        conditions += 1;
        let holds = match (left, operator) {
            ("uid" | "gid", "ge" | ">=" | "gt" | ">") => right.parse::<u64>().is_ok_and(|n| n <= ORDINARY_UID),
            ("uid" | "gid", "ne" | "!=") => right != "1000",
            ("user" | "group" | "shell" | "home", "!=" | "notin" | "!~") | (_, "notingroup") => true,
            _ => false,
        };
        if !holds {
            return false;
        }
    }
    conditions > 0
}

const FLAGS: [&str; 6] = ["debug", "use_uid", "quiet", "quiet_fail", "quiet_success", "audit"];
/// First user id of ordinary accounts.
const ORDINARY_UID: u64 = 1000;

/// Codes when the password is right, and `refused` returns a failure.
pub fn knows_password(module: &Module, refused: &dyn Fn(&Module) -> bool) -> Vec<&'static str> {
    match module.name() {
        _ if refused(module) => vec!["auth_err"],
        "pam_deny" | "pam_rootok" | "pam_rhosts" | "pam_ftp" => vec!["auth_err"],
        "pam_faillock" if module.has("authfail") => vec!["auth_err"],
        name if LOCAL_PASSWORD.contains(&name) => vec!["success"],
        name if DIRECTORIES.contains(&name) => vec!["user_unknown", "authinfo_unavail"],
        "pam_succeed_if" => vec!["success", "auth_err"],
        name if SILENT.contains(&name) => vec!["ignore"],
        _ => vec!["success"],
    }
}

/// Codes while a new password is set; `refused` rejects it.
pub fn new_password(module: &Module, refused: &dyn Fn(&Module) -> bool) -> Vec<&'static str> {
    match module.name() {
        _ if refused(module) => vec!["authtok_err"],
        "pam_deny" => vec!["authtok_err"],
        name if DIRECTORIES.contains(&name) => vec!["user_unknown", "authinfo_unavail"],
        "pam_succeed_if" => vec!["success", "auth_err"],
        "pam_gnome_keyring" | "pam_ecryptfs" => vec!["success", "ignore"],
        _ => vec!["success"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_broad_or_narrow() {
        let of = |text: &str| broad(&text.split(' ').map(String::from).collect::<Vec<_>>());
        assert!(of("uid >= 1000 quiet_success") && of("user != root") && of("quiet uid ne 0"));
        assert!(
            !of("user ingroup nopasswdlogin")
                && !of("uid = 0 use_uid")
                && !of("uid < 1000")
                && !of("service in crond quiet use_uid")
                && !of("quiet")
                && !of("uid")
        );
    }
}
