//! The dispatches of an optimiser's step as plain data, recorded without a device.
//!
//! Parameters are updated in runs. A run is up to [`MOST_BLOCKS`] consecutive blocks of a window
//! that belong to one row of the layer table.

use super::average::AVERAGE;
use super::table::{Hyper, Step};
use super::{RateRow, Rule, Settings};
use crate::gpu::{Access, Constant, Kernel, Shader};
use crate::tape::{Binding, Declared, Dispatch, Work, linear_grid};
use crate::tensor::{BLOCK, Layout};
use std::fmt;

static UPDATE: Shader = Shader::built_in("update", include_str!("../../shaders/update.wgsl"));
static CLIP: Shader = Shader::built_in("clip", include_str!("../../shaders/clip.wgsl"));

/// Every shader of the optimisers, for checks that need no device.
pub const SHADERS: &[&Shader] = &[&UPDATE, &CLIP, &AVERAGE];

/// Invocations in a workgroup of the update. A workgroup processes four runs. Workgroups of 64 are
/// about 10 % slower on llvmpipe.
const LANES: usize = 256;

/// Invocations that process a run together. Each owns a vec4 of every block.
const RUN_LANES: usize = BLOCK / 4;

/// Blocks of a run, at most. On llvmpipe runs of 1 block take 1.7 times as long as runs of 16. With
/// longer runs, a small model would have too few of them to fill a GPU.
const MOST_BLOCKS: usize = 16;

/// Blocks whose squared gradients a workgroup of `clip.squares` sums.
const BLOCKS_PER_CLIP: usize = 16;

/// Invocations in a workgroup of `clip.squares`. Each of them writes one sum.
const CLIP_LANES: usize = 64;

/// An operand of a dispatch. [`super::Optimizer`] maps it to a range of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpdateOperand {
    /// The hyperparameters of a step that all rows share.
    Step,
    /// The layer table.
    RateTable,
    /// The sums of the losses, which show whether a loss was not finite.
    Losses,
    /// A window of the parameters.
    Parameters(usize),
    /// A window of the gradients.
    Gradients(usize),
    /// A window of the first moment.
    FirstMoment(usize),
    /// A window of the second moment.
    SecondMoment(usize),
    /// The runs of a window.
    Runs(usize),
    /// The layer of each run, over all windows.
    RunLayers,
    /// The factor of gradient clipping and, with layer norms, the sums of each invocation of all
    /// runs.
    Sums,
    /// The sums of each layer.
    LayerSums,
    /// A bit for each block of a window: whether it is trained, and so counts in the norm for
    /// clipping.
    TrainedBlocks(usize),
    /// The sums of squares of each invocation of `clip.squares`, over all windows.
    ClipSums,
}

impl fmt::Display for UpdateOperand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step => write!(f, "step"),
            Self::RateTable => write!(f, "layer table"),
            Self::Losses => write!(f, "losses"),
            Self::Parameters(window) => write!(f, "parameters {window}"),
            Self::Gradients(window) => write!(f, "gradients {window}"),
            Self::FirstMoment(window) => write!(f, "first moment {window}"),
            Self::SecondMoment(window) => write!(f, "second moment {window}"),
            Self::Runs(window) => write!(f, "runs {window}"),
            Self::RunLayers => write!(f, "layers of runs"),
            Self::Sums => write!(f, "update sums"),
            Self::LayerSums => write!(f, "layer sums"),
            Self::TrainedBlocks(window) => write!(f, "trained blocks {window}"),
            Self::ClipSums => write!(f, "clip sums"),
        }
    }
}

/// Consecutive blocks of a window that belong to one row of the layer table.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Run {
    first_block: u32,
    blocks: u32,
    row: u32,
}

/// The dispatches of an optimiser's step for one model. [`super::Optimizer`] binds them to a
/// device.
#[derive(Clone, Debug)]
pub struct Update {
    settings: Settings,
    layers: usize,
    rows: Vec<RateRow>,
    /// Blocks of each window.
    windows: Vec<usize>,
    /// The runs of each window.
    runs: Vec<Vec<Run>>,
    step: Vec<Dispatch<UpdateOperand>>,
    norms: Option<Dispatch<UpdateOperand>>,
}

impl Update {
    /// Records the update of `parameters`, which have the layout `layout` and belong to `layers`
    /// layers.
    ///
    /// # Panics
    /// If the layer of a parameter is not below `layers`.
    pub fn new(parameters: &[Declared], layout: &Layout, layers: usize, settings: Settings) -> Self {
        for declared in parameters {
            let Declared { name, layer, .. } = declared;
            assert!(*layer < layers, "{name}: belongs to layer {layer}, there are {layers} layers, counted from 0");
        }
        let rows = RateRow::all(parameters);
        let runs = runs(parameters, layout, &rows);
        let windows = layout.windows().to_vec();
        let mut update = Self { settings, layers, rows, windows, runs, step: vec![], norms: None };
        if settings.clip_norm.is_some() {
            update.step.extend(update.clipping());
        }
        update.step.extend(update.rule());
        update.norms = settings.layer_norms.then(|| update.sum_by_layer());
        update
    }

