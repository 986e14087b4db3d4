"""Recomputes in PyTorch the training steps that `lerac trace` wrote, and prints the largest relative difference.

    lerac trace --model resnet8 --method lerac --out out/trace && python3 examples/check_with_torch.py out/trace

Each step starts from the weights that lerac had, so that differences do not add up; moments are carried along. A difference is
the norm of (found - expected) over that of what PyTorch makes in f64. lerac, which computes in f32, may differ by 2e-2, or by four times as
much as PyTorch in f32 does. Needs torch and safetensors, and torchvision for the models that are its own; ends with 1 beyond that."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

# Rounding decides on which side of a ReLU's kink a sum near 0 falls, and a few such sums of a million move small gradients by a
# hundredth; without them the difference is about 1e-6.
TOLERANCE = 2e-2


class Cnn(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        for i, (c, o) in enumerate([(channels, 16), (16, 32), (32, 64)], 1):
            setattr(self, f"conv{i}", nn.Conv2d(c, o, 3, padding=1, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(o))
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = F.relu(self.bn3(self.conv3(x)))
        return self.linear(x.mean((2, 3)))


class LeNet(nn.Module):
    def __init__(self, channels, classes, size):
        super().__init__()
        padding = min(4, max(0, (33 - min(size)) // 2))
        self.conv1, self.conv2 = nn.Conv2d(channels, 6, 5, padding=padding), nn.Conv2d(6, 16, 5)
        height, width = (((side + 2 * padding - 4) // 2 - 4) // 2 for side in size)
        self.fc1, self.fc2, self.fc3 = nn.Linear(16 * height * width, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class Block(nn.Module):
    def __init__(self, c, o, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        projects = stride > 1 or c != o
        self.shortcut = nn.Sequential(*([nn.Conv2d(c, o, 1, stride, bias=False), nn.BatchNorm2d(o)] if projects else []))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, channels, classes, stem, widths, blocks):
        super().__init__()
        self.stem, self.stages = stem, len(widths)
        self.add_module(f"conv{stem}", nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False))
        self.add_module(f"bn{stem}", nn.BatchNorm2d(widths[0]))
        for stage, (c, o) in enumerate(zip([widths[0], *widths], widths), 1):
            strides = [1 if stage == 1 else 2] + [1] * (blocks - 1)
            self.add_module(f"layer{stage}", nn.Sequential(*[Block(o if i else c, o, s) for i, s in enumerate(strides)]))
        self.linear = nn.Linear(widths[-1], classes)

    def forward(self, x):
        x = F.relu(getattr(self, f"bn{self.stem}")(getattr(self, f"conv{self.stem}")(x)))
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.linear(x.mean((2, 3)))


def hash32(v):
    """PCG's output function on 32 bits, as shaders/dropout.wgsl has it."""
    state = (v * 747796405 + 2891336453) & 0xFFFFFFFF
    word = (((state >> ((state >> 28) + 4)) ^ state) * 277803737) & 0xFFFFFFFF
    return (word >> 22) ^ word


class Dropout(nn.Module):
    """Keeps what lerac keeps: a pure function of seed, step, the dropout's number and the element's index."""

    seed = step = count = 0

    def __init__(self, p):
        super().__init__()
        Dropout.count += 1
        self.p, self.salt = p, torch.tensor(Dropout.count)

    def forward(self, x):
        if not self.training:
            return x
        key = hash32(Dropout.step ^ hash32(Dropout.seed ^ hash32(self.salt)))
        kept = hash32(torch.arange(x.numel()) ^ key) >= int(self.p * 2**32)
        return x * kept.view_as(x) / (1 - self.p)


class WideBlock(nn.Module):
    def __init__(self, c, o, stride, p):
        super().__init__()
        self.bn1, self.conv1, self.dropout = nn.BatchNorm2d(c), nn.Conv2d(c, o, 3, 1, 1), Dropout(p)
        self.bn2, self.conv2 = nn.BatchNorm2d(o), nn.Conv2d(o, o, 3, stride, 1)
        self.shortcut = nn.Sequential(*([nn.Conv2d(c, o, 1, stride)] if stride > 1 or c != o else []))

    def forward(self, x):
        y = self.dropout(self.conv1(F.relu(self.bn1(x))))
        return self.conv2(F.relu(self.bn2(y))) + self.shortcut(x)


class WideResNet(nn.Module):
    def __init__(self, channels, classes, depth, widen, p):
        super().__init__()
        blocks, c = (depth - 4) // 6, 16
        self.conv1_initial = nn.Conv2d(channels, c, 3, 1, 1)
        for stage, o in enumerate((16 * widen, 32 * widen, 64 * widen), 1):
            strides = [1 if stage == 1 else 2] + [1] * (blocks - 1)
            layer = nn.Sequential(*[WideBlock(o if i else c, o, s, p) for i, s in enumerate(strides)])
            self.add_module(f"layer{stage}", layer)
            c = o
        self.bn1_final, self.linear = nn.BatchNorm2d(c, momentum=0.9), nn.Linear(c, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.conv1_initial(x))))
        return self.linear(F.relu(self.bn1_final(x)).mean((2, 3)))


