#!/usr/bin/env bash
# check-windows.sh [--long]: builds lerac for Windows, runs it under Wine on Mesa's llvmpipe through Vulkan,
# and compares what it writes with what the Linux build writes on the same driver, byte for byte. With --long
# it is also interrupted, killed and continued, makes a comparison, is given paths of Windows and bad input,
# and runs the tests. Installs what it needs on Debian and Ubuntu; is skipped if that fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/skip.sh
source scripts/cross-compiler.sh

long=${1:-}
target=x86_64-pc-windows-gnu
wine=/usr/lib/wine/wine64
compiler=x86_64-w64-mingw32-gcc

fail() {
    echo "check-windows: $1" >&2
    exit 1
}

# The linker, Wine, and a display, without which Wine has no Vulkan.
has_tools() {
    for tool in $compiler $wine Xvfb xauth; do
        command -v "$tool" >/dev/null || return 1
    done
}

if [ -z "${IN_XVFB:-}" ]; then
    has_tools || sh scripts/apt-install.sh gcc-mingw-w64-x86-64 wine wine64 xvfb xauth && has_tools ||
        skip check-windows "Wine or a compiler for Windows could not be installed"
    sh scripts/ensure-adapter.sh
    IN_XVFB=1 exec xvfb-run --auto-servernum bash scripts/check-windows.sh "$@"
fi