    /// The optimiser's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The rows of the layer table: the layers and groups that occur among the parameters, by layer
    /// and then by group.
    pub fn rows(&self) -> &[RateRow] {
        &self.rows
    }

    /// The dispatches of a step after its backward pass, in order.
    pub fn step(&self) -> &[Dispatch<UpdateOperand>] {
        &self.step
    }

    /// The dispatch that sums up the layers' norms after a step, if [`Settings::layer_norms`] is
    /// on.
    pub fn norms(&self) -> Option<&Dispatch<UpdateOperand>> {
        self.norms.as_ref()
    }

    /// All dispatches: those of [`Update::step`], then that of [`Update::norms`].
    pub fn launches(&self) -> impl Iterator<Item = &Dispatch<UpdateOperand>> {
        self.step.iter().chain(&self.norms)
    }

    /// Blocks of each window of the parameters.
    pub(super) fn windows(&self) -> &[usize] {
        &self.windows
    }

    pub(super) fn runs_of(&self, window: usize) -> &[Run] {
        &self.runs[window]
    }

    /// The layer of each run of all windows.
    pub(super) fn run_layers(&self) -> Vec<u32> {
        self.runs.iter().flatten().map(|run| self.rows[run.row as usize].layer as u32).collect()
    }

    /// A bit for each block of a window: whether its row is trained. A word holds 16 bits.
    pub(super) fn trained_blocks(&self, window: usize, is_trained: impl Fn(usize) -> bool) -> Vec<u32> {
        let mut words = vec![0; self.clip_groups(window)];
        for run in self.runs[window].iter().filter(|run| is_trained(run.row as usize)) {
            for block in run.first_block as usize..(run.first_block + run.blocks) as usize {
                words[block / BLOCKS_PER_CLIP] |= 1 << (block % BLOCKS_PER_CLIP);
            }
        }
        words
    }

    fn clip_groups(&self, window: usize) -> usize {
        self.windows[window].div_ceil(BLOCKS_PER_CLIP)
    }

    /// The dispatches that compute the factor of gradient clipping: one for each window sums
    /// squares, then one workgroup adds the sums up.
    fn clipping(&self) -> Vec<Dispatch<UpdateOperand>> {
        use Access::{Read, Uniform, Write};
        let kernel = |entry, groups: usize, first: usize| {
            kernel(&CLIP, entry, vec![("WORKGROUPS", groups.into()), ("FIRST_GROUP", first.into())])
        };
        let (mut first, mut launches) = (0, vec![]);
        for window in 0..self.windows.len() {
            let groups = self.clip_groups(window);
            let bindings = [
                (UpdateOperand::Gradients(window), Read),
                (UpdateOperand::ClipSums, Write),
                (UpdateOperand::TrainedBlocks(window), Read),
            ];
            launches.push(dispatch(kernel("squares", groups, first), &bindings, linear_grid(groups, 1)));
            first += groups;
        }
        let bindings = [(UpdateOperand::Step, Uniform), (UpdateOperand::ClipSums, Read), (UpdateOperand::Sums, Write)];
        launches.push(dispatch(kernel("finish", 1, 0), &bindings, [1, 1, 1]));
        launches
    }

    /// The dispatches of the update rule, one for each window.
    fn rule(&self) -> Vec<Dispatch<UpdateOperand>> {
        use Access::{Read, Uniform, Write};
        let Settings { rule, clip_norm, layer_norms, .. } = self.settings;
        let nesterov = matches!(rule, Rule::Sgd { nesterov: true, .. });
        let (mut first_run, mut launches) = (0, vec![]);
        for (window, runs) in self.runs.iter().enumerate() {
            let constants = vec![
                ("CLIP", clip_norm.is_some().into()),
                ("NESTEROV", nesterov.into()),
                ("NORMS", layer_norms.into()),
                ("MOST_BLOCKS", MOST_BLOCKS.into()),
                // Only layer norms need it. Without them it is 0, so that all windows share a
                // pipeline.
                ("FIRST_RUN", if layer_norms { first_run } else { 0usize }.into()),
            ];
            first_run += runs.len();
            let bindings = [
                (UpdateOperand::Step, Uniform),
                (UpdateOperand::Parameters(window), Write),
                (UpdateOperand::Gradients(window), Read),
                (UpdateOperand::Runs(window), Read),
                (UpdateOperand::RateTable, Read),
                (UpdateOperand::Losses, Read),
                (UpdateOperand::Sums, Write),
                (UpdateOperand::FirstMoment(window), Write),
                (UpdateOperand::SecondMoment(window), Write),
            ];
            let bindings = &bindings[..bindings.len() - 2 + rule.moments()];
            let grid = linear_grid(runs.len() * RUN_LANES, LANES);
            launches.push(dispatch(kernel(&UPDATE, rule.name(), constants), bindings, grid));
        }
        launches
    }

