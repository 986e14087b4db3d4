//! The op table: one row per operation and shape. Kernels are checked against the references with
//! it, references against finite differences, and the benches time its large rows.

#[path = "sequence_rows.rs"]
pub mod sequence_rows;

use lerac::checks::{CONTROLS, Row};
use lerac::ops::batch_norm::{Activation, After, EPSILON, MOMENTUM, Norm};
use lerac::ops::conv2d::Conv2dOptions;
use lerac::ops::{self, conv2d, max_pool::Window};
use lerac::tape::{Declared, Group, Init};
use lerac::tensor::Shape;
use std::collections::BTreeMap;

fn relu(shape: Shape) -> Row {
    // The only value of a single element is negative.
    let activates = shape.count() > 1;
    Row {
        record: Box::new(|tape, name, x, _| ops::relu::relu(tape, name, x[0])),
        forward: Box::new(|v| ops::relu::reference::forward(&v[0])),
        backward: Box::new(|v, dy| vec![ops::relu::reference::backward(&v[0], dy)]),
        activates,
        ..Row::new(format!("relu {shape}"), vec![shape], vec![])
    }
}

/// GELU of values from -1.53 to 1.47 times `gain`.
fn gelu(shape: Shape, gain: f64) -> Row {
    // The only value of a single element is negative.
    let activates = shape.count() > 1;
    Row {
        record: Box::new(|tape, name, x, _| ops::gelu::gelu(tape, name, x[0])),
        forward: Box::new(|v| ops::gelu::reference::forward(&v[0])),
        backward: Box::new(|v, dy| vec![ops::gelu::reference::backward(&v[0], dy)]),
        activates,
        gain,
        ..Row::new(format!("gelu {shape} up to {}", 1.5 * gain), vec![shape], vec![])
    }
}

fn add(shape: Shape) -> Row {
    Row {
        record: Box::new(|tape, name, x, _| ops::add::add(tape, name, x[0], x[1])),
        forward: Box::new(|v| ops::add::reference::forward(&v[0], &v[1])),
        backward: Box::new(|_, dy| {
            let (da, db) = ops::add::reference::backward(dy);
            vec![da, db]
        }),
        ..Row::new(format!("add {shape}"), vec![shape.clone(), shape], vec![])
    }
}

fn max_pool(shape: [usize; 4], window: Window) -> Row {
    let [_, _, h, w] = shape;
    Row {
        record: Box::new(move |tape, name, x, _| ops::max_pool::max_pool(tape, name, x[0], window)),
        forward: Box::new(move |v| ops::max_pool::reference::forward(&v[0], h, w, window)),
        backward: Box::new(move |v, dy| vec![ops::max_pool::reference::backward(&v[0], dy, h, w, window)]),
        ..Row::new(format!("max_pool {shape:?} {window:?}"), vec![shape.into()], vec![])
    }
}

fn mean_pool(shape: [usize; 4], kernel: usize, stride: usize) -> Row {
    let [n, c, h, w] = shape;
    let global = kernel == 0;
    let window = if global { [h, w] } else { [kernel, kernel] };
    Row {
        record: Box::new(move |tape, name, x, _| match global {
            true => ops::mean_pool::global_mean_pool(tape, name, x[0]),
            false => ops::mean_pool::mean_pool(tape, name, x[0], kernel, stride),
        }),
        forward: Box::new(move |v| ops::mean_pool::reference::forward(&v[0], [h, w], window, stride)),
        backward: Box::new(move |_, dy| vec![ops::mean_pool::reference::backward(dy, n * c, [h, w], window, stride)]),
        linear: true,
        ..Row::new(
            if global {
                format!("mean_pool {shape:?} global")
            } else {
                format!("mean_pool {shape:?} {kernel}/{stride}")
            },
            vec![shape.into()],
            vec![],
        )
    }
}

