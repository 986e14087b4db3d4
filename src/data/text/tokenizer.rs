//! Texts as numbers: BERT's WordPiece, or the words of a training part, by the crate `tokenizers`.

use super::options::{LEAST_LENGTH, MOST_TOKENS, TextOptions};
use super::rows::TextRow;
use crate::error::{Error, Result};
use crate::files::{read_at_most, text};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use tokenizers::models::{wordlevel::WordLevel, wordpiece::WordPiece};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{
    AddedToken, Encoding, ModelWrapper, NormalizedString, Normalizer, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer, Tokenizer, TruncationParams, truncate_encodings,
};

/// Fills an example that is shorter than the longest.
const PADDING: &str = "[PAD]";
/// Stands for what the vocabulary has not.
const UNKNOWN: &str = "[UNK]";
/// Begins an example.
const BEGIN: &str = "[CLS]";
/// Ends a text.
const END: &str = "[SEP]";
/// What pre-training hides; not needed here.
const MASK: &str = "[MASK]";

/// What every vocabulary has.
const SPECIAL: [&str; 4] = [PADDING, UNKNOWN, BEGIN, END];

/// Longer than any vocabulary that is used.
const MOST_BYTES: u64 = 1 << 28;

/// The parts of a `tokenizer.json` that BERT's has: their place, and what they may be.
const PARTS: [(&str, &[&str]); 3] = [
    ("model", &["WordPiece", "WordLevel"]),
    ("normalizer", &["BertNormalizer"]),
    ("pre_tokenizer", &["BertPreTokenizer"]),
];

/// The parts of a `tokenizer.json` that are not read.
const OTHERS: [&str; 4] = ["truncation", "padding", "post_processor", "decoder"];

/// Splits texts into tokens of a vocabulary: `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`. The longer
/// text is truncated first.
#[derive(Clone, Debug)]
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    begin: u32,
    end: u32,
    padding: u32,
    vocabulary: usize,
    length: usize,
}

/// An example as numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the tokens.
    pub ids: Vec<u32>,
    /// How many of them belong to the first text.
    pub first: usize,
    /// Whether the texts were truncated.
    pub cut: bool,
}

/// The lower-casing and the division into words that uncased BERT has.
fn uncased() -> BertNormalizer {
    BertNormalizer::new(true, true, None, true)
}

impl TextTokenizer {
    /// WordPiece in the lines of a `vocab.txt`, uncased, for examples of `length` tokens.
    ///
    /// # Errors
    /// [`Error::Format`] for a vocabulary without the special tokens.
    pub fn of_lines(path: &Path, bytes: &[u8], length: usize) -> Result<Self> {
        let lines = text::utf8(path, bytes)?;
        let model =
            WordPiece::read_bytes(lines.as_bytes()).and_then(|tokens| WordPiece::builder().vocab(tokens).build());
        let model = model.expect("memory can be read, and the text is UTF-8");
        Self::of_model(model.into(), length).map_err(|message| Error::format(path, 0, message))
    }

    /// What a `tokenizer.json` says, which must be of BERT's kind, for examples of `length` tokens.
    ///
    /// # Errors
    /// [`Error::Format`] for another kind, and for a vocabulary without the special tokens.
    pub fn of_json(path: &Path, bytes: &[u8], length: usize) -> Result<Self> {
        let fault = |message: String| Error::format(path, 0, message);
        let parse_fault = |fault: serde_json::Error| {
            let place = text::offset_in_json(bytes, &fault);
            Error::format(path, place as u64, format!("expected a tokenizer in JSON: {fault}"))
        };
        let mut json: Value = serde_json::from_slice(bytes).map_err(parse_fault)?;
        for (part, kinds) in PARTS {
            let kind = json[part]["type"].as_str().unwrap_or("none");
            if !kinds.contains(&kind) {
                let known = kinds.join(" or ");
                return Err(fault(format!(
                    "expected {known} as the {part}, found {kind:.40?}; only BERT's kind is read"
                )));
            }
        }
        let unknown = json["model"]["unk_token"].as_str().unwrap_or(UNKNOWN).to_owned();
        // Special tokens and truncation are those of BERT, which are added here.
        OTHERS.into_iter().for_each(|part| json[part] = Value::Null);
        let tokenizer: Tokenizer =
            serde_json::from_value(json).map_err(|error| fault(format!("expected a tokenizer: {error}")))?;
        if tokenizer.token_to_id(&unknown).is_none() {
            return Err(fault(format!("the vocabulary has no {unknown:.40?}, the model's `unk_token`")));
        }
        Self::finished(tokenizer, length).map_err(fault)
    }

