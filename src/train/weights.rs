//! Reading and writing safetensors files, with names and shapes as in a PyTorch state dict.

use super::foreign::{floats, format_of, is_counter};
use crate::error::{Error, Result};
use crate::files::{read_regular, write_whole};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// A named tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Name, as in a state dict.
    pub name: String,
    /// Size of each dimension.
    pub shape: Vec<usize>,
    /// The elements, in row-major order.
    pub values: Vec<f32>,
}

/// The bytes of a safetensors file.
/// The `safetensors` crate writes metadata in an order that differs from run to run; this function
/// does not.
///
/// # Panics
/// If two tensors have the same name, or a shape does not match its number of values.
pub(crate) fn safetensors(tensors: &[Tensor], metadata: BTreeMap<&str, String>) -> Vec<u8> {
    let mut header = BTreeMap::from([("__metadata__", json!(metadata))]);
    let mut end = 0;
    for Tensor { name, shape, values } in tensors {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}: shape and number of values differ");
        let begin = end;
        end += size_of_val(values.as_slice());
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, end]});
        assert!(header.insert(name, entry).is_none(), "{name}: two tensors have this name");
    }
    let mut header = serde_json::to_vec(&header).expect("a header is plain data");
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    tensors.iter().for_each(|tensor| bytes.extend(bytemuck::cast_slice::<f32, u8>(&tensor.values)));
    bytes
}

/// Tensors in a file, converted to f32.
pub(super) struct WeightsFile {
    pub(super) tensors: Vec<Tensor>,
    pub(super) metadata: HashMap<String, String>,
    /// How many tensors were of another type than F32, by type.
    pub(super) converted: BTreeMap<String, usize>,
}

/// Reads the tensors and the metadata of a safetensors file. F16, BF16 and F64 are converted to
/// f32. Counters such as PyTorch's `num_batches_tracked` are skipped, since nothing here uses them.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for a truncated file, a file of another format, tensors of
/// whole numbers, or values that are not finite.
pub fn read_safetensors(path: &Path) -> Result<(Vec<Tensor>, HashMap<String, String>)> {
    read_weights(path).map(|file| (file.tensors, file.metadata))
}

/// [`read_safetensors`], with what was converted.
pub(super) fn read_weights(path: &Path) -> Result<WeightsFile> {
    let bytes = read_regular(path)?;
    let bad = |what: &dyn std::fmt::Display| {
        let message = match format_of(&bytes) {
            Some(format) => format!("this is {}", format.replace("FILE", &path.display().to_string())),
            None => format!("not a valid safetensors file: {what}"),
        };
        Error::format(path, 0, message)
    };
    let file = SafeTensors::deserialize(&bytes).map_err(|error| bad(&error))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| bad(&error))?;
    let (mut tensors, mut converted) = (vec![], BTreeMap::new());
    for (name, view) in file.tensors() {
        if is_counter(&name) {
            continue;
        }
        let Some(values) = floats(&view) else {
            let message = format!("{name} is {:?}; convert it to F32 (in PyTorch: tensor.float())", view.dtype());
            return Err(Error::format(path, 0, message));
        };
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let message = format!("{name} contains {} at element {at}; weights must be finite", values[at]);
            return Err(Error::format(path, 0, message));
        }
        if name.ends_with("running_var")
            && let Some(at) = values.iter().position(|&value| value < 0.0)
        {
            let message = format!("{name} contains {} at element {at}; no variance is below 0", values[at]);
            return Err(Error::format(path, 0, message));
        }
        if view.dtype() != Dtype::F32 {
            *converted.entry(format!("{:?}", view.dtype())).or_default() += 1;
        }
        tensors.push(Tensor { name, shape: view.shape().to_vec(), values });
    }
    Ok(WeightsFile { tensors, metadata: header.metadata().clone().unwrap_or_default(), converted })
}

/// Writes tensors with `metadata`. PyTorch's loaders expect the entry `format = pt`.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written.
pub fn write_safetensors(path: &Path, tensors: &[Tensor], metadata: BTreeMap<&str, String>) -> Result<()> {
    write_whole(path, &safetensors(tensors, metadata))
}