fn blur_tokens(shape: [usize; 3]) -> Row {
    let [_, tokens, width] = shape;
    let sigma = f64::from(CONTROLS.sigma);
    let along = move |x: &[f64]| ops::blur::reference::along_tokens(x, tokens, width, sigma);
    Row {
        record: Box::new(|tape, name, x, _| ops::blur::blur_tokens(tape, name, x[0])),
        forward: Box::new(move |v| along(&v[0])),
        backward: Box::new(move |_, dy| vec![along(dy)]),
        linear: true,
        ..Row::new(format!("blur_tokens {shape:?}"), vec![shape.into()], vec![])
    }
}

fn blur(shape: [usize; 4]) -> Row {
    let [_, _, h, w] = shape;
    let sigma = f64::from(CONTROLS.sigma);
    Row {
        record: Box::new(|tape, name, x, _| ops::blur::blur(tape, name, x[0])),
        forward: Box::new(move |v| ops::blur::reference::forward(&v[0], h, w, sigma)),
        backward: Box::new(move |_, dy| vec![ops::blur::reference::forward(dy, h, w, sigma)]),
        linear: true,
        ..Row::new(format!("blur {shape:?}"), vec![shape.into()], vec![])
    }
}

fn dropout(shape: Shape, p: f64) -> Row {
    const SALT: u32 = 5;
    let apply = move |x: &[f64]| ops::dropout::reference::forward(x, p, CONTROLS.seed, CONTROLS.step, SALT);
    Row {
        record: Box::new(move |tape, name, x, _| ops::dropout::dropout(tape, name, x[0], p, SALT)),
        forward: Box::new(move |v| apply(&v[0])),
        backward: Box::new(move |_, dy| vec![apply(dy)]),
        linear: true,
        ..Row::new(format!("dropout {shape} {p}"), vec![shape], vec![])
    }
}

fn mixup(shape: [usize; 4]) -> Row {
    let mixed = move |x: &[f64]| ops::mixup::reference::forward(x, shape[0], f64::from(CONTROLS.mix));
    Row {
        record: Box::new(|tape, name, x, _| ops::mixup::mixup(tape, name, x[0])),
        forward: Box::new(move |v| mixed(&v[0])),
        backward: Box::new(move |_, dy| vec![mixed(dy)]),
        linear: true,
        ..Row::new(format!("mixup {shape:?}"), vec![shape.into()], vec![])
    }
}

fn linear(n: usize, c: usize, o: usize) -> Row {
    let extent = [n, c, o];
    Row {
        record: Box::new(|tape, name, x, p| ops::linear::linear(tape, name, x[0], p[0], p[1])),
        forward: Box::new(move |v| ops::linear::reference::forward(&v[0], &v[1], &v[2], extent)),
        backward: Box::new(move |v, dy| {
            let (dx, dw, dbias) = ops::linear::reference::backward(&v[0], &v[1], dy, extent);
            vec![dx, dw, dbias]
        }),
        multiply_adds: (n * c * o) as u64,
        ..Row::new(format!("linear [{n},{c}] -> {o}"), vec![[n, c].into()], vec![[o, c].into(), [o].into()])
    }
}

/// A linear layer over the last axis of x `[n,t,c]`.
fn linear_of_tokens([n, t, c]: [usize; 3], o: usize) -> Row {
    Row { name: format!("linear [{n},{t},{c}] -> {o}"), inputs: vec![[n, t, c].into()], ..linear(n * t, c, o) }
}

/// A product by the names of its axes.
fn product(equation: &'static str, a: &[usize], b: &[usize]) -> Row {
    let extents = [a.to_vec(), b.to_vec()];
    let shapes = extents.clone().map(Shape::from);
    let values = |v: &[Vec<f64>]| [v[0].clone(), v[1].clone()];
    let (forward, backward) = (extents.clone(), extents);
    let axes = equation.chars().filter(|axis| axis.is_alphabetic());
    let terms: BTreeMap<char, usize> = axes.zip(a.iter().chain(b).copied()).collect();
    Row {
        record: Box::new(move |tape, name, x, _| ops::product::product(tape, name, equation, x[0], x[1])),
        forward: Box::new(move |v| {
            let [a, b] = values(v);
            ops::product::reference::forward(equation, [&a, &b], [&forward[0], &forward[1]])
        }),
        backward: Box::new(move |v, dc| {
            let [a, b] = values(v);
            let (da, db) = ops::product::reference::backward(equation, [&a, &b], dc, [&backward[0], &backward[1]]);
            vec![da, db]
        }),
        linear: true,
        multiply_adds: terms.values().product::<usize>() as u64,
        ..Row::new(format!("product {equation} {} x {}", shapes[0], shapes[1]), shapes.to_vec(), vec![])
    }
}

