//! Reference implementation in f64.

use super::{ANCHORS, BOX, Head, OBJECT};
use std::f64::consts::PI;

const EPSILON: f64 = 1e-7;

/// Half a cell to the left, above, to the right and below: the cells of an object's neighbours.
const OFFSETS: [[f64; 2]; 5] = [[0.0, 0.0], [-0.5, 0.0], [0.0, -0.5], [0.5, 0.0], [0.0, 0.5]];

/// An object that is matched with a prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// Index of the image.
    pub image: usize,
    /// Index of the anchor.
    pub anchor: usize,
    /// Column and row of the cell.
    pub cell: [usize; 2],
    /// Class of the object.
    pub class: usize,
    /// Centre, width and height of the object, in cells; the centre is relative to the corner of
    /// the cell.
    pub object: [f64; 4],
}

/// The matches of a level, for objects `[N,most,6]`, in the order in which they decide the target
/// of an objectness: by neighbour, anchor, image and object.
pub fn matches(objects: &[f64], head: &Head, level: usize) -> Vec<Match> {
    let cells = head.cells(level);
    let side = cells as f64;
    let mut found = vec![];
    for (neighbour, offset) in OFFSETS.iter().enumerate() {
        for anchor in 0..ANCHORS {
            for (i, object) in objects.chunks(OBJECT).enumerate() {
                let [class, x, y, w, h, difficult] = object.try_into().expect("six values");
                let [x, y, w, h]: [f64; 4] = [x, y, w, h].map(|v: f64| v * side);
                let extents = head.anchor(level, anchor).map(f64::from);
                let fits =
                    [w / extents[0], h / extents[1]].into_iter().all(|ratio| ratio.max(1.0 / ratio) < head.ratio);
                let distance = [side, x, y, side - x, side - y][neighbour];
                let takes = neighbour == 0 || (distance.fract() < 0.5 && distance > 1.0);
                if class < 0.0 || difficult != 0.0 || !fits || !takes {
                    continue;
                }
                let cell = [x + offset[0], y + offset[1]].map(|v| (v as usize).min(cells - 1));
                let object = [x - cell[0] as f64, y - cell[1] as f64, w, h];
                found.push(Match { image: i / head.most, anchor, cell, class: class as usize, object });
            }
        }
    }
    found
}

/// The intersection over union of two boxes of centre, width and height, its penalty for distant
/// centres, and v, which measures the difference of the aspect ratios. CIoU is iou - distance -
/// alpha v.
fn overlap(p: [f64; 4], t: [f64; 4]) -> [f64; 3] {
    let ends = |b: [f64; 4], axis: usize| (b[axis] - b[axis + 2] / 2.0, b[axis] + b[axis + 2] / 2.0);
    let (mut inner, mut diagonal, mut apart) = (1.0, EPSILON, 0.0);
    for axis in 0..2 {
        let ((p_first, p_last), (t_first, t_last)) = (ends(p, axis), ends(t, axis));
        inner *= (p_last.min(t_last) - p_first.max(t_first)).max(0.0);
        diagonal += (p_last.max(t_last) - p_first.min(t_first)).powi(2);
        apart += (t[axis] - p[axis]).powi(2);
    }
    let iou = inner / (p[2] * p[3] + t[2] * t[3] - inner + EPSILON);
    let v = 4.0 / (PI * PI) * ((t[2] / t[3]).atan() - (p[2] / p[3]).atan()).powi(2);
    [iou, apart / diagonal, v]
}

/// alpha of CIoU, without gradient.
fn alpha([iou, _, v]: [f64; 3]) -> f64 {
    v / (v - iou + 1.0 + EPSILON)
}

fn ciou(p: [f64; 4], t: [f64; 4], alpha: f64) -> f64 {
    let [iou, distance, v] = overlap(p, t);
    iou - distance - alpha * v
}

