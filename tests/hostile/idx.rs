//! IDX files, plain and compressed.

use crate::common::errors::{Fault, assert_error};
use crate::common::files::{gzip, idx};
use crate::harness::{FILE, KIB, Limit, MIB, SMALL, Subject, measured, run};
use flate2::Compression;
use lerac::data;
use lerac::error::Result;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::path::Path;

/// Plain IDX: the bytes themselves.
const IDX: Limit = Limit { multiple: 1, constant: SMALL };
/// Gzip: three times the maximum uncompressed size, since a growing vector is held twice.
const GZIP: Limit = Limit { multiple: 3 * 64, constant: 3 * 16 * MIB + SMALL };

/// A gzip member with an uncompressed block.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let length = bytes.len() as u16;
    file.push(1);
    file.extend(length.to_le_bytes());
    file.extend((!length).to_le_bytes());
    file.extend(bytes);
    file.extend(crc32fast::hash(bytes).to_le_bytes());
    file.extend((bytes.len() as u32).to_le_bytes());
    file
}

fn images() -> Vec<u8> {
    idx(&[0x803, 3, 2, 3], &(0..18).collect::<Vec<u8>>())
}

fn labels() -> Vec<u8> {
    idx(&[0x801, 12], &[7, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9])
}

fn read_images(bytes: &[u8]) -> Result<([usize; 3], Vec<u8>)> {
    data::images_in(Path::new(FILE), bytes, bytes.len() as u64)
}

fn read_labels(bytes: &[u8]) -> Result<Vec<u8>> {
    data::labels_in(Path::new(FILE), bytes, bytes.len() as u64, 10)
}

fn check_images((extents, bytes): ([usize; 3], Vec<u8>)) {
    assert_eq!(extents.iter().product::<usize>(), bytes.len());
    assert!(!bytes.is_empty());
}

fn check_labels(labels: Vec<u8>) {
    assert!(!labels.is_empty() && labels.iter().all(|&label| label < 10));
}

/// After a byte of 1: a file whose header matches its content. Else the rest unchanged.
fn idx_input(input: &[u8]) -> Vec<u8> {
    let mut file = input.get(1..).unwrap_or_default().to_vec();
    let header = if file.get(3) == Some(&3) { 16 } else { 8 };
    if input.first() == Some(&1) && file.len() > header {
        let count = (file.len() - header) as u32;
        file[4..8].copy_from_slice(&count.to_be_bytes());
        (8..header).for_each(|i| file[i] = u8::from(i % 4 == 3));
    }
    file
}

/// Each file unchanged, and with its header corrected after mutation.
fn idx_seeds(files: &[Vec<u8>]) -> Vec<Vec<u8>> {
    files.iter().flat_map(|file| [0, 1].map(|form| [&[form], file.as_slice()].concat())).collect()
}

#[test]
fn idx_images() {
    let seeds = idx_seeds(&[images(), idx(&[0x803, 1, 1, 1], &[5]), idx(&[0x803, 2, 28, 28], &[3; 1568])]);
    run(Subject { name: "idx images", seeds, tokens: vec![], limit: IDX, file: idx_input }, read_images, check_images);
}

#[test]
fn idx_labels() {
    let seeds = idx_seeds(&[labels(), idx(&[0x801, 1], &[5]), idx(&[0x801, 1000], &[9; 1000])]);
    run(Subject { name: "idx labels", seeds, tokens: vec![], limit: IDX, file: idx_input }, read_labels, check_labels);
}

/// The first byte selects the form: a gzip file, or content that is compressed after mutation, so
/// that more than the checksum is tested.
#[test]
fn gzip_files() {
    let packed = [images(), labels()].map(|content| [gzip(&content, Compression::best()), stored(&content)]);
    let mut seeds: Vec<Vec<u8>> = packed.iter().flatten().map(|file| [&[0], file.as_slice()].concat()).collect();
    seeds.push([&[0], gzip(&images()[..20], Compression::fast()).as_slice(), &stored(&images()[20..])].concat());
    seeds.extend([1, 2, 3].map(|form| [&[form], images().as_slice()].concat()));
    seeds.extend([1, 2, 3].map(|form| [&[form], labels().as_slice()].concat()));
    let file = |input: &[u8]| match input.split_first() {
        Some((1, content)) => stored(content),
        Some((2, content)) => content.chunks(9).flat_map(stored).collect(),
        // Compression is much slower than the other forms.
        Some((3, content)) if content.len() < 64 => gzip(content, Compression::fast()),
        Some((_, file)) => file.to_vec(),
        None => vec![],
    };
    let parse = |file: &[u8]| match (read_images(file), read_labels(file)) {
        (Ok(images), _) => Ok((Some(images), None)),
        (_, Ok(labels)) => Ok((None, Some(labels))),
        (Err(fault), Err(other)) => Err(if file.len().is_multiple_of(2) { fault } else { other }),
    };
    run(Subject { name: "gzip", seeds, tokens: vec![], limit: GZIP, file }, parse, |(images, labels)| {
        images.into_iter().for_each(check_images);
        labels.into_iter().for_each(check_labels);
    });
}

