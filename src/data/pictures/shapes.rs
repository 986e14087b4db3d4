//! A generated data set: shapes with random colour, position and size on noise. It is drawn in
//! integers, and so the same on all platforms.

use super::{PictureSplits, Pictures};
use crate::data::random::{Stream, generator};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

const SIDE: i32 = 32;

/// Whether a pixel at (x, y) from the shape's centre belongs to a shape of radius r.
type Inside = fn(x: i32, y: i32, r: i32) -> bool;

/// Name and drawing of each class.
const CLASSES: [(&str, Inside); 10] = [
    ("disc", |x, y, r| x * x + y * y <= r * r),
    ("ring", |x, y, r| (r * r / 3..=r * r).contains(&(x * x + y * y))),
    ("square", |x, y, r| x.abs().max(y.abs()) <= r * 3 / 4),
    ("frame", |x, y, r| (r / 2..=r * 3 / 4).contains(&x.abs().max(y.abs()))),
    ("triangle", |x, y, r| y <= r / 2 && 2 * x.abs() <= y + r),
    ("plus", |x, y, r| x.abs().max(y.abs()) <= r && x.abs().min(y.abs()) <= r / 4),
    ("cross", |x, y, r| x.abs().max(y.abs()) <= r * 3 / 4 && (x.abs() - y.abs()).abs() <= r / 4),
    ("rows", |x, y, r| x.abs().max(y.abs()) <= r && (y + r) / 2 % 2 == 0),
    ("columns", |x, y, r| x.abs().max(y.abs()) <= r && (x + r) / 2 % 2 == 0),
    ("checks", |x, y, r| x.abs().max(y.abs()) <= r && ((x + r) / 3 + (y + r) / 3) % 2 == 0),
];

/// Draws `train` and `test` images of 3x32x32. The classes have equal numbers of images, up to one
/// image.
pub fn shapes(train: usize, test: usize, seed: u64) -> PictureSplits {
    PictureSplits {
        train: draw(train, generator(seed, Stream::TrainShapes)),
        test: draw(test, generator(seed, Stream::TestShapes)),
    }
}

fn draw(count: usize, mut rng: ChaCha8Rng) -> Pictures {
    let mut labels: Vec<u8> = (0..count).map(|i| (i % CLASSES.len()) as u8).collect();
    labels.shuffle(&mut rng);
    let images = labels.iter().flat_map(|&label| image(CLASSES[usize::from(label)].1, &mut rng)).collect();
    let classes = CLASSES.iter().map(|(name, _)| (*name).to_owned()).collect();
    Pictures::new("shapes", [3, SIDE as usize, SIDE as usize], classes, images, labels)
}

fn image(inside: Inside, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let r = rng.random_range(6..=11);
    let mut centre = || rng.random_range(r + 1..SIDE - r - 1);
    let (cx, cy) = (centre(), centre());
    let ground: [i32; 3] = std::array::from_fn(|_| rng.random_range(0..=120));
    let colour: [i32; 3] = std::array::from_fn(|_| rng.random_range(100..=255));
    let mut bytes = Vec::with_capacity((3 * SIDE * SIDE) as usize);
    for (ground, colour) in ground.into_iter().zip(colour) {
        for i in 0..SIDE * SIDE {
            let (x, y) = (i % SIDE - cx, i / SIDE - cy);
            let base = if inside(x, y, r) { colour } else { ground };
            bytes.push((base + rng.random_range(-40..=40)).clamp(0, 255) as u8);
        }
    }
    bytes
}
