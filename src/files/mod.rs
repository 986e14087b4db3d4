//! Floor 1: regular files read, files written whole or not at all, locks between processes, and text whose faults are told with
//! their place.

mod lock;
mod read;
pub(crate) mod text;
mod write;

pub(crate) use lock::FileLock;
pub(crate) use read::{open_regular, read_at_most, read_if_there, read_regular};
#[cfg(feature = "cli")]
pub(crate) use write::write_shared_by;
pub(crate) use write::{write_shared, write_whole, write_whole_by};
#[cfg(feature = "records")]
pub(crate) use {lock::DirectoryLock, write::sync_directory};
