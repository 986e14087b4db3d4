//! Checkpoints.

use crate::common::errors::{Fault, assert_error};
use crate::harness::{FILE, JUST_OVER, Limit, SMALL, Subject, measured, run, tokens};
use lerac::curriculum::{DuringCurriculum, PlateauState};
use lerac::error::Result;
use lerac::ops::sums::Totals;
use lerac::tape::{KernelChoices, Variant};
use lerac::train::{BestEpoch, Checkpoint, Config, EpochTotals, Method, RunState, TableChecksum, Tensor};
use safetensors::tensor::Metadata;
use std::collections::BTreeMap;
use std::path::Path;

/// Checkpoints and weights. A number of a shape takes two bytes in the file, and many more as a
/// JSON value.
pub const CHECKPOINT: Limit = Limit { multiple: 64, constant: SMALL };

/// Every option with a value.
pub fn full_config() -> Config {
    Config::default().with(|c| {
        c.data.data_dir = Some("data/sets".into());
        c.data.image_size = Some(48);
        c.data.resize = Some(56);
        c.data.class_list = Some("classes.txt".into());
        c.data.cache = Some("cache".into());
        c.data.random_resized_crop = Some(0.25);
        c.data.jitter = vec![0.5, 0.25, 0.0];
        c.data.train_examples = Some(512);
        c.model.init = Some("weights.safetensors".into());
        c.curriculum.method = Method::LeracCbs;
        // Mixup needs a whole batch.
        c.training.micro_batch = Some(64);
        c.training.mixup = Some(0.5);
        c.optimizer.clip_norm = Some(1.5);
        c.optimizer.milestones = vec![1.0, 2.5];
        c.curriculum.range = "1e-1..1e-8".parse().ok();
        c.curriculum.k = Some(2.0);
        c.curriculum.schedule_during_curriculum = Some(DuringCurriculum::Off);
        c.training.early_stopping = Some(3);
        c.curriculum.stop_lr = Some(0.11);
        c.curriculum.stop_update_epoch = Some(20);
        c.kernels = KernelChoices([("linear forward [1,1] x [1,1]".to_owned(), Variant::Registers)].into());
    })
}

pub fn checkpoint(best: bool) -> Checkpoint {
    let tensor = |name: &str, shape: &[usize], values: &[f32]| Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        values: values.into(),
    };
    let mut tensors =
        vec![tensor("conv.weight", &[2, 1, 2], &[0.5, -1.0, f32::NAN, 3e-39]), tensor("bias", &[], &[2.0])];
    if best {
        tensors.push(tensor(&Checkpoint::of_best("bias"), &[1], &[1.0]));
        tensors.push(tensor("empty", &[0, 7], &[]));
    }
    let state = RunState {
        format: Checkpoint::FORMAT,
        epoch_open: false,
        version: "0.1.0".into(),
        adapter: "some \"adapter\"".into(),
        config: if best { full_config() } else { Config::default() },
        data: 0xdead_beef,
        step: 40,
        best: best.then_some(BestEpoch { epoch: 1, step: 20, score: 0.1 + 0.2 }),
        plateau: best.then_some(PlateauState { factor: 0.1 * 0.1, best: Some(1.0 / 3.0), bad_epochs: 2 }),
        totals: EpochTotals { examples: 64, sums: if best { vec![1.0 / 3.0, 3.0, 0.1] } else { vec![] } },
        sums: if best {
            Totals { examples: 7, halted: 0, parts: vec![[u32::MAX, 1], [0, 3]] }
        } else {
            Totals::zero(3)
        },
        seconds: 1.25,
        interval_seconds: 1e-3,
        earlier_tests: 0,
        tables: BTreeMap::from([
            ("metrics.csv".into(), TableChecksum { bytes: 100, crc32: 7 }),
            ("layers.csv".into(), TableChecksum { bytes: 200, crc32: u32::MAX }),
        ]),
    };
    Checkpoint { state, tensors }
}

fn read_checkpoint(bytes: &[u8]) -> Result<Checkpoint> {
    Checkpoint::from_bytes(Path::new(FILE), bytes)
}

