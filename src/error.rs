//! Floor 1: the one error type. Every message names the file, option or tensor at fault, what was expected, and what to do.

use std::path::{Path, PathBuf};

/// What can go wrong at the door, where the user's files, options and devices come in.
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
    /// A file was read, but its content is not what its format demands.
    #[error("{}, byte {offset}: {message}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where in it (after decompression) the fault lies.
        offset: u64,
        /// What was expected, what was found, and what to do.
        message: String,
    },
    /// A value of the library's options, or a combination of values, that cannot be used.
    #[error("{field}: {message}")]
    Setting {
        /// The field or argument, e.g. `batch_size`.
        field: &'static str,
        /// What was expected and what to do. Other fields are in backquotes, for the command line to
        /// replace them with its options.
        message: String,
    },
    /// An option of the command line, a file or a directory that cannot be used.
    #[error("{option}: {message}")]
    Option {
        /// The option as the user spells it, e.g. `--out`, or the path.
        option: String,
        /// What was expected and what to do.
        message: String,
    },
    /// No adapter, or not the one that was asked for.
    #[error("{0}")]
    Adapter(String),
    /// The device refused or lost work.
    #[error("{0}")]
    Device(String),
    /// The run needs more than the device grants.
    #[error("{0}")]
    Capacity(String),
    /// Some of several runs failed; each has said why.
    #[error("{0}")]
    Failed(String),
    /// The user, or the system, asked the program to stop; what it says is where it stands.
    #[error("{0}")]
    Interrupted(String),
    /// Training produced a number that is not finite.
    #[error("{0}")]
    NonFinite(String),
}

/// The crate's result.
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
