//! Decides whether a command may write over an existing file. Every command asks here, for a named
//! file with [`Overwrite::check_file`] and for a directory with [`Overwrite::check_directory`].

use super::write::PART;
use crate::error::{Error, Result};
use same_file::is_same_file;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A file that a command reads, or a directory of such files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The field of the option that names it, such as `init`.
    pub field: &'static str,
    /// The file or directory.
    pub path: PathBuf,
}

/// Which existing files a command may write over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overwrite {
    /// Whether files that are no part of a run may be replaced. The option `--overwrite`.
    pub allowed: bool,
    /// What the command reads. It is never written over.
    pub inputs: Vec<Input>,
}

impl Overwrite {
    /// Adds what the command reads: fields of options with the paths that they name.
    pub fn reading<P: Into<PathBuf>>(mut self, inputs: impl IntoIterator<Item = (&'static str, P)>) -> Self {
        self.inputs.extend(inputs.into_iter().map(|(field, path)| Input { field, path: path.into() }));
        self
    }

    /// Checks that the file `path`, which the option `field` names, may be written. Pipes and
    /// devices always may.
    ///
    /// # Errors
    /// [`Error::Setting`] if the command reads the file, or if it exists and may not be replaced.
    #[cfg(feature = "cli")]
    pub(crate) fn check_file(&self, field: &'static str, path: &Path) -> Result<()> {
        if !path.is_file() {
            return Ok(());
        }
        let shown = path.display();
        if let Some(input) = self.inputs.iter().find(|input| input.is(path)) {
            let message = format!("{shown} is read by this command (`{}`); choose another file", input.field);
            return Err(Error::setting(field, message));
        }
        match self.allowed {
            true => Ok(()),
            false => {
                Err(Error::setting(field, format!("{shown} exists; choose another file, or replace it: `overwrite`")))
            }
        }
    }

    /// Checks that a command may write files called `names` into `dir`, which need not exist. A
    /// directory that is the command's `own`, from an earlier run, may hold files.
    ///
    /// # Errors
    /// [`Error::Setting`] if the command reads one of these files, or if `dir` holds files and may
    /// not be written over; [`Error::Io`] if `dir` cannot be read.
    pub(crate) fn check_directory(&self, dir: &Path, names: &[impl AsRef<str>], own: bool) -> Result<()> {
        let refused = |path: &Path, why: String| Err(Error::setting("out", format!("{} {why}", path.display())));
        // A run may be repeated from the options in its own directory, and they are written again.
        let inputs = || self.inputs.iter().filter(|input| !own || (input.field != "config" && input.path.is_file()));
        for path in names.iter().map(|name| dir.join(name.as_ref())).filter(|path| path.is_file()) {
            if let Some(input) = inputs().find(|input| input.is(&path)) {
                let field = input.field;
                return refused(&path, format!("is read by this command (`{field}`); choose another directory"));
            }
        }
        match (own || self.allowed, first_file(dir, names)?) {
            (false, Some(path)) => refused(
                &path,
                "is not part of a run; choose another directory, or write into this one and replace files of the same \
                 names: `overwrite`"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

impl Input {
    /// Whether the existing file `path` is this file, or is in this directory.
    fn is(&self, path: &Path) -> bool {
        match self.path.is_dir() {
            true => {
                matches!((path.canonicalize(), self.path.canonicalize()), (Ok(file), Ok(dir)) if file.starts_with(&dir))
            }
            false => is_same_file(&self.path, path).unwrap_or(false),
        }
    }
}

/// The first file in `dir` by name that is not hidden, not empty, and not the temporary file of one
/// of `names` that a killed process left.
fn first_file(dir: &Path, names: &[impl AsRef<str>]) -> Result<Option<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(Error::io(dir, "read"))?,
    };
    let mut first: Option<PathBuf> = None;
    for entry in entries {
        let entry = entry.map_err(Error::io(dir, "read"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_part = |of: &&_| name.strip_suffix(PART) == Some(AsRef::as_ref(*of));
        let skipped = name.starts_with('.') || names.iter().any(|of| is_part(&of));
        let path = entry.path();
        // A link to nothing counts as a file.
        let holds = fs::metadata(&path).map_or(true, |data| !data.is_dir() && (!data.is_file() || data.len() > 0));
        if !skipped && holds && first.as_ref().is_none_or(|first| path < *first) {
            first = Some(path);
        }
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::Overwrite;
    use std::fs;

    #[test]
    #[cfg(unix)]
    fn files_are_compared_by_identity() {
        let dir = tempfile::tempdir().unwrap();
        let [file, link, other] = ["file", "link", "other"].map(|name| dir.path().join(name));
        fs::write(&file, "text").unwrap();
        fs::write(&other, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let overwrite = Overwrite { allowed: true, ..Overwrite::default() }.reading([("init", &file)]);
        for same in [&file, &link, &dir.path().join(".").join("file")] {
            assert!(overwrite.check_directory(dir.path(), &[same.to_str().unwrap()], false).is_err());
        }
        overwrite.check_directory(dir.path(), &["other", "absent"], false).unwrap();
        let whole = Overwrite { allowed: true, ..Overwrite::default() }.reading([("data_dir", dir.path())]);
        assert!(whole.check_directory(dir.path(), &["other"], false).is_err());
        whole.check_directory(dir.path(), &["absent"], false).unwrap();
    }

    #[test]
    fn hidden_files_empty_files_and_directories_are_no_content() {
        let dir = tempfile::tempdir().unwrap();
        let check = || Overwrite::default().check_directory(dir.path(), &["new"], false);
        fs::write(dir.path().join(".hidden"), "text").unwrap();
        fs::write(dir.path().join("empty"), "").unwrap();
        fs::create_dir(dir.path().join("directory")).unwrap();
        check().unwrap();
        fs::write(dir.path().join("b"), "text").unwrap();
        fs::write(dir.path().join("a"), "text").unwrap();
        let message = check().unwrap_err().to_string();
        assert!(message.contains(dir.path().join("a").to_str().unwrap()), "{message}");
    }
}
