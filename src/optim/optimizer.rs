//! An update bound to a device.

use super::table::{RateTable, TABLE_OFFSET};
use super::{RateRow, Update, UpdateOperand};
use crate::error::Result;
use crate::gpu::{Buffer, BufferRange, Call, Gpu, block_on};
use crate::tape::{Dispatch, Storage};
use crate::tensor::Arena;
use std::collections::HashMap;

/// L2 norms of the latest step, over the trained parameters of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LayerNorms {
    /// Of the gradient, after clipping and before weight decay.
    pub gradient: f64,
    /// Of the update, before it is added to the weights and rounded.
    pub update: f64,
    /// Of the weights before the update.
    pub weight: f64,
}

impl LayerNorms {
    /// |update| / |weight|, the relative change of the layer; 0 where nothing changes.
    pub fn effective_rate(&self) -> f64 {
        if self.update == 0.0 { 0.0 } else { self.update / self.weight }
    }
}

/// An [`Update`] on a device: the moments, the layer table and the calls of one step.
#[derive(Debug)]
pub struct Optimizer {
    update: Update,
    table: RateTable,
    table_buffer: Buffer,
    step: i32,
    moments: Vec<Arena>,
    ranges: HashMap<UpdateOperand, BufferRange>,
    calls: Vec<Call>,
    norms: Option<Call>,
}

impl Optimizer {
    /// Binds `update` to the parameters of `storage`.
    ///
    /// `losses` is the range of [`crate::ops::sums::Sums`]. Once it contains a loss that is not
    /// finite, no parameter changes any more.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] or [`crate::error::Error::Device`] if the device is out of
    /// memory or rejects a kernel.
    ///
    /// # Panics
    /// If the update was recorded for another layout of the parameters.
    pub fn new(gpu: &Gpu, storage: &Storage, losses: &BufferRange, update: Update) -> Result<Self> {
        assert_eq!(
            update.windows(),
            storage.layout.windows(),
            "blocks of each window in the update and in the storage"
        );
        gpu.compile(update.launches().map(Dispatch::pipeline))?;
        let names = ["first moment", "second moment"].into_iter().take(update.settings().rule.moments());
        let moments = names.map(|name| Arena::new(gpu, name, &storage.layout)).collect::<Result<_>>()?;
        let table = RateTable::new(*update.settings(), update.rows());
        let table_buffer = gpu.buffer("layer table", table.bytes().len() as u64)?;
        let (ranges, calls) = (HashMap::new(), vec![]);
        let mut optimizer = Self { update, table, table_buffer, step: 0, moments, ranges, calls, norms: None };
        optimizer.ranges = optimizer.resolve(gpu, storage, losses)?;
        optimizer.write_runs(gpu);
        optimizer.write_trained_blocks(gpu);
        let call = |dispatch| optimizer.call(gpu, dispatch);
        let calls = optimizer.update.step().iter().map(call).collect::<Result<_>>()?;
        let norms = optimizer.update.norms().map(call).transpose()?;
        Ok(Self { calls, norms, ..optimizer })
    }

    /// The buffer range of each operand. An operand that nothing else holds gets a new buffer.
    fn resolve(
        &self,
        gpu: &Gpu,
        storage: &Storage,
        losses: &BufferRange,
    ) -> Result<HashMap<UpdateOperand, BufferRange>> {
        let mut ranges = HashMap::new();
        for operand in self.update.launches().flat_map(|launch| &launch.bindings).map(|binding| binding.operand) {
            if ranges.contains_key(&operand) {
                continue;
            }
            let bytes = self.update.bytes(operand);
            let range = match operand {
                UpdateOperand::Step => self.table_buffer.range(0, bytes),
                UpdateOperand::RateTable => self.table_buffer.range(TABLE_OFFSET as u64, bytes),
                UpdateOperand::Losses => losses.clone(),
                UpdateOperand::Parameters(window) => storage.params.windows()[window].whole(),
                UpdateOperand::Gradients(window) => storage.grads.windows()[window].whole(),
                UpdateOperand::FirstMoment(window) => self.moments[0].windows()[window].whole(),
                UpdateOperand::SecondMoment(window) => self.moments[1].windows()[window].whole(),
                UpdateOperand::Runs(_)
                | UpdateOperand::RunLayers
                | UpdateOperand::Sums
                | UpdateOperand::LayerSums
                | UpdateOperand::TrainedBlocks(_)
                | UpdateOperand::ClipSums => gpu.buffer(&operand.to_string(), bytes)?.whole(),
            };
            ranges.insert(operand, range);
        }
        Ok(ranges)
    }