/// Writing and reading gives the same checkpoint. Weights are compared by their bits, since NaN is
/// not equal to itself.
fn check_checkpoint(checkpoint: Checkpoint) {
    let again = read_checkpoint(&checkpoint.to_bytes()).expect("what was read can be written and read");
    assert_eq!(again.state, checkpoint.state);
    let plain = |tensors: &[Tensor]| -> Vec<_> {
        let bits = |tensor: &Tensor| tensor.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        tensors.iter().map(|tensor| (tensor.name.clone(), tensor.shape.clone(), bits(tensor))).collect()
    };
    assert_eq!(plain(&again.tensors), plain(&checkpoint.tensors));
    for tensor in &checkpoint.tensors {
        assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len());
        assert!(checkpoint.values(&tensor.name, tensor.values.len()).is_ok());
        assert!(checkpoint.values(&tensor.name, tensor.values.len() + 1).is_err());
    }
}

/// Tokens of a checkpoint's header and metadata.
pub const JSON: [&str; 32] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "null",
    "true",
    "1e999",
    "-0.0",
    "1e-400",
    "\"F32\"",
    "\"F64\"",
    "\"F4\"",
    "\"I8\"",
    "\"BOOL\"",
    "\"dtype\"",
    "\"shape\"",
    "\"data_offsets\"",
    "\"__metadata__\"",
    "\"format\"",
    "[0,0]",
    "[0,18446744073709551615]",
    "\\u0000",
    "\\ud800",
    "\"crc32\"",
    "\"lerac_checkpoint\"",
    "\"tables\"",
    "\"config\"",
    "\n",
];

#[test]
fn checkpoints() {
    let seeds = [false, true].map(|best| checkpoint(best).to_bytes()).into();
    let subject = Subject { name: "checkpoint", seeds, tokens: tokens(&JSON), limit: CHECKPOINT, file: <[u8]>::to_vec };
    run(subject, read_checkpoint, check_checkpoint);
}

/// A file of these parts, with a valid length, and a valid checksum if the header can be read.
fn sealed(state: &str, tensors: &str, data: &[u8]) -> Vec<u8> {
    let file = |checksum: u32| {
        let state = serde_json::to_string(state).unwrap();
        let separator = if tensors.trim().is_empty() { "" } else { "," };
        let metadata = format!("{{\"lerac_checkpoint\":{state},\"crc32\":\"{checksum:08x}\"}}");
        let header = format!("{{\"__metadata__\":{metadata}{separator}{tensors}}}");
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    };
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(state.as_bytes());
    let bytes = file(0);
    let header = &bytes[8..bytes.len() - data.len()];
    if let Ok(metadata) = serde_json::from_slice::<Metadata>(header) {
        let mut names = metadata.offset_keys();
        names.sort_unstable();
        for name in names {
            let (begin, end) = metadata.info(&name).map_or((0, 0), |info| info.data_offsets);
            hasher.update(name.as_bytes());
            hasher.update(data.get(begin..end).unwrap_or_default());
        }
    }
    file(hasher.finalize())
}

/// The input is state, tensors' JSON and data, separated by zero bytes. They are sealed after
/// mutation.
fn sealed_input(input: &[u8]) -> Vec<u8> {
    let mut parts = input.splitn(3, |&byte| byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (state, tensors, data) = (part(), part(), part());
    sealed(&String::from_utf8_lossy(state), &String::from_utf8_lossy(tensors), data)
}

#[test]
fn checkpoint_headers() {
    let seeds = [false, true].map(|best| {
        let state = serde_json::to_string(&checkpoint(best).state).unwrap();
        let tensors = [
            r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[],"data_offsets":[4,8]}"#,
            r#""a":{"dtype":"F32","shape":[2,0],"data_offsets":[0,0]}"#,
        ];
        [state.as_bytes(), tensors[usize::from(best)].as_bytes(), if best { &[] } else { &[1; 8] }].join(&0)
    });
    let subject = Subject {
        name: "checkpoint header",
        seeds: seeds.into(),
        tokens: tokens(&JSON),
        limit: CHECKPOINT,
        file: sealed_input,
    };
    run(subject, read_checkpoint, check_checkpoint);
}

