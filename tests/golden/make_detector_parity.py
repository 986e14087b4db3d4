"""Parity of detectors with PyTorch, in the form of make_parity.py.

    pip install torch safetensors numpy
    python tests/golden/make_detector_parity.py [MODEL...]

Weights and images are hashes of a name and an index, objects of an index. A fixture holds the logits of the first level, the loss,
and sketches of the results of the modules, of every gradient, of the running statistics, and of the changes of ten steps of SGD.
"""

import math
import sys

import torch
from detector_models import Yolov5, loss
from make_parity import first_seed, hashes, rate, tensor, uniform, write

STEPS = 10
F32_DRIFT, STEPS_DRIFT = 1e-4, 1e-3
CLASSES, SIDE, IMAGES, OBJECTS = 3, 64, 3, 4
MODELS = {"yolov5n": (0.33, 0.25)}
# The results of these modules are compared: those that are one tensor of an operation.
MODULES = {0: "bn", 2: "cv3.bn", 9: "cv2.bn", 13: "cv3.bn", 17: "cv3.bn", 20: "cv3.bn", 23: "cv3.bn"}


def state_of(model):
    return {k: v for k, v in model.state_dict().items() if not k.endswith(("num_batches_tracked", "anchors"))}


def build(name, seed, dtype):
    model = Yolov5(CLASSES, *MODELS[name])
    made = {k: tensor(k, tuple(v.shape), seed, False) for k, v in state_of(model).items()}
    model.load_state_dict(made, strict=False)
    return model.to(dtype).train()


def batch_of(which, seed, dtype):
    levels = hashes(f"images{which}", seed, IMAGES * 3 * SIDE * SIDE) >> 24
    images = torch.tensor(levels / 255.0).reshape(IMAGES, 3, SIDE, SIDE).to(dtype)
    drawn = uniform(f"objects{which}", seed, IMAGES * OBJECTS * 5).reshape(-1, 5)
    objects = []
    for i, (k, x, y, w, h) in enumerate(drawn):
        # Numbers of a few bits, so that both sides compute the same cells.
        x, y = (round((0.5 + 0.45 * v) * 1000) / 1024 for v in (x, y))
        w, h = (round((0.35 + 0.25 * v) * 1000) / 1024 for v in (w, h))
        objects.append((i // OBJECTS, int((k + 1) / 2 * CLASSES), x, y, w, h))
    return images, objects


def one_step(name, seed, dtype):
    """All compared tensors, by kind."""
    model = build(name, seed, dtype)
    x, objects = batch_of("", seed, dtype)
    results = model.results(x)
    total = loss(results[24], objects, SIDE, CLASSES)
    total.backward()
    made = {"train.logits": results[24][0], "train.loss": total / IMAGES}
    made |= {f"value.model.{i}.{part}": results[i] for i, part in MODULES.items()}
    made |= {f"gradient.{k}": p.grad for k, p in model.named_parameters()}
    made |= {f"state.{k}": v for k, v in model.named_buffers() if k.endswith(("running_mean", "running_var"))}
    return {k: v.detach() for k, v in made.items()}


def layer_of(name):
    """The layer of a parameter: its convolution."""
    parts = name.split(".")
    return ".".join(parts[:-1]) if parts[1] == "24" else ".".join(parts[:-2] + ["conv"])


def train(name, seed, dtype):
    """The losses of STEPS steps, and the changes of the weights."""
    model = build(name, seed, dtype)
    before = {k: v.clone() for k, v in state_of(model).items()}
    groups = [{"params": [p], "lr": 0.1 * rate(layer_of(k), seed)} for k, p in model.named_parameters()]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.937, nesterov=True)
    losses = []
    for step in range(STEPS):
        x, objects = batch_of(str(step), seed, dtype)
        total = loss(model(x), objects, SIDE, CLASSES)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(total.detach() / IMAGES)
    return {"losses": torch.stack(losses)} | {f"change.{k}": v.detach() - before[k] for k, v in state_of(model).items()}


if __name__ == "__main__":
    for name in sys.argv[1:] or MODELS:
        seed, made, single = first_seed(one_step, name, F32_DRIFT)
        write(name, seed, made, [single], ["train.logits", "train.loss"])
        seed, made, single = first_seed(train, name, STEPS_DRIFT)
        write(f"{name}.steps", seed, made, [single], ["losses"])
