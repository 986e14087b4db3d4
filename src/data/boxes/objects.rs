//! The objects in an image, as its file of labels has them.

use super::geometry::{Corners, clipped};
use crate::data::listing::Entry;
use std::collections::HashSet;

/// Most objects in an image.
pub(super) const MOST_OBJECTS: usize = 4096;

/// Boxes that reach less than this part of an image over its border are rounded there.
const LEAST_CLIP: f64 = 1e-4;

/// An object in an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Object {
    /// Index of its class.
    pub class: u16,
    /// Left, top, right and bottom, as fractions of the width and height of the image.
    pub corners: [f32; 4],
    /// Whether it counts neither as found nor as missed.
    pub difficult: bool,
}

/// An image of a set: its file, and the objects in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Image {
    pub entry: Entry,
    /// Width and height, if the labels have them.
    pub size: Option<[u32; 2]>,
    pub objects: Vec<Object>,
}

/// What was done to the objects of a set, for notes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Boxes that reached over the border of their image.
    pub clipped: usize,
    /// Objects that were there twice.
    pub repeated: usize,
    /// Images without a file of labels.
    pub unlabelled: usize,
    /// Objects that were left out as difficult.
    pub difficult: usize,
}

impl Counts {
    pub fn add(&mut self, other: Self) {
        self.clipped += other.clipped;
        self.repeated += other.repeated;
        self.unlabelled += other.unlabelled;
        self.difficult += other.difficult;
    }

    /// A sentence about each count that is not 0.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let notes = [
            (self.clipped, "boxes reach over the border of their image, and are clipped"),
            (self.repeated, "objects are repeated in their file, and are read once"),
            (self.unlabelled, "images have no file of labels, and count as images without objects"),
            (self.difficult, "difficult objects are left out (`difficult` ignore keeps them apart)"),
        ];
        notes.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"))
    }
}

/// The box as fractions of the image of this width and height, clipped to it. Whether it was
/// clipped is the second result.
///
/// # Errors
/// What was expected instead of a box that is empty, reversed, outside of the image, or not finite.
pub(super) fn fractions(corners: Corners, [width, height]: [f64; 2]) -> Result<([f32; 4], bool), String> {
    if corners.iter().any(|value| !value.is_finite()) {
        return Err("expected finite coordinates".into());
    }
    if corners[0] >= corners[2] || corners[1] >= corners[3] {
        return Err("expected a box with an area".into());
    }
    let inside = clipped(corners, [0.0, 0.0, width, height]);
    let parts: [f32; 4] = std::array::from_fn(|i| (inside[i] / [width, height][i % 2]) as f32);
    if parts[0] >= parts[2] || parts[1] >= parts[3] {
        return Err(format!("expected a box inside of its image of {width}x{height}"));
    }
    let moved = |i: usize| (inside[i] - corners[i]).abs() > LEAST_CLIP * [width, height][i % 2];
    Ok((parts, (0..4).any(moved)))
}

/// Removes objects that are there twice, and counts them.
pub(super) fn without_repeated(mut objects: Vec<Object>, counts: &mut Counts) -> Vec<Object> {
    let (mut seen, all) = (HashSet::new(), objects.len());
    objects.retain(|object| seen.insert((object.class, object.corners.map(f32::to_bits), object.difficult)));
    counts.repeated += all - objects.len();
    objects
}
