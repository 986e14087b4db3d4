#!/usr/bin/env bash
# check-windows.sh [--long]: builds lerac for Windows, runs it under Wine on Mesa's llvmpipe through Vulkan, and compares what it
# writes with what the Linux build writes on the same driver, byte for byte. With --long it is also interrupted, killed and continued,
# makes a comparison, is given bad input, and runs the tests.
# Installs what it needs on Debian and Ubuntu. Where that cannot be, it is SKIPPED, and says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

long=${1:-}
target=x86_64-pc-windows-gnu
wine=/usr/lib/wine/wine64
source scripts/cross-compiler.sh

skip() {
    printf '\n*** check-windows: SKIPPED: %s ***\n\n' "$1" >&2
    exit 0
}

fail() {
    echo "check-windows: $1" >&2
    exit 1
}

# The linker, Wine, and a display, without which Wine has no Vulkan.
needs() {
    for tool in x86_64-w64-mingw32-gcc $wine Xvfb xauth; do
        command -v "$tool" >/dev/null || return 1
    done
}

if [ -z "${IN_XVFB:-}" ]; then
    needs || sh scripts/apt-install.sh gcc-mingw-w64-x86-64 wine wine64 xvfb xauth && needs ||
        skip "no Wine or no cross-compiler here, and they could not be installed"
    sh scripts/ensure-adapter.sh
    IN_XVFB=1 exec xvfb-run --auto-servernum "${BASH_SOURCE[0]}" "$@"
fi

target_dir=${CARGO_TARGET_DIR:-$PWD/target}
work=$(mktemp -d)
export WINEPREFIX=$work/prefix WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml=" NODEVICE_SELECT=1 LERAC_ADAPTER=llvmpipe
# Mesa keeps what it compiled, for both builds alike.
export LERAC_CACHE=

