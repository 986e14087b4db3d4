//! An image as a model reads it, with its boxes in the same pixels.

use super::geometry::{Corners, GREY, Placement, clipped, paint};
use super::objects::Object;
use crate::data::{BOX_VALUES, bytes_of, floats_of};
use image::RgbImage;

/// The class of the rows after the last object.
const NO_OBJECT: f32 = -1.0;

/// A box in a [`Scene`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SceneBox {
    pub class: u16,
    pub difficult: bool,
    /// In pixels of the scene.
    pub corners: Corners,
}

/// A square image with boxes.
pub(super) struct Scene {
    pub image: RgbImage,
    pub boxes: Vec<SceneBox>,
}

/// The boxes of an image of this size at `placement`.
pub(super) fn boxes_at(objects: &[Object], [width, height]: [u32; 2], placement: Placement) -> Vec<SceneBox> {
    let extents = [width, height].map(f64::from);
    let place = |object: &Object| {
        let native = std::array::from_fn(|i| f64::from(object.corners[i]) * extents[i % 2]);
        SceneBox { class: object.class, difficult: object.difficult, corners: placement.apply(native) }
    };
    objects.iter().map(place).collect()
}

impl Scene {
    /// A grey image without boxes.
    pub fn empty(side: usize) -> Self {
        Self { image: RgbImage::from_pixel(side as u32, side as u32, GREY), boxes: vec![] }
    }

    /// An image in the middle of the square.
    pub fn letterbox(image: &RgbImage, objects: &[Object], side: usize) -> Self {
        let mut scene = Self::empty(side);
        let size = image.dimensions().into();
        let placement = Placement::letterbox(size, side);
        paint(image, placement, scene.bounds(), &mut scene.image);
        scene.boxes = boxes_at(objects, size, placement);
        scene
    }

    /// The whole scene.
    pub fn bounds(&self) -> Corners {
        let side = f64::from(self.image.width());
        [0.0, 0.0, side, side]
    }

    /// Flips the scene left to right.
    pub fn flip(&mut self) {
        image::imageops::flip_horizontal_in_place(&mut self.image);
        let side = f64::from(self.image.width());
        for SceneBox { corners, .. } in &mut self.boxes {
            (corners[0], corners[2]) = (side - corners[2], side - corners[0]);
        }
    }

    /// Mixes the pixels with those of `other`, which have the weight 1 - `part`, and adds its
    /// boxes.
    pub fn mix(&mut self, other: &Self, part: f32) {
        let bytes = self.image.as_flat_samples_mut().samples.iter_mut().zip(other.image.as_raw());
        for (byte, with) in bytes {
            *byte = (part * f32::from(*byte) + (1.0 - part) * f32::from(*with) + 0.5) as u8;
        }
        self.boxes.extend(&other.boxes);
    }

    /// Writes the planes of the image: red, green and blue.
    pub fn write_image(&self, words: &mut [u32]) {
        let (pixels, bytes) = (self.image.as_raw(), bytes_of(words));
        for (channel, plane) in bytes.chunks_exact_mut(pixels.len() / 3).take(3).enumerate() {
            plane.iter_mut().zip(pixels.iter().skip(channel).step_by(3)).for_each(|(to, from)| *to = *from);
        }
    }
}

/// Writes rows (class, centre x, centre y, width, height, difficult), relative to `side`.
pub(super) fn write_boxes(boxes: &[SceneBox], side: usize, words: &mut [u32]) {
    let side = side as f64;
    let mut rows = floats_of(words).chunks_exact_mut(BOX_VALUES);
    // This order of the two takes no row after the last box.
    for (SceneBox { class, difficult, corners }, row) in boxes.iter().zip(rows.by_ref()) {
        let [left, top, right, bottom] = clipped(*corners, [0.0, 0.0, side, side]);
        let centre = [(left + right) / 2.0, (top + bottom) / 2.0];
        let values = [centre[0], centre[1], right - left, bottom - top].map(|value| (value / side) as f32);
        row[0] = f32::from(*class);
        row[1..5].copy_from_slice(&values);
        row[5] = f32::from(u8::from(*difficult));
    }
    rows.for_each(|row| row.copy_from_slice(&[NO_OBJECT, 0.0, 0.0, 0.0, 0.0, 0.0]));
}