#[test]
fn lengths_in_a_checkpoint_header_are_checked() {
    let refuse = |bytes: &[u8], offset: u64, name: &str| {
        let (outcome, peak) = measured(|| read_checkpoint(bytes));
        assert_error(outcome, Fault::Format(FILE, Some(offset)), &[name]);
        CHECKPOINT.assert("checkpoint", bytes.len(), peak);
    };
    refuse(b"1234567", 7, "8 bytes");
    for length in [1, 99_999_999, 100_000_001, u64::MAX - 7, u64::MAX] {
        refuse(&length.to_le_bytes(), 0, &length.to_string());
    }
    let header = |header: &str, data: &[u8]| [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat();
    refuse(&header("{\n \"a\": 1}", &[]), 17, "line 2 column 8");
    let claim = r#"{"a":{"dtype":"F32","shape":[2305843009213693951],"data_offsets":[0,9223372036854775804]}}"#;
    refuse(&header(claim, &[]), 8, "overflow");
    let claim = r#"{"a":{"dtype":"F32","shape":[268435456],"data_offsets":[0,1073741824]}}"#;
    refuse(&header(claim, &[0; 10]), 8 + claim.len() as u64 + 10, "1073741824");
    refuse(&header("{}", &[0; 10]), 10, "0 bytes");
    refuse(&header("{}", &[]), 8, "lerac_checkpoint");
}

#[test]
fn a_checkpoint_of_another_form_is_refused_by_its_version() {
    for format in [Checkpoint::FORMAT - 1, Checkpoint::FORMAT + 1] {
        let mut other = checkpoint(false);
        other.state.format = format;
        other.state.version = "0.9.7".into();
        assert_error(read_checkpoint(&other.to_bytes()), Fault::Option(FILE), &[&format!(" {format}, "), "0.9.7"]);
    }
}

/// Decimal numbers in JSON are read back exactly.
#[test]
fn a_checkpoint_keeps_its_numbers() {
    let mut written = checkpoint(false);
    written.state.config.optimizer.milestones = (1..10_000).map(|i| f64::from(i) / 997.0).collect();
    assert_eq!(read_checkpoint(&written.to_bytes()).unwrap().state, written.state);
}

#[test]
fn the_densest_checkpoints_are_read_in_bounds() {
    let state = serde_json::to_string(&checkpoint(true).state).unwrap();
    let tensor = |i: usize| format!(r#""{i}":{{"dtype":"F32","shape":[],"data_offsets":[{},{}]}}"#, 4 * i, 4 * i + 4);
    let many: Vec<String> = (0..JUST_OVER).map(tensor).collect();
    let milestones = state.replace("2.5]", &format!("2.5{}]", ",3".repeat(JUST_OVER)));
    assert!(milestones.len() > JUST_OVER, "the state has milestones");
    let shape = format!(r#""a":{{"dtype":"F32","shape":[0{}],"data_offsets":[0,0]}}"#, ",0".repeat(JUST_OVER));
    let nested = format!(r#""a":{}"#, "[".repeat(JUST_OVER));
    let ignored = state.replacen('{', &format!("{{\"x\":[0{}],", ",[]".repeat(JUST_OVER)), 1);
    for (name, is_whole, file) in [
        ("many tensors", true, sealed(&state, &many.join(","), &vec![0; 4 * JUST_OVER])),
        ("milestones", true, sealed(&milestones, "", &[])),
        ("a long shape", true, sealed(&state, &shape, &[])),
        ("nested", false, sealed(&state, &nested, &[])),
        ("unknown entries", true, sealed(&ignored, "", &[])),
    ] {
        let (read, peak) = measured(|| read_checkpoint(&file));
        assert_eq!(read.is_ok(), is_whole, "{name}: {:?}", read.err());
        CHECKPOINT.assert(name, file.len(), peak);
    }
}
