#!/bin/sh
# apt-install.sh PACKAGE...: installs Debian or Ubuntu packages without prompts. Prints only errors.
set -eu

if ! command -v apt-get >/dev/null 2>&1; then
    echo "apt-install: there is no apt-get here" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1; then
    as_root=sudo
else
    echo "apt-install: neither root nor sudo" >&2
    exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

apt() {
    # shellcheck disable=SC2086 # nothing or one word
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1 </dev/null
}

# One unreachable source must not matter if the others have the packages.
apt update || true
if ! apt install -y --no-install-recommends "$@"; then
    tail -n 20 "$log" >&2
    echo "apt-install: could not install $*" >&2
    exit 1
fi
