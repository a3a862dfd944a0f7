"""Run folders made up for the tests of what is told: seeded, with all that a report shows, no server asked."""

from __future__ import annotations

import heapq
import random
from pathlib import Path
from typing import Any

from probes.bucket import Bucket, BucketSettings
from probes.config import Instance, Kind
from probes.observation import Observation, Outcome
from probes.runs import Run

SELF = "GET /api/v1/users/self"
MEDIANS = {"test": 0.52, "beta": 0.41, "sandbox": 0.29}
KINDS = {"test": Kind.TEST, "beta": Kind.BETA, "sandbox": Kind.SANDBOX}


def instance(name: str) -> Instance:
    return Instance(name=name, url=f"https://{name}.school.example", kind=KINDS.get(name, Kind.TEST))


def observed(name: str, scenario: str, due_s: float, **more: Any) -> Observation:
    """One answered call; anything else by keyword. `flight_s` and `late_s` set the times."""
    flight_s, late_s, call = more.pop("flight_s", 0.3), more.pop("late_s", 0.001), more.pop("call", SELF)
    cold = bool(more.get("facts", {}).get("cold"))
    sent_s = due_s + late_s + (0.045 if cold else 0.0)
    values: dict[str, Any] = {
        "instance": name,
        "scenario": scenario,
        "call": call,
        "method": "GET",
        "path": call.partition(" ")[2],
        "due_s": due_s,
        "sent_s": sent_s,
        "received_s": sent_s + flight_s,
        "status": 200,
        "outcome": Outcome.OK,
        "server_time_s": flight_s * 0.93,
        "pool_s": late_s,
        "connect_s": 0.018 if cold else 0.0,
        "tls_s": 0.027 if cold else 0.0,
        "send_s": 0.0004,
        "wait_s": flight_s - 0.004,
        "receive_s": 0.0036,
        "reused": not cold,
        "size_bytes": 812,
        "request_id": f"{name}-{due_s:.3f}",
    }
    return Observation(**{**values, **more})


def latency(name: str, source: random.Random, n: int = 90, start_s: float = 0.0) -> list[Observation]:
    """Calls one after another, every ninth on a new connection, a few that fail."""
    found, now = [], start_s
    for number in range(n):
        flight = MEDIANS.get(name, 0.3) * source.lognormvariate(0.0, 0.28)
        bad = number % 41 == 40
        more = {"status": 502, "outcome": Outcome.GATEWAY_ERROR} if bad else {"remaining": 600.0, "cost": flight * 0.8}
        found.append(observed(name, "latency", now, flight_s=flight, facts={"cold": number % 9 == 0, "block": number}, **more))
        now += flight + 0.06
    return found


def overlapping(
    name: str, source: random.Random, scenario: str = "throttling", rates: tuple[float, ...] = (2, 6, 9, 13, 22), start_s: float = 50.0
) -> list[Observation]:
    """Calls at rates that rise, through a bucket with Canvas's constants: headers, costs and refusals are the bucket's own."""
    bucket, due, arrivals = Bucket(BucketSettings(), touched_s=start_s), start_s, []
    for rate in rates:
        for _ in range(int(rate * 4)):
            flight = MEDIANS.get(name, 0.3) * 1.3 * source.lognormvariate(0.0, 0.25) * (1.0 + rate / 60.0)
            arrivals.append((due, flight))
            due += 1.0 / rate
    events: list[tuple[float, int, int, float]] = [(due, 0, number, flight) for number, (due, flight) in enumerate(arrivals)]
    heapq.heapify(events)
    found: dict[int, Observation] = {}
    while events:
        now, leaving, number, flight = heapq.heappop(events)
        if leaving:
            refused = flight < 0.02
            cost = 0.0 if refused else flight * 0.8
            bucket.touch(cost - 50.0, now)
            remaining = 600.0 - bucket.level
            more: dict[str, Any] = {"remaining": remaining, "cost": cost}
            if refused:
                more = {"remaining": remaining, "status": 429, "outcome": Outcome.THROTTLED}
            due = arrivals[number][0]
            found[number] = observed(name, scenario, due, flight_s=flight, late_s=abs(source.gauss(0.0, 0.0012)), **more)
        else:
            admitted = bucket.touch(50.0, now) < 600.0
            flight = flight if admitted else 0.012
            heapq.heappush(events, (now + flight, 1, number, flight))
    return [found[number] for number in sorted(found)]


def pages(name: str, source: random.Random, start_s: float = 100.0, total: int = 430) -> list[Observation]:
    """A list at several page sizes, as scenario `pagination` notes it."""
    found, now = [], start_s
    for path, greatest, style, default in (
        ("/api/v1/courses", 100, "link", 10),
        ("/api/v1/courses/1/enrollments", 100 if name != "test" else 50, "bookmark", 10),
    ):
        for asked in (None, 100_000, 0, *(1, 10, 50, 100) * 3):
            given = default if asked is None else min(max(asked, 1), greatest)
            flight = (0.12 + 0.0035 * given) * MEDIANS.get(name, 0.3) * 3 * source.lognormvariate(0.0, 0.12)
            facts = {
                "list": path,
                "items": min(given, total),
                "per_page_asked": asked,
                "per_page": given,
                "style": style,
                "has_last": style == "link",
                "rels": "current,next,first",
            }
            if style == "link":
                facts["total"] = total
            query = "" if asked is None else f"?per_page={asked}"
            found.append(
                observed(name, "pagination", now, flight_s=flight, call=f"GET {path}{query}", facts=facts, remaining=600.0, cost=flight)
            )
            now += flight + 0.05
    return found


