//! The images of a data set: in memory, in image files that are decoded when they are read, or in a
//! cache of decoded images.

use super::image_file::ResizeCrop;
use crate::data::cache::Cached;
use crate::data::layout::{Files, advise};
use crate::data::opening::Stored;
use crate::error::Result;
use std::sync::Arc;

/// N images of one shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Images {
    /// Bytes `[N,C,H,W]`.
    Memory(Arc<Vec<u8>>),
    /// A file for each image.
    Files(Files<ResizeCrop>),
    /// Images of files in a cache.
    Cached(Cached<ResizeCrop>),
}

impl From<Vec<u8>> for Images {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Memory(bytes.into())
    }
}

impl From<Stored<ResizeCrop>> for Images {
    fn from(stored: Stored<ResizeCrop>) -> Self {
        match stored {
            Stored::Files(files) => Self::Files(files),
            Stored::Cached(cached) => Self::Cached(cached),
        }
    }
}

impl Images {
    /// The bytes of all images, if they are in memory.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Memory(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The file of the image `index`, relative to the directory of the set; `None` without files.
    pub(super) fn file(&self, index: usize) -> Option<&str> {
        match self {
            Self::Memory(_) => None,
            Self::Files(files) => Some(files.name(index)),
            Self::Cached(cached) => Some(cached.files.name(index)),
        }
    }

    /// Reads the bytes of the image `index` into `place`.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] and [`crate::error::Error::Format`], for images in files.
    pub(super) fn read(&self, index: usize, place: &mut [u8]) -> Result<()> {
        match self {
            Self::Memory(bytes) => place.copy_from_slice(&bytes[index * place.len()..][..place.len()]),
            Self::Files(files) => files.read(index, place).map_err(advise)?,
            Self::Cached(cached) => cached.read(index, place)?,
        }
        Ok(())
    }

    /// Passes data that identify the images to `add`: their bytes, or for files the names and
    /// lengths and the image size.
    pub(super) fn fingerprint(&self, add: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Memory(bytes) => add(bytes),
            Self::Files(files) => files.fingerprint(add, false),
            Self::Cached(cached) => cached.files.fingerprint(add, false),
        }
    }
}
