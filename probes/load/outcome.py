"""What a load came to: read off its observations, so that it is the same whether the child ended well or was killed."""

from __future__ import annotations

import json
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from probes.arrivals import LATE_S

LEAST = {"p50": 6, "p90": 36, "p95": 72, "p99": 368}
"""Least n for a two-sided 95 % interval of a percentile by order statistics; below it none is told."""
SCHEMA = "probes.load/1"


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """How a load is going: what was handed out and sent so far, the rates over the last second, what the last answers said."""

    elapsed_s: float
    offered: int
    requests: int
    refused: int
    in_flight: int
    offered_per_s: float | None
    achieved_per_s: float | None
    remaining: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """What a load came to. Rates in requests/s, times in seconds.

    `offered_per_s`: due times handed out per second of the schedule; `achieved_per_s`: requests sent per second in that time. Neither
    exceeds what was asked of a load that a guard stopped; of users less than a second counts as one.
    `late_share`: share of the due times that no user took up within 10 ms, or at all; of a load that was stopped, of those that were
    sent. `latency_s`: from when a request was due to its last byte, of calls that were neither refused nor without an answer; due times
    that came to nothing rank above all; None where n cannot carry a percentile. `punctuality_s`: sent after due. `stopped_by`: the guard's
    name, None when the load ended as planned; `why`: its sentence. `limit_per_s`: the rate at which the generator or the in-flight limit
    was reached, None when it was not. `lost`: what may be missing of a worker that was killed.
    """

    asked_per_s: float | None
    offered_per_s: float
    achieved_per_s: float
    requests: int
    refused: int
    late_share: float
    stopped_by: str | None
    why: str | None
    latency_s: dict[str, float | None]
    punctuality_s: dict[str, float | None]
    errors: int
    outcomes: dict[str, int]
    unsent: int
    start_s: float
    seconds: float
    least_remaining: float | None
    limit_per_s: float | None
    first_refusal_s: float | None = None
    last_sent_s: float | None = None
    in_flight: int = 0
    workers: int = 0
    lost: list[str] = field(default_factory=list)

    def document(self, run: str) -> dict[str, Any]:
        """`probes.load/1`."""
        return {"schema": SCHEMA, "run": run, **asdict(self)}


def lines_from(path: Path, offset: int) -> Iterator[dict[str, Any]]:
    """The records of `observations.jsonl` behind `offset` bytes; a broken line is left out."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if line.endswith(b"\n"):
                try:
                    yield json.loads(line)
                except ValueError:
                    continue


class Reckoning:
    """Goes through the records of one load once; 16 bytes a request."""

    def __init__(self, records: Iterable[Mapping[str, Any]], until_s: float) -> None:
        self.until_s = until_s
        self.in_time = 0
        self.latencies = array("d")
        self.sent_after_s = array("d")
        self.outcomes: Counter[str] = Counter()
        self.late = 0
        self.without_answer = 0
        self.least_remaining: float | None = None
        self.first_refusal_s: float | None = None
        self.last_sent_s: float | None = None
        for record in records:
            self._add(record)

    def _add(self, record: Mapping[str, Any]) -> None:
        self.outcomes[record["outcome"]] += 1
        due, sent, received = record["due_s"], record["sent_s"], record["received_s"]
        self.late += (record.get("pool_s") or 0.0) > LATE_S
        if sent is not None:
            self.sent_after_s.append(sent - due)
            self.last_sent_s = max(sent, self.last_sent_s or sent)
            self.in_time += sent <= self.until_s
        if record["outcome"] == "throttled":
            at = received if received is not None else sent
            self.first_refusal_s = at if self.first_refusal_s is None else min(at, self.first_refusal_s)
        elif received is None or record["status"] is None:
            self.without_answer += 1
        else:
            self.latencies.append(received - due)
        remaining = record.get("remaining")
        if remaining is not None:
            self.least_remaining = remaining if self.least_remaining is None else min(remaining, self.least_remaining)

    @property
    def requests(self) -> int:
        """How many were sent."""
        return sum(self.outcomes.values())


def percentile(ordered: list[float], share: float, beyond: int = 0) -> float | None:
    """The order statistic at `share` of `ordered` and `beyond` more values that are greater than all; None when it is one of those."""
    rank = math.ceil(share * (len(ordered) + beyond) - 1e-9)
    return ordered[rank - 1] if 1 <= rank <= len(ordered) else None


def percentiles(values: Iterable[float], beyond: int = 0) -> dict[str, float | None]:
    """p50, p90, p95, p99 of `values`, None where there are too few."""
    ordered = sorted(values)
    n = len(ordered) + beyond
    found = {name: percentile(ordered, int(name[1:]) / 100.0, beyond) if n >= least else None for name, least in LEAST.items()}
    return {name: None if value is None else round(value, 6) for name, value in found.items()}
