//! Sums of losses and metrics over many steps, kept on the device until the host reads them.
//!
//! A loss writes rows `[N,K]`: the loss in the first column, metrics such as hits in the others.
//! [`Sums::add`] adds each column to a sum. The sums are fixed-point numbers, so it does not matter
//! how many passes are added between two reads. Several losses on one tape use consecutive sums.

use super::{Kernels, shader};
use crate::gpu::{Constant, Shader};
use crate::tape::{BufferId, Dispatch, Operand, Tape};
use serde::{Deserialize, Serialize};

/// `shaders/sums.wgsl`.
pub static SHADER: Shader = shader!("sums");

/// The name of the sums' buffer on a tape.
pub const SUMS: &str = "sums";

/// A sum whose whole part reaches this has overflowed. It is the largest f32 below 2^32, the most
/// that a pass adds.
const FULL: u32 = 4_294_967_040;

/// Words of the buffer in front of the sums: `examples` and `halted` of [`Totals`].
const HEADER: usize = 2;

/// The buffer of sums on a tape, and the number of sums in use.
#[derive(Debug)]
pub struct Sums {
    buffer: BufferId,
    count: usize,
    taken: usize,
}

impl Sums {
    /// Adds a buffer of `count` sums to a tape.
    pub fn new(tape: &mut Tape, count: usize) -> Self {
        let buffer = tape.buffer(SUMS, 4 * (HEADER + 2 * count) as u64);
        Self { buffer, count, taken: 0 }
    }

    /// Number of sums in use.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// A dispatch that adds the columns of `rows` `[n, columns]` to the next sums. An example has
    /// `per_example` rows.
    ///
    /// # Panics
    /// If there are too few sums.
    pub fn add(&mut self, tape: &mut Tape, rows: Operand, [n, columns]: [usize; 2], per_example: usize) -> Dispatch {
        let first = self.taken;
        self.taken += columns;
        assert!(self.taken <= self.count, "the losses need {} sums, the tape has {}", self.taken, self.count);
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

/// The sums, as read back to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Number of examples.
    pub examples: u32,
    /// 1 + the first step whose loss was not finite, or 0 if all were finite.
    pub halted: u32,
    /// Each sum as `[fraction, whole]`. Its value is whole + fraction / 2^32.
    pub parts: Vec<[u32; 2]>,
}

impl Totals {
    /// `count` sums, all 0.
    pub fn zero(count: usize) -> Self {
        Self { parts: vec![[0; 2]; count], ..Self::default() }
    }

    /// Decodes the words of the device's buffer.
    ///
    /// # Panics
    /// If there are too few words for `count` sums.
    pub fn of_words(words: &[u32], count: usize) -> Self {
        let parts = words[HEADER..][..2 * count].chunks_exact(2).map(|part| [part[0], part[1]]).collect();
        Self { examples: words[0], halted: words[1], parts }
    }

    /// Encodes the words of the device's buffer.
    pub fn words(&self) -> Vec<u32> {
        [self.examples, self.halted].into_iter().chain(self.parts.iter().flatten().copied()).collect()
    }

    /// The values of the sums. Each is the exact sum of the f32 sums of all passes, which are
    /// truncated to multiples of 2^-32. It saturates at 2^32.
    pub fn values(&self) -> Vec<f64> {
        let value = |&[fraction, whole]: &[u32; 2]| f64::from(whole) + f64::from(fraction) / 4_294_967_296.0;
        self.parts.iter().map(value).collect()
    }

    /// Whether a sum has overflowed, so that its mean is meaningless.
    pub fn is_full(&self) -> bool {
        self.parts.iter().any(|&[_, whole]| whole >= FULL)
    }
}
