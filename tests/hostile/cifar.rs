//! Binary files of CIFAR.

use crate::harness::{FILE, Limit, SMALL, Subject, run};
use lerac::data;
use std::path::Path;

/// CIFAR: images and labels.
const CIFAR: Limit = Limit { multiple: 1, constant: SMALL };

/// Records with the labels in the input's first bytes, up to a byte of 255; then the rest
/// unchanged. A record has `label_bytes` label bytes.
fn cifar_input(input: &[u8], label_bytes: usize) -> Vec<u8> {
    let (labels, rest) = input.split_at(input.iter().position(|&byte| byte == 255).unwrap_or(input.len()));
    let records = labels.chunks(label_bytes).take(4).flat_map(|labels| [labels, &[labels[0]; 3072]].concat());
    records.chain(rest.iter().skip(1).copied()).collect()
}

fn cifar_seeds(label: u8, label_bytes: usize) -> Vec<Vec<u8>> {
    let record = [vec![label; label_bytes], vec![7; 3072]].concat();
    vec![
        vec![label; 2 * label_bytes],
        [&[255], record.as_slice()].concat(),
        [vec![label; label_bytes].as_slice(), &[255], &record].concat(),
    ]
}

#[test]
fn cifar10() {
    let subject = Subject {
        name: "cifar10",
        seeds: cifar_seeds(9, 1),
        tokens: vec![],
        limit: CIFAR,
        file: |input| cifar_input(input, 1),
    };
    let parse = |bytes: &[u8]| data::cifar10_records(Path::new(FILE), bytes);
    run(subject, parse, |(images, labels)| {
        assert_eq!(images.len(), 3072 * labels.len());
        assert!(!labels.is_empty() && labels.iter().all(|&label| label < 10));
    });
}

#[test]
fn cifar100() {
    let subject = Subject {
        name: "cifar100",
        seeds: cifar_seeds(99, 2),
        tokens: vec![],
        limit: CIFAR,
        file: |input| cifar_input(input, 2),
    };
    let parse = |bytes: &[u8]| data::cifar100_records(Path::new(FILE), bytes);
    run(subject, parse, |(images, labels)| {
        assert_eq!(images.len(), 3072 * labels.len());
        assert!(!labels.is_empty() && labels.iter().all(|&label| label < 100));
    });
}
