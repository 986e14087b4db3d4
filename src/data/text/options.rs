//! The options of texts.

use crate::error::{Error, Result};
use std::path::Path;

/// The default of `max_length`.
const LENGTH: usize = 128;

/// `[CLS] a [SEP] b [SEP]`, each text of one token.
pub(super) const LEAST_LENGTH: usize = 5;

/// More than any model here has positions for.
const MOST_LENGTH: usize = 1 << 16;

/// The default of `vocab_size`.
#[cfg(feature = "text")]
const WORDS: usize = 30_000;

/// The default of `min_count`.
#[cfg(feature = "text")]
const COUNT: usize = 2;

/// The largest vocabulary.
pub(super) const MOST_TOKENS: usize = 1 << 22;

/// How texts are read and divided into tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextOptions<'s> {
    /// A vocabulary: `vocab.txt` or `tokenizer.json`. By default, the words of the training part.
    pub vocab: Option<&'s Path>,
    /// Tokens of an example, special tokens included; by default 128.
    pub max_length: Option<usize>,
    /// Without `vocab`: largest size of the vocabulary, special tokens included; 30,000 by default.
    pub vocab_size: Option<usize>,
    /// Without `vocab`: least number of occurrences of a word in the training part; by default 2.
    pub min_count: Option<usize>,
    /// `text-pairs`: the names of the columns of one or two texts.
    pub columns: &'s [String],
    /// `text-pairs`: the name of the label's column; by default `label`.
    pub label_column: Option<&'s str>,
}

impl TextOptions<'_> {
    /// Tokens of an example.
    pub fn length(&self) -> usize {
        self.max_length.unwrap_or(LENGTH)
    }

    /// Tokens of a vocabulary that is made, at most.
    #[cfg(feature = "text")]
    pub(super) fn words(&self) -> usize {
        self.vocab_size.unwrap_or(WORDS)
    }

    /// Occurrences of each of its words, at least.
    #[cfg(feature = "text")]
    pub(super) fn count(&self) -> usize {
        self.min_count.unwrap_or(COUNT)
    }

    /// Checks every option that can be checked without files.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the option, what was expected and what was found.
    pub fn check(&self) -> Result<()> {
        let within = |field, value: Option<usize>, least: usize, most: usize| match value {
            Some(value) if !(least..=most).contains(&value) => {
                Err(Error::setting(field, format!("expected {least} to {most}, found {value}")))
            }
            _ => Ok(()),
        };
        within("max_length", self.max_length, LEAST_LENGTH, MOST_LENGTH)?;
        within("vocab_size", self.vocab_size, LEAST_LENGTH, MOST_TOKENS)?;
        within("min_count", self.min_count, 1, usize::MAX)?;
        if self.columns.len() > 2 {
            let message = format!("expected the names of one or two columns, found {}", self.columns.len());
            return Err(Error::setting("text_columns", message));
        }
        if self.columns.len() == 2 && self.columns[0] == self.columns[1] {
            return Err(Error::setting("text_columns", format!("{:?} is there twice", self.columns[0])));
        }
        match self.columns.iter().find(|name| Some(name.as_str()) == self.label_column) {
            Some(name) => Err(Error::setting("label_column", format!("{name:?} is also one of `text_columns`"))),
            None => Ok(()),
        }
    }

    /// The options that are given.
    pub(in crate::data) fn given(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            ("vocab", self.vocab.is_some()),
            ("max_length", self.max_length.is_some()),
            ("vocab_size", self.vocab_size.is_some()),
            ("min_count", self.min_count.is_some()),
            ("text_columns", !self.columns.is_empty()),
            ("label_column", self.label_column.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(field, _)| field)
    }
}
