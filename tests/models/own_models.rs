//! Custom models, objectives and operations, recorded without a device.

use crate::common::errors::{Fault, assert_contains, assert_error, assert_panics, panic_of};
use lerac::data::{Column, Element, Form, Meaning, plain_form};
use lerac::gpu::{Kernel, Shader};
use lerac::nn::objective::{
    Answer, CROSS_ENTROPY_SUMS, Class, Losses, Measure, Number, ObjectiveOptions, Prediction, REGRESSION_SUMS,
    objective_for,
};
use lerac::nn::{self, Model, Net, NetOptions, Objective, Output, Recorded};
use lerac::ops::regression::{Loss, Regression};
use lerac::tape::{Dispatch, Group, Init, Mode, Operand, ParamId, Record, Tape, Var, linear_grid};

/// A spectrogram, a list of words with its length, and two targets.
fn form() -> Form {
    let classes = ["low", "middle", "high"].map(str::to_owned);
    Form {
        inputs: vec![
            Column::plain("spectrogram", Element::F32, [4, 6]),
            Column::plain("words", Element::U32, [5]),
            Column::plain("length", Element::U32, []),
        ],
        targets: vec![Column::class("pitch", classes), Column::number("loudness", "dB", 60.0, 20.0)],
    }
}

static SCALE: Shader = Shader::new(
    "scale",
    "@group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read> scale: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64)
    fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
        if id.x < N * K { y[id.x] = scale[id.x % K] * x[id.x]; }
    }
    @compute @workgroup_size(64)
    fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
        if id.x >= K { return; }
        var sum = 0.0;
        for (var n = 0u; n < N; n++) { sum += scale[n * K + id.x] * x[n * K + id.x]; }
        if ACCUMULATE { sum += y[id.x]; }
        y[id.x] = sum;
    }",
);

/// A custom operation: each column of x `[N,K]`, which has no gradient, times its scale.
fn scale(tape: &mut Tape, name: &str, x: Var, scale: ParamId) -> Var {
    let [n, k] = tape.shape(x).flat();
    let y = tape.result(name, [n, k], &[x], true);
    let launch = |entry, bindings, count: usize| {
        let kernel = Kernel { shader: &SCALE, entry, constants: vec![("N", n.into()), ("K", k.into())] };
        Dispatch { kernel, bindings, grid: linear_grid(count, 64), multiply_adds: 0, tunable: None }
    };
    let (x, parameter) = (Operand::from(x), Operand::Parameter(scale));
    let forward = launch("forward", vec![x.read(), parameter.read(), Operand::from(y).write()], n * k);
    let dy = Operand::Gradient(y);
    let backward = launch("backward", vec![x.read(), dy.read(), Operand::ParameterGradient(scale).write()], k);
    let (forward, backward) = (vec![forward], vec![backward]);
    tape.record(Record { name: name.into(), op: "scale", result: Some(y), forward, backward });
    y
}

/// A layer of that operation, then a head for each output.
struct Ears;

impl Model for Ears {
    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        let x = net.values("spectrogram");
        assert_eq!(net.shape(x).to_string(), "[2,4,6]");
        let words = net.ids("words");
        assert_eq!((words.shape.to_string(), net.ids("words")), ("[2,5]".into(), words));
        let x = net.flatten(x);
        let x = net.scope("trunk", |net| {
            net.layer("loudness", |net| {
                let weight = net.parameter("loudness.scale", [24], Init::Ones, Group::Weight);
                let name = net.full_name("scaled");
                scale(net.tape(), &name, x, weight)
            })
        });
        wanted.iter().map(|output| net.linear(&output.name, x, output.width)).collect()
    }
}

/// An objective with a class and a number.
struct Both {
    pitch: Class,
    loudness: Number,
}

impl Objective for Both {
    fn outputs(&self) -> Vec<Output> {
        vec![Output::new("pitch", 3), Output::new("loudness", 1)]
    }

    fn sums(&self) -> usize {
        CROSS_ENTROPY_SUMS + REGRESSION_SUMS
    }

