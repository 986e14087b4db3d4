//! The loss of YOLOv5 (v7.0, Jocher et al. 2022): CIoU of the boxes, binary cross-entropy of
//! objectness and classes. `shaders/detection.wgsl` has the equations.
//!
//! Predictions are made on several grids, the levels. Each cell has three predictions, one per
//! anchor, a box size. Objects are matched with predictions on the device: an object belongs to
//! each anchor whose width and height differ from its own by a factor below 4, at up to three
//! cells.
//!
//! As in the original code, the loss of a pass is averaged over the matches of the whole pass, and
//! the gradient is that of this loss times the number of images in the pass. The gradients of
//! several passes are added.

pub mod reference;

use super::sums::Sums;
use super::{Kernels, LANES, shader};
use crate::gpu::{Constant, Shader};
use crate::tape::{Operand, Record, Tape, Var, linear_grid};

/// `shaders/detection.wgsl`.
pub static SHADER: Shader = shader!("detection");

/// Number of sums that it computes: the whole loss, and its parts for boxes, objectness and
/// classes.
pub const COLUMNS: usize = 4;

/// Levels of the head.
pub const LEVELS: usize = 3;

/// Anchors of a level.
pub const ANCHORS: usize = 3;

/// Values of an object: class, centre x, centre y, width, height, and 1 for a difficult object.
/// Coordinates are fractions of the image. Rows after the last object have class -1.
pub const OBJECT: usize = 6;

/// Values of a prediction in front of its classes: x, y, width, height, objectness.
pub const BOX: usize = 5;

/// A head that predicts boxes, and the weights of its losses.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Height and width of the images, in pixels; a multiple of the strides.
    pub side: usize,
    /// Number of classes.
    pub classes: usize,
    /// Objects of an image, at most.
    pub most: usize,
    /// Pixels of a cell on each level.
    pub strides: [usize; LEVELS],
    /// Width and height of each anchor, in pixels.
    pub anchors: [[[f32; 2]; ANCHORS]; LEVELS],
    /// Weights of the losses of boxes, objectness and classes.
    pub gains: [f64; 3],
    /// Weight of the objectness of each level.
    pub balance: [f64; LEVELS],
    /// Largest factor between the sides of an object and of its anchors.
    pub ratio: f64,
}

impl Head {
    /// The head of YOLOv5 with the weights of its `hyp.scratch-low.yaml`. The weight of the classes
    /// is scaled by the number of classes, that of the objectness by the area of the images.
    pub fn yolov5(side: usize, classes: usize, most: usize) -> Self {
        Self {
            side,
            classes,
            most,
            strides: [8, 16, 32],
            anchors: [
                [[10.0, 13.0], [16.0, 30.0], [33.0, 23.0]],
                [[30.0, 61.0], [62.0, 45.0], [59.0, 119.0]],
                [[116.0, 90.0], [156.0, 198.0], [373.0, 326.0]],
            ],
            gains: [0.05, (side as f64 / 640.0).powi(2), 0.5 * classes as f64 / 80.0],
            balance: [4.0, 1.0, 0.4],
            ratio: 4.0,
        }
    }

    /// Values of a prediction.
    pub fn fields(&self) -> usize {
        BOX + self.classes
    }

    /// Cells along a side of a level.
    pub fn cells(&self, level: usize) -> usize {
        self.side / self.strides[level]
    }

    /// Predictions of a level.
    pub fn predictions(&self, level: usize) -> usize {
        ANCHORS * self.cells(level).pow(2)
    }

    /// Values of a level in one example.
    pub fn width(&self, level: usize) -> usize {
        self.predictions(level) * self.fields()
    }

    /// Width and height of an anchor, in cells.
    fn anchor(&self, level: usize, anchor: usize) -> [f32; 2] {
        self.anchors[level][anchor].map(|pixels| pixels / self.strides[level] as f32)
    }

    /// The constants of a level.
    fn constants(&self, images: usize, level: usize) -> Vec<(&'static str, Constant)> {
        let [of_box, of_object, of_class] = self.gains;
        let cells = self.cells(level);
        let anchors = (0..ANCHORS).flat_map(|anchor| self.anchor(level, anchor)).collect();
        vec![
            ("N", images.into()),
            ("CLASSES", self.classes.into()),
            ("MOST", self.most.into()),
            ("LEVEL", level.into()),
            ("H", cells.into()),
            ("W", cells.into()),
            ("ANCHORS", Constant::Table(anchors)),
            ("RATIO", (self.ratio as f32).into()),
            ("FIRST", (0..level).map(|level| self.predictions(level)).sum::<usize>().into()),
            ("PREDICTIONS", (0..LEVELS).map(|level| self.predictions(level)).sum::<usize>().into()),
            ("BOX_GAIN", (of_box as f32).into()),
            ("OBJECT_GAIN", ((of_object * self.balance[level]) as f32).into()),
            ("CLASS_GAIN", (of_class as f32).into()),
        ]
    }
}

/// Appends the loss of the logits `levels`, each `[N,3(5+K),H,W]`, for `objects`, the f32
/// `[N,most,6]`. Backward starts here.
///
/// # Panics
/// If the shapes are not those of the head.
pub fn detection(tape: &mut Tape, name: &str, levels: [Var; LEVELS], objects: Operand, sums: &mut Sums, head: &Head) {
    let [n, ..] = tape.shape(levels[0]).nchw(name);
    for (level, &z) in levels.iter().enumerate() {
        let (cells, expected) = (head.cells(level), ANCHORS * head.fields());
        let shape = tape.shape(z);
        let fits = shape.dims() == [n, expected, cells, cells];
        assert!(fits, "{name}: level {level} is {shape}, expected [{n},{expected},{cells},{cells}]");
    }
    let predictions: usize = (0..LEVELS).map(|level| head.predictions(level)).sum();
    let controls = Operand::from(tape.controls()).uniform();
    let counts = Operand::from(tape.buffer(&format!("{name}.counts"), 4 * LEVELS as u64));
    let losses = Operand::from(tape.buffer(&format!("{name}.losses"), (12 * n * predictions) as u64));
    let rows = Operand::from(tape.buffer(&format!("{name}.rows"), (4 * n * COLUMNS) as u64));
    let kernels = |level| Kernels { shader: &SHADER, constants: head.constants(n, level) };
    let grid = |level| linear_grid(n * head.predictions(level), LANES);
    let inputs = |level: usize| vec![objects.read(), controls, counts.read(), Operand::from(levels[level]).read()];

    let mut forward = vec![];
    for level in 0..LEVELS {
        forward.push(kernels(level).dispatch("count", vec![objects.read(), controls, counts.write()], [1, 1, 1]));
    }
    for level in 0..LEVELS {
        let bindings = [inputs(level), vec![losses.write()]].concat();
        forward.push(kernels(level).dispatch("forward", bindings, grid(level)));
    }
    forward.push(kernels(0).dispatch("add_up", vec![losses.read(), rows.write()], [n as u32, 1, 1]));
    forward.push(sums.add(tape, rows, [n, COLUMNS], 1));
    let mut backward = vec![];
    for (level, &z) in levels.iter().enumerate().filter(|(_, z)| tape.needs_gradient(**z)) {
        let bindings = [inputs(level), vec![Operand::Gradient(z).write()]].concat();
        backward.push(kernels(level).dispatch("backward", bindings, grid(level)));
    }
    tape.record(Record { name: name.into(), op: "detection", result: None, forward, backward });
}
