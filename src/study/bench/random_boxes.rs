//! Images with random objects for benchmarks.

use crate::data::{BOX_VALUES, Draw, Examples, Form, bytes_of, floats_of};
use crate::error::Result;

/// Images of bytes that no pattern repeats in, each with as many objects as its column holds.
pub(super) struct RandomBoxes {
    pub(super) form: Form,
    /// Number of examples.
    pub(super) examples: usize,
}

/// A number from 0 to 1 for each index.
fn scattered(index: usize) -> f32 {
    (index as u32).wrapping_mul(2_654_435_761) as f32 / u32::MAX as f32
}

impl Examples for RandomBoxes {
    fn name(&self) -> &str {
        "random boxes"
    }

    fn form(&self) -> Form {
        self.form.clone()
    }

    fn len(&self) -> usize {
        self.examples
    }

    fn read(&self, index: usize, _draw: Option<Draw>, into: &mut [&mut [u32]]) -> Result<()> {
        let [image, .., boxes] = into else { panic!("places for an image and boxes") };
        let classes = self.form.boxes().expect("a form with boxes").classes.len();
        let count = image.len();
        for (i, byte) in bytes_of(image).iter_mut().enumerate() {
            *byte = (255.0 * scattered(index * count + i)) as u8;
        }
        for (i, row) in floats_of(boxes).chunks_exact_mut(BOX_VALUES).enumerate() {
            let [x, y, w, h] = std::array::from_fn(|part| scattered(7 * (index * count + i) + part));
            let [w, h] = [w, h].map(|side: f32| 0.05 + 0.5 * side);
            row.copy_from_slice(&[(i % classes) as f32, x, y, w, h, 0.0]);
        }
        Ok(())
    }

    fn fingerprint(&self, _add: &mut dyn FnMut(&[u8])) {}
}
