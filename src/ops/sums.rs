//! What losses leave on the device until the host reads it: K sums in fixed point, and how many examples were seen.
//!
//! A loss writes rows `[N,K]`, the first column its loss, further ones what else is to be summed, such as hits. [`Sums::add`] adds
//! them up. Several losses on one tape have sums of their own, one after the other.

use super::{Kernels, shader};
use crate::gpu::{Constant, Shader};
use crate::tape::{BufferId, Dispatch, Operand, Tape};
use serde::{Deserialize, Serialize};

/// `shaders/sums.wgsl`.
pub static SHADER: Shader = shader!("sums");

/// The name of the buffer on a tape.
pub const SUMS: &str = "sums";

/// A sum whose whole part has come this far is full. It is the largest f32 below 2^32: the most that a pass adds.
const FULL: u32 = 4_294_967_040;

/// Words before the sums: examples, and whether a sum was not finite.
const HEADER: usize = 2;

/// The buffer of sums on a tape, and how many of them are taken.
#[derive(Debug)]
pub struct Sums {
    buffer: BufferId,
    count: usize,
    taken: usize,
}

impl Sums {
    /// Room for `count` sums.
    pub fn new(tape: &mut Tape, count: usize) -> Self {
        let buffer = tape.buffer(SUMS, 4 * (HEADER + 2 * count) as u64);
        Self { buffer, count, taken: 0 }
    }

    /// How many sums are taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// The launch that adds rows `[n, columns]`, `per_example` rows an example, to the next sums.
    ///
    /// # Panics
    /// If there is no room for them.
    pub fn add(&mut self, tape: &mut Tape, rows: Operand, [n, columns]: [usize; 2], per_example: usize) -> Dispatch {
        let first = self.taken;
        self.taken += columns;
        assert!(self.taken <= self.count, "{} sums, there is room for {}", self.taken, self.count);
        let constants: Vec<(_, Constant)> = vec![
            ("N", n.into()),
            ("K", columns.into()),
            ("FIRST", first.into()),
            ("ROWS_PER_EXAMPLE", per_example.into()),
        ];
        let controls = Operand::from(tape.controls()).uniform();
        let bindings = vec![rows.read(), controls, Operand::from(self.buffer).write()];
        Kernels { shader: &SHADER, constants }.dispatch("add", bindings, [1, 1, 1])
    }
}

/// Sums as the host reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Examples seen.
    pub examples: u32,
    /// 1 + the first step with a loss that was not finite; 0 if there is none.
    pub halted: u32,
    /// Each sum: what comes after the point, in parts of 2^32, and the whole part.
    pub parts: Vec<[u32; 2]>,
}

impl Totals {
    /// All 0.
    pub fn zero(count: usize) -> Self {
        Self { parts: vec![[0; 2]; count], ..Self::default() }
    }

    /// Reads the words of the device's buffer.
    ///
    /// # Panics
    /// If there are fewer words than `count` sums take.
    pub fn of_words(words: &[u32], count: usize) -> Self {
        let parts = words[HEADER..][..2 * count].chunks_exact(2).map(|part| [part[0], part[1]]).collect();
        Self { examples: words[0], halted: words[1], parts }
    }

    /// The words of the device's buffer.
    pub fn words(&self) -> Vec<u32> {
        [self.examples, self.halted].into_iter().chain(self.parts.iter().flatten().copied()).collect()
    }

    /// The sums: exactly those of the passes' f32 sums but for what each has below 2^-32; none beyond 2^32.
    pub fn values(&self) -> Vec<f64> {
        let joined = |&[fraction, whole]: &[u32; 2]| f64::from(whole) + f64::from(fraction) / 4_294_967_296.0;
        self.parts.iter().map(joined).collect()
    }

    /// Whether a sum is full, so that its mean says nothing.
    pub fn is_full(&self) -> bool {
        self.parts.iter().any(|&[_, whole]| whole >= FULL)
    }
}
