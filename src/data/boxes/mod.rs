//! Images with boxes: each object in an image has a class and a box around it.

mod annotation;
mod geometry;
mod hsv;
mod objects;
mod options;
mod scene;
mod set;
mod vary;
mod voc;
mod yaml;
mod yolo;

pub use annotation::{VocAnnotation, VocObject, voc_annotation_in};
pub use geometry::Placement;
pub use objects::Object;
pub use options::{BoxAugmentation, BoxOptions, Difficult, VocTrain, VocYears};
pub use set::{BOX_SIDE, BoxSplits, BoxedPictures};
pub use yaml::{YoloDescription, yolo_description_in};
pub use yolo::{YoloLabel, yolo_labels_in};
pub(super) use {set::Labelled, voc::voc, yolo::yolo};
