//! The system-call filter that makes "the agent starts no program" a property, not a habit.
//!
//! Installed by the process itself, on all threads, before any runtime: a filter in the service
//! unit would stop the service from starting. `execve`, `execveat`, `ptrace`, `process_vm_readv`
//! and `process_vm_writev` answer EPERM; a system call of a foreign ABI (32-bit) kills the
//! process, and those of x32 are refused by number (seccomp(2)).

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch};

/// Why the filter could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// This processor is not supported by the filter compiler.
    #[error("no system-call filter for processor {0}: assay runs on x86_64, aarch64 and riscv64")]
    Processor(&'static str),
    /// The kernel or the compiler refused.
    #[error("system-call filter can't be installed: {0}; the kernel needs CONFIG_SECCOMP_FILTER")]
    Install(String),
}

/// Calls that are refused, by the running processor's numbers.
const REFUSED: [libc::c_long; 5] = [libc::SYS_execve, libc::SYS_execveat, libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev];

/// Marks a system call of the x32 ABI (`__X32_SYSCALL_BIT`), which shares x86_64's audit number.
#[cfg(target_arch = "x86_64")]
const X32_BIT: i64 = 0x4000_0000;
/// The same calls in x32's own range (`arch/x86/entry/syscalls/syscall_64.tbl`): execve, ptrace,
/// process_vm_readv, process_vm_writev, execveat.
#[cfg(target_arch = "x86_64")]
const X32_OWN: [i64; 5] = [520, 521, 539, 540, 545];

/// Installs the filter on every thread of the process. There is no way back.
pub fn install() -> Result<(), SeccompError> {
    apply(refused().into_iter().map(|number| (number, Vec::new())).collect(), libc::EPERM)
}

/// From now on no thread of the process changes the file system: opening for writing, creating,
/// renaming, removing, changing rights or owners answer EROFS. For the gatherer, which reads
/// everything and has bound its socket before; landlock(7) would hide other processes from it.
pub fn read_only() -> Result<(), SeccompError> {
    let mut rules: Rules = WRITING.into_iter().map(|number| (number, Vec::new())).collect();
    #[cfg(target_arch = "x86_64")]
    {
        rules.extend(WRITING_OLD.into_iter().map(|number| (number, Vec::new())));
        rules.insert(libc::SYS_open, opening_to_write(1)?);
    }
    rules.insert(libc::SYS_openat, opening_to_write(2)?);
    #[cfg(target_arch = "x86_64")]
    for (number, rule) in rules.clone() {
        rules.insert(number | X32_BIT, rule);
    }
    apply(rules, libc::EROFS)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls that change the file system. `openat2` is among them: a filter can't look at its flags,
/// and only the reading of another root needs it.
const WRITING: [libc::c_long; 26] = [
    libc::SYS_openat2,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_unlinkat,
    libc::SYS_symlinkat,
    libc::SYS_linkat,
    libc::SYS_renameat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_by_handle_at,
    libc::SYS_io_uring_setup,
];
/// The same by names that only old processors have.
#[cfg(target_arch = "x86_64")]
const WRITING_OLD: [libc::c_long; 15] = [
    libc::SYS_creat,
    libc::SYS_mkdir,
    libc::SYS_mknod,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_symlink,
    libc::SYS_link,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
];

/// Any flag of open(2) that writes or creates, at this place of the arguments.
fn opening_to_write(argument: u8) -> Result<Vec<SeccompRule>, SeccompError> {
    let fail = |e: seccompiler::BackendError| SeccompError::Install(e.to_string());
    let flags = [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC];
    let rule = |flag: libc::c_int| {
        let bits = u64::from(flag.cast_unsigned());
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits), bits).map_err(fail)?;
        SeccompRule::new(vec![condition]).map_err(fail)
    };
    flags.into_iter().map(rule).collect()
}