def torchvision_model(name, channels, classes, adapt=None):
    """torchvision's network of this name, for so many channels, after `adapt`, with lerac's dropout."""
    from torchvision import models

    model = getattr(models, name)(num_classes=classes)
    if adapt:
        adapt(model, classes)
    first, stem = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    if channels != stem.in_channels:
        changed = nn.Conv2d(channels, stem.out_channels, stem.kernel_size, stem.stride, stem.padding, bias=stem.bias is not None)
        model.set_submodule(first, changed)
    for place, module in list(model.named_modules()):
        if isinstance(module, nn.Dropout):
            model.set_submodule(place, Dropout(module.p))
    return model


def small_densenet(model, _classes):
    model.features.conv0 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    del model.features.pool0


def small_vgg(model, classes):
    model.avgpool, model.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(512, classes)


def small_mobilenet(model, _classes):
    for conv in (model.features[0][0], model.features[2].conv[1][0]):
        conv.stride = (1, 1)


MODELS = {
    "cnn": lambda c, k, size: Cnn(c, k),
    "lenet": LeNet,
    "resnet8": lambda c, k, size: ResNet(c, k, "1", [16, 32, 64], 1),
    "resnet20": lambda c, k, size: ResNet(c, k, "1", [16, 32, 64], 3),
    "resnet18": lambda c, k, size: ResNet(c, k, "1_initial", [64, 128, 256, 512], 2),
    "resnet18-imagenet": lambda c, k, size: torchvision_model("resnet18", c, k),
    "resnet34": lambda c, k, size: torchvision_model("resnet34", c, k),
    "resnet50": lambda c, k, size: torchvision_model("resnet50", c, k),
    "wide_resnet50_2": lambda c, k, size: torchvision_model("wide_resnet50_2", c, k),
    "wide_resnet52-2": lambda c, k, size: WideResNet(c, k, 52, 2, 0.3),
    "wide_resnet28-10": lambda c, k, size: WideResNet(c, k, 28, 10, 0.3),
    "densenet121": lambda c, k, size: torchvision_model("densenet121", c, k, small_densenet),
    "densenet121-imagenet": lambda c, k, size: torchvision_model("densenet121", c, k),
    "vgg11_bn": lambda c, k, size: torchvision_model("vgg11_bn", c, k, small_vgg),
    "vgg11_bn-imagenet": lambda c, k, size: torchvision_model("vgg11_bn", c, k),
    "mobilenet_v2": lambda c, k, size: torchvision_model("mobilenet_v2", c, k, small_mobilenet),
    "mobilenet_v2-imagenet": lambda c, k, size: torchvision_model("mobilenet_v2", c, k),
}


# The bias of the last layer, by which the classes are counted.
LAST_BIASES = ("linear.bias", "fc3.bias", "fc.bias", "classifier.bias", "classifier.1.bias", "classifier.6.bias")


def blur(y, sigma):
    """Curriculum by Smoothing: the same 3x3 Gaussian over every channel, zeros around."""
    squares = torch.arange(-1.0, 2.0, dtype=y.dtype) ** 2
    kernel = torch.exp(-(squares[:, None] + squares[None, :]) / (2 * sigma**2))
    return F.conv2d(y, (kernel / kernel.sum()).expand(y.shape[1], 1, 3, 3), padding=1, groups=y.shape[1])


def optimizer_of(trace, model):
    """One parameter group per tensor: what per-layer rates ask of PyTorch."""
    config = trace["config"]["optimizer"]
    spared = config["spare-norm-and-bias"]
    groups = []
    for entry in trace["parameters"]:
        decay = 0.0 if spared and entry["norm_or_bias"] else config["weight-decay"]
        of = {"layer": entry["layer"], "bias": entry["bias"], "weight_decay": decay}
        groups.append({"params": [model.get_parameter(entry["name"])], **of})
    if config["name"] == "sgd":
        return torch.optim.SGD(groups, lr=1.0, momentum=config["momentum"], nesterov=config["nesterov"])
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adamax": torch.optim.Adamax}
    return kinds[config["name"]](groups, lr=1.0)


