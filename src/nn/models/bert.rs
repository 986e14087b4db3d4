//! BERT (Devlin et al. 2019) with a classifier, with the names of Hugging Face's
//! `BertForSequenceClassification`.

use super::text::token_input;
use crate::data::{Form, TokenInput};
use crate::error::{Error, Result};
use crate::nn::{Attention, Ids, Model, Net, Output};
use crate::ops::activation::Nonlinearity;
use crate::tape::Var;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// The activation between the two linear layers of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BertActivation {
    /// x Phi(x), exact.
    Gelu,
    /// GELU's tanh form.
    #[serde(alias = "gelu_pytorch_tanh")]
    GeluNew,
    /// max(x, 0).
    Relu,
}

/// The size of a BERT: the keys of Hugging Face's `config.json` that say what is computed. The
/// default is `bert-base-uncased`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BertOptions {
    /// Number of word embeddings, at least the size of the data's vocabulary; by default that size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab_size: Option<usize>,
    /// Width H of the embeddings and of each block.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Attention heads; must divide `hidden_size`.
    pub num_attention_heads: usize,
    /// Width between the two linear layers of a block.
    pub intermediate_size: usize,
    /// Number of position embeddings: the largest number of tokens.
    pub max_position_embeddings: usize,
    /// Number of segment embeddings.
    pub type_vocab_size: usize,
    /// The activation between the two linear layers of a block.
    pub hidden_act: BertActivation,
    /// Drop probability after the embeddings, after each linear layer that ends a half of a block,
    /// and before the classifier.
    pub hidden_dropout_prob: f64,
    /// Drop probability of the attention probabilities.
    pub attention_probs_dropout_prob: f64,
    /// Epsilon of the layer normalisations.
    pub layer_norm_eps: f32,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
}

/// `bert-base-uncased`.
impl Default for BertOptions {
    fn default() -> Self {
        Self {
            vocab_size: None,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            hidden_act: BertActivation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            layer_norm_eps: 1e-12,
            initializer_range: 0.02,
        }
    }
}

/// The largest extent of a model, far above any that is used.
const MOST: usize = 1 << 20;

