#!/bin/sh
# Compiles lerac for macOS as far as that goes without Apple's linker. tests/models/shader_contract.rs
# translates every kernel for Metal.
set -eu
cd "$(dirname "$0")/.."
. scripts/skip.sh
. scripts/cross-compiler.sh

target=aarch64-apple-darwin
choose_compiler $target || skip check-macos "no standard library for $target could be installed"
$cargo check --target $target
echo "check-macos: passed ($($cargo --version))"
