//! A whole scan starts no program: seen by strace, not by trust.

use std::process::Command;

#[test]
fn a_scan_executes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("strace");
    let status = Command::new("strace")
        // With --seccomp-bpf the kernel stops only for the calls that are traced, not for a million others.
        .args(["-f", "--seccomp-bpf", "-qq", "-e", "trace=execve,execveat,fork,vfork", "-o"])
        .arg(&log)
        .args([env!("CARGO_BIN_EXE_assay"), "scan", "--format", "json"])
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(matches!(status.code(), Some(0 | 3)), "scan ended with {status}");
    let log = std::fs::read_to_string(log).unwrap();
    let calls: Vec<&str> = log.lines().filter(|l| l.contains("exec") || l.contains("fork")).collect();
    assert_eq!(calls.len(), 1, "only strace's own execve of the scan is expected: {calls:#?}");
    assert!(calls[0].contains("execve("), "{calls:?}");
}
