//! The hyperparameters that the host writes before each step: those shared by all rows, and the
//! layer table with a row for each layer and group.

use super::{Rule, Settings};
use crate::tape::{Declared, Group};
use std::collections::BTreeSet;

/// Byte offset of the layer table. Every WebGPU device allows bindings at multiples of 256 bytes.
pub(super) const TABLE_OFFSET: usize = 256;

/// A row of the layer table: the parameters of one layer and group, which share a learning rate and
/// a weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RateRow {
    /// Index in the model's list of layers.
    pub layer: usize,
    /// Group of parameters within the layer.
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

/// The hyperparameters of a step that all rows share.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Step {
    beta1: f32,
    beta2: f32,
    /// 1 - beta1, rounded once from f64.
    rest1: f32,
    /// 1 - beta2, rounded once from f64.
    rest2: f32,
    epsilon: f32,
    correction1: f32,
    correction2_sqrt: f32,
    max_norm: f32,
}

impl Step {
    /// The hyperparameters of step `step`, counted from 1.
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

/// A row of the layer table, as the kernel reads it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Hyper {
    learning_rate: f32,
    weight_decay: f32,
    /// 0 for a frozen row, otherwise 1.
    trained: u32,
}

/// The bytes that the host writes, and the settings that they are computed from.
#[derive(Debug)]
pub(super) struct RateTable {
    settings: Settings,
    rows: Vec<RateRow>,
    /// Factor of each row's learning rate; 0 freezes the row.
    scales: Vec<f64>,
    bytes: Vec<u8>,
}

impl RateTable {
    /// A table in which every row is trained at its full rate.
    pub(super) fn new(settings: Settings, rows: &[RateRow]) -> Self {
        let bytes = vec![0; TABLE_OFFSET + rows.len() * size_of::<Hyper>()];
        Self { settings, rows: rows.to_vec(), scales: vec![1.0; rows.len()], bytes }
    }

    /// The bytes of the latest [`RateTable::fill`]; zeros before the first.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn set_scale(&mut self, row: usize, scale: f64) {
        assert!(row < self.scales.len(), "row {row}: the layer table has {} rows", self.scales.len());
        assert!(scale.is_finite() && scale >= 0.0, "expected a finite scale of at least 0, found {scale}");
        self.scales[row] = scale;
    }

    pub(super) fn set_momentum(&mut self, value: f64) {
        match &mut self.settings.rule {
            Rule::Sgd { momentum, .. } => *momentum = value,
            other => panic!("{} has no momentum to set", other.name()),
        }
    }

    /// Whether the parameters of a row may change.
    pub(super) fn is_trained(&self, row: usize) -> bool {
        self.scales[row] != 0.0
    }

    /// Computes the bytes for step `step`, counted from 1. `rate` is the learning rate of a row.
    pub(super) fn fill(&mut self, step: i32, rate: impl Fn(&RateRow) -> f64) {
        let Settings { rule, clip_norm, .. } = &self.settings;
        let (head, table) = self.bytes.split_at_mut(TABLE_OFFSET);
        head[..size_of::<Step>()].copy_from_slice(bytemuck::bytes_of(&Step::new(rule, *clip_norm, step)));
        let table_rows = table.chunks_exact_mut(size_of::<Hyper>());
        for ((bytes, row), &scale) in table_rows.zip(&self.rows).zip(&self.scales) {
            let hyper = Hyper {
                learning_rate: (scale * rate(row)) as f32,
                weight_decay: self.settings.decay_of(row.group) as f32,
                trained: u32::from(scale != 0.0),
            };
            bytes.copy_from_slice(bytemuck::bytes_of(&hyper));
        }
    }
}