    fn record(&self, losses: &mut Losses<'_>, outputs: &[Var]) {
        losses.cross_entropy("pitch.loss", outputs[0], &self.pitch.target, 0.0, 0.5);
        losses.regression("loudness.loss", outputs[1], &self.loudness.target, self.loudness.regression, 2.0);
    }

    fn measures(&self) -> Vec<Measure> {
        [self.pitch.measures(), self.loudness.measures()].concat()
    }

    fn evaluate(&self, examples: f64, sums: &[f64]) -> (f64, Vec<f64>) {
        let (of_pitch, of_loudness) = sums.split_at(CROSS_ENTROPY_SUMS);
        let (pitch, loudness) =
            (self.pitch.evaluate(examples, of_pitch), self.loudness.evaluate(examples, of_loudness));
        (0.5 * pitch.0 + 2.0 * loudness.0, [pitch.1, loudness.1].concat())
    }

    fn answer(&self, outputs: &[&[f32]]) -> Answer {
        self.pitch.answer(&outputs[..1])
    }

    fn truth(&self, targets: &[&[u32]]) -> Answer {
        self.pitch.truth(targets)
    }

    fn predict(&self, outputs: &[&[f32]]) -> Prediction {
        self.pitch.predict(&outputs[..1])
    }

    fn describe(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

fn both() -> Both {
    let form = form();
    let regression = Regression { loss: Loss::L1, mean: 60.0, std: 20.0 };
    Both {
        pitch: Class {
            target: "pitch".into(),
            classes: form.classes().to_vec().into(),
            label_smoothing: 0.0,
            weights: vec![],
        },
        loudness: Number { target: "loudness".into(), unit: "dB".into(), regression },
    }
}

fn record(model: &dyn Model, form: &Form, objective: &dyn Objective, mode: Mode) -> Recorded {
    nn::record(model, form, objective, 2, Tape::new(mode), NetOptions::default())
}

#[test]
fn a_model_reads_columns_by_name_and_gives_the_requested_outputs() {
    Ears.accepts(&form()).unwrap();
    for mode in [Mode::Train, Mode::Eval] {
        let recorded = record(&Ears, &form(), &both(), mode);
        let tape = &recorded.tape;
        let outputs: Vec<_> =
            recorded.outputs.iter().map(|&output| (tape.name(output), tape.shape(output).to_string())).collect();
        assert_eq!(outputs, [("pitch", "[2,3]".to_owned()), ("loudness", "[2,1]".to_owned())]);
        assert_eq!(recorded.sums, 5);
        // Inputs, then targets. The lengths are not read.
        let [spectrogram, words, length, pitch, loudness] = recorded.columns[..] else { panic!("five columns") };
        let [(name, input)] = &recorded.inputs[..] else { panic!("one input of numbers") };
        assert_eq!((name.as_str(), spectrogram), ("spectrogram", Some(Operand::Value(*input))));
        let named = |name: &str| tape.buffer_named(name).map(Operand::Buffer);
        assert!(named("input.words").is_some() && words == named("input.words"));
        assert_eq!((length, named("input.length")), (None, None));
        assert!(pitch.is_some() && loudness.is_some());
        assert_eq!((pitch, loudness), (named("target.pitch"), named("target.loudness")));
    }
}

#[test]
fn a_custom_operation_may_have_its_own_layer() {
    let Recorded { tape, layers, .. } = record(&Ears, &form(), &both(), Mode::Train);
    let layers: Vec<_> = layers.iter().map(|layer| (layer.name.as_str(), layer.depth, layer.block)).collect();
    assert_eq!(layers, [("trunk.loudness", 1, 1), ("pitch", 2, 2), ("loudness", 3, 3)]);
    let parameters: Vec<_> = tape.parameters().iter().map(|p| (p.name.as_str(), p.layer, p.group)).collect();
    let expected = [
        ("trunk.loudness.scale", 0, Group::Weight),
        ("pitch.weight", 1, Group::Weight),
        ("pitch.bias", 1, Group::Bias),
        ("loudness.weight", 2, Group::Weight),
        ("loudness.bias", 2, Group::Bias),
    ];
    assert_eq!(parameters, expected);
    // Its gradient is computed last, from the gradients of both heads.
    let (record, last) = tape.backward().pop().unwrap();
    assert_eq!((tape.records()[record].name.as_str(), last.kernel.entry), ("trunk.scaled", "backward"));
}

#[test]
fn scores_are_those_of_every_loss() {
    let (loss, values) = both().evaluate(4.0, &[2.0, 3.0, 4.0, 8.0, 40.0]);
    assert_eq!((loss, values), (0.5 * 0.5 + 2.0 * 2.0, vec![0.75, 1.0, 10.0]));
    let keys: Vec<_> = both().measures().into_iter().map(|measure| measure.key).collect();
    assert_eq!(keys, ["accuracy", "top5", "mae"]);
}

#[test]
fn the_first_target_chooses_the_objective() {
    let of = |targets: Vec<Column>| objective_for(&Form { targets, ..form() }, ObjectiveOptions::default());
    let [pitch, loudness] = <[Column; 2]>::try_from(form().targets).unwrap();
    assert_eq!(of(vec![pitch.clone(), loudness.clone()]).unwrap().outputs(), [Output::new("logits", 3)]);
    let number = of(vec![loudness.clone(), pitch]).unwrap();
    assert_eq!(
        (number.outputs(), number.measures()),
        (vec![Output::new("number", 1)], vec![Measure::mean_absolute_error("dB")])
    );
    for other in [vec![], vec![Column::plain("boxes", Element::F32, [9, 4]), loudness]] {
        assert_error(of(other), Fault::Setting("objective"), &[]);
    }
}

/// A model of one function.
struct By<F>(F);

impl<F: Fn(&mut Net, &[Output]) -> Vec<Var> + Send + Sync> Model for By<F> {
    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        self.0(net, wanted)
    }
}

#[test]
fn invalid_models_panic_with_their_name() {
    let record_it = |model: &dyn Model| record(model, &form(), &both(), Mode::Train);
    let heads = |net: &mut Net, widths: [usize; 2]| {
        let x = net.values("spectrogram");
        let x = net.flatten(x);
        vec![net.linear("a", x, widths[0]), net.linear("b", x, widths[1])]
    };
    let too_wide = By(|net: &mut Net, _: &[Output]| heads(net, [3, 2]));
    assert_panics(|| record_it(&too_wide), "loudness", &["[2,2]", "[2,1]"]);
    let too_few = By(|net: &mut Net, _: &[Output]| heads(net, [3, 1])[..1].to_vec());
    assert_contains(&panic_of(|| record_it(&too_few)), &["1 output", "2"]);
    let values_of = |name: &'static str| By(move |net: &mut Net, _: &[Output]| vec![net.values(name)]);
    assert_panics(|| record_it(&values_of("words")), "words", &["F32", "U32"]);
    let absent = panic_of(|| record_it(&values_of("sound")));
    assert_contains(&absent, &["input \"sound\"", "spectrogram, words, length"]);
    let ids = By(|net: &mut Net, _: &[Output]| {
        net.ids("spectrogram");
        vec![]
    });
    assert_panics(|| record_it(&ids), "spectrogram", &["U32", "F32"]);
    let early = By(|net: &mut Net, _: &[Output]| {
        net.parameter("scale", [1], Init::Ones, Group::Weight);
        vec![]
    });
    assert_panics(|| record_it(&early), "scale", &["layer"]);
    let pixels = By(|net: &mut Net, _: &[Output]| vec![net.pixels()]);
    assert_contains(&panic_of(|| record_it(&pixels)), &["pixels"]);
    let closure = |net: &mut Net, x: Var, classes: usize| net.linear("linear", x, classes);
    assert_contains(&panic_of(|| record_it(&closure)), &["closure", "2", "`Model`"]);

    let of_absent = Both { pitch: Class { target: "timbre".into(), ..both().pitch }, ..both() };
    let refused = panic_of(|| record(&Ears, &form(), &of_absent, Mode::Eval));
    assert_contains(&refused, &["target \"timbre\"", "pitch, loudness"]);
}

/// An objective that declares fewer sums than it records.
struct Understated(Class);

impl Objective for Understated {
    fn outputs(&self) -> Vec<Output> {
        self.0.outputs()
    }

