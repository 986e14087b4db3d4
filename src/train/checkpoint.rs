//! All of a run after some step, as one file: what the rest of the run depends on, and a checksum over it.

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

/// The keys of the file's metadata.
const STATE: &str = "lerac_checkpoint";
const CHECKSUM: &str = "crc32";

/// What helps where a checkpoint does not fit the model.
pub(super) const OTHER_OPTIONS: &str = "give back the options that it was made with, or train anew elsewhere";

/// Before the names of the best epoch's tensors.
const BEST: &str = "best.";

/// The epoch that is best on the validation examples so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestEpoch {
    /// Which, from 1.
    pub epoch: u64,
    /// Steps done when it ended.
    pub step: u64,
    /// The first measure over the validation examples.
    pub score: f64,
}

/// Sums over the intervals of an epoch that were read already.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochTotals {
    /// Examples.
    pub examples: u64,
    /// The objective's sums; empty before the first reading.
    pub sums: Vec<f64>,
}

impl EpochTotals {
    /// Adds a reading.
    pub fn add(&mut self, totals: &Totals) {
        let values = totals.values();
        self.sums.resize(values.len(), 0.0);
        self.sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        self.examples += u64::from(totals.examples);
    }
}

/// A table's bytes at a checkpoint: how many, and the CRC-32 over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// How many.
    pub bytes: u64,
    /// CRC-32.
    pub crc32: u32,
}

/// The state of a run, without its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Form of the file.
    pub format: u32,
    /// Version of lerac.
    pub version: String,
    /// The adapter's name.
    pub adapter: String,
    /// The run's options.
    pub config: Config,
    /// CRC-32 of all examples, those of the test set too; of image files the names and sizes stand for what is in them.
    pub data: u32,
    /// Steps done.
    pub step: u64,
    /// Whether they end an epoch whose validation is still to come.
    pub epoch_open: bool,
    /// The best epoch, if one has ended.
    pub best: Option<BestEpoch>,
    /// What a plateau schedule has seen.
    pub plateau: Option<PlateauState>,
    /// The current epoch's sums.
    pub totals: EpochTotals,
    /// The current interval's sums.
    pub sums: Totals,
    /// Seconds of training steps in finished intervals.
    pub seconds: f64,
    /// Seconds of training steps in the current interval.
    pub interval_seconds: f64,
    /// The run's tables as they held all rows up to here.
    pub tables: BTreeMap<String, Written>,
}

/// The state of a run, with its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// All but the tensors.
    pub state: RunState,
    /// Those of [`super::Session::state`], and those of the best epoch with `best.` before their names.
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
    /// The form of the file; others are refused.
    pub const FORMAT: u32 = 5;

    /// Names a tensor as one of the best epoch.
    pub fn of_best(name: &str) -> String {
        format!("{BEST}{name}")
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let state = serde_json::to_string(&self.state).expect("a state is plain data");
        let mut by_name: Vec<_> =
            self.tensors.iter().map(|t| (t.name.as_str(), bytemuck::cast_slice::<f32, u8>(&t.values))).collect();
        by_name.sort_unstable();
        let checksum = checksum(&state, by_name.into_iter());
        let metadata = [(STATE, state), (CHECKSUM, format!("{checksum:08x}"))];
        safetensors(&self.tensors, BTreeMap::from(metadata))
    }

    /// Reads the file's bytes; `path` is for messages. It takes memory for the tensors once, and 64 times that of the header; what
    /// the header claims is held against the bytes that are there before anything is made of it.
    ///
    /// # Errors
    /// [`Error::Format`] for a file that is cut off or changed; [`Error::Setting`] for a whole one of another form.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let broken =
            |offset: usize, what: String| Error::format(path, offset as u64, format!("not a whole checkpoint: {what}"));
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
            .map_err(|fault| broken(begin + text::place_in_json(header, &fault), fault.to_string()))?;
        if metadata.data_len() != data.len() {
            let (expected, found) = (metadata.data_len(), data.len());
            let message = format!("expected {expected} bytes of tensors after the header, found {found}");
            return Err(broken(begin + header.len() + expected.min(found), message));
        }
        let entries = metadata.metadata().as_ref();
        let key = |key: &str| {
            let value = entries.and_then(|entries| entries.get(key));
            value.ok_or_else(|| broken(begin, format!("expected {key} in its metadata, found none")))
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
            return Err(broken(begin, format!("its checksum is {found}, it should be {expected}")));
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
                "is of form {format}, written by lerac {version}; this version reads form {own}. Continue with that one, or remove \
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

    /// The values of the tensor called `name`, which must be `count`.
    ///
    /// # Errors
    /// [`Error::Setting`] where there is none of this size: the model has become another.
    pub fn values(&self, name: &str, count: usize) -> Result<Vec<f32>> {
        match self.tensors.iter().find(|tensor| tensor.name == name) {
            Some(tensor) if tensor.values.len() == count => Ok(tensor.values.clone()),
            Some(tensor) => {
                let found = tensor.values.len();
                Err(Error::setting(
                    "resume",
                    format!("{name} has {found} numbers in the checkpoint, {count} in the model; {OTHER_OPTIONS}"),
                ))
            }
            None => Err(Error::setting("resume", format!("the checkpoint has no {name}; {OTHER_OPTIONS}"))),
        }
    }
}
