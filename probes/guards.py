"""When a run must stop: pure arithmetic on what was seen so far; and what must not be begun. Used by commands and by the load itself."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from probes.calls import Call, refuse_unknown_task
from probes.errors import UsageError
from probes.observation import Observation, Outcome
from probes.wording import percent


class GuardName(StrEnum):
    """The guards; a closed list. The last six belong to the process that runs the load, the others look at answers."""

    REFUSALS = "refusals"
    ERRORS = "errors"
    LATENCY = "latency"
    REMAINING = "remaining"
    MAINTENANCE = "maintenance"
    REQUESTS = "requests"
    SECONDS = "seconds"
    PARENT = "parent"
    INTERRUPTED = "interrupted"
    WORKERS = "workers"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Stop:
    """Which guard stopped a run, and why in one sentence."""

    guard: GuardName
    why: str


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """What a run may meet before it stops; None switches a guard off.

    `max_refusals`: refusals allowed; one more stops the run. `max_error_share`: share of failed calls among the last `window` answers
    (refusals are not errors). `objective_s`: seconds from first byte sent to last received that at least 95 of 100 of the last `window`
    answers must keep; our own queueing is left out, as this guard protects the server. `margin`: the least budget that may remain, in the
    server's units. `max_requests`, `max_seconds`: requests and seconds in all.

    Raises UsageError when made with a number that makes no sense: such a guard would never stop anything.
    """

    max_refusals: int | None = 0
    max_error_share: float | None = 0.2
    objective_s: float | None = None
    margin: float | None = None
    max_requests: int | None = None
    max_seconds: float | None = None
    maintenance: bool = True
    window: int = 100
    least: int = 20

    def __post_init__(self) -> None:
        if self.max_error_share is not None and not 0.0 <= self.max_error_share <= 1.0:
            raise UsageError(f"The share of failed calls that is allowed must be between 0 and 1, not {self.max_error_share:g}.")
        if self.margin is not None and not 0.0 <= self.margin < math.inf:
            raise UsageError(f"The budget that must remain must be 0 or more, not {self.margin:g}.")
        if (self.max_refusals or 0) < 0 or (self.max_requests is not None and self.max_requests < 1):
            raise UsageError("Refusals allowed must be 0 or more, requests in all 1 or more.")

    def under(self, ceiling: int | None) -> GuardLimits:
        """The same for an instance that allows so many requests a run (None: any number)."""
        most = [cap for cap in (self.max_requests, ceiling) if cap is not None]
        return replace(self, max_requests=min(most, default=None))

    def document(self) -> dict[str, Any]:
        """As JSON carries it to another process."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> GuardLimits:
        """The limits that `document` made. Raises TypeError for an unknown key."""
        return cls(**document)


