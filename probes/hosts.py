"""What answers told a limiter of the hosts that a job calls, and of its bucket: headers as `Limiter.release` takes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from probes.dialects.canvas import REFUSAL_TEXT
from probes.dialects.fields import number, retry_after_s

STRANGE = 3
"""After so many answers without a header a host keeps no bucket, where another one does."""
GAVE_UP = frozenset({502, 503, 504})
"""A gateway's answers, behind which the application may go on with the call."""


class Hosts:
    """Those that tell of a bucket, and those that never do while another one does: where files lie, say. They need no tickets."""

    def __init__(self) -> None:
        self._bare: Counter[str] = Counter()
        self._telling: set[str] = set()

    def passes_by(self, host: str) -> bool:
        """Whether calls to `host` need no ticket."""
        return bool(self._telling) and host not in self._telling and self._bare[host] >= STRANGE

    def passed(self, host: str, status: int, headers: Mapping[str, str]) -> None:
        """An answer that went past the gate: a host that speaks of a bucket after all, or refuses, needs tickets from now on."""
        if headers.get("x-rate-limit-remaining") is not None:
            self._telling.add(host)
        elif status == 429:
            self._bare[host] = 0

    def answered(self, host: str, seconds: float, status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """What `Limiter.release` is to be told of an answer that took `seconds`.

        One without a header, but from a gateway that gave up, is of a call that is over.
        """
        told = budget(headers)
        if told["remaining"] is not None:
            self._telling.add(host)
        refused = is_refusal(status, body)
        if told["remaining"] is None and told["cost"] is None and not refused:
            self._bare[host] += status < 400  # errors are told by whatever stands before an application
            told["cost"] = seconds if status not in GAVE_UP else None
        strange = refused and bool(self._telling) and host not in self._telling
        return {**told, "refused": refused and not strange}


def is_refusal(status: int, body: bytes) -> bool:
    """Whether an answer is the throttle's: 429, or the older 403 that says so in its text."""
    return status == 429 or (status == 403 and REFUSAL_TEXT in body.lower())


def budget(headers: Mapping[str, str]) -> dict[str, float | None]:
    """`cost`, `remaining` and `retry_after_s` of an answer as `Limiter.release` takes them; None for what is absent or no number."""
    return {
        "cost": number(headers, "x-request-cost"),
        "remaining": number(headers, "x-rate-limit-remaining"),
        "retry_after_s": retry_after_s(headers, datetime.now(UTC)),
    }
