//! Matrix products c = a b, batched or not, with axes in any order.
//!
//! An equation in the notation of einsum names the axes: `bthd,bshd->bhts` is `c[b,h,t,s]` = sum
//! over d of `a[b,t,h,d]` `b[b,s,h,d]`, the scores of attention. An axis can be
//! - in all three: a batch axis, at most two (P, Q);
//! - in a and c: M, at most one;
//! - in b and c: N, at most one;
//! - in a and b: K, at most one, which is summed over.
//!
//! The kernels access the operands by strides, so nothing is transposed in memory. da and db are
//! products too, with the equations `c,b->a` and `c,a->b`.

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

/// Extent of an invocation's tile of c, `TILE` in the shader.
pub const TILE: usize = 8;

/// Rows of c per workgroup of the wide kernel.
pub const WIDE_ROWS: usize = 32;
/// Columns of c per workgroup of the wide kernel.
pub const WIDE_COLUMNS: usize = 32;

/// Rows of c per workgroup of the shared kernel, the default on GPUs if c has at least one full
/// tile.
const SHARED_ROWS: usize = 32;
/// Columns of c per workgroup of the shared kernel.
const SHARED_COLUMNS: usize = 128;

/// On processors, the wide kernel is the default from this many multiply-adds on. Smaller products
/// do not make up for the 0.4 s that Mesa's llvmpipe takes to compile it.
const MIN_WIDE_MULTIPLY_ADDS: usize = 1 << 22;

/// Strides of an operand: along the two batch axes, then along the two axes of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Strides([usize; 4]);

impl Strides {
    /// The strides along `axes` of a contiguous operand. A missing axis has stride 0.
    fn of(axes: [Option<char>; 4], operand: &[char], extent: impl Fn(&char) -> usize) -> Self {
        let stride = |axis: char| {
            let at = operand.iter().position(|&other| other == axis).expect("an axis of this operand");
            operand[at + 1..].iter().map(&extent).product()
        };
        Self(axes.map(|axis| axis.map_or(0, stride)))
    }

    /// Whether the operand can be read as vec4: one stride of the matrix is 1, all others are
    /// multiples of 4.
    fn is_vec4(&self) -> bool {
        let Self([p, q, row, column]) = *self;
        let matrix = |one: usize, other: usize| one == 1 && other.is_multiple_of(4);
        p.is_multiple_of(4) && q.is_multiple_of(4) && (matrix(row, column) || matrix(column, row))
    }
}

/// The form that the kernels compute: C(p,q,m,n) = sum over k of A(p,q,m,k) B(p,q,k,n).
#[derive(Debug)]
pub(super) struct Product {
    /// P and Q.
    batch: [usize; 2],
    /// M, N and K.
    extent: [usize; 3],
    /// Strides of A, B and C.
    strides: [Strides; 3],
    /// Whether A is the equation's second operand, and B its first.
    swapped: bool,
}

