#!/bin/sh
# Packs the crate, installs lerac from the packed file as `cargo install lerac` does from a registry, and
# runs it outside the repository.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
target_dir=${CARGO_TARGET_DIR:-$PWD/target}

# The install compiles what is packed, so cargo need not verify it.
cargo package --quiet --no-verify --allow-dirty
packed=$(ls -t "$target_dir"/package/lerac-*.crate | head -n 1)
tar -C "$work" -xzf "$packed"
CARGO_TARGET_DIR=$target_dir cargo install --quiet --locked --path "$work"/lerac-* --root "$work/installed"
cd "$work"
installed/bin/lerac --version
installed/bin/lerac schedule --model cnn --method lerac --k 1 --epochs 2 --csv rates.csv >/dev/null
test -s rates.csv
echo "check-package: installed from $(basename "$packed"), $(wc -c <"$packed") bytes"
