//! The driver's compiled kernels, kept on disk where the driver gives them out.

use crate::files::{read_if_there, write_shared};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What a driver has compiled, and the file that holds it: a CRC-32 in four bytes, then what the driver gave out.
#[derive(Debug)]
pub(super) struct PipelineCache {
    pub(super) raw: wgpu::PipelineCache,
    file: PathBuf,
    /// The checksum of what lies in the file.
    kept: Mutex<Option<u32>>,
}

/// The bytes behind the checksum, and the checksum, where it is theirs.
fn sound(file: &[u8]) -> Option<(&[u8], u32)> {
    let (checksum, data) = file.split_first_chunk::<4>()?;
    let checksum = u32::from_le_bytes(*checksum);
    (crc32fast::hash(data) == checksum).then_some((data, checksum))
}

impl PipelineCache {
    /// The cache of this adapter in `dir`, empty where there is no file or the file is not as it was written; none where the device
    /// was not opened with the feature.
    pub(super) fn open(device: &wgpu::Device, adapter: &wgpu::AdapterInfo, dir: &Path) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let file = dir.join(wgpu::util::pipeline_cache_key(adapter)?);
        let bytes = read_if_there(&file).ok().flatten().unwrap_or_default();
        let (data, kept) = sound(&bytes).unzip();
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("kernels"), data, fallback: true };
        // SAFETY: the data must be what `get_data` returned. Only `save` writes the file, with a checksum that holds, so neither a torn
        // write nor a fault of the disk reaches the driver; wgpu refuses data of another adapter, driver or version by its header.
        #[allow(unsafe_code)]
        let raw = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(Self { raw, file, kept: Mutex::new(kept) })
    }

    /// Writes what the driver has compiled by now, whole or not at all. Where it cannot, the next process compiles again.
    pub(super) fn save(&self) {
        let Some(data) = self.raw.get_data() else { return };
        let checksum = crc32fast::hash(&data);
        let mut kept = self.kept.lock().expect("writing a file returns errors and does not panic");
        if *kept == Some(checksum) {
            return;
        }
        let folder = self.file.parent().map_or(Ok(()), std::fs::create_dir_all);
        let bytes = [&checksum.to_le_bytes(), &data[..]].concat();
        if folder.is_ok() && write_shared(&self.file, &bytes).is_ok() {
            *kept = Some(checksum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sound;

    #[test]
    fn only_what_was_written_is_read() {
        let data = b"what a driver compiled";
        let file = [&crc32fast::hash(data).to_le_bytes(), &data[..]].concat();
        assert_eq!(sound(&file), Some((&data[..], crc32fast::hash(data))));
        for cut in 0..file.len() {
            assert_eq!(sound(&file[..cut]), None, "cut to {cut} bytes");
            let mut changed = file.clone();
            changed[cut] ^= 4;
            assert_eq!(sound(&changed), None, "byte {cut} changed");
        }
    }
}
