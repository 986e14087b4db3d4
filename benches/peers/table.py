"""Times functions and prints a table. Used by the scripts for every other framework."""

import resource
import statistics
import sys
import time

RUNS = 7


def milliseconds(work, runs=RUNS):
    """The median of `runs` runs, after one warm-up run. `work` must wait for its result."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def show(peer, rows):
    """Prints rows of (name, function that times it) as Markdown. The first argument selects rows by a part of their name."""
    selected = sys.argv[1] if len(sys.argv) > 1 else ""
    print(f"| work, {peer} | ms, median of {RUNS} |\n|---|---|")
    for name, time_it in (row for row in rows if selected in row[0]):
        print(f"| {name} | {time_it():.2f} |", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of the process: {peak:.0f} MiB")
