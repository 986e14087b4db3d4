// Adds the rows of a pass to sums, which the host reads and clears.
// rows: [N, K], written by a loss, with ROWS_PER_EXAMPLE rows per example. Only the first `filled`
// examples are used. Column k is added to sums.parts[FIRST + k].

struct Controls { step: u32, seed: u32, sigma: f32, pass_index: u32, mix: f32, filled: u32, examples: u32 }

// A fixed-point number: whole + fraction / 2^32.
struct Part { fraction: u32, whole: u32 }

struct Sums {
    examples: u32,  // number of examples since the host cleared the sums
    halted: u32,    // 1 + the first step with a non-finite sum, or 0 if there was none
    parts: array<Part>,
}

@group(0) @binding(0) var<storage, read> rows: array<f32>;
@group(0) @binding(1) var<uniform> controls: Controls;
@group(0) @binding(2) var<storage, read_write> sums: Sums;

// Infinities and NaN have all exponent bits set.
fn is_finite(v: f32) -> bool { return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u; }

// Adds in integers, so the result does not depend on how often the host reads and clears the sums.
fn add_fixed_point(part: Part, value: f32) -> Part {
    // By rounding, a loss near 0 may be negative.
    let v = max(value, 0.0);
    let added = u32((v - floor(v)) * 4294967296.0);
    let fraction = part.fraction + added;
    let whole = part.whole + u32(min(v, 4294967040.0)) + u32(fraction < added);
    // Saturates at 2^32.
    return Part(fraction, select(whole, 0xffffffffu, whole < part.whole));
}

fn total(k: u32) -> f32 {
    var sum = 0.0;
    for (var n = 0u; n < min(controls.filled * ROWS_PER_EXAMPLE, N); n++) { sum += rows[n * K + k]; }
    return sum;
}

// One invocation adds all rows, in order.
@compute @workgroup_size(1)
fn add() {
    if FIRST == 0u { sums.examples += controls.filled; }
    var totals: array<f32, K>;
    for (var k = 0u; k < K; k++) {
        totals[k] = total(k);
        if !is_finite(totals[k]) {
            if sums.halted == 0u { sums.halted = controls.step + 1u; }
            return;
        }
    }
    for (var k = 0u; k < K; k++) { sums.parts[FIRST + k] = add_fixed_point(sums.parts[FIRST + k], totals[k]); }
}
