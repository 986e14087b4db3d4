//! The exponential moving average of parameters and states: its decay, its dispatches as plain
//! data, and both on a device.

use crate::error::Result;
use crate::gpu::{Access, BufferRange, Call, Gpu, Kernel, Shader};
use crate::tape::{Binding, Dispatch, Storage, linear_grid};
use crate::tensor::{BLOCK, Layout};
use std::fmt;

pub(super) static AVERAGE: Shader = Shader::built_in("average", include_str!("../../shaders/average.wgsl"));

/// Invocations in a workgroup. Each owns a vec4.
const LANES: usize = 256;

/// The decay of the moving average of the weights, as in YOLOv5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Averaging {
    /// The decay that is approached.
    pub decay: f64,
    /// Steps over which the decay rises, the time constant of the rise; 0 for a constant decay.
    pub warmup: u64,
}

impl Averaging {
    /// The decay at step `step`, counted from 1: decay (1 - exp(-step / warmup)).
    pub fn decay_at(&self, step: u64) -> f64 {
        match self.warmup {
            0 => self.decay,
            warmup => self.decay * -libm::expm1(-(step as f64) / warmup as f64),
        }
    }

    /// An average after step `step`, from the average before it and the value after it, in f64.
    pub fn reference(&self, step: u64, average: f64, value: f64) -> f64 {
        let decay = self.decay_at(step);
        decay * average + (1.0 - decay) * value
    }
}

/// An operand of a dispatch. [`Averages`] maps it to a range of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AverageOperand {
    /// 1 - decay.
    Rest,
    /// The sums of the losses, which show whether a loss was not finite.
    Losses,
    /// A window of the averages: those of the parameters, then those of the states.
    Averages(usize),
    /// The window of the parameters and states that are averaged.
    Values(usize),
}

impl fmt::Display for AverageOperand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rest => write!(f, "1 - decay"),
            Self::Losses => write!(f, "losses"),
            Self::Averages(window) => write!(f, "averages {window}"),
            Self::Values(window) => write!(f, "values {window}"),
        }
    }
}

/// The dispatches that update the averages after a step, one for each window of parameters and
/// states.
pub fn average_dispatches(parameters: &Layout, states: &Layout) -> Vec<Dispatch<AverageOperand>> {
    use AverageOperand::{Averages, Losses, Rest, Values};
    let windows = parameters.windows().iter().chain(states.windows()).enumerate();
    let dispatch = |(window, &blocks): (usize, &usize)| {
        let bindings = [
            (Rest, Access::Uniform),
            (Losses, Access::Read),
            (Averages(window), Access::Write),
            (Values(window), Access::Read),
        ];
        Dispatch {
            kernel: Kernel { shader: &AVERAGE, entry: "average", constants: vec![] },
            bindings: bindings.map(|(operand, access)| Binding { operand, access }).to_vec(),
            grid: linear_grid(blocks * BLOCK / 4, LANES),
            multiply_adds: 0,
            tunable: None,
        }
    };
    windows.map(dispatch).collect()
}

/// The moving averages of a model's parameters and states on a device, and the calls that update
/// them.
#[derive(Debug)]
pub struct Averages {
    averaging: Averaging,
    storage: Storage,
    rest: BufferRange,
    calls: Vec<Call>,
}

impl Averages {
    /// Allocates averages of `values`, all zero. `losses` is the range of
    /// [`crate::ops::sums::Sums`]. Once it contains a loss that is not finite, no average changes
    /// any more.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] or [`crate::error::Error::Device`] if the device is out of
    /// memory or rejects a kernel.
    pub fn new(gpu: &Gpu, values: &Storage, losses: &BufferRange, averaging: Averaging) -> Result<Self> {
        let dispatches = average_dispatches(&values.layout, &values.state_layout);
        gpu.compile(dispatches.iter().map(Dispatch::pipeline))?;
        let storage = Storage::for_averages(gpu, values)?;
        let rest = gpu.buffer("1 - decay of the averages", 16)?.range(0, 4);
        let window = |of: &Storage, i: usize| {
            let mut windows = of.params.windows().iter().chain(of.state.windows());
            windows.nth(i).expect("a dispatch for each window").whole()
        };
        let resolve = |operand| match operand {
            AverageOperand::Rest => rest.clone(),
            AverageOperand::Losses => losses.clone(),
            AverageOperand::Averages(i) => window(&storage, i),
            AverageOperand::Values(i) => window(values, i),
        };
        let call = |dispatch: &Dispatch<AverageOperand>| {
            let ranges: Vec<_> = dispatch.bindings.iter().map(|b| (resolve(b.operand), b.access)).collect();
            gpu.call(&dispatch.kernel, &ranges, dispatch.grid)
        };
        let calls = dispatches.iter().map(call).collect::<Result<_>>()?;
        Ok(Self { averaging, storage, rest, calls })
    }

    /// The averages, in the layout of the parameters and states. There are no gradients.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Writes the decay of step `step`, counted from 1.
    pub fn prepare(&self, gpu: &Gpu, step: u64) {
        gpu.write(&self.rest, 0, &[(1.0 - self.averaging.decay_at(step)) as f32]);
    }

    /// The calls of a step, to run after its update.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }
}
