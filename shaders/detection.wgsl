// The loss of YOLOv5 on one level of its head: three anchors at each cell of a grid of H x W.
// z: [N,3,5+CLASSES,H,W], the logits of x, y, width, height, objectness and classes.
// boxes: [N,MOST,6], the objects of each image: class, centre x, centre y, width, height,
// difficult. Coordinates are relative to the image. Rows after the last object have class -1.
// Objects with difficult = 1 are not used. ANCHORS: width and height of each anchor, in cells.
//
// Prediction, in cells, relative to the corner of its cell, with s = sigmoid(z):
//   x, y = 2 s - 0.5;  width, height = (2 s)^2 anchor
// An object belongs to the anchors whose width and height differ from its own by a factor below
// RATIO, at its own cell, and at the cells beside it whose border is nearer than half a cell.
// M is the number of such matches of this level in the pass, B the number of images in the pass.
//   box   = sum of (1 - ciou) over the matches BOX_GAIN B / M
//   class = sum of the binary cross-entropies over matches and classes CLASS_GAIN B / (M CLASSES)
//   object = sum of the binary cross-entropies over the 3 H W predictions OBJECT_GAIN / (3 H W)
// The target of the objectness is the ciou of the last match, at least 0. The order of matches is:
// own cell, left, above, right, below; for each of them all objects in order. No gradient flows
// through this target and through alpha in ciou.
//
// `count`: a workgroup counts the matches. `forward`, `backward`: an invocation processes a
// prediction. `add_up`: a workgroup adds the losses of an image.

struct Controls { step: u32, seed: u32, sigma: f32, pass_index: u32, mix: f32, filled: u32, examples: u32 }

const LANES: u32 = 64u;
const FIELDS: u32 = 5u + CLASSES;
const WORDS: u32 = 6u;
const EPSILON: f32 = 1e-7;

@group(0) @binding(0) var<storage, read> boxes: array<f32>;
@group(0) @binding(1) var<uniform> controls: Controls;
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;

// Centre, width and height of an object, in cells.
fn object(at: u32) -> vec4<f32> {
    return vec4(boxes[at + 1u], boxes[at + 2u], boxes[at + 3u], boxes[at + 4u]) * vec4(f32(W), f32(H), f32(W), f32(H));
}

fn is_used(at: u32) -> bool { return boxes[at] >= 0.0 && boxes[at + 5u] == 0.0; }

fn anchor(a: u32) -> vec2<f32> { return vec2(ANCHORS[2u * a], ANCHORS[2u * a + 1u]); }

fn fits(t: vec4<f32>, a: u32) -> bool {
    let ratio = t.zw / anchor(a);
    return max(max(ratio.x, 1.0 / ratio.x), max(ratio.y, 1.0 / ratio.y)) < RATIO;
}

// Whether the object belongs to neighbour o of its cell: 0 the cell itself, 1 left, 2 above,
// 3 right, 4 below.
fn takes(t: vec4<f32>, o: u32) -> bool {
    if o == 0u { return true; }
    let horizontal = o == 1u || o == 3u;
    var distance = select(t.y, t.x, horizontal);
    if o >= 3u { distance = f32(select(H, W, horizontal)) - distance; }
    return fract(distance) < 0.5 && distance > 1.0;
}

// The cell of neighbour o.
fn cell_of(t: vec4<f32>, o: u32) -> vec2<u32> {
    var p = t.xy;
    if o == 1u { p.x -= 0.5; }
    if o == 2u { p.y -= 0.5; }
    if o == 3u { p.x += 0.5; }
    if o == 4u { p.y += 0.5; }
    return min(vec2<u32>(max(p, vec2(0.0))), vec2(W - 1u, H - 1u));
}

var<workgroup> found: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn count(@builtin(local_invocation_index) lane: u32) {
    var own = 0u;
    for (var i = lane; i < min(controls.filled, N) * MOST; i += LANES) {
        if !is_used(i * WORDS) { continue; }
        let t = object(i * WORDS);
        for (var a = 0u; a < 3u; a++) {
            if !fits(t, a) { continue; }
            for (var o = 0u; o < 5u; o++) { own += u32(takes(t, o)); }
        }
    }
    found[lane] = own;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { found[lane] += found[lane + width]; }
    }
    if lane == 0u { counts[LEVEL] = found[0]; }
}

