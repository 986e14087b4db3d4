//! What the host writes before each step: the numbers of the step, and a row of the layer table for
//! each layer and group.

use super::{Rule, Settings};
use crate::tape::{Declared, Group};
use std::collections::BTreeSet;

/// Where the layer table starts after the step's own numbers: the offset alignment of every WebGPU
/// device.
pub(super) const TABLE_OFFSET: usize = 256;

/// A row of the layer table: the parameters of one layer and group, which share a learning rate and
/// a weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RateRow {
    /// Position in the model's list of layers.
    pub layer: usize,
    /// Which parameters of the layer.
    pub group: Group,
}

impl RateRow {
    /// The row that a parameter belongs to.
    pub fn of(declared: &Declared) -> Self {
        Self { layer: declared.layer, group: declared.group }
    }

    /// The rows that occur among `parameters`, by layer and then by group.
    pub(super) fn all(parameters: &[Declared]) -> Vec<Self> {
        parameters.iter().map(Self::of).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The numbers of a step that all rows share.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Step {
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    epsilon: f32,
    correction1: f32,
    correction2_sqrt: f32,
    max_norm: f32,
}

impl Step {
    /// Those of step `step`, counted from 1.
    fn new(rule: &Rule, clip_norm: Option<f64>, step: i32) -> Self {
        let (beta1, beta2) = rule.betas();
        Self {
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            rest1: (1.0 - beta1) as f32,
            rest2: (1.0 - beta2) as f32,
            epsilon: rule.epsilon() as f32,
            correction1: (1.0 - beta1.powi(step)) as f32,
            correction2_sqrt: (1.0 - beta2.powi(step)).sqrt() as f32,
            max_norm: clip_norm.unwrap_or(0.0) as f32,
        }
    }
}

/// A row as the kernel reads it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Hyper {
    learning_rate: f32,
    weight_decay: f32,
    /// 0 for a frozen row, otherwise 1.
    trained: u32,
}

/// The bytes that the host writes, and what they are made of.
#[derive(Debug)]
pub(super) struct RateTable {
    settings: Settings,
    rows: Vec<RateRow>,
    /// Factor of each row's learning rate; 0 freezes it.
    scales: Vec<f64>,
    bytes: Vec<u8>,
}

impl RateTable {
    /// A table in which every row is trained at its full rate.
    pub(super) fn new(settings: Settings, rows: &[RateRow]) -> Self {
        let bytes = vec![0; TABLE_OFFSET + rows.len() * size_of::<Hyper>()];
        Self { settings, rows: rows.to_vec(), scales: vec![1.0; rows.len()], bytes }
    }

    /// What was last filled in, or zeros.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn set_scale(&mut self, row: usize, scale: f64) {
        assert!(row < self.scales.len(), "row {row}: the layer table has {} rows", self.scales.len());
        assert!(
            scale.is_finite() && scale >= 0.0,
            "a learning rate is scaled by a finite number from 0 up, not by {scale}"
        );
        self.scales[row] = scale;
    }

    /// Whether the parameters of a row may change.
    pub(super) fn is_trained(&self, row: usize) -> bool {
        self.scales[row] != 0.0
    }

    /// Fills in step `step`, counted from 1, with the learning rate that `rate` gives each row.
    pub(super) fn fill(&mut self, step: i32, rate: impl Fn(&RateRow) -> f64) {
        let Settings { rule, clip_norm, .. } = &self.settings;
        let (head, table) = self.bytes.split_at_mut(TABLE_OFFSET);
        head[..size_of::<Step>()].copy_from_slice(bytemuck::bytes_of(&Step::new(rule, *clip_norm, step)));
        let places = table.chunks_exact_mut(size_of::<Hyper>());
        for ((place, row), &scale) in places.zip(&self.rows).zip(&self.scales) {
            let hyper = Hyper {
                learning_rate: (scale * rate(row)) as f32,
                weight_decay: self.settings.decay_of(row.group) as f32,
                trained: u32::from(scale != 0.0),
            };
            place.copy_from_slice(bytemuck::bytes_of(&hyper));
        }
    }
}