impl Product {
    /// The product of operands of these shapes by `equation`.
    ///
    /// # Panics
    /// If a shape does not match, or the equation has too many axes of a kind. The message names
    /// `user`.
    pub(super) fn new(user: &str, equation: &Equation, [a, b]: [&Shape; 2]) -> Self {
        let extents = equation.extents(user, a, b);
        let [a, b, c] = equation.axes();
        // The kernels store consecutive elements along N. So the last axis of c should be one of B.
        let swapped = c.last().is_some_and(|axis| !b.contains(axis));
        let [a, b] = if swapped { [b, a] } else { [a, b] };
        let extent = |axis: &char| extents[axis];
        let axes = |kind: &str, limit: usize, is_in: [bool; 3]| {
            let of_kind = |axis: &&char| [a, b, c].map(|operand| operand.contains(axis)) == is_in;
            let found: Vec<char> = if is_in[2] { c } else { a }.iter().filter(of_kind).copied().collect();
            assert!(
                found.len() <= limit,
                "{user}: {equation} has {} axes {kind}, but at most {limit} is supported; merge adjacent axes with a view",
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

    /// Whether the wide kernel applies. It reads and writes vec4, and processes four k at a time.
    fn supports_wide(&self) -> bool {
        let ([m, n, k], [a, b, c]) = (self.extent, self.strides);
        // If A is one matrix with K as its outer axis, a read with k >= K is out of range, and
        // gives 0.
        let zero_past_k = self.batch == [1, 1] && a.0[2..] == [1, m];
        let stores_vec4 = c.is_vec4() && c.0[3] == 1;
        a.is_vec4() && b.is_vec4() && stores_vec4 && n.is_multiple_of(4) && (k.is_multiple_of(4) || zero_past_k)
    }

    fn kernels(&self, shader: &'static Shader, bias: bool) -> Kernels {
        let ([p, q], [m, n, k]) = (self.batch, self.extent);
        let sizes = [("BATCH", p * q), ("Q", q), ("M", m), ("N", n), ("K", k)];
        let names = [["A_P", "A_Q", "A_M", "A_K"], ["B_P", "B_Q", "B_K", "B_N"], ["C_P", "C_Q", "C_M", "C_N"]];
        let strides = names.into_iter().zip(self.strides).flat_map(|(names, strides)| names.into_iter().zip(strides.0));
        let sizes = sizes.into_iter().chain(strides).map(|(name, size)| (name, Constant::from(size)));
        Kernels { shader, constants: sizes.chain([("BIAS", bias.into())]).collect() }
    }

    /// The variants that apply, the target's default first.
    fn variants(&self, target: Target) -> Vec<Variant> {
        let [m, n, _] = self.extent;
        let order = match target {
            Target::Processor if self.multiply_adds() >= MIN_WIDE_MULTIPLY_ADDS => {
                [Variant::Wide, Variant::Registers, Variant::Shared]
            }
            Target::Gpu if m >= SHARED_ROWS && n >= SHARED_COLUMNS => {
                [Variant::Shared, Variant::Registers, Variant::Wide]
            }
            _ => [Variant::Registers, Variant::Wide, Variant::Shared],
        };
        order.into_iter().filter(|&variant| variant != Variant::Wide || self.supports_wide()).collect()
    }

    fn multiply_adds(&self) -> usize {
        self.batch.iter().chain(&self.extent).product()
    }

    /// A dispatch that computes c from a and b, plus a bias `[N]` if given. `op` is the name of the
    /// tunable operation, for which the tape chooses the variant.
    pub(super) fn dispatch(
        &self,
        tape: &mut Tape,
        op: String,
        [a, b]: [Operand; 2],
        c: Operand,
        bias: Option<Operand>,
    ) -> Dispatch {
        let [m, n, _] = self.extent;
        let (op, variant) = tape.choose(op, self.variants(tape.target()));
        let tiles =
            |rows: usize, columns: usize| self.batch[0] * self.batch[1] * m.div_ceil(rows) * n.div_ceil(columns);
        let (shader, grid) = match variant {
            Variant::Wide => (&WIDE_SHADER, linear_grid(tiles(WIDE_ROWS, WIDE_COLUMNS), 1)),
            Variant::Shared => (&SHARED_SHADER, linear_grid(tiles(SHARED_ROWS, SHARED_COLUMNS), 1)),
            Variant::Registers | Variant::Depthwise => (&SHADER, linear_grid(tiles(TILE, TILE), LANES)),
        };
        let [a, b] = if self.swapped { [b, a] } else { [a, b] };
        // Without a bias, b is bound in its place and not read.
        let bindings = vec![a.read(), b.read(), c.write(), bias.unwrap_or(b).read()];
        let kernels = self.kernels(shader, bias.is_some());
        kernels.dispatch("product", bindings, grid).with_work(self.multiply_adds()).of_tunable(op)
    }
}

/// Appends c = a b, with the axes of `equation`. `bmk,bkn->bmn` is a batched matrix product.
/// `bthd,bshd->bhts` computes the scores of attention over t and s, with batch axes b and h.
///
/// # Panics
/// If the equation is malformed, a shape does not match it, or it has too many axes of a kind.
pub fn product(tape: &mut Tape, name: &str, equation: &str, a: Var, b: Var) -> Var {
    let equation = Equation::parse(name, equation);
    let shapes = [a, b].map(|operand| tape.shape(operand).clone());
    let c_shape = equation.shape(name, &shapes[0], &shapes[1]);
    let c = tape.result(name, c_shape.clone(), &[a, b], false);
    let part = |tape: &mut Tape, equation: &Equation, operands: [Operand; 2], shapes: [&Shape; 2], to: Operand| {
        let op = format!("product {equation} {} x {}", shapes[0], shapes[1]);
        Product::new(name, equation, shapes).dispatch(tape, op, operands, to, None)
    };
    let forward = vec![part(tape, &equation, [a.into(), b.into()], shapes.each_ref(), c.into())];
    let mut backward = vec![];
    let dc = Operand::Gradient(c);
    if tape.needs_gradient(a) {
        backward.push(part(tape, &equation.da(), [dc, b.into()], [&c_shape, &shapes[1]], Operand::Gradient(a)));
    }
    if tape.needs_gradient(b) {
        backward.push(part(tape, &equation.db(), [dc, a.into()], [&c_shape, &shapes[0]], Operand::Gradient(b)));
    }
    tape.record(Record { name: name.into(), op: "product", result: Some(c), forward, backward });
    tape.node_with(&[a.into(), b.into()], vec![], equation.to_string());
    c
}
