//! The driver's pipeline cache, saved on disk if the driver supports it.

use crate::files::{read_if_exists, write_shared};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A driver's pipeline cache and its file: a CRC-32 in four bytes, then the driver's data.
#[derive(Debug)]
pub(super) struct PipelineCache {
    pub(super) raw: wgpu::PipelineCache,
    file: PathBuf,
    /// The checksum of the data in the file.
    saved: Mutex<Option<u32>>,
}

/// The data after the checksum, and the checksum. `None` if they do not match.
fn verified(file: &[u8]) -> Option<(&[u8], u32)> {
    let (checksum, data) = file.split_first_chunk::<4>()?;
    let checksum = u32::from_le_bytes(*checksum);
    (crc32fast::hash(data) == checksum).then_some((data, checksum))
}

impl PipelineCache {
    /// The cache of this adapter in `dir`. It is empty if the file is missing or damaged. `None` if
    /// the device was opened without `PIPELINE_CACHE`.
    pub(super) fn open(device: &wgpu::Device, adapter: &wgpu::AdapterInfo, dir: &Path) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let file = dir.join(wgpu::util::pipeline_cache_key(adapter)?);
        let bytes = read_if_exists(&file).ok().flatten().unwrap_or_default();
        let (data, saved) = verified(&bytes).unzip();
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("kernels"), data, fallback: true };
        // SAFETY: the data must come from `get_data`. Only `save` writes the file, and the checksum
        // detects a partial write or a disk error. By the header in the data, wgpu rejects data of
        // another adapter, driver or version.
        #[allow(unsafe_code)]
        let raw = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(Self { raw, file, saved: Mutex::new(saved) })
    }

    /// Saves the cache atomically, if it changed. If writing fails, the next process compiles
    /// again.
    pub(super) fn save(&self) {
        let Some(data) = self.raw.get_data() else { return };
        let checksum = crc32fast::hash(&data);
        let mut saved = self.saved.lock().expect("writing a file returns errors and does not panic");
        if *saved == Some(checksum) {
            return;
        }
        let folder = self.file.parent().map_or(Ok(()), std::fs::create_dir_all);
        let bytes = [&checksum.to_le_bytes(), &data[..]].concat();
        if folder.is_ok() && write_shared(&self.file, &bytes).is_ok() {
            *saved = Some(checksum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::verified;

    #[test]
    fn damaged_files_are_rejected() {
        let data = b"a driver's pipeline cache";
        let file = [&crc32fast::hash(data).to_le_bytes(), &data[..]].concat();
        assert_eq!(verified(&file), Some((&data[..], crc32fast::hash(data))));
        for cut in 0..file.len() {
            assert_eq!(verified(&file[..cut]), None, "cut to {cut} bytes");
            let mut changed = file.clone();
            changed[cut] ^= 4;
            assert_eq!(verified(&changed), None, "byte {cut} changed");
        }
    }
}
