//! Floor 1: the error type of the crate. A message names the file, option or tensor at fault, what
//! was expected, and what to do.

use std::path::{Path, PathBuf};

/// An error of the user's files, options or devices.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done to it: "read", "create", ...
        action: &'static str,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The content of a file does not match its format.
    #[error("{}, byte {offset}: {message}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Position of the fault in bytes, after decompression.
        offset: u64,
        /// What was expected, what was found, and what to do.
        message: String,
    },
    /// A setting, or a combination of settings, is invalid.
    #[error("{field}: {message}")]
    Setting {
        /// The field or argument, e.g. `batch_size`.
        field: &'static str,
        /// What was expected and what to do. Other fields are in backquotes: the command line
        /// replaces them by its options.
        message: String,
    },
    /// An option of the command line, a file or a directory cannot be used.
    #[error("{option}: {message}")]
    Option {
        /// The option, e.g. `--out`, or the path.
        option: String,
        /// What was expected and what to do.
        message: String,
    },
    /// No adapter was found, or not the requested one.
    #[error("{0}")]
    Adapter(String),
    /// The device reported an error or was lost.
    #[error("{0}")]
    Device(String),
    /// The run needs more memory, or higher limits, than the device has.
    #[error("{0}")]
    Capacity(String),
    /// Something else failed, such as one of several runs.
    #[error("{0}")]
    Failed(String),
    /// The user or the system stopped the program. The message reports how far it got.
    #[error("{0}")]
    Interrupted(String),
    /// Training produced a number that is not finite.
    #[error("{0}")]
    NonFinite(String),
}

/// A result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err` on file operations: `File::open(p).map_err(Error::io(p, "read"))`.
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }

    /// A fault in a file's content at `offset` bytes from its (decompressed) start.
    pub fn format(path: &Path, offset: u64, message: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), offset, message: message.into() }
    }

    /// A fault in a field of the options, or in an argument.
    pub fn setting(field: &'static str, message: impl Into<String>) -> Self {
        Self::Setting { field, message: message.into() }
    }

    /// A fault in an option of the command line, or in a path.
    pub fn option(option: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Option { option: option.into(), message: message.into() }
    }
}