/// Batch norm of the first `c` channels, with an activation, or with a residual added before it.
fn batch_norm_of_first(c: usize, shape: [usize; 4], activation: Activation, residual: bool) -> Row {
    let [n, channels, h, w] = shape;
    let extent = [n, c, h * w];
    let rows = [c * h * w, (channels - c) * h * w];
    let epsilon = f64::from(EPSILON);
    // Operands: x, the residual if there is one, gamma, beta.
    let first = usize::from(residual) + 1;
    let read = move |x: &[f64]| ops::concat::reference::backward(x, rows).0;
    let before = move |v: &[Vec<f64>]| {
        let y = ops::batch_norm::reference::forward(&read(&v[0]), &v[first], &v[first + 1], extent, epsilon).y;
        if residual { ops::add::reference::forward(&y, &v[1]) } else { y }
    };
    let forward = move |v: &[Vec<f64>]| ops::batch_norm::reference::activate(&before(v), activation);
    let backward = move |v: &[Vec<f64>], dy: &[f64]| {
        let g = ops::batch_norm::reference::activate_backward(&before(v), dy, activation);
        let (dx, dgamma, dbeta) = ops::batch_norm::reference::backward(&read(&v[0]), &v[first], &g, extent, epsilon);
        let dx = ops::concat::reference::forward(&dx, &vec![0.0; n * rows[1]], rows);
        let dresidual = residual.then_some(g);
        [Some(dx), dresidual, Some(dgamma), Some(dbeta)].into_iter().flatten().collect()
    };
    let of = if c < channels { format!(" first {c}") } else { String::new() };
    let after = if residual { " + residual" } else { "" };
    Row {
        record: Box::new(move |tape, name, x, p| {
            let mut state = |which: &str, init| {
                let name = format!("{name}.{which}");
                tape.state(Declared { name, shape: [c].into(), init, layer: 0, group: Group::Norm })
            };
            let (running_mean, running_var) = (state("mean", Init::Zeros), state("var", Init::Ones));
            let norm =
                Norm { gamma: p[0], beta: p[1], running_mean, running_var, momentum: MOMENTUM, epsilon: EPSILON };
            let after = After { residual: residual.then(|| x[1]), activation };
            ops::batch_norm::batch_norm(tape, name, x[0], norm, after)
        }),
        forward: Box::new(forward),
        backward: Box::new(backward),
        activates: matches!(activation, Activation::Relu | Activation::Relu6),
        // Large enough to exceed 6, the upper bound of ReLU6.
        gain: if activation == Activation::Relu6 { 6.0 } else { 1.0 },
        ..Row::new(
            format!("batch_norm {shape:?}{of}{after}, {activation:?}"),
            vec![shape.into(); first],
            vec![[c].into(), [c].into()],
        )
    }
}

/// Upsampling into the channels after those of another part.
fn upsample([n, c, h, w]: [usize; 4], more: usize) -> Row {
    let extents = [more * 4 * h * w, c * 4 * h * w];
    Row {
        record: Box::new(move |tape, name, x, _| {
            let whole = ops::concat::allocate(tape, name, [n, more + c, 2 * h, 2 * w]);
            ops::concat::write_channels(tape, &format!("{name}.first"), whole, 0, x[0]);
            ops::upsample::write_upsampled(tape, &format!("{name}.second"), whole, more, x[1]);
            whole
        }),
        forward: Box::new(move |v| {
            ops::concat::reference::forward(&v[0], &ops::upsample::reference::forward(&v[1], [h, w]), extents)
        }),
        backward: Box::new(move |_, dy| {
            let (da, db) = ops::concat::reference::backward(dy, extents);
            vec![da, ops::upsample::reference::backward(&db, [h, w])]
        }),
        ..Row::new(
            format!("upsample {:?} after {more} channels", [n, c, h, w]),
            vec![[n, more, 2 * h, 2 * w].into(), [n, c, h, w].into()],
            vec![],
        )
    }
}

