//! LSTM in f64, one direction.

/// Extents and direction.
#[derive(Clone, Copy, Debug)]
pub struct Of<'a> {
    /// N, T, C and H.
    pub extent: [usize; 4],
    /// Number of positions of each example that are not padding; if empty, all are.
    pub lengths: &'a [u32],
    /// Whether this is the reverse direction.
    pub reverse: bool,
}

impl Of<'_> {
    fn length(&self, n: usize) -> usize {
        let [_, t, ..] = self.extent;
        self.lengths.get(n).map_or(t, |&length| t.min(length as usize))
    }

    /// The positions of example `n`, in order of its steps.
    fn positions(&self, n: usize) -> Vec<usize> {
        let steps = 0..self.length(n);
        if self.reverse { steps.rev().collect() } else { steps.collect() }
    }
}

fn sigmoid(a: f64) -> f64 {
    1.0 / (1.0 + (-a).exp())
}

/// A step of one example: its position, h and c before it, its gates, and c after it.
struct Step {
    position: usize,
    h: Vec<f64>,
    c: Vec<f64>,
    gates: Vec<[f64; 4]>,
    c_after: Vec<f64>,
}

/// The steps of example `n`, from x, W_ih, W_hh, b_ih and b_hh.
fn steps(v: &[&[f64]], of: &Of<'_>, n: usize) -> Vec<Step> {
    let [_, t, width, hidden] = of.extent;
    let (mut h, mut c) = (vec![0.0; hidden], vec![0.0; hidden]);
    let step = |position: usize| {
        let x = &v[0][(n * t + position) * width..][..width];
        let dot = |w: &[f64], row: usize, x: &[f64]| {
            w[row * x.len()..][..x.len()].iter().zip(x).map(|(w, x)| w * x).sum::<f64>()
        };
        let a = |row: usize| dot(v[1], row, x) + v[3][row] + dot(v[2], row, &h) + v[4][row];
        let gates: Vec<[f64; 4]> = (0..hidden)
            .map(|j| [0, 1, 2, 3].map(|gate| a(gate * hidden + j)))
            .map(|[i, f, g, o]| [sigmoid(i), sigmoid(f), g.tanh(), sigmoid(o)])
            .collect();
        let c_after: Vec<f64> = gates.iter().zip(&c).map(|([i, f, g, _], c)| f * c + i * g).collect();
        let h_after = gates.iter().zip(&c_after).map(|([.., o], c)| o * c.tanh()).collect();
        let step = Step { position, h: std::mem::replace(&mut h, h_after), c: c.clone(), gates, c_after };
        c.clone_from(&step.c_after);
        step
    };
    of.positions(n).into_iter().map(step).collect()
}

/// y `[N,T,H]` of x, W_ih, W_hh, b_ih and b_hh.
pub fn forward(v: &[&[f64]], of: &Of<'_>) -> Vec<f64> {
    let [n, t, _, hidden] = of.extent;
    let mut y = vec![0.0; n * t * hidden];
    for n in 0..n {
        for step in steps(v, of, n) {
            for (j, [.., o]) in step.gates.iter().enumerate() {
                y[(n * t + step.position) * hidden + j] = o * step.c_after[j].tanh();
            }
        }
    }
    y
}

/// The gradients of x, W_ih, W_hh, b_ih and b_hh.
pub fn backward(v: &[&[f64]], dy: &[f64], of: &Of<'_>) -> Vec<Vec<f64>> {
    let [examples, t, width, hidden] = of.extent;
    let mut gradients: Vec<Vec<f64>> = v.iter().map(|operand| vec![0.0; operand.len()]).collect();
    for n in 0..examples {
        let (mut dh, mut dc) = (vec![0.0; hidden], vec![0.0; hidden]);
        for step in steps(v, of, n).iter().rev() {
            let row = n * t + step.position;
            let mut da = vec![0.0; 4 * hidden];
            for (j, &[i, f, g, o]) in step.gates.iter().enumerate() {
                let tanh = step.c_after[j].tanh();
                let dh = dh[j] + dy[row * hidden + j];
                dc[j] += dh * o * (1.0 - tanh * tanh);
                da[j] = dc[j] * g * i * (1.0 - i);
                da[hidden + j] = dc[j] * step.c[j] * f * (1.0 - f);
                da[2 * hidden + j] = dc[j] * i * (1.0 - g * g);
                da[3 * hidden + j] = dh * tanh * o * (1.0 - o);
                dc[j] *= f;
            }
            dh = vec![0.0; hidden];
            for (gate, a) in da.iter().enumerate() {
                for k in 0..width {
                    gradients[0][row * width + k] += a * v[1][gate * width + k];
                    gradients[1][gate * width + k] += a * v[0][row * width + k];
                }
                for k in 0..hidden {
                    dh[k] += a * v[2][gate * hidden + k];
                    gradients[2][gate * hidden + k] += a * step.h[k];
                }
                gradients[3][gate] += a;
                gradients[4][gate] += a;
            }
        }
    }
    gradients
}

/// The indices in `[N,T,directions*H]` of h after the last step of each direction; `None` for an
/// example of length 0.
pub fn last(of: &Of<'_>, directions: usize) -> Vec<Option<usize>> {
    let [n, t, _, hidden] = of.extent;
    let width = directions * hidden;
    let place = |i: usize| {
        let (n, j) = (i / width, i % width);
        let end = of.length(n).checked_sub(1)?;
        Some((n * t + if j < hidden { end } else { 0 }) * width + j)
    };
    (0..n * width).map(place).collect()
}
