//! Models of text, recorded without a device: names, layers, planned memory.

use lerac::data::{Column, Element, Form};
use lerac::nn::objective::{ObjectiveOptions, objective_for};
use lerac::nn::{self, Attention, Lstm, Model, Net, NetOptions, Output, Recorded};
use lerac::ops::activation::Nonlinearity;
use lerac::tape::{Keep, Mode, Operand, Tape, Var};

/// Token ids with their kinds and how many there are, and one of two classes.
fn form(tokens: usize) -> Form {
    Form {
        inputs: vec![
            Column::plain("tokens", Element::U32, [tokens]),
            Column::plain("segments", Element::U32, [tokens]),
            Column::plain("length", Element::U32, []),
        ],
        targets: vec![Column::class("label", ["no", "yes"].map(str::to_owned))],
    }
}

fn record(model: &dyn Model, examples: usize, tokens: usize, mode: Mode) -> Recorded {
    let form = form(tokens);
    let objective = objective_for(&form, ObjectiveOptions::default()).unwrap();
    nn::record(model, &form, &*objective, examples, Tape::new(mode), NetOptions::default())
}

/// BERT (Devlin et al. 2019): embeddings, blocks, the pooler of the first token, and a classifier.
struct Encoder {
    width: usize,
    heads: usize,
    blocks: usize,
}

impl Encoder {
    fn block(&self, net: &mut Net, x: Var, lengths: &nn::Ids) -> Var {
        let qkv = ["query", "key", "value"].map(|name| net.linear(&format!("attention.self.{name}"), x, self.width));
        let options = Attention { heads: self.heads, scale: None, dropout: 0.1 };
        let y = net.attention("attention.self", qkv, options, Some(lengths));
        let y = net.linear("attention.output.dense", y, self.width);
        let y = net.dropout("attention.output.dropout", y, 0.1);
        let y = net.add("attention.output.sum", x, y);
        let x = net.layer_norm("attention.output.LayerNorm", y, 1e-12);
        let y = net.linear("intermediate.dense", x, 4 * self.width);
        let y = net.gelu("intermediate.gelu", y);
        let y = net.linear("output.dense", y, self.width);
        let y = net.dropout("output.dropout", y, 0.1);
        let y = net.add("output.sum", x, y);
        net.layer_norm("output.LayerNorm", y, 1e-12)
    }
}

impl Model for Encoder {
    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        let [tokens, segments, lengths] = ["tokens", "segments", "length"].map(|name| net.ids(name));
        let x = net.layer("embeddings", |net| {
            net.scope("embeddings", |net| {
                let x = net.embedding("word_embeddings", &tokens, [30_522, self.width], 0.02, Some(0));
                let kinds = net.embedding("token_type_embeddings", &segments, [2, self.width], 0.02, None);
                let x = net.add("sum", x, kinds);
                let x = net.position_embedding("position_embeddings", x, 512, 0.02);
                net.layer_norm("LayerNorm", x, 1e-12)
            })
        });
        let block = |x, i| net.block(&format!("encoder.layer.{i}"), |net| self.block(net, x, &lengths));
        let x = (0..self.blocks).fold(x, block);
        let x = net.slice("pooled", x, 0..1);
        let x = net.flatten(x);
        let x = net.linear("pooler.dense", x, self.width);
        let x = net.activation("pooler.activation", x, Nonlinearity::Tanh);
        wanted.iter().map(|output| net.linear("classifier", x, output.width)).collect()
    }
}

/// Words, two layers in both directions, and their last states.
struct Words;

impl Model for Words {
    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        let (tokens, lengths) = (net.ids("tokens"), net.ids("length"));
        let x = net.layer("embedding", |net| net.embedding("embedding", &tokens, [50, 8], 1.0, None));
        let lstm = Lstm { hidden: 6, layers: 2, bidirectional: true, dropout: 0.2 };
        let outputs = net.lstm("lstm", x, lstm, Some(&lengths));
        assert_eq!(net.shape(outputs.sequence).to_string(), "[3,5,12]");
        wanted.iter().map(|output| net.linear("classifier", outputs.last, output.width)).collect()
    }
}

