//! Where the bytes of a data set's images are: in memory, in image files that are decoded when they are asked for, or in a file
//! that holds them decoded.

use super::cache::Cached;
use super::folder::Files;
use crate::error::Result;
use std::sync::Arc;

/// N images of one form.
#[derive(Clone, Debug, PartialEq)]
pub enum Images {
    /// Each C planes of H rows of W bytes.
    Memory(Arc<Vec<u8>>),
    /// A file each.
    Files(Files),
    /// Those of files, decoded once.
    Cached(Cached),
}

impl From<Vec<u8>> for Images {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Memory(bytes.into())
    }
}

impl Images {
    /// The bytes of all of them, where they are in memory.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Memory(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Puts the bytes of one image in its place.
    ///
    /// # Errors
    /// Those of its file.
    pub(super) fn read(&self, index: usize, place: &mut [u8]) -> Result<()> {
        match self {
            Self::Memory(bytes) => place.copy_from_slice(&bytes[index * place.len()..][..place.len()]),
            Self::Files(files) => place.copy_from_slice(&files.frame.fit(&files.read(index)?)),
            Self::Cached(cached) => cached.read(index, place)?,
        }
        Ok(())
    }

    /// Gives `add` what tells these images from others: their bytes; of files the names, the sizes and the form that they are brought
    /// to.
    pub(super) fn fingerprint(&self, add: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Memory(bytes) => add(bytes),
            Self::Files(files) => files.fingerprint(add, false),
            Self::Cached(cached) => cached.files.fingerprint(add, false),
        }
    }
}
