"""Golden training steps: ten steps of a small net by JAX and optax, for the engine to reproduce.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install "jax[cpu]" optax safetensors numpy
    /tmp/golden/bin/python tests/golden/make_fixtures.py

The net, on x [8,3,8,8]: conv1 3->4, 3x3, padding 1; bn1; ReLU; max-pool 2; conv2 4->6, 3x3, stride 2, padding 1; bn2; ReLU;
global mean; linear 6->5; mean softmax cross-entropy. Every layer (conv1 with bn1, conv2 with bn2, linear) has a learning rate
of its own. Everything is computed in f64, from values that f32 holds exactly, and written as f32.

The optimisers are optax's, since each that is used here computes what PyTorch's optimiser of the same name does (optax 0.2,
PyTorch 2): `trace` is PyTorch's momentum buffer with dampening 0 and the same Nesterov form; `scale_by_adam` adds epsilon
outside the root; `scale_by_adamax` takes max(beta2 u, |g| + epsilon) and corrects m alone; `adamw` adds wd p to the update,
which is p *= 1 - lr wd followed by Adam's step, since the step does not depend on p. Coupled weight decay (all but AdamW) is
`add_decayed_weights` first. `check()` compares all of this with the equations.

A step is only a fair test where rounding cannot decide it. So the seed of each run is the first at which, over all ten steps,
no input of a ReLU lies within GAP of 0, no maximum within GAP of its runner-up, and the same run in f32 ends within
F32_DRIFT of the f64 one.
"""

import json
import pathlib

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
import optax
from safetensors.numpy import save

STEPS, N, C, SIDE, CLASSES = 10, 8, 3, 8, 5
EPSILON, MOMENTUM = 1e-5, 0.1  # batch norm
MEAN, STD = [0.45, 0.5, 0.55], [0.25, 0.3, 0.2]  # images = (bytes / 255 - MEAN) / STD
RATES = {"conv1": 0.05, "conv2": 0.01, "linear": 0.002}  # for the Adam family a tenth of these
WEIGHT_DECAY = 1e-2
GAP, F32_DRIFT = 1e-4, 1e-5

SHAPES = {
    "conv1.weight": (4, 3, 3, 3),
    "bn1.weight": (4,),
    "bn1.bias": (4,),
    "conv2.weight": (6, 4, 3, 3),
    "bn2.weight": (6,),
    "bn2.bias": (6,),
    "linear.weight": (5, 6),
    "linear.bias": (5,),
}
STATE_SHAPES = {"bn1.running_mean": (4,), "bn1.running_var": (4,), "bn2.running_mean": (6,), "bn2.running_var": (6,)}

SGD = {"name": "sgd", "momentum": 0.9, "nesterov": False}
BETAS = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
RUNS = {  # name: rule, label smoothing
    "sgd": (SGD, 0.0),
    "nesterov": (SGD | {"nesterov": True}, 0.0),
    "adam": ({"name": "adam"} | BETAS, 0.0),
    "adamw": ({"name": "adamw"} | BETAS, 0.0),
    "adamax": ({"name": "adamax"} | BETAS, 0.0),
    "smoothing": (SGD, 0.1),
}


def layer_of(name):
    """The layer whose rate a parameter follows."""
    return name.split(".")[0].replace("bn", "conv")


def rates_of(rule):
    """Learning rate by layer."""
    return {layer: rate if rule["name"] == "sgd" else rate / 10 for layer, rate in RATES.items()}


# ---- the network


