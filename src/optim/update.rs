//! The fused update.

use super::{Rule, Settings};
use crate::error::Result;
use crate::gpu::{Access, Buffer, BufferRange, Call, Gpu, Kernel, Shader};
use crate::tape::{Storage, linear_grid};
use crate::tensor::{Arena, BLOCK};

static UPDATE: Shader = Shader::built_in("update", include_str!("../../shaders/update.wgsl"));
static CLIP: Shader = Shader::built_in("clip", include_str!("../../shaders/clip.wgsl"));

/// Every shader of the optimisers, for checks that need no device.
pub const SHADERS: &[&Shader] = &[&UPDATE, &CLIP];

/// In the layer of a run of blocks: these are spared weight decay. The other bits are the layer.
pub const NO_DECAY: u32 = 1 << 31;

/// Invocations in a workgroup of the update: four rows. 64 stream about 10 % slower on llvmpipe.
const LANES: usize = 256;

/// Invocations that own a run together: a vec4 each of a block.
const ROW: usize = BLOCK / 4;

/// Blocks of a run at most. On llvmpipe 1 takes 1.7 times as long as 16; more would leave a small model too few rows to fill a GPU.
const MOST_BLOCKS: usize = 16;

/// Floats that a workgroup of `clip.squares` sums, and its invocations, which leave a sum each.
const FLOATS_PER_CLIP: usize = 4096;
const CLIP_LANES: usize = 64;

/// Where the layer table starts behind the step's own numbers: the offset alignment of every WebGPU device.
const TABLE_OFFSET: usize = 256;

/// The numbers of a step that all layers share.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct Step {
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    epsilon: f32,
    correction1: f32,
    correction2_sqrt: f32,
    max_norm: f32,
}

/// A row of the layer table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct LayerHyper {
    learning_rate: f32,
    weight_decay: f32,
}

/// Blocks of one layer, one after the other in a window, that a row of invocations updates.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
struct Run {
    first_block: u32,
    blocks: u32,
    layer: u32,
}

/// What the latest step did to a layer: L2 norms over all of its parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LayerNorms {
    /// Of the gradient, after clipping and before weight decay.
    pub gradient: f64,
    /// Of the change of the weights, before they round it.
    pub update: f64,
    /// Of the weights before it.
    pub weight: f64,
}

impl LayerNorms {
    /// |update| / |weight|: how far the layer really moves; 0 where nothing moves.
    pub fn effective_rate(&self) -> f64 {
        if self.update == 0.0 { 0.0 } else { self.update / self.weight }
    }
}

/// Moments, the layer table, and the calls of one step.
#[derive(Debug)]
pub struct Optimizer {
    settings: Settings,
    layers: usize,
    step: i32,
    table: Vec<u8>,
    table_buffer: Buffer,
    moments: Vec<Arena>,
    calls: Vec<Call>,
    /// The sum over each layer's runs, and where it goes.
    norms: Option<(Call, Buffer)>,
}

impl Optimizer {
    /// An optimiser for the parameters of `storage`, which belong to `layers` layers. It stands still once `metrics` (a range of
    /// [`crate::ops::metrics::Metrics`]) says that a loss was not finite.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] or [`crate::error::Error::Device`] where the device has no room or refuses a kernel.
    pub fn new(gpu: &Gpu, storage: &Storage, metrics: &BufferRange, layers: usize, settings: Settings) -> Result<Self> {
        assert!(
            storage.parameters().iter().all(|p| p.layer < layers),
            "a parameter belongs to a layer beyond {layers}"
        );
        let moment = |name| Arena::new(gpu, name, &storage.layout);
        let mut moments = vec![moment("first moment")?];
        if !matches!(settings.rule, Rule::Sgd { .. }) {
            moments.push(moment("second moment")?);
        }
        let table = vec![0; TABLE_OFFSET + layers * size_of::<LayerHyper>()];
        let table_buffer = gpu.buffer("layer table", table.len() as u64)?;
        let mut optimizer =
            Self { settings, layers, step: 0, table, table_buffer, moments, calls: vec![], norms: None };
        // The factor of clipping, then the sums of each invocation of all windows.
        let runs: usize = optimizer.runs(storage).iter().map(Vec::len).sum();
        let summed = if settings.layer_norms { runs * ROW } else { 0 };
        let sums = gpu.buffer("update sums", 16 * (1 + summed as u64))?;
        if settings.clip_norm.is_some() {
            optimizer.calls = optimizer.clip_calls(gpu, storage, &sums)?;
        }
        let updates = optimizer.update_calls(gpu, storage, metrics, &sums)?;
        optimizer.calls.extend(updates);
        if settings.layer_norms {
            optimizer.norms = Some(optimizer.norm_call(gpu, storage, &sums)?);
        }
        Ok(optimizer)
    }

