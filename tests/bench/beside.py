"""The limiter in small buckets beside three calls a second of others, by how many calls fit, and what no sender can do better.

`python -m bench.beside [--runs N] [--first SEED]`. The bound: a sender that makes one call at a time and knows of each answer how many
neighbours there were when it left, and the law by which they come and go. It chooses how long to wait before the next so that as few as
can be are refused, however long that takes. Neighbours come at random and are held equally long; nothing leaks.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.level import OTHERS_HELD_S, Booked, Case, Greedy, wide
from bench.limiter import known, unknown

Floats = NDArray[np.float64]
PER_S = 3.0
SIZES = (3, 4, 5, 6, 7, 8)
NETWORKS = ((0.0, 0.0), (0.02, 0.003), (0.06, 0.003), (0.15, 0.003))
MOST = 14
"""More neighbours at one time than these hardly ever are there."""
WAITS_S = (0.0, *np.linspace(0.02, 0.4, 20))
TIMES = np.exp(0.5 * np.array([-1.6, -0.8, -0.3, 0.0, 0.3, 0.8, 1.6]))
"""A call's server time by its median: so lognormal ones with a spread of a half are drawn, roughly."""
REFUSAL_S = 0.003
STEPS = 300


def later(seconds: float) -> Floats:
    """Odds of n neighbours (columns) where m were (rows) so long before."""
    stay, come = max(0.0, 1.0 - seconds / OTHERS_HELD_S), PER_S * min(seconds, OTHERS_HELD_S)
    coming = np.array([math.exp(-come) * come**n / math.factorial(n) for n in range(MOST)])
    rows = np.zeros((MOST, MOST))
    for there in range(MOST):
        staying = [math.comb(there, n) * stay**n * (1.0 - stay) ** (there - n) for n in range(there + 1)]
        rows[there] = np.convolve(staying, coming)[:MOST]
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def bound(size: int, round_trip_s: float, median_s: float) -> float:
    """Least share of calls refused in the long run, where `size` calls fit; by iteration of relative values."""
    worked = np.mean([later(float(median_s * time)) for time in TIMES], axis=0)
    refused, next_of = [], []
    for wait_s in WAITS_S:
        met = later(round_trip_s + float(wait_s))
        passed = np.where(np.arange(MOST) < size, met, 0.0)
        refused.append((met - passed).sum(axis=1))
        next_of.append(passed @ worked + (met - passed) @ later(REFUSAL_S))
    value, least = np.zeros(MOST), 0.0
    for _ in range(STEPS):
        newer = np.min([cost + then @ value for cost, then in zip(refused, next_of, strict=True)], axis=0)
        least, value = float(newer[0] - value[0]), newer - newer[0]
    return least


def cases(size: int, runs: int, first: int) -> list[Case]:
    """The first wide buckets into which so many calls fit."""
    fitting = (case for seed in count(first) if (case := wide(seed)).bucket.burst == size)
    return [next(fitting).changed(others="calls", others_per_s=PER_S) for _ in range(runs)]


def row(size: int, jobs: Sequence[Case], oracles: Sequence[float], network: tuple[float, float]) -> dict[str, Any]:
    """Refused in 10,000 calls and times of the oracle (median), known and unknown, beside the bound."""
    there = [job.changed(rtt_s=network[0], jitter_s=network[1]) for job in jobs]
    told: dict[str, Any] = {"size": size, "round_trip_s": network[0], "calls": sum(len(job.costs) for job in jobs)}
    told["bound"] = 1e4 * float(np.mean([bound(size, network[0], job.median_s) for job in jobs]))
    for name, book in (("known", known), ("unknown", unknown)):
        done = [Booked(job, book(job)).run() for job in there]
        told[name] = 1e4 * sum(job.refused for job in done) / told["calls"]
        told[f"{name}_times"] = float(np.median([job.seconds / oracle for job, oracle in zip(done, oracles, strict=True)]))
    return told


def main() -> None:
    """One line for each size and network, and all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=12, help="buckets of each size")
    parser.add_argument("--first", type=int, default=0, help="seed of the first bucket looked at")
    given = parser.parse_args()
    rows = []
    for size in SIZES:
        jobs = cases(size, given.runs, given.first)
        oracles = [Greedy(job).run().seconds for job in jobs]
        for network in NETWORKS:
            rows.append(row(size, jobs, oracles, network))
            print(
                "{size} fit, {round_trip_s:5.3f} s away, {calls} calls: of 10,000 refused {known:6.1f} (unknown {unknown:6.1f}), at least "
                "{bound:6.1f}; {known_times:.1f} ({unknown_times:.1f}) times the oracle".format(**rows[-1]),
                flush=True,
            )
    out = Path("results")
    out.mkdir(exist_ok=True)
    told = {"bench": "beside", "first_seed": given.first, "rows": rows}
    (out / "bench-beside.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
