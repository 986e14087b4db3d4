#!/bin/sh
# Builds the page into web/dist: the engine as WebAssembly, the JavaScript that calls it, and web/page.
#
# The standard library for WebAssembly comes from rustup. Where there is no rustup, Debian's packages of a
# newer Rust are installed, and the standard library is built from their sources.
set -eu
cd "$(dirname "$0")/.."
target=wasm32-unknown-unknown
dist=web/dist
build=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR="$build"

has_library() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]
}

# with_toolchain COMMAND...: runs cargo with a standard library for WebAssembly.
if has_library || rustup target add $target >/dev/null 2>&1; then
    with_toolchain() {
        cargo "$@"
    }
else
    sh scripts/apt-install.sh rustc-web cargo-web rust-web-src lld-22
    # There is no package of the compiled library. `build-std` is unstable, so the compiler must be told.
    with_toolchain() {
        env RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_abort \
            CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22 /usr/bin/cargo "$@"
    }
fi

(cd web/bindgen && cargo build --release --locked)
# A crate type on the command line: link-time optimisation needs exactly one.
(cd web && with_toolchain rustc --locked --profile web --lib --crate-type cdylib --target $target)

rm -rf $dist
mkdir -p $dist
"$build/release/bindgen" "$build/$target/web/lerac_web.wasm" $dist
cp web/page/* $dist
# Binaryen makes the file a fifth smaller. The page works without it.
if [ -n "${WASM_OPT:-}" ] || command -v wasm-opt >/dev/null 2>&1; then
    "${WASM_OPT:-wasm-opt}" -Oz --strip-debug --strip-producers $dist/lerac_bg.wasm -o $dist/smaller.wasm
    mv $dist/smaller.wasm $dist/lerac_bg.wasm
fi
size() {
    cat "$@" | wc -c | awk '{ printf "%d KB", $1 / 1000 }'
}
echo "$dist: $(size $dist/*), $(for file in $dist/*; do gzip -9c "$file"; done | size -) as gzip"