    fn step_range(&self) -> BufferRange {
        self.table_buffer.range(0, size_of::<Step>() as u64)
    }

    fn update_calls(&self, gpu: &Gpu, storage: &Storage, metrics: &BufferRange, sums: &Buffer) -> Result<Vec<Call>> {
        let (entry, nesterov) = match self.settings.rule {
            Rule::Sgd { nesterov, .. } => ("sgd", nesterov),
            Rule::Adam { .. } => ("adam", false),
            Rule::AdamW { .. } => ("adamw", false),
            Rule::Adamax { .. } => ("adamax", false),
        };
        let table = self.table_buffer.range(TABLE_OFFSET as u64, (self.table.len() - TABLE_OFFSET) as u64);
        let mut first_run = 0;
        let update = |(window, runs): (usize, Vec<Run>)| {
            let table_of_runs = gpu.buffer("runs", size_of_val(&runs[..]) as u64)?;
            gpu.write(&table_of_runs, 0, &runs);
            let constants = vec![
                ("CLIP", self.settings.clip_norm.is_some().into()),
                ("NESTEROV", nesterov.into()),
                ("NORMS", self.settings.layer_norms.into()),
                ("MOST_BLOCKS", MOST_BLOCKS.into()),
                // Without norms all windows share a pipeline.
                ("FIRST_RUN", if self.settings.layer_norms { first_run } else { 0usize }.into()),
            ];
            first_run += runs.len();
            let kernel = Kernel { shader: &UPDATE, entry, constants };
            let mut ranges = vec![
                (self.step_range(), Access::Uniform),
                (storage.params.windows()[window].whole(), Access::Write),
                (storage.grads.windows()[window].whole(), Access::Read),
                (table_of_runs.whole(), Access::Read),
                (table.clone(), Access::Read),
                (metrics.clone(), Access::Read),
                (sums.whole(), Access::Write),
            ];
            ranges.extend(self.moments.iter().map(|moment| (moment.windows()[window].whole(), Access::Write)));
            gpu.call(&kernel, &ranges, linear_grid(runs.len() * ROW, LANES))
        };
        self.runs(storage).into_iter().enumerate().map(update).collect()
    }

    fn norm_call(&self, gpu: &Gpu, storage: &Storage, sums: &Buffer) -> Result<(Call, Buffer)> {
        let runs = self.runs(storage).concat();
        let all_runs = gpu.buffer("runs of all windows", size_of_val(&runs[..]) as u64)?;
        gpu.write(&all_runs, 0, &runs);
        let layers = gpu.buffer("layer sums", 16 * self.layers as u64)?;
        let off = |name| (name, false.into());
        let none = |name| (name, 0u32.into());
        let constants = vec![off("CLIP"), off("NESTEROV"), off("NORMS"), none("MOST_BLOCKS"), none("FIRST_RUN")];
        let kernel = Kernel { shader: &UPDATE, entry: "layer_norms", constants };
        let ranges = [(sums.whole(), Access::Read), (all_runs.whole(), Access::Read), (layers.whole(), Access::Write)];
        Ok((gpu.call(&kernel, &ranges, linear_grid(self.layers, 1))?, layers))
    }

    /// The norms of the latest step by layer; none where [`Settings::layer_norms`] is off.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] where the device fails.
    pub fn layer_norms(&self, gpu: &Gpu) -> Result<Vec<LayerNorms>> {
        let Some((call, layers)) = &self.norms else { return Ok(vec![]) };
        gpu.run([call])?;
        let sums: Vec<[f32; 4]> = gpu.read(&layers.whole())?;
        let norm = |square: f32| f64::from(square).sqrt();
        let norms = |s: &[f32; 4]| LayerNorms { gradient: norm(s[0]), update: norm(s[1]), weight: norm(s[2]) };
        Ok(sums.iter().map(norms).collect())
    }

