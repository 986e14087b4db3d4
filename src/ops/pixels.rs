//! Converts packed bytes to normalised images: `x[n,c,h,w]` = (byte / 255 - `mean[c]`) / `std[c]`.
//!
//! Each image is first shifted and flipped as its movement word determines. Pixels from outside the
//! image are 0 (black).

use super::{Kernels, LANES, shader};
use crate::gpu::{Constant, Shader};
use crate::tape::{Operand, Record, Tape, Var, linear_grid};

/// `shaders/pixels.wgsl`.
pub static SHADER: Shader = shader!("pixels");

/// The images to load.
#[derive(Clone, Copy, Debug)]
pub struct PixelSource<'a> {
    /// N images of C*H*W bytes, each padded to whole 32-bit words.
    pub bytes: Operand,
    /// A word per image: its flip and shift (`shaders/pixels.wgsl`). `None` moves no image.
    pub movements: Option<Operand>,
    /// Mean of each channel, on a scale from 0 to 1.
    pub mean: &'a [f32],
    /// Standard deviation of each channel, on a scale from 0 to 1.
    pub std: &'a [f32],
}

/// Appends the loading of images `[N,C,H,W]`.
///
/// # Panics
/// If the number of means or standard deviations is not that of the channels.
pub fn pixels(tape: &mut Tape, name: &str, source: PixelSource<'_>, images: [usize; 4]) -> Var {
    let [n, c, h, w] = images;
    let PixelSource { bytes, movements, mean, std } = source;
    assert!(mean.len() == c && std.len() == c, "{name}: {c} channels need {c} means and deviations");
    let constants = vec![
        ("N", n.into()),
        ("C", c.into()),
        ("H", h.into()),
        ("W", w.into()),
        ("WORDS", (c * h * w).div_ceil(4).into()),
        ("MOVED", movements.is_some().into()),
        ("MEAN", Constant::Table(mean.to_vec())),
        ("STD", Constant::Table(std.to_vec())),
    ];
    let x = tape.leaf(name, images, false);
    let kernels = Kernels { shader: &SHADER, constants };
    // Without movements, the bytes are bound in their place and not read.
    let bindings = vec![bytes.read(), movements.unwrap_or(bytes).read(), Operand::from(x).write()];
    let elements = n * c * h * w;
    let (entry, count) = match w.is_multiple_of(4) {
        true => ("forward_quads", elements / 4),
        false => ("forward", elements),
    };
    let forward = vec![kernels.dispatch(entry, bindings, linear_grid(count, LANES))];
    tape.record(Record { name: name.into(), op: "pixels", result: Some(x), forward, backward: vec![] });
    let numbers = |of: &[f32]| of.iter().map(|&value| value.into()).collect();
    tape.node_with(&[], vec![("mean", numbers(mean)), ("std", numbers(std))], String::new());
    x
}

/// Reference implementation in f64.
pub mod reference {
    /// One normalised image `[C,H,W]`, shifted and flipped.
    pub fn forward(bytes: &[u8], [c, h, w]: [usize; 3], movement: u32, mean: &[f32], std: &[f32]) -> Vec<f64> {
        let (flip, dx, dy) =
            (movement & 1 == 1, (movement >> 8 & 255) as isize - 128, (movement >> 16 & 255) as isize - 128);
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