finish() {
    /usr/lib/wine/wineserver64 --kill 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

lerac() {
    "$target_dir/release/lerac" "$@"
}

program=$target_dir/$target/release/lerac.exe
windows() {
    "$wine" "$program" "$@"
}

# same A B: two files with the same bytes.
same() {
    cmp "$1" "$2" || fail "$2 is not what Linux wrote"
}

# same_runs A B: all that a run repeats; speed.csv and a part of summary.json are of their own time.
same_runs() {
    for file in config.toml metrics.csv layers.csv predictions.csv model.safetensors; do
        same "$1/$file" "$2/$file"
    done
    echo "check-windows: $2 is $1, byte for byte ($(sha256sum <"$2/model.safetensors" | cut -c1-16))"
}

# refused CODE WORDS ARGUMENT...: ends with the code, and says the words on standard error.
refused() {
    local code=$1 words=$2 got=0
    shift 2
    windows "$@" >"$work/said" 2>&1 || got=$?
    [ "$got" -eq "$code" ] || fail "$*: exit code $got instead of $code: $(cat "$work/said")"
    grep -qF -- "$words" "$work/said" || fail "$*: expected \"$words\", found: $(cat "$work/said")"
}

# await DIR: waits for a checkpoint of a run.
await() {
    for _ in $(seq 1200); do
        ls "$1"/checkpoints/*.safetensors >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "no checkpoint in $1"
}

build() {
    # Before the other compiler is chosen.
    cargo build --release
    choose_compiler $target || skip "no standard library for $target could be installed"
    echo "check-windows: $($cargo --version), $($wine --version)"
    $cargo build --release --target $target
}

prepare_wine() {
    "$wine" wineboot --init
    local system=$WINEPREFIX/drive_c/windows/system32
    if ! [ -e "$system/bcryptprimitives.dll" ]; then
        x86_64-w64-mingw32-gcc -O -shared -o "$system/bcryptprimitives.dll" scripts/windows/bcryptprimitives.c -ladvapi32
    fi
}

train=(train --data shapes --train-examples 1280 --model cnn --method lerac --k 1 --batch-size 64 --quiet)

check_short() {
    windows info | tee "$work/info"
    grep -q 'llvmpipe.*Vulkan' "$work/info" || fail "info names no llvmpipe through Vulkan"
    local rates=(schedule --model resnet8 --method lerac --eta 0.1 --k 2 --epochs 3 --csv)
    lerac "${rates[@]}" "$work/linux.csv" >"$work/linux.txt"
    windows "${rates[@]}" "$work/windows.csv" >"$work/windows.txt"
    same "$work/linux.csv" "$work/windows.csv"
    lerac "${train[@]}" --epochs 1 --out "$work/linux"
    windows "${train[@]}" --epochs 1 --out "$work/windows"
    same_runs "$work/linux" "$work/windows"
}

check_ends() {
    local run=("${train[@]}" --epochs 4 --checkpoint-every 5 --out) code=0
    lerac "${run[@]}" "$work/whole"

    # Not by the function, whose process in the background would be the shell's.
    "$wine" "$program" "${run[@]}" "$work/killed" &
    local child=$!
    await "$work/killed"
    kill -KILL $child
    wait $child 2>/dev/null || true
    refused 1 "unfinished run" "${run[@]}" "$work/killed"
    windows resume "$work/killed" --quiet
    same_runs "$work/whole" "$work/killed"

    # Wine makes Ctrl-C of the signal; nothing in it makes Ctrl-Break, which takes the same way in lerac.
    "$wine" "$program" "${run[@]}" "$work/interrupted" 2>"$work/said" &
    child=$!
    await "$work/interrupted"
    kill -INT $child
    wait $child || code=$?
    [ $code -eq 130 ] || fail "Ctrl-C: exit code $code instead of 130: $(cat "$work/said")"
    grep -q "interrupted after step" "$work/said" || fail "Ctrl-C: $(cat "$work/said")"
    windows resume "$work/interrupted" --quiet
    same_runs "$work/whole" "$work/interrupted"
}

check_comparison() {
    local grid=(compare --data shapes --train-examples 640 --model cnn --methods conventional,lerac --k 1 --epochs 1 --seeds 2 --quiet)
    lerac "${grid[@]}" --out "$work/compared-linux" >/dev/null
    windows "${grid[@]}" --out "$work/compared" >/dev/null
    for run in conventional-seed0 conventional-seed1 lerac-seed0 lerac-seed1; do
        same_runs "$work/compared-linux/$run" "$work/compared/$run"
    done
    sh scripts/check-report.sh "$work/compared/report.html"
}

# Paths of Windows and of other scripts, long ones, files with CRLF, and what is refused.
check_paths() {
    local deep=$work/out name
    printf -v name '%060d' 0
    for _ in 1 2 3 4 5; do deep=$deep/$name; done
    windows "${train[@]}" --epochs 1 --out "Z:${deep//\//\\}"
    same_runs "$work/linux" "$deep"
    windows "${train[@]}" --epochs 1 --out "Z:${work//\//\\}\\ünïcode 学习率"
    same_runs "$work/linux" "$work/ünïcode 学习率"

    sed 's/$/\r/' "$work/linux/config.toml" >"$work/crlf.toml"
    windows train --config "Z:${work//\//\\}\\crlf.toml" --out "$work/crlf" --quiet
    same_runs "$work/linux" "$work/crlf"
    # Names in another case, and both kinds of slashes.
    lerac eval --config "$work/crlf/config.toml" --init "$work/crlf/model.safetensors" --json >"$work/linux.json"
    windows eval --config "$work\\CRLF\\Config.TOML" --init "$work/crlf\\model.safetensors" --json >"$work/windows.json"
    same "$work/linux.json" "$work/windows.json"

    refused 1 "Z:\\nowhere\\config.toml" train --config 'Z:\nowhere\config.toml'
    refused 1 "no directory here" train --data cifar10 --data-dir 'Z:\no directory here'
    refused 1 "--model" train --model cnm
    refused 2 "--epochs" train --epochs two
    refused 1 "no such adapter" info --adapter "no such card"
    printf '[training]\r\nepochs = 1\r\nbatch-sise = 3\r\n' >"$work/bad.toml"
    refused 1 "batch-sise" train --config "$work/bad.toml"
}

# Wine's own HLSL compiler compiles no kernel, which has to be said with the way out.
check_dx12() {
    local number
    number=$(sed -n 's/^| *\*\?\([0-9]\+\) .*Dx12.*through FXC.*/\1/p' "$work/info" | head -n 1)
    if [ -z "$number" ]; then
        echo "check-windows: Wine offers no DX12 adapter here; what lerac says of one is not tried"
        return
    fi
    refused 1 "with --adapter" "${train[@]}" --epochs 1 --adapter "$number" --out "$work/dx12"
    LERAC_DX12_COMPILER=dxc refused 1 "put dxcompiler.dll beside the program" info
    LERAC_DX12_COMPILER=d3d refused 1 "expected dxc or fxc" info
}

check_tests() {
    CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$wine REQUIRE_GPU=1 $cargo test --release --target $target --tests --no-fail-fast
}

build
prepare_wine
check_short
if [ "$long" = --long ]; then
    check_ends
    check_comparison
    check_paths
    check_dx12
    check_tests
fi
echo "check-windows: passed"
