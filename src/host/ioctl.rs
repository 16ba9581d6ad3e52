//! The one module with `unsafe`: what has no safe wrapper. Two questions to the kernel about fscrypt
//! (`linux/fscrypt.h`), which only read, need no privilege and write into a buffer of ours whose size the
//! kernel knows; and giving memory back: freed memory, and the program's own code, which comes again from its file.
#![expect(unsafe_code, reason = "ioctl(2) is untyped: opcode and buffer are paired here, reviewed, and nowhere else")]

use std::ops::Range;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

/// Longest policy of a known version, bytes (`struct fscrypt_policy_v2`).
pub const POLICY_BYTES: usize = 24;
/// Longest name of a key, bytes (`FSCRYPT_KEY_IDENTIFIER_SIZE`).
pub const KEY_NAME_BYTES: usize = 16;

/// `_IOWR('f', 22, __u8[9])`: the size in the number is that of a fixed part, not of the argument.
const GET_POLICY: Opcode = opcode::read_write::<[u8; 9]>(b'f', 22);
/// `_IOWR('f', 26, struct fscrypt_get_key_status_arg)`.
const GET_KEY_STATUS: Opcode = opcode::read_write::<KeyStatus>(b'f', 26);

/// `struct fscrypt_get_policy_ex_arg`: the kernel writes at most `size` bytes of `policy`.
#[repr(C)]
struct PolicyArgument {
    size: u64,
    policy: [u8; POLICY_BYTES],
}

/// `struct fscrypt_get_key_status_arg`, 128 bytes.
#[repr(C)]
struct KeyStatus {
    name_kind: u32,
    reserved: u32,
    name: [u8; 32],
    reserved_in: [u32; 6],
    status: u32,
    reserved_out: [u32; 15],
}

/// Gives back what an agent that has scanned does not need for a week: memory that was freed (malloc_trim(3), where the C library has
/// it), and the pages of program code that the scan ran through (madvise(2)); those that are needed again are read again.
pub fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number, may be called by any thread at any time, and touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
    // Without /proc nothing is given back.
    for code in code(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default()) {
        // SAFETY: the range is a mapping of a file that may be run and not be written, as the kernel lists it: its pages hold
        // what the file holds, and the next use of one maps it again (`MADV_DONTNEED` on a file's mapping). No value lies there.
        unsafe {
            libc::madvise(code.start as *mut libc::c_void, code.len(), libc::MADV_DONTNEED);
        }
    }
}

/// Address ranges of mapped program files that can be run and not be written, from the text of proc_pid_maps(5).
fn code(maps: &str) -> Vec<Range<usize>> {
    let range = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (from, to) = words.next()?.split_once('-')?;
        // Permissions, offset, device, inode, path; what has no file (`[vdso]`, nothing) has no path that begins so.
        let is_code = words.next() == Some("r-xp") && words.nth(3).is_some_and(|path| path.starts_with('/'));
        let address = |text| usize::from_str_radix(text, 16).ok();
        is_code.then_some(address(from)?..address(to)?)
    };
    maps.lines().filter_map(range).collect()
}

/// The policy of an open file or folder, as bytes; `None` when it has none or its file system knows none.
pub fn encryption_policy(fd: BorrowedFd<'_>) -> Result<Option<Vec<u8>>, Errno> {
    let mut argument = PolicyArgument { size: POLICY_BYTES as u64, policy: [0; POLICY_BYTES] };
    // SAFETY: the opcode is FS_IOC_GET_ENCRYPTION_POLICY_EX, whose argument is `PolicyArgument`;
    // the kernel copies no more than `argument.size` bytes behind it and keeps no pointer.
    let answer = unsafe { ioctl(fd, Updater::<'_, GET_POLICY, PolicyArgument>::new(&mut argument)) };
    match answer {
        Ok(()) => {
            let length = usize::try_from(argument.size).unwrap_or(0).min(POLICY_BYTES);
            Ok(Some(argument.policy.get(..length).unwrap_or_default().to_vec()))
        }
        Err(Errno::NODATA | Errno::NOTTY | Errno::OPNOTSUPP) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Status of the key of a version 2 policy on the file system of `fd`: 1 absent, 2 present, 3 being removed.
pub fn encryption_key_status(fd: BorrowedFd<'_>, name: [u8; KEY_NAME_BYTES]) -> Result<u32, Errno> {
    /// `FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER`.
    const BY_IDENTIFIER: u32 = 2;
    let mut whole = [0; 32];
    for (to, from) in whole.iter_mut().zip(name) {
        *to = from;
    }
    let mut argument = KeyStatus { name_kind: BY_IDENTIFIER, reserved: 0, name: whole, reserved_in: [0; 6], status: 0, reserved_out: [0; 15] };
    // SAFETY: the opcode is FS_IOC_GET_ENCRYPTION_KEY_STATUS and holds the size of `KeyStatus`,
    // which is all that the kernel reads and writes; it keeps no pointer.
    unsafe { ioctl(fd, Updater::<'_, GET_KEY_STATUS, KeyStatus>::new(&mut argument)) }?;
    Ok(argument.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_alone_is_given_back() {
        let maps = "55a0c0000000-55a0c0200000 r--p 00000000 fe:00 123 /usr/bin/assay\n\
                    55a0c0200000-55a0c0900000 r-xp 00200000 fe:00 123 /usr/bin/assay\n\
                    55a0c0900000-55a0c0a00000 rw-p 00900000 fe:00 123 /usr/bin/assay\n\
                    7f0000000000-7f0000001000 rwxp 00000000 fe:00 9 /usr/lib/odd.so\n\
                    7f0000002000-7f0000003000 r-xp 00000000 00:00 0 \n\
                    7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0 [vdso]\n\
                    x-y r-xp 0 0 0 /usr/bin/odd\n";
        let found = code(maps);
        assert_eq!((found.len(), found[0].start, found[0].end), (1, 0x55a0_c020_0000, 0x55a0_c090_0000));
        assert!(!code(&std::fs::read_to_string("/proc/self/maps").unwrap()).is_empty());
        release_memory();
    }

    #[test]
    fn the_numbers_are_those_of_the_kernel_header() {
        assert_eq!(size_of::<KeyStatus>(), 128);
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        assert_eq!((GET_POLICY, GET_KEY_STATUS), (0xc009_6616, 0xc080_661a));
    }
}
