//! Average precision of detections, as YOLOv5 v7.0, COCO and PASCAL VOC compute it.

use super::Detection;

/// An object of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// Index of the class.
    pub class: usize,
    /// Left, top, right, bottom, in pixels.
    pub corners: [f32; 4],
    /// Whether PASCAL VOC passes over it. The other measures do not have it at all.
    pub difficult: bool,
}

/// The detections of an image, the most confident first, and its objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// The detections.
    pub found: Vec<Detection>,
    /// The objects.
    pub truths: Vec<Truth>,
}

/// The thresholds of the intersection over union: 0.5, 0.55, ..., 0.95.
pub const OVERLAPS: usize = 10;

fn threshold(i: usize) -> f64 {
    0.5 + 0.05 * i as f64
}

/// The average precision at each threshold; `None` for a class without objects.
pub type OfClass = Option<[f64; OVERLAPS]>;

/// The mean over the classes that have objects, at a range of thresholds; 0 if there are none.
pub fn mean(of_classes: &[OfClass], thresholds: std::ops::Range<usize>) -> f64 {
    let values: Vec<f64> = of_classes.iter().flatten().flat_map(|ap| ap[thresholds.clone()].to_vec()).collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Intersection over union in f64; `more` is added to sides, `epsilon` to the union.
fn overlap(a: [f32; 4], b: [f32; 4], more: f64, epsilon: f64) -> f64 {
    let [a, b] = [a, b].map(|corners| corners.map(f64::from));
    let side = |first: usize| (a[first + 2].min(b[first + 2]) - a[first].max(b[first]) + more).max(0.0);
    let area = |c: [f64; 4]| (c[2] - c[0] + more) * (c[3] - c[1] + more);
    let inner = side(0) * side(1);
    inner / (area(a) + area(b) - inner + epsilon)
}

/// Detections of a class in all images, the most confident first, and whether each is right at a
/// threshold.
struct Ranked {
    right: Vec<bool>,
    objects: usize,
}

impl Ranked {
    /// Precision and recall after each detection.
    fn curve(&self) -> (Vec<f64>, Vec<f64>) {
        let mut hits = 0.0;
        let points = self.right.iter().enumerate().map(|(i, &right)| {
            hits += f64::from(u8::from(right));
            (hits / (i + 1) as f64, hits / self.objects as f64)
        });
        points.unzip()
    }
}

/// Replaces each value by the largest one from there on.
fn envelope(values: &mut [f64]) {
    for i in (1..values.len()).rev() {
        values[i - 1] = values[i - 1].max(values[i]);
    }
}

/// For each detection of an image whether it is right at each threshold.
type Matching = fn(&Judged, usize) -> Vec<(f32, [bool; OVERLAPS])>;

/// The detections of `class` in all images by confidence, at each threshold.
fn ranked(images: &[Judged], class: usize, matching: Matching) -> Option<Vec<Ranked>> {
    let is_object = |truth: &&Truth| truth.class == class && !truth.difficult;
    let objects = images.iter().map(|image| image.truths.iter().filter(is_object).count()).sum();
    let mut all: Vec<(f32, [bool; OVERLAPS])> = images.iter().flat_map(|image| matching(image, class)).collect();
    all.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let at = |i: usize| Ranked { right: all.iter().map(|(_, right)| right[i]).collect(), objects };
    (objects > 0).then(|| (0..OVERLAPS).map(at).collect())
}

fn of_classes(images: &[Judged], classes: usize, matching: Matching, area: fn(&Ranked) -> f64) -> Vec<OfClass> {
    let of = |class| {
        let ranked = ranked(images, class, matching)?;
        Some(std::array::from_fn(|i| area(&ranked[i])))
    };
    (0..classes).map(of).collect()
}

/// Detections and objects of a class, without difficult objects.
fn of_class(image: &Judged, class: usize) -> (Vec<&Detection>, Vec<&Truth>) {
    let found = image.found.iter().filter(|found| found.class == class).collect();
    (found, image.truths.iter().filter(|truth| truth.class == class && !truth.difficult).collect())
}

/// Each detection takes the object that it overlaps most. Of several detections that take an object
/// the most confident one is right.
fn yolov5_matching(image: &Judged, class: usize) -> Vec<(f32, [bool; OVERLAPS])> {
    let (found, truths) = of_class(image, class);
    let best = |detection: &&Detection| {
        let overlaps = truths.iter().map(|truth| overlap(truth.corners, detection.corners, 0.0, 1e-7));
        overlaps.enumerate().reduce(|best, other| if other.1 > best.1 { other } else { best })
    };
    let best: Vec<Option<(usize, f64)>> = found.iter().map(best).collect();
    let mut right = vec![[false; OVERLAPS]; found.len()];
    for i in 0..OVERLAPS {
        let mut taken = vec![false; truths.len()];
        for (right, best) in right.iter_mut().zip(&best) {
            let Some((truth, overlap)) = *best else { continue };
            right[i] = overlap >= threshold(i) && !std::mem::replace(&mut taken[truth], true);
        }
    }
    found.iter().map(|detection| detection.confidence).zip(right).collect()
}

/// Points of recall at which YOLOv5 and COCO read the precision.
const POINTS: usize = 101;

/// The recall of a point. As in NumPy's `linspace`, this is a product, which is sometimes larger
/// than the quotient, and then misses a recall that is equal to it.
fn recall_at(point: usize) -> f64 {
    point as f64 * 0.01
}

fn yolov5_area(ranked: &Ranked) -> f64 {
    // The curve begins at a precision of 1, so without detections its area would not be 0.
    if ranked.right.is_empty() {
        return 0.0;
    }
    let curve = precision_at(ranked);
    curve.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0 / (POINTS - 1) as f64).sum()
}