target_dir=${CARGO_TARGET_DIR:-$PWD/target}
program=$target_dir/$target/release/lerac.exe
work=$(mktemp -d)
dos_work=Z:${work//\//\\}
export WINEPREFIX=$work/prefix WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml=" NODEVICE_SELECT=1 LERAC_ADAPTER=llvmpipe
# Mesa caches what it compiled, for both builds alike.
export LERAC_CACHE=

finish() {
    /usr/lib/wine/wineserver64 --kill 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

lerac() {
    "$target_dir/release/lerac" "$@"
}

windows() {
    "$wine" "$program" "$@"
}

# same A B: two files have the same bytes.
same() {
    cmp "$1" "$2" || fail "$2 is not what Linux wrote"
}

# same_runs A B: compares all that a run repeats. speed.csv and a part of summary.json depend on time.
same_runs() {
    for file in config.toml metrics.csv layers.csv predictions.csv model.safetensors; do
        same "$1/$file" "$2/$file"
    done
    echo "check-windows: $2 has the bytes of $1 ($(sha256sum <"$2/model.safetensors" | cut -c1-16))"
}

# refused CODE WORDS ARGUMENT...: ends with the code, says the words on standard error, and uses no colours,
# since that is a file.
refused() {
    local code=$1 words=$2 got=0
    shift 2
    windows "$@" >"$work/said" 2>&1 || got=$?
    [ "$got" -eq "$code" ] || fail "$*: exit code $got instead of $code: $(cat "$work/said")"
    grep -qF -- "$words" "$work/said" || fail "$*: expected \"$words\", found: $(cat "$work/said")"
    ! grep -q $'\x1b' "$work/said" || fail "$*: escape sequences in a file"
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
    choose_compiler $target || skip check-windows "no standard library for $target could be installed"
    echo "check-windows: $($cargo --version), $($wine --version)"
    $cargo build --release --target $target
}

prepare_wine() {
    "$wine" wineboot --init
    local system=$WINEPREFIX/drive_c/windows/system32
    if ! [ -e "$system/bcryptprimitives.dll" ]; then
        $compiler -O -shared -o "$system/bcryptprimitives.dll" scripts/windows/bcryptprimitives.c -ladvapi32
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

# continues NAME: an interrupted run says so, and is continued to the bytes of a whole one.
continues() {
    grep -q "interrupted after step" "$work/said" || fail "$1: $(cat "$work/said")"
    windows resume "$work/$1" --quiet
    same_runs "$work/whole" "$work/$1"
}

check_ends() {
    local run=("${train[@]}" --epochs 4 --checkpoint-every 5 --out) code=0 child
    lerac "${run[@]}" "$work/whole"

    # Not by the function: its process in the background would be the shell's.
    "$wine" "$program" "${run[@]}" "$work/killed" &
    child=$!
    await "$work/killed"
    kill -KILL $child
    wait $child 2>/dev/null || true
    refused 1 "unfinished run" "${run[@]}" "$work/killed"
    windows resume "$work/killed" --quiet
    same_runs "$work/whole" "$work/killed"

    # Wine turns the signal into Ctrl-C.
    "$wine" "$program" "${run[@]}" "$work/ctrl-c" 2>"$work/said" &
    child=$!
    await "$work/ctrl-c"
    kill -INT $child
    wait $child || code=$?
    [ $code -eq 130 ] || fail "Ctrl-C: exit code $code instead of 130: $(cat "$work/said")"
    continues ctrl-c

    $compiler -O -o "$work/ctrl_break.exe" scripts/windows/ctrl_break.c
    code=0
    "$wine" "$work/ctrl_break.exe" "$dos_work\\ctrl-break\\checkpoints\\*.safetensors" \
        "$program ${run[*]} $dos_work\\ctrl-break" 2>"$work/said" || code=$?
    [ $code -eq 130 ] || fail "Ctrl-Break: exit code $code instead of 130: $(cat "$work/said")"
    continues ctrl-break
}

check_comparison() {
    local grid=(compare --data shapes --train-examples 640 --model cnn --methods conventional,lerac --k 1 --epochs 1
        --seeds 2 --quiet)
    lerac "${grid[@]}" --out "$work/compared-linux" >/dev/null
    windows "${grid[@]}" --out "$work/compared" >/dev/null
    for run in conventional-seed0 conventional-seed1 lerac-seed0 lerac-seed1; do
        same_runs "$work/compared-linux/$run" "$work/compared/$run"
    done
    sh scripts/check-report.sh "$work/compared/report.html"
}

# Drive letters, backslashes, long paths, letters of other scripts, names in another case, files with CRLF.
check_paths() {
    local deep=$work/out name
    windows "${train[@]}" --epochs 1 --out 'C:\runs\of mine'
    same_runs "$work/linux" "$WINEPREFIX/drive_c/runs/of mine"
    printf -v name '%060d' 0
    for _ in 1 2 3 4 5; do deep=$deep/$name; done
    windows "${train[@]}" --epochs 1 --out "Z:${deep//\//\\}"
    same_runs "$work/linux" "$deep"
    windows "${train[@]}" --epochs 1 --out "$dos_work\\ünïcode 学习率"
    same_runs "$work/linux" "$work/ünïcode 学习率"

    sed 's/$/\r/' "$work/linux/config.toml" >"$work/crlf.toml"
    windows train --config "$dos_work\\crlf.toml" --out "$work/crlf" --quiet
    same_runs "$work/linux" "$work/crlf"
    lerac eval --config "$work/crlf/config.toml" --init "$work/crlf/model.safetensors" --json >"$work/linux.json"
    windows eval --config "$dos_work\\CRLF\\Config.TOML" --init "$work/crlf\\model.safetensors" --json >"$work/windows.json"
    same "$work/linux.json" "$work/windows.json"
    # The same weights, named in a file of options.
    sed "s|^\[model\]|&\ninit = '${dos_work//\\/\\\\}\\\\crlf\\\\model.safetensors'|" "$work/crlf.toml" >"$work/named.toml"
    windows train --config "$work/named.toml" --out "$work/named" --quiet
    lerac train --config "$work/crlf/config.toml" --init "$work/crlf/model.safetensors" --out "$work/named-linux" --quiet
    same "$work/named-linux/model.safetensors" "$work/named/model.safetensors"
}

check_bad_input() {
    refused 1 'Z:\nowhere\config.toml' train --config 'Z:\nowhere\config.toml'
    refused 1 "no directory here" train --data cifar10 --data-dir 'Z:\no directory here'
    refused 1 "--model" train --model cnm
    refused 2 "--epochs" train --epochs two
    refused 1 "no such adapter" info --adapter "no such card"
    refused 1 "contains a finished run" "${train[@]}" --epochs 1 --out "$dos_work\\LINUX"
    printf '[training]\r\nepochs = 1\r\nbatch-sise = 3\r\n' >"$work/bad.toml"
    refused 1 "batch-sise" train --config "$work/bad.toml"
    printf '[data]\r\ndata_dir = "C:\\temp\\data"\r\n' >"$work/bad.toml"
    refused 1 "single quotes" train --config "$work/bad.toml"
    for device in NUL CON COM1 'Z:\bad|name' 'C:\NUL\run'; do
        refused 1 "" "${train[@]}" --epochs 1 --out "$device"
    done
}

# Wine's own HLSL compiler compiles no kernel. The error must name the way out.
check_dx12() {
    local number
    LERAC_DX12_COMPILER=dxc refused 1 "dxcompiler.dll" info
    LERAC_DX12_COMPILER=d3d refused 1 "expected dxc or fxc" info
    number=$(sed -n 's/^| *\*\?\([0-9]\+\) .*Dx12.*through FXC.*/\1/p' "$work/info" | head -n 1)
    if [ -z "$number" ]; then
        echo "check-windows: Wine offers no DX12 adapter here; the message of one is not tried"
        return
    fi
    refused 1 "with --adapter" "${train[@]}" --epochs 1 --adapter "$number" --out "$work/dx12"
    cat "$work/said"
}

# The tests that need no device; the runs above need one.
check_tests() {
    CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$wine $cargo test --release --target $target --no-fail-fast --lib \
        --test data --test models --test options --test hostile --test allocations --test floors --test style
}

build
prepare_wine
check_short
if [ "$long" = --long ]; then
    check_ends
    check_comparison
    check_paths
    check_bad_input
    check_dx12
    check_tests
fi
echo "check-windows: passed"
