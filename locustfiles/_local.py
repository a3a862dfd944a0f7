"""A load in one process: the schedule's dispatcher, the watch over guards and parent, the reports to the parent."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable
from typing import Any

import gevent
import orjson
from _engine import INTERRUPTED, Engine
from _parent import wish
from _records import Appender, unwritten
from _settings import LoadSettings
from _web import show
from _work import Work
from locust.env import Environment

from probes.arrivals import arrivals
from probes.guards import GuardName

FLUSH_S = 0.1
"""How long a record may wait before it is written: what a kill can lose."""
REPORT_S = 0.25
"""How often the parent hears how it goes."""
WATCH_S = 0.02
"""How often guards, the parent and the end are looked at."""
AFTER_GUARD_S, AFTER_INTERRUPT_S = 5.0, 0.2
"""How long calls in flight may still come back once nothing more is sent: after a guard; after somebody who does not want to wait."""
LEAD_S = 0.05
"""From the start of Locust to the first due time: its users are up by then."""


class Reporter:
    """Tells the parent how it goes, one JSON line at a time; nobody listens when there is no parent."""

    def __init__(self, settings: LoadSettings) -> None:
        self._handle = settings.report_fd

    def __call__(self, kind: str, document: dict[str, Any]) -> None:
        """One line. A parent that has gone is found by its watch, not here."""
        if self._handle is None:
            return
        try:
            os.write(self._handle, orjson.dumps({"kind": kind, **document}, option=orjson.OPT_APPEND_NEWLINE))
        except OSError:
            self._handle = None


class Local:
    """One process that does it all. `leave` ends Locust."""

    def __init__(self, environment: Environment, settings: LoadSettings, work: Work, leave: Callable[[], None]) -> None:
        assert settings.observations is not None
        self.settings = settings
        self.engine = Engine(settings, work, Appender(settings.observations), show(environment) if settings.by_hand else None)
        self.tell = Reporter(settings)
        self._leave = leave
        self._begun = self._over = False
        self._told = False
        self._ended_s = 0.0

    def begin(self) -> None:
        """All users are there: due times start. Called again when somebody changes their number."""
        if self._begun:
            return
        self._begun = True
        engine, settings = self.engine, self.settings
        engine.wire.warm()
        engine.start_s = settings.now() + LEAD_S
        engine.deadline_s = engine.start_s + settings.duration_s + settings.grace_s
        if settings.open_loop:
            dues = itertools.islice(arrivals(settings.schedule, settings.duration_s), settings.requests)
            gevent.spawn(engine.dispatcher.run, dues, engine.start_s, self._going)
            engine.open.set()
        else:
            gevent.spawn_later(LEAD_S, engine.open.set)
        for loop in (self._flush, self._report, self._watch):
            gevent.spawn(loop)

    def halt(self) -> None:
        """Locust is about to stop the users, planned or not."""
        if not self._over:
            self.engine.stop(INTERRUPTED)
            self.engine.drain(AFTER_INTERRUPT_S)

    def end(self) -> None:
        """No user runs any more: the last lines are written and the parent is told."""
        if self._told:
            return
        self._told = self._over = True
        with contextlib.suppress(OSError):  # a full disk: why the load stopped must still be told
            self.engine.batch.flush()
        self.engine.wire.close()
        self.tell("end", self.document())

    def document(self) -> dict[str, Any]:
        """What the parent is told."""
        engine = self.engine
        stop = engine.stopping
        return {
            **engine.tally.document(),
            "now_s": self.settings.now(),
            "start_s": engine.start_s,
            "handed": engine.dispatcher.handed - engine.idle,
            "in_flight": engine.flights.flying,
            "unsent": 0 if stop else engine.unsent + len(engine.unbegun) + engine.dispatcher.slots.qsize(),
            "stopped_by": None if stop is None else stop.guard.value,
            "why": None if stop is None else stop.why,
            "ended_s": self._ended_s,
        }

    def _going(self) -> bool:
        return not self._over and self.engine.stopping is None

    def _flush(self) -> None:
        while not self._told:
            gevent.sleep(FLUSH_S)
            try:
                self.engine.batch.flush()
            except OSError as error:
                self.engine.stop(unwritten(error))

    def _report(self) -> None:
        while not self._told:
            self.tell("progress", self.document())
            gevent.sleep(REPORT_S)

    def _watch(self) -> None:
        while self._going() and not self._done():
            gevent.sleep(WATCH_S)
            stop = wish(self.settings)
            if stop is not None:
                self.engine.stop(stop)
        self._ended_s = self.settings.now()
        self.engine.drain(self._patience())
        self._over = True
        self.engine.close()
        self._leave()

    def _done(self) -> bool:
        engine, settings = self.engine, self.settings
        now = settings.now()
        if engine.work.ended:
            return True
        if settings.open_loop:
            return engine.dispatcher.ended and (engine.quiet or now > engine.deadline_s)
        limit = settings.requests
        return now >= engine.start_s + settings.duration_s or (limit is not None and engine.taken >= limit and engine.flights.flying == 0)

    def _patience(self) -> float:
        stop = self.engine.stopping
        if stop is None:
            self.engine.close()
            return self.settings.instance.timeout_s + 5.0
        return AFTER_INTERRUPT_S if stop.guard in {GuardName.INTERRUPTED, GuardName.PARENT} else AFTER_GUARD_S