/// Batch norm of all channels.
fn batch_norm(shape: [usize; 4], activation: Activation, residual: bool) -> Row {
    batch_norm_of_first(shape[1], shape, activation, residual)
}

/// Channels whose mean is thousands of standard deviations. The variance is lost unless the sums
/// are taken about a pivot.
fn batch_norm_far_from_0(shape: [usize; 4]) -> Row {
    let row = batch_norm(shape, Activation::Identity, false);
    Row { name: format!("{} far from 0", row.name), offset: 5000.0, ..row }
}

/// Concatenation of two parts.
fn concat([n, c, h, w]: [usize; 4], more: usize) -> Row {
    let extents = [c * h * w, more * h * w];
    Row {
        record: Box::new(move |tape, name, x, _| {
            let whole = ops::concat::allocate(tape, name, [n, c + more, h, w]);
            ops::concat::write_channels(tape, "first", whole, 0, x[0]);
            ops::concat::write_channels(tape, "second", whole, c, x[1]);
            whole
        }),
        forward: Box::new(move |v| ops::concat::reference::forward(&v[0], &v[1], extents)),
        backward: Box::new(move |_, dy| {
            let (da, db) = ops::concat::reference::backward(dy, extents);
            vec![da, db]
        }),
        ..Row::new(
            format!("concat {:?} and {more} channels", [n, c, h, w]),
            vec![[n, c, h, w].into(), [n, more, h, w].into()],
            vec![],
        )
    }
}

/// Input, (output channels, extent of the square kernel), (stride, padding, groups), bias.
fn conv(x: [usize; 4], (o, k): (usize, usize), (stride, padding, groups): (usize, usize, usize), bias: bool) -> Row {
    convolution(x, (o, [k, k]), Conv2dOptions { groups, ..Conv2dOptions::square(stride, padding) }, bias)
}

/// Input, (output channels, kernel), options, bias.
fn convolution(x: [usize; 4], (o, [kh, kw]): (usize, [usize; 2]), options: Conv2dOptions, bias: bool) -> Row {
    let Conv2dOptions { stride, padding, groups } = options;
    let w = [o, x[1] / groups, kh, kw];
    let geometry = conv2d::Geometry::new("row", x, w, options);
    let mut params: Vec<Shape> = vec![w.into()];
    params.extend(bias.then(|| Shape::from([o])));
    let [_, _, oh, ow] = geometry.y();
    let one_or_two = |[h, w]: [usize; 2]| if h == w { h.to_string() } else { format!("{h}x{w}") };
    Row {
        record: Box::new(move |tape, name, x, p| conv2d::conv2d(tape, name, x[0], p[0], p.get(1).copied(), options)),
        forward: Box::new(move |v| conv2d::reference::forward(&v[0], &v[1], v.get(2).map(Vec::as_slice), &geometry)),
        backward: Box::new(move |v, dy| {
            let (dx, dw, dbias) = conv2d::reference::backward(&v[0], &v[1], dy, &geometry);
            let mut gradients = vec![dx, dw];
            gradients.extend(bias.then_some(dbias));
            gradients
        }),
        linear: !bias,
        multiply_adds: (x[0] * o * oh * ow * w[1] * kh * kw) as u64,
        ..Row::new(
            format!(
                "conv2d {x:?} -> {o}, {kh}x{kw}/{}, padding {}, groups {groups}{}",
                one_or_two(stride),
                one_or_two(padding),
                if bias { ", bias" } else { "" }
            ),
            vec![x.into()],
            params,
        )
    }
}

