//! Initial values of a model's tensors.

use crate::gpu::Gpu;
use crate::tape::{Init, Storage};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal, Uniform};

/// The first random stream of initial values. The streams below it belong to the epochs.
const FIRST_STREAM: u64 = 1 << 62;

/// Fills every parameter and every state tensor with its initial values.
///
/// Each tensor has its own random stream: its values depend only on `seed`, its position in the
/// model and its shape.
pub fn initialise(gpu: &Gpu, storage: &Storage, seed: u64) {
    for (stream, (declared, arena, span)) in storage.tensors().enumerate() {
        arena.write(gpu, span, &draw(declared.init, span.count, seed, FIRST_STREAM + stream as u64));
    }
}

/// `count` uniform values between minus and plus `bound`.
fn uniform(bound: f64, count: usize, rng: &mut ChaCha8Rng) -> impl Iterator<Item = f64> {
    let uniform = Uniform::new_inclusive(-bound, bound).expect("a model's bound is finite and not negative");
    (0..count).map(move |_| uniform.sample(rng))
}

fn draw(init: Init, count: usize, seed: u64, stream: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    match init {
        Init::Zeros => vec![0.0; count],
        Init::Ones => vec![1.0; count],
        Init::Normal(deviation) => {
            let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
            (0..count).map(|_| (normal() * deviation) as f32).collect()
        }
        Init::Uniform(bound) => uniform(bound, count, &mut rng).map(|value| value as f32).collect(),
        Init::DetectorBias { bound, fields, object, class } => {
            let shift = |i: usize| match i % fields {
                0..4 => 0.0,
                4 => object,
                _ => class,
            };
            uniform(bound, count, &mut rng).enumerate().map(|(i, value)| (value + shift(i)) as f32).collect()
        }
    }
}
