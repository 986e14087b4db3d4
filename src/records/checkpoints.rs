//! The checkpoints of a run in its directory: the latest few, of which the newest whole one counts.

use super::tables::REMEDY;
use crate::error::{Error, Result};
use crate::files::{read_regular, sync_directory, write_whole};
use crate::train::Checkpoint;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The folder of a run's directory that holds them.
const FOLDER: &str = "checkpoints";

/// The name of the checkpoint behind `step`.
fn name(step: u64) -> String {
    format!("step-{step:010}.safetensors")
}

/// Whether a file is named as checkpoints are: others in their folder are not ours to read or remove.
fn is_checkpoint(path: &Path) -> bool {
    let digits = path.file_name().and_then(|name| name.to_str()?.strip_prefix("step-")?.strip_suffix(".safetensors"));
    digits.is_some_and(|digits| digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The files in `run`'s directory, the oldest first.
fn files(run: &Path) -> Result<Vec<PathBuf>> {
    let folder = run.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(Error::io(&folder, "read"))?,
    };
    let mut files = vec![];
    for entry in entries {
        let path = entry.map_err(Error::io(&folder, "read"))?.path();
        if is_checkpoint(&path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether `run` has any.
pub(super) fn exist(run: &Path) -> Result<bool> {
    Ok(!files(run)?.is_empty())
}

/// Writes one, and then removes all but the latest `keep`.
///
/// # Errors
/// [`Error::Io`] where it cannot be written; those before it stay.
pub(super) fn save(run: &Path, checkpoint: &Checkpoint, keep: usize) -> Result<()> {
    let folder = run.join(FOLDER);
    fs::create_dir_all(&folder).map_err(Error::io(&folder, "create"))?;
    // The names of the tables beside it have to last as long as it does.
    sync_directory(&folder)?;
    let written = folder.join(name(checkpoint.state.step));
    write_whole(&written, &checkpoint.to_bytes())?;
    // Newer ones, which were not whole, are written over when the run comes to their steps.
    let mut files = files(run)?;
    files.retain(|path| *path <= written);
    let old = files.len().saturating_sub(keep);
    files[..old].iter().try_for_each(|path| fs::remove_file(path).map_err(Error::io(path, "remove")))
}

/// The newest whole checkpoint, if there is one, and what is wrong with newer ones.
///
/// # Errors
/// [`Error::Io`] where the folder or a file cannot be read: what is older than a file that may be whole does not stand in for it.
/// [`Error::Option`] for a file of another form; what is wrong with the newest where none is whole.
pub(super) fn latest(run: &Path) -> Result<(Option<Checkpoint>, Vec<Error>)> {
    let mut faults = vec![];
    for path in files(run)?.iter().rev() {
        let bytes = read_regular(path)?;
        match Checkpoint::from_bytes(path, &bytes) {
            Ok(checkpoint) => return Ok((Some(checkpoint), faults)),
            Err(torn @ Error::Format { .. }) => faults.push(torn),
            Err(other) => return Err(other),
        }
    }
    match faults.into_iter().next() {
        None => Ok((None, vec![])),
        Some(Error::Format { path, offset, message }) => {
            Err(Error::Format { path, offset, message: format!("{message}; no older one is whole, {REMEDY}") })
        }
        Some(other) => Err(other),
    }
}

/// Removes all of them, what a kill has left half written, and their folder, if nothing else is in it.
pub(super) fn remove(run: &Path) -> Result<()> {
    let folder = run.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io(&folder, "read"))?,
    };
    for entry in entries {
        let path = entry.map_err(Error::io(&folder, "read"))?.path();
        let is_half = path.extension().is_some_and(|extension| extension == "part");
        if is_checkpoint(&if is_half { path.with_extension("") } else { path.clone() }) {
            fs::remove_file(&path).map_err(Error::io(&path, "remove"))?;
        }
    }
    match fs::remove_dir(&folder) {
        Err(fault) if fault.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => removed.map_err(Error::io(&folder, "remove")),
    }
}
