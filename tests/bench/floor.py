"""What a number of calls can tell at best: `python -m bench.floor [--runs 100] [--calls 400] [--first SEED]`.

The constants of each bucket are given and every call is priced; all that is left to err is the sample of costs and server times. No method
that asks so few calls can be closer in the mean of many buckets, but by knowing more of costs than it was told.
"""

from __future__ import annotations

import argparse

import numpy as np

from bench.buckets import Place, place
from bench.rate import JOB, ODDS, TRUE_PAIRS
from probes.safety import even_rate, workers
from probes.twin import Twin


def held(there: Place, calls: int) -> tuple[float, int]:
    """(relative error of the even rate, error of the number in flight) of a sample of the true law."""
    costs, times = there.pairs(TRUE_PAIRS)
    truth = Twin(there.bucket, costs, times, there.round_trip_s, seed=4242, jitter_s=there.jitter_s)
    told = Twin(there.bucket, costs[-calls:], times[-calls:], there.round_trip_s, seed=4243, jitter_s=there.jitter_s)
    return even_rate(told, JOB, ODDS) / even_rate(truth, JOB, ODDS) - 1.0, workers(told, JOB, ODDS) - workers(truth, JOB, ODDS)


def family(name: str, seeds: range, calls: int) -> None:
    """One line: how far the rate is off, and in how many of the buckets the number in flight is exact."""
    found = [held(place(name, seed), calls) for seed in seeds]
    errors, off = np.array([error for error, _ in found]), np.array([error for _, error in found])
    print(
        f"{name:8s} {len(found)} buckets, {calls} calls: rate off {np.median(np.abs(errors)):.1%} (median), "
        f"{np.quantile(np.abs(errors), 0.95):.1%} (95th), more than 5 % over {np.mean(errors > 0.05):.1%}; "
        f"in flight exact {np.mean(off == 0):.0%}, off by one {np.mean(np.abs(off) == 1):.0%}",
        flush=True,
    )


def main() -> None:
    """The families whose constants a server's headers tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="buckets of each family")
    parser.add_argument("--calls", type=int, default=400, help="calls whose cost and server time are known")
    parser.add_argument("--first", type=int, default=0, help="seed of the first bucket")
    given = parser.parse_args()
    for name in ("wide", "canvas"):
        family(name, range(given.first, given.first + given.runs), given.calls)


if __name__ == "__main__":
    main()
