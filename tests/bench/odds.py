"""`make bench-odds`: of even jobs foretold certain odds of a refusal, how many the true bucket refuses.

    python -m bench.odds [--runs 40] [--first 0] [--family wide|canvas] [--processes 2] [--json FILE]

Each bucket is measured as by `probes rate` in virtual time (bench.rate); then rates are sought at which the plan foretells the odds, and
a job of 1,000 calls at each is replayed on the true bucket many times. Printed is the mean of the true odds, with its standard error over
buckets.
"""

from __future__ import annotations

import argparse
import json
import math
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from bench.buckets import place
from bench.rate import CALL, JOB, TRUE_PAIRS, observed
from probes.clock import run_virtually
from probes.design import Design
from probes.estimate import estimate
from probes.plan import even_odds
from probes.rates import relative_error, safe_rate
from probes.twin import Twin

FORETOLD = (0.05, 0.1, 0.3)
WITHIN = 1.25
"""A rate is sought within this factor of the safe one."""
HALVINGS = 9


def seen_odds(family: str, budget: int, seed: int) -> list[float] | None:
    """The true odds at each of FORETOLD; None where no rate was told."""
    there = place(family, seed)
    found = estimate(run_virtually(observed(there, Design((CALL,), budget), budget)))
    twin, prices = (None, None) if found is None else (found.twin(CALL.name), found.prices.get(CALL.name))
    if found is None or twin is None or prices is None:
        return None
    answer = safe_rate(twin, found, prices, JOB)
    if answer is None:
        return None
    truth = Twin(there.bucket, *there.pairs(TRUE_PAIRS), there.round_trip_s, seed=4242, jitter_s=there.jitter_s)
    rates = [_rate_of(twin, odds, answer[0].value, relative_error(answer[0])) for odds in FORETOLD]
    return [truth.even_odds(rate, JOB) for rate in rates]


def _rate_of(twin: Twin, odds: float, middle: float, error: float) -> float:
    """The rate, requests/s, at which the plan foretells `odds`; by halving on a logarithmic scale."""
    low, high = math.log(middle / WITHIN), math.log(middle * WITHIN)
    for _ in range(HALVINGS):
        between = (low + high) / 2.0
        low, high = (low, between) if even_odds(twin, math.exp(between), JOB, error) > odds else (between, high)
    return math.exp((low + high) / 2.0)


def main() -> None:
    """Prints the table; writes the numbers as JSON where asked."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--runs", type=int, default=40)
    words.add_argument("--first", type=int, default=0, help="the first seed")
    words.add_argument("--family", choices=("wide", "canvas"), default=None, help="one of the two; both by default")
    words.add_argument("--budget", type=int, default=400)
    words.add_argument("--processes", type=int, default=2)
    words.add_argument("--json", type=Path, default=Path("results/bench-odds.json"), metavar="FILE", help="where the numbers go")
    asked = words.parse_args()
    document: dict[str, object] = {"schema": "probes.bench-odds/1", "foretold": FORETOLD}
    with ProcessPoolExecutor(asked.processes) as pool:
        for family in (asked.family,) if asked.family else ("wide", "canvas"):
            seeds = range(asked.first, asked.first + asked.runs)
            rows = np.array([row for row in pool.map(partial(seen_odds, family, asked.budget), seeds) if row is not None])
            document[family] = rows.tolist()
            print(f"\n{family}, {len(rows)} of {asked.runs} buckets told a rate\n{'foretold':>10}{'seen':>10}{'s.e.':>10}")
            for number, odds in enumerate(FORETOLD):
                mean, error = float(np.mean(rows[:, number])), float(np.std(rows[:, number])) / math.sqrt(len(rows))
                print(f"{odds:>10.0%}{mean:>10.1%}{error:>10.1%}")
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(document) + "\n", encoding="utf-8")
    print(f"\n{asked.json}")


if __name__ == "__main__":
    main()
