"""BERT and the LeRaC paper's LSTM, stated again in PyTorch with the names of their state dicts."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence


class SelfAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x, mask):
        n, t, c = x.shape
        q, k, v = (layer(x).view(n, t, self.heads, c // self.heads).transpose(1, 2) for layer in (self.query, self.key, self.value))
        scores = q @ k.transpose(2, 3) / (c // self.heads) ** 0.5
        scores = scores.masked_fill(~mask[:, None, None, :], -torch.inf)
        return (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, c)


class AddAndNorm(nn.Module):
    def __init__(self, inputs, width, epsilon):
        super().__init__()
        self.dense, self.LayerNorm = nn.Linear(inputs, width), nn.LayerNorm(width, epsilon)

    def forward(self, y, x):
        return self.LayerNorm(x + self.dense(y))


class Layer(nn.Module):
    def __init__(self, width, heads, inner, epsilon):
        super().__init__()
        self.attention = nn.ModuleDict({"self": SelfAttention(width, heads), "output": AddAndNorm(width, width, epsilon)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = AddAndNorm(inner, width, epsilon)

    def forward(self, x, mask):
        x = self.attention["output"](self.attention["self"](x, mask), x)
        return self.output(nn.functional.gelu(self.intermediate["dense"](x)), x)


class Embeddings(nn.Module):
    def __init__(self, vocabulary, positions, width, epsilon):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocabulary, width, padding_idx=0)
        self.position_embeddings, self.token_type_embeddings = nn.Embedding(positions, width), nn.Embedding(2, width)
        self.LayerNorm = nn.LayerNorm(width, epsilon)

    def forward(self, tokens, segments):
        positions = torch.arange(tokens.shape[1])
        x = self.word_embeddings(tokens) + self.token_type_embeddings(segments) + self.position_embeddings(positions)
        return self.LayerNorm(x)


class Encoder(nn.Module):
    def __init__(self, vocabulary, positions, width, layers, heads, inner, epsilon):
        super().__init__()
        self.embeddings = Embeddings(vocabulary, positions, width, epsilon)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(width, heads, inner, epsilon) for _ in range(layers))})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(width, width)})


class Bert(nn.Module):
    """`BertForSequenceClassification` without dropout."""

    def __init__(self, classes, vocabulary, positions=512, width=128, layers=2, heads=2, inner=512, epsilon=1e-12):
        super().__init__()
        self.bert = Encoder(vocabulary, positions, width, layers, heads, inner, epsilon)
        self.classifier = nn.Linear(width, classes)

    def values(self, tokens, segments, length):
        """Every result that is compared, by name; `logits` last."""
        mask = torch.arange(tokens.shape[1])[None, :] < length[:, None]
        x = self.bert.embeddings(tokens, segments)
        found = {"bert.embeddings.LayerNorm": x}
        for i, layer in enumerate(self.bert.encoder["layer"]):
            x = layer(x, mask)
            found[f"bert.encoder.layer.{i}.output.LayerNorm"] = x
        pooled = self.bert.pooler["dense"](x[:, 0]).tanh()
        return found | {"bert.pooler.tanh": pooled, "logits": self.classifier(pooled)}


class Lstm(nn.Module):
    """Embedding 128, two LSTM layers of 256, the last state, two linear layers with a ReLU between them."""

    def __init__(self, classes, vocabulary):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 128, padding_idx=0)
        self.lstm = nn.LSTM(128, 256, num_layers=2, batch_first=True)
        self.fc1, self.fc2 = nn.Linear(256, 256), nn.Linear(256, classes)

    def values(self, tokens, segments, length):
        packed = pack_padded_sequence(self.embedding(tokens), length, batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.lstm(packed)
        first = self.fc1(hidden[-1])
        return {"fc1": first, "logits": self.fc2(first.relu())}
