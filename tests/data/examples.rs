//! A custom data set: sentences as padded lists of tokens with their lengths, through the trait
//! `Examples`.

use lerac::data::{
    Batch, Column, Draw, Element, Examples, Form, Loader, MOST_COLUMNS, Meaning, Splits, bytes_of, epoch_order,
    floats_of,
};
use lerac::error::{Error, Result};
use rand::{Rng, RngExt};
use std::collections::HashSet;
use std::sync::Arc;

/// The maximum number of tokens in a sentence.
const ROOM: usize = 5;

/// Sentences. In training one random token of each sentence is replaced.
struct Sentences {
    sentences: Vec<Vec<u32>>,
    /// Whether reading is declared slow.
    slow: bool,
    /// The index of an example that cannot be read.
    broken: Option<usize>,
}

/// Sentence i has i % 6 tokens, counting from 100 i + 1.
fn sentences(count: u32) -> Sentences {
    let sentences = (0..count).map(|i| (0..i % 6).map(|token| 100 * i + 1 + token).collect()).collect();
    Sentences { sentences, slow: false, broken: None }
}

impl Examples for Sentences {
    fn name(&self) -> &str {
        "sentences"
    }

    fn form(&self) -> Form {
        let classes = ["even", "odd"].map(str::to_owned);
        Form {
            inputs: vec![
                Column::plain("tokens", Element::U32, [ROOM]),
                Column::plain("length", Element::U32, []),
                Column::plain("letters", Element::U8, [2, 3]),
            ],
            targets: vec![Column::class("parity", classes), Column::number("half", "tokens", 1.0, 1.0)],
        }
    }

    fn len(&self) -> usize {
        self.sentences.len()
    }

    fn read(&self, index: usize, draw: Option<Draw>, into: &mut [&mut [u32]]) -> Result<()> {
        if self.broken == Some(index) {
            return Err(Error::setting("sentences", format!("{index} cannot be read")));
        }
        let [tokens, length, letters, parity, half] = into else { panic!("places for five columns") };
        let sentence = &self.sentences[index];
        tokens[..sentence.len()].copy_from_slice(sentence);
        if let (Some(draw), [first, ..]) = (draw, &mut tokens[..sentence.len()]) {
            *first = draw.generator(index).random();
        }
        length[0] = sentence.len() as u32;
        bytes_of(letters)[..6].fill(index as u8);
        parity[0] = sentence.len() as u32 % 2;
        floats_of(half)[0] = sentence.len() as f32 / 2.0;
        Ok(())
    }

    fn reads_slowly(&self, _draw: Option<Draw>) -> bool {
        self.slow
    }

    fn fingerprint(&self, add: &mut dyn FnMut(&[u8])) {
        self.sentences.iter().flatten().for_each(|token| add(&token.to_le_bytes()));
    }
}

#[test]
fn a_batch_holds_every_column_of_its_examples() {
    let batch = Batch::gather(&sentences(20), &[9, 5, 0], 4, None).unwrap();
    assert_eq!((batch.count, batch.capacity), (3, 4));
    let [tokens, lengths, letters, parities, halves] = &batch.columns[..] else { panic!("five columns") };
    assert_eq!(tokens[..], [[901, 902, 903, 0, 0], [501, 502, 503, 504, 505], [0; 5], [0; 5]].concat());
    assert_eq!((&lengths[..], &parities[..]), (&[3, 5, 0, 0][..], &[1, 1, 0, 0][..]));
    // Six bytes are two words, padded with 0.
    assert_eq!(letters[..], [0x0909_0909, 0x0909, 0x0505_0505, 0x0505, 0, 0, 0, 0]);
    assert_eq!(halves.iter().map(|&word| f32::from_bits(word)).collect::<Vec<_>>(), [1.5, 2.5, 0.0, 0.0]);
    // The second of two passes.
    assert_eq!(batch.places(0, 2, 2), [0; 10]);
    assert_eq!(batch.places(1, 1, 2), [5, 0]);
    assert_eq!(batch.places(2, 1, 3), [0x0505_0505, 0x0505, 0, 0, 0, 0]);
}

#[test]
fn a_shorter_list_overwrites_a_longer_one() {
    let data = sentences(20);
    let mut batch = Batch::gather(&data, &[5, 11, 17], 3, None).unwrap();
    assert!(batch.columns[0].iter().all(|&token| token > 0));
    batch.fill(&data, &data.form(), &[7, 6], 3, None).unwrap();
    assert_eq!(batch, Batch::gather(&data, &[7, 6], 3, None).unwrap());
    assert_eq!(batch.columns[0].iter().filter(|&&token| token > 0).count(), 1);
}

