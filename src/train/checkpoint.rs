//! A checkpoint: the state of a run after a step, in one safetensors file with a checksum.

use super::weights::safetensors;
use super::{Config, Tensor};
use crate::curriculum::PlateauState;
use crate::error::{Error, Result};
use crate::files::text;
use crate::ops::sums::Totals;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Keys of the file's metadata.
const STATE: &str = "lerac_checkpoint";
const CHECKSUM: &str = "crc32";

/// Advice for a checkpoint that does not fit the model.
pub(super) const OPTIONS_HINT: &str = "use the options that it was made with, or start a new run in another directory";

/// Prefix of the names of the best epoch's tensors.
const BEST: &str = "best.";

/// The best epoch so far, by the validation examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestEpoch {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Steps done at its end.
    pub step: u64,
    /// Its score on the validation examples, by the first measure.
    pub score: f64,
}

/// Sums over the intervals of the current epoch that were already read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochTotals {
    /// Number of examples.
    pub examples: u64,
    /// The objective's sums; empty until the first reading.
    pub sums: Vec<f64>,
}

impl EpochTotals {
    /// Adds the sums of an interval.
    pub fn add(&mut self, totals: &Totals) {
        let values = totals.values();
        self.sums.resize(values.len(), 0.0);
        self.sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        self.examples += u64::from(totals.examples);
    }
}

/// Length and checksum of a CSV table at a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChecksum {
    /// Length in bytes.
    pub bytes: u64,
    /// CRC-32 of these bytes.
    pub crc32: u32,
}

/// The state of a run, without its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Version of the file format.
    pub format: u32,
    /// Version of lerac.
    pub version: String,
    /// The adapter's name.
    pub adapter: String,
    /// The run's options.
    pub config: Config,
    /// CRC-32 of all training and test examples. For image folders: of file names and sizes.
    pub data: u32,
    /// Steps done.
    pub step: u64,
    /// Whether an epoch's steps are done, and its validation is not.
    pub epoch_open: bool,
    /// The best epoch so far; `None` before the first validation.
    pub best: Option<BestEpoch>,
    /// State of the plateau schedule, if the run has one.
    pub plateau: Option<PlateauState>,
    /// The current epoch's sums.
    pub totals: EpochTotals,
    /// The current interval's sums.
    pub sums: Totals,
    /// Seconds of training steps in finished intervals.
    pub seconds: f64,
    /// Seconds of training steps in the current interval.
    pub interval_seconds: f64,
    /// Length and checksum of each table of the run, by file name.
    pub tables: BTreeMap<String, TableChecksum>,
    /// How many times the test set was read before, by the run that this one extends.
    #[serde(default)]
    pub earlier_tests: u64,
}

/// The state of a run, with its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Everything except the tensors.
    pub state: RunState,
    /// The tensors of [`super::Session::state`], and the best epoch's tensors, whose names start
    /// with `best.`.
    pub tensors: Vec<Tensor>,
}

fn checksum<'t>(state: &str, tensors: impl Iterator<Item = (&'t str, &'t [u8])>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(state.as_bytes());
    for (name, bytes) in tensors {
        hasher.update(name.as_bytes());
        hasher.update(bytes);
    }
    hasher.finalize()
}

impl Checkpoint {
    /// Version of the file format. Files of other versions are refused.
    pub const FORMAT: u32 = 5;

    /// The name that a tensor of the best epoch has in the file.
    pub fn of_best(name: &str) -> String {
        format!("{BEST}{name}")
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let state = serde_json::to_string(&self.state).expect("a state is plain data");
        let mut by_name: Vec<_> =
            self.tensors.iter().map(|t| (t.name.as_str(), bytemuck::cast_slice::<f32, u8>(&t.values))).collect();
        by_name.sort_unstable();
        let checksum = checksum(&state, by_name.into_iter());
        let metadata = [(STATE, state), (CHECKSUM, format!("{checksum:08x}"))];
        safetensors(&self.tensors, BTreeMap::from(metadata))
    }

