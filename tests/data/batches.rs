//! Splits, orders, random flips and shifts, and batches of examples. All are functions of seed and
//! epoch, and do not depend on the thread.

use lerac::data::{self, Augmentation, Batch, Draw, Examples, Images, Loader, Meaning, Pictures};
use lerac::error::Error;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, mpsc};
use std::time::Duration;

// ---- help ----

/// N images of 1x2x3. All bytes of image i are i, and its label is i % 10. Six bytes are not a
/// multiple of a word. The device flips and shifts the images.
fn numbered(count: u8) -> Pictures {
    let images: Vec<u8> = (0..count).flat_map(|i| [i; 6]).collect();
    let classes = (0..10).map(|i| format!("class {i}")).collect();
    let pictures = Pictures::new("numbered", [1, 2, 3], classes, images, (0..count).map(|i| i % 10));
    Pictures { augmentation: Augmentation { flip: true, shift: 2, ..Augmentation::default() }, ..pictures }
}

fn all(data: &Pictures) -> Vec<u32> {
    (0..data.len() as u32).collect()
}

const DRAW: Draw = Draw { seed: 11, epoch: 3 };

// ---- splits and orders ----

#[test]
fn a_split_leaves_something_to_train_on() {
    assert!(data::train_validation_split(5, 0, 0).unwrap().1.is_empty());
    for (count, validation) in [(5, 5), (5, 6), (0, 0), (0, 1)] {
        let Err(Error::Setting { field: "validation", message }) = data::train_validation_split(count, validation, 0)
        else {
            panic!("{validation} of {count} are held out")
        };
        assert!(message.contains(&format!("found {validation};")), "{message}");
    }
    assert_ne!(data::train_validation_split(100, 50, 0).unwrap(), data::train_validation_split(100, 50, 1).unwrap());
}

#[test]
fn orders_differ_by_epoch_and_by_seed() {
    let indices: Vec<u32> = (0..100).collect();
    let orders: HashSet<Vec<u32>> =
        (0..20).flat_map(|epoch| [0, 1].map(|seed| data::epoch_order(&indices, seed, epoch))).collect();
    assert_eq!(orders.len(), 40);
    assert!(!orders.contains(&indices));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_split_is_disjoint_and_complete(count in 1..500usize, part in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let validation = part.index(count);
        let (train, held_out) = data::train_validation_split(count, validation, seed).unwrap();
        prop_assert_eq!((train.len(), held_out.len()), (count - validation, validation));
        let union: HashSet<u32> = train.iter().chain(&held_out).copied().collect();
        prop_assert_eq!(union.len(), count);
        prop_assert!(union.iter().all(|&i| (i as usize) < count));
        prop_assert_eq!(data::train_validation_split(count, validation, seed).unwrap(), (train, held_out));
    }

    #[test]
    fn an_order_is_a_permutation(indices in proptest::collection::vec(any::<u32>(), 0..300), seed in any::<u64>(), epoch in any::<u64>()) {
        let mut order = data::epoch_order(&indices, seed, epoch);
        prop_assert_eq!(&order, &data::epoch_order(&indices, seed, epoch));
        let mut sorted = indices.clone();
        sorted.sort_unstable();
        order.sort_unstable();
        prop_assert_eq!(order, sorted);
    }

    #[test]
    fn movements_stay_in_range(flip in any::<bool>(), shift in any::<u8>(), seed in any::<u64>(), epoch in any::<u64>(), image in any::<u32>()) {
        let augmentation = Augmentation { flip, shift, ..Augmentation::default() };
        let movement = augmentation.movement(Draw { seed, epoch }, image as usize);
        let most = i32::from(shift.min(127));
        prop_assert_eq!(movement & 0xff00_00fe, 0);
        prop_assert!(flip || movement & 1 == 0);
        prop_assert!(((movement >> 8 & 255) as i32 - 128).abs() <= most);
        prop_assert!(((movement >> 16 & 255) as i32 - 128).abs() <= most);
    }

    /// An image of six bytes takes two words: every pass of a batch is a slice of whole words.
    #[test]
    fn a_batch_holds_its_images(indices in proptest::collection::vec(0..50u32, 0..9), spare in 1..3usize, first in any::<prop::sample::Index>(), drawn in any::<bool>()) {
        let (data, capacity) = (numbered(50), indices.len() + spare);
        let batch = Batch::gather(&data, &indices, capacity, drawn.then_some(DRAW)).unwrap();
        let [pixels, movements, labels] = &batch.columns[..] else { panic!("three columns") };
        prop_assert_eq!((batch.count, batch.capacity), (indices.len(), capacity));
        prop_assert_eq!((pixels.len(), movements.len(), labels.len()), (2 * capacity, capacity, capacity));
        let bytes: Vec<u8> = pixels.iter().flat_map(|word| word.to_le_bytes()).collect();
        for place in 0..capacity {
            let image = indices.get(place).copied();
            let movement = |i: u32| match drawn {
                true => data.augmentation.movement(DRAW, i as usize),
                false => Augmentation::IDENTITY,
            };
            prop_assert_eq!(labels[place], image.map_or(0, |i| i % 10));
            prop_assert_eq!(movements[place], image.map_or(0, movement));
            prop_assert_eq!(&bytes[8 * place..8 * place + 6], [image.unwrap_or(0) as u8; 6]);
            prop_assert_eq!(&bytes[8 * place + 6..8 * (place + 1)], [0; 2], "the words are filled up with 0");
        }
        // A pass is a slice of the batch.
        let first = first.index(capacity);
        for count in 0..=capacity - first {
            prop_assert_eq!(batch.places(0, first, count), &pixels[2 * first..2 * (first + count)]);
            prop_assert_eq!(batch.places(2, first, count), &labels[first..first + count]);
        }
    }
}

