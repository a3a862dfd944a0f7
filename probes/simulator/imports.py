"""SIS imports in their shared queue, and background jobs with a Progress: states follow from the clock, nothing runs.

One import after another in the order of creation (`SisBatch`: one job singleton per root account), so each starts when the one
before it ends.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from probes.simulator.people import DAY_S
from probes.simulator.settings import SimulatorSettings

NIGHTLY_S = 4200.0
"""The run time of the big import of every night; a small one behind it waits an hour at 0 %."""
START_DELAY_S = 2.0
PROGRESS_STATES = ("completed", "failed", "waiting_for_external_tool", "canceled", "running", "queued")


@dataclass(slots=True)
class SisImport:
    """One import; times in seconds from the simulator's start. `end` is the state it reaches."""

    id: int
    user_id: int
    created_s: float
    run_s: float
    rows: int
    end: str = "imported"
    aborted_s: float | None = None
    started_s: float = 0.0
    ended_s: float = 0.0

    def state(self, now_s: float) -> str:
        """Its workflow state at that time."""
        if self.aborted_s is not None and now_s >= self.aborted_s:
            return "aborted"
        if now_s < self.created_s + 0.2:
            return "initializing"
        if now_s < self.started_s:
            return "created"
        return "importing" if now_s < self.ended_s else self.end

    def progress(self, now_s: float) -> int:
        """Its progress in per cent."""
        if now_s < self.started_s:
            return 0
        return 100 if now_s >= self.ended_s else int(100.0 * (now_s - self.started_s) / self.run_s)


class ImportQueue:
    """All imports of the root account, oldest first."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._random = random.Random(settings.seed + 23)
        self._median_s = settings.import_s
        self.imports: list[SisImport] = []
        for number in range(settings.past_imports):
            self._add_past(number, settings.past_imports)
        for number in range(settings.queued_imports):
            self._append(5 + number % 3, -30.0 + number, self._run_s())
        self.schedule()

    def create(self, user_id: int, now_s: float) -> SisImport:
        """A new import behind all others."""
        record = self._append(user_id, now_s, self._run_s())
        self.schedule()
        return record

    def abort(self, record: SisImport, now_s: float) -> None:
        """Stops one that has not ended; those behind it move up."""
        if record.state(now_s) in ("initializing", "created", "importing"):
            record.aborted_s = now_s
            self.schedule()

    def schedule(self) -> None:
        """Computes when each starts and ends."""
        free_s = -math.inf
        for record in self.imports:
            record.started_s = max(record.created_s + START_DELAY_S, free_s)
            record.ended_s = record.started_s + record.run_s
            if record.aborted_s is None:
                free_s = record.ended_s
            elif record.aborted_s > record.started_s:
                free_s = record.aborted_s

    def _add_past(self, number: int, count: int) -> None:
        day = (count - 1 - number) // 4 + 1
        created_s = -day * DAY_S + (number % 4) * 700.0
        run_s = NIGHTLY_S if number % 4 == 0 else self._run_s()
        record = self._append(5 if number % 4 == 0 else 1 + number % 3, created_s, run_s)
        record.end = ("imported", "imported_with_messages", "imported", "imported", "failed_with_messages")[number % 5]

    def _run_s(self) -> float:
        return self._median_s * math.exp(0.5 * self._random.gauss(0.0, 1.0))

    def _append(self, user_id: int, created_s: float, run_s: float) -> SisImport:
        record = SisImport(len(self.imports) + 1, user_id, created_s, run_s, max(1, int(run_s * 12)))
        self.imports.append(record)
        return record


@dataclass(slots=True)
class Job:
    """A background job; `fixed` is a state it stays in."""

    id: int
    tag: str
    context_type: str
    context_id: int
    user_id: int
    created_s: float
    started_s: float
    ended_s: float
    fixed: str | None = None
    canceled_s: float | None = None

    def state(self, now_s: float) -> str:
        """Its workflow state at that time; one that was cancelled reads failed (`ProgressController#cancel`)."""
        if self.fixed is not None:
            return self.fixed
        if self.canceled_s is not None:
            return "failed"
        if now_s < self.started_s:
            return "queued"
        return "running" if now_s < self.ended_s else "completed"

    def completion(self, now_s: float) -> float:
        """Per cent done."""
        if self.state(now_s) == "completed":
            return 100.0
        return max(0.0, min(99.0, 100.0 * (now_s - self.started_s) / (self.ended_s - self.started_s))) if self.fixed is None else 0.0

    def updated_s(self, now_s: float) -> float:
        """When it last changed."""
        if self.canceled_s is not None:
            return self.canceled_s
        return max(self.created_s, min(now_s, self.ended_s)) if now_s >= self.started_s else self.created_s


class Jobs:
    """All jobs by id; the first six stand in the six states that exist, two of which the documentation does not name."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self._random = random.Random(settings.seed + 29)
        self.jobs: dict[int, Job] = {}
        for state in PROGRESS_STATES:
            job = self.create("course_batch_update", "Account", 1, 1, -3600.0)
            job.fixed = state

    def create(self, tag: str, context_type: str, context_id: int, user_id: int, now_s: float) -> Job:
        """A new job."""
        started_s = now_s + self._settings.job_wait_s * math.exp(0.4 * self._random.gauss(0.0, 1.0))
        ended_s = started_s + self._settings.job_s * math.exp(0.4 * self._random.gauss(0.0, 1.0))
        job = Job(len(self.jobs) + 1, tag, context_type, context_id, user_id, now_s, started_s, ended_s)
        self.jobs[job.id] = job
        return job
