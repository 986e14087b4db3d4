//! Which classes a detector confuses, as YOLOv5's `ConfusionMatrix` counts them.

use super::detections::overlap;
use super::{Detection, Judged, Truth};

/// Least confidence of the detections that are counted.
const CONFIDENCE: f32 = 0.25;

/// A detection and an object belong together from this intersection over union on.
const OVERLAP: f32 = 0.45;

/// Detections by predicted class (rows) and true class (columns). The last row has the objects that
/// no detection belongs to, the last column the detections that belong to no object.
///
/// Pairs are formed in the order of their overlap, each detection and object in at most one.
pub fn confusion(images: &[Judged], classes: usize) -> Vec<Vec<u64>> {
    let mut counts = vec![vec![0; classes + 1]; classes + 1];
    for image in images {
        let found: Vec<&Detection> = image.found.iter().filter(|found| found.confidence > CONFIDENCE).collect();
        let truths: Vec<&Truth> = image.truths.iter().filter(|truth| !truth.difficult).collect();
        let pairs = found.iter().enumerate().flat_map(|(i, found)| {
            truths.iter().enumerate().map(move |(j, truth)| (overlap(truth.corners, found.corners), i, j))
        });
        let mut pairs: Vec<(f32, usize, usize)> = pairs.filter(|(overlap, ..)| *overlap > OVERLAP).collect();
        pairs.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
        let (mut of_found, mut of_truth) = (vec![None; found.len()], vec![false; truths.len()]);
        for (_, i, j) in pairs {
            if of_found[i].is_none() && !of_truth[j] {
                (of_found[i], of_truth[j]) = (Some(truths[j].class), true);
            }
        }
        for (found, truth) in found.iter().zip(of_found) {
            counts[found.class][truth.unwrap_or(classes)] += 1;
        }
        for (truth, _) in truths.iter().zip(of_truth).filter(|(_, is_found)| !is_found) {
            counts[classes][truth.class] += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detections_are_paired_by_overlap() {
        let truth = |class, left: f32| Truth { class, corners: [left, 0.0, left + 10.0, 10.0], difficult: false };
        let found =
            |class, left: f32, confidence| Detection { class, confidence, corners: [left, 0.0, left + 10.0, 10.0] };
        let image = Judged {
            // The second overlaps the first object more than the first detection does.
            found: vec![found(0, 2.0, 0.9), found(1, 1.0, 0.8), found(1, 50.0, 0.7), found(0, 80.0, 0.2)],
            truths: vec![truth(0, 0.0), truth(1, 80.0)],
        };
        let counts = confusion(&[image.clone(), image], 2);
        // Predicted 0: one that belongs to no object. Predicted 1: one of class 0, and one without
        // an object. The unsure detection is not counted, so the second object is not found.
        assert_eq!(counts, [[0, 0, 2], [2, 0, 2], [0, 2, 0]]);
    }
}
