//! Augmentation on the host, and normalisation.

use image::{Rgb, RgbImage, imageops};
use lerac::data::{
    self, Augmentation, Batch, Crop, Draw, Examples, Jitter, Loader, Normalise, Pictures, Source, Splits, Variation,
};
use lerac::error::Error;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

fn all_changes() -> Augmentation {
    Augmentation { flip: true, shift: 3, random_resized_crop: Some(0.2), jitter: [0.4, 0.5, 0.6], cutout: 9 }
}

fn draw(seed: u64, epoch: u64) -> Draw {
    Draw { seed, epoch }
}

/// The augmentation of one epoch on the host.
fn variation(augmentation: Augmentation, seed: u64, epoch: u64) -> Variation {
    augmentation.variation(draw(seed, epoch)).unwrap()
}

/// The bytes of the first image of a batch.
fn first_image(batch: &Batch) -> Vec<u8> {
    batch.places(0, 0, 1).iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The bytes of each image of an epoch under this augmentation, in batches of this size.
fn epoch(data: &Pictures, size: usize, augmentation: Augmentation, draw: Draw) -> HashMap<u32, Vec<u8>> {
    let data = Pictures { augmentation, ..data.clone() };
    let indices: Vec<u32> = (0..data.len() as u32).collect();
    let order = data::epoch_order(&indices, draw.seed, draw.epoch);
    let batches = Batch::of_epoch(&data, &indices, size, draw);
    let mut images = HashMap::new();
    for (chunk, batch) in order.chunks_exact(size).zip(batches) {
        let bytes: Vec<u8> = batch.unwrap().columns[0].iter().flat_map(|word| word.to_le_bytes()).collect();
        images.extend(chunk.iter().copied().zip(bytes.chunks_exact(data.image_bytes()).map(<[u8]>::to_vec)));
    }
    images
}

#[test]
fn augmentation_depends_only_on_the_image() {
    let data = data::shapes(48, 1, 0).train;
    let first = epoch(&data, 4, all_changes(), draw(3, 5));
    assert_eq!(first.len(), 48);
    assert_eq!(first, epoch(&data, 16, all_changes(), draw(3, 5)), "the size of a batch changes images");
    for (seed, number) in [(3, 6), (4, 5)] {
        let other = epoch(&data, 4, all_changes(), draw(seed, number));
        assert!(first.iter().all(|(i, bytes)| other[i] != *bytes), "seed {seed}, epoch {number}");
    }
    // The other images of the batch have no effect.
    let data = Pictures { augmentation: all_changes(), ..data };
    let few = Batch::of_epoch(&data, &[7], 1, draw(3, 5)).next().unwrap().unwrap();
    assert_eq!(first_image(&few), first[&7]);
    // The flips and shifts on the device do not change.
    let moved = Augmentation { flip: true, shift: 3, ..Augmentation::default() };
    assert!((0..100).all(|i| moved.movement(draw(3, 5), i) == all_changes().movement(draw(3, 5), i)));
    // The loader gives the same.
    let (data, indices) = (Arc::new(data), (0..48).collect::<Arc<[u32]>>());
    let mut loader = Loader::training(data.clone(), indices.clone(), 16, 3, 15);
    let direct = Batch::of_epoch(&*data, &indices, 16, draw(3, 5));
    direct.for_each(|batch| assert_eq!(loader.next().unwrap().unwrap(), batch.unwrap()));
}

/// Evaluation and the test split are not augmented.
#[test]
fn only_training_is_augmented() {
    let source = Source { name: "shapes", augmentation: all_changes(), ..Source::default() };
    let opened = source.open_pictures(&mut |_| ()).unwrap();
    assert_eq!((opened.train.augmentation, opened.test.augmentation), (all_changes(), Augmentation::default()));
    let splits = Splits::from(opened.clone());
    for (part, images) in [(&splits.train, &opened.train), (&splits.test, &opened.test)] {
        let batch = Batch::gather(&**part, &[9], 1, None).unwrap();
        assert_eq!((first_image(&batch), batch.columns[1][0]), (images.image(9).unwrap(), Augmentation::IDENTITY));
    }
    let of_test = Batch::gather(&*splits.test, &[9], 1, Some(draw(0, 0))).unwrap();
    assert_eq!(first_image(&of_test), opened.test.image(9).unwrap());
    assert!(opened.train.reads_slowly(Some(draw(0, 0))) && !opened.train.reads_slowly(None));
    assert!(!opened.test.reads_slowly(Some(draw(0, 0))));
}

#[test]
fn a_hole_is_no_larger_than_an_image() {
    let of_side = |cutout| {
        let augmentation = Augmentation { cutout, ..Augmentation::default() };
        Source { name: "shapes", augmentation, ..Source::default() }.open(&mut |_| ())
    };
    assert!(of_side(32).is_ok());
    let fault = of_side(33).unwrap_err();
    assert!(matches!(fault, Error::Setting { field: "cutout", .. }), "{fault:?}");
}

#[test]
fn settings_that_change_nothing_change_no_bit() {
    let data = data::shapes(32, 1, 0).train;
    let plain = epoch(&data, 8, Augmentation::default(), draw(1, 2));
    (0..32).for_each(|i| assert_eq!(plain[&i], data.image(i as usize).unwrap()));
    // A crop of a whole square image is the image.
    let whole = Augmentation { random_resized_crop: Some(1.0), ..Augmentation::default() };
    assert_eq!(epoch(&data, 8, whole, draw(1, 2)), plain);
    assert_eq!(Augmentation::default().variation(draw(1, 2)), None);
    let mut image = data.image(0).unwrap();
    for order in [[0, 1, 2], [2, 1, 0]] {
        Jitter { factors: [1.0; 3], order }.apply(&mut image, 3);
        assert_eq!(image, data.image(0).unwrap());
    }
    for one in [
        Augmentation { random_resized_crop: Some(0.9), ..Augmentation::default() },
        Augmentation { jitter: [0.0, 0.3, 0.0], ..Augmentation::default() },
        Augmentation { cutout: 1, ..Augmentation::default() },
    ] {
        assert_ne!(epoch(&data, 8, one, draw(1, 2)), plain, "{one:?}");
    }
}

#[test]
fn crops_are_drawn_as_by_torchvision() {
    let least = 0.3;
    let variation = variation(Augmentation { random_resized_crop: Some(least), ..Augmentation::default() }, 0, 0);
    let parts: Vec<Crop> = (0..4000).map(|i| variation.crop(i, 400, 300).unwrap()).collect();
    let mut areas = 0.0;
    for part in &parts {
        assert!(part.x + part.width <= 400 && part.y + part.height <= 300, "{part:?}");
        let (w, h) = (f64::from(part.width), f64::from(part.height));
        let (area, ratio) = (w * h / 120_000.0, w / h);
        assert!(area > least - 0.01 && (0.74..1.35).contains(&ratio), "{part:?}");
        areas += area;
    }
    // Uniform from 0.3 to 1, except for draws that do not fit, most of which are large. The mean of
    // 200,000 draws of a Python reference is 0.5486.
    let mean = areas / 4000.0;
    assert!((0.5366..0.5606).contains(&mean), "{mean}");
    let lefts = parts.iter().filter(|part| 2 * part.x < 400 - part.width).count();
    assert!((1750..2250).contains(&lefts), "{lefts} of 4000 lie left");
    assert!(parts.iter().map(|part| (part.x, part.y)).collect::<HashSet<_>>().len() > 3000);
    // If no draw fits, the crop is the central part with a ratio of 4:3 or 3:4.
    let whole = Augmentation { random_resized_crop: Some(1.0), ..Augmentation::default() };
    let whole = whole.variation(draw(0, 0)).unwrap();
    assert_eq!(whole.crop(1, 1000, 30), Some(Crop { x: 480, y: 0, width: 40, height: 30 }));
    assert_eq!(whole.crop(1, 30, 1000), Some(Crop { x: 0, y: 480, width: 30, height: 40 }));
    assert_eq!(whole.crop(1, 1, 1), Some(Crop { x: 0, y: 0, width: 1, height: 1 }));
}

#[test]
fn colours_change_as_by_torchvision() {
    // Two pixels: (100, 50, 200) and (0, 250, 10), grey 82 and 148.
    let image = [100, 0, 50, 250, 200, 10];
    let changed = |which: usize, factor: f32| {
        let (mut bytes, mut factors) = (image, [1.0; 3]);
        factors[which] = factor;
        Jitter { factors, order: [0, 1, 2] }.apply(&mut bytes, 3);
        bytes
    };
    assert_eq!(changed(0, 0.5), [50, 0, 25, 125, 100, 5]);
    assert_eq!(changed(0, 2.0), [200, 0, 100, 255, 255, 20]);
    assert_eq!(changed(1, 0.0), [115; 6]);
    assert_eq!(changed(1, 0.5), [108, 58, 83, 183, 158, 63]);
    assert_eq!(changed(2, 0.0), [82, 148, 82, 148, 82, 148]);
    assert_eq!(changed(2, 0.5), [91, 74, 66, 199, 141, 79]);
    // The order matters: a value that was clipped at 255 stays clipped.
    let both = |order| {
        let mut bytes = image;
        Jitter { factors: [2.0, 0.5, 1.0], order }.apply(&mut bytes, 3);
        bytes
    };
    assert_ne!(both([0, 1, 2]), both([1, 0, 2]));
    // Saturation does not change grey.
    let mut grey = [10, 200];
    Jitter { factors: [1.0, 1.0, 0.0], order: [0, 1, 2] }.apply(&mut grey, 1);
    assert_eq!(grey, [10, 200]);

    let variation = variation(Augmentation { jitter: [0.4, 0.0, 1.0], ..Augmentation::default() }, 9, 1);
    let drawn: Vec<Jitter> = (0..3000).map(|i| variation.jitter(i).unwrap()).collect();
    let mean = |which: usize| drawn.iter().map(|jitter| f64::from(jitter.factors[which])).sum::<f64>() / 3000.0;
    assert!((mean(0) - 1.0).abs() < 0.02 && mean(1) == 1.0 && (mean(2) - 1.0).abs() < 0.04);
    assert!(drawn.iter().all(|jitter| (0.6..=1.4).contains(&jitter.factors[0]) && jitter.factors[2] >= 0.0));
    assert!(drawn.iter().any(|jitter| jitter.factors[0] < 0.62) && drawn.iter().any(|jitter| jitter.factors[0] > 1.38));
    let mut orders = HashMap::new();
    drawn.iter().for_each(|jitter| *orders.entry(jitter.order).or_insert(0) += 1);
    assert!(orders.len() == 6 && orders.values().all(|count| (400..600).contains(count)), "{orders:?}");
}

#[test]
fn squares_are_cut_out() {
    let augmentation = Augmentation { cutout: 9, ..Augmentation::default() };
    let variation = variation(augmentation, 2, 4);
    let data = data::shapes(64, 1, 0).train;
    for (i, bytes) in epoch(&data, 8, augmentation, draw(2, 4)) {
        let hole = variation.cutout(i, 32, 32).unwrap();
        let original = data.image(i as usize).unwrap();
        for (at, (&found, &was)) in bytes.iter().zip(&original).enumerate() {
            let (x, y) = ((at % 32) as u32, (at / 32 % 32) as u32);
            let inside = (hole.x..hole.x + hole.width).contains(&x) && (hole.y..hole.y + hole.height).contains(&y);
            assert_eq!(found, if inside { 128 } else { was }, "image {i} at {x}, {y}");
        }
    }
    let holes: Vec<Crop> = (0..4000).map(|i| variation.cutout(i, 32, 20).unwrap()).collect();
    assert!(holes.iter().all(|hole| hole.x + hole.width <= 32 && hole.y + hole.height <= 20));
    // The centre is anywhere in the image. For 24 of 32 columns the square is not cut off.
    let whole = holes.iter().filter(|hole| hole.width == 9).count();
    assert!((2850..3150).contains(&whole), "{whole} of 4000");
    assert!(holes.iter().all(|hole| hole.width >= 4 && hole.width <= 9 && hole.height >= 4));
    assert_eq!(holes.iter().map(|hole| hole.x).collect::<HashSet<_>>().len(), 32 - 4);
}

#[test]
fn crops_are_taken_from_the_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    let picture = RgbImage::from_fn(90, 60, |x, y| Rgb([(x * 2) as u8, (y * 4) as u8, (x + y) as u8]));
    for part in ["train/a", "train/b", "val/a", "val/b"] {
        std::fs::create_dir_all(dir.path().join(part)).unwrap();
        picture.save(dir.path().join(part).join("1.png")).unwrap();
    }
    let source = Source { name: "imagefolder", dir: Some(dir.path()), image_size: Some(16), ..Source::default() };
    let data = source.open_pictures(&mut |_| ()).unwrap().train;
    let augmentation = Augmentation { random_resized_crop: Some(0.08), ..Augmentation::default() };
    for number in 0..5 {
        let found = &epoch(&data, 1, augmentation, draw(0, number))[&0];
        let crop = variation(augmentation, 0, number).crop(0, 90, 60).unwrap();
        let part = imageops::crop_imm(&picture, crop.x, crop.y, crop.width, crop.height).to_image();
        let part = imageops::resize(&part, 16, 16, imageops::FilterType::Triangle);
        let planes: Vec<u8> = (0..3).flat_map(|c| part.pixels().map(move |pixel| pixel.0[c])).collect();
        assert_eq!(*found, planes);
    }
    // A cache contains only the central square.
    let cache = dir.path().join("cache");
    let cached = Source { cache: Some(&cache), ..source }.open_pictures(&mut |_| ()).unwrap().train;
    assert_ne!(epoch(&cached, 1, augmentation, draw(0, 0)), epoch(&data, 1, augmentation, draw(0, 0)));
}

