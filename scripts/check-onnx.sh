#!/usr/bin/env bash
# Trains small and large image models for two steps, exports them as ONNX, and compares the outputs with
# those of onnxruntime. check-onnx.sh [MODEL...]: only a small one with many operations, and these.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/skip.sh
export NODEVICE_SELECT=1

program=${LERAC:-${CARGO_TARGET_DIR:-target}/release/lerac}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
if ! $python -c "import onnx, onnxruntime, safetensors" 2>/dev/null; then
    python3 -m venv "$work/venv" && python=$work/venv/bin/python &&
        $python -m pip install --quiet --disable-pip-version-check onnx onnxruntime safetensors ||
        skip "ONNX" "onnx and onnxruntime cannot be installed"
fi
[ -x "$program" ] || cargo build --release

# Some images of two classes, as BMP files.
$python - "$work/data" <<'PYTHON'
import os, random, struct, sys
random.seed(0)
side = 64
for part, count in [("train", 4), ("test", 2)]:
    for label in ["dark", "light"]:
        directory = os.path.join(sys.argv[1], part, label)
        os.makedirs(directory)
        for index in range(count):
            pixels = bytes(random.randrange(160) + 90 * (label == "light") for _ in range(3 * side * side))
            head = b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54)
            info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
            with open(os.path.join(directory, f"{index}.bmp"), "wb") as file:
                file.write(head + info + pixels)
PYTHON

# check NAME SIDE [OPTION...]: trains, exports, compares.
check() {
    local name=$1 side=$2 out
    shift 2
    out=$work/of-$(basename "$name")
    "$program" train --data imagefolder --data-dir "$work/data" --image-size "$side" --model "$name" --validation 0 \
        --batch-size 4 --epochs 1 --eta 0.01 --quiet --out "$out" "$@" >"$work/log" 2>&1 || {
        echo "check-onnx: $name cannot be trained: $(cat "$work/log")" >&2
        exit 1
    }
    "$program" export "$out.onnx" --init "$out/model.safetensors" --sample "$out.sample"
    $python scripts/check-onnx.py "$out.onnx" "$out.sample"
    rm -rf "$out" "$out.onnx" "$out.sample"
}

# Operations that small models of the zoo lack, in one that compiles quickly.
cat >"$work/operations.toml" <<'TOML'
layers = [
    { conv2d = "conv1", channels = 8, kernel = [3, 5], stride = [1, 2], padding = [1, 2], bias = true },
    { batch-norm = "bn1", activation = "relu6" },
    { conv2d = "conv2", norm = "bn2", channels = 8, kernel = 3, padding = 1, groups = 8 },
    { concat = "both", with = ["bn1", "conv1"] },
    { mean-pool = "mean", kernel = 2 },
    { max-pool = "max", kernel = 3, stride = 2, padding = 1 },
    { gelu = "gelu" },
    { relu = "relu", from = "max" },
    { add = "sum", with = "gelu" },
    { dropout = "drop", p = 0.1 },
    { flatten = "flat" },
    { linear = "fc1", outputs = 20 },
    { linear = "fc2", outputs = "classes" },
]
TOML
check "$work/operations.toml" 32

if [ $# -gt 0 ]; then
    for name; do check "$name" 64; done
    echo "check-onnx: passed"
    exit
fi
for name in cnn lenet resnet8 resnet20 resnet18 wide_resnet52-2 densenet121 vgg11_bn mobilenet_v2; do check "$name" 32; done
for name in resnet18-imagenet resnet50 densenet121-imagenet mobilenet_v2-imagenet cvt-13; do check "$name" 64; done
check examples/models/resnet8.toml 32
check cnn 32 --method cbs
check cvt-13 64 --method cbs --activation quick-gelu
echo "check-onnx: passed"
