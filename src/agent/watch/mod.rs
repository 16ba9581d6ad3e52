//! Waiting for a change of the files that the families are read from.
//!
//! Nothing polls: the kernel tells changes of folders, and a mark of every family (a digest over
//! what stat(2) says of its files) tells what changed while nobody listened: between two waits,
//! while a process was stopped, or when the kernel had to drop events.

mod pace;
mod places;

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use pace::Pace;
use places::{Mask, Places};

use crate::facts::{FAMILIES, Family};
use crate::host::watch::{Event, Watches, Woken};
use crate::host::{Host, ReadError};
use crate::model::ids::Digest;

/// A change is told when so long none followed.
pub const QUIET: Duration = Duration::from_secs(1);
/// It is told after so long in any case.
pub const LONGEST_BURST: Duration = Duration::from_secs(3);
/// While a burst lasts, events are taken together in steps of this.
const STEP: Duration = Duration::from_millis(100);

/// Families and the marks that their files had.
pub type Marks = BTreeMap<String, Digest>;

/// What a wait told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// Families whose files changed since the marks that were given.
    pub changed: Vec<String>,
    /// Their marks now, of every family that was asked for.
    pub marks: Marks,
    /// Where a change could escape.
    pub blind: Vec<Blind>,
}

/// Families of which a change could escape.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blind {
    /// Names of the families.
    pub families: Vec<String>,
    /// Why, one sentence fragment.
    pub detail: String,
    /// Whether it was so once, and is over.
    pub passes: bool,
}

/// The families that have files to watch.
pub fn families() -> Vec<&'static Family> {
    FAMILIES.iter().filter(|f| !f.watched.is_empty()).collect()
}

