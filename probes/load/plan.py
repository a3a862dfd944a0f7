"""What to load, how fast, how long, and when to stop; refused at once when the instance does not allow it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from probes.arrivals import Spec, check, mean_per_s, peak_per_s
from probes.calls import Call
from probes.config import Instance
from probes.errors import UsageError
from probes.guards import GuardLimits, refuse_above_ceilings, refuse_writes

LEAST_USERS = 64
MOST_USERS = 1000
PATIENCE_S = 4.0
"""Where nothing bounds the number in flight there are users for so many seconds of arrivals: a stall of that length loses none."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """One load. Raises UsageError when made with numbers that make no sense or that the instance's ceilings forbid.

    `schedule`: a description as in `arrivals`. `users` makes a closed loop in its place: so many, all starting at one instant, each send
    the next call when the last has returned. `requests`: calls to send in all, None for as many as fit. `max_in_flight`: never more at
    one time in an open loop; None takes the instance's ceiling, else enough for a stall of some seconds.
    `limits`: what the guards go by, under the instance's ceiling. `workers`: Locust processes beside a master, 0 for one process that does
    it all. `grace_s`: how long after its end late requests may still be sent. Whether the instance may be loaded at all is the command's
    business: see `guards.refuse_unless_allowed`.
    """

    instance: Instance
    calls: tuple[Call, ...]
    schedule: Spec = field(default_factory=dict)
    duration_s: float = 60.0
    max_in_flight: int | None = None
    limits: GuardLimits = field(default_factory=GuardLimits)
    users: int | None = None
    workers: int = 0
    requests: int | None = None
    grace_s: float = 5.0
    scenario: str = "load"
    locustfile: str = "steady"
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.calls:
            raise UsageError("There is nothing to load with: give at least one call, as 'GET /api/v1/users/self'.")
        if not (math.isfinite(self.duration_s) and self.duration_s > 0.0):
            raise UsageError(f"A load must last longer than 0 s, not {self.duration_s:g} s.")
        self._check_loop()
        refuse_writes(self.instance, self.calls)
        peak = peak_per_s(self.schedule) if self.open_loop else None
        refuse_above_ceilings(self.instance, peak, self.max_in_flight if self.open_loop else self.users)

    @property
    def open_loop(self) -> bool:
        """Whether requests are due whatever the server does."""
        return self.users is None

    def _check_loop(self) -> None:
        if self.users is None:
            check(self.schedule)
        elif self.users < 1:
            raise UsageError("A closed loop needs at least one user.")
        elif self.workers:
            raise UsageError("A closed loop runs in one process: leave --workers out.")
        if self.workers < 0 or (self.max_in_flight is not None and self.max_in_flight < 1):
            raise UsageError("Workers must be 0 or more, in flight 1 or more.")

    @property
    def in_flight(self) -> int:
        """The greatest number in flight."""
        bound = self.users or self.max_in_flight or self.instance.max_in_flight  # what was asked for is within the ceiling
        return bound or min(MOST_USERS, max(LEAST_USERS, math.ceil(PATIENCE_S * peak_per_s(self.schedule))))

    @property
    def asked_per_s(self) -> float | None:
        """The rate asked for, on average; None in a closed loop."""
        return mean_per_s(self.schedule, self.duration_s) if self.open_loop else None

    def document(self, **more: Any) -> dict[str, Any]:
        """As the child reads it (`locustfiles/_settings.py`): without a token. `more`: where to write, whom to tell."""
        instance = {key: value for key, value in asdict(self.instance).items() if key not in {"secret", "token_env", "token_file"}}
        return {
            "instance": {**instance, "kind": self.instance.kind.value},
            "calls": [asdict(call) for call in self.calls],
            "schedule": self.schedule,
            "duration_s": self.duration_s,
            "max_in_flight": self.in_flight,
            "limits": self.limits.under(self.instance.max_requests).document(),
            "grace_s": self.grace_s,
            "open_loop": self.open_loop,
            "requests": self.requests,
            "scenario": self.scenario,
            "options": self.options,
            **more,
        }
