//! Assertions on errors: the kind, what is at fault, and the names and numbers in the message. The
//! sentences may change; `tests/options/wording.rs` keeps one of each kind.

use lerac::error::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The kind of an error, with the field, option or file at fault. Files are given by the end of
/// their path.
#[derive(Clone, Copy, Debug)]
pub enum Fault<'a> {
    Setting(&'a str),
    Option(&'a str),
    /// A file, and the offset of the fault if the test knows it.
    Format(&'a str, Option<u64>),
    Io(&'a str),
    Adapter,
    Device,
    Capacity,
    NonFinite,
    Interrupted,
}

/// Returns the error of `outcome`; panics if there is none.
#[track_caller]
pub fn error_of<T>(outcome: Result<T>) -> Error {
    outcome.err().expect("expected an error")
}

/// Asserts that `error` has the kind and the culprit of `fault`, and that its message contains all
/// `names`.
#[track_caller]
pub fn assert_fault(error: &Error, fault: Fault<'_>, names: &[&str]) {
    let is_so = match (error, fault) {
        (Error::Setting { field, .. }, Fault::Setting(expected)) => *field == expected,
        (Error::Option { option, .. }, Fault::Option(expected)) => option.ends_with(expected),
        (Error::Format { path, offset, .. }, Fault::Format(expected, at)) => {
            path.ends_with(expected) && at.is_none_or(|at| at == *offset)
        }
        (Error::Io { path, .. }, Fault::Io(expected)) => path.ends_with(expected),
        (Error::Adapter(_), Fault::Adapter)
        | (Error::Device(_), Fault::Device)
        | (Error::Capacity(_), Fault::Capacity)
        | (Error::NonFinite(_), Fault::NonFinite)
        | (Error::Interrupted(_), Fault::Interrupted) => true,
        _ => false,
    };
    assert!(is_so, "expected {fault:?}, found {error:?}");
    assert_contains(&error.to_string(), names);
}

/// Asserts that `outcome` is an error with this fault and these names.
#[track_caller]
pub fn assert_error<T>(outcome: Result<T>, fault: Fault<'_>, names: &[&str]) {
    assert_fault(&error_of(outcome), fault, names);
}

/// Asserts that `text` contains all `parts`. On Windows, `/` and `\\` are the same.
#[track_caller]
pub fn assert_contains(text: &str, parts: &[impl AsRef<str>]) {
    let plain = |text: &str| if cfg!(windows) { text.replace('\\', "/") } else { text.to_owned() };
    for part in parts {
        assert!(plain(text).contains(&plain(part.as_ref())), "{:?} is not in {text:?}", part.as_ref());
    }
}

/// Runs `work`, which must panic, and returns the message of the panic.
#[track_caller]
pub fn panic_of<T>(work: impl FnOnce() -> T) -> String {
    let cause = catch_unwind(AssertUnwindSafe(work)).err().expect("expected a panic");
    cause.downcast::<String>().map_or_else(|cause| (*cause.downcast::<&str>().unwrap()).to_owned(), |text| *text)
}

/// Asserts that `work` panics with a message that begins with the name `at` and contains all
/// `names`.
#[track_caller]
pub fn assert_panics<T>(work: impl FnOnce() -> T, at: &str, names: &[&str]) {
    let message = panic_of(work);
    assert!(message.starts_with(&format!("{at}: ")), "{at} is not at fault in {message:?}");
    assert_contains(&message, names);
}