fn sigmoid(v: f32) -> f32 {
    let e = exp(-abs(v));
    return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

// The binary cross-entropy of a logit.
fn cross_entropy(v: f32, wanted: f32) -> f32 { return max(v, 0.0) - v * wanted + log(1.0 + exp(-abs(v))); }

// The arc tangent of v >= 0, with an error below 2e-7: the polynomial 4.4.49 of Abramowitz & Stegun
// (1964) for v <= 1.
fn arc_tangent(v: f32) -> f32 {
    let u = select(v, 1.0 / v, v > 1.0);
    let q = u * u;
    var p = 0.0028662257;
    p = p * q - 0.0161657367;
    p = p * q + 0.0429096138;
    p = p * q - 0.0752896400;
    p = p * q + 0.1065626393;
    p = p * q - 0.1420889944;
    p = p * q + 0.1999355085;
    p = p * q - 0.3333314528;
    let angle = u + u * q * p;
    return select(angle, 1.5707963268 - angle, v > 1.0);
}

// 1 where a is before b, 1/2 where they are equal, else 0: the gradient of the smaller of both.
fn before(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    return select(select(vec2(0.0), vec2(0.5), a == b), vec2(1.0), a < b);
}

struct Ciou { value: f32, slope: vec4<f32> }

// The complete intersection over union of boxes p and t (Zheng et al. 2020), and its gradient with
// respect to p.
fn ciou(p: vec4<f32>, t: vec4<f32>) -> Ciou {
    let p_first = p.xy - 0.5 * p.zw;
    let p_last = p.xy + 0.5 * p.zw;
    let t_first = t.xy - 0.5 * t.zw;
    let t_last = t.xy + 0.5 * t.zw;
    let shared_sides = min(p_last, t_last) - max(p_first, t_first);
    let sides = max(shared_sides, vec2(0.0));
    let inner = sides.x * sides.y;
    let outer = p.z * p.w + t.z * t.w - inner + EPSILON;
    let iou = inner / outer;
    // The gradients of `sides` with respect to the centre and to the extent of p.
    let is_last = before(p_last, t_last);
    let is_first = before(t_first, p_first);
    let touches = select(vec2(0.0), vec2(1.0), shared_sides >= vec2(0.0));
    let by_centre = touches * (is_last - is_first) * sides.yx;
    let by_extent = touches * 0.5 * (is_last + is_first) * sides.yx;
    let iou_by_centre = by_centre * (outer + inner) / (outer * outer);
    let iou_by_extent = (by_extent * (outer + inner) - inner * p.wz) / (outer * outer);

    let hull = max(p_last, t_last) - min(p_first, t_first);
    let diagonal = dot(hull, hull) + EPSILON;
    let apart = t.xy - p.xy;
    let distance = dot(apart, apart);
    let hull_by_centre = before(t_last, p_last) - before(p_first, t_first);
    let hull_by_extent = 0.5 * (before(t_last, p_last) + before(p_first, t_first));
    let share = distance / diagonal;
    let share_by_centre = (-2.0 * apart - share * 2.0 * hull * hull_by_centre) / diagonal;
    let share_by_extent = -share * 2.0 * hull * hull_by_extent / diagonal;

    let factor = 0.4052847346; // 4 / pi^2
    let angle = arc_tangent(t.z / t.w) - arc_tangent(p.z / p.w);
    let v = factor * angle * angle;
    let alpha = v / (v - iou + 1.0 + EPSILON);
    let v_by_extent = 2.0 * factor * angle * vec2(-p.w, p.z) / (p.z * p.z + p.w * p.w);

    let slope = vec4(iou_by_centre - share_by_centre, iou_by_extent - share_by_extent - alpha * v_by_extent);
    return Ciou(iou - share - v * alpha, slope);
}

@group(0) @binding(2) var<storage, read> counted: array<u32>;
@group(0) @binding(3) var<storage, read> z: array<f32>;
@group(0) @binding(4) var<storage, read_write> cells: array<f32>;

// A prediction: its image, anchor, cell, and the index of its first logit. The others follow at
// distances of H W.
struct Place { n: u32, a: u32, cell: vec2<u32>, at: u32 }

fn place(i: u32) -> Place {
    let cell = i % (H * W);
    let plane = i / (H * W);
    return Place(plane / 3u, plane % 3u, vec2(cell % W, cell / W), plane * FIELDS * H * W + cell);
}

fn logit(p: Place, k: u32) -> f32 { return z[p.at + k * H * W]; }

fn shares(p: Place) -> vec4<f32> {
    return vec4(sigmoid(logit(p, 0u)), sigmoid(logit(p, 1u)), sigmoid(logit(p, 2u)), sigmoid(logit(p, 3u)));
}

fn predicted(s: vec4<f32>, a: u32) -> vec4<f32> { return vec4(2.0 * s.xy - 0.5, 4.0 * s.zw * s.zw * anchor(a)); }

// Whether object j of the image, which is t, is matched with this prediction through neighbour o.
fn is_match(p: Place, t: vec4<f32>, o: u32) -> bool {
    return fits(t, p.a) && takes(t, o) && all(cell_of(t, o) == p.cell);
}

fn relative(p: Place, t: vec4<f32>) -> vec4<f32> { return vec4(t.xy - vec2<f32>(p.cell), t.zw); }

// Factors of the three sums.
fn factors() -> vec3<f32> {
    let per_match = f32(controls.filled) / f32(max(counted[LEVEL], 1u));
    return vec3(BOX_GAIN * per_match, OBJECT_GAIN / f32(3u * H * W), CLASS_GAIN * per_match / f32(CLASSES));
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * 3u * H * W { return; }
    let p = place(i);
    let of_box = predicted(shares(p), p.a);
    var sums = vec3(0.0);
    var wanted = 0.0;
    for (var o = 0u; o < 5u; o++) {
        for (var j = 0u; j < MOST; j++) {
            let row = (p.n * MOST + j) * WORDS;
            if boxes[row] < 0.0 { break; }
            let t = object(row);
            if !is_used(row) || !is_match(p, t, o) { continue; }
            let overlap = ciou(of_box, relative(p, t)).value;
            sums.x += 1.0 - overlap;
            wanted = max(overlap, 0.0);
            if CLASSES > 1u {
                for (var k = 0u; k < CLASSES; k++) {
                    sums.z += cross_entropy(logit(p, 5u + k), select(0.0, 1.0, k == u32(boxes[row])));
                }
            }
        }
    }
    sums.y = cross_entropy(logit(p, 4u), wanted);
    sums *= factors();
    let out = 3u * (p.n * PREDICTIONS + FIRST + i % (3u * H * W));
    cells[out] = sums.x;
    cells[out + 1u] = sums.y;
    cells[out + 2u] = sums.z;
}

@group(0) @binding(0) var<storage, read> losses: array<f32>;
@group(0) @binding(1) var<storage, read_write> rows: array<vec4<f32>>;

var<workgroup> lanes: array<vec3<f32>, LANES>;

@compute @workgroup_size(LANES)
fn add_up(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n = group.x;
    var own = vec3(0.0);
    for (var i = lane; i < PREDICTIONS; i += LANES) {
        let at = 3u * (n * PREDICTIONS + i);
        own += vec3(losses[at], losses[at + 1u], losses[at + 2u]);
    }
    lanes[lane] = own;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { lanes[lane] += lanes[lane + width]; }
    }
    if lane == 0u { rows[n] = vec4(lanes[0].x + lanes[0].y + lanes[0].z, lanes[0]); }
}