/// Waits until a file of these families changes, `until` is reached, or `asker` is closed on its
/// other side (then `None`). A family without a mark in `known` is answered at once.
pub fn wait(host: &Host, families: &[&'static Family], known: &Marks, until: Instant, asker: Option<BorrowedFd<'_>>) -> Result<Option<Watched>, ReadError> {
    let watches = Watches::open()?;
    let (armed, watched) = look(host, &watches, families, known);
    let is_new = families.iter().any(|f| !known.contains_key(f.name));
    if is_new {
        return Ok(Some(watched));
    }
    let mut dropped = false;
    // What changed before may be the beginning of a burst as well.
    while watched.changed.is_empty() {
        match watches.wait(until, asker)? {
            Woken::HungUp => return Ok(None),
            Woken::Late => return Ok(Some(look(host, &watches, families, known).1)),
            Woken::Events => {}
        }
        if armed.concerned(&watches.take()?, &mut dropped) != 0 {
            break;
        }
    }
    settle(&watches, &armed, asker, &mut dropped)?;
    let mut watched = look(host, &watches, families, known).1;
    if dropped {
        let names = families.iter().map(|f| f.name.to_string()).collect();
        watched.blind.push(Blind { families: names, detail: "the kernel dropped events: the files were compared instead".into(), passes: true });
    }
    Ok(Some(watched))
}

/// Lets a burst end.
fn settle(watches: &Watches, armed: &Armed, asker: Option<BorrowedFd<'_>>, dropped: &mut bool) -> Result<(), ReadError> {
    let end = Instant::now() + LONGEST_BURST;
    let mut quiet_at = Instant::now() + QUIET;
    while Instant::now() < quiet_at.min(end) {
        if watches.wait(quiet_at.min(end), asker)? != Woken::Events {
            return Ok(());
        }
        // Thousands of events cost one waking up, not thousands.
        std::thread::sleep(STEP);
        if armed.concerned(&watches.take()?, dropped) != 0 {
            quiet_at = Instant::now() + QUIET;
        }
    }
    Ok(())
}

/// Folder by the kernel's number.
struct Armed {
    folders: BTreeMap<i32, places::Interest>,
}

impl Armed {
    fn concerned(&self, events: &[Event], dropped: &mut bool) -> Mask {
        let interest = |number: &i32| self.folders.get(number);
        events.iter().fold(0, |mask, event| {
            mask | match event {
                Event::Entry(number, name) => interest(number).map_or(0, |i| i.of(name)),
                Event::Folder(number) => interest(number).map_or(0, places::Interest::everybody),
                Event::Overflow => {
                    *dropped = true;
                    Mask::MAX
                }
            }
        })
    }
}

/// Rounds of watching until no new folder is found.
const ROUNDS: usize = 4;

/// Watches first and looks then, so that nothing falls between.
fn look(host: &Host, watches: &Watches, families: &[&'static Family], known: &Marks) -> (Armed, Watched) {
    let mut armed = Armed { folders: BTreeMap::new() };
    let mut places = Places::of(host, families);
    for _ in 0..ROUNDS {
        let mut blind = BTreeMap::new();
        armed.folders.clear();
        for (folder, interest) in &places.folders {
            match watches.add(host, folder) {
                // One folder can be reached by two paths.
                Ok(number) => armed.folders.entry(number).or_default().join(interest),
                Err(e) if e.is_not_found() => {}
                Err(e) => *blind.entry(e.to_string()).or_insert(0) |= interest.everybody(),
            }
        }
        let again = Places::of(host, families);
        let is_whole = again.folders.keys().all(|folder| places.folders.contains_key(folder));
        places = again;
        places.blind.append(&mut blind);
        if is_whole {
            break;
        }
    }
    let marks: Marks = families.iter().map(|f| f.name.to_string()).zip(places.marks().iter().copied()).collect();
    let changed = marks.iter().filter(|(name, mark)| known.get(*name).is_some_and(|k| k != *mark)).map(|(name, _)| name.clone()).collect();
    let names = |mask: Mask| families.iter().enumerate().filter(|(i, _)| mask & (1 << i) != 0).map(|(_, f)| f.name.to_string()).collect();
    let blind = places.blind.into_iter().map(|(detail, mask)| Blind { families: names(mask), detail, passes: false }).collect();
    (armed, Watched { changed, marks, blind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn root() -> (tempfile::TempDir, Host) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/ssh")).unwrap();
        for file in ["etc/passwd", "etc/ssh/sshd_config", "etc/hosts"] {
            std::fs::write(dir.path().join(file), "x\n").unwrap();
        }
        let host = Host::rooted(dir.path()).unwrap();
        (dir, host)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn marks(host: &Host) -> Marks {
        let first = wait(host, &families(), &Marks::new(), soon(), None).unwrap().unwrap();
        assert!(first.changed.is_empty() && first.blind.is_empty(), "{first:?}");
        first.marks
    }

    /// What is told when `change` happens during the wait.
    fn told(host: &Host, known: &Marks, change: impl FnOnce() + Send) -> Watched {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(300));
                change();
            });
            wait(host, &families(), known, soon(), None).unwrap().unwrap()
        })
    }

    fn replace(root: &Path, file: &str, text: &str) {
        std::fs::write(root.join("etc/.new"), text).unwrap();
        std::fs::rename(root.join("etc/.new"), root.join(file)).unwrap();
    }

    #[test]
    fn a_replaced_file_names_its_families_and_what_happened_meanwhile_is_told_at_once() {
        let (dir, host) = root();
        let known = marks(&host);
        let start = Instant::now();
        let watched = told(&host, &known, || replace(dir.path(), "etc/passwd", "y\n"));
        assert_eq!(watched.changed, ["accounts", "tenants"]);
        assert!(start.elapsed() < LONGEST_BURST + Duration::from_secs(5));
        // Between two waits, in a new folder, and of a file that was never there.
        std::fs::create_dir_all(dir.path().join("etc/sudoers.d/deep")).unwrap();
        std::fs::write(dir.path().join("etc/sudoers.d/deep/a"), "x").unwrap();
        std::fs::write(dir.path().join("etc/hosts"), "nobody's business").unwrap();
        let watched = wait(&host, &families(), &watched.marks, soon(), None).unwrap().unwrap();
        assert_eq!(watched.changed, ["sudo"]);
        let watched = told(&host, &watched.marks, || std::fs::write(dir.path().join("etc/sudoers.d/deep/b"), "x").unwrap());
        assert_eq!(watched.changed, ["sudo"]);
        let watched = told(&host, &watched.marks, || {
            std::fs::rename(dir.path().join("etc/ssh"), dir.path().join("etc/ssh.old")).unwrap();
            std::fs::create_dir(dir.path().join("etc/ssh")).unwrap();
        });
        assert_eq!(watched.changed, ["ssh_keys", "sshd"]);
    }

    #[test]
    fn a_burst_is_told_a_few_times_and_not_thousands() {
        let (dir, host) = root();
        let mut known = marks(&host);
        let start = Instant::now();
        let (answers, burst) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for i in 0..5_000 {
                    std::fs::write(dir.path().join("etc/passwd"), i.to_string()).unwrap();
                }
                start.elapsed()
            });
            let mut answers = 0;
            loop {
                let over = writer.is_finished();
                let watched = wait(&host, &families(), &known, Instant::now() + QUIET * 2, None).unwrap().unwrap();
                known = watched.marks;
                match watched.changed.is_empty() {
                    true if over => break,
                    true => {}
                    false => answers += 1,
                }
            }
            (answers, writer.join().unwrap())
        });
        let most = 2 + burst.as_secs() / QUIET.as_secs();
        assert!((1..=most).contains(&answers), "{answers} answers to a burst of {burst:?}");
    }

    #[test]
    fn what_concerns_nobody_wakes_nobody() {
        let (dir, host) = root();
        let known = marks(&host);
        let until = Instant::now() + Duration::from_secs(2);
        let quiet = std::thread::scope(|scope| {
            scope.spawn(|| {
                for i in 0..200 {
                    std::fs::write(dir.path().join("etc/hosts"), i.to_string()).unwrap();
                    std::fs::read(dir.path().join("etc/passwd")).unwrap();
                }
            });
            wait(&host, &families(), &known, until, None).unwrap().unwrap()
        });
        assert!(quiet.changed.is_empty() && Instant::now() >= until);
    }

    #[test]
    fn a_queue_that_overflows_is_blindness_and_the_change_is_still_found() {
        let (_dir, host) = root();
        let watches = Watches::open().unwrap();
        let (armed, _) = look(&host, &watches, &families(), &Marks::new());
        let mut dropped = false;
        assert_eq!(armed.concerned(&[Event::Entry(-1, "x".into())], &mut dropped), 0);
        assert_eq!((armed.concerned(&[Event::Overflow], &mut dropped), dropped), (Mask::MAX, true));
    }
}
