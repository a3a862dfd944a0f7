"""The master of a load in several processes: leases due times to the workers, keeps one guard over all, writes what they saw.

Due times are leased a short stretch ahead, in turn to the workers that were heard of lately; so the total is right while workers come and
go, and a worker that hears nothing sends nothing. The number in flight is granted: a worker gets more only after others have given it
back.
"""

from __future__ import annotations

import dataclasses
import heapq
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import orjson
from _book import Book, Member
from _engine import INTERRUPTED
from _local import AFTER_GUARD_S, AFTER_INTERRUPT_S, REPORT_S, Reporter
from _parent import wish
from _records import Appender, Tally, unwritten
from _settings import LoadSettings
from locust.env import Environment

from probes.arrivals import Due, arrivals
from probes.guards import Guard, GuardName, Stop
from probes.observation import Observation
from probes.pace import window

LEASE_S, HORIZON_S = 0.1, 0.6
"""How often due times are handed out, and how far ahead: a worker that hears late is still in time, one that dies loses little."""
GREETING_S = 1.0
"""How long workers have to answer with their clocks."""
LEAD_S = 0.5
"""From then to the first due time: the first leases have arrived by then."""
FINAL_S = 3.0
"""How long workers have for their last records beyond the calls in flight."""


class Master:
    """Leases, guards, records. `leave` ends Locust."""

    engine = None

    def __init__(self, environment: Environment, settings: LoadSettings, leave: Callable[[], None]) -> None:
        self.settings = settings
        self.tell = Reporter(settings)
        self.book = Book()
        self.tally = Tally()
        self.guard = Guard(dataclasses.replace(settings.limits, max_requests=None))  # how many are sent is decided where they are leased
        self.stopping: Stop | None = None
        self.leased = 0
        self._runner: Any = environment.runner
        assert settings.observations is not None
        self._write = Appender(Path(settings.observations))
        self._dues: Iterator[Due] = iter(arrivals(settings.schedule, settings.duration_s))
        self._next: Due | None = None
        self._again: list[Due] = []
        self._leave = leave
        self._pace = None if settings.instance.max_rate is None else window(settings.instance.max_rate)
        self._start_s = 0.0
        self._ended_s = 0.0
        self._exhausted: Stop | None = None
        self._all_leased = False
        self._begun = self._told = self._over = False

    # what workers say

    def hello(self, name: str, data: dict[str, Any]) -> None:
        """A worker asks what time it is."""
        answer = {"asked": data["asked"], "now": self.settings.now(), "origin_s": self.settings.origin_s, "machine": machine()}
        self._runner.send_message("probes_welcome", answer, name)

    def report(self, name: str, data: dict[str, Any]) -> None:
        """What a worker saw since it spoke last."""
        member = self.book.members.setdefault(name, Member(name, self.settings.now()))
        member.heard_s, member.gone = self.settings.now(), False
        member.flying, member.unsent = data["flying"], data["unsent"]
        member.held = data["held"] if data["seq"] == member.seq else max(data["held"], member.limit)
        member.leaving, member.final = data["leaving"], data["final"]
        self._take(member, data["records"])
        for n, due in data["returned"]:
            member.returned += 1
            heapq.heappush(self._again, (n, due))

    def _take(self, member: Member, records: bytes) -> None:
        if not records:
            return
        try:
            self._write(records)
        except OSError as error:
            self.stop(unwritten(error))
        for line in records.splitlines():
            member.lines += 1
            seen = Observation.from_record(orjson.loads(line))
            self.tally.add(seen)
            stop = self.guard.see(seen)
            if stop is not None:
                self.stop(stop)

    # what the master does

    def begin(self) -> None:
        """Users are there; due times start. Called again whenever Locust has moved users about."""
        if self._begun:
            return
        self._begun = True
        gevent.spawn(self._start)

    def _start(self) -> None:
        """Due times are shared out from the first one on, so all workers that Locust knows are heard first, if they soon speak."""
        end = time.perf_counter() + GREETING_S
        while len(self.book.live()) < self._runner.worker_count and time.perf_counter() < end:
            gevent.sleep(0.01)
        if self._over:
            return
        self._start_s = self.settings.now() + LEAD_S
        for loop in (self._lease_loop, self._report_loop, self._watch):
            gevent.spawn(loop)

    def stop(self, stop: Stop) -> None:
        """No request begins from now on, on any worker; the first reason counts."""
        if self.stopping is None:
            self.stopping = stop
            self._runner.send_message("probes_stop", {})

    def _lease_loop(self) -> None:
        while not self._over and self.stopping is None:
            now = self.settings.now()
            self.book.silence(now)
            self.book.grant(self.settings.max_in_flight)
            if self._pace is not None:
                self.book.pace(*self._pace, now)
            self._lease(now)
            gevent.sleep(LEASE_S)

    def _lease(self, now: float) -> None:
        live = self.book.live()
        able = [member for member in live if member.limit and not member.leaving and (self._pace is None or member.paced)]
        slots: dict[str, list[Due]] = {member.name: [] for member in live}
        while able and (due := self._take_due(now + HORIZON_S)) is not None:
            member = self.book.turn(able)
            member.leased += 1
            slots[member.name].append(due)
        for member in live:
            lease = {
                "slots": slots[member.name],
                "limit": member.limit,
                "seq": member.seq,
                "pace": None if self._pace is None else (max(1, member.paced), self._pace[1]),
                "deadline_s": self._start_s + self.settings.duration_s + self.settings.grace_s,
            }
            self._runner.send_message("probes_lease", lease, member.name)

    def _take_due(self, until_s: float) -> Due | None:
        if self._again:
            return heapq.heappop(self._again)
        if self._next is None:
            self._next = next(self._dues, None)
            self._all_leased = self._next is None
        if self._next is None or self._start_s + self._next[1] > until_s or self._spent():
            return None
        n, due = self._next
        self._next = None
        self.leased += 1
        return n, self._start_s + due

    def _spent(self) -> bool:
        limit, most = self.settings.requests, self.settings.limits.max_requests
        stop = self.guard.spent(self.leased, self.settings.now() - self._start_s)
        if stop is not None:
            self.stop(stop)
        elif limit is not None and self.leased >= limit:
            self._all_leased = True
        elif most is not None and self.leased >= most:  # what was leased is within the limit and is still sent
            self._all_leased = True
            self._exhausted = Stop(GuardName.REQUESTS, f"{most} requests were sent, which is the limit of the run.")
        return self._all_leased or stop is not None

    def _report_loop(self) -> None:
        while not self._told:
            self.tell("progress", self.document())
            gevent.sleep(REPORT_S)

    def _watch(self) -> None:
        alone_s: float | None = None
        while not self._over and self.stopping is None and not self._done():
            gevent.sleep(0.02)
            stop = wish(self.settings)
            if stop is not None:
                self.stop(stop)
            now = self.settings.now()
            alone_s = None if self.book.live() else alone_s or now
            if alone_s is not None and now - alone_s > 10.0:
                self.stop(Stop(GuardName.WORKERS, "No worker is left."))
        if self._exhausted is not None and self.stopping is None:
            self.stopping = self._exhausted
        self._close()
        self._leave()

    def _done(self) -> bool:
        if not self._all_leased or self._again:
            return False
        late = self.settings.now() > self._start_s + self.settings.duration_s + self.settings.grace_s + self.settings.instance.timeout_s
        return late or all(member.open <= 0 for member in self.book.live())

    def _close(self) -> None:
        """Workers finish what flies and report for the last time."""
        self._ended_s = self._ended_s or self.settings.now()
        stop = self.stopping
        patience = self.settings.instance.timeout_s if stop is None else AFTER_GUARD_S
        if stop is not None and stop.guard in {GuardName.INTERRUPTED, GuardName.PARENT}:
            patience = AFTER_INTERRUPT_S
        self._runner.send_message("probes_finish", {"patience_s": patience})
        end = time.perf_counter() + patience + FINAL_S
        while self.book.live() and time.perf_counter() < end:
            gevent.sleep(0.02)
            self.book.silence(self.settings.now())
        self._over = True

    def halt(self) -> None:
        """Locust is about to stop, planned or not."""
        if not self._over:
            self.stop(INTERRUPTED)
            self._close()

    def end(self) -> None:
        """All is over: the parent is told."""
        if not self._told:
            self._told = True
            self.tell("end", self.document())

    @property
    def lost(self) -> list[str]:
        """What may be missing, a sentence for each worker that went without a word."""
        lost = [member for member in self.book.members.values() if not member.final and (member.gone or self._over)]
        return [
            f"Worker {member.name} was lost; of its {member.leased} due times {max(0, member.open)} are unaccounted for." for member in lost
        ]

    def document(self) -> dict[str, Any]:
        """What the parent is told."""
        members = self.book.members.values()
        stop = self.stopping
        lost = sum(max(0, member.open) for member in members) if self._over else 0
        unsent = sum(member.unsent for member in members)
        return {
            **self.tally.document(),
            "now_s": self.settings.now(),
            "start_s": self._start_s or self.settings.now(),
            "handed": self.leased,
            "in_flight": sum(member.flying for member in members if not member.gone),
            "unsent": 0 if stop else unsent + len(self._again) + lost,
            "stopped_by": None if stop is None else stop.guard.value,
            "why": None if stop is None else stop.why,
            "ended_s": self._ended_s,
            "lost": self.lost,
            "workers": len(self.book.live()),
        }


def machine() -> str:
    """Which machine this is since it was started: where two processes agree, they read the same monotonic clock."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
