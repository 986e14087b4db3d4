// Adds the rows of a pass to sums that last until the host clears them.
// rows: [N, K], what a loss leaves of each row, ROWS_PER_EXAMPLE of them an example; those of the first `filled` examples count.
// The sums FIRST, FIRST + 1, ... of `sums.parts` are those of the columns.

struct Controls { step: u32, seed: u32, sigma: f32, pass_index: u32, mix: f32, filled: u32, examples: u32 }

// A sum is whole + fraction / 2^32.
struct Part { fraction: u32, whole: u32 }

struct Sums {
    examples: u32,  // seen since the host last cleared them
    halted: u32,    // 1 + the first step with a sum that is not finite; 0: none
    parts: array<Part>,
}

@group(0) @binding(0) var<storage, read> rows: array<f32>;
@group(0) @binding(1) var<uniform> controls: Controls;
@group(0) @binding(2) var<storage, read_write> sums: Sums;

// Infinities and NaN have all exponent bits set.
fn is_finite(v: f32) -> bool { return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u; }

// In integers, so that it does not matter how many passes lie between two readings.
fn plus(part: Part, value: f32) -> Part {
    // Rounding may leave a loss of nearly 0 below it.
    let v = max(value, 0.0);
    let added = u32((v - floor(v)) * 4294967296.0);
    let fraction = part.fraction + added;
    let whole = part.whole + u32(min(v, 4294967040.0)) + u32(fraction < added);
    // A sum beyond 2^32 stays there.
    return Part(fraction, select(whole, 0xffffffffu, whole < part.whole));
}

fn total(k: u32) -> f32 {
    var sum = 0.0;
    for (var n = 0u; n < min(controls.filled * ROWS_PER_EXAMPLE, N); n++) { sum += rows[n * K + k]; }
    return sum;
}

// One invocation adds the rows in order.
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
    for (var k = 0u; k < K; k++) { sums.parts[FIRST + k] = plus(sums.parts[FIRST + k], totals[k]); }
}
