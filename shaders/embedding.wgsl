// y[n] = weight[ids[n]], a row of D elements; NaN where there is no such row.
// dweight[v] = sum of dy[n] over all n with ids[n] = v; 0 for the row PADDING.
// ids: [N], weight: [V,D], y: [N,D].
//
// The gradient is gathered from positions that are sorted by (id, n), so that those of a row lie
// side by side. `sort`: in blocks of BLOCK, an invocation owns a position and counts those of its
// block that come before it. `merge`: two sorted blocks of WIDTH become one; an invocation owns a
// place in one and finds by halving how many of the other come before it. `find`: an invocation
// owns a row and finds its first place; firsts[V] is the first place of no row.
// A row may be in thousands of positions, so sums are taken in two stages. `partial`: an invocation
// owns an element and a chunk of CHUNK places, and adds up the positions of the row that is at the
// first of them. `backward`: an invocation owns an element of dweight, and adds the places before
// the first chunk that begins in its row, then those chunks. The kernels named quads own a vec4,
// where D is a multiple of 4.

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

// How many of the sorted places from `first` to before `last`, at most HALF, hold a smaller id than
// `own`, or the same where `or_same`.
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

// At least 1, so that the file is valid for every shape.
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

// The places of a row, none for the row PADDING, and the first chunk that begins in it.
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
