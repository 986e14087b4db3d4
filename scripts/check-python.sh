#!/usr/bin/env bash
# Builds a wheel, installs it into a fresh virtual environment outside the repository, and uses the program
# and the Python module in it. TensorBoard's own package reads the event files. Arguments are given to maturin.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/skip.sh
export NODEVICE_SELECT=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
repository=$PWD
python3 -m venv "$work/build" && "$work/build/bin/python" -m pip install --quiet --disable-pip-version-check maturin ||
    skip "the Python package" "a virtual environment with maturin cannot be made"
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target} "$work/build/bin/maturin" build --release --quiet --locked --out "$work/wheels" "$@"
wheel=$(ls "$work"/wheels/lerac-*.whl)

python3 -m venv "$work/fresh"
python=$work/fresh/bin/python
$python -m pip install --quiet --disable-pip-version-check "$wheel[pandas]" tensorboard
cd "$work"
export PATH=$work/fresh/bin:$PATH
[ "$(command -v lerac)" = "$work/fresh/bin/lerac" ]
lerac --version
options=(--data shapes --model cnn --train-examples 320 --validation 80 --batch-size 16 --epochs 2 --log-every 5 --quiet)
lerac train "${options[@]}" --tensorboard --out results/run
lerac compare "${options[@]}" --methods conventional,lerac --seeds 2 --out results/study
lerac man pages
man_pages=$(ls pages | wc -l)
[ "$man_pages" -ge 10 ] && grep -q "lerac\\\\-train" pages/lerac-train.1
lerac completions bash >lerac.bash && bash -n lerac.bash && grep -q -- "--take-over" lerac.bash
LERAC_RESULTS=$work/results $python -m unittest discover -s "$repository/python/tests" -v
echo "check-python: $(basename "$wheel"), $(wc -c <"$wheel") bytes, $man_pages pages"
