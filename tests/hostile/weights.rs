//! Files of weights.

use crate::checkpoints::{CHECKPOINT, JSON};
use crate::common::errors::{Fault, assert_error};
use crate::common::files::directory;
use crate::harness::{Subject, read_at, run, tokens};
use lerac::train::{CardTarget, ModelCard, Tensor, read_safetensors, write_safetensors};
use std::collections::{BTreeMap, HashMap};
use std::fs;

/// A file unchanged, or, after a byte of 1, a header up to a zero byte and the data, with the
/// header's length in front.
fn weights_input(input: &[u8]) -> Vec<u8> {
    let (form, file) = input.split_first().unwrap_or((&0, &[]));
    let (header, data) = file.split_at(file.iter().position(|&byte| byte == 0).unwrap_or(file.len()));
    match form {
        1 => [&(header.len() as u64).to_le_bytes(), header, data.get(1..).unwrap_or_default()].concat(),
        _ => file.to_vec(),
    }
}

#[test]
fn weights() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let tensor = |name: &str, shape: &[usize], values: &[f32]| Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        values: values.into(),
    };
    let tensors = [
        tensor("conv.weight", &[2, 1, 2], &[0.5, -1.0, 3e-39, 1e38]),
        tensor("bias", &[], &[2.0]),
        tensor("empty", &[0, 7], &[]),
        // One bit away from infinity or NaN.
        tensor("large", &[256], &[2f32.powi(127); 256]),
    ];
    let metadata = BTreeMap::from([("format", "pt".to_owned()), ("sigma", "0.5".to_owned())]);
    write_safetensors(&path, &tensors, metadata).unwrap();
    // As PyTorch writes them.
    let torch = concat!(
        r#"{"n.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"#,
        r#""w":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#,
    );
    let ours = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(ours[..8].try_into().unwrap()) as usize;
    let (header, data) = ours[8..].split_at(length);
    let seeds = [
        [&[0], ours.as_slice()].concat(),
        [&[1], header, &[0], data].concat(),
        [&[1], torch.as_bytes(), &[0; 13]].concat(),
    ];
    let words = [&JSON[..], &["\"I64\"", "\"BF16\"", "num_batches_tracked"]].concat();
    let subject = Subject {
        name: "weights",
        seeds: seeds.into(),
        tokens: tokens(&words),
        limit: CHECKPOINT,
        file: weights_input,
    };
    let parse = |bytes: &[u8]| read_at(&path, bytes, read_safetensors);
    run(subject, parse, |(mut tensors, metadata)| {
        for tensor in &tensors {
            assert_eq!(tensor.shape.iter().product::<usize>(), tensor.values.len(), "{}", tensor.name);
            assert!(tensor.values.iter().all(|value| value.is_finite()), "{}", tensor.name);
        }
        let plain = metadata.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        write_safetensors(&path, &tensors, plain).unwrap();
        let mut again = read_safetensors(&path).expect("what was read can be written and read");
        [&mut tensors, &mut again.0].into_iter().for_each(|them| them.sort_by(|a, b| a.name.cmp(&b.name)));
        assert_eq!(again, (tensors, metadata));
    });
}

/// A card with this JSON, in a file of weights.
fn read_card(json: &str) -> lerac::error::Result<Option<ModelCard>> {
    let metadata = HashMap::from([(ModelCard::KEY.to_owned(), json.to_owned())]);
    let none: Vec<(String, safetensors::tensor::TensorView<'_>)> = vec![];
    let dir = directory(&[("file", safetensors::serialize(none, Some(metadata)).unwrap())]);
    ModelCard::read(&dir.path().join("file"))
}

/// A card is read whole or is an error of its file.
#[test]
fn cards_are_checked() {
    let image = r#""image":{"shape":[3,8,8],"resize":9,"normalise":"data","mean":[0.1,0.2,0.3],"std":[0.1,0.2,0.3]}"#;
    let head = r#"{"format":1,"model":"cnn","data":"imagefolder","label-smoothing":0.0"#;
    let whole = format!(r#"{head},{image},"target":{{"classes":["a","b"]}}}}"#);
    let card = read_card(&whole).unwrap().unwrap();
    assert_eq!((card.to_json().len(), card.target), (whole.len(), CardTarget::Classes(vec!["a".into(), "b".into()])));
    for (from, to, names) in [
        ("{\"format", "[\"format", &[ModelCard::KEY][..]),
        ("\"format\":1", "\"format\":2", &["format 2", "format 1"]),
        ("\"format\":1,", "", &["format"]),
        ("[\"a\",\"b\"]", "[]", &["classes"]),
        ("[3,8,8]", "[2,8,8]", &["channels"]),
        ("[3,8,8]", "[3,0,8]", &["image_size"]),
        ("[3,8,8]", "[3,8,18446744073709551615]", &["image_size"]),
        ("\"resize\":9", "\"resize\":7", &["resize"]),
        ("\"mean\":[0.1,", "\"mean\":[", &["mean"]),
        ("\"mean\":[0.1,", "\"mean\":[1e300,", &[ModelCard::KEY]),
        ("\"std\":[0.1,", "\"std\":[0,", &["std"]),
    ] {
        let changed = whole.replace(from, to);
        assert_ne!(changed, whole, "{from}");
        assert_error(read_card(&changed), Fault::Format("file", Some(0)), names);
    }
}
