//! c = a b: products of matrices, or of batches of them, whose axes lie in memory in any order.
//!
//! An equation in the notation of einsum names the axes: `bthd,bshd->bhts` is `c[b,h,t,s]` = sum over d of `a[b,t,h,d]` `b[b,s,h,d]`, the
//! scores of attention. An axis of all three is one of the batch, of which there are two at most; a and c share one (M), b and c one (N),
//! a and b the one that is summed over (K). Each may be missing. The kernels read and write every operand where it lies, by strides.
//! da and db are products too: of the equations `c,b->a` and `c,a->b`.

mod equation;
pub mod reference;

use super::{Kernels, LANES, shader};
use crate::gpu::{Constant, Shader};
use crate::tape::{Dispatch, Operand, Record, Tape, Target, Var, Variant, linear_grid};
use crate::tensor::Shape;
pub(crate) use equation::Equation;

/// `shaders/product.wgsl`.
pub static SHADER: Shader = shader!("product");

/// `shaders/product_wide.wgsl`.
pub static WIDE_SHADER: Shader = shader!("product_wide");

/// `shaders/product_shared.wgsl`.
pub static SHARED_SHADER: Shader = shader!("product_shared");

/// Outputs along each side of an invocation's tile; `TILE` in the shader.
pub const TILE: usize = 8;

/// Rows of a workgroup of the wide kernel.
pub const WIDE_ROWS: usize = 32;
/// Columns of a workgroup of the wide kernel.
pub const WIDE_COLUMNS: usize = 32;

/// Rows of a workgroup of the kernel with shared tiles. On GPUs it is usual where the result fills one.
const SHARED_ROWS: usize = 32;
/// Columns of a workgroup of the kernel with shared tiles.
const SHARED_COLUMNS: usize = 128;

/// Multiply-adds from which on the wide kernel is worth the 0.4 s that a processor's driver takes to compile it (Mesa llvmpipe).
const WIDE_WORK: usize = 1 << 22;

/// How far apart the elements of an operand lie: along the two axes of the batch, then along the two of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Strides([usize; 4]);

impl Strides {
    /// Those of these axes, each of which may be missing, in an operand that lies contiguously in memory.
    fn of(axes: [Option<char>; 4], operand: &[char], extent: impl Fn(&char) -> usize) -> Self {
        let stride = |axis: char| {
            let at = operand.iter().position(|&other| other == axis).expect("an axis of this operand");
            operand[at + 1..].iter().map(&extent).product()
        };
        Self(axes.map(|axis| axis.map_or(0, stride)))
    }

    /// Whether whole vec4 can be read: one stride of the matrix is 1, all others are multiples of 4.
    fn in_quads(&self) -> bool {
        let Self([p, q, row, column]) = *self;
        let matrix = |one: usize, other: usize| one == 1 && other.is_multiple_of(4);
        p.is_multiple_of(4) && q.is_multiple_of(4) && (matrix(row, column) || matrix(column, row))
    }
}

/// What the kernels compute: C(p,q,m,n) = sum over k of A(p,q,m,k) B(p,q,k,n).
#[derive(Debug)]
pub(super) struct Product {
    /// P and Q.
    batch: [usize; 2],
    /// M, N and K.
    extent: [usize; 3],
    /// Of A, B and C.
    strides: [Strides; 3],
    /// Whether A is the second operand of the equation, and B the first.
    swapped: bool,
}

impl Product {
    /// The product that `equation` describes, of operands of these shapes.
    ///
    /// # Panics
    /// Naming `user`, where a shape does not fit, or there are more axes of a kind than the kernels have.
    pub(super) fn new(user: &str, equation: &Equation, [a, b]: [&Shape; 2]) -> Self {
        let extents = equation.extents(user, a, b);
        let [a, b, c] = equation.axes();
        // The kernels store neighbours along N: the last axis of c is one of B where it can be.
        let swapped = c.last().is_some_and(|axis| !b.contains(axis));
        let [a, b] = if swapped { [b, a] } else { [a, b] };
        let extent = |axis: &char| extents[axis];
        let axes = |kind: &str, most: usize, is_in: [bool; 3]| {
            let of_kind = |axis: &&char| [a, b, c].map(|operand| operand.contains(axis)) == is_in;
            let found: Vec<char> = if is_in[2] { c } else { a }.iter().filter(of_kind).copied().collect();
            assert!(
                found.len() <= most,
                "{user}: {equation} has {} axes {kind}, and a product has {most} at most; merge adjacent axes with a view",
                found.len()
            );
            found
        };
        let batch = axes("of the batch", 2, [true, true, true]);
        let [p, q] = [batch.len().checked_sub(2).map(|i| batch[i]), batch.last().copied()];
        let [m, n, k] = [
            axes("of the first operand and the result", 1, [true, false, true]),
            axes("of the second operand and the result", 1, [false, true, true]),
            axes("that are summed over", 1, [true, true, false]),
        ]
        .map(|axes| axes.first().copied());
        let extent_of = |axis: Option<char>| axis.as_ref().map_or(1, extent);
        Self {
            batch: [p, q].map(extent_of),
            extent: [m, n, k].map(extent_of),
            strides: [
                Strides::of([p, q, m, k], a, extent),
                Strides::of([p, q, k, n], b, extent),
                Strides::of([p, q, m, n], c, extent),
            ],
            swapped,
        }
    }

