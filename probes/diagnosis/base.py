"""What a diagnosis speaks of: the job, our own surroundings, a cause."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

KINDS: dict[str, str] = {
    "client": "our own side: processor, slots, ceilings, proxy",
    "network": "the way between: distance, loss, resets",
    "dns": "the name is found slowly or not at all",
    "tls": "the handshake is slow or fails",
    "edge": "something before the application answers or delays",
    "maintenance": "503: maintenance or a refresh",
    "capacity": "too few backend slots: requests queue",
    "slow_call": "the call itself works long",
    "throttle": "the rate limit refuses such a job",
    "shared_token": "another job draws on the same bucket",
    "timeout_too_short": "answers come, but after we gave up",
    "credentials": "the token is refused",
    "permission": "the token may not do it",
    "no_user_agent": "refused for want of a User-Agent",
    "wrong_url": "the address is not of this API",
}
"""The closed list of causes (contract, `probes.diagnosis/1`)."""


@dataclass(frozen=True, slots=True)
class Job:
    """The job that is asked about: its calls by name, so many workers that each send the next call when the last returned, calls in all."""

    calls: tuple[str, ...]
    workers: int = 1
    total: int = 100
    timeout_s: float = 60.0


OF_PROXY = 407
"""Proxy Authentication Required: it speaks of our own proxy, whatever was asked."""
TICK_S = 0.02
"""Our own loop is to wake so often while it is watched; by how much later it does is its lag."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was seen of our own side: how late our loop woke (seconds, many samples), how long names took, which proxy, why names failed.

    `well` are the other instances that answered from here at the same time; `tokenless` is whether no token is configured to be sent;
    `cut` is why less was asked than was meant.
    """

    lag_s: tuple[float, ...] = ()
    dns_s: tuple[float, ...] = ()
    dns_error: str | None = None
    proxy: str | None = None
    max_rate: float | None = None
    well: tuple[str, ...] = ()
    tokenless: bool = False
    cut: str | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause: confidence 0..1, a sentence with numbers and n, the evidence for and against, one sentence of advice."""

    kind: str
    confidence: float
    says: str
    evidence: tuple[str, ...]
    advice: str

    def document(self) -> dict[str, Any]:
        """As JSON carries it (contract)."""
        return {
            "kind": self.kind,
            "confidence": round(self.confidence, 2),
            "says": self.says,
            "evidence": list(self.evidence),
            "advice": self.advice,
        }


def argued(for_it: Iterable[str], against: Iterable[str] = ()) -> tuple[str, ...]:
    """Evidence as a cause carries it: what speaks for it, then what against it or what was ruled out."""
    return (*(f"for: {line}" for line in for_it), *(f"against: {line}" for line in against))


def surer(effect: float, threshold: float, n: int, most: float = 0.99) -> float:
    """A confidence: 0.6 at the threshold, rising with the effect's size beyond it, held down while n is small."""
    beyond = 1.0 - threshold / effect if effect > threshold > 0.0 else 0.0
    return min(most, (0.6 + 0.4 * math.sqrt(beyond)) * (1.0 - 0.3 / max(1, n)))
