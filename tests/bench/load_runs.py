"""The single measurements of `make bench-load`: each runs ours, and where there is one the naive way, against one server in one run."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.server import Running, running
from probes.calls import parse
from probes.config import Instance, Kind
from probes.load import LoadOutcome, LoadPlan, run_load
from probes.runs import Run

SELF = parse("GET /api/v1/users/self")


@dataclass(frozen=True)
class Measured:
    """One of our loads: its outcome, its due times, what the server saw. Times are CLOCK_MONOTONIC."""

    outcome: LoadOutcome
    dues: list[float]
    arrivals: list[float]
    lines: int


def ours(folder: Path, server: Running, plan: LoadPlan, hear: Any = None) -> Measured:
    """One load by run_load."""
    run = Run.create(folder, ["bench"], [plan.instance])
    origin = time.monotonic()
    before = len(server.report()["arrivals"])
    outcome = run_load(plan, run, origin_s=origin, progress=hear)
    dues, lines = [], 0
    with (run.folder / "observations.jsonl").open() as file:
        for line in file:
            lines += 1
            if lines <= 100_000:
                dues.append(origin + json.loads(line)["due_s"])
    return Measured(outcome, sorted(dues), server.report()["arrivals"][before:], lines)


def even(server: Running, rate: float, duration_s: float, **more: Any) -> LoadPlan:
    """A plan of an even rate."""
    return LoadPlan(instance(server), (SELF,), {"kind": "even", "rate_per_s": rate}, duration_s, **more)


def instance(server: Running) -> Instance:
    """The bench's own server as an instance."""
    return Instance("bench", server.url, Kind.SIMULATED, allow_load=True)


def plain(server: Running, body: str, users: int, duration_s: float) -> list[float]:
    """Arrivals of a plain locustfile of `users` users whose class has the lines of `body`."""
    before = len(server.report()["arrivals"])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plain.py"
        file.write_text(f"from locust import FastHttpUser, constant, constant_throughput, task\n\nclass Plain(FastHttpUser):\n{body}\n")
        words = ["-f", str(file), "--headless", "--only-summary", "-u", str(users), "-r", str(users), "-t", f"{duration_s:g}s"]
        line = [sys.executable, "-m", "locust", *words, "--host", server.url, "--loglevel", "ERROR"]
        subprocess.run(line, cwd=folder, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=duration_s + 60.0)
    arrivals: list[float] = server.report()["arrivals"][before:]
    return arrivals


GET = "    @task\n    def get(self):\n        self.client.get('/api/v1/users/self')"


def cv(arrivals: Sequence[float]) -> float:
    """Coefficient of variation of the times between arrivals: 0 is even, 1 is Poisson."""
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    return statistics.pstdev(gaps) / statistics.fmean(gaps)


def quantile(values: Sequence[float], share: float) -> float:
    """The order statistic."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def offered(folder: Path, rate: float, duration_s: float) -> dict[str, float]:
    """Requests at the server against requests asked for."""
    with running(delay_s=0.005) as server:
        seen = ours(folder, server, even(server, rate, duration_s))
    asked = round(rate * duration_s)
    return {"error": abs(len(seen.arrivals) - asked) / asked, "lines_lost": len(seen.arrivals) - seen.lines}


def evenness(folder: Path, users: int, duration_s: float) -> dict[str, float]:
    """Arrivals at 50/s with so many users: their evenness, and their distance from when they were due."""
    with running(delay_s=0.02) as server:
        seen = ours(folder, server, even(server, 50.0, duration_s, max_in_flight=users))
    distances = [abs(arrival - due) for arrival, due in zip(sorted(seen.arrivals), seen.dues, strict=True)]
    return {"cv": cv(seen.arrivals), "p99_s": quantile(distances, 0.99)}


def plain_evenness(duration_s: float) -> float:
    """The same by 50 plain users of constant_throughput(1)."""
    with running(delay_s=0.02) as server:
        return cv(plain(server, f"    wait_time = constant_throughput(1)\n{GET}", 50, duration_s))


def stall(folder: Path, duration_s: float) -> dict[str, float | None]:
    """Percentiles of latency from due at 50/s where the server stalls 2 s in every 10."""
    with running(delay_s=0.02, stall_every_s=10.0, stall_s=2.0) as server:
        seen = ours(folder, server, even(server, 50.0, duration_s, max_in_flight=200))
    return dict(seen.outcome.latency_s)


def throughput(folder: Path, users: int, duration_s: float, rounds: int) -> dict[str, float]:
    """Requests/s in a closed loop with every observation kept, against plain FastHttpUser, in turn on one server."""
    kept, bare = [], []
    with running() as server:
        for _ in range(rounds):
            plan = LoadPlan(instance(server), (SELF,), duration_s=duration_s, users=users)
            seen = ours(folder, server, plan)
            assert seen.lines == len(seen.arrivals)
            kept.append(_rate(seen.arrivals))
            bare.append(_rate(plain(server, f"    wait_time = constant(0)\n{GET}", users, duration_s)))
    return {"ours_per_s": max(kept), "plain_per_s": max(bare), "ratio": max(kept) / max(bare)}


def _rate(arrivals: Sequence[float]) -> float:
    """Arrivals per second over the middle eight tenths."""
    cut = len(arrivals) // 10
    middle = arrivals[cut:-cut]
    return (len(middle) - 1) / (middle[-1] - middle[0])


def distributed(folder: Path, rate: float, duration_s: float, workers: int) -> dict[str, float]:
    """A master and its workers: total rate against asked, records against the server's own count."""
    with running(delay_s=0.005) as server:
        seen = ours(folder, server, even(server, rate, duration_s, workers=workers))
    span = seen.arrivals[-1] - seen.arrivals[0]
    return {
        "error": abs((len(seen.arrivals) - 1) / span - rate) / rate,
        "lines_lost": len(seen.arrivals) - seen.lines,
        "requests": len(seen.arrivals),
    }


def reaction(folder: Path, rate: float, workers: int) -> float:
    """Seconds from the first refusal beyond the limit to the last request at the server."""
    with running(delay_s=0.02, refuse=(300, 10**9)) as server:
        seen = ours(folder, server, even(server, rate, 60.0, workers=workers))
    return seen.arrivals[-1] - seen.arrivals[300]


def memory(folder: Path, requests: int, settled: int) -> dict[str, float]:
    """Growth of the load process in bytes from `settled` requests on, while so many are recorded."""
    sizes: list[int] = []
    with running(forget=True) as server:

        def hear(progress: Any) -> None:
            if progress.requests >= settled:
                children = [child for child in psutil.Process(os.getpid()).children() if "locust" in child.cmdline()]
                sizes.extend(child.memory_info().rss for child in children)

        plan = LoadPlan(instance(server), (SELF,), duration_s=7200.0, users=50, requests=requests)
        seen = ours(folder, server, plan, hear)
    return {"grown_bytes": max(sizes) - sizes[0], "requests": seen.lines}
