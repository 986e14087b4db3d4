"""Medians of runs, printed as one table by every peer."""

import resource
import statistics
import sys
import time

RUNS = 7


def milliseconds(work, runs=RUNS):
    """The median of `runs` runs after one to warm up; `work` returns when the result is there."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def show(peer, rows):
    """Prints (name, function that times it) rows as Markdown: those whose names hold the first argument, if there is one."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    print(f"| work, {peer} | ms, median of {RUNS} |\n|---|---|")
    for name, time_it in (row for row in rows if wanted in row[0]):
        print(f"| {name} | {time_it():.2f} |", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of the process: {peak:.0f} MiB")
