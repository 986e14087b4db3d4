//! Error messages of the command line. The library names fields of the options, such as
//! `batch_size`; here they are replaced by the options that set them, such as `--batch-size`.

use crate::error::Error;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The message of an error, with options in place of fields.
pub(super) fn in_words(error: &Error) -> String {
    match error {
        Error::Setting { field, message } => match OPTIONS.get(*field) {
            Some(option) => with_options(&format!("{option}: {message}")),
            None => with_options(&error.to_string()),
        },
        _ => with_options(&error.to_string()),
    }
}

/// A text with options in place of the fields in backquotes.
pub(super) fn with_options(text: &str) -> String {
    OPTIONS.iter().fold(text.to_owned(), |text, (field, option)| text.replace(&format!("`{field}`"), option))
}

/// The long options of all commands, by the fields that they set.
static OPTIONS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let command = super::command();
    let arguments = command.get_subcommands().flat_map(|command| command.get_arguments());
    arguments.filter_map(|arg| Some((arg.get_id().to_string(), format!("--{}", arg.get_long()?)))).collect()
});
