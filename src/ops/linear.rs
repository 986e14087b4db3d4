//! y = x w^T + bias, with x `[N,C]` (further dimensions are taken together as C), w `[O,C]`, bias `[O]`, y `[N,O]`.
//! dx = dy w, dw = dy^T x, dbias = sum over n of dy.

use super::{Kernels, LANES, shader};
use crate::gpu::{Constant, Shader};
use crate::tape::{Dispatch, Mode, Operand, ParamId, Record, Tape, Target, Var, Variant, linear_grid};

/// `shaders/linear.wgsl`.
pub static SHADER: Shader = shader!("linear");

/// `shaders/linear_wide.wgsl`.
pub static WIDE_SHADER: Shader = shader!("linear_wide");

/// `shaders/linear_shared.wgsl`.
pub static SHARED_SHADER: Shader = shader!("linear_shared");

/// Outputs along each side of an invocation's tile; `TILE` in the shader.
pub const TILE: usize = 8;

/// Rows of a workgroup of the wide kernel.
pub const WIDE_ROWS: usize = 32;
/// Columns of a workgroup of the wide kernel.
pub const WIDE_COLUMNS: usize = 32;

/// Rows and columns of a workgroup of the kernel with shared tiles. On GPUs it is usual where the result fills one.
const SHARED_ROWS: usize = 32;
const SHARED_COLUMNS: usize = 128;

/// Multiply-adds from which on the wide kernel is worth the 0.4 s that a processor's driver takes to compile it (Mesa llvmpipe).
const WIDE_WORK: usize = 1 << 22;

/// A product c `[M,N]` = sum over K, with the strides at which its operands are read, and whether a bias is added.
struct Product {
    bias: bool,
    extent: [usize; 3],
    a_strides: [usize; 2],
    b_strides: [usize; 2],
}

impl Product {
    /// Whether the wide kernel applies: it reads and writes whole vec4.
    fn is_wide(&self) -> bool {
        let n = self.extent[1];
        let vectors = |[m, n]: [usize; 2]| (m == 1 && n.is_multiple_of(4)) || (n == 1 && m.is_multiple_of(4));
        vectors(self.a_strides) && vectors(self.b_strides) && n.is_multiple_of(4)
    }

    fn kernels(&self, shader: &'static Shader) -> Kernels {
        let [m, n, k] = self.extent;
        let constants: Vec<(_, Constant)> = vec![
            ("M", m.into()),
            ("N", n.into()),
            ("K", k.into()),
            ("A_M", self.a_strides[0].into()),
            ("A_K", self.a_strides[1].into()),
            ("B_K", self.b_strides[0].into()),
            ("B_N", self.b_strides[1].into()),
            ("BIAS", self.bias.into()),
        ];
        Kernels { shader, constants }
    }

    /// Variants that apply, the target's usual one first.
    fn variants(&self, target: Target) -> Vec<Variant> {
        let [m, n, k] = self.extent;
        let order = match target {
            Target::Processor if m * n * k >= WIDE_WORK => [Variant::Wide, Variant::Registers, Variant::Shared],
            Target::Gpu if m >= SHARED_ROWS && n >= SHARED_COLUMNS => {
                [Variant::Shared, Variant::Registers, Variant::Wide]
            }
            _ => [Variant::Registers, Variant::Wide, Variant::Shared],
        };
        order.into_iter().filter(|&variant| variant != Variant::Wide || self.is_wide()).collect()
    }