#[test]
fn images_are_normalised_as_requested() {
    let open = |name, normalise| Source { name, normalise, ..Source::default() }.open_pictures(&mut |_| ());
    let half = open("shapes", Normalise::Half).unwrap();
    assert_eq!((&half.train.mean, &half.test.std), (&vec![0.5; 3], &vec![0.5; 3]));
    let imagenet = open("shapes", Normalise::Imagenet).unwrap();
    assert_eq!((&imagenet.train.mean, &imagenet.test.std), (&vec![0.485, 0.456, 0.406], &vec![0.229, 0.224, 0.225]));
    // The form contains the same mean and standard deviation.
    let form = imagenet.test.form();
    let pixels = form.pixels().unwrap();
    assert_eq!((pixels.mean, pixels.std), (&imagenet.train.mean[..], &imagenet.test.std[..]));
    let own = open("shapes", Normalise::Data).unwrap();
    assert_eq!((&own.train.mean, &own.train.std), (&own.test.mean, &own.test.std));
    let bytes = own.train.images.bytes().unwrap();
    for c in 0..3 {
        let plane = || bytes.chunks_exact(1024).skip(c).step_by(3).flatten().map(|&byte| f64::from(byte) / 255.0);
        let count = (own.train.len() * 1024) as f64;
        let mean = plane().sum::<f64>() / count;
        let deviation = (plane().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        assert!((f64::from(own.train.mean[c]) - mean).abs() < 1e-6, "{mean}");
        assert!((f64::from(own.train.std[c]) - deviation).abs() < 1e-6, "{deviation}");
    }
    // The fingerprint is that of the images, without normalisation.
    assert_eq!(Splits::from(own).fingerprint(), Splits::from(half).fingerprint());
}

#[test]
fn mixup_weights_are_functions_of_seed_and_step() {
    use lerac::data::mixing_part;
    let parts = |alpha: f64, seed: u64| -> Vec<f64> { (0..2000).map(|step| mixing_part(alpha, seed, step)).collect() };
    let mean = |parts: &[f64]| parts.iter().sum::<f64>() / parts.len() as f64;
    assert_eq!(parts(0.4, 7), parts(0.4, 7));
    assert_ne!(parts(0.4, 7), parts(0.4, 8));
    // The larger of two uniform parts is 3/4 on average. Parts that are nearly always 0 and 1 have
    // a mean of nearly 1.
    let uniform = parts(1.0, 1);
    assert!(uniform.iter().all(|part| (0.5..=1.0).contains(part)));
    assert!((mean(&uniform) - 0.75).abs() < 0.01, "{}", mean(&uniform));
    assert!(mean(&parts(0.01, 1)) > 0.98 && mean(&parts(500.0, 1)) < 0.52);
}