// ---- movements ----

#[test]
fn flip_and_shift_depend_only_on_the_image() {
    let augmentation = Augmentation { flip: true, shift: 4, ..Augmentation::default() };
    let of_epoch = |seed, epoch| move |image| augmentation.movement(Draw { seed, epoch }, image);
    let drawn: Vec<u32> = (0..1000).map(of_epoch(3, 5)).collect();
    let mut again: Vec<u32> = (0..1000).rev().map(of_epoch(3, 5)).collect();
    again.reverse();
    assert_eq!(drawn, again);
    for (seed, epoch) in [(3, 6), (4, 5)] {
        assert_ne!(drawn, (0..1000).map(of_epoch(seed, epoch)).collect::<Vec<_>>());
    }
    // Of the 2 * 9 * 9 combinations nearly all occur in 1000 images. Half of the images are
    // flipped, and each shift occurs in a ninth.
    let distinct: HashSet<u32> = drawn.iter().copied().collect();
    assert!(distinct.len() > 150, "{} distinct movements", distinct.len());
    let flipped = drawn.iter().filter(|&&movement| movement & 1 == 1).count();
    assert!((420..580).contains(&flipped), "{flipped} of 1000 flipped");
    for bits in [8, 16] {
        let mut counts = HashMap::new();
        drawn.iter().for_each(|movement| *counts.entry((movement >> bits & 255) as i32 - 128).or_insert(0) += 1);
        assert_eq!(counts.len(), 9, "{counts:?}");
        assert!((-4..=4).all(|shift| (60..170).contains(&counts[&shift])), "{counts:?}");
    }
    assert_eq!(Augmentation::default().movement(Draw { seed: 3, epoch: 5 }, 0), Augmentation::IDENTITY);
    assert_eq!(Augmentation::IDENTITY, 128 << 8 | 128 << 16);
}

// ---- batches ----

#[test]
#[should_panic(expected = "3 examples do not fit a batch of 2")]
fn more_examples_than_places_are_refused() {
    let _ = Batch::gather(&numbered(5), &[0, 1, 2], 2, None);
}

#[test]
fn a_reused_batch_keeps_no_old_examples() {
    let data = numbered(9);
    let mut batch = Batch::gather(&data, &[8, 7, 6, 5], 4, Some(DRAW)).unwrap();
    let epoch_later = Some(Draw { epoch: DRAW.epoch + 1, ..DRAW });
    for (indices, capacity) in [(&[1][..], 4), (&[2, 3][..], 2), (&[][..], 6)] {
        batch.fill(&data, &data.form(), indices, capacity, epoch_later).unwrap();
        assert_eq!(batch, Batch::gather(&data, indices, capacity, epoch_later).unwrap());
    }
}

#[test]
fn a_number_is_a_column_of_f32() {
    let meaning = Meaning::Number { unit: "years".into(), mean: 33.0, std: 20.0 };
    let data = Pictures { meaning, ..numbered(30) };
    assert_eq!(data.form().targets[0].name, "number");
    let batch = Batch::gather(&data, &[29, 4], 2, None).unwrap();
    assert_eq!(batch.columns[2], [9.0f32.to_bits(), 4.0f32.to_bits()]);
    let mut target = [7];
    data.targets(29, &mut [&mut target]).unwrap();
    assert_eq!(target, [9.0f32.to_bits()]);
}

#[test]
fn a_clone_shares_its_images() {
    let data = numbered(3);
    let (Images::Memory(images), Images::Memory(of_clone)) = (&data.images, &data.clone().images) else {
        panic!("they are in memory")
    };
    assert!(Arc::ptr_eq(images, of_clone));
}

