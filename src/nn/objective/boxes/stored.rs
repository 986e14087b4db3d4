//! The file of a run with what a detector found in the test images.

use super::{Judged, OVERLAPS, confusion, precision_curves, yolov5};
use serde::Serialize;

/// From this number of images on, only the most confident detections of an image are stored.
const MANY_IMAGES: usize = 1000;

/// Detections that are then stored of an image.
const MOST_OF_MANY: usize = 100;

/// The content of the file.
#[derive(Serialize)]
pub(super) struct Stored<'a> {
    classes: Vec<OfClass<'a>>,
    /// Rows are predicted classes, columns true ones.
    confusion: Vec<Vec<u64>>,
    images: Vec<OfImage<'a>>,
}

#[derive(Serialize)]
struct OfClass<'a> {
    class: &'a str,
    objects: usize,
    ap50: Option<f64>,
    ap: Option<f64>,
    /// At the recalls 0, 0.01, ..., 1 and an overlap of 0.5.
    precision_at_recall: Option<Vec<f64>>,
}

#[derive(Serialize)]
struct OfImage<'a> {
    found: Vec<Found<'a>>,
    objects: Vec<Object<'a>>,
}

/// Boxes are left, top, right, bottom, in pixels of the image.
#[derive(Serialize)]
struct Found<'a> {
    class: &'a str,
    confidence: f32,
    r#box: [f32; 4],
}

#[derive(Serialize)]
struct Object<'a> {
    class: &'a str,
    r#box: [f32; 4],
    difficult: bool,
}

impl<'a> Stored<'a> {
    /// What was found in these images, with the names of the classes.
    pub(super) fn of(images: &[Judged], names: &'a [String]) -> Self {
        let of_classes = yolov5(images, names.len()).into_iter().zip(precision_curves(images, names.len()));
        let of_class = |(class, (ap, precision_at_recall)): (usize, (Option<[f64; OVERLAPS]>, _))| {
            let objects = |image: &Judged| image.truths.iter().filter(|truth| truth.class == class).count();
            OfClass {
                class: &names[class],
                objects: images.iter().map(objects).sum(),
                ap50: ap.map(|ap| ap[0]),
                ap: ap.map(|ap| ap.iter().sum::<f64>() / OVERLAPS as f64),
                precision_at_recall,
            }
        };
        let most = if images.len() < MANY_IMAGES { usize::MAX } else { MOST_OF_MANY };
        let of_image = |image: &Judged| OfImage {
            found: image
                .found
                .iter()
                .take(most)
                .map(|found| Found { class: &names[found.class], confidence: found.confidence, r#box: found.corners })
                .collect(),
            objects: image
                .truths
                .iter()
                .map(|truth| Object { class: &names[truth.class], r#box: truth.corners, difficult: truth.difficult })
                .collect(),
        };
        Self {
            classes: of_classes.enumerate().map(of_class).collect(),
            confusion: confusion(images, names.len()),
            images: images.iter().map(of_image).collect(),
        }
    }
}
