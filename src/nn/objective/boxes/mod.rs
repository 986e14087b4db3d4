//! Detection of objects with the loss of YOLOv5.

mod average_precision;
mod confusion;
mod detections;
mod stored;

pub use average_precision::{Judged, OVERLAPS, OfClass, Truth, VocArea, coco, mean, precision_curves, voc, yolov5};
pub use confusion::confusion;
pub use detections::{Detection, Thresholds, detections};

use super::{Answer, Evaluator, FoundObject, FurtherScore, Losses, Measure, Objective, Output, Prediction};
use crate::data::{BOX_VALUES, Form};
use crate::ops::detection::{self, Head, LEVELS, OBJECT};
use crate::tape::Var;
use serde_json::json;
use std::sync::Arc;

/// The target column that says where the image lies in the square.
const PLACEMENT: &str = "placement";

/// The names of the losses in `describe`.
const GAINS: [&str; 3] = ["box", "object", "class"];

/// A row of the objects in the data is one of the loss.
const _: () = assert!(OBJECT == BOX_VALUES);

/// Detection of objects of K classes: logits of three levels, `[N,3(5+K),H,W]` each, and YOLOv5's
/// loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Boxes {
    /// The name of each class.
    pub classes: Arc<[String]>,
    /// The head of the model, and the weights of its losses.
    pub head: Head,
    /// Name of the target column of objects, and its index among the targets.
    objects: (String, usize),
    /// Index of the column of placements among the targets, if the data have it.
    placement: Option<usize>,
}

impl Boxes {
    /// The objective for data with a column of boxes and square images; `None` for others.
    pub fn of(form: &Form) -> Option<Self> {
        let (boxes, [_, side, _]) = (form.boxes()?, form.pixels()?.image);
        let classes: Arc<[String]> = boxes.classes.to_vec().into();
        let head = Head::yolov5(side, classes.len(), boxes.most);
        let placement = form.targets.iter().position(|column| column.name == PLACEMENT);
        let objects = (form.targets[boxes.place].name.clone(), boxes.place);
        Some(Self { classes, head, objects, placement })
    }

    /// Where an image lies in the square.
    fn letterbox(&self, targets: &[&[u32]]) -> Letterbox {
        match self.placement.map(|column| targets[column]) {
            Some(words) => Letterbox::of_words(words),
            None => {
                let side = self.head.side as f32;
                Letterbox { width: side, height: side, scale: 1.0, left: 0.0, top: 0.0 }
            }
        }
    }

    /// The objects of an example, in pixels of the image.
    fn truths(&self, targets: &[&[u32]]) -> Vec<Truth> {
        let letterbox = self.letterbox(targets);
        let truth = |row: &[u32]| {
            let [class, x, y, w, h, difficult] = std::array::from_fn(|i| f32::from_bits(row[i]));
            let [x, y, w, h] = [x, y, w, h].map(|v: f32| v * self.head.side as f32);
            let corners = letterbox.native([x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0]);
            (class >= 0.0).then_some(Truth { class: class as usize, corners, difficult: difficult != 0.0 })
        };
        targets[self.objects.1].chunks(OBJECT).filter_map(truth).collect()
    }

    /// The detections of an example, in pixels of the image, within its borders.
    pub fn found(&self, outputs: &[&[f32]], targets: &[&[u32]], thresholds: Thresholds) -> Vec<Detection> {
        let letterbox = self.letterbox(targets);
        let mut found = detections(&self.head, outputs, thresholds);
        found.iter_mut().for_each(|found| found.corners = letterbox.within(letterbox.native(found.corners)));
        found
    }

    fn prediction(&self, found: Vec<Detection>) -> Prediction {
        let shown = |Detection { class, confidence, corners }: Detection| FoundObject {
            class,
            name: self.classes[class].clone(),
            confidence,
            corners,
        };
        Prediction::Boxes(found.into_iter().map(shown).collect())
    }
}

/// An image in the square that a model reads: its size, and the factor and the padding in pixels
/// with which it was placed there.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Letterbox {
    width: f32,
    height: f32,
    scale: f32,
    left: f32,
    top: f32,
}

impl Letterbox {
    fn of_words(words: &[u32]) -> Self {
        let [width, height, scale, left, top] = std::array::from_fn(|i| f32::from_bits(words[i]));
        Self { width, height, scale, left, top }
    }

    /// Corners in the square as corners in the image.
    fn native(&self, corners: [f32; 4]) -> [f32; 4] {
        let padding = [self.left, self.top, self.left, self.top];
        std::array::from_fn(|i| (corners[i] - padding[i]) / self.scale)
    }