    fn sums(&self) -> usize {
        CROSS_ENTROPY_SUMS - 1
    }

    fn record(&self, losses: &mut Losses<'_>, outputs: &[Var]) {
        self.0.record(losses, outputs);
    }

    fn measures(&self) -> Vec<Measure> {
        self.0.measures()
    }

    fn evaluate(&self, examples: f64, sums: &[f64]) -> (f64, Vec<f64>) {
        self.0.evaluate(examples, sums)
    }

    fn answer(&self, outputs: &[&[f32]]) -> Answer {
        self.0.answer(outputs)
    }

    fn truth(&self, targets: &[&[u32]]) -> Answer {
        self.0.truth(targets)
    }

    fn predict(&self, outputs: &[&[f32]]) -> Prediction {
        self.0.predict(outputs)
    }

    fn describe(&self) -> serde_json::Value {
        self.0.describe()
    }
}

#[test]
fn more_sums_than_declared_panic() {
    let refused = panic_of(|| record(&Ears, &form(), &Understated(both().pitch), Mode::Eval));
    assert_contains(&refused, &["3 sums", "2"]);
}

/// An input that is read twice is recorded once. Mixup mixes it only in training.
#[test]
fn an_input_is_recorded_once() {
    let twice = By(|net: &mut Net, wanted: &[Output]| {
        let (x, again) = (net.pixels(), net.pixels());
        let x = net.add("sum", x, again);
        let x = net.flatten(x);
        vec![net.linear("linear", x, wanted[0].width)]
    });
    let form = plain_form([3, 2, 2], &Meaning::Classes(["a", "b"].map(str::to_owned).into()));
    let objective = objective_for(&form, ObjectiveOptions::default()).unwrap();
    for (mode, mixup) in [(Mode::Train, false), (Mode::Eval, true), (Mode::Train, true)] {
        let options = NetOptions { mixup, ..NetOptions::default() };
        let recorded = nn::record(&twice, &form, &*objective, 2, Tape::new(mode), options);
        let inputs: Vec<_> = recorded.inputs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(inputs, ["image"], "{mode:?}");
        let mixed = recorded.tape.records().iter().any(|record| record.op == "mixup");
        assert_eq!(mixed, mixup && mode == Mode::Train, "{mode:?}");
    }
}

#[test]
fn a_class_and_a_number_answer_in_their_own_way() {
    let Both { pitch, loudness } = both();
    assert_eq!(pitch.answer(&[&[0.5, 2.0, 2.0]]), Answer::Whole(1));
    assert_eq!(pitch.truth(&[&[2]]), Answer::Whole(2));
    let Prediction::Classes(classes) = pitch.predict(&[&[0.0, 2.0, 1.0]]) else { panic!("classes") };
    assert_eq!(classes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["middle", "high", "low"]);
    approx::assert_relative_eq!(classes.iter().map(|(_, share)| share).sum::<f64>(), 1.0, max_relative = 1e-12);
    approx::assert_relative_eq!(classes[0].1 / classes[1].1, 1f64.exp(), max_relative = 1e-12);
    assert_eq!(loudness.answer(&[&[-0.25]]), Answer::Number(55.0));
    assert_eq!(loudness.predict(&[&[-0.25]]), Prediction::Number(55.0, "dB".into()));
    let truth = |number: f32| loudness.truth(&[&[number.to_bits()]]);
    assert_eq!(
        (truth(61.0), truth(61.5), truth(-3.0)),
        (Answer::Whole(61), Answer::Number(61.5), Answer::Number(-3.0))
    );
}