@group(0) @binding(4) var<storage, read_write> dz: array<f32>;

fn store(at: u32, g: f32) {
    if ACCUMULATE { dz[at] += g; } else { dz[at] = g; }
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * 3u * H * W { return; }
    let p = place(i);
    let is_filled = p.n < controls.filled;
    let s = shares(p);
    let of_box = predicted(s, p.a);
    let by = factors();
    var slope = vec4(0.0);
    var wanted = 0.0;
    var matches = 0.0;
    for (var o = 0u; o < 5u && is_filled; o++) {
        for (var j = 0u; j < MOST; j++) {
            let row = (p.n * MOST + j) * WORDS;
            if boxes[row] < 0.0 { break; }
            let t = object(row);
            if !is_used(row) || !is_match(p, t, o) { continue; }
            let overlap = ciou(of_box, relative(p, t));
            slope += overlap.slope;
            wanted = max(overlap.value, 0.0);
            matches += 1.0;
        }
    }
    let rising = s * (1.0 - s);
    let of_logits = -by.x * slope * vec4(2.0 * rising.xy, 8.0 * s.zw * rising.zw * anchor(p.a));
    for (var k = 0u; k < 4u; k++) { store(p.at + k * H * W, of_logits[k]); }
    store(p.at + 4u * H * W, select(0.0, by.y * (sigmoid(logit(p, 4u)) - wanted), is_filled));
    for (var k = 0u; k < CLASSES; k++) {
        var g = 0.0;
        if CLASSES > 1u && matches > 0.0 { g = by.z * matches * sigmoid(logit(p, 5u + k)); }
        store(p.at + (5u + k) * H * W, g);
    }
    if CLASSES == 1u || matches == 0.0 { return; }
    for (var o = 0u; o < 5u; o++) {
        for (var j = 0u; j < MOST; j++) {
            let row = (p.n * MOST + j) * WORDS;
            if boxes[row] < 0.0 { break; }
            if is_used(row) && is_match(p, object(row), o) { dz[p.at + (5u + u32(boxes[row])) * H * W] -= by.z; }
        }
    }
}
