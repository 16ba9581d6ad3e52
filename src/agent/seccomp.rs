//! The system-call filter that makes "the agent starts no program" a property, not a habit.
//!
//! Installed by the process itself, on all threads, before any runtime: a filter in the service
//! unit would stop the service from starting. `execve`, `execveat`, `ptrace`, `process_vm_readv`
//! and `process_vm_writev` answer EPERM; a system call of a foreign ABI (32-bit) kills the
//! process, and those of x32 are refused by number (seccomp(2)).

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

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
    let program = compile()?;
    seccompiler::apply_filter_all_threads(&program).map_err(|e| SeccompError::Install(e.to_string()))
}

fn compile() -> Result<BpfProgram, SeccompError> {
    let processor = std::env::consts::ARCH;
    let target: TargetArch = processor.try_into().map_err(|_| SeccompError::Processor(processor))?;
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> = refused().into_iter().map(|number| (number, Vec::new())).collect();
    let eperm = u32::try_from(libc::EPERM).unwrap_or(1);
    let fail = |e: seccompiler::BackendError| SeccompError::Install(e.to_string());
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(eperm), target).and_then(TryInto::try_into).map_err(fail)
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
}
