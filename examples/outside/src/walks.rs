//! A data set of walks. A walk has up to 12 steps, and a unit by which its steps are multiplied.
//! The targets are whether a walk ends above its start, and how far from it.

use lerac::data::{Column, Draw, Element, Examples, Form, Splits, floats_of};
use lerac::error::Result;
use rand::{Rng, RngExt};
use std::sync::Arc;

/// Steps of a walk, at most.
pub const LONGEST: usize = 12;

/// Walks. Each depends only on its index.
pub struct Walks {
    first: usize,
    count: usize,
}

impl Walks {
    /// 600 walks to train on, and 200 others to test with.
    pub fn splits() -> Splits {
        let part = |first, count| Arc::new(Self { first, count });
        Splits { train: part(0, 600), test: part(600, 200) }
    }
}

/// The random numbers of a walk.
fn numbers(walk: usize) -> impl Rng {
    Draw { seed: 7, epoch: 0 }.generator(walk)
}

impl Examples for Walks {
    fn name(&self) -> &str {
        "walks"
    }

    fn form(&self) -> Form {
        Form {
            inputs: vec![
                Column::plain("steps", Element::F32, [LONGEST]),
                Column::plain("count", Element::U32, []),
                Column::plain("unit", Element::F32, [1]),
            ],
            targets: vec![
                Column::class("direction", ["down", "up"].map(str::to_owned)),
                Column::number("distance", "m", 0.0, 2.0),
            ],
        }
    }

    fn len(&self) -> usize {
        self.count
    }

    fn read(&self, index: usize, draw: Option<Draw>, into: &mut [&mut [u32]]) -> Result<()> {
        let [steps, count, unit, direction, distance] = into else { panic!("five columns") };
        let mut rng = numbers(self.first + index);
        let length = rng.random_range(1..=LONGEST);
        let scale: f32 = rng.random_range(0.5..=1.5);
        // Augmentation: in training, each step gets a little noise in each epoch.
        let mut noise = draw.map(|draw| draw.generator(index));
        let mut sum = 0.0;
        for step in &mut floats_of(steps)[..length] {
            let true_step: f32 = rng.random_range(-1.0..=1.0);
            *step = true_step + noise.as_mut().map_or(0.0, |rng| rng.random_range(-0.01..=0.01));
            sum += true_step * scale;
        }
        count[0] = length as u32;
        floats_of(unit)[0] = scale;
        direction[0] = u32::from(sum > 0.0);
        floats_of(distance)[0] = sum;
        Ok(())
    }

    fn fingerprint(&self, add: &mut dyn FnMut(&[u8])) {
        add(b"walks, first version");
        add(&self.first.to_le_bytes());
        add(&self.count.to_le_bytes());
    }
}
