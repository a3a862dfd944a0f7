"""A worker: takes leases of due times from the master, sends, reports what it saw in Locust's own messages."""

from __future__ import annotations

import dataclasses
import heapq
import time
from typing import Any

import gevent
from _engine import INTERRUPTED, Engine
from _local import AFTER_INTERRUPT_S
from _master import machine
from _parent import gone
from _settings import LoadSettings
from _web import show
from _work import MakeWork
from gevent.event import Event
from locust.env import Environment

from probes.arrivals import Due
from probes.guards import GuardLimits, GuardName, Stop

REPORT_S = 0.2
"""How often records go to the master: what a kill can lose."""
PINGS = 5
"""So many round trips, the quickest of which tells the master's clock."""
LEAVE_S, SETTLE_S = 2.0, 0.3
"""How long a worker that is told to go waits for its calls in flight, and before that for leases that are on their way."""
NO_LIMITS = GuardLimits(max_refusals=None, max_error_share=None, maintenance=False)
"""The master's guard sees the answers of all workers; a worker alone knows too little."""


class Worker:
    """Sends what the master leases. `engine` is None until the master has said what time it is."""

    def __init__(self, environment: Environment, settings: LoadSettings, work: MakeWork) -> None:
        self.engine: Engine | None = None
        self._settings = dataclasses.replace(settings, limits=NO_LIMITS, observations=None)
        self._work = work
        self._shown = show(environment) if settings.by_hand else None
        self._environment = environment
        self._inbox: list[Due] = []
        self._filled = Event()
        self._seq = 0
        self._leaving = self._final = False
        self._offsets: list[tuple[float, float]] = []
        gevent.spawn(self._greet)

    def begin(self) -> None:
        """Users are there: nothing to do, the master says when."""

    # what the master says

    def welcome(self, data: dict[str, Any]) -> None:
        """The master's time: its own reading where both are one machine, else by the quickest of some questions (as NTP does)."""
        now = time.perf_counter()
        trip = now - data["asked"]
        self._offsets.append((trip, now - trip / 2.0 - data["now"]))
        if self.engine is not None:
            return
        if data["machine"] and data["machine"] == machine():
            self._build(data["origin_s"])
        elif len(self._offsets) >= PINGS:
            self._build(min(self._offsets)[1])

    def lease(self, data: dict[str, Any]) -> None:
        """Due times to send, and how many may fly at one time."""
        engine = self.engine
        if engine is None:
            return
        engine.flights.set(data["limit"])
        engine.gate.set(data["pace"])
        engine.deadline_s = data["deadline_s"]
        lowered = data["seq"] != self._seq
        self._seq = data["seq"]
        for n, due in data["slots"]:
            heapq.heappush(self._inbox, (n, due))
        self._filled.set()
        if lowered:
            self._report()

    def stop(self) -> None:
        """No request begins from now on."""
        if self.engine is not None:
            self.engine.stop(Stop(GuardName.WORKERS, "The master said so."))

    def finish(self, patience_s: float) -> None:
        """What flies may land, then the last report goes."""
        engine = self.engine
        if engine is not None and not self._final:
            engine.close()
            engine.drain(patience_s)
            self._last_report()

    def halt(self) -> None:
        """Locust is about to stop the users."""
        if self.engine is not None and not self.engine.closed:
            self.engine.stop(INTERRUPTED)
            self.engine.drain(AFTER_INTERRUPT_S)

    def end(self) -> None:
        """No user runs any more."""
        self._last_report()
        gevent.sleep(0.1)  # the message leaves before the process does

    def depart(self) -> None:
        """This worker alone has been told to go: due times that it has not begun go back to the master."""
        if self.engine is None or self._final:
            return
        self.engine.stop(INTERRUPTED)
        self._leaving = True
        end = time.perf_counter() + SETTLE_S
        while time.perf_counter() < end:  # leases that are on their way come in yet, and go back as well
            self._report(self._leftover())
            gevent.sleep(0.05)
        self.engine.drain(LEAVE_S)

    # what the worker does

    def _greet(self) -> None:
        while self.engine is None and not self._final:
            if self._environment.runner is not None:
                self._environment.runner.send_message("probes_hello", {"asked": time.perf_counter()})
            gevent.sleep(0.05)

    def _build(self, origin_s: float) -> None:
        self._settings = dataclasses.replace(self._settings, origin_s=origin_s)
        engine = Engine(self._settings, self._work(self._settings), self._deliver, self._shown)
        engine.flights.set(0)
        engine.wire.warm()
        engine.open.set()
        self.engine = engine
        self._report()
        gevent.spawn(self._hand_out)
        gevent.spawn(self._report_loop)

    def _hand_out(self) -> None:
        engine = self.engine
        assert engine is not None
        while engine.stopping is None and not self._final:
            if not self._inbox:
                self._filled.clear()
                self._filled.wait(0.2)
                continue
            n, due = self._inbox[0]
            if due - self._settings.now() > 0.05:  # a later lease may bring an earlier one: look again before it is due
                gevent.sleep(0.02)
                continue
            heapq.heappop(self._inbox)
            engine.dispatcher.hand(n, due)

    def _report_loop(self) -> None:
        while not self._final:
            gevent.sleep(REPORT_S)
            if gone(self._settings) and self._environment.runner is not None:
                self._environment.runner.quit()
                return
            self._report()

    def _report(self, returned: list[Due] | None = None) -> None:
        if self.engine is not None and not self._final:
            self.engine.batch.flush()
            self._send(b"", returned or [])

    def _last_report(self) -> None:
        engine = self.engine
        if engine is None or self._final:
            return
        engine.batch.flush()
        self._final = True
        self._send(b"", self._leftover() if self._leaving else [])
        engine.wire.close()

    def _leftover(self) -> list[Due]:
        engine = self.engine
        assert engine is not None
        left = [*self._inbox, *engine.unbegun]
        self._inbox.clear()
        engine.unbegun.clear()
        while not engine.dispatcher.slots.empty():
            left.append(engine.dispatcher.slots.get())
        return left

    def _deliver(self, records: bytes) -> None:
        self._send(records, [])

    def _send(self, records: bytes, returned: list[Due]) -> None:
        engine = self.engine
        assert engine is not None
        report = {
            "records": records,
            "unsent": engine.unsent + len(engine.unbegun),
            "flying": engine.flights.flying,
            "held": engine.flights.held,
            "seq": self._seq,
            "leaving": self._leaving,
            "final": self._final,
            "returned": returned,
        }
        runner: Any = self._environment.runner
        runner.send_message("probes_report", report)
