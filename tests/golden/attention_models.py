"""CvT-13 and SepTr, stated again in PyTorch with the names of their state dicts."""

import numpy as np
import torch
from torch import nn


class StochasticDepth(nn.Module):
    """Drops whole examples, by lerac's draws of seed 0 and step 0."""

    def __init__(self, p, salt, hash32):
        super().__init__()
        self.p, self.salt, self.hash32 = p, salt, hash32

    def forward(self, x):
        zero = np.array([0])
        key = self.hash32(zero ^ self.hash32(zero ^ self.hash32(zero + self.salt)))
        kept = self.hash32(np.arange(len(x)) ^ key) >= int(self.p * 2**32)
        shape = (-1,) + (1,) * (x.dim() - 1)
        return x * (torch.tensor(kept / (1 - self.p)).to(x.dtype)).reshape(shape)


class QuickGelu(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


def projection(width, stride):
    """A depth-wise 3x3 convolution with batch normalisation."""
    return nn.ModuleDict({"conv": nn.Conv2d(width, width, 3, stride, 1, bias=False, groups=width), "bn": nn.BatchNorm2d(width)})


class CvtAttention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.heads = width // 64
        self.conv_proj_q, self.conv_proj_k, self.conv_proj_v = (projection(width, stride) for stride in (1, 2, 2))
        self.proj_q, self.proj_k, self.proj_v, self.proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x, h, w):
        n, t, c = x.shape
        cls, cells = x[:, : t - h * w], x[:, t - h * w :]
        grid = cells.transpose(1, 2).reshape(n, c, h, w)

        def heads(conv, linear):
            tokens = conv["bn"](conv["conv"](grid)).flatten(2).transpose(1, 2)
            made = linear(torch.cat([cls, tokens], 1))
            return made.reshape(n, -1, self.heads, c // self.heads).transpose(1, 2)

        q, k, v = (heads(*pair) for pair in ((self.conv_proj_q, self.proj_q), (self.conv_proj_k, self.proj_k), (self.conv_proj_v, self.proj_v)))
        # The scale is that of the whole width.
        probabilities = (q @ k.transpose(2, 3) * c**-0.5).softmax(-1)
        return self.proj((probabilities @ v).transpose(1, 2).reshape(n, t, c))


class CvtBlock(nn.Module):
    def __init__(self, width, activation, drops):
        super().__init__()
        self.norm1, self.norm2, self.attn = nn.LayerNorm(width), nn.LayerNorm(width), CvtAttention(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self.activation, self.drops = activation, drops

    def forward(self, x, h, w):
        x = x + self.drops[0](self.attn(self.norm1(x), h, w))
        return x + self.drops[1](self.mlp["fc2"](self.activation(self.mlp["fc1"](self.norm2(x)))))


class CvtStage(nn.Module):
    def __init__(self, inputs, patch, width, blocks, has_class, activation, drops):
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(inputs, width, *patch), "norm": nn.LayerNorm(width)})
        self.blocks = nn.ModuleList(CvtBlock(width, activation, drops(i / 9 if has_class else 0.0)) for i in range(blocks))
        if has_class:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.has_class = has_class


class Cvt(nn.Module):
    """CvT-13."""

    def __init__(self, classes, activation, hash32):
        super().__init__()
        # Each block of lerac has three salts: one for attention's dropout of probability 0, and these two.
        salts = iter(range(1, 40))

        def drops(depth):
            next(salts)
            return [StochasticDepth(0.1 * depth, next(salts), hash32) for _ in range(2)]

        sizes = [(3, (7, 4, 2), 64, 1), (64, (3, 2, 1), 192, 2), (192, (3, 2, 1), 384, 10)]
        for i, size in enumerate(sizes):
            setattr(self, f"stage{i}", CvtStage(*size, i == 2, activation, drops))
        self.norm, self.head = nn.LayerNorm(384), nn.Linear(384, classes)

    def values(self, x):
        """Every result that is compared, by name; `logits` last."""
        found = {}
        for i in range(3):
            stage = getattr(self, f"stage{i}")
            x = stage.patch_embed["proj"](x)
            n, c, h, w = x.shape
            x = stage.patch_embed["norm"](x.flatten(2).transpose(1, 2))
            if stage.has_class:
                x = torch.cat([stage.cls_token.expand(n, -1, -1), x], 1)
            for b, block in enumerate(stage.blocks):
                x = block(x, h, w)
                found[f"stage{i}.blocks.{b}.mlp.sum"] = x
            if i < 2:
                x = x.transpose(1, 2).reshape(n, c, h, w)
        return found | {"logits": self.head(self.norm(x[:, 0]))}


class SeptrLayer(nn.Module):
    """A transformer layer: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width, heads, head, inner):
        super().__init__()
        self.heads, self.head = heads, head
        attention = nn.ModuleDict({"to_qkv": nn.Linear(width, 3 * heads * head, bias=False), "to_out": nn.Sequential(nn.Linear(heads * head, width))})
        mlp = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Identity(), nn.Linear(inner, width))
        halves = [{"norm": nn.LayerNorm(width), "fn": attention}, {"norm": nn.LayerNorm(width), "fn": nn.ModuleDict({"net": mlp})}]
        self.layers = nn.ModuleList([nn.ModuleList(nn.ModuleDict(half) for half in halves)])

    def forward(self, x):
        first, second = self.layers[0]
        made = first["fn"]["to_qkv"](first["norm"](x))
        m, t, _ = made.shape
        q, k, v = made.reshape(m, t, 3, self.heads, self.head).permute(2, 0, 3, 1, 4)
        y = ((q @ k.transpose(2, 3)) / self.head**0.5).softmax(-1) @ v
        x = x + first["fn"]["to_out"](y.transpose(1, 2).reshape(m, t, -1))
        return x + second["fn"]["net"](second["norm"](x))


class Septr(nn.Module):
    """SepTr for patches of 1x1 of a spectrogram of one channel."""

    def __init__(self, classes, bands, frames, width=32, heads=2, head=16, inner=64):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 1, width))

        def block(index):
            made = nn.Module()
            made.pos_embedding_h = nn.Parameter(torch.zeros(1, 1, bands + 1, width))
            made.pos_embedding_w = nn.Parameter(torch.zeros(1, 1, frames + 1, width))
            if index == 0:
                made.projection = nn.Linear(1, width)
            made.transformer_h, made.transformer_w = (SeptrLayer(width, heads, head, inner) for _ in range(2))
            return made

        self.transformer = nn.ModuleList(block(i) for i in range(3))
        self.fc = nn.Linear(width, classes)

    def values(self, x):
        """Every result that is compared, by name; `logits` last."""
        found = {}
        x = x.permute(0, 3, 2, 1)
        cls = self.cls_token.reshape(1, -1).expand(len(x), -1)
        for i, block in enumerate(self.transformer):
            x = block.projection(x) if i == 0 else x
            for axis, embedding, layer in (("h", block.pos_embedding_h, block.transformer_h), ("w", block.pos_embedding_w, block.transformer_w)):
                # x: examples, sequences, tokens, elements.
                n, r, t, d = x.shape
                made = torch.cat([cls[:, None, None].expand(n, r, 1, d), x], 2) + embedding
                made = layer(made.reshape(n * r, t + 1, d))
                found[f"transformer.{i}.transformer_{axis}.layers.0.1.sum"] = made
                made = made.reshape(n, r, t + 1, d)
                cls, x = made[:, :, 0].mean(1), made[:, :, 1:].transpose(1, 2)
        return found | {"logits": self.fc(cls)}
