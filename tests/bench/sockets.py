"""The limiter over sockets against the greedy oracle on the same bucket and draws: `python -m bench.sockets [--calls N] [--seed N]`.

The simulator is served in its own process; its draws are seeded, so that the oracle's calls take and cost the same. Events of the oracle
are computed (no flight, no processing); the job is real: threads or tasks, httpx, TCP on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.level import Case, Greedy
from probes import Limiter
from probes.bucket import BucketSettings
from probes.simulator.server import Served
from probes.simulator.services import Speed, Work
from probes.simulator.settings import TOKEN, Service, SimulatorSettings

CALLS = 600
SEED = 2000
GOAL = 1.08
WIDTH = 120
"""Threads; tasks are one a call."""
AGENT = {"user-agent": "limiter-bench", "authorization": f"Bearer {TOKEN}"}
PATH = "/api/v1/users/self"
PLACES: dict[str, tuple[BucketSettings, Service]] = {
    "default": (BucketSettings(), Service(0.4, 0.5, cost_mean=0.2, cost_sigma=0.5)),
    "outflow binds": (BucketSettings(500.0, 2000.0 / 3.0, 12.0, 30.0), Service(0.25, 0.5, cost_mean=1.2, cost_sigma=0.5)),
    "large reservation": (BucketSettings(900.0, 1200.0, 20.0, 90.0), Service(0.3, 0.5, cost_mean=0.15, cost_sigma=0.5)),
}


@dataclass(frozen=True)
class Row:
    """One job: who sent it, how long it took, how long the oracle takes, refusals as the server counted them."""

    bucket: str
    sender: str
    start: str
    calls: int
    seconds: float
    oracle_s: float
    ratio: float
    refused: int


def settings_of(bucket: BucketSettings, service: Service, seed: int) -> SimulatorSettings:
    """The simulator that is such a server, with a slot for each call."""
    return SimulatorSettings(seed=seed, bucket=bucket, services={"*": service}, slots=10_000, cookies=False)


def oracle(settings: SimulatorSettings, calls: int) -> float:
    """Seconds of the greedy oracle with the simulator's own draws, in the order of arrival."""
    speed, service = Speed(settings), settings.services["*"]
    drawn = []
    for _ in range(calls):
        work = Work()
        drawn.append((speed.base(service, work), work))
    case = Case(settings.bucket, tuple(work.cost for _, work in drawn), tuple(seconds for seconds, _ in drawn), service.median_s)
    return Greedy(case).run().seconds


def threads(limiter: Limiter, url: str, calls: int) -> float:
    """The job through Limiter.transport, from threads on one httpx.Client."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    with (
        httpx.Client(transport=limiter.transport(limits=limits), base_url=url, headers=AGENT, timeout=60.0) as client,
        ThreadPoolExecutor(WIDTH) as pool,
    ):
        began = time.monotonic()
        list(pool.map(lambda _: client.get(PATH), range(calls)))
        return time.monotonic() - began


def tasks(limiter: Limiter, url: str, calls: int) -> float:
    """The job through Limiter.async_transport, one task a call."""

    async def main() -> float:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        transport = limiter.async_transport(limits=limits)
        async with httpx.AsyncClient(transport=transport, base_url=url, headers=AGENT, timeout=60.0) as client:
            began = time.monotonic()
            await asyncio.gather(*(client.get(PATH) for _ in range(calls)))
            return time.monotonic() - began

    return asyncio.run(main())


def job(name: str, sender: str, start: str, calls: int, seed: int) -> Row:
    """One job against a simulator of its own."""
    bucket, service = PLACES[name]
    settings = settings_of(bucket, service, seed)
    known = start == "known"
    limiter = Limiter(bucket.high_water_mark, bucket.outflow_per_s, bucket.up_front_cost) if known else Limiter.canvas()
    with Served(settings) as served:
        seconds = (threads if sender == "transport" else tasks)(limiter, served.url, calls)
        refused = int(httpx.get(f"{served.url}/_simulator/count", trust_env=False).json()["refused"])
    ideal_s = oracle(settings, calls)
    return Row(name, sender, start, calls, round(seconds, 3), round(ideal_s, 3), round(seconds / ideal_s, 4), refused)


def table(rows: Sequence[Row]) -> str:
    """The rows for a person."""
    lines = [f"{'bucket':<18}{'sender':<17}{'start':<9}{'calls':>6}{'seconds':>9}{'oracle':>8}{'ratio':>7}{'refused':>8}"]
    lines += [
        f"{row.bucket:<18}{row.sender:<17}{row.start:<9}{row.calls:>6}{row.seconds:>9.2f}{row.oracle_s:>8.2f}{row.ratio:>7.3f}"
        f"{row.refused:>8}"
        for row in rows
    ]
    return "\n".join(lines)


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """The rows for a program."""
    known = [row for row in rows if row.start == "known"]
    return {
        "bench": "sockets",
        "goal": {"ratio": GOAL, "refused": 0},
        "reached": {"ratio": all(row.ratio <= GOAL for row in known), "refused": all(row.refused == 0 for row in rows)},
        "rows": [asdict(row) for row in rows],
    }


def main(calls: int, seed: int) -> None:
    """All places, both senders, both starts; the table to stdout and results/bench-sockets.json."""
    rows: list[Row] = []
    for start in ("known", "unknown"):
        for name in PLACES:
            for sender in ("transport", "async_transport"):
                rows.append(job(name, sender, start, calls, seed))
                print(table(rows).splitlines()[0 if len(rows) == 1 else -1], flush=True)
                if len(rows) == 1:
                    print(table(rows).splitlines()[-1], flush=True)
    out = Path("results")
    out.mkdir(exist_ok=True)
    (out / "bench-sockets.json").write_text(json.dumps(document(rows), indent=1) + "\n", encoding="utf-8")
    worst = max(row.ratio for row in rows if row.start == "known")
    refused, made = sum(row.refused for row in rows), sum(row.calls for row in rows)
    print(f"\nKnown at the start: at most {worst:.3f} times the oracle (goal {GOAL}); {refused} refused of {made}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--calls", type=int, default=CALLS, help="calls of each job")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    main(given.calls, given.seed)
