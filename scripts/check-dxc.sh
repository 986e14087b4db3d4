#!/bin/sh
# Compiles every kernel, translated to HLSL, by DirectX's compiler DXC. Its library for Linux is part of
# PyPI's compushady; LERAC_DXC names another one.
set -eu
cd "$(dirname "$0")/.."
. scripts/skip.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
library=${LERAC_DXC:-}
if [ -z "$library" ]; then
    python3 -m pip --version >/dev/null 2>&1 || sh scripts/apt-install.sh python3-pip || true
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: -d "$work" compushady ||
        skip check-dxc "compushady, which contains DXC for Linux, could not be downloaded"
    tar -C "$work" -xzf "$work"/compushady-*.tar.gz --wildcards '*libdxcompiler*.so*'
    library=$(find "$work" -name 'libdxcompiler*x86_64*.so*' | head -n 1)
fi
mkdir "$work/kernels"
LERAC_HLSL=$work/kernels cargo test --release --test models -- shader_contract::
python3 scripts/check-dxc.py "$library" "$work/kernels"
