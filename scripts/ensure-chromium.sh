#!/bin/sh
# Prints the path of Chromium. Installs it on Debian if it is missing.
set -eu

find_it() {
    for name in chromium chromium-browser google-chrome; do
        if command -v "$name"; then
            return 0
        fi
    done
    return 1
}
find_it || { sh "$(dirname "$0")/apt-install.sh" chromium >&2 && find_it; } || {
    echo "ensure-chromium: no Chromium found, and it could not be installed" >&2
    exit 1
}