// ---- the loader ----

/// Runs `work` on another thread and panics if it takes longer than ten minutes.
fn in_time(work: impl FnOnce() + Send + 'static) {
    let (done, waiting) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    match waiting.recv_timeout(Duration::from_secs(600)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => thread.join().unwrap(),
    }
}

#[test]
fn the_training_loader_gives_what_gathering_gives() {
    let data = Arc::new(numbered(50));
    let indices: Arc<[u32]> = (0..50).filter(|i| i % 5 != 0).collect();
    let direct = (3..6).flat_map(|epoch| {
        let order = data::epoch_order(&indices, 11, epoch);
        let draw = Some(Draw { seed: 11, epoch });
        let gathered = order.chunks_exact(7).map(|chunk| Batch::gather(&*data, chunk, 7, draw).unwrap());
        gathered.collect::<Vec<_>>()
    });
    let direct: Vec<Batch> = direct.collect();
    assert_eq!(direct.len(), 3 * (40 / 7));
    let loader = Loader::training(data.clone(), indices.clone(), 7, 11, 3 * 5);
    assert_eq!(loader.take(direct.len()).map(Result::unwrap).collect::<Vec<_>>(), direct);
    // Also from the middle of an epoch.
    let later = Loader::training(data.clone(), indices.clone(), 7, 11, 3 * 5 + 7);
    assert_eq!(later.take(direct.len() - 7).map(Result::unwrap).collect::<Vec<_>>(), direct[7..]);
    let epochs = (3..6).flat_map(|epoch| Batch::of_epoch(&*data, &indices, 7, Draw { seed: 11, epoch }));
    assert_eq!(epochs.map(Result::unwrap).collect::<Vec<_>>(), direct);
}

#[test]
fn the_evaluation_loader_gives_everything_once_in_order() {
    let data = Arc::new(numbered(20));
    let indices: Arc<[u32]> = all(&data).into();
    let batches: Vec<Batch> = Loader::evaluation(data.clone(), indices.clone(), 8).map(Result::unwrap).collect();
    let direct = indices.chunks(8).map(|chunk| Batch::gather(&*data, chunk, 8, None).unwrap());
    assert_eq!(batches, direct.collect::<Vec<_>>());
    assert_eq!(batches.iter().map(|batch| batch.count).collect::<Vec<_>>(), [8, 8, 4]);
    assert_eq!(batches[2].places(1, 0, 8), [[Augmentation::IDENTITY; 4], [0; 4]].concat());
    assert_eq!(batches[2].places(2, 0, 8), [6, 7, 8, 9, 0, 0, 0, 0]);
    assert_eq!(Loader::evaluation(data, Arc::new([]), 8).count(), 0);
}

#[test]
fn used_batches_are_refilled() {
    let data = Arc::new(numbered(40));
    let indices: Arc<[u32]> = all(&data).into();
    let loader = || Loader::training(data.clone(), indices.clone(), 8, 0, 0);
    let expected: Vec<Batch> = loader().take(200).map(Result::unwrap).collect();
    let mut recycling = loader();
    let mut places: [HashSet<usize>; 3] = Default::default();
    for batch in &expected {
        let found = recycling.next().unwrap().unwrap();
        assert_eq!(&found, batch);
        for (places, column) in places.iter_mut().zip(&found.columns) {
            places.insert(column.as_ptr() as usize);
        }
        recycling.recycle(found);
    }
    // Four are queued, one is being sent and one is in use. 200 would mean that no batch is reused.
    let most = places.iter().map(HashSet::len).max().unwrap();
    assert!(most <= 8, "{most} places in memory for {} batches", expected.len());
}

#[test]
fn dropping_a_loader_ends_its_thread() {
    in_time(|| {
        let data = Arc::new(numbered(40));
        let indices: Arc<[u32]> = all(&data).into();
        for taken in [0, 1, 7] {
            let mut loader = Loader::training(data.clone(), indices.clone(), 8, 0, 0);
            (0..taken).for_each(|_| drop(loader.next().unwrap().unwrap()));
            drop(loader);
            let mut loader = Loader::evaluation(data.clone(), indices.clone(), 1);
            (0..taken).for_each(|_| drop(loader.next().unwrap().unwrap()));
            drop(loader);
        }
        assert_eq!(Arc::strong_count(&data), 1, "a thread still holds the data");
    });
}

#[test]
fn an_exhausted_loader_stays_exhausted() {
    in_time(|| {
        let data = Arc::new(numbered(3));
        let mut loader = Loader::evaluation(data.clone(), all(&data).into(), 2);
        assert_eq!(loader.by_ref().count(), 2);
        assert!(loader.next().is_none());
        loader.recycle(Batch::default());
    });
}
