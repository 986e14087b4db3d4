"""Golden training steps with a moving average of the weights and a warm-up of biases and momentum, as in YOLOv5's train.py
(v7.0), for the engine to reproduce.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install numpy safetensors
    /tmp/golden/bin/python tests/golden/make_average.py

The net, on x [8,3,4,4]: batch norm; mean over each channel; linear 3->5; mean softmax cross-entropy. All of it is computed in
f64 by NumPy, with the gradients written out, from values that f32 holds exactly.

Two things differ from YOLOv5, as everywhere in lerac: the rate falls with every step instead of every epoch, and the first
step of a warm-up has progress 1/steps instead of 0."""

import pathlib

import numpy as np
from safetensors.numpy import save

STEPS, STEPS_PER_EPOCH, N, C, SIDE, CLASSES = 12, 4, 8, 3, 4, 5
EPSILON, STATISTICS = 1e-5, 0.1  # batch norm
ETA, FINAL, WARMUP_STEPS, BIAS_RATE = 0.2, 0.02, 6, 0.5
MOMENTUM = (0.5, 0.937)
DECAY = 5e-2  # on linear.weight only
EMA, EMA_WARMUP = 0.9, 5


def rounded(values):
    return values.astype(np.float32).astype(np.float64)


def loss_and_gradients(tensors, x, labels):
    """Updates the running statistics."""
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    count = x.size // C
    for name, new in (("mean", mean), ("var", var * count / (count - 1))):
        tensors[f"bn.running_{name}"] = (1 - STATISTICS) * tensors[f"bn.running_{name}"] + STATISTICS * new
    means = ((x - mean[:, None, None]) / np.sqrt(var + EPSILON)[:, None, None]).mean((2, 3))
    pooled = tensors["bn.weight"] * means + tensors["bn.bias"]
    logits = pooled @ tensors["linear.weight"].T + tensors["linear.bias"]
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    rows = np.arange(N)
    loss = -np.log(probabilities[rows, labels]).mean()
    dlogits = probabilities.copy()
    dlogits[rows, labels] -= 1
    dlogits /= N
    dpooled = dlogits @ tensors["linear.weight"]
    return loss, {
        "bn.weight": (dpooled * means).sum(0),
        "bn.bias": dpooled.sum(0),
        "linear.weight": dlogits.T @ pooled,
        "linear.bias": dlogits.sum(0),
    }


def main():
    generator = np.random.default_rng(0)
    images = rounded(generator.normal(size=(STEPS, N, C, SIDE, SIDE)) * [[[1]], [[2]], [[0.5]]] + 0.3)
    images += rounded(generator.normal(size=(STEPS, N, C, 1, 1)))
    images = rounded(images)
    labels = generator.integers(0, CLASSES, (STEPS, N), dtype=np.uint32)
    tensors = {
        "bn.weight": rounded(generator.uniform(0.5, 1.5, C)),
        "bn.bias": rounded(generator.normal(size=C) * 0.3),
        "linear.weight": rounded(generator.normal(size=(CLASSES, C)) * 0.5),
        "linear.bias": rounded(generator.normal(size=CLASSES) * 0.3),
        "bn.running_mean": np.zeros(C),
        "bn.running_var": np.ones(C),
    }
    written = {f"initial.{name}": value for name, value in tensors.items()}
    averages, moments, losses = dict(tensors), {}, []
    for step in range(STEPS):
        warmed = min(1.0, (step + 1) / WARMUP_STEPS)
        floor, left = FINAL / ETA, 1 - step / STEPS
        rate = ETA * (left * (1 - floor) + floor) * warmed
        momentum = MOMENTUM[0] + (MOMENTUM[1] - MOMENTUM[0]) * warmed
        loss, gradients = loss_and_gradients(tensors, images[step], labels[step])
        losses.append(loss)
        for name, g in gradients.items():
            g = g + (DECAY * tensors[name] if name == "linear.weight" else 0.0)
            moments[name] = momentum * moments.get(name, 0.0) + g
            bias = name.endswith(".bias")
            tensors[name] = tensors[name] - (rate + bias * BIAS_RATE * (1 - warmed)) * (g + momentum * moments[name])
        d = EMA * (1 - np.exp(-(step + 1) / EMA_WARMUP))
        averages = {name: d * average + (1 - d) * tensors[name] for name, average in averages.items()}
    written |= {f"final.{name}": value for name, value in tensors.items()}
    written |= {f"average.{name}": value for name, value in averages.items()}
    written |= {"images": images, "loss": np.array(losses)}
    arrays = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in written.items()}
    path = pathlib.Path(__file__).parent / "average.safetensors"
    path.write_bytes(save(arrays | {"labels": labels}))
    print(f"{path}: losses {losses[0]:.4f} to {losses[-1]:.4f}")


if __name__ == "__main__":
    main()
