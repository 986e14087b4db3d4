"""Parity with PyTorch: the results of each architecture for weights and images that both sides generate.

    pip install torch torchvision safetensors numpy
    python tests/golden/make_parity.py [MODEL...]

Weights, images and labels are hashes of a name and an index (`uniform`), so that a fixture need not hold them. It holds, made in
f64: logits and loss in training and in evaluation, and of every gradient, every running statistic and every change that twenty
steps made, the norm, its products with eight vectors of random signs, and how far rounding moves it. The mean square of the
differences of such products is the squared norm of the difference that is to be measured, whatever it is, so the whole tensor is
compared by nine numbers; the tenth says what f32 can know of a tensor that is nearly 0, or that hangs on close calls.

Rounding decides on which side of a ReLU's kink a sum near 0 falls. So the shifts of the norms are large compared with their scales: in
training a channel lies wholly above 0, wholly below it or, for ReLU6, wholly above 6. Norms after a sum of residuals have positive outputs. The
seed of a model is the first at which PyTorch's own f32 ends within F32_DRIFT of its f64, so that a comparison measures the engine.

Rounding also decides which of two nearly equal numbers wins a max pool, and no seed is without such windows: in VGG-11, 42 of the 12,608
of its third pool are decided by less than 2e-5 of numbers around 9. So for models with max pools the tenth number is the largest of
f32's error and of what ROUNDED runs in f64 are off whose convolutions add normal noise of ROUNDING of their results' deviation.
"""

import itertools
import json
import pathlib
import sys
import zlib

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "examples"))
from check_with_torch import MODELS, Dropout, hash32  # noqa: E402

F32_DRIFT, STEPS, STEPS_DRIFT = 1e-4, 20, 1e-4
ROUNDED, ROUNDING = 8, 1e-6
CLASSES = 10
# A tensor that is 0 except for rounding, such as the gradient of a bias before a norm, is ignored in the choice of a seed.
LEAST = 1e-2

# Side of the images and their number. The last maps have 2x2 elements: a norm over fewer magnifies rounding.
SIZES = {
    "cnn": (8, 4),
    "lenet": (32, 4),
    "resnet8": (8, 4),
    "resnet20": (8, 4),
    "resnet18": (16, 4),
    "resnet18-imagenet": (64, 4),
    "resnet34": (64, 4),
    "resnet50": (64, 4),
    "wide_resnet50_2": (64, 2),
    "wide_resnet52-2": (8, 4),
    "wide_resnet28-10": (8, 4),
    "densenet121": (16, 4),
    "densenet121-imagenet": (64, 4),
    "vgg11_bn": (32, 4),
    "mobilenet_v2": (32, 4),
    "mobilenet_v2-imagenet": (128, 4),
}
TRAINED = ("resnet18", "densenet121")


def hashes(name, seed, count):
    """`count` draws of 32 bits."""
    key = hash32(zlib.crc32(name.encode()) ^ hash32(seed))
    return hash32(np.arange(count) ^ key)


def uniform(name, seed, count):
    """`count` draws from -1 to 1."""
    return hashes(name, seed, count) / 2.0**31 - 1.0


def shift(name, u):
    """The bias of a norm: 3, and for half of the channels -3 or 9, unless a residual is added to it."""
    summed = any(part in name for part in (".bn2.", ".bn3.", "shortcut", "downsample"))
    mixed = np.where(u < -0.5, -3.0, np.where(u > 0.5, 9.0, 3.0))
    return (3.0 if summed else mixed) + 0.3 * u


def tensor(name, shape, seed, is_norm):
    """The weights or running statistics of this name."""
    u = uniform(name, seed, int(np.prod(shape))).reshape(shape)
    if len(shape) > 1:
        fan_in = int(np.prod(shape[1:]))
        u = u * np.sqrt((6.0 if len(shape) == 4 else 3.0) / fan_in)
    elif name.endswith("running_var"):
        u = 1.0 + 0.3 * u
    elif name.endswith("weight"):
        u = 0.35 + 0.1 * u
    elif name.endswith("bias") and is_norm:
        u = shift(name, u)
    else:
        u = 0.2 * u
    return torch.tensor(u.astype(np.float32))


def images_of(name, seed, n, side):
    levels = hashes(name, seed, n * 3 * side * side) >> 24
    return torch.tensor((levels / 255.0 - 0.5) / 0.5).reshape(n, 3, side, side)


def labels_of(name, seed, n):
    return torch.tensor((hashes(name, seed, n) % CLASSES).astype(np.int64))


def sketch(values):
    """The norm and the products with eight vectors of signs."""
    values = values.double().numpy().ravel()
    bits = hash32(np.arange(values.size) ^ zlib.crc32(b"signs"))
    signs = [1.0 - 2.0 * (bits >> k & 1) for k in range(8)]
    return [np.sqrt((values * values).sum()), *((values * sign).sum() for sign in signs)]


def state_of(model):
    return {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}


def build(name, side, seed, dtype):
    Dropout.count = 0
    Dropout.seed, Dropout.step = torch.tensor(seed), torch.tensor(0)
    model = MODELS[name](3, CLASSES, (side, side))
    state = state_of(model)
    norms = {k.removesuffix(".running_mean") for k in state if k.endswith(".running_mean")}
    made = {k: tensor(k, tuple(v.shape), seed, k.rpartition(".")[0] in norms) for k, v in state.items()}
    model.load_state_dict(made, strict=False)
    return model.to(dtype)