/// The precision at the recalls 0, 0.01, ..., 1: the largest at this recall or a higher one, with
/// linear interpolation.
fn precision_at(ranked: &Ranked) -> Vec<f64> {
    let (precision, recall) = ranked.curve();
    let recall: Vec<f64> = std::iter::once(0.0).chain(recall).chain([1.0]).collect();
    let mut precision: Vec<f64> = std::iter::once(1.0).chain(precision).chain([0.0]).collect();
    envelope(&mut precision);
    let at = |point: usize| {
        let x = recall_at(point);
        let last = recall.partition_point(|&r| r <= x) - 1;
        match recall.get(last + 1) {
            None => precision[last],
            Some(&next) => {
                let part = (x - recall[last]) / (next - recall[last]);
                precision[last] + part * (precision[last + 1] - precision[last])
            }
        }
    };
    (0..POINTS).map(at).collect()
}

/// Average precision of each class as YOLOv5's `ap_per_class` computes it.
pub fn yolov5(images: &[Judged], classes: usize) -> Vec<OfClass> {
    of_classes(images, classes, yolov5_matching, yolov5_area)
}

/// The curve whose area is [`yolov5`]'s average precision at an overlap of 0.5: the precision of
/// each class at the recalls 0, 0.01, ..., 1.
pub fn precision_curves(images: &[Judged], classes: usize) -> Vec<Option<Vec<f64>>> {
    (0..classes).map(|class| ranked(images, class, yolov5_matching).map(|ranked| precision_at(&ranked[0]))).collect()
}

/// Detections of an image and class that COCO looks at.
const COCO_MOST: usize = 100;

/// In order of confidence, each detection takes the object that it overlaps most among those that
/// are left.
fn coco_matching(image: &Judged, class: usize) -> Vec<(f32, [bool; OVERLAPS])> {
    let (mut found, truths) = of_class(image, class);
    found.truncate(COCO_MOST);
    let mut right = vec![[false; OVERLAPS]; found.len()];
    for i in 0..OVERLAPS {
        let mut taken = vec![false; truths.len()];
        for (right, detection) in right.iter_mut().zip(&found) {
            let mut least = threshold(i).min(1.0 - 1e-10);
            let mut best = None;
            for (place, truth) in truths.iter().enumerate().filter(|(place, _)| !taken[*place]) {
                let overlap = overlap(truth.corners, detection.corners, 0.0, 0.0);
                if overlap >= least {
                    (least, best) = (overlap, Some(place));
                }
            }
            best.iter().for_each(|&place| taken[place] = true);
            right[i] = best.is_some();
        }
    }
    found.iter().map(|detection| detection.confidence).zip(right).collect()
}

