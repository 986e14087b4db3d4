#!/bin/sh
# Opens a report in headless Chromium at the widths of a desktop and of a phone. Fails if the browser
# prints to its console or shows an empty page. Writes screenshots report-WIDTH.png next to the report.
# Installs Chromium on Debian if it is missing.
#
#     sh scripts/check-report.sh out/compare/report.html
set -eu

report=$1
cd "$(dirname "$report")"
report=$PWD/$(basename "$report")
cd - >/dev/null

chromium=$(sh "$(dirname "$0")/ensure-chromium.sh")

profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

# opens FILE WIDTH: takes a screenshot, and prints the console output of the browser.
opens() {
    "$chromium" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --user-data-dir="$profile" --enable-logging=stderr \
        --force-device-scale-factor=1 --hide-scrollbars --window-size="$2,4000" --screenshot="$profile/picture.png" "file://$1" \
        2>"$profile/log" || { cat "$profile/log" >&2; return 1; }
    grep -E 'CONSOLE|net::ERR' "$profile/log" || true
}

# Control: a page with an error must produce console output.
echo '<!doctype html><script>missing()</script>' >"$profile/broken.html"
if [ -z "$(opens "$profile/broken.html" 800)" ]; then
    echo "check-report: $chromium does not report the errors of a page" >&2
    exit 1
fi
for width in 1280 390; do
    complaints=$(opens "$report" $width)
    if [ -n "$complaints" ]; then
        echo "check-report: $report at $width pixels: $complaints" >&2
        exit 1
    fi
    if ! [ "$(wc -c <"$profile/picture.png")" -gt 20000 ]; then
        echo "check-report: $report shows next to nothing at $width pixels" >&2
        exit 1
    fi
    mv "$profile/picture.png" "$(dirname "$report")/report-$width.png"
    echo "check-report: $report opens at $width pixels"
done
