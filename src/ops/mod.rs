//! Floor 5: the operations, one module each. A module has the operation's equation, its shape
//! checks, its dispatches, and in `reference` an implementation in plain f64 loops. Its kernels are
//! in the file of the same name in `shaders/`.

pub mod activation;
pub mod add;
pub mod attention;
pub mod batch_norm;
pub mod blur;
pub mod concat;
pub mod conv2d;
pub mod cross_entropy;
pub mod detection;
pub mod dropout;
pub mod embedding;
pub mod gelu;
pub mod layer_norm;
pub mod linear;
pub mod lstm;
pub mod max_pool;
pub mod mean_pool;
pub mod mixup;
pub mod pixels;
pub mod position;
pub mod prepend;
pub mod product;
pub mod regression;
pub mod relu;
pub mod slice;
pub mod softmax;
pub mod sums;
pub mod transpose;
pub mod upsample;

use crate::gpu::{Constant, Kernel, Shader};
use crate::tape::{Binding, Dispatch, Operand, Record, Tape, Var, linear_grid};

/// The default workgroup size.
pub const LANES: usize = 64;

/// The workgroup size of the wide kernels, which share loads (`shaders/subgroup_share.wgsl`).
const WIDE_LANES: usize = 8;

/// The workgroup size of kernels for software adapters whose invocations each add up many elements.
/// A software adapter runs each workgroup on one core.
const PROCESSOR_LANES: usize = 16;

/// The built-in shader `shaders/NAME.wgsl`.
macro_rules! shader {
    ($name:literal) => {
        $crate::gpu::Shader::built_in(
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $name, ".wgsl")),
        )
    };
}
pub(crate) use shader;

/// Every shader of the operations, for checks that need no device.
pub const SHADERS: &[&Shader] = &[
    &activation::SHADER,
    &add::SHADER,
    &attention::SHADER,
    &batch_norm::SHADER,
    &blur::SHADER,
    &concat::SHADER,
    &conv2d::SHADER,
    &conv2d::WIDE_SHADER,
    &conv2d::DILATED_SHADER,
    &conv2d::UNEVEN_SHADER,
    &conv2d::SHARED_SHADER,
    &conv2d::DEPTHWISE_SHADER,
    &cross_entropy::SHADER,
    &detection::SHADER,
    &dropout::SHADER,
    &embedding::SHADER,
    &gelu::SHADER,
    &layer_norm::SHADER,
    &linear::SHADER,
    &lstm::SHADER,
    &max_pool::SHADER,
    &mean_pool::SHADER,
    &mixup::SHADER,
    &pixels::SHADER,
    &position::SHADER,
    &prepend::SHADER,
    &product::SHADER,
    &product::WIDE_SHADER,
    &product::SHARED_SHADER,
    &regression::SHADER,
    &relu::SHADER,
    &slice::SHADER,
    &softmax::SHADER,
    &sums::SHADER,
    &transpose::SHADER,
    &upsample::SHADER,
];

/// A shader, and the values of its constants: makes dispatches of its kernels.
#[derive(Clone, Debug)]
pub struct Kernels {
    /// The shader.
    pub shader: &'static Shader,
    /// Name and value of each `const` that the shader uses but does not define.
    pub constants: Vec<(&'static str, Constant)>,
}

impl Kernels {
    /// A dispatch of the entry point `entry`, with `bindings` in order from binding 0.
    pub fn dispatch(&self, entry: &'static str, bindings: Vec<Binding>, grid: [u32; 3]) -> Dispatch {
        let kernel = Kernel { shader: self.shader, entry, constants: self.constants.clone() };
        Dispatch { kernel, bindings, grid, multiply_adds: 0, tunable: None }
    }
}

/// Appends an elementwise operation. Its kernel `forward` computes y from x. Its kernel `backward`
/// computes dx from dy and x, or from dy and y with `reads_result`. An invocation computes one
/// vec4.
fn record_elementwise(
    tape: &mut Tape,
    (name, op): (&str, &'static str),
    x: Var,
    kernels: &Kernels,
    reads_result: bool,
) -> Var {
    let shape = tape.shape(x).clone();
    let grid = linear_grid(shape.count().div_ceil(4), LANES);
    let y = tape.result(name, shape, &[x], false);
    let forward = vec![kernels.dispatch("forward", vec![Operand::from(x).read(), Operand::from(y).write()], grid)];
    let mut backward = vec![];
    if tape.needs_gradient(x) {
        let value = Operand::from(if reads_result { y } else { x });
        let bindings = vec![value.read(), Operand::Gradient(y).read(), Operand::Gradient(x).write()];
        backward.push(kernels.dispatch("backward", bindings, grid));
    }
    tape.record(Record { name: name.into(), op, result: Some(y), forward, backward });
    tape.node(&[x.into()], &[]);
    y
}

/// Appends an operation whose kernels read the controls. The first of `entries` computes y from x,
/// the second dx from dy. x and y have the same shape.
fn record_under_controls(
    tape: &mut Tape,
    (name, op): (&str, &'static str),
    x: Var,
    kernels: &Kernels,
    entries: [&'static str; 2],
    grid: [u32; 3],
) -> Var {
    let y = tape.result(name, tape.shape(x).clone(), &[x], false);
    let controls = Operand::from(tape.controls()).uniform();
    let bindings = vec![controls, Operand::from(x).read(), Operand::from(y).write()];
    let forward = vec![kernels.dispatch(entries[0], bindings, grid)];
    let mut backward = vec![];
    if tape.needs_gradient(x) {
        let bindings = vec![controls, Operand::Gradient(y).read(), Operand::Gradient(x).write()];
        backward.push(kernels.dispatch(entries[1], bindings, grid));
    }
    tape.record(Record { name: name.into(), op, result: Some(y), forward, backward });
    tape.node(&[x.into()], &[]);
    y
}

/// Appends a loss of the rows of z. The kernel `forward` writes rows `[n,columns]`, which are added
/// to `sums`, and `backward` writes dz. Both read z, the targets and the controls. The gradient is
/// multiplied by `weight`. An example has `per_example` rows.
fn record_loss(
    tape: &mut Tape,
    (name, op): (&str, &'static str),
    mut kernels: Kernels,
    (z, targets): (Var, Operand),
    sums: &mut sums::Sums,
    [n, columns]: [usize; 2],
    (weight, per_example): (f64, usize),
) {
    let constants = [("N", n.into()), ("WEIGHT", (weight as f32).into()), ("ROWS_PER_EXAMPLE", per_example.into())];
    kernels.constants.extend(constants);
    let rows: Operand = tape.buffer(&format!("{name}.rows"), (4 * n * columns) as u64).into();
    let inputs = vec![Operand::from(z).read(), targets.read(), Operand::from(tape.controls()).uniform()];
    let dispatch =
        |entry, output| kernels.dispatch(entry, [inputs.clone(), vec![output]].concat(), linear_grid(n, LANES));
    let forward = vec![dispatch("forward", rows.write()), sums.add(tape, rows, [n, columns], per_example)];
    let backward = match tape.needs_gradient(z) {
        true => vec![dispatch("backward", Operand::Gradient(z).write())],
        false => vec![],
    };
    tape.record(Record { name: name.into(), op, result: None, forward, backward });
}
