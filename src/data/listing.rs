//! Lists the files of one kind below a directory. What is not opened is counted or listed, so that
//! nothing is left out without a word.

use super::layout::advise;
use crate::error::{Error, Result};
use crate::files::{self, Info, read_at_most, text::from_utf16};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The files that a data set consists of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileKind {
    /// Their name in messages, in the plural.
    pub many: &'static str,
    /// Endings of the files that are opened. The format is recognised by the content.
    pub endings: &'static [&'static str],
    /// Endings of such files that no decoder here reads.
    pub unreadable: &'static [&'static str],
    /// Formats to convert them to.
    pub formats: &'static str,
}

/// Most bytes that are read from a text file.
const MOST_TEXT_BYTES: u64 = 64 << 20;

/// Most endings that a note counts on their own.
const MOST_COUNTED: usize = 8;

/// A file when its folder was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Path relative to the root, with `/` between folders.
    pub name: String,
    /// Length of the file.
    pub bytes: u64,
    /// Time of modification in nanoseconds since 1970; 0 if the system does not know it.
    pub modified: u64,
}

/// A file that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Path relative to the directory of the data.
    pub file: String,
    /// Why it was left out.
    pub reason: String,
}

impl Skipped {
    pub(super) fn new(file: impl Into<String>, fault: &Error) -> Self {
        let reason = match fault {
            Error::Io { action, source, .. } => format!("cannot {action}: {source}"),
            Error::Format { message, .. } | Error::Setting { message, .. } => message.clone(),
            other => other.to_string(),
        };
        Self { file: file.into(), reason }
    }
}

/// A directory that is being listed.
pub(super) struct Listing {
    pub root: PathBuf,
    pub kind: &'static FileKind,
    skip_bad: bool,
    /// Number of files of other kinds, by ending.
    passed_over: BTreeMap<String, usize>,
    /// Files that cannot be used, with `skip_bad`.
    pub skipped: Vec<Skipped>,
    /// What the user should know about the layout.
    pub notes: Vec<String>,
}

/// The ending of a file name in lower case; empty if there is none.
fn ending(name: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or_default();
    file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default()
}

