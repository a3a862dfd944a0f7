"""Safe rates on random buckets in virtual time: the real scenario, client and estimator against the simulator over a delayed network.

    python -m bench.rate [--runs 1000] [--family wide|canvas|hard|hidden|all] [--processes 2] [--json FILE]

Prints, for each family, how far each constant and the safe rate are off, what it cost, and beside them two ways of the field: outflow
over mean cost from the headers, and a ramp of +1/s every 10 s of which 80 % is taken. Each row is the whole distribution, misses in it.
"""

from __future__ import annotations

import argparse
import json
import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from probes.bucket import Bucket, BucketSettings
from probes.calls import Call
from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance, Kind
from probes.design import Design
from probes.estimate import Estimate, estimate
from probes.observation import Observation, Outcome
from probes.rates import Ceilings, rate_document
from probes.refusals import RefusalDesign, refusal_document
from probes.safety import even_rate, workers
from probes.scenarios import Options, scenario
from probes.simulator.app import create_app
from probes.simulator.network import DelayedTransport
from probes.simulator.settings import Service, SimulatorSettings
from probes.twin import Twin

CALL = Call("GET", "/api/v1/users/self")
JOB = 1000
ODDS = 0.05
SIGMA = 0.5
TRUE_PAIRS = 40_000


@dataclass(frozen=True, slots=True)
class World:
    """One random bucket and its network; `share` is cost over server time where they are linked."""

    bucket: BucketSettings
    cost: float
    time_s: float
    share: float | None
    round_trip_s: float
    jitter_s: float
    headers: bool
    seed: int

    def pairs(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """(costs, times) as the simulator draws them."""
        source = np.random.default_rng(self.seed + 77)
        times = self.time_s * np.exp(source.normal(0.0, SIGMA, n))
        if self.share is not None:
            return times * self.share, times
        return self.cost * np.exp(source.normal(0.0, SIGMA, n) - SIGMA**2 / 2), times


def world(family: str, seed: int) -> World:
    """Families of issue 3: wide, canvas (defaults, cost 0.2..0.9 of the server time), hard (jitter 30 ms), hidden (no headers)."""
    source = np.random.default_rng(seed)
    time_s = math.exp(source.uniform(math.log(0.05), math.log(2.0)))
    share = float(source.uniform(0.2, 0.9)) if family == "canvas" else None
    mark = float(source.uniform(300.0, 1200.0))
    wide = BucketSettings(mark, mark * 4 / 3, float(source.uniform(5.0, 20.0)), float(source.uniform(20.0, 100.0)))
    cost = math.exp(source.uniform(math.log(0.05), math.log(5.0)))
    jitter = 0.03 if family == "hard" else 0.003
    return World(
        BucketSettings() if share else wide, cost, time_s, share, float(source.uniform(0.02, 0.15)), jitter, family != "hidden", seed
    )


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


async def observed(place: World, design: Design | RefusalDesign, budget: int) -> list[Observation]:
    """All observations of one run of the throttling scenario."""
    service = Service(place.time_s, SIGMA, cost_share=place.share or 0.6, cost_mean=None if place.share else place.cost, cost_sigma=SIGMA)
    settings = SimulatorSettings(
        seed=place.seed, bucket=place.bucket, services={"*": service}, slots=10_000, cookies=False, quota_headers=place.headers
    )
    app = create_app(settings)
    transport = DelayedTransport(httpx.ASGITransport(app), place.round_trip_s, place.jitter_s, place.seed)
    instance = Instance("bench", "http://127.0.0.1", Kind.SIMULATED, secret=settings.token, timeout_s=600.0)
    async with Client(instance, transport=transport) as client:
        asked = Options(calls=(CALL,), budget=budget, decide=design)
        return [o async for o in scenario("throttling").observe(client, asked)]


def measured(family: str, budget: int, seed: int) -> Row:
    """One bucket, measured and held against the truth."""
    place = world(family, seed)
    costs, times = place.pairs(TRUE_PAIRS)
    truth = Twin(place.bucket, costs, times, seed=4242)
    rate = even_rate(truth, JOB, ODDS)
    design = Design((CALL,), budget) if place.headers else None
    by_refusals = None if design else RefusalDesign((CALL,), budget)
    seen = run_virtually(observed(place, design or by_refusals, budget))  # type: ignore[arg-type] # one of the two is there
    found = estimate(seen)
    if by_refusals is not None:
        document = refusal_document(by_refusals, CALL.name, JOB, Ceilings())
    else:
        document = rate_document(found, CALL.name, JOB) if found is not None else {"safe": None}
    return _row(place, truth, rate, document, seen, design, found)


def _row(
    place: World,
    truth: Twin,
    rate: float,
    document: dict[str, Any],
    seen: list[Observation],
    design: Design | None,
    found: Estimate | None,
) -> Row:
    safe = document["safe"] or {}
    told = safe.get("rate_per_s")
    fitted = found.fit.bucket if found is not None and found.fit is not None else None
    errors = [_off(fitted, place.bucket, name) for name in ("high_water_mark", "up_front_cost", "outflow_per_s")]
    identify = design.identified_after if design is not None and design.identified_after else (len(seen), 0.0)
    return Row(
        *errors,
        burst_exact=safe.get("burst") == truth.burst,
        in_flight_off=safe.get("in_flight", -99) - workers(truth, JOB, ODDS),
        error=told["value"] / rate - 1.0 if told else math.nan,
        covered=bool(told) and told["low"] <= rate <= told["high"],
        low_odds=truth.even_odds(told["low"], JOB) if told else math.nan,
        bound_by=safe.get("bound_by", "none"),
        requests=len(seen),
        refused=sum(o.outcome is Outcome.THROTTLED for o in seen),
        seconds=max(o.received_s or 0.0 for o in seen),
        identify_requests=int(identify[0]),
        identify_seconds=float(identify[1]),
        naive_outflow=place.bucket.outflow_per_s / truth.mean_cost / rate - 1.0,
        naive_ramp=ramped(place) / rate - 1.0,
    )


def _off(fitted: BucketSettings | None, true: BucketSettings, name: str) -> float:
    return math.nan if fitted is None else getattr(fitted, name) / getattr(true, name) - 1.0


def ramped(place: World, most_s: float = 600.0) -> float:
    """The field's ramp: +1/s every 10 s until the first refusal, 80 % of the rate then; at the bucket itself, no network."""
    costs, times = replace(place, seed=place.seed + 5).pairs(60_000)
    bucket, leaving = Bucket(place.bucket), []
    now, sent = 0.0, 0
    import heapq

    while now < most_s and sent < len(costs):
        while leaving and leaving[0][0] <= now:
            at, cost = heapq.heappop(leaving)
            bucket.depart(cost, at)
        if not bucket.arrive(now):
            break
        heapq.heappush(leaving, (now + times[sent], float(costs[sent])))
        sent += 1
        now += 1.0 / (1.0 + now // 10.0)
    return 0.8 * (1.0 + now // 10.0)


def told(family: str, rows: list[Row]) -> dict[str, float]:
    """The numbers of issue 3 for one family, printed as lines."""
    column = lambda name: np.array([getattr(row, name) for row in rows], dtype=float)  # noqa: E731 - a bench's own glue
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
    words.add_argument("--family", default="all")
    words.add_argument("--budget", type=int, default=400)
    words.add_argument("--processes", type=int, default=2)
    words.add_argument("--json", type=Path)
    asked = words.parse_args()
    families = ("wide", "canvas", "hard", "hidden") if asked.family == "all" else (asked.family,)
    document = {}
    with ProcessPoolExecutor(asked.processes) as pool:
        for family in families:
            rows = list(pool.map(partial(measured, family, asked.budget), range(asked.first, asked.first + asked.runs), chunksize=2))
            document[family] = {"numbers": told(family, rows), "rows": [asdict(row) for row in rows]}
    if asked.json:
        asked.json.write_text(json.dumps(document) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
