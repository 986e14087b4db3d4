"""Recomputes in JAX the training steps that `lerac trace` wrote with SGD, and prints the largest relative difference.
examples/check_with_torch.py does the same in PyTorch, which is a larger installation.

    python3 tests/golden/check_trace.py DIR

Needs jax, numpy and safetensors; exits with 1 if the tolerance is exceeded."""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
from safetensors.numpy import load_file

TOLERANCE = 1e-3
EPSILON, MOMENTUM = 1e-5, 0.1


def correlate(x, w, stride, pad, groups=1):
    numbers = ("NCHW", "OIHW", "NCHW")
    return jax.lax.conv_general_dilated(
        x, w, (stride, stride), ((pad, pad), (pad, pad)), dimension_numbers=numbers, feature_group_count=groups
    )


def blur(y, sigma):
    """Curriculum by Smoothing: the same 3x3 Gaussian over every channel, zeros around."""
    squares = jnp.arange(-1.0, 2.0) ** 2
    kernel = jnp.exp(-(squares[:, None] + squares[None, :]) / (2 * sigma**2))
    channels = y.shape[1]
    return correlate(y, jnp.broadcast_to(kernel / kernel.sum(), (channels, 1, 3, 3)), 1, 1, channels)


class Net:
    """A forward pass over parameters by name. Collects the running statistics of batch norm."""

    def __init__(self, tensors, sigma):
        self.tensors, self.sigma, self.kept = tensors, sigma, {}

    def conv(self, name, x, stride=1):
        w = self.tensors[f"{name}.weight"]
        pad = (w.shape[2] - 1) // 2
        y = correlate(x, w, stride, pad)
        return y if self.sigma is None or w.shape[2] == 1 else blur(y, self.sigma)

    def norm(self, name, x):
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        count = x.size // x.shape[1]
        for which, new in (("mean", mean), ("var", var * count / (count - 1))):
            key = f"{name}.running_{which}"
            self.kept[key] = (1 - MOMENTUM) * self.tensors[key] + MOMENTUM * new
        column = lambda v: v[None, :, None, None]
        y = (x - column(mean)) / jnp.sqrt(column(var) + EPSILON)
        return y * column(self.tensors[f"{name}.weight"]) + column(self.tensors[f"{name}.bias"])

    def linear(self, name, x):
        return x @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"]


def max_pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def cnn(net, x):
    for i in (1, 2, 3):
        x = jax.nn.relu(net.norm(f"bn{i}", net.conv(f"conv{i}", x)))
        x = max_pool(x) if i < 3 else x
    return net.linear("linear", x.mean((2, 3)))


def resnet(net, x, blocks, stem="1", stages=3):
    x = jax.nn.relu(net.norm(f"bn{stem}", net.conv(f"conv{stem}", x)))
    for stage in range(1, stages + 1):
        for i in range(blocks):
            name, stride = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            y = jax.nn.relu(net.norm(f"{name}.bn1", net.conv(f"{name}.conv1", x, stride)))
            y = net.norm(f"{name}.bn2", net.conv(f"{name}.conv2", y))
            if f"{name}.shortcut.0.weight" in net.tensors:
                x = net.norm(f"{name}.shortcut.1", net.conv(f"{name}.shortcut.0", x, stride))
            x = jax.nn.relu(y + x)
    return net.linear("linear", x.mean((2, 3)))


MODELS = {
    "cnn": cnn,
    "resnet8": lambda net, x: resnet(net, x, 1),
    "resnet20": lambda net, x: resnet(net, x, 3),
    "resnet18": lambda net, x: resnet(net, x, 2, "1_initial", 4),
}


def loss_of(parameters, state, model, images, labels, goal, sigma):
    net = Net(parameters | state, sigma)
    logits = MODELS[model](net, images)
    if "loss" in goal:
        distance = logits[:, 0] - (labels - goal["mean"]) / goal["std"]
        return (jnp.abs(distance) if goal["loss"] == "l1" else distance**2).mean(), net.kept
    smoothing, classes = goal["label_smoothing"], logits.shape[1]
    targets = (1 - smoothing) * jax.nn.one_hot(labels, classes) + smoothing / classes
    return -(targets * jax.nn.log_softmax(logits)).sum(1).mean(), net.kept


def main(directory):
    trace = json.loads((directory / "trace.json").read_text())
    model, config = trace["config"]["model"]["name"], trace["config"]["optimizer"]
    assert config["name"] == "sgd" and not config.get("clip-norm"), "only plain SGD is recomputed here"
    assert not trace["config"]["training"].get("mixup"), "mixed examples are not recomputed here"
    weights = load_file(directory / "initial.safetensors")
    entries = {entry["name"]: entry for entry in trace["parameters"]}
    moments = {name: jnp.zeros_like(weights[name]) for name in entries}
    worst = (0.0, "nothing differs")

    norm = lambda v: float(jnp.linalg.norm(jnp.ravel(v)))

    def compare(what, found, expected, rounding=0.0):
        nonlocal worst
        difference = max(norm(found - expected) - rounding, 0.0) / max(norm(expected), 1e-12)
        if not norm(found - expected) < float("inf"):
            difference = float("inf")
        worst = max(worst, (difference, what))

    def compare_change(what, before, found, expected):
        # The change of a weight is as precise as the two weights.
        compare(f"{what}: change", found - before, expected - before, rounding=1e-7 * norm(before))

    for record in trace["steps"]:
        step = load_file(directory / f"step-{record['step']:04}.safetensors")
        parameters = {name: weights[name] for name in entries}
        state = {name: tensor for name, tensor in weights.items() if name not in entries}
        labels = step["target.number"] if "loss" in trace["goal"] else step["target.label"].astype(int)
        arguments = (model, step["input.image"], labels, trace["goal"], record["sigma"])
        (loss, kept), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters, state, *arguments)
        compare(f"step {record['step']}: loss", jnp.float32(record["loss"]), loss)
        for name, entry in entries.items():
            compare(f"step {record['step']}: gradient of {name}", step[f"gradient.{name}"], gradients[name])
            decay = 0.0 if config["spare-norm-and-bias"] and entry["norm_or_bias"] else config["weight-decay"]
            g = gradients[name] + decay * parameters[name]
            momentum = record.get("momentum", config["momentum"])
            rates = record.get("bias_learning_rates") if entry["bias"] else None
            moments[name] = momentum * moments[name] + g
            direction = g + momentum * moments[name] if config["nesterov"] else moments[name]
            after = parameters[name] - (rates or record["learning_rates"])[entry["layer"]] * direction
            compare_change(f"step {record['step']}: {name}", parameters[name], step[f"after.{name}"], after)
        for name, tensor in kept.items():
            compare(f"step {record['step']}: {name}", step[f"after.{name}"], tensor)
        weights = {name.removeprefix("after."): tensor for name, tensor in step.items() if name.startswith("after.")}
    print(f"{len(trace['steps'])} steps of {model}: largest relative difference {worst[0]:.2e} ({worst[1]})")
    sys.exit(0 if worst[0] <= TOLERANCE else 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
