"""How quick and how safe the limiter is on random buckets: `python -m bench.limiter [--runs N] [--first SEED]`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.bound import Delayed
from bench.level import FAMILIES, Booked, Case, Greedy, Outcome
from probes.book.learner import CAUTIOUS_OUTFLOW_PER_S, CAUTIOUS_SHARE
from probes.book.ledger import Ledger
from probes.bucket import BucketSettings

BUCKETS = 60
FIRST_SEED = 1000
"""Seeds below 400 were looked at while the limiter was made."""
NETWORKS = ((0.0, 0.0), (0.02, 0.003), (0.06, 0.003), (0.15, 0.003), (0.06, 0.03), (0.15, 0.03))
OTHERS_NETWORKS = (NETWORKS[0], NETWORKS[3], NETWORKS[5])


def known(case: Case) -> Ledger:
    """The book of a bucket whose constants are known."""
    return Ledger(case.bucket)


def unknown(_: Case) -> Ledger:
    """The book that learns."""
    mark = 600.0
    return Ledger(BucketSettings.of(mark, CAUTIOUS_OUTFLOW_PER_S, mark * CAUTIOUS_SHARE), known=False)


ROWS: list[dict[str, Any]] = []
QUANTILES = (0.05, 0.5, 0.75, 0.9, 0.95, 1.0)


def row(name: str, cases: Sequence[Case], jobs: Sequence[Outcome], oracles: Sequence[float]) -> None:
    """Prints one line of the table, and keeps it."""
    ratios = np.array([job.seconds / oracle for job, oracle in zip(jobs, oracles, strict=True)])
    calls, refused = sum(len(case.costs) for case in cases), sum(job.refused for job in jobs)
    told = " ".join(f"{value:6.3f}" for value in np.quantile(ratios, QUANTILES))
    ROWS.append(
        {
            "row": name,
            "jobs": len(jobs),
            "calls": calls,
            "refused": refused,
            "ratios": [round(float(q), 4) for q in np.quantile(ratios, QUANTILES)],
        }
    )
    share = f"{(ratios <= 1.05).mean():5.0%}"
    print(f"{name:36s} {told}  {share}  {refused:5d} {1e4 * refused / calls:7.2f} {sum(job.refused > 0 for job in jobs):4d}", flush=True)


def family(name: str, seeds: range, others: str) -> None:
    """All networks and both starts, with the delayed yardstick for known buckets that nobody else uses."""
    cases = [FAMILIES[name](seed).changed(others=others) for seed in seeds]
    oracles = [Greedy(case).run().seconds for case in cases]
    for rtt, jitter in OTHERS_NETWORKS if others else NETWORKS:
        there = [case.changed(rtt_s=rtt, jitter_s=jitter) for case in cases]
        way = f"{others or 'alone'} {1e3 * rtt:.0f}+-{1e3 * jitter:.0f} ms"
        if rtt and not others and jitter == NETWORKS[1][1]:
            for odds in (0.0, 5e-4):
                row(f"{name} delayed {odds:g} {way}", there, [Delayed(case, odds).run() for case in there], oracles)
        for start, book in (("known", known), ("unknown", unknown)):
            row(f"{name} {start} {way}", there, [Booked(case, book(case)).run() for case in there], oracles)


def main(count: int, first: int) -> None:
    """The whole table: finish time against the oracle (quantiles), share within 1.05, refusals, in 10,000 calls, in how many jobs."""
    print(f"{'':36s}     p5    p50    p75    p90    p95    max  <=1.05  refused   /10k jobs")
    for name in FAMILIES:
        for others in ("", "drift", "calls"):
            family(name, range(first, first + count), others)
    out = Path("results")
    out.mkdir(exist_ok=True)
    told = {"bench": "limiter", "first_seed": first, "quantiles": QUANTILES, "rows": ROWS}
    (out / "bench-limiter.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--runs", type=int, default=BUCKETS, help="buckets of each family")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="seed of the first bucket")
    given = parser.parse_args()
    main(given.runs, given.first)