#[test]
fn an_encoder_has_the_names_and_layers_of_bert() {
    let Recorded { tape, layers, .. } = record(&Encoder { width: 8, heads: 2, blocks: 2 }, 3, 5, Mode::Train);
    let names: Vec<_> = tape.parameters().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names.len(), 5 + 2 * 16 + 2 + 2);
    assert_eq!(names[0], "embeddings.word_embeddings.weight");
    assert_eq!(names[4], "embeddings.LayerNorm.bias");
    assert_eq!(names[5], "encoder.layer.0.attention.self.query.weight");
    assert!(names.contains(&"encoder.layer.1.output.LayerNorm.weight"));
    let shape = |name: &str| tape.parameters().iter().find(|p| p.name == name).expect("its name").shape.to_string();
    assert_eq!(shape("embeddings.position_embeddings.weight"), "[512,8]");
    assert_eq!(shape("encoder.layer.0.attention.output.LayerNorm.weight"), "[8]");
    assert_eq!((layers[0].name.as_str(), layers[0].block), ("embeddings", 1));
    assert_eq!(layers.iter().map(|layer| layer.block).max(), Some(5));
    // The columns are read where the host writes them.
    let recorded = record(&Encoder { width: 8, heads: 2, blocks: 1 }, 3, 5, Mode::Eval);
    let buffer = |name: &str| recorded.tape.buffer_named(name).map(Operand::Buffer);
    assert_eq!(recorded.columns[..3], ["input.tokens", "input.segments", "input.length"].map(buffer));
}

#[test]
fn an_lstm_has_the_names_of_pytorch_and_a_layer_for_each_of_its_own() {
    let Recorded { tape, layers, .. } = record(&Words, 3, 5, Mode::Train);
    let of_lstm =
        |name: &str| ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|which| format!("lstm.{which}_{name}"));
    let expected: Vec<String> = ["l0", "l0_reverse", "l1", "l1_reverse"].into_iter().flat_map(of_lstm).collect();
    let names: Vec<_> = tape.parameters().iter().map(|p| p.name.clone()).collect();
    assert_eq!(names[1..17], expected);
    let shapes: Vec<_> = tape.parameters()[9..13].iter().map(|p| p.shape.to_string()).collect();
    assert_eq!(shapes, ["[24,12]", "[24,6]", "[24]", "[24]"]);
    let layers: Vec<_> = layers.iter().map(|layer| (layer.name.as_str(), layer.depth)).collect();
    assert_eq!(layers, [("embedding", 1), ("lstm.l0", 2), ("lstm.l1", 3), ("classifier", 4)]);
}

/// Attention that held every layer's probabilities would need 9 GiB more.
#[test]
fn bert_base_at_512_tokens_and_batch_32_plans_under_16_gib() {
    let model = Encoder { width: 768, heads: 12, blocks: 12 };
    let tape = record(&model, 32, 512, Mode::Train).tape;
    assert!(tape.records().iter().filter(|record| record.op == "attention").count() == 12, "attention is not fused");
    let plan = tape.plan(Keep::Only(&[]), &[]);
    let gib = plan.total() as f64 / f64::from(1 << 30);
    println!("{gib:.2} GiB: {plan:?}");
    assert!(gib < 16.0, "{gib} GiB: {plan:?}");
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let panics = |run: &(dyn Fn(&mut Tape) + std::panic::RefUnwindSafe)| {
        let error = std::panic::catch_unwind(|| run(&mut Tape::new(Mode::Train))).expect_err("it fits");
        error.downcast_ref::<String>().expect("a message").clone()
    };
    let options =
        lerac::ops::attention::AttentionOptions { heads: 3, scale: 1.0, lengths: None, dropout: 0.0, salt: 1 };
    let attention = |q: [usize; 3], k: [usize; 3]| {
        panics(&move |tape| {
            let [q, k] = [tape.leaf("q", q, true), tape.leaf("k", k, true)];
            lerac::ops::attention::attention(tape, "att", [q, k, k], options);
        })
    };
    assert!(attention([2, 5, 8], [2, 5, 8]).contains("the 8 elements of q [2,5,8] cannot be divided into 3 heads"));
    assert!(attention([2, 5, 9], [3, 5, 9]).contains("att: attention of q [2,5,9] over k [3,5,9]"));
    let softmax = panics(&|tape| {
        let x = tape.leaf("x", [2, 3], true);
        lerac::ops::softmax::softmax(tape, "soft", x, 0.0, None);
    });
    assert!(softmax.contains("soft: softmax needs a positive scale, found 0"), "{softmax}");
}
