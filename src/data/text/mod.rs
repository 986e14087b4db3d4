//! Texts: one or two of them with a class, divided into tokens.

mod options;
#[cfg(feature = "text")]
mod rows;
#[cfg(feature = "text")]
mod sets;
#[cfg(feature = "text")]
mod texts;
#[cfg(feature = "text")]
mod tokenizer;

use super::{Column, Element, Form, Meaning};

pub use options::TextOptions;
#[cfg(feature = "text")]
pub(super) use sets::{BOOLQ, QNLI, RTE, TextSet, encoder, open};
#[cfg(feature = "text")]
pub use {
    rows::{BadRow, Place, TextColumns, TextFormat, TextRow, text_rows_in},
    texts::{CLASSES_FILE, TOKENIZER_FILE, TextEncoder, Texts},
    tokenizer::{TextTokenizer, Tokens},
};

/// The columns of texts: `tokens` `[T]`; `segments` `[T]`, 1 in the second text; `length` `[1]`,
/// the number of tokens without padding; and the target `label`.
pub fn token_form(tokens: usize, vocabulary: usize, target: &Meaning) -> Form {
    let ids = |name, count| Column::plain(name, Element::U32, [count]);
    Form {
        inputs: vec![
            Column { meaning: Meaning::Tokens { vocabulary }, ..ids("tokens", tokens) },
            ids("segments", tokens),
            ids("length", 1),
        ],
        targets: vec![Column { meaning: target.clone(), ..Column::plain("label", Element::U32, []) }],
    }
}