def conv(x, w, stride):
    return jax.lax.conv_general_dilated(x, w, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NCHW", "OIHW", "NCHW"))


def batch_norm(x, name, params, state):
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    count = x.size // x.shape[1]
    column = lambda v: v[None, :, None, None]
    y = (x - column(mean)) / jnp.sqrt(column(var) + EPSILON)
    y = y * column(params[f"{name}.weight"]) + column(params[f"{name}.bias"])
    keep = lambda old, new: (1 - MOMENTUM) * old + MOMENTUM * new
    kept = {
        f"{name}.running_mean": keep(state[f"{name}.running_mean"], mean),
        f"{name}.running_var": keep(state[f"{name}.running_var"], var * (count / (count - 1))),
    }
    return y, kept


def pool_windows(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)


def loss_of(params, state, images, labels, smoothing):
    """The loss, the running statistics after it, and the smallest distance from a kink."""
    h1, kept1 = batch_norm(conv(images, params["conv1.weight"], 1), "bn1", params, state)
    windows = pool_windows(jax.nn.relu(h1))
    h2, kept2 = batch_norm(conv(windows.max(-1), params["conv2.weight"], 2), "bn2", params, state)
    features = jax.nn.relu(h2).mean((2, 3))
    logits = features @ params["linear.weight"].T + params["linear.bias"]
    targets = optax.smooth_labels(jax.nn.one_hot(labels, CLASSES, dtype=logits.dtype), smoothing)
    loss = optax.softmax_cross_entropy(logits, targets).mean()
    second, first = jnp.sort(windows, -1)[..., -2:].transpose(4, 0, 1, 2, 3)
    ahead = jnp.where(first > 0, first - second, jnp.inf)  # an all-zero window passes no gradient through its ReLUs
    gap = jnp.minimum(jnp.minimum(jnp.abs(h1).min(), jnp.abs(h2).min()), ahead.min())
    return loss, (kept1 | kept2, gap)


# ---- the optimisers


def transformation(rule, rate):
    """optax's form of a rule, at one learning rate."""
    if rule["name"] == "sgd":
        step = optax.sgd(rate, momentum=rule["momentum"], nesterov=rule["nesterov"])
        return optax.chain(optax.add_decayed_weights(WEIGHT_DECAY), step)
    betas = {"b1": rule["beta1"], "b2": rule["beta2"], "eps": rule["epsilon"]}
    if rule["name"] == "adamw":
        return optax.adamw(rate, **betas, weight_decay=WEIGHT_DECAY)
    step = {"adam": optax.adam, "adamax": optax.adamax}[rule["name"]]
    return optax.chain(optax.add_decayed_weights(WEIGHT_DECAY), step(rate, **betas))


def optimizer_of(rule):
    """A rule with every layer at its own rate."""
    by_layer = {layer: transformation(rule, rate) for layer, rate in rates_of(rule).items()}
    return optax.multi_transform(by_layer, {name: layer_of(name) for name in SHAPES})


def written_out(rule, p, g, m, v, lr, t):
    """PyTorch's equations for step t (from 1): the new p, m and v."""
    decayed = g + WEIGHT_DECAY * p
    if rule["name"] == "sgd":
        m = rule["momentum"] * m + decayed
        return p - lr * (decayed + rule["momentum"] * m if rule["nesterov"] else m), m, v
    b1, b2, eps = rule["beta1"], rule["beta2"], rule["epsilon"]
    if rule["name"] == "adamw":
        p = p * (1 - lr * WEIGHT_DECAY)
    else:
        g = decayed
    m = b1 * m + (1 - b1) * g
    if rule["name"] == "adamax":
        v = np.maximum(b2 * v, np.abs(g) + eps)
        return p - lr / (1 - b1**t) * m / v, m, v
    v = b2 * v + (1 - b2) * g * g
    return p - lr / (1 - b1**t) * m / (np.sqrt(v) / np.sqrt(1 - b2**t) + eps), m, v


# ---- a run


def draw(seed):
    """Initial values, bytes of the images, and labels."""
    rng = np.random.default_rng(seed)
    params = {}
    for name, shape in SHAPES.items():
        spread = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.2
        centre = 1 if name in ("bn1.weight", "bn2.weight") else 0
        params[name] = (centre + spread * rng.standard_normal(shape)).astype(np.float32)
    state = {name: np.full(shape, float(name.endswith("var")), np.float32) for name, shape in STATE_SHAPES.items()}
    data = rng.integers(0, 256, (STEPS, N, C, SIDE, SIDE), np.uint8)
    labels = rng.integers(0, CLASSES, (STEPS, N), np.int32)
    return params, state, data, labels


def normalised(data):
    column = lambda v: np.array(v)[:, None, None]
    return ((data / 255 - column(MEAN)) / column(STD)).astype(np.float32)


gradient = jax.jit(jax.value_and_grad(loss_of, has_aux=True), static_argnums=4)


def train(rule, smoothing, params, state, images, labels, dtype):
    """All results of ten steps computed in `dtype`."""
    optimizer = optimizer_of(rule)
    update = jax.jit(optimizer.update)
    cast = lambda tree: jax.tree.map(lambda v: jnp.asarray(v, dtype), tree)
    params, state, images = cast(params), cast(state), cast(images)
    moments, losses, gradients, gap = optimizer.init(params), [], [], np.inf
    for x, y in zip(images, labels):
        (loss, (state, step_gap)), grads = gradient(params, state, x, y, smoothing)
        updates, moments = update(grads, moments, params)
        params = optax.apply_updates(params, updates)
        losses.append(loss)
        gradients.append(grads)
        gap = min(gap, float(step_gap))
    assert all(v.dtype == dtype for v in jax.tree.leaves((params, state, losses)))
    host = lambda tree: jax.tree.map(np.asarray, tree)
    return host(params | state), np.array(losses), host(gradients), gap


def drift(found, expected):
    """The largest deviation of a tensor, relative to the largest element of it."""
    return max(np.abs(found[name] - expected[name]).max() / np.abs(expected[name]).max() for name in expected)


def check(rule, initial, gradients, final):
    """optax against the equations, on the run's gradients."""
    for name, p in initial.items():
        p, m, v = p.astype(np.float64), 0, 0
        for t, grads in enumerate(gradients, 1):
            p, m, v = written_out(rule, p, grads[name], m, v, rates_of(rule)[layer_of(name)], t)
        np.testing.assert_allclose(final[name], p, rtol=1e-10, atol=1e-13, err_msg=name)


def make(name, folder):
    rule, smoothing = RUNS[name]
    for seed in range(10_000):
        params, state, data, labels = draw(seed)
        images = normalised(data)
        final, losses, gradients, gap = train(rule, smoothing, params, state, images, labels, jnp.float64)
        if gap < GAP:
            continue
        off = drift(train(rule, smoothing, params, state, images, labels, jnp.float32)[0], final)
        if off < F32_DRIFT:
            break
    check(rule, params, gradients, final)
    narrow = lambda prefix, tree: {f"{prefix}.{key}": np.asarray(v, np.float32) for key, v in tree.items()}
    tensors = narrow("initial", params) | narrow("gradient0", gradients[0]) | narrow("final", final)
    tensors |= {"images": images, "labels": labels, "loss": losses.astype(np.float32)}
    metadata = {"rates": json.dumps(rates_of(rule)), "decay": str(WEIGHT_DECAY), "smoothing": str(smoothing)}
    path = folder / f"{name}.safetensors"
    tensors = {key: np.ascontiguousarray(v) for key, v in tensors.items()}
    path.write_bytes(save(tensors, metadata))
    print(f"{path.name}: seed {seed}, gap {gap:.1e}, f32 drift {off:.1e}, loss {losses[0]:.4f} -> {losses[-1]:.4f}")


if __name__ == "__main__":
    for run in RUNS:
        make(run, pathlib.Path(__file__).parent)
