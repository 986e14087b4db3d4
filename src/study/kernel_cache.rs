//! Which kernels were the fastest on this machine's devices: a file that `lerac tune` writes and `--tuned` reads.

use crate::cache_dir::cache_dir;
use crate::error::{Error, Result};
use crate::files::{FileLock, read_if_exists, text, write_whole};
use crate::gpu::{AdapterInfo, Dialect};
use crate::ops;
use crate::tape::{KernelChoices, Tape};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The winners of one device.
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
    /// An adapter as it is now.
    fn new(adapter: &AdapterInfo, kernels: KernelChoices) -> Self {
        Self {
            adapter: adapter.name.clone(),
            backend: adapter.backend.clone(),
            driver: adapter.driver.clone(),
            lerac: version(),
            kernels,
        }
    }

    /// Whether its winners hold for another: under another driver or other kernels they do not.
    fn is(&self, other: &Self) -> bool {
        self.is_same_hardware(other) && self.driver == other.driver && self.lerac == other.lerac
    }

    fn is_same_hardware(&self, other: &Self) -> bool {
        self.adapter == other.adapter && self.backend == other.backend
    }
}

/// The version of the kernels: lerac's own and a checksum of their text.
fn version() -> String {
    let mut hasher = crc32fast::Hasher::new();
    ops::SHADERS.iter().for_each(|shader| hasher.update(shader.source.as_bytes()));
    Dialect::ALL.iter().for_each(|dialect| hasher.update(dialect.text().as_bytes()));
    format!("{} {:08x}", env!("CARGO_PKG_VERSION"), hasher.finalize())
}

/// The winners of all devices.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelCache {
    path: PathBuf,
    devices: Vec<Device>,
    /// What is not in the file yet.
    added: Vec<Device>,
}

impl KernelCache {
    /// Where it lies: `kernels.json` in [`cache_dir`].
    ///
    /// # Errors
    /// [`Error::Option`] where there is no such directory.
    pub fn path() -> Result<PathBuf> {
        let dir = cache_dir().ok_or_else(|| {
            Error::option(
                "LERAC_CACHE",
                "expected a directory for what is measured; it is empty, or there is no home directory",
            )
        })?;
        Ok(dir.join("kernels.json"))
    }

    /// The file's content; nothing where there is no file.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] naming the file where it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let Some(bytes) = read_if_exists(path)? else {
            return Ok(Self { path: path.to_owned(), devices: vec![], added: vec![] });
        };
        let devices = serde_json::from_slice(&bytes).map_err(|fault| {
            let place = text::offset_in_json(&bytes, &fault) as u64;
            Error::format(
                path,
                place,
                format!("expected what `lerac tune` writes ({fault}); remove the file and tune again"),
            )
        })?;
        Ok(Self { path: path.to_owned(), devices, added: vec![] })
    }

    /// The kernels that `tape` is to take on an adapter where they are not the usual ones; `None` where none of its tasks was timed.
    pub fn choices(&self, adapter: &AdapterInfo, tape: &Tape) -> Option<KernelChoices> {
        let here = Device::new(adapter, KernelChoices::default());
        let known = &self.devices.iter().find(|device| device.is(&here))?.kernels.0;
        let tasks =
            || tape.tunable_ops().map(|(_, task)| task).filter_map(|task| Some((task, *known.get(&task.name)?)));
        let differing = tasks().filter(|(task, winner)| task.variants.contains(winner) && *winner != task.usual());
        tasks().next()?;
        Some(KernelChoices(differing.map(|(task, winner)| (task.name.clone(), winner)).collect()))
    }

    /// Adds winners of an adapter. What another driver or version of lerac left of it goes.
    pub fn add(&mut self, adapter: &AdapterInfo, winners: KernelChoices) {
        let new = Device::new(adapter, winners);
        keep(&mut self.devices, new.clone());
        self.added.push(new);
    }

    /// Writes the file, whole or not at all. What other processes have added since it was read stays in it: under a lock it is read
    /// again, and what was added here is added to that.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written, and those of [`Self::read`].
    pub fn write(&mut self) -> Result<()> {
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir).map_err(Error::io(dir, "create"))?;
        }
        let _lock = FileLock::wait(&self.path)?;
        let mut devices = Self::read(&self.path)?.devices;
        self.added.iter().for_each(|new| keep(&mut devices, new.clone()));
        write_whole(&self.path, serde_json::to_string_pretty(&devices).expect("winners are plain data").as_bytes())?;
        (self.devices, self.added) = (devices, vec![]);
        Ok(())
    }
}

fn keep(devices: &mut Vec<Device>, new: Device) {
    devices.retain(|device| device.is(&new) || !device.is_same_hardware(&new));
    match devices.iter_mut().find(|device| device.is(&new)) {
        Some(device) => device.kernels.0.extend(new.kernels.0),
        None => devices.push(new),
    }
}