def has_max_pool(model):
    return any(isinstance(module, torch.nn.MaxPool2d) for module in model.modules())


def round_otherwise(model, draw):
    """Adds random rounding noise to the results of convolutions."""
    generator = torch.Generator().manual_seed(draw)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda _, __, y: y + ROUNDING * y.std() * torch.randn(y.shape, generator=generator, dtype=y.dtype)
            )


def both_modes(name, seed, dtype, draw=None):
    """All compared tensors, by kind."""
    side, n = SIZES[name]
    model = build(name, side, seed, dtype)
    if draw is not None:
        round_otherwise(model, draw)
    x, labels = images_of("images", seed, n, side).to(dtype), labels_of("labels", seed, n)
    model.eval()
    with torch.no_grad():
        logits = model(x)
    made = {"eval.logits": logits, "eval.loss": torch.nn.functional.cross_entropy(logits, labels)}
    model.train()
    logits = model(x)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    made |= {"train.logits": logits, "train.loss": loss}
    made |= {f"gradient.{k}": p.grad for k, p in model.named_parameters()}
    made |= {f"state.{k}": v for k, v in model.named_buffers() if not k.endswith("num_batches_tracked")}
    return {k: v.detach() for k, v in made.items()}


def layer_of(name):
    """The layer of a parameter, named by its convolution or linear layer."""
    module = name.rpartition(".")[0]
    if module.endswith("norm5"):
        return "features.denseblock4.denselayer16.conv2"
    for norm, conv in (("shortcut.1", "shortcut.0"), ("norm", "conv"), ("bn", "conv")):
        module = module.replace(norm, conv)
    return module


def rate(layer, seed):
    """The layer's learning rate, from 3e-5 to 3e-2."""
    return 3e-2 * 10.0 ** (1.5 * (float(uniform(layer, seed, 1)[0]) - 1.0))


def train(name, seed, dtype):
    """The losses of STEPS steps, and the changes of the weights."""
    side, n = SIZES[name]
    model = build(name, side, seed, dtype).train()
    before = {k: v.clone() for k, v in state_of(model).items()}
    groups = [{"params": [p], "lr": rate(layer_of(k), seed)} for k, p in model.named_parameters()]
    optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=1e-4)
    losses = []
    for step in range(STEPS):
        x = images_of(f"images{step}", seed, n, side).to(dtype)
        loss = torch.nn.functional.cross_entropy(model(x), labels_of(f"labels{step}", seed, n))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return {"losses": torch.stack(losses)} | {f"change.{k}": v.detach() - before[k] for k, v in state_of(model).items()}


def drift(exact, single):
    """The largest relative difference, and its tensor."""
    largest = {kind: max((v.norm().item() for k, v in exact.items() if k.startswith(kind)), default=0.0) for kind in ("gradient", "change")}
    worst = (0.0, "")
    for k, v in exact.items():
        least = LEAST * largest.get(k.split(".")[0], 1e-30)
        worst = max(worst, ((single[k].double() - v).norm().item() / max(v.norm().item(), least), k))
    return worst


def first_seed(make, name, allowed):
    for seed in itertools.count(1):
        exact, single = make(name, seed, torch.float64), make(name, seed, torch.float32)
        worst, where = drift(exact, single)
        print(f"{name}: seed {seed}: f32 differs by {worst:.1e} ({where})", flush=True)
        if worst <= allowed:
            return seed, exact, single


def write(name, seed, made, others, whole):
    """`whole` tensors unchanged, the others as sketches, sorted by name; `others` has the same tensors with other rounding."""
    kinds = {}
    for key in sorted(made):
        if key not in whole:
            kinds.setdefault(key.split(".")[0], []).append(key)
    arrays = {key: made[key].double().numpy().astype(np.float64) for key in whole}
    row = lambda key: [*sketch(made[key]), max((other[key].double() - made[key]).norm().item() for other in others)]
    arrays |= {kind: np.array([row(key) for key in keys]) for kind, keys in kinds.items()}
    names = {kind: [key.split(".", 1)[1] for key in keys] for kind, keys in kinds.items()}
    metadata = {"seed": str(seed), "names": json.dumps(names)}
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, HERE / "parity" / f"{name}.safetensors", metadata)


if __name__ == "__main__":
    for name in sys.argv[1:] or [*SIZES, *(f"{name}.steps" for name in TRAINED)]:
        model, _, steps = name.partition(".")
        if steps:
            seed, made, single = first_seed(train, model, STEPS_DRIFT)
            write(name, seed, made, [single], ["losses"])
        else:
            seed, made, single = first_seed(both_modes, model, F32_DRIFT)
            draws = range(ROUNDED) if has_max_pool(build(model, SIZES[model][0], seed, torch.float64)) else []
            others = [single, *(both_modes(model, seed, torch.float64, draw) for draw in draws)]
            write(name, seed, made, others, ["eval.logits", "eval.loss", "train.logits", "train.loss"])
