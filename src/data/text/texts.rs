//! Texts as examples: columns of tokens, segments and lengths, padded to one length.

use super::token_form;
use super::tokenizer::{TextTokenizer, Tokens};
use crate::data::{Draw, Examples, Form, Meaning};
use crate::error::{Error, Result};
use std::sync::Arc;

/// How texts with a label become numbers.
#[derive(Clone, Debug)]
pub struct TextEncoder {
    /// Divides them into tokens.
    pub tokenizer: TextTokenizer,
    /// The names of the labels.
    pub classes: Arc<[String]>,
    /// T, the tokens of an example.
    pub length: usize,
    /// Texts of an example, 1 or 2.
    pub texts: usize,
}

impl TextEncoder {
    /// The columns of its examples.
    pub fn form(&self) -> Form {
        token_form(self.length, self.tokenizer.vocabulary(), &Meaning::Classes(self.classes.clone()))
    }

    /// Examples without a label, such as a model is asked about: one or two texts each.
    ///
    /// # Errors
    /// [`Error::Setting`] for an example of another number of texts, or one without a token.
    pub fn unlabelled(self: &Arc<Self>, name: &str, examples: &[Vec<String>]) -> Result<Texts> {
        let mut texts = Texts::new(name, self.clone());
        for example in examples {
            if example.len() != self.texts {
                let message = format!("expected {} for an example, found {}", self.texts, example.len());
                return Err(Error::setting("text", message));
            }
            let tokens = self.tokenizer.tokens(example).map_err(|reason| Error::setting("text", reason))?;
            texts.push(example, 0, &tokens);
        }
        Ok(texts)
    }
}

/// Texts with a label each, divided into tokens.
#[derive(Clone, Debug)]
pub struct Texts {
    name: String,
    encoder: Arc<TextEncoder>,
    texts: Vec<Box<[String]>>,
    labels: Vec<u32>,
    /// The tokens of all examples, one after the other.
    ids: Vec<u32>,
    spans: Vec<Span>,
}

/// The tokens of an example among those of all.
#[derive(Clone, Copy, Debug)]
struct Span {
    begin: usize,
    length: u32,
    /// Tokens of the first text.
    first: u32,
}

impl Texts {
    /// A set of no text yet.
    pub(super) fn new(name: &str, encoder: Arc<TextEncoder>) -> Self {
        let (texts, labels, ids, spans) = (vec![], vec![], vec![], vec![]);
        Self { name: name.to_owned(), encoder, texts, labels, ids, spans }
    }

    /// Adds an example.
    pub(super) fn push(&mut self, texts: &[String], label: u32, tokens: &Tokens) {
        let (length, first) = (tokens.ids.len() as u32, tokens.first as u32);
        self.spans.push(Span { begin: self.ids.len(), length, first });
        self.ids.extend_from_slice(&tokens.ids);
        self.texts.push(texts.into());
        self.labels.push(label);
    }

    /// How its texts become numbers.
    pub fn encoder(&self) -> &Arc<TextEncoder> {
        &self.encoder
    }

    /// The texts of an example, as they were read.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn texts(&self, index: usize) -> &[String] {
        &self.texts[index]
    }

    /// The labels, as numbers of classes.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The tokens of an example without padding, and how many of them belong to the first text.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn tokens(&self, index: usize) -> (&[u32], usize) {
        let Span { begin, length, first } = self.spans[index];
        (&self.ids[begin..][..length as usize], first as usize)
    }
}

impl Examples for Texts {
    fn name(&self) -> &str {
        &self.name
    }

    fn form(&self) -> Form {
        self.encoder.form()
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn read(&self, index: usize, _draw: Option<Draw>, into: &mut [&mut [u32]]) -> Result<()> {
        let [tokens, segments, length, label] = into else { panic!("{}: places for four columns", self.name) };
        let (ids, first) = self.tokens(index);
        let (written, padding) = tokens.split_at_mut(ids.len());
        written.copy_from_slice(ids);
        padding.fill(self.encoder.tokenizer.padding());
        segments[first..ids.len()].fill(1);
        length[0] = ids.len() as u32;
        self.targets(index, &mut [label])
    }

    fn targets(&self, index: usize, into: &mut [&mut [u32]]) -> Result<()> {
        into[0][0] = self.labels[index];
        Ok(())
    }

    /// All texts and labels, the tokenizer with its vocabulary, and the names of the classes.
    fn fingerprint(&self, add: &mut dyn FnMut(&[u8])) {
        let mut add_text = |text: &str| {
            add(&(text.len() as u64).to_le_bytes());
            add(text.as_bytes());
        };
        add_text(&self.encoder.tokenizer.json());
        add_text(&self.encoder.length.to_string());
        self.encoder.classes.iter().for_each(|class| add_text(class));
        self.texts.iter().flatten().for_each(|text| add_text(text));
        self.labels.iter().for_each(|label| add(&label.to_le_bytes()));
    }

    /// The texts, separated by a bar.
    fn caption(&self, index: usize) -> Option<String> {
        Some(self.texts[index].join(" | "))
    }

    /// The vocabulary, and the names of the classes.
    fn companions(&self) -> Vec<(&'static str, Vec<u8>)> {
        let classes: String = self.encoder.classes.iter().map(|class| format!("{class}\n")).collect();
        vec![(TOKENIZER_FILE, self.encoder.tokenizer.json().into_bytes()), (CLASSES_FILE, classes.into_bytes())]
    }
}

/// The vocabulary, next to the weights of a model of texts.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// The names of the classes there, one a line.
pub const CLASSES_FILE: &str = "classes.txt";
