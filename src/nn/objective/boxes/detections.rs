//! Boxes from the outputs of a detector: decoding, and the suppression of boxes that overlap
//! better ones, as YOLOv5 v7.0 does it.

use crate::ops::detection::{ANCHORS, BOX, Head, LEVELS};

/// A detected object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Index of the class.
    pub class: usize,
    /// Objectness times the probability of the class.
    pub confidence: f32,
    /// Left, top, right, bottom, in pixels.
    pub corners: [f32; 4],
}

/// Which boxes are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Least confidence.
    pub confidence: f32,
    /// A box is dropped if its intersection over union with a better one of its class is larger.
    pub overlap: f32,
    /// Whether a prediction may be a box of several classes.
    pub multi_label: bool,
    /// Boxes of an image, at most: the most confident ones.
    pub most: usize,
}

impl Thresholds {
    /// For average precision, with nearly all boxes.
    pub const EVALUATION: Self = Self { confidence: 0.001, overlap: 0.6, multi_label: true, most: 300 };

    /// For display.
    pub const DISPLAY: Self = Self { confidence: 0.25, overlap: 0.45, multi_label: false, most: 1000 };
}

/// Boxes of an image that are compared, at most: the most confident ones.
const MOST_COMPARED: usize = 30_000;

fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-v).exp())
}

/// Left, top, right, bottom of the four logits of a box, in pixels of the network's input.
fn corners(z: [f32; 4], [column, row]: [usize; 2], stride: usize, anchor: [f32; 2]) -> [f32; 4] {
    let [x, y, w, h] = z.map(|v| 2.0 * sigmoid(v));
    let centre = [x - 0.5 + column as f32, y - 0.5 + row as f32].map(|v| v * stride as f32);
    let half = [w * w * anchor[0] / 2.0, h * h * anchor[1] / 2.0];
    [centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]]
}

/// The boxes of an image whose confidence is above the threshold, the most confident first. They
/// may overlap. `outputs` are the logits of each level. Boxes are in pixels of the network's input.
fn candidates(head: &Head, outputs: &[&[f32]], thresholds: Thresholds) -> Vec<Detection> {
    let mut found = vec![];
    for (level, z) in outputs.iter().enumerate().take(LEVELS) {
        let (cells, plane) = (head.cells(level), head.cells(level).pow(2));
        for (i, anchor) in (0..ANCHORS).flat_map(|anchor| (0..plane).map(move |i| (i, anchor))) {
            let at = |field: usize| z[(anchor * head.fields() + field) * plane + i];
            let object = sigmoid(at(4));
            if object.is_nan() || object <= thresholds.confidence {
                continue;
            }
            let classes = (0..head.classes).map(|class| (class, object * sigmoid(at(BOX + class))));
            let corners = || {
                let (cell, stride) = ([i % cells, i / cells], head.strides[level]);
                corners(std::array::from_fn(at), cell, stride, head.anchors[level][anchor])
            };
            let is_sure = |(_, confidence): &(usize, f32)| *confidence > thresholds.confidence;
            let detection = |(class, confidence)| Detection { class, confidence, corners: corners() };
            match thresholds.multi_label && head.classes > 1 {
                true => found.extend(classes.filter(is_sure).map(detection)),
                false => {
                    let best = classes.reduce(|best, other| if other.1 > best.1 { other } else { best });
                    found.extend(best.filter(is_sure).map(detection));
                }
            }
        }
    }
    found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    found.truncate(MOST_COMPARED);
    found
}

/// Intersection over union of two boxes.
pub(super) fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let side = |first: usize| (a[first + 2].min(b[first + 2]) - a[first].max(b[first])).max(0.0);
    let area = |c: [f32; 4]| (c[2] - c[0]) * (c[3] - c[1]);
    let inner = side(0) * side(1);
    inner / (area(a) + area(b) - inner)
}

/// The boxes that are not dropped, in order: each is compared with the boxes of its class in front
/// of it. `sorted` has the most confident first.
fn suppress(sorted: &[Detection], thresholds: Thresholds) -> Vec<Detection> {
    let mut kept: Vec<Detection> = vec![];
    for candidate in sorted {
        if kept.len() == thresholds.most {
            break;
        }
        let hides = |better: &Detection| {
            better.class == candidate.class && overlap(better.corners, candidate.corners) > thresholds.overlap
        };
        if !kept.iter().any(hides) {
            kept.push(*candidate);
        }
    }
    kept
}

/// The detected objects of an image, the most confident first, in pixels of the network's input.
/// `outputs` are the logits of each level.
pub fn detections(head: &Head, outputs: &[&[f32]], thresholds: Thresholds) -> Vec<Detection> {
    suppress(&candidates(head, outputs, thresholds), thresholds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detection(class: usize, confidence: f32, corners: [f32; 4]) -> Detection {
        Detection { class, confidence, corners }
    }

    #[test]
    fn a_box_is_dropped_for_a_better_one_of_its_class_only() {
        let first = detection(0, 0.9, [0.0, 0.0, 10.0, 10.0]);
        let near = detection(0, 0.8, [1.0, 0.0, 11.0, 10.0]);
        let other_class = detection(1, 0.7, [1.0, 0.0, 11.0, 10.0]);
        let far = detection(0, 0.6, [8.0, 8.0, 18.0, 18.0]);
        // It overlaps only a box that is dropped itself.
        let behind = detection(0, 0.5, [3.5, 0.0, 13.5, 10.0]);
        assert!((overlap(first.corners, near.corners) - 9.0 / 11.0).abs() < 1e-6);
        let kept = suppress(&[first, near, other_class, far, behind], Thresholds::EVALUATION);
        assert_eq!(kept, [first, other_class, far, behind]);
        let most = Thresholds { most: 2, ..Thresholds::EVALUATION };
        assert_eq!(suppress(&[first, near, other_class, far, behind], most), [first, other_class]);
    }

    /// Logits of a head for 64 pixels, all very low but those of one prediction.
    fn outputs(head: &Head, level: usize, [anchor, row, column]: [usize; 3], z: &[f32]) -> Vec<Vec<f32>> {
        let mut outputs: Vec<Vec<f32>> = (0..LEVELS).map(|level| vec![-20.0; head.width(level)]).collect();
        let (cells, fields) = (head.cells(level), head.fields());
        for (field, &v) in z.iter().enumerate() {
            outputs[level][((anchor * fields + field) * cells + row) * cells + column] = v;
        }
        outputs
    }

    #[test]
    fn a_prediction_is_decoded_to_pixels() {
        let head = Head::yolov5(64, 2, 1);
        let z = outputs(&head, 1, [2, 3, 1], &[0.0, 0.0, 0.0, 0.0, 9.0, 8.0, 1.0]);
        let z: Vec<&[f32]> = z.iter().map(Vec::as_slice).collect();
        // The centre of cell (1, 3) of stride 16, and the anchor 59 x 119.
        let corners = [24.0 - 29.5, 56.0 - 59.5, 24.0 + 29.5, 56.0 + 59.5];
        let best = detection(0, sigmoid(9.0) * sigmoid(8.0), corners);
        assert_eq!(detections(&head, &z, Thresholds::DISPLAY), [best]);
        let second = detection(1, sigmoid(9.0) * sigmoid(1.0), corners);
        assert_eq!(detections(&head, &z, Thresholds::EVALUATION), [best, second]);
        let not_a_number = outputs(&head, 0, [0, 0, 0], &[f32::NAN; 7]);
        let z: Vec<&[f32]> = not_a_number.iter().map(Vec::as_slice).collect();
        assert_eq!(detections(&head, &z, Thresholds::EVALUATION), []);
    }
}