    /// Computes c from a and b, by the variant in force for this `part` of the layer; where there is no bias, b stands at its binding
    /// unread.
    fn dispatch(&self, tape: &mut Tape, part: &str, a: Operand, b: Operand, c: Operand, bias: Operand) -> Dispatch {
        let [m, n, k] = self.extent;
        let (task, variant) = tape.choose(format!("linear {part} [{m},{k}] x [{k},{n}]"), self.variants(tape.target()));
        let tiles = |rows: usize, columns: usize| m.div_ceil(rows) * n.div_ceil(columns);
        let (shader, grid) = match variant {
            Variant::Wide => (&WIDE_SHADER, linear_grid(tiles(WIDE_ROWS, WIDE_COLUMNS), 1)),
            Variant::Shared => (&SHARED_SHADER, linear_grid(tiles(SHARED_ROWS, SHARED_COLUMNS), 1)),
            Variant::Registers | Variant::Depthwise => (&SHADER, linear_grid(tiles(TILE, TILE), LANES)),
        };
        let bindings = vec![a.read(), b.read(), c.write(), bias.read()];
        self.kernels(shader).dispatch("product", bindings, grid).with_work(m * n * k).of_task(task)
    }
}

/// Appends y = x w^T + bias.
///
/// # Panics
/// If the shapes do not fit.
pub fn linear(tape: &mut Tape, name: &str, x: Var, w: ParamId, bias: ParamId) -> Var {
    let [n, c] = tape.shape(x).rows();
    let (weight, biases) = (tape.declared(w).shape.clone(), tape.declared(bias).shape.clone());
    let &[o, wc] = weight.dims() else { panic!("{name}: expected w [O,C], found {weight}") };
    assert!(c == wc, "{name}: C is {c} in x {} but {wc} in w {weight}", tape.shape(x));
    assert!(biases.dims() == [o], "{name}: O is {o} in w {weight} but bias is {biases}");
    let y = tape.result(name, [n, o], &[x], true);

    let forward = Product { bias: true, extent: [n, o, c], a_strides: [c, 1], b_strides: [1, c] };
    let forward = vec![forward.dispatch(tape, "forward", x.into(), w.into(), y.into(), bias.into())];

    let mut backward = vec![];
    if tape.mode() == Mode::Train {
        let dy = Operand::Gradient(y);
        let of_w = Product { bias: false, extent: [o, c, n], a_strides: [1, o], b_strides: [c, 1] };
        backward.push(of_w.dispatch(tape, "dw", dy, x.into(), Operand::ParameterGradient(w), x.into()));
        // The bias kernel reads `a` as [M,N] and writes `c`; `b` stands at its binding unread.
        let of_bias = Product { bias: false, extent: [n, o, 1], a_strides: [o, 1], b_strides: [1, 1] };
        let bindings = vec![dy.read(), Operand::from(w).read(), Operand::ParameterGradient(bias).write()];
        backward.push(of_bias.kernels(&SHADER).dispatch("backward_bias", bindings, [o.div_ceil(LANES) as u32, 1, 1]));
        if tape.needs_gradient(x) {
            let of_x = Product { bias: false, extent: [n, c, o], a_strides: [o, 1], b_strides: [c, 1] };
            backward.push(of_x.dispatch(tape, "dx", dy, w.into(), Operand::Gradient(x), w.into()));
        }
    }
    tape.record(Record { name: name.into(), op: "linear", result: Some(y), forward, backward });
    y
}

/// The same in f64.
pub mod reference {
    /// y of x `[n,c]`, w `[o,c]`, bias `[o]`.
    pub fn forward(x: &[f64], w: &[f64], bias: &[f64], [n, c, o]: [usize; 3]) -> Vec<f64> {
        let dot = |n: usize, o: usize| (0..c).map(|k| x[n * c + k] * w[o * c + k]).sum::<f64>();
        (0..n * o).map(|i| dot(i / o, i % o) + bias[i % o]).collect()
    }

    /// (dx, dw, dbias).
    pub fn backward(x: &[f64], w: &[f64], dy: &[f64], [n, c, o]: [usize; 3]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let mut dx = vec![0.0; n * c];
        let mut dw = vec![0.0; o * c];
        let mut dbias = vec![0.0; o];
        for (i, g) in dy.iter().enumerate() {
            let (row, out) = (i / o, i % o);
            dbias[out] += g;
            for k in 0..c {
                dx[row * c + k] += g * w[out * c + k];
                dw[out * c + k] += g * x[row * c + k];
            }
        }
        (dx, dw, dbias)
    }
}
