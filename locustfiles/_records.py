"""Observations on their way to the run folder, in batches; and the running tally that progress and the web page show."""

from __future__ import annotations

import math
import os
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from probes.arrivals import LATE_S
from probes.guards import GuardName, Stop
from probes.observation import Observation, Outcome
from probes.system import appending
from probes.tokens import redact

RECENT = 400
"""The progress tells its percentile of so many last latencies."""


def line_of(observation: Observation) -> bytes:
    """The observation as its JSON line; the same record as `Observation.line` writes, ten times as quick."""
    return orjson.dumps(observation, option=orjson.OPT_APPEND_NEWLINE)


class Appender:
    """Appends ready lines to `observations.jsonl`; several processes may. Raises OSError when it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._handle = appending(path)

    def __call__(self, data: bytes) -> None:
        """Writes `data` whole."""
        while data:
            data = data[os.write(self._handle, data) :]


def unwritten(error: OSError) -> Stop:
    """Why a load stops whose observations find no room."""
    return Stop(GuardName.FOLDER, f"Observations cannot be written: {error.strerror}.")


class Batch:
    """Lines that wait for `sink`, which takes them when `flush` is called or when `most` of them wait."""

    def __init__(self, sink: Callable[[bytes], None], most: int = 500) -> None:
        self._sink = sink
        self._most = most
        self._lines: list[bytes] = []

    def add(self, line: bytes) -> None:
        """One more line."""
        self._lines.append(line)
        if len(self._lines) >= self._most:
            self.flush()

    def flush(self) -> None:
        """Hands on what waits, without any token."""
        if self._lines:
            ready, self._lines = self._lines, []
            try:
                self._sink(redact(b"".join(ready).decode()).encode())
            except BaseException:
                self._lines = ready + self._lines
                raise


class Tally:
    """Counts of a load so far: constant memory whatever its length."""

    def __init__(self) -> None:
        self.requests = 0
        self.refused = 0
        self.late = 0
        self.outcomes: Counter[str] = Counter()
        self.remaining: float | None = None
        self.least_remaining: float | None = None
        self.last_sent_s: float | None = None
        self._recent: deque[float] = deque(maxlen=RECENT)

    def add(self, seen: Observation) -> None:
        """One more request ended."""
        self.requests += 1
        self.outcomes[seen.outcome.value] += 1
        self.refused += seen.outcome is Outcome.THROTTLED
        self.late += seen.pool_s is not None and seen.pool_s > LATE_S
        if seen.sent_s is not None:
            self.last_sent_s = max(seen.sent_s, self.last_sent_s or 0.0)
        if seen.remaining is not None:
            self.remaining = seen.remaining
            self.least_remaining = seen.remaining if self.least_remaining is None else min(seen.remaining, self.least_remaining)
        latency = seen.latency_s
        if latency is not None:
            self._recent.append(latency)

    @property
    def recent_p95_s(self) -> float | None:
        """The 95th percentile of the last latencies, None below 72 of them."""
        n = len(self._recent)
        return None if n < 72 else sorted(self._recent)[math.ceil(0.95 * n) - 1]

    def document(self) -> dict[str, Any]:
        """What a parent's progress line shows."""
        return {
            "requests": self.requests,
            "refused": self.refused,
            "late": self.late,
            "remaining": self.remaining,
            "least_remaining": self.least_remaining,
            "p95_s": self.recent_p95_s,
            "outcomes": dict(self.outcomes),
        }