    fn call(&self, gpu: &Gpu, dispatch: &Dispatch<UpdateOperand>) -> Result<Call> {
        let range = |operand| self.ranges[operand].clone();
        let ranges: Vec<_> = dispatch.bindings.iter().map(|b| (range(&b.operand), b.access)).collect();
        gpu.call(&dispatch.kernel, &ranges, dispatch.grid)
    }

    fn write_runs(&self, gpu: &Gpu) {
        for (operand, range) in &self.ranges {
            match operand {
                UpdateOperand::Runs(window) => gpu.write(range, 0, self.update.runs_of(*window)),
                UpdateOperand::RunLayers => gpu.write(range, 0, &self.update.run_layers()),
                _ => (),
            }
        }
    }

    fn write_trained_blocks(&self, gpu: &Gpu) {
        for (operand, range) in &self.ranges {
            if let UpdateOperand::TrainedBlocks(window) = operand {
                gpu.write(range, 0, &self.update.trained_blocks(*window, |row| self.table.is_trained(row)));
            }
        }
    }

    /// The rows of the layer table: the layers and groups that occur among the parameters, by layer
    /// and then by group.
    pub fn rows(&self) -> &[RateRow] {
        self.update.rows()
    }

    /// Scales the learning rate of the row at `row` in [`Optimizer::rows`] from the next step on.
    /// At 0 the row is frozen: its parameters and moments do not change at all, and its gradients
    /// count neither in the norm for clipping nor in [`LayerNorms`].
    ///
    /// # Panics
    /// If there is no such row, or `scale` is negative or not finite.
    pub fn set_scale(&mut self, gpu: &Gpu, row: usize, scale: f64) {
        let before = self.table.is_trained(row);
        self.table.set_scale(row, scale);
        if self.table.is_trained(row) != before {
            self.write_trained_blocks(gpu);
        }
    }

    /// Sets the momentum from the next step on.
    ///
    /// # Panics
    /// If the rule is not SGD.
    pub fn set_momentum(&mut self, momentum: f64) {
        self.table.set_momentum(momentum);
    }

    /// Writes the table for the next step, with the learning rate that `rate` gives each row.
    pub fn prepare(&mut self, gpu: &Gpu, rate: impl Fn(&RateRow) -> f64) {
        self.step += 1;
        self.table.fill(self.step, rate);
        gpu.write(&self.table_buffer, 0, self.table.bytes());
    }

    /// The calls of a step, to run after its backward pass.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// The norms of the latest step by layer; empty if [`super::Settings::layer_norms`] is off.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub async fn layer_norms_async(&self, gpu: &Gpu) -> Result<Vec<LayerNorms>> {
        let Some(call) = &self.norms else { return Ok(vec![]) };
        gpu.run([call])?;
        let sums: Vec<[f32; 4]> = gpu.read_async(&self.ranges[&UpdateOperand::LayerSums]).await?;
        let norm = |square: f32| f64::from(square).sqrt();
        let norms = |s: &[f32; 4]| LayerNorms { gradient: norm(s[0]), update: norm(s[1]), weight: norm(s[2]) };
        Ok(sums.iter().map(norms).collect())
    }

    /// The blocking form of [`Optimizer::layer_norms_async`].
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub fn layer_norms(&self, gpu: &Gpu) -> Result<Vec<LayerNorms>> {
        block_on(self.layer_norms_async(gpu))
    }

    /// The first moment and, if the rule has one, the second, in the layout of the parameters.
    pub fn moments(&self) -> &[Arena] {
        &self.moments
    }

    /// Sets the number of steps done, after the moments were restored from a checkpoint.
    ///
    /// # Panics
    /// If there are more than 2^31 steps.
    pub fn set_steps(&mut self, steps: u64) {
        self.step = i32::try_from(steps).expect("a run has at most 2^31 - 1 steps");
    }
}
