//! All of a run behind some step, as one file: what the rest of the run depends on, and a checksum over it.

use super::weights::safetensors;
use super::{Config, Tensor};
use crate::error::{Error, Result};
use crate::ops::cross_entropy::Metrics;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The form of the file; others are refused.
const FORMAT: u32 = 1;

/// The keys of the file's metadata.
const STANDING: &str = "lerac_checkpoint";
const CHECKSUM: &str = "crc32";

/// Before the names of the best epoch's tensors.
const BEST: &str = "best.";

/// The epoch that is best on the validation images so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestEpoch {
    /// Which, from 1.
    pub epoch: u64,
    /// Steps done when it ended.
    pub step: u64,
    /// Its validation accuracy.
    pub accuracy: f64,
}

/// Sums over the intervals of an epoch that were read already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Losses.
    pub loss: f64,
    /// Images predicted right.
    pub top1: u64,
    /// Images.
    pub images: u64,
}

/// Where a run stands, beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Form of the file.
    pub format: u32,
    /// Version of lerac.
    pub version: String,
    /// The adapter's name.
    pub adapter: String,
    /// The run's options.
    pub config: Config,
    /// CRC-32 of the training images and labels.
    pub data: u32,
    /// Steps done.
    pub step: u64,
    /// The best epoch, if one has ended.
    pub best: Option<BestEpoch>,
    /// The current epoch's sums.
    pub totals: Totals,
    /// The current interval's sums.
    pub sums: Metrics,
    /// Seconds of training steps in finished intervals.
    pub seconds: f64,
    /// Seconds of training steps in the current interval.
    pub interval_seconds: f64,
    /// Sizes of the run's tables when they held all rows up to here, bytes.
    pub tables: BTreeMap<String, u64>,
}

/// Where a run stands, with its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// All but the tensors.
    pub standing: Standing,
    /// Those of [`super::Session::state`], and those of the best epoch with `best.` before their names.
    pub tensors: Vec<Tensor>,
}

fn checksum<'t>(standing: &str, tensors: impl Iterator<Item = (&'t str, &'t [u8])>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(standing.as_bytes());
    for (name, bytes) in tensors {
        hasher.update(name.as_bytes());
        hasher.update(bytes);
    }
    hasher.finalize()
}

impl Checkpoint {
    /// What goes into [`Standing::format`].
    pub const FORMAT: u32 = FORMAT;

    /// Names a tensor as one of the best epoch.
    pub fn of_best(name: &str) -> String {
        format!("{BEST}{name}")
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let standing = serde_json::to_string(&self.standing).expect("a standing is plain data");
        let mut by_name: Vec<_> =
            self.tensors.iter().map(|t| (t.name.as_str(), bytemuck::cast_slice::<f32, u8>(&t.values))).collect();
        by_name.sort_unstable();
        let checksum = checksum(&standing, by_name.into_iter());
        let metadata = [(STANDING.to_owned(), standing), (CHECKSUM.to_owned(), format!("{checksum:08x}"))];
        safetensors(&self.tensors, HashMap::from(metadata))
    }

    /// Reads the file's bytes; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Format`] for a file that is cut off, changed, or of another form.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let bad = |message: String| Error::format(path, 0, message);
        let broken = |what: &dyn std::fmt::Display| bad(format!("not a whole checkpoint: {what}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| broken(&error))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let key = |key: &str| metadata.get(key).ok_or_else(|| broken(&format!("it has no {key}")));
        let (text, expected) = (key(STANDING)?, key(CHECKSUM)?);
        let file = SafeTensors::deserialize(bytes).map_err(|error| broken(&error))?;
        let mut views = file.tensors();
        views.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let found = format!("{:08x}", checksum(text, views.iter().map(|(name, view)| (name.as_str(), view.data()))));
        if found != *expected {
            return Err(broken(&format!("its checksum is {found}, it should be {expected}")));
        }
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_str(text).map_err(|error| broken(&error))?;
        if format != FORMAT {
            return Err(bad(format!("a checkpoint of form {format}; this version of lerac reads form {FORMAT}")));
        }
        let standing = serde_json::from_str(text).map_err(|error| broken(&error))?;
        let tensor = |(name, view): (String, safetensors::tensor::TensorView<'_>)| match view.dtype() {
            safetensors::Dtype::F32 => {
                Ok(Tensor { name, shape: view.shape().to_vec(), values: bytemuck::pod_collect_to_vec(view.data()) })
            }
            other => Err(broken(&format!("{name} is {other:?}, not F32"))),
        };
        Ok(Self { standing, tensors: views.into_iter().map(tensor).collect::<Result<_>>()? })
    }

    /// The values of the tensor called `name`, which must be `count`.
    ///
    /// # Errors
    /// [`Error::Option`] where there is none of this size: the model has become another.
    pub fn values(&self, name: &str, count: usize) -> Result<Vec<f32>> {
        match self.tensors.iter().find(|tensor| tensor.name == name) {
            Some(tensor) if tensor.values.len() == count => Ok(tensor.values.clone()),
            Some(tensor) => {
                let found = tensor.values.len();
                Err(Error::option(
                    "resume",
                    format!("{name} has {found} numbers in the checkpoint, {count} in the model"),
                ))
            }
            None => Err(Error::option("resume", format!("the checkpoint has no {name}, which the model needs"))),
        }
    }
}
