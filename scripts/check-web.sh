#!/bin/sh
# Builds the page and tests it in headless Chromium, on SwiftShader, which computes on the processor:
# losses against native ones, given files, downloads, ends by cancellation and by a lost device, and every
# plain kernel in Chromium's WGSL compiler. Screenshots are written to out/web.
set -eu
cd "$(dirname "$0")/.."
. scripts/skip.sh
build=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR="$build"
tools=$build/web-tools

chromium=$(sh scripts/ensure-chromium.sh) || skip check-web "Chromium could not be installed"
command -v npm >/dev/null 2>&1 || sh scripts/apt-install.sh nodejs npm || skip check-web "npm could not be installed"
mkdir -p "$tools"
[ -d "$tools/node_modules/playwright-core" ] && [ -x "$tools/node_modules/.bin/wasm-opt" ] ||
    npm install --silent --no-audit --no-fund --no-save --prefix "$tools" playwright-core@1.65.1 binaryen@132.0.0 ||
    skip check-web "playwright-core and binaryen could not be installed"

WASM_OPT=$tools/node_modules/.bin/wasm-opt sh scripts/build-web.sh
cargo build --release
(cd web && cargo test --release --locked && cargo build --release --locked --bin native)
mkdir -p out/web/kernels
rm -f out/web/kernels/*
LERAC_WGSL=$PWD/out/web/kernels cargo test --release --test models -- shader_contract::
NODE_PATH=$tools/node_modules node web/test/browser.mjs "$chromium" "$build/release" "$@"