/// All rows: small and odd shapes.
pub fn rows() -> Vec<Row> {
    use Activation::{Identity, Relu, Relu6, Silu};
    let window = |kernel, stride, padding| Window { kernel, stride, padding };
    let oblong = |stride, padding, groups| Conv2dOptions { stride, padding, groups };
    vec![
        relu([1].into()),
        relu([7].into()),
        relu([3, 5, 7, 2].into()),
        relu([4, 64, 33, 31].into()),
        gelu([1].into(), 1.0),
        gelu([7].into(), 1.0),
        gelu([3, 5, 7, 2].into(), 4.0),
        gelu([4, 64, 33, 31].into(), 20.0),
        add([1].into()),
        add([2, 3, 5, 7].into()),
        max_pool([2, 3, 8, 8], window(2, 2, 0)),
        max_pool([1, 2, 7, 9], window(2, 2, 0)),
        max_pool([2, 3, 6, 16], window(2, 2, 0)),
        max_pool([1, 2, 3, 8], window(2, 2, 0)),
        max_pool([2, 3, 9, 7], window(3, 2, 1)),
        max_pool([1, 1, 5, 5], window(3, 1, 0)),
        max_pool([1, 3, 4, 4], window(4, 4, 0)),
        // More than one row of a linear grid.
        max_pool([3, 16, 213, 213], window(1, 1, 0)),
        mean_pool([2, 3, 8, 8], 2, 2),
        mean_pool([1, 2, 7, 9], 3, 2),
        mean_pool([2, 1, 6, 5], 3, 1),
        mean_pool([1, 2, 7, 7], 2, 3),
        mean_pool([3, 5, 7, 6], 0, 1),
        mean_pool([2, 33, 4, 6], 0, 1),
        mean_pool([1, 1, 1, 1], 0, 1),
        blur([2, 3, 8, 8]),
        blur([1, 2, 5, 3]),
        blur([1, 3, 3, 12]),
        blur([2, 1, 1, 4]),
        blur([1, 1, 1, 1]),
        blur_tokens([2, 5, 7]),
        blur_tokens([3, 1, 4]),
        blur_tokens([1, 2, 1]),
        mixup([1, 2, 3, 1]),
        mixup([5, 3, 4, 3]),
        mixup([6, 1, 4, 4]),
        dropout([5, 7, 3].into(), 0.3),
        dropout([257].into(), 0.5),
        // More than one row of a linear grid.
        dropout([3, 700_001].into(), 0.5),
        linear(1, 1, 1),
        linear(5, 7, 3),
        linear(8, 16, 8),
        linear(9, 65, 10),
        linear(64, 64, 10),
        linear(3, 130, 17),
        // For processors; partial tiles.
        linear(3, 1024, 2736),
        linear(130, 260, 256),
        // Several shared tiles along each side; partial tiles.
        linear(70, 37, 300),
        linear_of_tokens([2, 3, 5], 7),
        linear_of_tokens([3, 11, 16], 12),
        // So many rows that the gradient of the bias is summed in two stages.
        linear_of_tokens([25, 41, 3], 5),
        product("mk,kn->mn", &[1, 1], &[1, 1]),
        product("mk,kn->mn", &[9, 5], &[5, 11]),
        product("bmk,bkn->bmn", &[1, 3, 7], &[1, 7, 2]),
        product("bmk,bkn->bmn", &[6, 5, 1], &[6, 1, 3]),
        product("bhmk,bhkn->bhmn", &[2, 3, 1, 5], &[2, 3, 5, 9]),
        // Each operand transposed, and the result. The last axis of the result is an axis of a.
        product("bkm,bnk->bmn", &[3, 5, 9], &[3, 10, 5]),
        product("bmk,bnk->nbm", &[2, 9, 3], &[2, 11, 3]),
        // Missing axes: matrix-vector, vector-matrix, dot and outer product.
        product("bmk,bk->bm", &[3, 5, 7], &[3, 7]),
        product("bk,bkn->bn", &[3, 8], &[3, 8, 12]),
        product("bk,bk->b", &[5, 6], &[5, 6]),
        product("bm,bn->bmn", &[3, 5], &[3, 7]),
        product("m,n->mn", &[12], &[8]),
        // Attention scores and their product with the values: odd extents, multiples of four,
        // several partial tiles, and shared tiles.
        product("bthd,bshd->bhts", &[2, 5, 3, 7], &[2, 9, 3, 7]),
        product("bhts,bshd->bthd", &[2, 3, 5, 9], &[2, 9, 3, 7]),
        product("bthd,bshd->bhts", &[2, 12, 3, 8], &[2, 8, 3, 8]),
        product("bhts,bshd->bthd", &[2, 3, 12, 8], &[2, 8, 3, 8]),
        product("bthd,bshd->bhts", &[2, 36, 2, 12], &[2, 44, 2, 12]),
        product("bhts,bshd->bthd", &[2, 2, 36, 44], &[2, 44, 2, 40]),
        product("bkm,bkn->bmn", &[2, 8, 36], &[2, 8, 132]),
        batch_norm([2, 3, 4, 4], Identity, false),
        batch_norm([3, 5, 7, 3], Identity, false),
        batch_norm([2, 1, 1, 3], Identity, false),
        batch_norm([16, 4, 9, 9], Identity, false),
        batch_norm([5, 70, 2, 2], Identity, false),
        batch_norm([3, 5, 7, 3], Relu, false),
        batch_norm([2, 6, 4, 4], Relu, false),
        batch_norm([3, 5, 3, 3], Relu, true),
        batch_norm([2, 3, 8, 4], Relu, true),
        batch_norm([2, 3, 3, 4], Identity, true),
        batch_norm([2, 5, 4, 2], Relu6, false),
        batch_norm([3, 4, 3, 3], Relu6, true),
        batch_norm([3, 4, 5, 3], Silu, false),
        batch_norm([2, 5, 4, 4], Silu, false),
        batch_norm_of_first(3, [2, 5, 3, 3], Silu, false),
        // 16 elements per channel: their mean is exact.
        batch_norm_far_from_0([2, 3, 4, 2]),
        batch_norm_far_from_0([8, 3, 2, 1]),
        batch_norm_of_first(3, [2, 5, 4, 4], Identity, false),
        batch_norm_of_first(4, [3, 7, 3, 3], Relu, false),
        batch_norm_of_first(1, [5, 2, 1, 1], Identity, false),
        batch_norm_of_first(33, [20, 40, 2, 5], Relu6, false),
        concat([2, 3, 4, 4], 2),
        concat([3, 4, 3, 5], 3),
        concat([1, 1, 1, 1], 1),
        upsample([2, 3, 4, 5], 2),
        upsample([1, 1, 1, 1], 1),
        upsample([3, 5, 8, 16], 4),
        // Three chunks of four images, the last one partial.
        batch_norm([10, 130, 3, 1], Identity, false),
        conv([1, 1, 1, 1], (1, 1), (1, 0, 1), false),
        conv([2, 3, 8, 8], (16, 3), (1, 1, 1), false),
        conv([1, 3, 7, 5], (5, 3), (1, 1, 1), true),
        conv([2, 5, 9, 11], (7, 3), (2, 1, 1), false),
        conv([2, 4, 8, 8], (6, 3), (2, 1, 1), true),
        conv([1, 2, 10, 10], (3, 3), (3, 0, 1), true),
        conv([2, 9, 6, 6], (10, 1), (1, 0, 1), false),
        conv([2, 8, 9, 9], (16, 1), (2, 0, 1), false),
        conv([2, 1, 12, 12], (6, 5), (1, 2, 1), true),
        conv([1, 3, 14, 14], (9, 7), (2, 3, 1), false),
        conv([2, 6, 7, 7], (6, 3), (1, 1, 6), false),
        conv([1, 6, 9, 9], (12, 3), (2, 1, 3), true),
        conv([2, 4, 5, 5], (4, 2), (1, 0, 2), false),
        conv([1, 4, 17, 3], (9, 3), (1, 1, 1), false),
        conv([3, 20, 10, 9], (24, 3), (1, 1, 1), false),
        // For processors: rows of 1 to 4 groups of columns, and of several times that; left-over
        // rows and columns; groups of channels.
        conv([1, 3, 5, 4], (9, 3), (1, 1, 1), true),
        conv([3, 5, 9, 8], (7, 3), (1, 1, 1), false),
        conv([2, 4, 3, 12], (8, 3), (1, 1, 2), true),
        conv([1, 2, 2, 28], (3, 3), (1, 1, 1), false),
        conv([65, 33, 2, 32], (10, 3), (1, 1, 1), false),
        conv([2, 3, 3, 64], (20, 3), (1, 1, 1), true),
        conv([1, 6, 3, 44], (4, 3), (1, 1, 2), false),
        conv([2, 9, 5, 16], (10, 1), (1, 0, 1), true),
        conv([3, 20, 4, 8], (9, 1), (2, 0, 1), false),
        conv([2, 4, 7, 16], (8, 1), (2, 0, 2), true),
        conv([2, 80, 3, 4], (20, 1), (1, 0, 1), false),
        conv([1, 3, 5, 8], (9, 3), (2, 1, 1), true),
        conv([3, 5, 8, 16], (7, 3), (2, 1, 1), false),
        conv([2, 4, 6, 24], (8, 3), (2, 1, 2), true),
        conv([1, 9, 2, 64], (3, 3), (2, 1, 1), false),
        conv([2, 3, 1, 40], (20, 3), (2, 1, 1), false),
        conv([2, 3, 6, 10], (4, 3), (2, 1, 1), false),
        // At stride 2: 4 groups of columns in a row of x and of y.
        conv([2, 3, 5, 16], (9, 3), (1, 1, 1), false),
        conv([2, 3, 3, 24], (9, 3), (1, 1, 1), true),
        conv([2, 3, 6, 32], (9, 3), (2, 1, 1), false),
        conv([2, 3, 8, 4], (4, 3), (2, 1, 1), false),
        // Several tiles of output channels, the last one partial, in forward and backward; in
        // groups; with many positions.
        conv([1, 60, 2, 4], (40, 3), (1, 1, 1), false),
        conv([1, 60, 2, 8], (40, 3), (2, 1, 1), false),
        conv([1, 40, 3, 8], (36, 3), (2, 1, 2), true),
        conv([3, 8, 3, 24], (10, 1), (1, 0, 2), true),
        conv([2, 7, 6, 32], (5, 1), (2, 0, 1), false),
        conv([1, 3, 5, 80], (5, 3), (2, 1, 1), false),
        conv([1, 3, 5, 40], (5, 3), (1, 1, 1), false),
        conv([1, 3, 3, 48], (4, 3), (2, 1, 1), false),
        conv([131, 2, 1, 8], (3, 3), (2, 1, 1), false),
        // Depthwise: partial and whole rows, strips, strides, and slices of several columns in the
        // weight gradient.
        conv([2, 5, 9, 11], (5, 3), (1, 1, 5), true),
        conv([2, 3, 17, 8], (3, 3), (1, 1, 3), false),
        conv([1, 4, 10, 12], (4, 3), (2, 1, 4), true),
        conv([2, 3, 7, 5], (3, 3), (2, 1, 3), false),
        conv([3, 2, 8, 6], (2, 3), (2, 1, 2), false),
        conv([2, 4, 20, 16], (4, 3), (2, 1, 4), true),
        conv([1, 3, 7, 24], (3, 3), (2, 1, 3), false),
        conv([65, 140, 2, 2], (140, 3), (1, 1, 140), false),
        conv([2, 5, 1, 1], (5, 3), (2, 1, 5), false),
        // Shared tiles: several tiles of rows, of columns and of terms, the last one partial.
        conv([3, 15, 8, 9], (70, 3), (1, 1, 1), true),
        conv([2, 70, 6, 5], (66, 1), (1, 0, 2), false),
        // Kernels, strides and paddings that differ between the axes: odd rows, rows of whole vec4,
        // groups, several tiles of channels and columns.
        convolution([2, 3, 7, 5], (5, [3, 1]), oblong([1, 1], [1, 0], 1), true),
        convolution([1, 4, 6, 9], (6, [1, 5]), oblong([1, 1], [0, 2], 2), false),
        convolution([2, 4, 13, 11], (6, [7, 3]), oblong([2, 1], [3, 0], 2), true),
        convolution([2, 3, 9, 14], (9, [1, 3]), oblong([1, 2], [0, 1], 1), false),
        convolution([1, 3, 8, 16], (20, [3, 1]), oblong([1, 1], [1, 0], 1), false),
        convolution([2, 5, 8, 12], (4, [3, 3]), oblong([2, 1], [1, 1], 1), false),
        convolution([2, 5, 5, 16], (7, [3, 3]), oblong([1, 1], [1, 0], 1), true),
        convolution([1, 2, 10, 13], (3, [2, 4]), oblong([1, 3], [0, 1], 1), false),
        convolution([1, 2, 13, 10], (3, [4, 2]), oblong([3, 1], [1, 0], 1), false),
        convolution([3, 6, 4, 8], (6, [3, 3]), oblong([2, 1], [1, 1], 6), false),
        convolution([3, 5, 6, 6], (10, [1, 1]), oblong([1, 2], [0, 0], 1), true),
        convolution([2, 33, 5, 20], (40, [1, 7]), oblong([1, 1], [0, 3], 1), false),
        // Slices of several rows in the weight gradient, the last one partial.
        conv([5, 16, 31, 5], (40, 3), (1, 1, 1), false),
    ]
    .into_iter()
    .chain(sequence_rows::rows())
    .collect()
}

