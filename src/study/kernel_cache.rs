//! Which kernels were the fastest on this machine's devices: a file that `lerac tune` writes and `--tuned` reads.

use crate::cache_dir::cache_dir;
use crate::data::text;
use crate::error::{Error, Result};
use crate::gpu::AdapterInfo;
use crate::ops;
use crate::tape::{Choices, Tape};
use crate::train::write_whole;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The winners of one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    adapter: String,
    backend: String,
    driver: String,
    lerac: String,
    kernels: Choices,
}

impl Device {
    /// Whether its winners hold for an adapter: under another driver or other kernels they do not.
    fn is(&self, adapter: &AdapterInfo) -> bool {
        self.is_same_hardware(adapter) && self.driver == adapter.driver && self.lerac == version()
    }

    fn is_same_hardware(&self, adapter: &AdapterInfo) -> bool {
        self.adapter == adapter.name && self.backend == adapter.backend
    }
}

/// The version of the kernels: lerac's own and a checksum of their text.
fn version() -> String {
    let mut hasher = crc32fast::Hasher::new();
    ops::SHADERS.iter().for_each(|shader| hasher.update(shader.source.as_bytes()));
    format!("{} {:08x}", env!("CARGO_PKG_VERSION"), hasher.finalize())
}

/// The winners of all devices.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelCache {
    path: PathBuf,
    devices: Vec<Device>,
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
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind() == ErrorKind::NotFound => {
                return Ok(Self { path: path.to_owned(), devices: vec![] });
            }
            Err(fault) => return Err(Error::io(path, "read")(fault)),
        };
        let devices = serde_json::from_slice(&bytes).map_err(|fault| {
            let place = text::place_in_json(&bytes, &fault) as u64;
            Error::format(
                path,
                place,
                format!("expected what `lerac tune` writes ({fault}); remove the file and tune again"),
            )
        })?;
        Ok(Self { path: path.to_owned(), devices })
    }

    /// The kernels that `tape` is to take on an adapter where they are not the usual ones; `None` where none of its tasks was timed.
    pub fn choices(&self, adapter: &AdapterInfo, tape: &Tape) -> Option<Choices> {
        let known = &self.devices.iter().find(|device| device.is(adapter))?.kernels.0;
        let tasks = || tape.tasks().map(|(_, task)| task).filter_map(|task| Some((task, *known.get(&task.name)?)));
        let differing = tasks().filter(|(task, winner)| task.variants.contains(winner) && *winner != task.usual());
        tasks().next()?;
        Some(Choices(differing.map(|(task, winner)| (task.name.clone(), winner)).collect()))
    }

    /// Adds winners of an adapter. What another driver or version of lerac left of it goes.
    pub fn add(&mut self, adapter: &AdapterInfo, winners: Choices) {
        self.devices.retain(|device| device.is(adapter) || !device.is_same_hardware(adapter));
        match self.devices.iter_mut().find(|device| device.is(adapter)) {
            Some(device) => device.kernels.0.extend(winners.0),
            None => self.devices.push(Device {
                adapter: adapter.name.clone(),
                backend: adapter.backend.clone(),
                driver: adapter.driver.clone(),
                lerac: version(),
                kernels: winners,
            }),
        }
    }

    /// Writes the file, beside it first and renamed when it is whole.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn write(&self) -> Result<()> {
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir).map_err(Error::io(dir, "create"))?;
        }
        write_whole(&self.path, serde_json::to_string_pretty(&self.devices).expect("winners are plain data").as_bytes())
    }
}
