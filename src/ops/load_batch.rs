//! From packed bytes to normalised images: `x[n,c,h,w]` = (byte / 255 - `mean[c]`) / `std[c]`, after a shifted crop and a flip that
//! each image's draw decides. A byte outside the image counts as 0 (black).

use super::{Kernels, LANES, shader};
use crate::gpu::{Constant, Shader};
use crate::tape::{BufferId, Operand, Record, Tape, Var, linear_grid};

/// `shaders/load_batch.wgsl`.
pub static SHADER: Shader = shader!("load_batch");

/// Words (u32) of a batch of `images` `[N,C,H,W]`: N labels, N draws, then the bytes, four to a word.
pub fn batch_words([n, c, h, w]: [usize; 4]) -> usize {
    2 * n + (n * c * h * w).div_ceil(4)
}

/// Appends the loading of images `[N,C,H,W]` from the host-written buffer `batch`.
///
/// # Panics
/// If there is not one mean and one standard deviation per channel.
pub fn load_batch(tape: &mut Tape, name: &str, batch: BufferId, images: [usize; 4], mean: &[f32], std: &[f32]) -> Var {
    let [n, c, h, w] = images;
    assert!(mean.len() == c && std.len() == c, "{name}: {c} channels need {c} means and deviations");
    let constants = vec![
        ("N", n.into()),
        ("C", c.into()),
        ("H", h.into()),
        ("W", w.into()),
        ("MEAN", Constant::Table(mean.to_vec())),
        ("STD", Constant::Table(std.to_vec())),
    ];
    let x = tape.leaf(name, images, false);
    let kernels = Kernels { shader: &SHADER, constants };
    let bindings = vec![Operand::from(batch).read(), Operand::from(x).write()];
    let elements = n * c * h * w;
    let (entry, count) = match w.is_multiple_of(4) {
        true => ("forward_quads", elements / 4),
        false => ("forward", elements),
    };
    let forward = vec![kernels.dispatch(entry, bindings, linear_grid(count, LANES))];
    tape.record(Record { name: name.into(), op: "load_batch", result: Some(x), forward, backward: vec![] });
    x
}

/// The same in f64.
pub mod reference {
    /// One image `[C,H,W]` of bytes as numbers, under its draw.
    pub fn forward(bytes: &[u8], [c, h, w]: [usize; 3], draw: u32, mean: &[f32], std: &[f32]) -> Vec<f64> {
        let (flip, dx, dy) = (draw & 1 == 1, (draw >> 8 & 255) as isize - 128, (draw >> 16 & 255) as isize - 128);
        let element = |i: usize| {
            let (channel, row, column) = (i / (h * w), i / w % h, i % w);
            let column = if flip { w - 1 - column } else { column };
            let (row, column) = (row.wrapping_add_signed(dy), column.wrapping_add_signed(dx));
            let inside = row < h && column < w;
            let byte = if inside { f64::from(bytes[(channel * h + row) * w + column]) } else { 0.0 };
            (byte / 255.0 - f64::from(mean[channel])) / f64::from(std[channel])
        };
        (0..c * h * w).map(element).collect()
    }
}