fn apply(rules: Rules, errno: libc::c_int) -> Result<(), SeccompError> {
    let program = compile(rules, errno)?;
    seccompiler::apply_filter_all_threads(&program).map_err(|e| SeccompError::Install(e.to_string()))
}

fn compile(rules: Rules, errno: libc::c_int) -> Result<BpfProgram, SeccompError> {
    let processor = std::env::consts::ARCH;
    let target: TargetArch = processor.try_into().map_err(|_| SeccompError::Processor(processor))?;
    let fail = |e: seccompiler::BackendError| SeccompError::Install(e.to_string());
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno.cast_unsigned()), target).and_then(TryInto::try_into).map_err(fail)
}

#[cfg(target_arch = "x86_64")]
fn refused() -> Vec<i64> {
    let plain = REFUSED.into_iter();
    let shared = REFUSED.into_iter().map(|n| n | X32_BIT);
    let own = X32_OWN.into_iter().flat_map(|n| [n, n | X32_BIT]);
    plain.chain(shared).chain(own).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn refused() -> Vec<i64> {
    REFUSED.into_iter().map(i64::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "starting a program is what must fail")]
    fn after_the_filter_no_thread_starts_a_program() {
        // In a process of its own: the filter can't be taken off again.
        const MARK: &str = "ASSAY_TEST_SECCOMP";
        if std::env::var_os(MARK).is_none() {
            let me = std::env::current_exe().unwrap();
            let mut child = std::process::Command::new(me);
            child.env(MARK, "1").args(["--exact", "agent::seccomp::tests::after_the_filter_no_thread_starts_a_program", "--nocapture"]);
            let output = child.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            assert!(String::from_utf8_lossy(&output.stdout).contains("refused twice"));
            return;
        }
        let (go, wait) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            wait.recv().unwrap();
            std::process::Command::new("/bin/true").status().unwrap_err().raw_os_error()
        });
        assert!(std::process::Command::new("/bin/true").status().unwrap().success());
        install().unwrap();
        go.send(()).unwrap();
        assert_eq!(std::process::Command::new("/bin/true").status().unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(other.join().unwrap(), Some(libc::EPERM));
        println!("refused twice");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "in a process of its own: the filter can't be taken off again")]
    fn a_process_that_only_reads_changes_nothing_and_sees_other_processes() {
        use std::fs;
        const MARK: &str = "ASSAY_TEST_READ_ONLY";
        let Some(folder) = std::env::var_os(MARK) else {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("a"), "x").unwrap();
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            child.env(MARK, dir.path()).args(["--exact", "agent::seccomp::tests::a_process_that_only_reads_changes_nothing_and_sees_other_processes"]);
            let output = child.arg("--nocapture").output().unwrap();
            assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(String::from_utf8_lossy(&output.stdout).contains("only read"));
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
            return;
        };
        let folder = std::path::Path::new(&folder);
        let mut other = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        read_only().unwrap();
        let refused = |result: std::io::Result<()>| result.is_err_and(|e| e.raw_os_error() == Some(libc::EROFS));
        let (a, b) = (folder.join("a"), folder.join("b"));
        assert!(refused(fs::write(&b, "x")) && refused(fs::write(&a, "y")) && refused(fs::File::options().append(true).open(&a).map(drop)));
        assert!(refused(fs::rename(&a, &b)) && refused(fs::remove_file(&a)) && refused(fs::create_dir(&b)) && refused(fs::hard_link(&a, &b)));
        assert!(refused(std::os::unix::fs::symlink(&a, &b)) && refused(fs::remove_dir(folder)));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        assert!(refused(fs::set_permissions(&a, mode)) && refused(std::os::unix::fs::chown(&a, Some(1), None)));
        assert_eq!(fs::read(&a).unwrap(), b"x");
        assert!(fs::read_link(format!("/proc/{}/exe", other.id())).is_ok(), "other processes are still seen");
        let _ = (other.kill(), other.wait());
        println!("only read");
    }
}