fn coco_area(ranked: &Ranked) -> f64 {
    let (mut precision, recall) = ranked.curve();
    envelope(&mut precision);
    let at = |point: usize| {
        let first = recall.partition_point(|&r| r < recall_at(point));
        precision.get(first).copied().unwrap_or(0.0)
    };
    (0..POINTS).map(at).sum::<f64>() / POINTS as f64
}

/// Average precision of each class as COCO's `COCOeval` computes it, for boxes of all sizes and at
/// most 100 detections of a class in an image.
pub fn coco(images: &[Judged], classes: usize) -> Vec<OfClass> {
    of_classes(images, classes, coco_matching, coco_area)
}

/// The area that PASCAL VOC measures under the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocArea {
    /// The mean of the largest precisions at the recalls 0, 0.1, ..., 1: until 2009.
    ElevenPoints,
    /// The exact area under the envelope: from 2010 on.
    Exact,
}

/// Average precision of each class as PASCAL VOC's development kit computes it, at an overlap above
/// 0.5; `None` for a class without objects. Sides are one pixel longer, and a detection of a
/// difficult object counts neither as right nor as wrong.
pub fn voc(images: &[Judged], classes: usize, area: VocArea) -> Vec<Option<f64>> {
    (0..classes).map(|class| voc_of_class(images, class, area)).collect()
}

fn voc_of_class(images: &[Judged], class: usize, area: VocArea) -> Option<f64> {
    let truths: Vec<Vec<&Truth>> =
        images.iter().map(|image| image.truths.iter().filter(|truth| truth.class == class).collect()).collect();
    let objects = truths.iter().flatten().filter(|truth| !truth.difficult).count();
    let of_image = |(i, image): (usize, &Judged)| {
        let of_class = image.found.iter().filter(|found| found.class == class);
        of_class.map(|found| (i, *found)).collect::<Vec<_>>()
    };
    let mut all: Vec<(usize, Detection)> = images.iter().enumerate().flat_map(of_image).collect();
    all.sort_by(|(_, a), (_, b)| b.confidence.total_cmp(&a.confidence));
    let mut taken: Vec<Vec<bool>> = truths.iter().map(|truths| vec![false; truths.len()]).collect();
    let mut right = vec![];
    for (image, found) in all {
        let overlaps = truths[image].iter().map(|truth| overlap(truth.corners, found.corners, 1.0, 0.0));
        let best = overlaps.enumerate().reduce(|best, other| if other.1 > best.1 { other } else { best });
        match best.filter(|(_, overlap)| *overlap > 0.5) {
            Some((place, _)) if truths[image][place].difficult => {}
            Some((place, _)) => right.push(!std::mem::replace(&mut taken[image][place], true)),
            None => right.push(false),
        }
    }
    let ranked = Ranked { right, objects };
    (objects > 0).then(|| match area {
        VocArea::ElevenPoints => eleven_points(&ranked),
        VocArea::Exact => exact_area(&ranked),
    })
}

fn eleven_points(ranked: &Ranked) -> f64 {
    let (precision, recall) = ranked.curve();
    let at = |tenth: usize| {
        let reached = precision.iter().zip(&recall).filter(|(_, recall)| **recall >= tenth as f64 * 0.1);
        reached.map(|(precision, _)| *precision).fold(0.0, f64::max)
    };
    (0..=10).map(at).sum::<f64>() / 11.0
}

fn exact_area(ranked: &Ranked) -> f64 {
    let (mut precision, recall) = ranked.curve();
    envelope(&mut precision);
    let before = std::iter::once(0.0).chain(recall.iter().copied());
    precision.iter().zip(&recall).zip(before).map(|((precision, recall), before)| (recall - before) * precision).sum()
}
