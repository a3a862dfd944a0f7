"""What a number of calls can tell at best: `python -m bench.floor [--runs 100] [--calls 400] [--first SEED]`.

The constants of each bucket are given and every call is priced; all that is left to err is the sample of costs and server times. No method
that asks so few calls can be closer in the mean of many buckets, but by knowing more of costs than it was told.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

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


def family(name: str, seeds: range, calls: int) -> dict[str, Any]:
    """How far the rate is off (shares of it), and in what share of the buckets the number in flight is exact, or off by one."""
    found = [held(place(name, seed), calls) for seed in seeds]
    errors, off = np.array([error for error, _ in found]), np.array([error for _, error in found])
    return {
        "family": name,
        "buckets": len(found),
        "calls": calls,
        "rate_off": dict(zip(("median", "p95"), np.quantile(np.abs(errors), (0.5, 0.95)).tolist(), strict=True)),
        "over_by_5_percent": float(np.mean(errors > 0.05)),
        "in_flight_exact": float(np.mean(off == 0)),
        "in_flight_off_by_one": float(np.mean(np.abs(off) == 1)),
    }


def said(row: dict[str, Any]) -> str:
    """One line of the table."""
    rate = row["rate_off"]
    return (
        f"{row['family']:8s} {row['buckets']} buckets, {row['calls']} calls: "
        f"rate off {rate['median']:.1%} (median), {rate['p95']:.1%} (95th), more than 5 % over {row['over_by_5_percent']:.1%}; "
        f"in flight exact {row['in_flight_exact']:.0%}, off by one {row['in_flight_off_by_one']:.0%}"
    )


def main() -> None:
    """The families whose constants a server's headers tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="buckets of each family")
    parser.add_argument("--calls", type=int, default=400, help="calls whose cost and server time are known")
    parser.add_argument("--first", type=int, default=0, help="seed of the first bucket")
    given = parser.parse_args()
    rows = []
    for name in ("wide", "canvas"):
        rows.append(family(name, range(given.first, given.first + given.runs), given.calls))
        print(said(rows[-1]), flush=True)
    out = Path("results")
    out.mkdir(exist_ok=True)
    told = {"bench": "floor", "first_seed": given.first, "rows": rows}
    (out / "bench-floor.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
