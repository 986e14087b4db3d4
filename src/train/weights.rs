//! Weights as safetensors, names and shapes as in a PyTorch state dict.

use crate::error::{Error, Result};
use crate::tape::Storage;
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Writes a file whole or not at all: to a temporary name beside it, then by renaming.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".part");
    let temporary = Path::new(&temporary);
    let mut file = File::create(temporary).map_err(Error::io(path, "create"))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(temporary, path));
    written.map_err(|error| {
        // What is half written helps nobody; if it cannot be removed either, the first error is the one to tell.
        let _ = fs::remove_file(temporary);
        Error::io(path, "write")(error)
    })
}

/// The values of a tensor.
pub(crate) enum Values<'a> {
    /// Stored as F32.
    Floats(&'a [f32]),
    /// Stored as I64, as PyTorch wants its labels.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    Integers(&'a [i64]),
}

/// Writes tensors by name with their extents.
pub(crate) fn write_tensors(
    path: &Path,
    tensors: &[(String, Vec<usize>, Values<'_>)],
    metadata: HashMap<String, String>,
) -> Result<()> {
    let views = tensors.iter().map(|(name, shape, values)| {
        let (kind, bytes) = match values {
            Values::Floats(values) => (Dtype::F32, bytemuck::cast_slice(values)),
            Values::Integers(values) => (Dtype::I64, bytemuck::cast_slice(values)),
        };
        let view = TensorView::new(kind, shape.clone(), bytes);
        (name.as_str(), view.expect("a tensor's shape has as many elements as its values"))
    });
    let bytes = serialize(views, Some(metadata)).expect("names are unique and shapes fit");
    write_whole(path, &bytes)
}

/// Writes `snapshot`, tensors in the order of [`Storage::tensors`], with `metadata`.
///
/// # Errors
/// [`Error::Io`] where the file cannot be written.
pub fn write_safetensors(
    path: &Path,
    storage: &Storage,
    snapshot: &[Vec<f32>],
    metadata: HashMap<String, String>,
) -> Result<()> {
    let tensors: Vec<_> = storage
        .tensors()
        .zip(snapshot)
        .map(|((declared, _, _), values)| {
            (declared.name.clone(), declared.shape.dims().to_vec(), Values::Floats(values.as_slice()))
        })
        .collect();
    write_tensors(path, &tensors, metadata)
}
