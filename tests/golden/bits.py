#!/usr/bin/env python3
"""Trains every model but vgg11_bn-imagenet, and every method, for a few steps and compares the bits of the results with bits.json.

    python3 tests/golden/bits.py target/release/lerac            compares; exits with 1 if a bit differs
    python3 tests/golden/bits.py target/release/lerac --write    rewrites bits.json
    python3 tests/golden/bits.py target/release/lerac --only REGEX

The bits depend on the driver and the kind of processor. bits.json names both; on others the comparison is skipped, with a message.
A run is described by digests of each kind of tensor and of each column of its tables. Columns that are not in bits.json are not
compared.
"""

import argparse
import csv
import hashlib
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import zlib

FIXTURE = pathlib.Path(__file__).with_name("bits.json")
MODELS = [
    "cnn", "lenet", "resnet8", "resnet20", "resnet18", "resnet18-imagenet", "resnet34", "resnet50", "wide_resnet50_2",
    "wide_resnet52-2", "wide_resnet28-10", "densenet121", "densenet121-imagenet", "vgg11_bn", "mobilenet_v2", "mobilenet_v2-imagenet",
    "cvt-13", "septr-tiny",
]  # vgg11_bn-imagenet is excluded: its first linear layer needs 392 MiB, and llvmpipe binds 128.
# Other BERTs are of the same code.
TEXT_MODELS = ["bert-tiny", "lstm"]
METHODS = [
    "conventional", "lerac", "lerac-reference", "cbs", "lerac-cbs", "reversed", "shuffled", "uniform", "linear", "logarithmic",
]
# Columns that differ between runs.
TIMES = {"images_per_second", "examples_per_second"}
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")


def cases(folders):
    """(name, command, options) of every run."""
    short = "--epochs 2 --train-images 192 --validation 64 --batch-size 16 --log-every 5 --flip --shift 2"
    for model in MODELS:
        size = 2 if "wide" in model else 4
        yield f"trace {model}", "trace", f"--model {model} --method lerac --steps 2 --validation 2 --batch-size {size}"
    for method in METHODS:
        yield f"train {method}", "train", f"--model cnn --method {method} --k 1 {short}"
    for name, options in {
        "adam": "--optimizer adam --eta 0.003 --schedule cosine --schedule-during-curriculum multiply",
        "adamw": "--optimizer adamw --eta 0.003 --warmup-epochs 0.5 --spare-norm-and-bias --schedule-during-curriculum multiply",
        "adamax": "--optimizer adamax --eta 0.003 --schedule step --milestones 0.5,1.5 --schedule-during-curriculum multiply",
        "nesterov": "--nesterov --clip-norm 0.5 --label-smoothing 0.1",
        "plateau": "--schedule plateau --patience 0 --gamma 0.5 --schedule-during-curriculum multiply",
        "average": "--ema 0.95 --ema-warmup 5",
        "warm-up of biases and momentum": "--schedule linear --final-rate 1e-3 --warmup-epochs 0.5 --warmup-steps 9 --bias-warmup 0.2 "
        "--warmup-momentum 0.5 --spare-norm-and-bias --schedule-during-curriculum multiply",
        "cosine after the curriculum": "--schedule cosine --final-rate 1e-3",
        "steps after the curriculum": "--schedule step --milestones 0.5,1.5",
        "mixup": "--mixup 0.3",
        "passes": "--micro-batch 4",
        "host augmentation": "--random-resized-crop 0.3 --jitter 0.3,0.3,0.3 --cutout 8",
        "noise": "--snr-every 6 --snr-batches 2",
    }.items():
        yield f"train {name}", "train", f"--model cnn --method lerac --k 1 {short} {options}"
    texts = f"--data text-pairs --data-dir {folders}/texts --text-columns a,b --max-length 12 --min-count 1 --batch-size 4"
    for model in TEXT_MODELS:
        yield f"trace {model}", "trace", f"--model {model} {texts} --method lerac --steps 2 --validation 2"
        yield f"train {model}", "train", (
            f"--model {model} {texts} --method lerac-cbs --k 1 --epochs 2 --validation 4 --log-every 3 --optimizer adamax --eta 1e-3")
    yield "train resnet8", "train", f"--model resnet8 --method lerac-cbs --k 1 {short}"
    yield "train folder", "train", (
        f"--data imagefolder --data-dir {folders}/classes --image-size 12 --resize 14 --normalise data --model cnn --method lerac --epochs 2 "
        "--validation 4 --batch-size 4 --flip --shift 1 --random-resized-crop 0.5")
    for loss in ["l1", "mse"]:
        yield f"train ages {loss}", "train", (
            f"--data utkface-age --data-dir {folders}/faces --image-size 9 --model cnn --method lerac --loss {loss} --eta 0.01 --epochs 2 "
            "--validation 4 --batch-size 4")
    if not FASHION.is_dir():
        print(f"bits: SKIPPED: train fashion-mnist: there is no {FASHION}", flush=True)
    else:
        yield "train fashion-mnist", "train", (
            f"--data fashion-mnist --data-dir {FASHION} --model lenet --method lerac --k 1 --eta 0.05 {short}")