#[test]
fn gzip_that_is_too_large_is_rejected_by_its_header() {
    let refuse = |file: &[u8], offset: u64, names: &[&str]| {
        let (outcome, peak) = measured(|| read_images(file));
        assert_error(outcome, Fault::Format(FILE, Some(offset)), names);
        assert!(peak < MIB, "{peak} bytes for {}", file.len());
    };
    // Only the header, and a header with its content.
    let claim = idx(&[0x803, 65_536, 256, 256], &[]);
    refuse(&gzip(&claim, Compression::best()), 4, &["[65536, 256, 256]", "gunzip"]);
    let bomb = gzip(&idx(&[0x803, 64, 1024, 1024], &vec![0; 64 * MIB]), Compression::best());
    assert!(bomb.len() < 70 * KIB, "{} bytes", bomb.len());
    refuse(&bomb, 4, &["[64, 1024, 1024]", "gunzip"]);
    // Data after the last image are not decompressed.
    let tail = gzip(&idx(&[0x803, 1, 1, 1], &vec![0; 64 * MIB]), Compression::best());
    refuse(&tail, 17, &["1 byte"]);
    // The name of a gzip member is not read without a limit.
    let mut name = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255];
    name.extend(vec![b'x'; 8 * MIB]);
    refuse(&name, 0, &["gzip"]);
}

#[test]
fn gzip_at_the_limit_is_read_in_bounds() {
    let file = gzip(&idx(&[0x803, 15, 1024, 1024], &vec![0; 15 * MIB]), Compression::best());
    let (outcome, peak) = measured(|| read_images(&file));
    assert_eq!(outcome.unwrap().1.len(), 15 * MIB);
    GZIP.assert("gzip", file.len(), peak);
    // Random bytes, then zeros: more than the constant of the limit, and less than the multiple.
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let noise: Vec<u8> = (0..256 * KIB).map(|_| rng.random::<u8>()).collect();
    let file = gzip(&[idx(&[0x803, 97, 512, 512], &noise), vec![0; 24 * MIB]].concat(), Compression::fast());
    let (outcome, peak) = measured(|| read_images(&file));
    assert_eq!(outcome.unwrap().0, [97, 512, 512]);
    GZIP.assert("gzip", file.len(), peak);
    // Many empty members precede the first byte.
    let file = [stored(&[]).repeat(20_000), stored(&images())].concat();
    let (outcome, peak) = measured(|| read_images(&file));
    assert_eq!(outcome.unwrap().1.len(), 18);
    assert!(peak < MIB, "{peak}");
}

#[test]
fn lengths_in_a_plain_header_are_checked() {
    let file = idx(&[0x803, 65_536, 256, 256], &[1; 1000]);
    let (outcome, peak) = measured(|| read_images(&file));
    assert_error(outcome, Fault::Format(FILE, Some(1016)), &["4294967296"]);
    IDX.assert("idx", file.len(), peak);
    let file = idx(&[0x803, 4, 1024, 1024], &vec![1; 4 * MIB]);
    let ((), peak) = measured(|| check_images(read_images(&file).unwrap()));
    IDX.assert("idx", file.len(), peak);
}

#[test]
fn files_are_read_in_the_memory_of_their_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, idx(&[0x803, 4, 1024, 1024], &vec![1; 4 * MIB])).unwrap();
    let (outcome, peak) = measured(|| data::read_images(&path));
    assert_eq!(outcome.unwrap().0, [4, 1024, 1024]);
    IDX.assert("idx", 4 * MIB, peak);
}