/// `name` in `folder`. The empty folder is the root.
pub(super) fn inside(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

impl Listing {
    pub fn new(root: &Path, kind: &'static FileKind, skip_bad: bool) -> Self {
        Self { root: root.to_owned(), kind, skip_bad, passed_over: BTreeMap::new(), skipped: vec![], notes: vec![] }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The bytes of a text file. UTF-16 is converted, with a note.
    pub fn text(&mut self, path: &Path) -> Result<Vec<u8>> {
        let (bytes, converted) = from_utf16(read_at_most(path, MOST_TEXT_BYTES)?);
        if converted {
            self.notes.push(format!("{} is UTF-16, and was read as such", path.display()));
        }
        Ok(bytes)
    }

    /// Leaves out a file with `skip_bad`.
    ///
    /// # Errors
    /// `fault` without it, with the advice to do so.
    pub fn leave_out(&mut self, name: &str, fault: Error) -> Result<()> {
        match self.skip_bad {
            true => {
                self.skipped.push(Skipped::new(name, &fault));
                Ok(())
            }
            false => Err(advise(fault)),
        }
    }

    /// The entries of a folder, sorted by name, without those that begin with a dot.
    fn entries(&mut self, folder: &str) -> Result<Vec<(String, Info)>> {
        let dir = self.path(folder);
        let names = match files::names_in(&dir) {
            Ok(names) => names,
            Err(fault) => return self.leave_out(folder, Error::io(&dir, "list")(fault)).map(|()| vec![]),
        };
        let mut found = vec![];
        for name in names {
            let Some(name) = name.to_str() else {
                let message = format!("{} has a name that is not UTF-8; rename it", dir.join(&name).display());
                self.leave_out(&inside(folder, &name.to_string_lossy()), Error::setting("data_dir", message))?;
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let path = dir.join(name);
            match files::info(&path) {
                Ok(info) => found.push((name.to_owned(), info)),
                // It was removed in the meantime, as the temporary file of a cache is.
                Err(_) if fs::symlink_metadata(&path).is_err_and(|fault| fault.kind() == ErrorKind::NotFound) => {}
                Err(fault) => self.leave_out(&inside(folder, name), Error::io(&path, "read")(fault))?,
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(found)
    }

    /// The folders in `folder`, sorted by name, which is the order of classes in torchvision's
    /// `ImageFolder`.
    pub fn folders(&mut self, folder: &str) -> Result<Vec<String>> {
        let entries = self.entries(folder)?.into_iter();
        Ok(entries.filter(|(_, info)| info.is_dir).map(|(name, _)| name).collect())
    }

    /// Whether `folder` has files of the kind that are not in a subfolder.
    pub fn has_files(&mut self, folder: &str) -> Result<bool> {
        Ok(self.entries(folder)?.iter().any(|(name, info)| !info.is_dir && self.entry(name, info).is_some()))
    }

    /// Whether `folder` exists and has folders.
    pub fn has_folders(&mut self, folder: &str) -> bool {
        files::is_dir(&self.path(folder)) && self.folders(folder).is_ok_and(|folders| !folders.is_empty())
    }

    /// The files of the kind in `folder` and its subfolders, sorted by name. Other files are
    /// counted.
    pub fn files_below(&mut self, folder: &str) -> Result<Vec<Entry>> {
        let mut found = vec![];
        for (name, info) in self.entries(folder)? {
            let name = inside(folder, &name);
            if info.is_dir {
                found.extend(self.files_below(&name)?);
            } else if let Some(entry) = self.entry(&name, &info) {
                found.push(entry);
            } else {
                *self.passed_over.entry(ending(&name)).or_default() += 1;
            }
        }
        Ok(found)
    }

    /// The file `name`, which is listed in the file `list`; `None` if it is left out.
    pub fn named_file(&mut self, name: &str, list: &Path) -> Result<Option<Entry>> {
        let path = self.path(name);
        match files::info(&path) {
            Ok(info) => match self.entry(name, &info) {
                Some(entry) => Ok(Some(entry)),
                None => {
                    Err(Error::format(list, 0, format!("expected names of files of {}, found {name}", self.kind.many)))
                }
            },
            Err(fault) => {
                let message = format!("cannot read {}, which is listed here: {fault}", path.display());
                self.leave_out(name, Error::format(list, 0, message)).map(|()| None)
            }
        }
    }

    /// The entry of a file; `None` if its ending is not one of the kind.
    fn entry(&self, name: &str, &Info { bytes, modified, .. }: &Info) -> Option<Entry> {
        let is_of_kind = self.kind.endings.contains(&ending(name).as_str());
        is_of_kind.then(|| Entry { name: name.to_owned(), bytes, modified })
    }

    /// A note about the files of other kinds, if there are any.
    pub fn passed_over(&self) -> Option<String> {
        let mut counts: Vec<(&String, &usize)> = self.passed_over.iter().collect();
        counts.sort_by(|(_, a), (_, b)| b.cmp(a));
        let all: usize = self.passed_over.values().sum();
        let in_words = |(ending, count): &(&String, &usize)| match ending.is_empty() {
            true => format!("{count} without an ending"),
            false => format!("{count} .{ending}"),
        };
        let mut named: Vec<String> = counts.iter().take(MOST_COUNTED).map(in_words).collect();
        let rest: usize = counts.iter().skip(MOST_COUNTED).map(|(_, count)| **count).sum();
        if rest > 0 {
            named.push(format!("{rest} of other kinds"));
        }
        let convert = counts.iter().any(|(ending, _)| self.kind.unreadable.contains(&ending.as_str()));
        let FileKind { many, formats, .. } = self.kind;
        let hint = if convert { format!("; convert {many} among them to {formats}") } else { String::new() };
        (all > 0).then(|| format!("{all} other files were passed over: {}{hint}", named.join(", ")))
    }
}
