//! The checkpoints in a run's directory: the latest few are kept, and the newest valid one is used.

use super::tables::RERUN_HINT;
use crate::error::{Error, Result};
use crate::files::{move_file, read_regular, sync_directory, write_whole};
use crate::train::Checkpoint;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The subdirectory of a run's directory for checkpoints.
const FOLDER: &str = "checkpoints";

/// The file name of the checkpoint after `step` steps.
fn name(step: u64) -> String {
    format!("step-{step:010}.safetensors")
}

/// Whether a file has the name of a checkpoint. Other files in the directory are not read or
/// removed.
fn is_checkpoint(path: &Path) -> bool {
    let digits = path.file_name().and_then(|name| name.to_str()?.strip_prefix("step-")?.strip_suffix(".safetensors"));
    digits.is_some_and(|digits| digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The checkpoint files of `run`, the oldest first.
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

/// Whether `run` has checkpoints.
pub(super) fn any_exist(run: &Path) -> Result<bool> {
    Ok(!files(run)?.is_empty())
}

/// Writes a checkpoint, and then removes all but the latest `keep`.
///
/// # Errors
/// [`Error::Io`] if it cannot be written; older checkpoints are then not removed.
pub(super) fn save(run: &Path, checkpoint: &Checkpoint, keep: usize) -> Result<()> {
    let folder = run.join(FOLDER);
    fs::create_dir_all(&folder).map_err(Error::io(&folder, "create"))?;
    // The directory entry of the folder must survive a loss of power too.
    sync_directory(&folder)?;
    let written = folder.join(name(checkpoint.state.step));
    write_whole(&written, &checkpoint.to_bytes())?;
    // Newer files are damaged checkpoints. They are overwritten when the run reaches their steps.
    let mut files = files(run)?;
    files.retain(|path| *path <= written);
    let old = files.len().saturating_sub(keep);
    files[..old].iter().try_for_each(|path| fs::remove_file(path).map_err(Error::io(path, "remove")))
}

/// The newest valid checkpoint, if there is one, and the errors of newer files.
///
/// # Errors
/// [`Error::Io`] if the folder or a file cannot be read: an older checkpoint is not used instead,
/// since the file may be valid. [`Error::Option`] for a file of another format version. If no file
/// is valid, the error of the newest one.
pub(super) fn latest(run: &Path) -> Result<(Option<Checkpoint>, Vec<Error>)> {
    let mut faults = vec![];
    for path in files(run)?.iter().rev() {
        let bytes = read_regular(path)?;
        match Checkpoint::from_bytes(path, &bytes) {
            Ok(checkpoint) => return Ok((Some(checkpoint), faults)),
            Err(damaged @ Error::Format { .. }) => faults.push(damaged),
            Err(other) => return Err(other),
        }
    }
    match faults.into_iter().next() {
        None => Ok((None, vec![])),
        Some(Error::Format { path, offset, message }) => Err(Error::Format {
            path,
            offset,
            message: format!("{message}; no older checkpoint is valid, {RERUN_HINT}"),
        }),
        Some(other) => Err(other),
    }
}

/// Moves the checkpoint after `step` steps to `place`, if there is one.
pub(super) fn keep(run: &Path, step: u64, place: &Path) -> Result<()> {
    let path = run.join(FOLDER).join(name(step));
    match path.exists() {
        true => move_file(&path, place),
        false => Ok(()),
    }
}

/// Removes all checkpoints, partly written ones too, and their folder if it is then empty.
pub(super) fn remove(run: &Path) -> Result<()> {
    let folder = run.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io(&folder, "read"))?,
    };
    for entry in entries {
        let path = entry.map_err(Error::io(&folder, "read"))?.path();
        let is_partial = path.extension().is_some_and(|extension| extension == "part");
        if is_checkpoint(&if is_partial { path.with_extension("") } else { path.clone() }) {
            fs::remove_file(&path).map_err(Error::io(&path, "remove"))?;
        }
    }
    match fs::remove_dir(&folder) {
        Err(fault) if fault.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => removed.map_err(Error::io(&folder, "remove")),
    }
}