    /// M, N and K.
    pub(super) fn extent(&self) -> [usize; 3] {
        self.extent
    }

    /// Whether the wide kernel applies: it reads and writes whole vec4, and takes four k at a time.
    fn is_wide(&self) -> bool {
        let ([m, n, k], [a, b, c]) = (self.extent, self.strides);
        // A single matrix whose rows are A(k) ends with the last k: what is read beyond it is 0.
        let a_ends_with_k = self.batch == [1, 1] && a.0[2..] == [1, m];
        let stores = c.in_quads() && c.0[3] == 1;
        a.in_quads() && b.in_quads() && stores && n.is_multiple_of(4) && (k.is_multiple_of(4) || a_ends_with_k)
    }

    fn kernels(&self, shader: &'static Shader, bias: bool) -> Kernels {
        let ([p, q], [m, n, k]) = (self.batch, self.extent);
        let sizes = [("BATCH", p * q), ("Q", q), ("M", m), ("N", n), ("K", k)];
        let names = [["A_P", "A_Q", "A_M", "A_K"], ["B_P", "B_Q", "B_K", "B_N"], ["C_P", "C_Q", "C_M", "C_N"]];
        let strides = names.into_iter().zip(self.strides).flat_map(|(names, strides)| names.into_iter().zip(strides.0));
        let sizes = sizes.into_iter().chain(strides).map(|(name, size)| (name, Constant::from(size)));
        Kernels { shader, constants: sizes.chain([("BIAS", bias.into())]).collect() }
    }

    /// Variants that apply, the target's usual one first.
    fn variants(&self, target: Target) -> Vec<Variant> {
        let [m, n, _] = self.extent;
        let order = match target {
            Target::Processor if self.multiply_adds() >= WIDE_WORK => {
                [Variant::Wide, Variant::Registers, Variant::Shared]
            }
            Target::Gpu if m >= SHARED_ROWS && n >= SHARED_COLUMNS => {
                [Variant::Shared, Variant::Registers, Variant::Wide]
            }
            _ => [Variant::Registers, Variant::Wide, Variant::Shared],
        };
        order.into_iter().filter(|&variant| variant != Variant::Wide || self.is_wide()).collect()
    }

    fn multiply_adds(&self) -> usize {
        self.batch.iter().chain(&self.extent).product()
    }

    /// Computes c from a and b, and a bias `[N]` where there is one, by the variant in force for `task`.
    pub(super) fn dispatch(
        &self,
        tape: &mut Tape,
        task: String,
        [a, b]: [Operand; 2],
        c: Operand,
        bias: Option<Operand>,
    ) -> Dispatch {
        let [m, n, _] = self.extent;
        let (task, variant) = tape.choose(task, self.variants(tape.target()));
        let tiles =
            |rows: usize, columns: usize| self.batch[0] * self.batch[1] * m.div_ceil(rows) * n.div_ceil(columns);
        let (shader, grid) = match variant {
            Variant::Wide => (&WIDE_SHADER, linear_grid(tiles(WIDE_ROWS, WIDE_COLUMNS), 1)),
            Variant::Shared => (&SHARED_SHADER, linear_grid(tiles(SHARED_ROWS, SHARED_COLUMNS), 1)),
            Variant::Registers | Variant::Depthwise => (&SHADER, linear_grid(tiles(TILE, TILE), LANES)),
        };
        let [a, b] = if self.swapped { [b, a] } else { [a, b] };
        // Where there is no bias, b stands at its binding unread.
        let bindings = vec![a.read(), b.read(), c.write(), bias.unwrap_or(b).read()];
        let kernels = self.kernels(shader, bias.is_some());
        kernels.dispatch("product", bindings, grid).with_work(self.multiply_adds()).of_tunable(task)
    }
}

/// Appends c = a b, with the axes that `equation` names: `bmk,bkn->bmn` is a batch of plain products, `bthd,bshd->bhts` the scores of
/// attention over t and s, b and h being the batch.
///
/// # Panics
/// Where the equation is malformed, a shape does not fit it, or it has more axes of a kind than the module says.
pub fn product(tape: &mut Tape, name: &str, equation: &str, a: Var, b: Var) -> Var {
    let equation = Equation::parse(name, equation);
    let shapes = [a, b].map(|operand| tape.shape(operand).clone());
    let c_shape = equation.shape(name, &shapes[0], &shapes[1]);
    let c = tape.result(name, c_shape.clone(), &[a, b], false);
    let part = |tape: &mut Tape, equation: &Equation, operands: [Operand; 2], shapes: [&Shape; 2], to: Operand| {
        let task = format!("product {equation} {} x {}", shapes[0], shapes[1]);
        Product::new(name, equation, shapes).dispatch(tape, task, operands, to, None)
    };
    let forward = vec![part(tape, &equation, [a.into(), b.into()], shapes.each_ref(), c.into())];
    let mut backward = vec![];
    let dc = Operand::Gradient(c);
    if tape.needs_gradient(a) {
        backward.push(part(tape, &equation.of_da(), [dc, b.into()], [&c_shape, &shapes[1]], Operand::Gradient(a)));
    }
    if tape.needs_gradient(b) {
        backward.push(part(tape, &equation.of_db(), [dc, a.into()], [&c_shape, &shapes[0]], Operand::Gradient(b)));
    }
    tape.record(Record { name: name.into(), op: "product", result: Some(c), forward, backward });
    c
}
