//! Claims: which process works on what, among processes on any number of hosts that share a
//! directory.
//!
//! A claim is a file `NAME.N`, which exactly one process can create. The one with the highest
//! number counts, and it is never removed: a process that wants the next one creates `NAME.N+1`,
//! and of several that try, one succeeds. No clock is compared. The owner also locks its file, so
//! that others on the same machine know whether it is still running.

use super::write::sync_directory;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How often, and after how long, a lock is tried that another process looks at.
const LOCK_TRIES: usize = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A process on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    host: String,
    /// Identifies the running system, if it can be told: hosts may have the same name.
    boot: Option<String>,
    process: u32,
}

impl Owner {
    fn this_process() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Self {
            host: gethostname::gethostname().to_string_lossy().into_owned(),
            boot: boot.map(|id| id.trim().to_owned()),
            process: std::process::id(),
        }
    }

    /// Whether the owner is on the machine of this process.
    fn is_here(&self) -> bool {
        let here = Self::this_process();
        match (&self.boot, &here.boot) {
            (Some(there), Some(here)) => there == here,
            _ => self.host == here.host,
        }
    }
}

impl Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.process, self.host)
    }
}

/// What is known of the owner of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It is running.
    Running,
    /// It ended on this machine, without releasing the claim.
    Ended,
    /// It cannot be told from here.
    Unknown,
}

/// A claim of some process.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// `None` if the file of the claim names no process.
    owner: Option<Owner>,
    pub(crate) life: Life,
}

impl Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Some(owner) => write!(f, "{owner}")?,
            None => write!(f, "a process that is not named")?,
        }
        match self.life {
            Life::Running => write!(f, ", which is running"),
            Life::Ended => write!(f, ", which has ended"),
            Life::Unknown => Ok(()),
        }
    }
}

/// Which claims of other processes may be replaced. One whose owner is known to be running never
/// is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replace {
    /// None.
    None,
    /// Those whose owner is known to have ended.
    Ended,
    /// Also those of which nothing is known.
    Unknown,
}

impl Replace {
    fn allows(self, life: Life) -> bool {
        match life {
            Life::Running => false,
            Life::Ended => self != Self::None,
            Life::Unknown => self == Self::Unknown,
        }
    }
}

/// A claim of this process. It is released when this is dropped, and if the process is killed it
/// stays.
#[derive(Debug)]
pub(crate) struct Claim {
    dir: PathBuf,
    name: String,
    number: u64,
    file: File,
}

fn path_of(dir: &Path, name: &str, number: u64) -> PathBuf {
    dir.join(format!("{name}.{number}"))
}