class Replay:
    """The model and its optimiser in one precision, fed with the weights that lerac had before each step."""

    def __init__(self, trace, weights, images, dtype):
        Dropout.count = 0
        classes = next(weights[name].numel() for name in LAST_BIASES if name in weights)
        self.config, self.goal, self.dtype, self.sigma = trace["config"], trace["goal"], dtype, None
        self.model = MODELS[self.config["model"]["name"]](images.shape[1], classes, images.shape[2:]).to(dtype)
        self.optimizer = optimizer_of(trace, self.model)
        for module in self.model.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
                module.register_forward_hook(lambda _module, _inputs, y: y if self.sigma is None else blur(y, self.sigma))

    def loss_of(self, logits, labels):
        goal = self.goal
        if "loss" not in goal:
            return F.cross_entropy(logits, labels, label_smoothing=goal["label_smoothing"])
        distance = F.l1_loss if goal["loss"] == "l1" else F.mse_loss
        return distance(logits[:, 0], (labels.to(self.dtype) - goal["mean"]) / goal["std"])

    def step(self, record, weights, batch):
        """Everything that the step makes, by what it is."""
        model, config = self.model, self.config
        counters = {name: value for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}
        model.load_state_dict(weights | counters)
        self.sigma = record["sigma"]
        Dropout.seed, Dropout.step = torch.tensor(config["training"]["seed"]), torch.tensor(record["step"] - 1)
        images, part = batch["input.image"].to(self.dtype), record.get("mix")
        labels = batch["target.number"] if "loss" in self.goal else batch["target.label"].long()
        logits = model(images if part is None else part * images + (1 - part) * images.flip(0))
        loss = self.loss_of(logits, labels)
        if part is not None:
            loss = part * loss + (1 - part) * self.loss_of(logits, labels.flip(0))
        self.optimizer.zero_grad()
        loss.backward()
        made = {"loss": loss.detach()}
        if config["optimizer"].get("clip-norm"):
            nn.utils.clip_grad_norm_(model.parameters(), config["optimizer"]["clip-norm"])
        else:
            made |= {f"gradient of {name}": p.grad.clone() for name, p in model.named_parameters()}
        for group in self.optimizer.param_groups:
            rates = record.get("bias_learning_rates") if group["bias"] else None
            group["lr"] = (rates or record["learning_rates"])[group["layer"]]
            if "momentum" in record:
                group["momentum"] = record["momentum"]
        self.optimizer.step()
        return made | {name: value.clone() for name, value in model.state_dict().items() if name not in counters}


def main(directory):
    trace = json.loads((directory / "trace.json").read_text())
    weights = load_file(directory / "initial.safetensors")
    images = load_file(directory / "step-0001.safetensors")["input.image"]
    exact, single = (Replay(trace, weights, images, dtype) for dtype in (torch.float64, torch.float32))
    trained = {entry["name"] for entry in trace["parameters"]}
    worst = {"lerac": (0.0, "nothing differs"), "PyTorch in f32": (0.0, "nothing differs")}

    def compare(who, what, found, expected, least, before=None):
        found, expected, rounding = found.double(), expected.double(), 0.0
        if before is not None:
            # A change is known as exactly as the two weights that it lies between.
            what, rounding = f"change of {what}", 1e-7 * before.norm().item()
            found, expected = found - before, expected - before
        difference = max((found - expected).norm().item() - rounding, 0.0) / max(expected.norm().item(), least)
        worst[who] = max(worst[who], (difference if (found - expected).isfinite().all() else float("inf"), what))

    for record in trace["steps"]:
        batch = load_file(directory / f"step-{record['step']:04}.safetensors")
        after = {name.removeprefix("after."): tensor for name, tensor in batch.items() if name.startswith("after.")}
        gradients = {f"gradient of {n.removeprefix('gradient.')}": g for n, g in batch.items() if n.startswith("gradient.")}
        lerac = {"loss": torch.tensor(record["loss"])} | gradients | after
        expected, torch32 = exact.step(record, weights, batch), single.step(record, weights, batch)
        # What is 0 but for rounding, as the gradient of a bias before a norm, has no relative difference.
        least = 1e-5 * max(value.norm().item() for name, value in expected.items() if name.startswith("gradient of ") or name == "loss")
        for name, value in expected.items():
            what, before = f"{name}, step {record['step']}", weights[name].double() if name in trained else None
            compare("lerac", what, lerac[name], value, least, before)
            compare("PyTorch in f32", what, torch32[name], value, least, before)
        weights = after
    allowed = max(TOLERANCE, 4 * worst["PyTorch in f32"][0])
    agrees = worst["lerac"][0] <= allowed
    print(f"{len(trace['steps'])} steps of {trace['config']['model']['name']}, largest relative difference to PyTorch in f64:")
    for who, (difference, what) in worst.items():
        print(f"  {who:<15} {difference:.2e} ({what})")
    print("agrees" if agrees else f"DIFFERS by more than {allowed:.1e}")
    sys.exit(0 if agrees else 1)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "trace.json").is_file():
        sys.exit("expected the folder of a trace, with its trace.json: python3 examples/check_with_torch.py out/trace")
    main(Path(sys.argv[1]))