class Guard:
    """Watches answers as they come, a fixed amount of work for each. `stop`: the first reason to end the run, None while there is none."""

    __slots__ = ("_bad", "_recent", "_slow", "limits", "refused", "seen", "stop")

    def __init__(self, limits: GuardLimits) -> None:
        self.limits = limits
        self.seen = 0
        self.refused = 0
        self.stop: Stop | None = None
        self._recent: deque[tuple[bool, bool]] = deque()
        self._bad = 0
        self._slow = 0

    def see(self, seen: Observation) -> Stop | None:
        """One more request ended so; the reason to stop, once there is one. Requests that we cancelled ourselves say nothing."""
        if seen.outcome is Outcome.CANCELLED:
            return self.stop
        self.seen += 1
        self._remember(seen.outcome, seen.flight_s)
        if self.stop is None:
            self.stop = self._of_answer(seen) or self._of_window()
        return self.stop

    def spent(self, requests: int, seconds: float) -> Stop | None:
        """The reason to stop before another request is sent: `requests` are sent, `seconds` have passed."""
        limits = self.limits
        if self.stop is None and limits.max_requests is not None and requests >= limits.max_requests:
            self.stop = Stop(GuardName.REQUESTS, f"{requests} requests were sent, which is the limit of the run.")
        if self.stop is None and limits.max_seconds is not None and seconds >= limits.max_seconds:
            self.stop = Stop(GuardName.SECONDS, f"{seconds:.1f} s passed, which is the limit of the run.")
        return self.stop

    def _remember(self, outcome: Outcome, flight_s: float | None) -> None:
        refused = outcome is Outcome.THROTTLED
        self.refused += refused
        objective = self.limits.objective_s
        bad = outcome is not Outcome.OK and not refused
        slow = objective is not None and (bad if flight_s is None else flight_s > objective)
        self._recent.append((bad, slow))
        self._bad += bad
        self._slow += slow
        if len(self._recent) > self.limits.window:
            old_bad, old_slow = self._recent.popleft()
            self._bad -= old_bad
            self._slow -= old_slow

    def _of_answer(self, seen: Observation) -> Stop | None:
        limits, outcome, remaining = self.limits, seen.outcome, seen.remaining
        if outcome is Outcome.THROTTLED and limits.max_refusals is not None and self.refused > limits.max_refusals:
            return Stop(GuardName.REFUSALS, f"{self.refused} {_calls(self.refused)} refused; {limits.max_refusals} allowed.")
        if limits.maintenance and (outcome is Outcome.MAINTENANCE or seen.status == 503):
            return Stop(GuardName.MAINTENANCE, f"The instance answered {seen.status}: it is in maintenance or overloaded.")
        if limits.margin is not None and remaining is not None and remaining < limits.margin:
            return Stop(GuardName.REMAINING, f"The remaining budget fell to {remaining:g}, below the margin of {limits.margin:g}.")
        return None

    def _of_window(self) -> Stop | None:
        limits, n = self.limits, len(self._recent)
        if n < limits.least:
            return None
        if limits.max_error_share is not None and self._bad > limits.max_error_share * n:
            return Stop(GuardName.ERRORS, f"{self._bad} of the last {n} calls failed; {percent(limits.max_error_share)} allowed.")
        if limits.objective_s is not None and self._slow > 0.05 * n:
            return Stop(
                GuardName.LATENCY,
                f"{self._slow} of the last {n} calls took longer than the objective of {limits.objective_s:g} s or brought no answer.",
            )
        return None


def _calls(n: int) -> str:
    return "call was" if n == 1 else "calls were"


class Asked(Protocol):
    """What the refusals below look at of an instance."""

    @property
    def name(self) -> str:
        """How it is called."""

    @property
    def kind(self) -> str:
        """What it is for."""

    @property
    def max_rate(self) -> float | None:
        """Requests/s at most."""

    @property
    def max_in_flight(self) -> int | None:
        """Requests at one time at most."""

    @property
    def allow_load(self) -> bool:
        """Whether it may be loaded."""

    @property
    def allow_writes(self) -> bool:
        """Whether calls may write."""


def refuse_unless_allowed(instance: Asked, production: str | None) -> None:
    """Load needs the configuration's word, and for a production instance the command's as well. Raises UsageError."""
    is_production = instance.kind == "production"
    if not instance.allow_load:
        also = f" and say --production {instance.name}" if is_production else ""
        raise UsageError(f"Instance '{instance.name}' may not be loaded: set allow_load = true in [instances.{instance.name}]{also}.")
    if is_production and production != instance.name:
        raise UsageError(
            f"Instance '{instance.name}' is a production instance: repeat its name with --production {instance.name} to load it."
        )


def refuse_writes(instance: Asked, calls: Iterable[Call]) -> None:
    """Calls that write need the configuration's word, and none names a task that Canvas does not know. Raises UsageError."""
    for call in calls:
        if call.writes and not instance.allow_writes:
            raise UsageError(
                f"'{call.name}' writes, which instance '{instance.name}' does not allow: "
                f"set allow_writes = true in [instances.{instance.name}]."
            )
        refuse_unknown_task(call)


def refuse_above_ceilings(instance: Asked, peak_per_s: float | None, in_flight: int | None) -> None:
    """Raises UsageError when more is asked for than the instance's ceilings allow; None asks for nothing in particular."""
    if peak_per_s is not None and instance.max_rate is not None and peak_per_s > instance.max_rate * (1.0 + 1e-9):
        raise UsageError(f"{peak_per_s:g} requests/s is above max_rate = {instance.max_rate:g} of instance '{instance.name}'.")
    if in_flight is not None and instance.max_in_flight is not None and in_flight > instance.max_in_flight:
        raise UsageError(f"{in_flight} in flight is above max_in_flight = {instance.max_in_flight} of instance '{instance.name}'.")
