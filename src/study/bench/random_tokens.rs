//! Random texts for benchmarks.

use crate::data::{Draw, Examples, Form};
use crate::error::Result;

/// Pairs of texts of random tokens, without padding. `form` is that of `token_form`.
pub(super) struct RandomTokens {
    pub(super) form: Form,
    /// Number of examples.
    pub(super) examples: usize,
}

impl Examples for RandomTokens {
    fn name(&self) -> &str {
        "random tokens"
    }

    fn form(&self) -> Form {
        self.form.clone()
    }

    fn len(&self) -> usize {
        self.examples
    }

    fn read(&self, index: usize, _draw: Option<Draw>, into: &mut [&mut [u32]]) -> Result<()> {
        let [tokens, segments, length, label] = into else { panic!("places for four columns") };
        let (count, vocabulary) = (tokens.len(), self.form.tokens().expect("texts").vocabulary as u32);
        for (i, token) in tokens.iter_mut().enumerate() {
            // Multiplication by a large odd number scatters the tokens over the vocabulary.
            *token = ((index * count + i) as u32).wrapping_mul(2_654_435_761) % vocabulary;
        }
        segments[count / 2..].fill(1);
        length[0] = count as u32;
        label[0] = (index % self.form.classes().len()) as u32;
        Ok(())
    }

    fn fingerprint(&self, _add: &mut dyn FnMut(&[u8])) {}
}
