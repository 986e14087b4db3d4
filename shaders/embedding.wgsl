// y[n] = weight[ids[n]], rows of D elements. A number that is not a row gives NaN.
// dweight[v] = sum of dy[n] over all n with ids[n] = v. For v = PADDING it is 0.
// ids: [N], weight: [V,D], y: [N,D].
//
// The gradient needs the positions n sorted by (ids[n], n), so that those of a row are consecutive.
// `sort` sorts blocks of BLOCK positions: an invocation counts the smaller positions of its block.
// `merge` merges two sorted blocks of WIDTH: an invocation takes an element of one block, and finds
// the number of smaller elements in the other by bisection.
// `find`: an invocation finds the first place of a row in the sorted positions. firsts[V] is the
// end.
//
// A row may have thousands of positions, so the sum has two stages.
// `partial`: an invocation takes one element and a chunk of CHUNK places. It adds up the positions
// that belong to the row at the first place of the chunk.
// `backward`: an invocation computes one element of dweight. It adds the places up to the first
// chunk that begins within the row, then those chunks.
// `partial_quads`, `backward_quads`: for one vec4 instead of one element, if D is a multiple of 4.

@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * D { return; }
    let row = ids[i / D];
    var v = bitcast<f32>(row | 0x7fc00000u);
    if row < V { v = weight[row * D + i % D]; }
    y[i] = v;
}

@group(0) @binding(1) var<storage, read_write> sorted: array<u32>;

@compute @workgroup_size(64)
fn sort(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = id.x + id.y * groups.x * 64u;
    if n >= N { return; }
    let own = ids[n];
    let first = n / BLOCK * BLOCK;
    var place = first;
    for (var m = first; m < min(first + BLOCK, N); m++) {
        let other = ids[m];
        place += select(0u, 1u, other < own || (other == own && m < n));
    }
    sorted[place] = n;
}

@group(0) @binding(1) var<storage, read> places: array<u32>;
@group(0) @binding(2) var<storage, read_write> merged: array<u32>;

// The number of sorted places from `first` up to `last` whose id is smaller than `own`, or equal to
// it if `or_same`. There may be at most 2 HALF - 1 places.
fn smaller(first: u32, last: u32, own: u32, or_same: bool) -> u32 {
    var next = first;
    for (var step = HALF; step > 0u; step /= 2u) {
        if next + step > last { continue; }
        let other = ids[places[next + step - 1u]];
        if other < own || (or_same && other == own) { next += step; }
    }
    return next - first;
}

@compute @workgroup_size(64)
fn merge(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N { return; }
    let first = i / (2u * WIDTH) * 2u * WIDTH;
    let middle = min(first + WIDTH, N);
    let own = ids[places[i]];
    var place = i;
    if i < middle {
        place += smaller(middle, min(middle + WIDTH, N), own, false);
    } else {
        place -= WIDTH;
        place += smaller(first, middle, own, true);
    }
    merged[place] = places[i];
}

@group(0) @binding(2) var<storage, read_write> firsts: array<u32>;

@compute @workgroup_size(64)
fn find(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let v = id.x + id.y * groups.x * 64u;
    if v > V { return; }
    firsts[v] = smaller(0u, N, v, false);
}

@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(64)
fn partial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= CHUNKS * D { return; }
    let first = i / D * CHUNK;
    let row = ids[places[first]];
    var sum = 0.0;
    for (var j = first; j < min(first + CHUNK, N); j++) {
        if ids[places[j]] != row { break; }
        sum += dy[places[j] * D + i % D];
    }
    partials[i] = sum;
}

@group(0) @binding(2) var<storage, read> dy_quads: array<Quad>;
@group(0) @binding(3) var<storage, read_write> partial_sums: array<Quad>;

// At least 1, since a divisor of 0 is invalid.
const D4: u32 = max(D / 4u, 1u);

@compute @workgroup_size(64)
fn partial_quads(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= CHUNKS * D4 { return; }
    let first = i / D4 * CHUNK;
    let row = ids[places[first]];
    var sum = vec4(0.0);
    for (var j = first; j < min(first + CHUNK, N); j++) {
        if ids[places[j]] != row { break; }
        sum += floats(dy_quads[places[j] * D4 + i % D4]);
    }
    partial_sums[i] = quad_of(sum);
}

@group(0) @binding(0) var<storage, read> rows: array<u32>;
@group(0) @binding(3) var<storage, read> chunks: array<f32>;
@group(0) @binding(4) var<storage, read_write> dweight: array<f32>;

// The places of a row (none for PADDING), and the first chunk that begins within them.
struct Places { first: u32, last: u32, chunk: u32 }

fn places_of(row: u32) -> Places {
    let first = rows[row];
    return Places(first, select(rows[row + 1u], first, row == PADDING), (first + CHUNK - 1u) / CHUNK);
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= V * D { return; }
    let p = places_of(i / D);
    var sum = 0.0;
    for (var j = p.first; j < min(p.chunk * CHUNK, p.last); j++) { sum += dy[places[j] * D + i % D]; }
    for (var c = p.chunk; c * CHUNK < p.last; c++) { sum += chunks[c * D + i % D]; }
    if ACCUMULATE { sum += dweight[i]; }
    dweight[i] = sum;
}

@group(0) @binding(3) var<storage, read> chunk_quads: array<Quad>;
@group(0) @binding(4) var<storage, read_write> dweight_quads: array<Quad>;

@compute @workgroup_size(64)
fn backward_quads(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= V * D4 { return; }
    let p = places_of(i / D4);
    var sum = vec4(0.0);
    for (var j = p.first; j < min(p.chunk * CHUNK, p.last); j++) { sum += floats(dy_quads[places[j] * D4 + i % D4]); }
    for (var c = p.chunk; c * CHUNK < p.last; c++) { sum += floats(chunk_quads[c * D4 + i % D4]); }
    if ACCUMULATE { sum += floats(dweight_quads[i]); }
    dweight_quads[i] = quad_of(sum);
}