/// Shapes of small networks at batch size 64, for benches. The f64 references are too slow for
/// them.
pub fn large_rows() -> Vec<Row> {
    use Activation::{Identity, Relu};
    vec![
        relu([64, 16, 32, 32].into()),
        gelu([64, 16, 32, 32].into(), 1.0),
        add([64, 16, 32, 32].into()),
        max_pool([64, 16, 32, 32], Window::square(2)),
        mean_pool([64, 64, 8, 8], 0, 1),
        blur([64, 16, 32, 32]),
        batch_norm([64, 16, 32, 32], Identity, false),
        batch_norm([64, 16, 32, 32], Relu, false),
        batch_norm([64, 16, 32, 32], Relu, true),
        linear(512, 512, 512),
        product("bthd,bshd->bhts", &[16, 128, 8, 32], &[16, 128, 8, 32]),
        product("bhts,bshd->bthd", &[16, 8, 128, 128], &[16, 128, 8, 32]),
        conv([64, 3, 32, 32], (16, 3), (1, 1, 1), false),
        conv([64, 16, 32, 32], (32, 3), (1, 1, 1), false),
        conv([64, 32, 16, 16], (64, 3), (2, 1, 1), false),
        conv([64, 64, 8, 8], (64, 3), (1, 1, 1), false),
        conv([64, 32, 16, 16], (64, 1), (2, 0, 1), false),
        conv([64, 6, 14, 14], (16, 5), (1, 0, 1), true),
        conv([16, 128, 14, 14], (128, 3), (1, 1, 1), false),
        conv([16, 128, 7, 7], (512, 1), (1, 0, 1), false),
        conv([16, 128, 14, 14], (512, 1), (1, 0, 1), false),
        conv([64, 32, 32, 32], (32, 3), (1, 1, 32), false),
        conv([64, 96, 16, 16], (96, 3), (2, 1, 96), false),
    ]
    .into_iter()
    .chain(sequence_rows::large_rows())
    .collect()
}
