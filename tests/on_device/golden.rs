//! Ten training steps with a rate per layer, against JAX and optax
//! (`tests/golden/make_fixtures.py`).

use crate::common::{Test, test};
use crate::recorded::{OfNumbers, names, of_numbers, prepare, totals};
use lerac::checks::assert_close;
use lerac::data::Batch;
use lerac::gpu::Gpu;
use lerac::nn::objective::Class;
use lerac::nn::{self, Conv, Net, NetOptions};
use lerac::ops::max_pool::Window;
use lerac::ops::sums::SUMS;
use lerac::optim::{Optimizer, Rule, Settings, Update};
use lerac::tape::{Controls, Mode, Program, Storage, Tape, Target, Var};
use safetensors::SafeTensors;

/// The tolerance: single precision over ten steps.
const TOLERANCE: f64 = 1e-4;

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let data = file.tensor(name).unwrap_or_else(|_| panic!("the fixture has {name}")).data().to_vec();
    bytemuck::pod_collect_to_vec(&data)
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

fn model(net: &mut Net, x: Var, classes: usize) -> Var {
    let y = net.conv2d("conv1", x, Conv::same3x3(4, 1));
    let y = net.batch_norm("bn1", y);
    let y = net.relu("relu1", y);
    let y = net.max_pool("pool1", y, Window::square(2));
    let y = net.conv2d("conv2", y, Conv::same3x3(6, 2));
    let y = net.batch_norm("bn2", y);
    let y = net.relu("relu2", y);
    let y = net.global_mean_pool("pool2", y);
    net.linear("linear", y, classes)
}

fn replay(gpu: &Gpu, name: &str, rule: Rule, target: Target) {
    let path = format!("{}/tests/golden/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    let number = |key: &str| metadata[key].parse::<f64>().unwrap();
    let by_layer: std::collections::HashMap<String, f64> = serde_json::from_str(&metadata["rates"]).unwrap();

    let objective =
        Class { target: "label".into(), classes: names(5), label_smoothing: number("smoothing"), weights: vec![] };
    let tape = Tape::new(Mode::Train).with_target(target);
    let form = of_numbers(&[3, 8, 8], 5);
    let recorded = nn::record(&OfNumbers(model), &form, &objective, 8, tape, NetOptions::default());
    let layers = &recorded.layers;
    let storage = Storage::new(gpu, &recorded.tape).unwrap();
    let program = Program::new(gpu, recorded.tape.clone(), &storage).unwrap();
    for (declared, arena, span) in storage.tensors() {
        let state = declared.name.contains("running");
        let start = if state {
            vec![f32::from(u8::from(declared.name.ends_with("var"))); span.count]
        } else {
            floats(&file, &format!("initial.{}", declared.name))
        };
        arena.write(gpu, span, &start);
    }
    let sums = program.buffer_named(SUMS).unwrap();
    let settings = Settings {
        rule,
        weight_decay: number("decay"),
        spare_norm_and_bias: false,
        clip_norm: None,
        layer_norms: false,
    };
    let update = Update::new(storage.parameters(), &storage.layout, layers.len(), settings);
    let mut optimizer = Optimizer::new(gpu, &storage, &sums, update).unwrap();
    let rates: Vec<f64> = layers.iter().map(|layer| by_layer[&layer.name]).collect();

    let (images, losses) = (floats(&file, "images"), floats(&file, "loss"));
    let labels: Vec<u32> = bytemuck::pod_collect_to_vec(file.tensor("labels").unwrap().data());
    for step in 0..10 {
        let images = bytemuck::cast_slice(&images[step * 1536..(step + 1) * 1536]).to_vec();
        let batch = Batch { columns: vec![images, labels[step * 8..(step + 1) * 8].to_vec()], count: 8, capacity: 8 };
        prepare(gpu, &program, &recorded, &batch, Controls::default());
        optimizer.prepare(gpu, |row| rates[row.layer]);
        gpu.run(program.forward().iter().chain(program.backward()).chain(optimizer.calls())).unwrap();
        let loss = totals(gpu, &program, recorded.sums).values()[0] as f32 / 8.0;
        assert_close(&format!("loss of step {step}"), &[loss], &[f64::from(losses[step])], TOLERANCE);
        if step == 0 {
            for (declared, span) in storage.parameters().iter().zip(storage.layout.spans()) {
                let expected = wide(&floats(&file, &format!("gradient0.{}", declared.name)));
                assert_close(&declared.name, &storage.grads.read(gpu, span).unwrap(), &expected, TOLERANCE);
            }
        }
    }
    for (declared, arena, span) in storage.tensors() {
        let expected = wide(&floats(&file, &format!("final.{}", declared.name)));
        assert_close(&format!("final {}", declared.name), &arena.read(gpu, span).unwrap(), &expected, TOLERANCE);
    }
}

/// A test per fixture and target.
pub fn tests() -> Vec<Test> {
    let named = |name: &str| Rule::named(name).expect("a rule of this name");
    let fixtures = [
        ("sgd", named("sgd")),
        ("nesterov", Rule::Sgd { momentum: 0.9, nesterov: true }),
        ("adam", named("adam")),
        ("adamw", named("adamw")),
        ("adamax", named("adamax")),
        ("smoothing", named("sgd")),
    ];
    let targets = |(name, rule): (&'static str, Rule)| {
        [(Target::Gpu, ""), (Target::Processor, ", for processors")]
            .map(|(target, which)| test(format!("golden {name}{which}"), move |gpu| replay(gpu, name, rule, target)))
    };
    fixtures.into_iter().flat_map(targets).collect()
}
