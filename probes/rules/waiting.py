"""The import queue as arithmetic: who stands before whom, how long a wait to expect, what hangs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probes.stats import median, point
from probes.wording import seconds

LONG_WAIT_S = 900.0
"""A wait at 0 % from which a person thinks that it hangs."""
IDLE_S = 3600.0
"""So long no queue rests between two imports: what waits while nothing is at work is not waiting for anybody."""
FEW_WAITS = 8
"""So many past waits tell what is unusual."""
OVERDUE = 5.0
"""An import seems to hang when it has run so many times as long as any past one; many rows alone make it run longer than they did."""
LONG_RUN_S, UNTOLD_RUN_S, FEW_RUNS = 3600.0, 6 * 3600.0, 3
"""And never before the first time; before the second where fewer past runs than this tell how long they take."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One import in the queue; `age_s` since it began, or since it was created where it waits; None where no time is told."""

    number: object
    state: object
    age_s: float | None
    progress: object

    @classmethod
    def of(cls, noted: Sequence[Any]) -> Standing:
        """From `[id, state, age_s, progress]` as scenario `queue` notes it."""
        number, state, age_s, progress = noted
        return cls(number, state, float(age_s) if isinstance(age_s, int | float) else None, progress)

    @property
    def told(self) -> str:
        """`importing for 12 min, 40 %`."""
        age = f" for {seconds(self.age_s)}" if self.age_s is not None else ""
        return f"{self.state}{age}" + (f", {self.progress} %" if self.progress is not None else "")

    @property
    def line(self) -> str:
        """`import 901: importing for 12 min, 40 %`."""
        return f"import {self.number}: {self.told}"


@dataclass(frozen=True, slots=True)
class Queue:
    """Imports at work, those that wait (oldest first), and what past ones tell (seconds).

    `alone_s`: how long those waited that found nothing before them. `idle_s`: since one ended last.
    """

    at_work: tuple[Standing, ...]
    waiting: tuple[Standing, ...]
    waits_s: tuple[float, ...]
    runs_s: tuple[float, ...]
    idle_s: float | None = None
    alone_s: tuple[float, ...] = ()

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Queue:
        """From the facts of an answer of scenario `queue`."""
        standing, running = [Standing.of(one) for one in facts["queue"]], int(facts["running"])
        past = tuple(facts["waits_s"]), tuple(facts["runs_s"])
        return cls(tuple(standing[:running]), tuple(standing[running:]), *past, facts.get("idle_s"), tuple(facts.get("alone_s") or ()))

    @property
    def all(self) -> tuple[Standing, ...]:
        """In the order in which they are taken."""
        return self.at_work + self.waiting

    def left_s(self, one: Standing) -> float | None:
        """What is left of one at work: the median of past runs that took longer than it has until now; None where none did."""
        age_s = one.age_s or 0.0
        longer = [run_s - age_s for run_s in self.runs_s if run_s > age_s]
        return median(longer) if longer else None

    def overdue(self, before: Sequence[Standing]) -> Standing | None:
        """The first of those that has run longer than any past one."""
        return next((one for one in before if one in self.at_work and self.left_s(one) is None), None)

    def wait_s(self, before: Sequence[Standing]) -> float | None:
        """How long those imports take together: what is left of those at work, a median run for each that waits. None: no past run."""
        if not self.runs_s:
            return None
        left = [self.left_s(one) or 0.0 for one in before if one in self.at_work]
        return sum(left) + median(self.runs_s) * (len(before) - len(left))

    def hanging(self) -> Standing | None:
        """The import at work that takes far longer than past ones did."""
        longest_s = max(self.runs_s, default=0.0)
        least_s = LONG_RUN_S if len(self.runs_s) >= FEW_RUNS else UNTOLD_RUN_S
        late = [one for one in self.at_work if one.age_s is not None and one.age_s > max(least_s, OVERDUE * longest_s)]
        return max(late, key=lambda one: one.age_s or 0.0, default=None)

    def passed_over(self) -> Standing | None:
        """The import that has waited longest, where nothing is at work that it could wait for, and has not been for long."""
        oldest = max(self.waiting, key=lambda one: one.age_s or 0.0, default=None)
        if oldest is None or oldest.age_s is None or self.at_work:
            return None
        still_s = oldest.age_s if self.idle_s is None else min(oldest.age_s, self.idle_s)
        unusual_s = max(LONG_WAIT_S, 2.0 * point(self.waits_s, 0.95)) if len(self.waits_s) >= FEW_WAITS else IDLE_S
        return oldest if still_s > min(unusual_s, IDLE_S) else None
