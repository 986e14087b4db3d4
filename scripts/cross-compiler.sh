# To be sourced. choose_compiler TARGET: sets `cargo` to one that compiles for another system: rustup's, with a
# standard library that it downloads, else Debian's, which compiles the standard library from its source.
# Fails if neither can be had.
cargo=cargo
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc

choose_compiler() {
    if [ -z "${DEBIAN_COMPILER:-}" ] && command -v rustup >/dev/null 2>&1 &&
        timeout 120 rustup target add "$1" >/dev/null 2>&1; then
        return 0
    fi
    if ! [ -x /usr/bin/cargo ] || ! [ -d /usr/lib/rustlib/src/rust ]; then
        sh scripts/apt-install.sh rustc-web cargo-web rust-web-src || return 1
    fi
    cargo=/usr/bin/cargo
    export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_abort
}
