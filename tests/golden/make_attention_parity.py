"""Parity of the models with attention over images with PyTorch, in the form of make_parity.py.

    pip install torch torchvision safetensors numpy
    python tests/golden/make_attention_parity.py [MODEL...]

Weights, images and labels are hashes of a name and an index. A fixture holds logits and loss, and sketches of the results of each
block, of every gradient, of the running statistics, and of the changes of ten steps of Adamax. Stochastic depth drops the examples
that lerac's hash drops.
"""

import math
import sys

import torch
from attention_models import Cvt, QuickGelu, Septr
from make_parity import CLASSES, first_seed, hash32, hashes, labels_of, rate, tensor, write

STEPS = 10
F32_DRIFT, STEPS_DRIFT = 1e-4, 1e-3
# Gradients that are only rounding must not become steps of the learning rate.
EPSILON = 1e-3
# The model, and the channels, height, width and number of its images.
MODELS = {
    "cvt-13": (lambda: Cvt(CLASSES, torch.nn.GELU(), hash32), (3, 32, 32), 4),
    "cvt-13.quick-gelu": (lambda: Cvt(CLASSES, QuickGelu(), hash32), (3, 48, 48), 2),
    "septr-tiny": (lambda: Septr(CLASSES, 8, 12), (1, 8, 12), 4),
}
TRAINED = ("cvt-13", "septr-tiny")



def state_of(model):
    return {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}


def build(name, seed, dtype):
    model = MODELS[name][0]()
    made = {k: tensor(k, tuple(v.shape), seed, False) for k, v in state_of(model).items()}
    model.load_state_dict(made, strict=False)
    return model.to(dtype).train()


def batch_of(name, which, seed, dtype):
    _, image, n = MODELS[name]
    levels = hashes(f"images{which}", seed, n * math.prod(image)) >> 24
    images = torch.tensor((levels / 255.0 - 0.5) / 0.5).reshape(n, *image)
    return images.to(dtype), labels_of(f"labels{which}", seed, n)


def one_step(name, seed, dtype):
    """All compared tensors, by kind."""
    model = build(name, seed, dtype)
    x, labels = batch_of(name, "", seed, dtype)
    found = model.values(x)
    logits = found.pop("logits")
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    made = {"train.logits": logits, "train.loss": loss}
    made |= {f"value.{k}": v for k, v in found.items()}
    made |= {f"gradient.{k}": p.grad for k, p in model.named_parameters()}
    made |= {f"state.{k}": v for k, v in model.named_buffers() if not k.endswith("num_batches_tracked")}
    return {k: v.detach() for k, v in made.items()}


def layer_of(name):
    """The layer of a parameter: its block, or half of a block. The first ones have the embeddings and class tokens."""
    parts = name.split(".")
    if parts[0].startswith("stage"):
        return f"{parts[0]}.blocks.{parts[2] if parts[1] == 'blocks' else 0}"
    if parts[0] == "cls_token":
        return "transformer.0.transformer_h"
    if parts[0] == "transformer":
        half = "transformer_w" if parts[2].endswith("_w") else "transformer_h"
        return f"transformer.{parts[1]}.{half}"
    return {"norm": "head"}.get(parts[0], parts[0])


def train(name, seed, dtype):
    """The losses of STEPS steps, and the changes of the weights."""
    model = build(name, seed, dtype)
    before = {k: v.clone() for k, v in state_of(model).items()}
    groups = [{"params": [p], "lr": 0.1 * rate(layer_of(k), seed)} for k, p in model.named_parameters()]
    optimizer = torch.optim.Adamax(groups, eps=EPSILON)
    losses = []
    for step in range(STEPS):
        x, labels = batch_of(name, str(step), seed, dtype)
        loss = torch.nn.functional.cross_entropy(model.values(x)["logits"], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return {"losses": torch.stack(losses)} | {f"change.{k}": v.detach() - before[k] for k, v in state_of(model).items()}


if __name__ == "__main__":
    for name in sys.argv[1:] or MODELS:
        seed, made, single = first_seed(one_step, name, F32_DRIFT)
        write(name, seed, made, [single], ["train.logits", "train.loss"])
        if name in TRAINED:
            seed, made, single = first_seed(train, name, STEPS_DRIFT)
            write(f"{name}.steps", seed, made, [single], ["losses"])
