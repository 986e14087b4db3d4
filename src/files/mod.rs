//! Floor 1: files. Reads regular files, in memory or on disk, writes files whole or not at all,
//! locks files between processes, and reports the position of faults in text.

#[cfg(feature = "cli")]
mod claim;
mod lock;
mod lookup;
mod memory;
#[cfg(feature = "records")]
mod overwrite;
#[cfg(feature = "report")]
mod protobuf;
mod read;
pub(crate) mod text;
mod write;

#[cfg(feature = "cli")]
pub(crate) use claim::{Claim, Held, Life, Replace};
pub(crate) use lock::FileLock;
pub(crate) use lookup::{Info, exists, info, is_dir, is_file, names_in};
pub use memory::add_file;
#[cfg(feature = "records")]
pub use overwrite::{Input, Overwrite};
#[cfg(feature = "report")]
pub(crate) use protobuf::Message;
pub(crate) use read::{OpenFile, gunzipped, open_regular, read_at_most, read_if_exists, read_regular};
#[cfg(feature = "cli")]
pub(crate) use write::write_shared_by;
pub(crate) use write::{write_shared, write_whole, write_whole_by};
#[cfg(feature = "records")]
pub(crate) use {lock::DirectoryLock, write::move_file, write::sync_directory};
