"""YOLOv5 v7.0 and its loss, stated again from their description for tests. Modules have the names of the public state dict."""

import math

import torch
from torch import nn

ANCHORS = [[(10, 13), (16, 30), (33, 23)], [(30, 61), (62, 45), (59, 119)], [(116, 90), (156, 198), (373, 326)]]
STRIDES = (8, 16, 32)


class Conv(nn.Module):
    def __init__(self, inputs, outputs, kernel=1, stride=1, padding=None):
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)

    def forward(self, x):
        return nn.functional.silu(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, channels, shortcut):
        super().__init__()
        self.cv1, self.cv2, self.shortcut = Conv(channels, channels), Conv(channels, channels, 3), shortcut

    def forward(self, x):
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C3(nn.Module):
    def __init__(self, inputs, outputs, repeats, shortcut=True):
        super().__init__()
        hidden = outputs // 2
        self.cv1, self.cv2, self.cv3 = Conv(inputs, hidden), Conv(inputs, hidden), Conv(2 * hidden, outputs)
        self.m = nn.Sequential(*(Bottleneck(hidden, shortcut) for _ in range(repeats)))

    def forward(self, x):
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


class Sppf(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.cv1, self.cv2 = Conv(channels, channels // 2), Conv(2 * channels, channels)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x):
        parts = [self.cv1(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


class Concat(nn.Module):
    def forward(self, parts):
        return torch.cat(parts, 1)


class Detect(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.m = nn.ModuleList(nn.Conv2d(c, 3 * (5 + classes), 1) for c in channels)
        anchors = torch.tensor(ANCHORS, dtype=torch.float32) / torch.tensor(STRIDES).view(-1, 1, 1)
        self.register_buffer("anchors", anchors)

    def forward(self, levels):
        return [m(x) for m, x in zip(self.m, levels)]


class Yolov5(nn.Module):
    """`depth` and `width` are multiples of the sizes of yolov5l."""

    def __init__(self, classes, depth, width):
        super().__init__()
        c = lambda channels: math.ceil(channels * width / 8) * 8
        n = lambda repeats: max(round(repeats * depth), 1)
        self.model = nn.Sequential(
            Conv(3, c(64), 6, 2, 2),
            Conv(c(64), c(128), 3, 2),
            C3(c(128), c(128), n(3)),
            Conv(c(128), c(256), 3, 2),
            C3(c(256), c(256), n(6)),
            Conv(c(256), c(512), 3, 2),
            C3(c(512), c(512), n(9)),
            Conv(c(512), c(1024), 3, 2),
            C3(c(1024), c(1024), n(3)),
            Sppf(c(1024)),
            Conv(c(1024), c(512)),
            nn.Upsample(scale_factor=2),
            Concat(),
            C3(c(1024), c(512), n(3), False),
            Conv(c(512), c(256)),
            nn.Upsample(scale_factor=2),
            Concat(),
            C3(c(512), c(256), n(3), False),
            Conv(c(256), c(256), 3, 2),
            Concat(),
            C3(c(512), c(512), n(3), False),
            Conv(c(512), c(512), 3, 2),
            Concat(),
            C3(c(1024), c(1024), n(3), False),
            Detect((c(256), c(512), c(1024)), classes),
        )

    def forward(self, x):
        return self.results(x)[24]

    def results(self, x):
        """The result of every module."""
        found = []
        others = {12: 6, 16: 4, 19: 14, 22: 10}
        for i, module in enumerate(self.model):
            if i in others:
                x = module([x, found[others[i]]])
            elif i == 24:
                x = module([found[17], found[20], found[23]])
            else:
                x = module(x)
            found.append(x)
        return found


def ciou(p, t):
    """Complete IoU of boxes (centre, width, height) in the last axis."""
    (px, py, pw, ph), (tx, ty, tw, th) = p.unbind(-1), t.unbind(-1)
    inner = (torch.min(px + pw / 2, tx + tw / 2) - torch.max(px - pw / 2, tx - tw / 2)).clamp(0) * (
        torch.min(py + ph / 2, ty + th / 2) - torch.max(py - ph / 2, ty - th / 2)
    ).clamp(0)
    iou = inner / (pw * ph + tw * th - inner + 1e-7)
    cw = torch.max(px + pw / 2, tx + tw / 2) - torch.min(px - pw / 2, tx - tw / 2)
    ch = torch.max(py + ph / 2, ty + th / 2) - torch.min(py - ph / 2, ty - th / 2)
    distance = ((tx - px) ** 2 + (ty - py) ** 2) / (cw**2 + ch**2 + 1e-7)
    v = 4 / math.pi**2 * (torch.atan(tw / th) - torch.atan(pw / ph)) ** 2
    alpha = (v / (v - iou + 1 + 1e-7)).detach()
    return iou - distance - alpha * v


def loss(levels, objects, side, classes):
    """The loss of a batch times its size. `objects` is a list of (image, class, x, y, w, h), relative to the image."""
    objects = torch.as_tensor(objects, dtype=levels[0].dtype).view(-1, 6)
    images = levels[0].shape[0]
    of_box = of_object = of_class = torch.zeros((), dtype=levels[0].dtype)
    for level, z in enumerate(levels):
        cells = z.shape[-1]
        z = z.view(images, 3, 5 + classes, cells, cells).permute(0, 1, 3, 4, 2)
        anchors = torch.tensor(ANCHORS[level], dtype=z.dtype) / STRIDES[level]
        targets = torch.zeros(z.shape[:4], dtype=z.dtype)
        matches = matched(objects, anchors, cells)
        if matches:
            b, k, a, gx, gy = (torch.tensor([m[i] for m in matches]) for i in range(5))
            truth = torch.stack([m[5] for m in matches])
            found = z[b, a, gy, gx]
            xy, wh = found[:, :2].sigmoid() * 2 - 0.5, (found[:, 2:4].sigmoid() * 2) ** 2 * anchors[a]
            overlap = ciou(torch.cat((xy, wh), 1), truth)
            of_box = of_box + (1 - overlap).mean()
            for i in range(len(matches)):  # the last one wins
                targets[b[i], a[i], gy[i], gx[i]] = overlap[i].detach().clamp(0)
            if classes > 1:
                wanted = nn.functional.one_hot(k, classes).to(z.dtype)
                of_class = of_class + nn.functional.binary_cross_entropy_with_logits(found[:, 5:], wanted)
        balance = (4.0, 1.0, 0.4)[level]
        of_object = of_object + balance * nn.functional.binary_cross_entropy_with_logits(z[..., 4], targets)
    total = 0.05 * of_box + (side / 640) ** 2 * of_object + 0.5 * classes / 80 * of_class
    return total * images


def matched(objects, anchors, cells):
    """(image, class, anchor, column, row, box) of each match, in the order of the original code."""
    found = []
    for neighbour, (ox, oy) in enumerate([(0, 0), (-0.5, 0), (0, -0.5), (0.5, 0), (0, 0.5)]):
        for a, anchor in enumerate(anchors):
            for row in objects:
                x, y, w, h = row[2:] * cells
                ratio = torch.stack((w, h)) / anchor
                if torch.max(ratio, 1 / ratio).max() >= 4:
                    continue
                distance = (None, x, y, cells - x, cells - y)[neighbour]
                if neighbour and not (distance % 1 < 0.5 and distance > 1):
                    continue
                gx, gy = min(int(x + ox), cells - 1), min(int(y + oy), cells - 1)
                found.append((int(row[0]), int(row[1]), a, gx, gy, torch.stack((x - gx, y - gy, w, h))))
    return found
