//! Changes of folders as the kernel tells them (inotify(7)).
//!
//! Only what can change a file or its metadata is asked for: reading wakes nobody. That is why
//! this is not the `notify` library, which asks for every opening (IN_OPEN) too: below `/etc`,
//! where each program opens files, that is a wake-up for each.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::{Host, ReadError};

/// What the kernel is asked to tell of a folder.
const ASKED: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::CREATE)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// Bytes of events read at once: some hundred of them.
const BUFFER: usize = 16 << 10;
/// Most events taken in one go; the rest is told the next time.
const MAX_EVENTS: usize = 1 << 16;
/// Where the kernel says how many folders a user may watch.
const MAX_WATCHES: &str = "/proc/sys/fs/inotify/max_user_watches";

/// Folders that are watched.
#[derive(Debug)]
pub struct Watches {
    fd: OwnedFd,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something happened to the entry of this name in a folder.
    Entry(i32, String),
    /// The folder itself moved, vanished, or changed its rights.
    Folder(i32),
    /// The kernel had more events than it could keep.
    Overflow,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// There are events.
    Events,
    /// The time is over.
    Late,
    /// Whoever asked is gone.
    HungUp,
}

impl Watches {
    /// No folder yet.
    pub fn open() -> Result<Self, ReadError> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(|e| match e {
            Errno::MFILE | Errno::NFILE => ReadError::Io("inotify".into(), "too many instances: raise fs.inotify.max_user_instances".into()),
            other => ReadError::Io("inotify".into(), other.to_string()),
        })?;
        Ok(Self { fd })
    }

    /// Watches a folder (links followed inside the root) and gives its number; the same folder has the same number.
    pub fn add(&self, host: &Host, folder: &str) -> Result<i32, ReadError> {
        let opened = host.folder(folder)?;
        let path = format!("/proc/self/fd/{}", opened.as_raw_fd());
        inotify::add_watch(&self.fd, path, ASKED).map_err(|e| match e {
            Errno::NOSPC => ReadError::Io(folder.into(), format!("no more folders can be watched: raise {MAX_WATCHES}")),
            other => ReadError::from_errno(folder, other),
        })
    }

    /// Waits for events, until `until` or until `asker` is closed on the other side.
    pub fn wait(&self, until: Instant, asker: Option<BorrowedFd<'_>>) -> Result<Woken, ReadError> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Woken::Late);
            }
            let timeout = Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
            let own = PollFd::from_borrowed_fd(self.fd.as_fd(), PollFlags::IN);
            // A peer that asked says nothing more: anything from it is its end.
            let mut polled = vec![own];
            polled.extend(asker.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN | PollFlags::RDHUP)));
            match poll(&mut polled, Some(&timeout)) {
                Ok(0) => return Ok(Woken::Late),
                Ok(_) if polled.get(1).is_some_and(|p| !p.revents().is_empty()) => return Ok(Woken::HungUp),
                Ok(_) => return Ok(Woken::Events),
                Err(Errno::INTR) => {}
                Err(e) => return Err(ReadError::Io("inotify".into(), e.to_string())),
            }
        }
    }

    /// What has happened, without waiting.
    pub fn take(&self) -> Result<Vec<Event>, ReadError> {
        let mut buffer = [MaybeUninit::<u8>::uninit(); BUFFER];
        let mut reader = inotify::Reader::new(&self.fd, &mut buffer);
        let mut events = Vec::new();
        while events.len() < MAX_EVENTS {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(ReadError::Io("inotify".into(), e.to_string())),
            };
            events.push(match event.file_name() {
                _ if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => Event::Overflow,
                Some(name) => Event::Entry(event.wd(), name.to_string_lossy().into_owned()),
                None => Event::Folder(event.wd()),
            });
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn changes_are_told_and_reading_is_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/passwd"), "x").unwrap();
        let host = Host::rooted(dir.path()).unwrap();
        let watches = Watches::open().unwrap();
        let number = watches.add(&host, "/etc").unwrap();
        assert_eq!(watches.add(&host, "/etc").unwrap(), number);
        assert!(watches.add(&host, "/missing").unwrap_err().is_not_found());
        for _ in 0..100 {
            std::fs::read(dir.path().join("etc/passwd")).unwrap();
        }
        assert_eq!(watches.wait(Instant::now() + Duration::from_millis(100), None).unwrap(), Woken::Late);
        std::fs::write(dir.path().join("etc/new"), "x").unwrap();
        std::fs::rename(dir.path().join("etc/new"), dir.path().join("etc/passwd")).unwrap();
        assert_eq!(watches.wait(Instant::now() + Duration::from_secs(10), None).unwrap(), Woken::Events);
        assert!(watches.take().unwrap().contains(&Event::Entry(number, "passwd".into())));
        std::fs::rename(dir.path().join("etc"), dir.path().join("old")).unwrap();
        assert!(watches.take().unwrap().contains(&Event::Folder(number)));
    }

    #[test]
    fn an_asker_that_leaves_ends_the_wait() {
        let watches = Watches::open().unwrap();
        let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(there);
        assert_eq!(watches.wait(Instant::now() + Duration::from_secs(10), Some(here.as_fd())).unwrap(), Woken::HungUp);
    }
}
