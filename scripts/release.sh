#!/bin/sh
# Makes the archives of a release for Linux and Windows, and their checksums, in out/release. Needs what
# check-windows.sh needs except Wine; run that first.
set -eu
cd "$(dirname "$0")/.."

target_dir=${CARGO_TARGET_DIR:-$PWD/target}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
windows=x86_64-pc-windows-gnu
out=$PWD/out/release
rm -rf "$out"
mkdir -p "$out"

# stage NAME PROGRAM: a directory with the program and its documentation.
stage() {
    mkdir "$out/$1"
    cp "$2" README.md CHANGELOG.md LICENSE docs/install.md "$out/$1"
}

linux=lerac-$version-linux-x86_64
cargo build --release --locked
stage "$linux" "$target_dir/release/lerac"
tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner -czf "$out/$linux.tar.gz" "$linux"

. scripts/cross-compiler.sh
command -v x86_64-w64-mingw32-gcc >/dev/null || sh scripts/apt-install.sh gcc-mingw-w64-x86-64
choose_compiler $windows
$cargo build --release --locked --target $windows
stage "lerac-$version-windows-x86_64" "$target_dir/$windows/release/lerac.exe"
(cd "$out" && python3 -m zipfile -c "lerac-$version-windows-x86_64.zip" "lerac-$version-windows-x86_64")

rm -r "$out/$linux" "$out/lerac-$version-windows-x86_64"
cd "$out"
sha256sum ./*.tar.gz ./*.zip >SHA256SUMS
sha256sum --check SHA256SUMS
ls -l "$out"
