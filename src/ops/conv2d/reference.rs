//! Reference implementation in f64.

use super::{Conv2dOptions, Geometry};

/// Calls `visit(i, j, k)` for each term `x[j] w[k]` of `y[i]`.
fn products(g: &Geometry, mut visit: impl FnMut(usize, usize, usize)) {
    let ([c, h, w], [o, oh, ow], [kh, kw]) = (g.input, g.output, g.kernel);
    let Conv2dOptions { stride: [sh, sw], padding: [ph, pw], groups } = g.options;
    let (c_group, o_group) = (c / groups, o / groups);
    for y in 0..g.n * o * oh * ow {
        let (image, out, row, column) = (y / (o * oh * ow), y / (oh * ow) % o, y / ow % oh, y % ow);
        for k in 0..c_group * kh * kw {
            let (channel, tap_row, tap_column) = (k / (kh * kw), k / kw % kh, k % kw);
            let at_row = (row * sh + tap_row).wrapping_sub(ph);
            let at_column = (column * sw + tap_column).wrapping_sub(pw);
            if at_row < h && at_column < w {
                let plane = image * c + out / o_group * c_group + channel;
                visit(y, (plane * h + at_row) * w + at_column, out * c_group * kh * kw + k);
            }
        }
    }
}

/// y.
pub fn forward(x: &[f64], w: &[f64], bias: Option<&[f64]>, g: &Geometry) -> Vec<f64> {
    let [o, oh, ow] = g.output;
    let bias_at = |y: usize| bias.map_or(0.0, |bias| bias[y / (oh * ow) % o]);
    let mut result: Vec<f64> = (0..g.n * o * oh * ow).map(bias_at).collect();
    products(g, |y, at, k| result[y] += x[at] * w[k]);
    result
}

/// (dx, dw, dbias).
pub fn backward(x: &[f64], w: &[f64], dy: &[f64], g: &Geometry) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let [o, oh, ow] = g.output;
    let (mut dx, mut dw, mut dbias) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; o]);
    products(g, |y, at, k| {
        dx[at] += dy[y] * w[k];
        dw[k] += dy[y] * x[at];
    });
    dy.iter().enumerate().for_each(|(y, g)| dbias[y / (oh * ow) % o] += g);
    (dx, dw, dbias)
}