def png(path, width, height, pixel):
    """Writes a PNG of red, green and blue bytes."""
    rows = b"".join(b"\0" + bytes(v & 255 for x in range(width) for v in pixel(x, y)) for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make_folders(root):
    """Writes image folders that are equal on every machine."""
    for part, count in [("train", 12), ("test", 5)]:
        for label, name in enumerate(["circles", "stripes"]):
            for i in range(count):
                def pixel(x, y, label=label, i=i):
                    return (37 * x * (label + 1) + 11 * y + i, (x * x + y * y) * (2 - label) + 5 * i, 200 * label + x - y)
                png(root / "classes" / part / name / f"{i:02}.png", 17 + i, 15 + label, pixel)
    for i in range(25):
        png(root / "faces" / f"{(7 * i) % 90}_{i % 2}_0_{i:04}.png", 11, 13, lambda x, y, i=i: (9 * x + i, 7 * y * i, x * y + 3 * i))


def make_texts(root):
    """Writes pairs of texts of different lengths."""
    words = ["red", "green", "blue", "fish", "bird", "runs", "sings", "the", "a", "never"]
    for part, count in [("train", 40), ("test", 9)]:
        lines = ["a\tb\tlabel"]
        for i in range(count):
            text = lambda seed, length: " ".join(words[(seed * k + i) % len(words)] for k in range(1, length + 1))
            lines.append(f"{text(3, 1 + i % 9)}\t{text(7, 1 + i % 4)}\t{'yes' if i % 3 else 'no'}")
        path = root / "texts" / f"{part}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")


def digest(parts):
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
    return hasher.hexdigest()[:16]


def tensors(path):
    """Name and bytes of every tensor of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    for name, entry in sorted(header.items()):
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            yield name, data[8 + length + begin:8 + length + end]


def of_tensors(path):
    """A digest for each kind of tensor: gradient., after., inputs of the step, and weights."""
    kinds = {}
    for name, data in tensors(path):
        kind = name.split(".")[0] if name.startswith(("gradient.", "after.", "input.", "target.")) else "weights"
        kinds.setdefault(kind, []).extend([name.encode(), data] if kind not in ("input", "target") else [data])
    return {f"{path.stem} {kind}": digest(parts) for kind, parts in kinds.items()}


def of_table(path):
    """A digest for each column of a table."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = rows[0].keys() if rows else []
    return {f"{path.stem} {column}": digest([(row[column] + "\n").encode() for row in rows]) for column in columns if column not in TIMES}


def run(binary, command, options, out):
    """All digests of a run."""
    if command == "train":
        options += " --quiet"
    done = subprocess.run([binary, command, "--out", out, *options.split()], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bits: {command} {options}\n{done.stderr}")
    found = {}
    for path in sorted(pathlib.Path(out).iterdir()):
        if path.suffix == ".safetensors":
            found.update(of_tensors(path))
        elif path.suffix == ".csv":
            found.update(of_table(path))
        elif path.name == "trace.json":
            steps = json.loads(path.read_text())["steps"]
            found["trace steps"] = digest([json.dumps([[s["loss"], s["learning_rates"]] for s in steps], sort_keys=True).encode()])
    return found


def platform(binary):
    """The driver, and the instruction set that it compiles for."""
    info = json.loads(subprocess.run([binary, "info", "--json"], capture_output=True, text=True, check=True).stdout)
    adapter = info["adapters"][info["chosen"]]
    flags = set()
    if os.path.exists("/proc/cpuinfo"):
        line = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "")
        flags = set(line.split()) & {"avx2", "fma", "avx512f"}
    return f"{adapter['name']}; {adapter['driver']}; {' '.join(sorted(flags))}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    here, known = platform(args.binary), json.loads(FIXTURE.read_text()) if FIXTURE.exists() else {}
    if not args.write and here not in known:
        print(f"bits: SKIPPED: bits.json knows {', '.join(known)}, and this is {here}")
        return
    found, differs = {}, []
    with tempfile.TemporaryDirectory() as work:
        make_folders(pathlib.Path(work) / "folders")
        make_texts(pathlib.Path(work) / "folders")
        for name, command, options in cases(pathlib.Path(work) / "folders"):
            if re.search(args.only, name) is None:
                continue
            found[name] = run(args.binary, command, options, os.path.join(work, name.replace(" ", "-")))
            if args.write:
                print(f"bits: {name}", flush=True)
                continue
            expected = known[here].get(name)
            if expected is None:
                differs.append(f"{name}: bits.json has no entry")
                print(f"bits: {name}: NOT IN bits.json; --write adds it", flush=True)
                continue
            wrong = [key for key, value in expected.items() if found[name].get(key) != value]
            differs += [f"{name}: {key}" for key in wrong]
            print(f"bits: {name}: {'DIFFERS: ' + ', '.join(wrong) if wrong else f'{len(expected)} equal'}", flush=True)
    if args.write:
        known.setdefault(here, {}).update(found)
        FIXTURE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    elif differs:
        sys.exit(f"bits: {len(differs)} differ")


if __name__ == "__main__":
    main()
