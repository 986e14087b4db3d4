//! What models of texts have in common.

use crate::data::{Form, Meaning};
use crate::error::{Error, Result};

/// What the texts of a data set are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextForm {
    /// Token ids are below this.
    pub(super) vocabulary: usize,
    /// T, the tokens of an example, padding included.
    pub(super) tokens: usize,
}

/// The form of a data set of texts: inputs `tokens`, `segments` and `length`.
///
/// # Errors
/// [`Error::Setting`] if the data have no such inputs.
pub(super) fn text_form(model: &str, form: &Form) -> Result<TextForm> {
    let input = |name: &str| form.inputs.iter().find(|column| column.name == name);
    match (input("tokens").map(|column| (&column.meaning, &column.shape[..])), input("segments"), input("length")) {
        (Some((&Meaning::Tokens { vocabulary }, &[tokens])), Some(_), Some(_)) => Ok(TextForm { vocabulary, tokens }),
        _ => Err(Error::setting("model", format!("{model} needs texts, which the data do not have"))),
    }
}
