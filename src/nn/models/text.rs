//! What models of texts have in common.

use crate::data::{Form, TokenInput};
use crate::error::{Error, Result};

/// The tokens of a data set of texts, which has the inputs `tokens`, `segments` and `length`.
///
/// # Errors
/// [`Error::Setting`] if the data have no such inputs.
pub(super) fn token_input(model: &str, form: &Form) -> Result<TokenInput> {
    let has = |name: &str| form.inputs.iter().any(|column| column.name == name);
    let tokens = form.tokens().filter(|_| ["tokens", "segments", "length"].into_iter().all(has));
    tokens.ok_or_else(|| Error::setting("model", format!("{model} needs texts, which the data do not have")))
}
