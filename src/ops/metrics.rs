//! What a loss leaves on the device until the host reads it: sums of the losses, and of the hits or of the errors.

use super::{Kernels, shader};
use crate::gpu::{Constant, Shader};
use crate::tape::{Binding, Dispatch, Operand, Tape};

/// `shaders/metrics.wgsl`.
pub static SHADER: Shader = shader!("metrics");

/// The label of a row that only fills a batch up.
pub const PADDING: u32 = u32::MAX;

/// The name of the buffer that holds [`Metrics`].
pub const METRICS: &str = "metrics";

/// A sum that has come so far holds no more: the largest f32 below 2^32, which is the most that a batch adds.
const FULL: u32 = 4_294_967_040;

/// Sums that the device keeps until the host clears them.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable, serde::Serialize, serde::Deserialize,
)]
pub struct Metrics {
    /// Of the sum of the losses of all images what comes behind the point, in parts of 2^32.
    pub loss_fraction: u32,
    /// Images whose label has the largest logit.
    pub top1: u32,
    /// Images whose label is among the five largest logits.
    pub top5: u32,
    /// Images seen.
    pub images: u32,
    /// Images of the latest pass alone.
    pub batch_images: u32,
    /// 1 + the first step whose loss was not finite; 0 if there is none.
    pub halted: u32,
    /// The whole part of the sum of the losses of all images.
    pub loss_whole: u32,
    /// Of the sum of the absolute errors of all images what comes behind the point, in parts of 2^32.
    pub error_fraction: u32,
    /// The whole part of the sum of the absolute errors.
    pub error_whole: u32,
}

/// A sum of its whole part and what comes behind the point, in parts of 2^32.
fn joined(whole: u32, fraction: u32) -> f64 {
    f64::from(whole) + f64::from(fraction) / 2f64.powi(32)
}

impl Metrics {
    /// Sum of the losses of all images, exactly that of the batches' f32 losses but for what each has below 2^-32; no more than 2^32.
    pub fn loss(&self) -> f64 {
        joined(self.loss_whole, self.loss_fraction)
    }

    /// Sum of the absolute errors of all images, in the labels' unit, likewise; 0 where classes are predicted.
    pub fn error(&self) -> f64 {
        joined(self.error_whole, self.error_fraction)
    }

    /// Whether the sum of errors has come to its end, so that its mean says nothing.
    pub fn errors_are_full(&self) -> bool {
        self.error_whole >= FULL
    }

    /// `sum` per image; 0 of none.
    fn per_image(&self, sum: f64) -> f64 {
        sum / f64::from(self.images.max(1))
    }

    /// Mean loss of an image.
    pub fn mean_loss(&self) -> f64 {
        self.per_image(self.loss())
    }

    /// Mean absolute error of an image.
    pub fn mean_error(&self) -> f64 {
        self.per_image(self.error())
    }

    /// Part of the images whose label has the largest logit.
    pub fn accuracy(&self) -> f64 {
        self.per_image(self.top1.into())
    }

    /// Part of the images whose label is among the five largest logits.
    pub fn top5_accuracy(&self) -> f64 {
        self.per_image(self.top5.into())
    }
}

/// The buffers between a loss of N rows and [`Metrics`].
pub(super) struct Sums {
    /// Of each row a pair: its loss, and how many classes come before its label, or its absolute error.
    pub(super) rows: Operand,
    /// [`Metrics`].
    pub(super) metrics: Operand,
    n: usize,
}

impl Sums {
    /// Those of the loss `name`.
    pub(super) fn of_rows(tape: &mut Tape, name: &str, n: usize) -> Self {
        let rows = tape.buffer(&format!("{name}.rows"), 8 * n as u64).into();
        Self { rows, metrics: tape.buffer(METRICS, size_of::<Metrics>() as u64).into(), n }
    }

    /// Sums up losses and hits; `labels` are the first N words of the batch.
    pub(super) fn of_hits(&self, tape: &mut Tape, labels: Binding) -> Dispatch {
        self.reduce(tape, labels, false)
    }

    /// Sums up losses and absolute errors.
    pub(super) fn of_errors(&self, tape: &mut Tape, labels: Binding) -> Dispatch {
        self.reduce(tape, labels, true)
    }

    fn reduce(&self, tape: &mut Tape, labels: Binding, errors: bool) -> Dispatch {
        let constants: Vec<(_, Constant)> = vec![("N", self.n.into()), ("ERRORS", errors.into())];
        let controls = Operand::from(tape.controls()).uniform();
        let bindings = vec![self.rows.read(), labels, controls, self.metrics.write()];
        Kernels { shader: &SHADER, constants }.dispatch("reduce", bindings, [1, 1, 1])
    }
}
