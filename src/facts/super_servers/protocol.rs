//! What a service speaks, told by its program, its name or its port.
//!
//! The program comes first: whoever starts in.telnetd on port 2323 speaks telnet there. Names and
//! ports are those of IANA's registry and of the programs' packages.

/// Programs without folders, and what they speak.
const PROGRAMS: [(&str, &str); 45] = [
    ("in.ftpd", "ftp"),
    ("ftpd", "ftp"),
    ("vsftpd", "ftp"),
    ("proftpd", "ftp"),
    ("in.proftpd", "ftp"),
    ("pure-ftpd", "ftp"),
    ("pure-ftpd-wrapper", "ftp"),
    ("wu-ftpd", "ftp"),
    ("bftpd", "ftp"),
    ("inetutils-ftpd", "ftp"),
    ("in.telnetd", "telnet"),
    ("telnetd", "telnet"),
    ("telnetd-ssl", "telnet"),
    ("inetutils-telnetd", "telnet"),
    ("in.tftpd", "tftp"),
    ("tftpd", "tftp"),
    ("atftpd", "tftp"),
    ("in.rshd", "rsh"),
    ("rshd", "rsh"),
    ("inetutils-rshd", "rsh"),
    ("rsh-redone-rshd", "rsh"),
    ("in.rlogind", "rlogin"),
    ("rlogind", "rlogin"),
    ("inetutils-rlogind", "rlogin"),
    ("in.rexecd", "rexec"),
    ("rexecd", "rexec"),
    ("inetutils-rexecd", "rexec"),
    ("in.fingerd", "finger"),
    ("fingerd", "finger"),
    ("efingerd", "finger"),
    ("cfingerd", "finger"),
    ("in.talkd", "talk"),
    ("in.ntalkd", "talk"),
    ("talkd", "talk"),
    ("ntalkd", "talk"),
    ("inetutils-talkd", "talk"),
    ("in.uucpd", "uucp"),
    ("uucico", "uucp"),
    ("in.rwhod", "rwho"),
    ("rsync", "rsync"),
    ("sshd", "ssh"),
    ("smbd", "smb"),
    ("in.identd", "ident"),
    ("identd", "ident"),
    ("swat", "swat"),
];
/// Names of services(5), and what is spoken there.
const NAMES: [(&str, &str); 30] = [
    ("ftp", "ftp"),
    ("ftps", "ftp"),
    ("telnet", "telnet"),
    ("telnets", "telnet"),
    ("tftp", "tftp"),
    ("shell", "rsh"),
    ("rsh", "rsh"),
    ("cmd", "rsh"),
    ("login", "rlogin"),
    ("rlogin", "rlogin"),
    ("exec", "rexec"),
    ("rexec", "rexec"),
    ("finger", "finger"),
    ("talk", "talk"),
    ("ntalk", "talk"),
    ("echo", "echo"),
    ("discard", "discard"),
    ("sink", "discard"),
    ("chargen", "chargen"),
    ("daytime", "daytime"),
    ("time", "time"),
    ("systat", "systat"),
    ("netstat", "netstat"),
    ("uucp", "uucp"),
    ("rsync", "rsync"),
    ("ssh", "ssh"),
    ("microsoft-ds", "smb"),
    ("netbios-ssn", "smb"),
    ("auth", "ident"),
    ("swat", "swat"),
];
/// Ports with their transport, and what is spoken there.
const PORTS: [(u32, &str, &str); 18] = [
    (7, "", "echo"),
    (9, "", "discard"),
    (11, "", "systat"),
    (13, "", "daytime"),
    (15, "", "netstat"),
    (19, "", "chargen"),
    (21, "tcp", "ftp"),
    (22, "tcp", "ssh"),
    (23, "tcp", "telnet"),
    (37, "", "time"),
    (69, "udp", "tftp"),
    (79, "tcp", "finger"),
    (512, "tcp", "rexec"),
    (513, "tcp", "rlogin"),
    (514, "tcp", "rsh"),
    (517, "udp", "talk"),
    (518, "udp", "talk"),
    (873, "tcp", "rsync"),
];

/// What the program speaks; empty: not known.
pub fn of_program(program: &str) -> &'static str {
    let base = program.rsplit('/').next().unwrap_or(program);
    PROGRAMS.iter().find(|(p, _)| *p == base).map_or("", |(_, protocol)| protocol)
}

/// What a service speaks: by program, by name, by port.
pub fn of(program: &str, name: &str, port: u32, transport: &str) -> &'static str {
    let by_program = of_program(program);
    if !by_program.is_empty() {
        return by_program;
    }
    let stem = name.trim_end_matches("-stream").trim_end_matches("-dgram").trim_end_matches("-udp").trim_end_matches("-tcp");
    let by_name = NAMES.iter().find(|(n, _)| *n == stem).map(|(_, protocol)| *protocol);
    let by_port = || PORTS.iter().find(|(p, t, _)| *p == port && (t.is_empty() || *t == transport)).map(|(_, _, protocol)| *protocol);
    // Of a program that is known to be something else neither name nor port tells.
    by_name.or_else(by_port).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_comes_before_the_name() {
        assert_eq!(of("/usr/sbin/in.telnetd", "other", 2323, "tcp"), "telnet");
        assert_eq!(of("internal", "chargen-dgram", 19, "udp"), "chargen");
        assert_eq!(of("/opt/x", "shell", 0, "tcp"), "rsh");
        assert_eq!(of("/opt/x", "x", 69, "udp"), "tftp");
        assert_eq!(of("/opt/x", "x", 69, "tcp"), "");
    }
}