/// Keys of a `config.json` with the only value that this model has. A file may leave them out.
fn fixed_keys() -> [(&'static str, Value); 5] {
    [
        ("model_type", json!("bert")),
        ("position_embedding_type", json!("absolute")),
        ("is_decoder", json!(false)),
        ("add_cross_attention", json!(false)),
        ("classifier_dropout", Value::Null),
    ]
}

impl BertOptions {
    /// A model of the published family: heads of 64, and four times as wide between the two linear
    /// layers of a block.
    pub(super) fn uncased(layers: usize, hidden: usize) -> Self {
        Self {
            hidden_size: hidden,
            num_hidden_layers: layers,
            num_attention_heads: hidden / 64,
            intermediate_size: 4 * hidden,
            ..Self::default()
        }
    }

    /// Reads Hugging Face's `config.json`; `path` is for error messages. Keys that do not change
    /// the model are ignored.
    ///
    /// # Errors
    /// [`Error::Format`] for another file, or for a model that is not this BERT.
    pub fn from_config_json(path: &Path, bytes: &[u8]) -> Result<Self> {
        let fault = |message: String| Error::format(path, 0, message);
        let json: Value = serde_json::from_slice(bytes)
            .map_err(|error| fault(format!("expected a BERT config.json of Hugging Face: {error}")))?;
        if json.get("hidden_size").is_none() {
            return Err(fault("expected a BERT config.json of Hugging Face: it has no hidden_size".into()));
        }
        for (key, expected) in fixed_keys() {
            let found = json.get(key).unwrap_or(&expected);
            if *found != expected && !found.is_null() {
                return Err(fault(format!("{key} is {found}; only {expected} is supported")));
            }
        }
        let options: Self = serde_json::from_value(json)
            .map_err(|error| fault(format!("expected a BERT config.json of Hugging Face: {error}")))?;
        options.check().map(|()| options).map_err(fault)
    }

    /// The `config.json` with which Hugging Face's `BertForSequenceClassification` loads weights of
    /// this model. `vocabulary` is the number of word embeddings.
    pub fn config_json(&self, vocabulary: usize, classes: &[String]) -> String {
        let mut json = serde_json::to_value(self).expect("options are plain data");
        fixed_keys().into_iter().for_each(|(key, value)| json[key] = value);
        let numbered = || classes.iter().enumerate();
        json["architectures"] = json!(["BertForSequenceClassification"]);
        json["vocab_size"] = json!(vocabulary);
        json["pad_token_id"] = json!(0);
        json["id2label"] = numbered().map(|(i, class)| (i.to_string(), json!(class))).collect();
        json["label2id"] = numbered().map(|(i, class)| (class.clone(), json!(i))).collect();
        serde_json::to_string_pretty(&json).expect("a value is plain data")
    }

    /// Checks that the values describe a model.
    ///
    /// # Errors
    /// The key, what was expected and what was found.
    pub fn check(&self) -> std::result::Result<(), String> {
        let extents = [
            ("vocab_size", self.vocab_size.unwrap_or(1)),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        if let Some((key, extent)) = extents.into_iter().find(|(_, extent)| !(1..=MOST).contains(extent)) {
            return Err(format!("{key} is {extent}; expected 1 to {MOST}"));
        }
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        if !width.is_multiple_of(heads) {
            return Err(format!("hidden_size {width} is not a multiple of num_attention_heads {heads}"));
        }
        if self.type_vocab_size < 2 {
            return Err("type_vocab_size is 1; expected 2 or more, for two segments".into());
        }
        let probabilities = [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
        ];
        if let Some((key, p)) = probabilities.into_iter().find(|(_, p)| !(0.0..1.0).contains(p)) {
            return Err(format!("{key} is {p}; expected 0 or more, and less than 1"));
        }
        let deviations = self.initializer_range >= 0.0 && self.initializer_range.is_finite();
        match self.layer_norm_eps > 0.0 && self.layer_norm_eps.is_finite() && deviations {
            true => Ok(()),
            false => Err("expected layer_norm_eps above 0, and initializer_range 0 or more".into()),
        }
    }
}

/// BERT with a classifier.
#[derive(Clone, Debug)]
pub(super) struct Bert(pub(super) BertOptions);

impl Bert {
    /// A linear layer of the current layer, as BERT initialises it.
    fn dense(&self, net: &mut Net, name: &str, x: Var, outputs: usize) -> Var {
        net.dense(name, x, outputs, self.0.initializer_range)
    }

    fn layer_norm(&self, net: &mut Net, name: &str, x: Var) -> Var {
        net.layer_norm(name, x, self.0.layer_norm_eps)
    }

    fn embeddings(&self, net: &mut Net, vocabulary: usize) -> Var {
        let BertOptions { hidden_size: width, initializer_range: deviation, .. } = self.0;
        let (tokens, segments) = (net.ids("tokens"), net.ids("segments"));
        net.layer("embeddings", |net| {
            net.scope("embeddings", |net| {
                let words = net.embedding("word_embeddings", &tokens, [vocabulary, width], deviation, Some(0));
                let types = [self.0.type_vocab_size, width];
                let types = net.embedding("token_type_embeddings", &segments, types, deviation, None);
                let x = net.add("sum", words, types);
                let positions = self.0.max_position_embeddings;
                let x = net.position_embedding("position_embeddings", x, positions, deviation);
                let x = self.layer_norm(net, "LayerNorm", x);
                net.dropout("dropout", x, self.0.hidden_dropout_prob)
            })
        })
    }

    /// LayerNorm(x + dropout(dense(y))).
    fn add_and_norm(&self, net: &mut Net, name: &str, x: Var, y: Var) -> Var {
        net.scope(name, |net| {
            let y = self.dense(net, "dense", y, self.0.hidden_size);
            let y = net.dropout("dropout", y, self.0.hidden_dropout_prob);
            let x = net.add("sum", x, y);
            self.layer_norm(net, "LayerNorm", x)
        })
    }

    fn attention(&self, net: &mut Net, x: Var, length: &Ids) -> Var {
        let settings = &self.0;
        net.scope("attention", |net| {
            let y = net.scope("self", |net| {
                let qkv = ["query", "key", "value"].map(|name| self.dense(net, name, x, settings.hidden_size));
                let heads = settings.num_attention_heads;
                let attention = Attention { heads, scale: None, dropout: settings.attention_probs_dropout_prob };
                net.attention("attention", qkv, attention, Some(length))
            });
            self.add_and_norm(net, "output", x, y)
        })
    }

    /// A block of the encoder, which is one layer of the curriculum.
    fn block(&self, net: &mut Net, index: usize, x: Var, length: &Ids) -> Var {
        let name = format!("encoder.layer.{index}");
        net.layer(&name, |net| {
            net.scope(&name, |net| {
                let x = net.blur_tokens("blur", x);
                let x = self.attention(net, x, length);
                let y = self.dense(net, "intermediate.dense", x, self.0.intermediate_size);
                let y = match self.0.hidden_act {
                    BertActivation::Gelu => net.gelu("intermediate.gelu", y),
                    BertActivation::GeluNew => net.activation("intermediate.gelu", y, Nonlinearity::GeluTanh),
                    BertActivation::Relu => net.relu("intermediate.relu", y),
                };
                self.add_and_norm(net, "output", x, y)
            })
        })
    }

    /// tanh(dense(x of the first token)).
    fn pooler(&self, net: &mut Net, x: Var) -> Var {
        net.layer("pooler", |net| {
            net.scope("pooler", |net| {
                let first = net.slice("first", x, 0..1);
                let first = net.flatten(first);
                let x = self.dense(net, "dense", first, self.0.hidden_size);
                net.activation("tanh", x, Nonlinearity::Tanh)
            })
        })
    }
}

impl Model for Bert {
    fn accepts(&self, form: &Form) -> Result<()> {
        let TokenInput { vocabulary, length } = token_input("bert", form)?;
        let most = self.0.max_position_embeddings;
        if length > most {
            return Err(Error::setting("max_length", format!("{length} tokens; this model takes {most} or fewer")));
        }
        match self.0.vocab_size {
            Some(size) if size < vocabulary => {
                let message = format!(
                    "the vocabulary has {vocabulary} tokens, and config.json has vocab_size {size}; give the \
                     vocabulary of this model"
                );
                Err(Error::setting("vocab", message))
            }
            _ => Ok(()),
        }
    }

    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        let TokenInput { vocabulary, .. } = token_input("bert", net.form()).expect("the form was accepted");
        let vocabulary = self.0.vocab_size.unwrap_or(vocabulary);
        let length = net.ids("length");
        let x = net.scope("bert", |net| {
            let mut x = self.embeddings(net, vocabulary);
            for index in 0..self.0.num_hidden_layers {
                x = self.block(net, index, x, &length);
            }
            self.pooler(net, x)
        });
        let x = net.dropout("dropout", x, self.0.hidden_dropout_prob);
        let [Output { width, .. }] = wanted else { panic!("bert has one output, {} are wanted", wanted.len()) };
        vec![net.layer("classifier", |net| self.dense(net, "classifier", x, *width))]
    }
}