fn sigmoid(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

/// Binary cross-entropy of a logit.
fn cross_entropy(v: f64, target: f64) -> f64 {
    v.max(0.0) - v * target + (-v.abs()).exp().ln_1p()
}

/// The predicted box of four logits, relative to the corner of its cell, in cells.
fn predicted(z: [f64; 4], anchor: [f32; 2]) -> [f64; 4] {
    let [x, y, w, h] = z.map(|v| 2.0 * sigmoid(v));
    [x - 0.5, y - 0.5, w * w * f64::from(anchor[0]), h * h * f64::from(anchor[1])]
}

/// What has no gradient: the matches, the target of each objectness, and alpha of each match.
pub struct Detached {
    matches: Vec<Match>,
    alphas: Vec<f64>,
    targets: Vec<f64>,
}

/// Index of the logit `field` of a prediction.
fn index(head: &Head, level: usize, [image, anchor, row, column]: [usize; 4], field: usize) -> usize {
    let cells = head.cells(level);
    (((image * ANCHORS + anchor) * head.fields() + field) * cells + row) * cells + column
}

fn logits(z: &[f64], head: &Head, level: usize, m: &Match) -> ([f64; 4], Vec<f64>) {
    let at = |field| z[index(head, level, [m.image, m.anchor, m.cell[1], m.cell[0]], field)];
    (std::array::from_fn(at), (BOX..head.fields()).map(at).collect())
}

impl Detached {
    /// Of the logits z of a level.
    pub fn of(z: &[f64], objects: &[f64], head: &Head, level: usize) -> Self {
        let matches = matches(objects, head, level);
        let mut targets = vec![0.0; z.len() / head.fields()];
        let cells = head.cells(level);
        let mut alphas = vec![];
        for m in &matches {
            let p = predicted(logits(z, head, level, m).0, head.anchor(level, m.anchor));
            let of_match = alpha(overlap(p, m.object));
            let place = ((m.image * ANCHORS + m.anchor) * cells + m.cell[1]) * cells + m.cell[0];
            targets[place] = ciou(p, m.object, of_match).max(0.0);
            alphas.push(of_match);
        }
        Self { matches, alphas, targets }
    }
}

/// The losses of boxes, objectness and classes of each image on a level. Their sum over images and
/// levels is the loss times the number of images.
pub fn losses(z: &[f64], detached: &Detached, head: &Head, level: usize) -> Vec<[f64; 3]> {
    let [of_box, of_object, of_class] = head.gains;
    let images = z.len() / head.width(level);
    let predictions = head.predictions(level);
    let per_match = images as f64 / (detached.matches.len() as f64).max(1.0);
    let mut sums = vec![[0.0; 3]; images];
    for (m, &alpha) in detached.matches.iter().zip(&detached.alphas) {
        let (first, classes) = logits(z, head, level, m);
        let p = predicted(first, head.anchor(level, m.anchor));
        sums[m.image][0] += of_box * per_match * (1.0 - ciou(p, m.object, alpha));
        let of_classes: f64 =
            classes.iter().enumerate().map(|(k, &v)| cross_entropy(v, f64::from(u8::from(k == m.class)))).sum();
        if head.classes > 1 {
            sums[m.image][2] += of_class * per_match * of_classes / head.classes as f64;
        }
    }
    for (i, &target) in detached.targets.iter().enumerate() {
        let (image, at) = (i / predictions, i % predictions);
        let cells = head.cells(level);
        let place = [image, at / (cells * cells), at / cells % cells, at % cells];
        let v = z[index(head, level, place, 4)];
        sums[image][1] += of_object * head.balance[level] * cross_entropy(v, target) / predictions as f64;
    }
    sums
}

/// The gradient of a box's CIoU, with alpha constant.
fn ciou_gradient(p: [f64; 4], t: [f64; 4], alpha: f64) -> [f64; 4] {
    let ends = |b: [f64; 4], axis: usize| (b[axis] - b[axis + 2] / 2.0, b[axis] + b[axis + 2] / 2.0);
    let before = |a: f64, b: f64| if a < b { 1.0 } else { f64::from(u8::from(a == b)) / 2.0 };
    let (mut sides, mut hulls) = ([0.0; 2], [0.0; 2]);
    // Gradients of a side of the intersection and of the hull, by centre and extent.
    let (mut of_sides, mut of_hulls) = ([[0.0; 2]; 2], [[0.0; 2]; 2]);
    for axis in 0..2 {
        let ((p_first, p_last), (t_first, t_last)) = (ends(p, axis), ends(t, axis));
        let side = p_last.min(t_last) - p_first.max(t_first);
        (sides[axis], hulls[axis]) = (side.max(0.0), p_last.max(t_last) - p_first.min(t_first));
        let (last, first) = (before(p_last, t_last), before(t_first, p_first));
        of_sides[axis] = if side >= 0.0 { [last - first, (last + first) / 2.0] } else { [0.0; 2] };
        let (last, first) = (before(t_last, p_last), before(p_first, t_first));
        of_hulls[axis] = [last - first, (last + first) / 2.0];
    }
    let inner = sides[0] * sides[1];
    let union = p[2] * p[3] + t[2] * t[3] - inner + EPSILON;
    let diagonal = hulls[0].powi(2) + hulls[1].powi(2) + EPSILON;
    let apart = (t[0] - p[0]).powi(2) + (t[1] - p[1]).powi(2);
    let angle = (t[2] / t[3]).atan() - (p[2] / p[3]).atan();
    let square = p[2] * p[2] + p[3] * p[3];
    let of_angle = [-p[3] / square, p[2] / square];
    let mut gradient = [0.0; 4];
    for axis in 0..2 {
        for (by, value) in [axis, axis + 2].into_iter().enumerate() {
            let d_inner = of_sides[axis][by] * sides[1 - axis];
            let d_union = if by == 1 { p[3 - axis] } else { 0.0 } - d_inner;
            let d_apart = if by == 0 { -2.0 * (t[axis] - p[axis]) } else { 0.0 };
            let d_diagonal = 2.0 * hulls[axis] * of_hulls[axis][by];
            let d_v = if by == 1 { 8.0 / (PI * PI) * angle * of_angle[axis] } else { 0.0 };
            gradient[value] = (d_inner * union - inner * d_union) / (union * union)
                - (d_apart * diagonal - apart * d_diagonal) / (diagonal * diagonal)
                - alpha * d_v;
        }
    }
    gradient
}

/// dz of the sum of [`losses`].
pub fn backward(z: &[f64], detached: &Detached, head: &Head, level: usize) -> Vec<f64> {
    let [of_box, of_object, of_class] = head.gains;
    let images = z.len() / head.width(level);
    let (predictions, cells) = (head.predictions(level), head.cells(level));
    let per_match = images as f64 / (detached.matches.len() as f64).max(1.0);
    let mut dz = vec![0.0; z.len()];
    for (m, &alpha) in detached.matches.iter().zip(&detached.alphas) {
        let (first, classes) = logits(z, head, level, m);
        let anchor = head.anchor(level, m.anchor);
        let slope = ciou_gradient(predicted(first, anchor), m.object, alpha);
        let at = |field| index(head, level, [m.image, m.anchor, m.cell[1], m.cell[0]], field);
        for (field, v) in first.into_iter().enumerate() {
            let rising = sigmoid(v) * sigmoid(-v);
            let of_logit = match field {
                0 | 1 => 2.0 * rising,
                _ => 8.0 * sigmoid(v) * rising * f64::from(anchor[field - 2]),
            };
            dz[at(field)] -= of_box * per_match * slope[field] * of_logit;
        }
        for (k, v) in classes.into_iter().enumerate().filter(|_| head.classes > 1) {
            let target = f64::from(u8::from(k == m.class));
            dz[at(BOX + k)] += of_class * per_match * (sigmoid(v) - target) / head.classes as f64;
        }
    }
    for (i, &target) in detached.targets.iter().enumerate() {
        let (image, place) = (i / predictions, i % predictions);
        let at = index(head, level, [image, place / (cells * cells), place / cells % cells, place % cells], 4);
        dz[at] = of_object * head.balance[level] * (sigmoid(z[at]) - target) / predictions as f64;
    }
    dz
}