    /// The dispatch that adds up the sums of each layer's runs.
    fn sum_by_layer(&self) -> Dispatch<UpdateOperand> {
        let off = |name| (name, false.into());
        let none = |name| (name, 0u32.into());
        let constants = vec![off("CLIP"), off("NESTEROV"), off("NORMS"), none("MOST_BLOCKS"), none("FIRST_RUN")];
        let bindings = [
            (UpdateOperand::Sums, Access::Read),
            (UpdateOperand::RunLayers, Access::Read),
            (UpdateOperand::LayerSums, Access::Write),
        ];
        dispatch(kernel(&UPDATE, "layer_norms", constants), &bindings, linear_grid(self.layers, 1))
    }

    /// Bytes of an operand.
    pub fn bytes(&self, operand: UpdateOperand) -> u64 {
        let all_runs = || self.runs.iter().map(Vec::len).sum::<usize>();
        let clip_groups = || (0..self.windows.len()).map(|window| self.clip_groups(window)).sum::<usize>();
        let bytes = match operand {
            UpdateOperand::Step => size_of::<Step>(),
            UpdateOperand::RateTable => self.rows.len() * size_of::<Hyper>(),
            UpdateOperand::Losses => 16,
            UpdateOperand::Parameters(window)
            | UpdateOperand::Gradients(window)
            | UpdateOperand::FirstMoment(window)
            | UpdateOperand::SecondMoment(window) => 4 * self.windows[window] * BLOCK,
            UpdateOperand::Runs(window) => size_of_val(&self.runs[window][..]),
            UpdateOperand::RunLayers => 4 * all_runs(),
            UpdateOperand::Sums if self.settings.layer_norms => 16 * (1 + all_runs() * RUN_LANES),
            UpdateOperand::Sums => 16,
            UpdateOperand::LayerSums => 16 * self.layers,
            UpdateOperand::TrainedBlocks(window) => 4 * self.clip_groups(window),
            UpdateOperand::ClipSums => 4 * clip_groups() * CLIP_LANES,
        };
        bytes as u64
    }

    /// The least work of a dispatch: each operand's bytes are moved once.
    pub fn work(&self, launch: &Dispatch<UpdateOperand>) -> Work {
        let bytes = launch.bindings.iter().map(|binding| self.bytes(binding.operand)).sum();
        Work { multiply_adds: launch.multiply_adds, bytes }
    }

    /// A table of the dispatches: kernel and grid, bytes, and operands.
    pub fn describe(&self) -> String {
        let mut text = format!("{:<28} {:>12}  operands", "launch", "bytes");
        for launch in self.launches() {
            let operands: Vec<_> = launch.bindings.iter().map(|binding| binding.operand.to_string()).collect();
            let (name, bytes) = (launch.to_string(), self.work(launch).bytes);
            text.push_str(&format!("\n{name:<28} {bytes:>12}  {}", operands.join(", ")));
        }
        text
    }
}

fn kernel(shader: &'static Shader, entry: &'static str, constants: Vec<(&'static str, Constant)>) -> Kernel {
    Kernel { shader, entry, constants }
}

fn dispatch(kernel: Kernel, bindings: &[(UpdateOperand, Access)], grid: [u32; 3]) -> Dispatch<UpdateOperand> {
    let bindings = bindings.iter().map(|&(operand, access)| Binding { operand, access }).collect();
    Dispatch { kernel, bindings, grid, multiply_adds: 0, tunable: None }
}

/// The runs of each window.
fn runs(parameters: &[Declared], layout: &Layout, rows: &[RateRow]) -> Vec<Vec<Run>> {
    let mut windows: Vec<Vec<Run>> = layout.windows().iter().map(|_| vec![]).collect();
    for (declared, span) in parameters.iter().zip(layout.spans()) {
        let row =
            rows.binary_search(&RateRow::of(declared)).expect("the rows are those of the parameters, in order") as u32;
        let end = span.block + span.blocks();
        windows[span.window].extend((span.block..end).step_by(MOST_BLOCKS).map(|first| {
            let blocks = MOST_BLOCKS.min(end - first) as u32;
            Run { first_block: first as u32, blocks, row }
        }));
    }
    windows
}
