"""Makes the golden training steps that tests/golden.rs replays: ten steps of a small network, computed in f64 by JAX and optax.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install "jax[cpu]" optax safetensors numpy
    /tmp/golden/bin/python tests/golden/make_fixtures.py

Network on x [8,3,8,8]: conv1 3->4 3x3 pad 1, bn1, relu, max-pool 2, conv2 4->6 3x3 stride 2 pad 1, bn2, relu, global mean pool,
linear 6->5; mean softmax cross-entropy. Each layer has a learning rate of its own.
"""

import json
import pathlib

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
import optax
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
STEPS, BATCH, CLASSES = 10, 8, 5
RATES = {"conv1": 0.05, "conv2": 0.01, "linear": 0.002}
DECAY = 1e-2


def initial(rng):
    def normal(*shape, scale):
        return np.float32(rng.normal(size=shape) * scale)

    return {
        "conv1.weight": normal(4, 3, 3, 3, scale=0.3),
        "bn1.weight": np.float32(1 + 0.1 * rng.normal(size=4)),
        "bn1.bias": normal(4, scale=0.1),
        "conv2.weight": normal(6, 4, 3, 3, scale=0.3),
        "bn2.weight": np.float32(1 + 0.1 * rng.normal(size=6)),
        "bn2.bias": normal(6, scale=0.1),
        "linear.weight": normal(5, 6, scale=0.4),
        "linear.bias": normal(5, scale=0.1),
    }


def layer_of(name):
    return {"bn1": "conv1", "bn2": "conv2"}.get(name.split(".")[0], name.split(".")[0])


def conv(x, w, stride):
    return jax.lax.conv_general_dilated(x, w, (stride, stride), [(1, 1), (1, 1)], dimension_numbers=("NCHW", "OIHW", "NCHW"))


def norm(x, gamma, beta):
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    shape = (1, -1, 1, 1)
    y = (x - mean.reshape(shape)) / jnp.sqrt(var.reshape(shape) + 1e-5) * gamma.reshape(shape) + beta.reshape(shape)
    count = x.shape[0] * x.shape[2] * x.shape[3]
    return y, (mean, var * count / (count - 1))


def loss(params, x, labels, smoothing):
    x, first = norm(conv(x, params["conv1.weight"], 1), params["bn1.weight"], params["bn1.bias"])
    x = jax.nn.relu(x)
    x = x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).max((3, 5))
    x, second = norm(conv(x, params["conv2.weight"], 2), params["bn2.weight"], params["bn2.bias"])
    x = jax.nn.relu(x).mean((2, 3))
    logits = x @ params["linear.weight"].T + params["linear.bias"]
    target = optax.smooth_labels(jax.nn.one_hot(labels, CLASSES), smoothing)
    return optax.softmax_cross_entropy(logits, target).mean(), (first, second)


def coupled(inner):
    return optax.chain(optax.add_decayed_weights(DECAY), inner)


# optax's rules with PyTorch's conventions: decay joins the gradient before the moments, except in AdamW. optax's adamax adds
# epsilon where PyTorch does. A rule maps a learning rate to a transformation.
RULES = {
    "sgd": lambda lr: coupled(optax.sgd(lr, momentum=0.9)),
    "nesterov": lambda lr: coupled(optax.sgd(lr, momentum=0.9, nesterov=True)),
    "adam": lambda lr: coupled(optax.adam(lr / 10)),
    "adamw": lambda lr: optax.adamw(lr / 10, weight_decay=DECAY),
    "adamax": lambda lr: coupled(optax.adamax(lr / 10)),
    "smoothing": lambda lr: coupled(optax.sgd(lr, momentum=0.9)),
}


def make(rule):
    rng = np.random.default_rng(7)
    start = initial(rng)
    images = np.float32(rng.normal(size=(STEPS, BATCH, 3, 8, 8)))
    labels = rng.integers(0, CLASSES, size=(STEPS, BATCH)).astype(np.int32)
    smoothing = 0.1 if rule == "smoothing" else 0.0
    params = {name: jnp.asarray(value, jnp.float64) for name, value in start.items()}
    optimizer = optax.multi_transform({layer: RULES[rule](rate) for layer, rate in RATES.items()}, {n: layer_of(n) for n in params})
    state = optimizer.init(params)
    running = {f"bn{i}.{which}": np.full(c, which == "running_var", np.float64) for i, c in ((1, 4), (2, 6)) for which in ("running_mean", "running_var")}
    out = {f"initial.{name}": value for name, value in start.items()}
    losses = []
    for step in range(STEPS):
        x = jnp.asarray(images[step], jnp.float64)
        (value, statistics), grads = jax.value_and_grad(loss, has_aux=True)(params, x, labels[step], smoothing)
        if step == 0:
            out |= {f"gradient0.{name}": np.float32(g) for name, g in grads.items()}
        for i, (mean, var) in enumerate(statistics, 1):
            for which, new in (("running_mean", mean), ("running_var", var)):
                running[f"bn{i}.{which}"] = 0.9 * running[f"bn{i}.{which}"] + 0.1 * np.asarray(new)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        losses.append(float(value))
    out |= {f"final.{name}": np.float32(value) for name, value in (params | running).items()}
    out |= {"images": images, "labels": labels, "loss": np.float32(losses)}
    scale = 1.0 if rule in ("sgd", "nesterov", "smoothing") else 0.1
    metadata = {"rates": json.dumps({layer: rate * scale for layer, rate in RATES.items()}), "decay": str(DECAY), "smoothing": str(smoothing)}
    save_file({name: np.ascontiguousarray(value) for name, value in out.items()}, HERE / f"{rule}.safetensors", metadata)
    print(rule, losses[0], losses[-1])


if __name__ == "__main__":
    for rule in RULES:
        make(rule)