    fn within(&self, corners: [f32; 4]) -> [f32; 4] {
        let most = [self.width, self.height, self.width, self.height];
        std::array::from_fn(|i| corners[i].clamp(0.0, most[i].max(0.0)))
    }
}

impl Objective for Boxes {
    fn outputs(&self) -> Vec<Output> {
        let level = |level| Output::new(["small", "medium", "large"][level], self.head.width(level));
        (0..LEVELS).map(level).collect()
    }

    fn sums(&self) -> usize {
        detection::COLUMNS
    }

    fn record(&self, losses: &mut Losses<'_>, outputs: &[Var]) {
        losses.detection("loss", std::array::from_fn(|level| outputs[level]), &self.objects.0, &self.head);
    }

    fn measures(&self) -> Vec<Measure> {
        let map = |key, name| Measure { of_predictions: true, ..Measure::share(key, name) };
        vec![map("map50", "mAP@0.5"), map("map", "mAP@0.5:0.95")]
    }

    /// The values of the measures are not known from sums; the [`Evaluator`] computes them.
    fn evaluate(&self, examples: f64, sums: &[f64]) -> (f64, Vec<f64>) {
        (sums[0] / examples.max(1.0), vec![f64::NAN; 2])
    }

    fn evaluator(&self) -> Option<Box<dyn Evaluator + '_>> {
        Some(Box::new(Collected { objective: self, images: vec![] }))
    }

    /// The number of objects that would be displayed.
    fn answer(&self, outputs: &[&[f32]]) -> Answer {
        Answer::Whole(detections(&self.head, outputs, Thresholds::DISPLAY).len() as u32)
    }

    /// The number of objects.
    fn truth(&self, targets: &[&[u32]]) -> Answer {
        Answer::Whole(self.truths(targets).iter().filter(|truth| !truth.difficult).count() as u32)
    }

    /// In pixels of the square.
    fn predict(&self, outputs: &[&[f32]]) -> Prediction {
        self.prediction(detections(&self.head, outputs, Thresholds::DISPLAY))
    }

    fn predict_example(&self, outputs: &[&[f32]], targets: &[&[u32]]) -> Prediction {
        self.prediction(self.found(outputs, targets, Thresholds::DISPLAY))
    }

    fn describe(&self) -> serde_json::Value {
        let gains: serde_json::Map<String, serde_json::Value> =
            GAINS.iter().zip(self.head.gains).map(|(name, gain)| ((*name).to_owned(), json!(gain))).collect();
        json!({"classes": self.classes.len(), "most": self.head.most, "gains": gains, "balance": self.head.balance})
    }
}

/// The detections and objects of all images of a set.
struct Collected<'o> {
    objective: &'o Boxes,
    images: Vec<Judged>,
}

impl Evaluator for Collected<'_> {
    fn add(&mut self, outputs: &[&[f32]], targets: &[&[u32]]) {
        let found = self.objective.found(outputs, targets, Thresholds::EVALUATION);
        self.images.push(Judged { found, truths: self.objective.truths(targets) });
    }

    fn values(&self) -> Vec<f64> {
        let of_classes = yolov5(&self.images, self.objective.classes.len());
        vec![mean(&of_classes, 0..1), mean(&of_classes, 0..OVERLAPS)]
    }

    fn further_scores(&self) -> Vec<FurtherScore> {
        let classes = self.objective.classes.len();
        let of_coco = coco(&self.images, classes);
        let of_voc = |area| {
            let values: Vec<f64> = voc(&self.images, classes, area).into_iter().flatten().collect();
            values.iter().sum::<f64>() / values.len().max(1) as f64
        };
        vec![
            FurtherScore { key: "coco_map", name: "COCO's mAP", value: mean(&of_coco, 0..OVERLAPS) },
            FurtherScore { key: "coco_map50", name: "COCO's mAP@0.5", value: mean(&of_coco, 0..1) },
            FurtherScore { key: "voc_map", name: "VOC's mAP", value: of_voc(VocArea::Exact) },
            FurtherScore { key: "voc2007_map", name: "VOC 2007's mAP", value: of_voc(VocArea::ElevenPoints) },
        ]
    }

    /// [`DETECTIONS`].
    fn files(&self) -> Vec<(&'static str, Vec<u8>)> {
        let stored = stored::Stored::of(&self.images, &self.objective.classes);
        vec![(DETECTIONS, serde_json::to_vec(&stored).expect("detections are plain data"))]
    }
}

/// The file of a run with the curve of each class, and the objects and detections of each test
/// image.
pub const DETECTIONS: &str = "detections.json";