/// The numbers of the claims called `name`, ascending.
fn numbers(dir: &Path, name: &str) -> Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(Error::io(dir, "read"))?,
    };
    let mut found = vec![];
    for entry in entries {
        let file = entry.map_err(Error::io(dir, "read"))?.file_name();
        let number: Option<u64> =
            file.to_str().and_then(|file| file.strip_prefix(name)?.strip_prefix('.')?.parse().ok());
        found.extend(number);
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads a claim; `None` if it was released or is no longer there.
fn read(path: &Path) -> Result<Option<Held>> {
    let file = match File::open(path) {
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(Error::io(path, "read"))?,
    };
    let is_locked = match file.try_lock_shared() {
        Ok(()) => Some(false),
        Err(TryLockError::WouldBlock) => Some(true),
        // The file system has no locks.
        Err(TryLockError::Error(_)) => None,
    };
    // Where a lock also keeps others from reading, the owner is not named.
    let text = io::read_to_string(&file).unwrap_or_default();
    let owner: Option<Owner> = match serde_json::from_str(&text) {
        Ok(None) => return Ok(None),
        Ok(owner) => owner,
        Err(_) => None,
    };
    let life = match is_locked {
        Some(true) => Life::Running,
        Some(false) if owner.as_ref().is_some_and(Owner::is_here) => Life::Ended,
        _ => Life::Unknown,
    };
    Ok(Some(Held { owner, life }))
}

impl Claim {
    /// Who holds the claim `name` in `dir`; `None` if nobody does.
    ///
    /// # Errors
    /// [`Error::Io`] if the claims cannot be read.
    pub(crate) fn holder(dir: &Path, name: &str) -> Result<Option<Held>> {
        numbers(dir, name)?.last().map_or(Ok(None), |number| read(&path_of(dir, name, *number)))
    }

    /// Takes the claim `name` in `dir`, which is created. The inner error is the holder, if it may
    /// not be replaced.
    ///
    /// # Errors
    /// [`Error::Io`] if the claims cannot be read or written.
    pub(crate) fn take(dir: &Path, name: &str, replace: Replace) -> Result<Result<Self, Held>> {
        fs::create_dir_all(dir).map_err(Error::io(dir, "create"))?;
        loop {
            let numbers = numbers(dir, name)?;
            let last = numbers.last().copied().unwrap_or(0);
            if let Some(held) = read(&path_of(dir, name, last))?
                && !replace.allows(held.life)
            {
                return Ok(Err(held));
            }
            let number = last + 1;
            let path = path_of(dir, name, number);
            let file = match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                // Another process was faster; it is the holder now.
                Err(fault) if fault.kind() == ErrorKind::AlreadyExists => continue,
                file => file.map_err(Error::io(&path, "create"))?,
            };
            let mut claim = Self { dir: dir.to_owned(), name: name.to_owned(), number, file };
            claim.sign().map_err(Error::io(&path, "write"))?;
            // A directory of a network may have been listed as it was some time ago.
            if !claim.is_last()? {
                continue;
            }
            for old in numbers {
                // They mean nothing beside a higher number. Another process may remove them, too.
                let _ = fs::remove_file(path_of(dir, name, old));
            }
            sync_directory(&path)?;
            return Ok(Ok(claim));
        }
    }

    fn sign(&mut self) -> io::Result<()> {
        // Another process may look at the lock at this moment. Without a lock, other processes
        // cannot tell whether this one is running.
        for _ in 0..LOCK_TRIES {
            match self.file.try_lock() {
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
                _ => break,
            }
        }
        let owner = serde_json::to_string(&Some(Owner::this_process())).expect("an owner is plain data");
        self.file.write_all(owner.as_bytes())?;
        self.file.sync_all()
    }

    fn is_last(&self) -> Result<bool> {
        Ok(numbers(&self.dir, &self.name)?.last() == Some(&self.number))
    }

    /// Checks that no other process has taken over this claim.
    ///
    /// # Errors
    /// [`Error::Option`] if one has, or if the claims were removed.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_last()? {
            return Ok(());
        }
        let by = Self::holder(&self.dir, &self.name)?.map_or(String::new(), |held| format!(" by {held}"));
        Err(Error::option(self.name.clone(), format!("was taken over{by}; this process writes no more to it")))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // If this fails, the claim stays, like that of a killed process.
        let released = self.file.rewind().and_then(|()| self.file.write_all(b"null"));
        let _ = released.and_then(|()| self.file.set_len(4)).and_then(|()| self.file.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, Life, Owner, Replace, numbers};
    use std::fs;
    use std::path::Path;
    use std::sync::Barrier;
    use std::thread;

    fn take(dir: &Path, replace: Replace) -> Result<Claim, super::Held> {
        Claim::take(dir, "task", replace).unwrap()
    }

    /// Writes the claim of another process, which is not running.
    fn leave(dir: &Path, number: u64, owner: &Owner) {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join(format!("task.{number}")), serde_json::to_string(&Some(owner)).unwrap()).unwrap();
    }

    fn elsewhere() -> Owner {
        Owner { host: "elsewhere".into(), boot: Some("other".into()), process: 4711 }
    }

    #[test]
    fn a_claim_has_one_owner_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Claim::holder(dir.path(), "task").unwrap().is_none());
        let claim = take(dir.path(), Replace::None).unwrap();
        claim.check().unwrap();
        let held = take(dir.path(), Replace::Unknown).unwrap_err();
        assert_eq!(held.life, Life::Running, "a running process is never replaced");
        assert!(cfg!(windows) || held.to_string().contains(&format!("process {}", std::process::id())), "{held}");
        assert!(Claim::take(dir.path(), "task2", Replace::None).unwrap().is_ok(), "another name is another claim");
        drop(claim);
        assert!(Claim::holder(dir.path(), "task").unwrap().is_none());
        assert_eq!(take(dir.path(), Replace::None).unwrap().number, 2);
        assert_eq!(numbers(dir.path(), "task").unwrap(), [2], "the first one was removed");
    }

    #[test]
    fn of_many_threads_one_gets_the_claim() {
        const THREADS: usize = 8;
        const ROUNDS: usize = 50;
        for (round, replace) in (0..ROUNDS).zip([Replace::None, Replace::Ended, Replace::Unknown].into_iter().cycle()) {
            let dir = tempfile::tempdir().unwrap();
            if replace == Replace::Unknown {
                leave(dir.path(), 7, &elsewhere());
            }
            let start = Barrier::new(THREADS);
            let got: Vec<_> = thread::scope(|scope| {
                let one = || {
                    start.wait();
                    take(dir.path(), replace)
                };
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            // All stay alive until here, so that none is released in between.
            assert_eq!(got.iter().filter(|got| got.is_ok()).count(), 1, "round {round}: {replace:?}");
        }
    }

    #[test]
    fn a_claim_that_a_process_left_is_replaced_only_on_demand() {
        let dir = tempfile::tempdir().unwrap();
        let here = Owner { process: 4711, ..Owner::this_process() };
        for (owner, life) in [(here, Life::Ended), (elsewhere(), Life::Unknown)] {
            leave(dir.path(), 1, &owner);
            let held = take(dir.path(), Replace::None).unwrap_err();
            assert_eq!(held.life, life);
            assert!(held.to_string().contains("process 4711"), "{held}");
            assert_eq!(take(dir.path(), Replace::Ended).is_ok(), life == Life::Ended);
            fs::remove_dir_all(dir.path()).unwrap();
        }
        leave(dir.path(), 1, &elsewhere());
        take(dir.path(), Replace::Unknown).unwrap().check().unwrap();
        fs::write(dir.path().join("task.9"), "").unwrap();
        assert_eq!(take(dir.path(), Replace::Ended).unwrap_err().life, Life::Unknown, "one that was just created");
    }

    #[test]
    fn the_owner_hears_that_it_was_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let claim = take(dir.path(), Replace::None).unwrap();
        leave(dir.path(), 2, &elsewhere());
        let message = claim.check().unwrap_err().to_string();
        assert!(message.contains("taken over by process 4711 on elsewhere"), "{message}");
        drop(claim);
        assert!(Claim::holder(dir.path(), "task").unwrap().is_some(), "the release of the first is none of the second");
    }
}
