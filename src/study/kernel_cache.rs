//! The cache of the fastest kernels on this machine's devices: a file that `lerac tune` writes and
//! `--tuned` reads.

use crate::cache_dir::cache_dir;
use crate::error::{Error, Result};
use crate::files::{FileLock, read_if_exists, text, write_whole};
use crate::gpu::{AdapterInfo, Dialect};
use crate::ops;
use crate::tape::{KernelChoices, Tape};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The fastest kernels of one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    adapter: String,
    backend: String,
    driver: String,
    lerac: String,
    kernels: KernelChoices,
}

impl Device {
    /// The entry of an adapter with its current driver.
    fn new(adapter: &AdapterInfo, kernels: KernelChoices) -> Self {
        Self {
            adapter: adapter.name.clone(),
            backend: adapter.backend.clone(),
            driver: adapter.driver.clone(),
            lerac: version(),
            kernels,
        }
    }

    /// Whether two entries are of the same device, driver and version of the kernels.
    fn matches(&self, other: &Self) -> bool {
        self.is_same_hardware(other) && self.driver == other.driver && self.lerac == other.lerac
    }

    fn is_same_hardware(&self, other: &Self) -> bool {
        self.adapter == other.adapter && self.backend == other.backend
    }
}

/// The version of the kernels: lerac's version and a checksum of the shader sources.
fn version() -> String {
    let mut hasher = crc32fast::Hasher::new();
    ops::SHADERS.iter().for_each(|shader| hasher.update(shader.source.as_bytes()));
    Dialect::ALL.iter().for_each(|dialect| hasher.update(dialect.text().as_bytes()));
    format!("{} {:08x}", env!("CARGO_PKG_VERSION"), hasher.finalize())
}

/// The fastest kernels of all devices.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelCache {
    path: PathBuf,
    devices: Vec<Device>,
    /// Entries that are not in the file yet.
    added: Vec<Device>,
}

impl KernelCache {
    /// The path of the file: `kernels.json` in [`cache_dir`].
    ///
    /// # Errors
    /// [`Error::Option`] if there is no such directory.
    pub fn path() -> Result<PathBuf> {
        let dir = cache_dir().ok_or_else(|| {
            Error::option(
                "LERAC_CACHE",
                "expected a directory for measured kernels; set it, since it is empty or there is no home directory",
            )
        })?;
        Ok(dir.join("kernels.json"))
    }

    /// Reads the file; an empty cache if it does not exist.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] if the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let Some(bytes) = read_if_exists(path)? else {
            return Ok(Self { path: path.to_owned(), devices: vec![], added: vec![] });
        };
        let devices = serde_json::from_slice(&bytes).map_err(|fault| {
            let place = text::offset_in_json(&bytes, &fault) as u64;
            Error::format(
                path,
                place,
                format!("expected a file written by `lerac tune` ({fault}); remove the file and tune again"),
            )
        })?;
        Ok(Self { path: path.to_owned(), devices, added: vec![] })
    }

    /// The kernels other than the default ones that `tape` should use on an adapter; `None` if none
    /// of its operations was timed.
    pub fn choices(&self, adapter: &AdapterInfo, tape: &Tape) -> Option<KernelChoices> {
        let here = Device::new(adapter, KernelChoices::default());
        let known = &self.devices.iter().find(|device| device.matches(&here))?.kernels.0;
        let tasks =
            || tape.tunable_ops().map(|(_, task)| task).filter_map(|task| Some((task, *known.get(&task.name)?)));
        let differing = tasks().filter(|(task, winner)| task.variants.contains(winner) && *winner != task.usual());
        tasks().next()?;
        Some(KernelChoices(differing.map(|(task, winner)| (task.name.clone(), winner)).collect()))
    }

    /// Adds the fastest kernels of an adapter. Entries of the same hardware with another driver or
    /// version of lerac are removed.
    pub fn add(&mut self, adapter: &AdapterInfo, winners: KernelChoices) {
        let new = Device::new(adapter, winners);
        merge(&mut self.devices, new.clone());
        self.added.push(new);
    }

    /// Writes the file atomically. Entries that other processes have added in the meantime are
    /// kept: the file is locked and read again, and the new entries are merged into it.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written; the errors of [`Self::read`].
    pub fn write(&mut self) -> Result<()> {
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir).map_err(Error::io(dir, "create"))?;
        }
        let _lock = FileLock::wait(&self.path)?;
        let mut devices = Self::read(&self.path)?.devices;
        self.added.iter().for_each(|new| merge(&mut devices, new.clone()));
        write_whole(&self.path, serde_json::to_string_pretty(&devices).expect("winners are plain data").as_bytes())?;
        (self.devices, self.added) = (devices, vec![]);
        Ok(())
    }
}

fn merge(devices: &mut Vec<Device>, new: Device) {
    devices.retain(|device| device.matches(&new) || !device.is_same_hardware(&new));
    match devices.iter_mut().find(|device| device.matches(&new)) {
        Some(device) => device.kernels.0.extend(new.kernels.0),
        None => devices.push(new),
    }
}