    /// A vocabulary of the words of the training part, lower-cased and without accents: those that
    /// occur often enough, the most frequent first.
    pub(super) fn of_words(rows: &[TextRow], options: &TextOptions<'_>) -> Result<Self> {
        let mut counts: HashMap<String, u64> = HashMap::new();
        let mut count = |text: &String| -> tokenizers::Result<()> {
            let mut normalized = NormalizedString::from(text.as_str());
            uncased().normalize(&mut normalized)?;
            let mut words = PreTokenizedString::from(normalized);
            BertPreTokenizer.pre_tokenize(&mut words)?;
            for (word, ..) in words.get_splits(OffsetReferential::Original, OffsetType::None) {
                *counts.entry(word.to_owned()).or_default() += 1;
            }
            Ok(())
        };
        let mut texts = rows.iter().flat_map(|row| &row.texts);
        texts.try_for_each(&mut count).map_err(|fault| Error::Failed(format!("words cannot be counted: {fault}")))?;
        let mut words: Vec<(String, u64)> =
            counts.into_iter().filter(|(_, count)| *count >= options.count() as u64).collect();
        words.sort_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
        let words = SPECIAL.iter().map(|special| special.to_string()).chain(words.into_iter().map(|(word, _)| word));
        let vocabulary = words.take(options.words()).enumerate().map(|(id, word)| (word, id as u32)).collect();
        let model = WordLevel::builder().vocab(vocabulary).unk_token(UNKNOWN.into()).build();
        let model = model.expect("the vocabulary is at hand");
        Ok(Self::of_model(model.into(), options.length()).expect("it has the special tokens"))
    }

    /// The vocabulary of a file.
    ///
    /// # Errors
    /// Those of the file; [`Error::Setting`] for one that is no vocabulary by its name.
    pub fn read(path: &Path, length: usize) -> Result<Self> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => Self::of_json(path, &read_at_most(path, MOST_BYTES)?, length),
            Some("txt") => Self::of_lines(path, &read_at_most(path, MOST_BYTES)?, length),
            _ => {
                let message = format!("expected a vocab.txt or a tokenizer.json, found {}", path.display());
                Err(Error::setting("vocab", message))
            }
        }
    }

    fn of_model(model: ModelWrapper, length: usize) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::new(model);
        let fault = |fault| format!("cannot be used: {fault}");
        tokenizer.with_normalizer(Some(uncased())).map_err(fault)?;
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
        let known = |token: &&str| tokenizer.token_to_id(token).is_some();
        let special: Vec<AddedToken> =
            SPECIAL.iter().copied().chain([MASK]).filter(known).map(|token| AddedToken::from(token, true)).collect();
        tokenizer.add_special_tokens(special).map_err(fault)?;
        Self::finished(tokenizer, length)
    }

    /// Checks the vocabulary, and adds the special tokens of an example.
    fn finished(mut tokenizer: Tokenizer, length: usize) -> Result<Self, String> {
        if length < LEAST_LENGTH {
            return Err(format!("examples of {length} tokens are too short; expected {LEAST_LENGTH} or more"));
        }
        let absent: Vec<&str> =
            SPECIAL.into_iter().filter(|special| tokenizer.token_to_id(special).is_none()).collect();
        if !absent.is_empty() {
            let absent = absent.join(", ");
            return Err(format!("the vocabulary has no {absent}, which BERT's has; is it the right file?"));
        }
        let id = |token: &str| (token.to_owned(), tokenizer.token_to_id(token).expect("it is there"));
        let (begin, end, padding) = (id(BEGIN), id(END), id(PADDING).1);
        let vocabulary = tokenizer.get_vocab(true).into_values().max().map_or(0, |last| last as usize + 1);
        if vocabulary > MOST_TOKENS {
            return Err(format!("expected at most {MOST_TOKENS} tokens, found the number {}", vocabulary - 1));
        }
        let numbers = (begin.1, end.1);
        tokenizer.with_post_processor(Some(BertProcessing::new(end, begin)));
        Ok(Self { tokenizer, begin: numbers.0, end: numbers.1, padding, vocabulary, length })
    }

    /// The number of the token that fills an example.
    pub fn padding(&self) -> u32 {
        self.padding
    }

    /// All numbers of tokens are below this.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The tokens of one or two texts.
    ///
    /// # Errors
    /// The reason where the vocabulary has no number for a word, or a text no token.
    pub fn tokens(&self, texts: &[String]) -> Result<Tokens, String> {
        if !matches!(texts.len(), 1 | 2) {
            return Err(format!("expected one or two texts, found {}", texts.len()));
        }
        let fault = |fault| format!("cannot be divided into tokens: {fault}");
        let encode = |text: &String| self.tokenizer.encode_fast(text.as_str(), false).map_err(fault);
        let first = encode(&texts[0])?;
        let second = texts.get(1).map(encode).transpose()?;
        if first.is_empty() || second.as_ref().is_some_and(Encoding::is_empty) {
            return Err("a text has no tokens: it consists of control characters".into());
        }
        // The crate's truncation cuts each text to the length before it compares them.
        let room = self.length - texts.len() - 1;
        let cut = first.len() + second.as_ref().map_or(0, Encoding::len) > room;
        let params = TruncationParams { max_length: room, ..TruncationParams::default() };
        let (first, second) = truncate_encodings(first, second, &params).map_err(fault)?;
        let mut ids = [&[self.begin], first.get_ids(), &[self.end]].concat();
        let first = ids.len();
        if let Some(second) = second {
            ids.extend_from_slice(second.get_ids());
            ids.push(self.end);
        }
        Ok(Tokens { ids, first, cut })
    }

    /// As a `tokenizer.json`, which [`TextTokenizer::of_json`] and Hugging Face's libraries read.
    pub fn json(&self) -> String {
        self.tokenizer.to_string(false).expect("a tokenizer is plain data")
    }
}