def rate(name: str, value: float, in_flight: int, bound_by: str = "reservations", call: str = SELF) -> dict[str, Any]:
    def number(middle: float, share: float, n: int = 220) -> dict[str, Any]:
        return {"value": round(middle, 4), "low": round(middle * (1 - share), 4), "high": round(middle * (1 + share), 4), "n": n}

    return {
        "instance": name,
        "call": call,
        "regime": "headers",
        "bucket": {
            "high_water_mark": number(600.0, 0.0, 24),
            "outflow_per_s": number(10.0, 0.01, 24),
            "up_front_cost": number(50.0, 0.002, 24),
        },
        "cost": number(0.41, 0.05),
        "server_time_s": number(MEDIANS.get(name, 0.3), 0.06),
        "safe": {
            "rate_per_s": number(value, 0.05),
            "in_flight": in_flight,
            "burst": 11,
            "bound_by": bound_by,
            "job_calls": 1000,
            "odds": 0.05,
        },
        "confirmed": {"rate_per_s": round(value * 0.95, 2), "workers": 0, "calls": 330, "refused": 0, "contradicted": False}
        if name == "beta"
        else None,
    }


def load(name: str, asked: float, p50: float, refused: int = 0, stopped_by: str | None = None) -> dict[str, Any]:
    return {
        "schema": "probes.load/1",
        "run": "results/x",
        "instance": name,
        "asked_per_s": asked,
        "offered_per_s": asked * 0.999,
        "achieved_per_s": asked * 0.998,
        "requests": int(asked * 30),
        "refused": refused,
        "late_share": 0.002,
        "stopped_by": stopped_by,
        "latency_s": {"p50": p50, "p95": p50 * 1.8, "p99": p50 * 2.3 if asked > 12 else None},
    }


def pair(a: str, b: str, ratio: float) -> dict[str, Any]:
    shift = [
        {"q": q, "seconds": {"value": 0.1 + q * 0.2, "low": 0.06 + q * 0.15, "high": 0.15 + q * 0.26, "n": 188}}
        for q in (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
    ]
    return {
        "a": a,
        "b": b,
        "call": SELF,
        "ratio_of_medians": {"value": ratio, "low": ratio * 0.94, "high": ratio * 1.07, "n": 188},
        "differs": True,
        "says": f"{a} takes {ratio:.2f} times as long as {b} for '{SELF}'.",
        "shift": shift,
        "flags": [],
    }


def full_run(out: Path, names: tuple[str, ...] = ("test", "beta", "sandbox"), seed: int = 1) -> Run:
    """Three instances through every scenario, with rates, comparisons, loads, a plan and a diagnosis in the manifest."""
    source = random.Random(seed)
    run = Run.create(out, ["demo"], [instance(name) for name in names])
    observations = []
    for name in names:
        observations += latency(name, source)
        observations += overlapping(name, source)
        observations += pages(name, source)
        for number, speed in enumerate((5.0, 10.0, 16.0)):
            observations += overlapping(name, source, "load", (speed, speed), 150.0 + 20.0 * number)
    observations.append(observed("test", "latency", 80.0, status=None, outcome=Outcome.READ_TIMEOUT, received_s=None, error="timed out"))
    run.append_lines(o.line() for o in observations)
    run.note(
        rates=[
            rate(name, value, flight, bound)
            for name, value, flight, bound in (
                ("test", 13.2, 9, "reservations"),
                ("beta", 17.9, 10, "reservations"),
                ("sandbox", 24.4, 11, "outflow"),
            )
            if name in names
        ],
        comparisons=[pair("test", "sandbox", 1.8), pair("beta", "sandbox", 1.41)],
        loads=[
            load(name, asked, MEDIANS[name] * (1 + (asked / 24) ** 3), 12 if asked == 26.0 else 0, "refusals" if asked == 26.0 else None)
            for name in names
            for asked in (4.0, 8.0, 12.0, 16.0, 20.0, 26.0)
        ],
        plans=[
            {
                "schema": "probes.plan/1",
                "calls": 12000,
                "recommended": "level_aware",
                "strategies": [
                    {"name": "one_by_one", "seconds": 6000.0, "refusal_odds": 0.0},
                    {"name": "even_rate", "seconds": 760.0, "refusal_odds": 0.05, "rate_per_s": 15.8},
                    {"name": "workers", "seconds": 550.0, "refusal_odds": 0.02, "in_flight": 11},
                    {"name": "level_aware", "seconds": 505.0, "refusal_odds": 0.001},
                ],
                "rehearsal": None,
            }
        ],
        diagnosis=[
            {
                "instance": "test",
                "causes": [
                    {
                        "kind": "capacity",
                        "confidence": 0.97,
                        "says": "Calls to test wait 0.2 s in its own queue before any work starts.",
                        "evidence": ["queue 0.21 s of 0.52 s in 40 of 40 calls"],
                        "advice": "Run the job at night, or on sandbox.",
                    }
                ],
            }
        ],
    )
    run.finish("done")
    return run


def small_run(out: Path) -> Run:
    """Two instances, a handful of calls each with times chosen by hand; its folder and start are fixed, so that its report is one text."""
    run = Run.create(out, ["run", "latency"], [instance("beta"), instance("test")])
    observations = [
        observed(name, "latency", float(number), late_s=0.0, flight_s=base + 0.01 * number)
        for name, base in (("beta", 0.2), ("test", 0.5))
        for number in range(8)
    ]
    observations.append(observed("test", "latency", 8.0, status=502, outcome=Outcome.GATEWAY_ERROR))
    run.append_lines(o.line() for o in observations)
    run.note(started_at="2026-11-25T06:00:00.000+00:00", tool="canvas-probes 9.9", rates=[rate("beta", 17.9, 10)])
    run.finish("done")
    folder = run.folder.rename(out / "small")
    return Run.open(folder)