#[test]
fn targets_alone_are_those_of_the_whole_example() {
    let data = sentences(20);
    for index in 0..20 {
        let (mut parity, mut half) = ([9], [9]);
        data.targets(index, &mut [&mut parity, &mut half]).unwrap();
        let batch = Batch::gather(&data, &[index as u32], 1, None).unwrap();
        assert_eq!((parity, half), ([batch.columns[3][0]], [batch.columns[4][0]]));
    }
    let broken = Sentences { broken: Some(3), ..sentences(20) };
    assert!(broken.targets(3, &mut [&mut [0], &mut [0]]).is_err());
}

#[test]
fn training_varies_an_example_by_seed_epoch_and_index() {
    let data = sentences(60);
    let indices: Vec<u32> = (0..60).collect();
    let draw = Draw { seed: 1, epoch: 2 };
    let of = |draw| Batch::of_epoch(&data, &indices, 20, draw).collect::<Result<Vec<_>>>().unwrap();
    let batches = of(draw);
    assert_eq!(batches, of(draw));
    assert_ne!(batches, of(Draw { epoch: 3, ..draw }));
    let order = epoch_order(&indices, 1, 2);
    for (batch, indices) in batches.iter().zip(order.chunks_exact(20)) {
        for (place, &index) in indices.iter().enumerate().filter(|(_, index)| *index % 6 > 0) {
            let first = batch.places(0, place, 1)[0];
            assert_eq!(first, draw.generator(index as usize).random::<u32>(), "sentence {index}");
        }
    }
    // The loader gives the same.
    let loader = Loader::training(Arc::new(sentences(60)), indices.into(), 20, 1, 2 * 3);
    assert_eq!(loader.take(3).collect::<Result<Vec<_>>>().unwrap(), batches);
}

#[test]
fn threads_that_share_the_reading_read_the_same() {
    let (quick, indices) = (sentences(200), (0..200).rev().collect::<Vec<u32>>());
    let slow = Sentences { slow: true, ..sentences(200) };
    for draw in [None, Some(Draw { seed: 0, epoch: 0 })] {
        let gather = |data: &Sentences| Batch::gather(data, &indices, 210, draw).unwrap();
        assert_eq!(gather(&slow), gather(&quick));
    }
}

#[test]
fn an_example_that_cannot_be_read_ends_the_batches() {
    for slow in [false, true] {
        let data = || Sentences { broken: Some(13), slow, ..sentences(30) };
        assert!(Batch::gather(&data(), &[12, 14], 2, None).is_ok());
        assert!(Batch::gather(&data(), &[12, 13], 2, None).is_err());
        let mut batches = Loader::evaluation(Arc::new(data()), (0..30).collect(), 10);
        assert!(batches.next().unwrap().is_ok());
        let fault = batches.next().unwrap().unwrap_err();
        assert!(matches!(fault, Error::Setting { field: "sentences", .. }), "{fault:?}");
        assert!(batches.next().is_none());
    }
}

#[test]
fn a_set_without_single_files_returns_an_error() {
    let Err(Error::Setting { field: "files", message }) = sentences(1).of_files(&["a.txt".into()]) else {
        panic!("it reads files")
    };
    assert!(message.contains("sentences"), "{message}");
}

#[test]
fn a_fingerprint_is_of_both_parts_in_their_order() {
    let print =
        |train, test| Splits { train: Arc::new(sentences(train)), test: Arc::new(sentences(test)) }.fingerprint();
    let bytes =
        |count| sentences(count).sentences.concat().iter().flat_map(|token| token.to_le_bytes()).collect::<Vec<_>>();
    assert_eq!(print(9, 4), crc32fast::hash(&[bytes(9), bytes(4)].concat()));
    assert_ne!(print(9, 4), print(4, 9));
    assert_ne!(print(9, 4), print(9, 5));
}

/// A data set with this number of columns, of one word each.
struct Wide(usize);

impl Examples for Wide {
    fn name(&self) -> &str {
        "wide"
    }

    fn form(&self) -> Form {
        let inputs = (0..self.0).map(|i| Column::plain(&format!("column {i}"), Element::U32, [])).collect();
        Form { inputs, targets: vec![] }
    }

    fn len(&self) -> usize {
        2
    }

    fn read(&self, index: usize, _: Option<Draw>, into: &mut [&mut [u32]]) -> Result<()> {
        into.iter_mut().zip(1..).for_each(|(place, i)| place[0] = 10 * i + index as u32);
        Ok(())
    }

