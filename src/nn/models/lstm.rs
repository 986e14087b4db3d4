//! The LSTM of the LeRaC paper (section 4.1): an embedding, two LSTM layers, two linear layers.
//!
//! No code of it was published. Where the paper is silent, this model reads the text in one
//! direction, takes the last hidden state, and has 256 units and a ReLU between the two linear
//! layers.

use super::text::token_input;
use crate::data::{Form, TokenInput};
use crate::error::Result;
use crate::nn::{Lstm, Model, Net, Output};
use crate::tape::Var;

const EMBEDDING: usize = 128;
const HIDDEN: usize = 256;

/// PyTorch's deviation of an embedding's initial weights.
const EMBEDDING_DEVIATION: f64 = 1.0;

/// The model. The number of its embeddings is that of the data's vocabulary.
pub(super) struct LstmClassifier;

impl Model for LstmClassifier {
    fn accepts(&self, form: &Form) -> Result<()> {
        token_input("lstm", form).map(drop)
    }

    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        let TokenInput { vocabulary, .. } = token_input("lstm", net.form()).expect("the form was accepted");
        let (tokens, length) = (net.ids("tokens"), net.ids("length"));
        let x = net.layer("embedding", |net| {
            net.embedding("embedding", &tokens, [vocabulary, EMBEDDING], EMBEDDING_DEVIATION, Some(0))
        });
        let lstm = Lstm { hidden: HIDDEN, layers: 2, bidirectional: false, dropout: 0.0 };
        let x = net.lstm("lstm", x, lstm, Some(&length)).last;
        let x = net.linear("fc1", x, HIDDEN);
        let x = net.relu("relu", x);
        let [Output { width, .. }] = wanted else { panic!("lstm has one output, {} are wanted", wanted.len()) };
        vec![net.linear("fc2", x, *width)]
    }
}
