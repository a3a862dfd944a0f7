"""Safe rates on random buckets in virtual time: the real scenario, client and estimator against the simulator over a delayed network.

    python -m bench.rate [--runs 100] [--family wide|canvas|hard|cross|hidden|all] [--processes 2] [--json FILE]

Prints, for each family, how far each constant and the safe rate are off, what it cost, and beside them two ways of the field: outflow
over mean cost from the headers, and a ramp of +1/s every 10 s of which 80 % is taken. Each row is the whole distribution, misses in it.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench.buckets import FAMILIES, Place, place, ramped
from probes.bounds import Bounds
from probes.bucket import BucketSettings
from probes.calls import Call
from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance, Kind
from probes.design import Design
from probes.estimate import Estimate, estimate
from probes.observation import Observation, Outcome
from probes.rates import rate_document
from probes.safety import even_rate, workers
from probes.scenarios import Options, scenario
from probes.search.ratio_rates import refusal_document
from probes.search.refusals import RefusalDesign
from probes.simulator.app import create_app
from probes.simulator.network import DelayedTransport
from probes.twin import Twin

CALL = Call("GET", "/api/v1/users/self")
JOB = 1000
ODDS = 0.05
TRUE_PAIRS = 40_000


@dataclass(frozen=True, slots=True)
class Row:
    """What one run came to; errors are relative, `nan` where nothing was told."""

    mark: float
    reservation: float
    outflow: float
    burst_exact: bool
    in_flight_off: int
    error: float
    covered: bool
    low_odds: float
    bound_by: str
    requests: int
    refused: int
    seconds: float
    identify_requests: int
    identify_seconds: float
    naive_outflow: float
    naive_ramp: float


async def observed(there: Place, design: Design | RefusalDesign, budget: int) -> list[Observation]:
    """All observations of one run of the throttling scenario."""
    settings = there.settings()
    transport = DelayedTransport(httpx.ASGITransport(create_app(settings)), there.round_trip_s, there.jitter_s, there.seed)
    instance = Instance("bench", "http://127.0.0.1", Kind.SIMULATED, secret=settings.token, timeout_s=600.0)
    async with Client(instance, transport=transport) as client:
        asked = Options(calls=(CALL,), budget=budget, decide=design)
        return [o async for o in scenario("throttling").observe(client, asked)]


def measured(family: str, budget: int, longest_s: float | None, seed: int) -> Row:
    """One bucket, measured and held against the truth."""
    there = place(family, seed)
    design = Design((CALL,), budget) if there.headers else RefusalDesign((CALL,), budget)
    design.longest_s = longest_s or design.longest_s
    seen = run_virtually(observed(there, design, budget))
    design.finish(seen)
    found = estimate(seen)
    document = answer(design, found)
    return held(there, document, found, seen, identified(design, seen))


def answer(design: Design | RefusalDesign, found: Estimate | None) -> dict[str, Any]:
    """The entry of probes.rate/1."""
    if isinstance(design, RefusalDesign):
        return refusal_document(design, CALL.name, JOB, Bounds())
    return rate_document(found, CALL.name, JOB) if found is not None else {"safe": None}


def identified(design: Design | RefusalDesign, seen: list[Observation]) -> tuple[int, float]:
    """After how many requests and seconds the bucket was known."""
    return (isinstance(design, Design) and design.identified_after) or (len(seen), 0.0)


def held(there: Place, document: dict[str, Any], found: Estimate | None, seen: list[Observation], first: tuple[int, float]) -> Row:
    """An answer against the true bucket."""
    truth = Twin(there.bucket, *there.pairs(TRUE_PAIRS), there.round_trip_s, seed=4242, jitter_s=there.jitter_s)
    rate = even_rate(truth, JOB, ODDS)
    safe = document["safe"] or {}
    told: dict[str, float] | None = safe.get("rate_per_s")
    fitted = found.fit.bucket if found is not None and found.fit is not None else None
    return Row(
        mark=_off(fitted, there.bucket, "high_water_mark"),
        reservation=_off(fitted, there.bucket, "up_front_cost"),
        outflow=_off(fitted, there.bucket, "outflow_per_s"),
        burst_exact=safe.get("burst") == truth.burst,
        in_flight_off=safe.get("in_flight", -99) - workers(truth, JOB, ODDS),
        error=told["value"] / rate - 1.0 if told else math.nan,
        covered=told is not None and told["low"] <= rate <= told["high"],
        low_odds=truth.even_odds(told["low"], JOB) if told else math.nan,
        bound_by=safe.get("bound_by", "none"),
        requests=len(seen),
        refused=sum(o.outcome is Outcome.THROTTLED for o in seen),
        seconds=max(o.received_s or 0.0 for o in seen),
        identify_requests=int(first[0]),
        identify_seconds=float(first[1]),
        naive_outflow=there.bucket.outflow_per_s / truth.mean_cost / rate - 1.0,
        naive_ramp=ramped(there) / rate - 1.0,
    )


def _off(fitted: BucketSettings | None, true: BucketSettings, name: str) -> float:
    return math.nan if fitted is None else getattr(fitted, name) / getattr(true, name) - 1.0


def told(family: str, rows: list[Row]) -> dict[str, float]:
    """The numbers of issue 3 for one family, printed as lines."""
    column: Callable[[str], np.ndarray] = lambda name: np.array([getattr(row, name) for row in rows], dtype=float)  # noqa: E731 # glue
    binds = np.array([row.bound_by == "outflow" for row in rows])
    error = column("error")
    known = ~np.isnan(error)
    numbers = {
        "runs": float(len(rows)),
        "mark_within_1": float(np.mean(np.abs(column("mark")) < 0.01)),
        "reservation_within_1": float(np.mean(np.abs(column("reservation")) < 0.01)),
        "outflow_within_1_where_it_binds": float(np.mean(np.abs(column("outflow"))[binds] < 0.01)) if binds.any() else math.nan,
        "outflow_within_1": float(np.mean(np.abs(column("outflow")) < 0.01)),
        "burst_exact": float(np.mean(column("burst_exact"))),
        "in_flight_exact": float(np.mean(column("in_flight_off") == 0)),
        "in_flight_within_1": float(np.mean(np.abs(column("in_flight_off")) <= 1)),
        "runs_without_refusal": float(np.mean(column("refused") == 0)),
        "told": float(np.mean(known)),
        "median_error": float(np.median(np.abs(error[known]))) if known.any() else math.nan,
        "p95_error": float(np.quantile(np.abs(error[known]), 0.95)) if known.any() else math.nan,
        "over_5_reservations": _share(error[known & ~binds] > 0.05),
        "over_5_outflow": _share(error[known & binds] > 0.05),
        "covered": float(np.mean(column("covered")[known])),
        "low_refused": float(np.mean(column("low_odds")[known])),
        "most_requests": float(column("requests").max()),
        "median_seconds": float(np.median(column("seconds"))),
        "identify_most_requests": float(column("identify_requests").max()),
        "identify_p95_seconds": float(np.quantile(column("identify_seconds"), 0.95)),
        "most_refused": float(column("refused").max()),
        "naive_outflow_over_cost_median": float(np.median(column("naive_outflow"))),
        "naive_ramp_median": float(np.median(column("naive_ramp"))),
    }
    print(f"\n{family}")
    for name, value in numbers.items():
        print(f"  {name:<36}{value:>10.4g}")
    return numbers


def _share(flags: np.ndarray) -> float:
    return float(np.mean(flags)) if len(flags) else math.nan


def main() -> None:
    """Runs the families, prints the tables, writes the numbers and every row as JSON where asked."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--runs", type=int, default=100)
    words.add_argument("--first", type=int, default=0, help="the first seed")
    words.add_argument("--family", choices=(*FAMILIES, "all"), default="all")
    words.add_argument("--budget", type=int, default=400)
    words.add_argument("--for", dest="longest_s", type=float, help="seconds after which asking stops; usually as the command")
    words.add_argument("--processes", type=int, default=2)
    words.add_argument("--json", type=Path, default=Path("results/bench-rate.json"), metavar="FILE", help="where the numbers go")
    asked = words.parse_args()
    families = FAMILIES if asked.family == "all" else (asked.family,)
    document = {}
    with ProcessPoolExecutor(asked.processes) as pool:
        for family in families:
            one = partial(measured, family, asked.budget, asked.longest_s)
            rows = list(pool.map(one, range(asked.first, asked.first + asked.runs), chunksize=2))
            document[family] = {"numbers": told(family, rows), "rows": [asdict(row) for row in rows]}
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps({"schema": "probes.bench-rate/1", "families": document}) + "\n", encoding="utf-8")
    print(f"\n{asked.json}")


if __name__ == "__main__":
    main()