    fn fingerprint(&self, _: &mut dyn FnMut(&[u8])) {}
}

#[test]
fn a_set_may_have_sixteen_columns() {
    assert_eq!(MOST_COLUMNS, 16);
    let batch = Batch::gather(&Wide(16), &[1, 0], 2, None).unwrap();
    assert!(batch.columns.iter().zip(1..).all(|(column, i)| column[..] == [10 * i + 1, 10 * i]));
}

#[test]
#[should_panic(expected = "wide: 17 columns, 16 at most")]
fn a_set_may_not_have_seventeen() {
    let _ = Batch::gather(&Wide(17), &[0], 1, None);
}

// ---- draws ----

#[test]
fn the_numbers_of_an_example_are_a_function_of_seed_epoch_and_index() {
    let first = |seed, epoch, index| {
        let mut generator = Draw { seed, epoch }.generator(index);
        [0; 4].map(|_| generator.next_u32())
    };
    let mut drawn = HashSet::new();
    for (seed, epoch, index) in (0..5)
        .flat_map(|seed| (0..5).flat_map(move |epoch| [0, 1, 2, 1000, u32::MAX as usize].map(|i| (seed, epoch, i))))
    {
        let numbers = first(seed, epoch, index);
        assert_eq!(numbers, first(seed, epoch, index));
        assert!(drawn.insert(numbers), "seed {seed}, epoch {epoch}, index {index}");
    }
    // The first million words of one example do not overlap with those of the next.
    let mut generator = Draw { seed: 1, epoch: 1 }.generator(0);
    (0..1 << 20).for_each(|_| {
        generator.next_u32();
    });
    assert_eq!([0; 4].map(|_| generator.next_u32()), first(1, 1, 1));
}

// ---- forms ----

fn picture(name: &str, shape: &[usize]) -> Column {
    let meaning = Meaning::Pixels { mean: vec![0.5; shape[0]], std: vec![0.25; shape[0]] };
    Column { meaning, ..Column::plain(name, Element::U8, shape) }
}

#[test]
fn a_column_takes_whole_words() {
    for (element, shape, count, words) in [
        (Element::U8, &[][..], 1, 1),
        (Element::U8, &[4], 4, 1),
        (Element::U8, &[5], 5, 2),
        (Element::U8, &[3, 7, 9], 189, 48),
        (Element::U32, &[], 1, 1),
        (Element::U32, &[5], 5, 5),
        (Element::F32, &[2, 3], 6, 6),
        (Element::F32, &[0, 3], 0, 0),
    ] {
        let column = Column::plain("column", element, shape);
        assert_eq!((column.count(), column.words()), (count, words), "{element:?} {shape:?}");
    }
}

#[test]
fn the_pixels_of_a_form_are_its_only_column_of_them() {
    let tokens = Column::plain("tokens", Element::U32, [5]);
    let form = |inputs: &[Column]| Form { inputs: inputs.to_vec(), targets: vec![Column::class("class", [])] };
    let one = form(&[tokens.clone(), picture("image", &[3, 8, 9])]);
    let pixels = one.pixels().unwrap();
    assert_eq!((pixels.place, pixels.image), (1, [3, 8, 9]));
    assert_eq!((pixels.mean, pixels.std), (&[0.5; 3][..], &[0.25; 3][..]));
    assert_eq!(form(std::slice::from_ref(&tokens)).pixels(), None);
    assert_eq!(form(&[picture("left", &[3, 8, 9]), picture("right", &[3, 8, 9])]).pixels(), None, "which of them?");
    // A column without channels is not an image.
    assert_eq!(form(&[picture("row", &[3, 8])]).pixels(), None);
    assert_eq!(form(&[picture("row", &[3, 8]), picture("image", &[1, 2, 2])]).pixels().unwrap().place, 1);
    // A target is not an input.
    let target = Form { inputs: vec![tokens], targets: vec![picture("mask", &[1, 8, 9])] };
    assert_eq!(target.pixels(), None);
}

#[test]
fn the_classes_of_a_form_are_those_of_its_first_target() {
    let targets = [Column::class("class", ["a", "b"].map(str::to_owned)), Column::number("size", "cm", 1.0, 2.0)];
    let classes = |targets: &[Column]| Form { inputs: vec![], targets: targets.to_vec() }.classes().to_vec();
    assert_eq!(classes(&targets), ["a", "b"]);
    assert_eq!(classes(&targets[1..]), [""; 0]);
    assert_eq!(classes(&[]), [""; 0]);
    let form = sentences(1).form();
    let names: Vec<&str> = form.columns().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["tokens", "length", "letters", "parity", "half"]);
}