    /// For each window, its blocks cut into runs of one layer.
    fn runs(&self, storage: &Storage) -> Vec<Vec<Run>> {
        let mut windows: Vec<Vec<Run>> = storage.layout.windows().iter().map(|_| vec![]).collect();
        for (declared, span) in storage.parameters().iter().zip(storage.layout.spans()) {
            let spared = self.settings.spare_norm_and_bias && declared.norm_or_bias;
            let layer = declared.layer as u32 | if spared { NO_DECAY } else { 0 };
            let blocks = span.block..span.block + span.blocks();
            windows[span.window].extend(blocks.clone().step_by(MOST_BLOCKS).map(|first| {
                let blocks = MOST_BLOCKS.min(blocks.end - first) as u32;
                Run { first_block: first as u32, blocks, layer }
            }));
        }
        windows
    }

    fn clip_calls(&self, gpu: &Gpu, storage: &Storage, scale: &Buffer) -> Result<Vec<Call>> {
        let workgroups: Vec<_> =
            storage.layout.windows().iter().map(|b| (b * BLOCK).div_ceil(FLOATS_PER_CLIP)).collect();
        let total: usize = workgroups.iter().sum();
        let sums = gpu.buffer("clip sums", 4 * (total * CLIP_LANES) as u64)?;
        let kernel = |entry, workgroups: usize, first: usize| Kernel {
            shader: &CLIP,
            entry,
            constants: vec![("WORKGROUPS", workgroups.into()), ("FIRST_GROUP", first.into())],
        };
        let mut calls = vec![];
        let mut first = 0;
        for (window, &groups) in workgroups.iter().enumerate() {
            let ranges = [(storage.grads.windows()[window].whole(), Access::Read), (sums.whole(), Access::Write)];
            calls.push(gpu.call(&kernel("squares", groups, first), &ranges, linear_grid(groups, 1))?);
            first += groups;
        }
        let ranges =
            [(self.step_range(), Access::Uniform), (sums.whole(), Access::Read), (scale.whole(), Access::Write)];
        calls.push(gpu.call(&kernel("finish", 1, 0), &ranges, [1, 1, 1])?);
        Ok(calls)
    }

    /// Writes the table for the next step: a learning rate per layer.
    ///
    /// # Panics
    /// If there is not one rate per layer.
    pub fn prepare(&mut self, gpu: &Gpu, rates: impl ExactSizeIterator<Item = f64>) {
        assert_eq!(rates.len(), self.layers, "a learning rate per layer");
        self.step += 1;
        let (beta1, beta2) = self.settings.rule.betas();
        let step = Step {
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            rest1: (1.0 - beta1) as f32,
            rest2: (1.0 - beta2) as f32,
            epsilon: self.settings.rule.epsilon() as f32,
            correction1: (1.0 - beta1.powi(self.step)) as f32,
            correction2_sqrt: (1.0 - beta2.powi(self.step)).sqrt() as f32,
            max_norm: self.settings.clip_norm.unwrap_or(0.0) as f32,
        };
        let (head, rows) = self.table.split_at_mut(TABLE_OFFSET);
        head[..size_of::<Step>()].copy_from_slice(bytemuck::bytes_of(&step));
        for (row, rate) in rows.chunks_exact_mut(size_of::<LayerHyper>()).zip(rates) {
            let hyper = LayerHyper { learning_rate: rate as f32, weight_decay: self.settings.weight_decay as f32 };
            row.copy_from_slice(bytemuck::bytes_of(&hyper));
        }
        gpu.write(&self.table_buffer, 0, &self.table);
    }

    /// The moments, first to last: arenas of the parameters' layout.
    pub fn moments(&self) -> &[Arena] {
        &self.moments
    }

    /// Goes on behind step `steps`, as when its moments were put back from a checkpoint.
    ///
    /// # Panics
    /// If there are more than 2^31 steps.
    pub fn set_steps(&mut self, steps: u64) {
        self.step = i32::try_from(steps).expect("a run has fewer steps than that");
    }

    /// What a step runs after its backward pass.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }
}