    /// Reads the bytes of a file; `path` is for error messages.
    /// The sizes in the header are compared with the length of the file before memory is allocated.
    /// The tensors are held in memory once; the header takes up to 64 times its size.
    ///
    /// # Errors
    /// [`Error::Format`] for a truncated or modified file; [`Error::Option`] for another format
    /// version.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let broken =
            |offset: usize, what: String| Error::format(path, offset as u64, format!("not a valid checkpoint: {what}"));
        let Some((length, rest)) = bytes.split_first_chunk() else {
            return Err(broken(
                bytes.len(),
                "expected 8 bytes with the header's length, the file ends here".to_owned(),
            ));
        };
        let length = u64::from_le_bytes(*length);
        let Some((header, data)) = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)) else {
            return Err(broken(0, format!("expected a header of {length} bytes, the file has {} more", rest.len())));
        };
        let begin = bytes.len() - rest.len();
        let metadata: Metadata = serde_json::from_slice(header)
            .map_err(|fault| broken(begin + text::offset_in_json(header, &fault), fault.to_string()))?;
        if metadata.data_len() != data.len() {
            let (expected, found) = (metadata.data_len(), data.len());
            let message = format!("expected {expected} bytes of tensors after the header, found {found}");
            return Err(broken(begin + header.len() + expected.min(found), message));
        }
        let entries = metadata.metadata().as_ref();
        let key = |key: &str| {
            let value = entries.and_then(|entries| entries.get(key));
            value.ok_or_else(|| broken(begin, format!("expected {key} in the metadata, which does not contain it")))
        };
        let (state, expected) = (key(STATE)?, key(CHECKSUM)?);
        let names = metadata.offset_keys();
        let mut tensors: Vec<_> = names
            .iter()
            .filter_map(|name| {
                metadata.info(name).map(|info| (name, info, &data[info.data_offsets.0..info.data_offsets.1]))
            })
            .collect();
        tensors.sort_unstable_by_key(|(name, ..)| *name);
        let found = format!("{:08x}", checksum(state, tensors.iter().map(|(name, _, data)| (name.as_str(), *data))));
        if found != *expected {
            return Err(broken(begin, format!("expected the checksum {expected}, found {found}")));
        }
        #[derive(Deserialize)]
        struct Format {
            format: u32,
            #[serde(default)]
            version: String,
        }
        let bad = |fault: serde_json::Error| broken(begin, format!("{STATE}: {fault}"));
        let Format { format, version } = serde_json::from_str(state).map_err(bad)?;
        if format != Self::FORMAT {
            let own = Self::FORMAT;
            let message = format!(
                "has format {format}, written by lerac {version}; this version reads format {own}. Continue with that version, or remove \
                 the run's directory to run it again"
            );
            return Err(Error::option(path.display().to_string(), message));
        }
        let state = serde_json::from_str(state).map_err(bad)?;
        let tensor = |(name, info, data): (&String, &TensorInfo, &[u8])| match info.dtype {
            Dtype::F32 => {
                let (name, shape) = (name.clone(), info.shape.clone());
                Ok(Tensor { name, shape, values: bytemuck::pod_collect_to_vec(data) })
            }
            other => {
                let offset = begin + header.len() + info.data_offsets.0;
                Err(broken(offset, format!("expected {name:?} as F32, found {other:?}")))
            }
        };
        Ok(Self { state, tensors: tensors.into_iter().map(tensor).collect::<Result<_>>()? })
    }

    /// The values of the tensor `name`, which must have `count` elements.
    ///
    /// # Errors
    /// [`Error::Setting`] if the tensor is missing or has another size.
    pub fn values(&self, name: &str, count: usize) -> Result<Vec<f32>> {
        match self.tensors.iter().find(|tensor| tensor.name == name) {
            Some(tensor) if tensor.values.len() == count => Ok(tensor.values.clone()),
            Some(tensor) => {
                let found = tensor.values.len();
                Err(Error::setting(
                    "resume",
                    format!("{name} has {found} values in the checkpoint, {count} in the model; {OPTIONS_HINT}"),
                ))
            }
            None => Err(Error::setting("resume", format!("the checkpoint has no {name}; {OPTIONS_HINT}"))),
        }
    }
}
