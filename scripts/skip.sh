# To be sourced. skip NAME REASON: ends a check that cannot run on this machine. It says so loudly; .ci/run
# repeats it below its table of times.
skip() {
    printf '\n*** %s: SKIPPED: %s ***\n\n' "$1" "$2" >&2
    if [ -n "${SKIPPED_CHECKS:-}" ]; then
        printf '*** %s: SKIPPED: %s ***\n' "$1" "$2" >>"$SKIPPED_CHECKS"
    fi
    exit 0
}
