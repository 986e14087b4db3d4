"""The rows of benches/README.md in PyTorch on the processor: python3 benches/peers/with_pytorch.py [PART OF A ROW'S NAME]"""

import pathlib
import sys

import torch
from table import milliseconds, show
from torch import nn
from torch.nn import functional as F

BATCH, IMAGE = 64, (3, 32, 32)


def conv_bn(inputs, channels, kernel=3, stride=1):
    conv = nn.Conv2d(inputs, channels, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels))


def cnn():
    """24,346 parameters."""
    parts, inputs = [], 3
    for channels in (16, 32, 64):
        pool = nn.AdaptiveAvgPool2d(1) if channels == 64 else nn.MaxPool2d(2)
        parts += [conv_bn(inputs, channels), nn.ReLU(), pool]
        inputs = channels
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(64, 10))


class Block(nn.Module):
    def __init__(self, inputs, channels, stride):
        super().__init__()
        self.first = conv_bn(inputs, channels, stride=stride)
        self.second = conv_bn(channels, channels)
        same = stride == 1 and inputs == channels
        self.shortcut = nn.Identity() if same else conv_bn(inputs, channels, 1, stride)

    def forward(self, x):
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


def resnet20():
    """272,474 parameters, with projection shortcuts."""
    parts, inputs = [conv_bn(3, 16), nn.ReLU()], 16
    for channels in (16, 32, 64):
        for index in range(3):
            parts.append(Block(inputs, channels, 2 if index == 0 and channels > 16 else 1))
            inputs = channels
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def step(make):
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, labels = torch.randn(BATCH, *IMAGE), torch.randint(10, (BATCH,))

    def work():
        optimizer.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return milliseconds(work)


def bert_mini():
    """11,171,074 parameters: four blocks of 256, pooler and two classes. Dropout as in training."""

    class Mini(nn.Module):
        def __init__(self, width=256, length=512, vocabulary=30_522):
            super().__init__()
            self.words, self.places, self.segments = (nn.Embedding(n, width) for n in (vocabulary, length, 2))
            self.norm, self.drop = nn.LayerNorm(width, 1e-12), nn.Dropout(0.1)
            block = nn.TransformerEncoderLayer(width, 4, 4 * width, 0.1, "gelu", 1e-12, batch_first=True)
            self.blocks = nn.TransformerEncoder(block, 4, enable_nested_tensor=False)
            self.pooler, self.classifier = nn.Linear(width, width), nn.Linear(width, 2)

        def forward(self, ids):
            places, segments = torch.arange(ids.shape[1]), torch.zeros_like(ids)
            x = self.words(ids) + self.places(places) + self.segments(segments)
            x = self.blocks(self.drop(self.norm(x)))
            return self.classifier(self.drop(torch.tanh(self.pooler(x[:, 0]))))

    return Mini()


def text_step(size=16, length=128):
    model = bert_mini()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    ids, labels = torch.randint(30_522, (size, length)), torch.randint(2, (size,))

    def work():
        optimizer.zero_grad()
        F.cross_entropy(model(ids), labels).backward()
        optimizer.step()

    return milliseconds(work)


def detector_step(size=16, side=320):
    """yolov5n with two classes and an object in each image."""
    sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "tests" / "golden"))
    from detector_models import Yolov5, loss

    model = Yolov5(2, 0.33, 0.25)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x = torch.rand(size, 3, side, side)
    objects = [(i, i % 2, *torch.rand(2).tolist(), *(0.05 + 0.5 * torch.rand(2)).tolist()) for i in range(size)]

    def work():
        optimizer.zero_grad()
        loss(model(x), objects, side, 2).backward()
        optimizer.step()

    return milliseconds(work)


def matmul():
    a, b = torch.randn(512, 512), torch.randn(512, 512)
    return milliseconds(lambda: a @ b)


def conv(gradients):
    x = torch.randn(BATCH, 16, 32, 32, requires_grad=gradients)
    w = torch.randn(32, 16, 3, 3, requires_grad=gradients)
    dy = torch.randn(BATCH, 32, 32, 32)

    def work():
        y = F.conv2d(x, w, padding=1)
        if gradients:
            torch.autograd.grad(y, (x, w), dy)

    return milliseconds(work)


def adam(tensors, floats, **options):
    """Adam with a learning rate, and so a parameter group, per tensor: LeRaC has one per layer."""
    params = [torch.zeros(floats, requires_grad=True) for _ in range(tensors)]
    for p in params:
        p.grad = torch.randn(floats)
    groups = [{"params": [p], "lr": 1e-3 / (1 + i)} for i, p in enumerate(params)]
    return milliseconds(torch.optim.Adam(groups, **options).step)


ROWS = [
    ("matmul 512^3", matmul),
    ("conv 3x3 16->32, forward", lambda: conv(False)),
    ("conv 3x3 16->32, forward and both gradients", lambda: conv(True)),
    ("step of cnn", lambda: step(cnn)),
    ("step of resnet20", lambda: step(resnet20)),
    ("step of bert-mini, 16 texts of 128 tokens", text_step),
    ("step of yolov5n, 16 images of 320x320", detector_step),
    ("Adam, 65 tensors of 4,096, a group each, fused", lambda: adam(65, 4096, fused=True)),
    ("Adam, 65 tensors of 4,096, a group each, foreach", lambda: adam(65, 4096, foreach=True)),
    ("Adam, 62 tensors of 180,224, a group each, fused", lambda: adam(62, 180_224, fused=True)),
]

if __name__ == "__main__":
    assert sum(p.numel() for p in cnn().parameters()) == 24_346
    assert sum(p.numel() for p in resnet20().parameters()) == 272_474
    assert sum(p.numel() for p in bert_mini().parameters()) == 11_171_074
    show(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", ROWS)
