"""What a process that sends requests does with each due time, and how it stops without losing a record."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import gevent.event
from _attempt import ask
from _dispatcher import Dispatcher
from _gate import FlightGate, RateGate
from _records import Batch, Tally, line_of, unwritten
from _settings import LoadSettings
from _wire import Wire
from _work import Work
from gevent import GreenletExit
from gevent.queue import Empty

from probes.arrivals import Due
from probes.guards import Guard, GuardName, Stop
from probes.observation import Observation, Outcome

PATIENCE_S = 0.5
"""How long a user waits for a due time before it looks whether it shall stop."""

AT_ONCE = frozenset({Outcome.THROTTLED, Outcome.MAINTENANCE})
"""What a master must hear of without delay: its guard may stop all workers for it."""


class Engine:
    """Takes due times, sends, records. `deliver` takes finished lines; `shown`, when given, each observation (Locust's own statistics)."""

    def __init__(
        self,
        settings: LoadSettings,
        work: Work,
        deliver: Callable[[bytes], None],
        shown: Callable[[Observation], None] | None = None,
    ) -> None:
        self.settings = settings
        self.work = work
        self.wire = Wire(settings.instance)
        self.batch = Batch(deliver)
        self.tally = Tally()
        self.guard = Guard(settings.limits)
        self.dispatcher = Dispatcher(settings.now)
        self.flights = FlightGate(settings.max_in_flight)
        self.gate = RateGate(settings.instance.max_rate, settings.now)
        self.origin_s = settings.origin_s
        self.start_s = 0.0
        self.deadline_s = float("inf")
        self.sent = 0
        self.taken = 0
        self.unsent = self.idle = 0  # due times that came too late to be sent, and those for which there was nothing to send
        self.unbegun: list[Due] = []
        self.stopping: Stop | None = None
        self.closed = False
        self.open = gevent.event.Event()
        self._shown = shown
        self._flying: set[gevent.Greenlet] = set()

    def turn(self) -> None:
        """One user's turn: the next due time, if one comes soon, and the request that belongs to it."""
        due = self._due()
        if due is None:
            return
        self.flights.enter()
        me = gevent.getcurrent()
        self._flying.add(me)
        try:
            self._go(due)
        finally:
            self._flying.discard(me)
            self.flights.leave()

    def stop(self, stop: Stop) -> None:
        """No request begins from now on; the first reason counts."""
        if self.stopping is None:
            self.stopping = stop

    def close(self) -> None:
        """The load has ended as planned: no request begins from now on."""
        self.closed = True

    @property
    def quiet(self) -> bool:
        """Whether nothing flies and no due time waits."""
        return self.flights.flying == 0 and (self._finished or self.dispatcher.slots.empty())

    @property
    def _finished(self) -> bool:
        return self.closed or self.stopping is not None

    def _due(self) -> Due | None:
        if self._finished or not self.open.is_set():
            self.open.wait(PATIENCE_S)
            if self._finished:
                gevent.sleep(PATIENCE_S)
            return None
        if not self.settings.open_loop:
            return self._due_in_closed_loop()
        try:
            due: Due = self.dispatcher.slots.get(timeout=PATIENCE_S)
        except Empty:
            return None
        return due

    def _due_in_closed_loop(self) -> Due | None:
        limit = self.settings.requests
        if limit is not None and self.taken >= limit:
            gevent.sleep(PATIENCE_S)
            return None
        self.taken += 1
        self.dispatcher.handed += 1
        return self.taken, self.settings.now()

    def _go(self, due: Due) -> None:
        self.gate.wait()
        now = self.settings.now()
        stop = self.guard.spent(self.sent, now - self.start_s) if self.stopping is None else None
        if stop is not None:
            self.stop(stop)
        if self._finished:
            self.unbegun.append(due)
            return
        if now > self.deadline_s:
            self.unsent += 1
            return
        call = self.work.next()
        if call is None:
            self.idle += 1
            return
        self.sent += 1
        answer = ask(self.wire, call, self.settings.scenario, due[1], self.origin_s, self.work.name(call))
        self.work.seen(call, answer)
        self._record(answer.observation)

    def _record(self, seen: Observation) -> None:
        self._keep(seen)
        self.tally.add(seen)
        stop = self.guard.see(seen)
        if stop is not None:
            self.stop(stop)
        if self._shown is not None:
            self._shown(seen)
        if seen.outcome is Outcome.CANCELLED:
            raise GreenletExit

    def _keep(self, seen: Observation) -> None:
        try:
            self.batch.add(line_of(seen))
            if seen.outcome in AT_ONCE or seen.status == 503:
                self.batch.flush()
        except OSError as error:
            self.stop(unwritten(error))

    def drain(self, most_s: float) -> None:
        """Waits until nothing flies, at most so long; what flies then is cancelled, which is recorded as well."""
        end = self.settings.now() + most_s
        while self.flights.flying and self.settings.now() < end:
            gevent.sleep(0.01)
        gevent.killall(list(self._flying), timeout=2.0)


INTERRUPTED = Stop(GuardName.INTERRUPTED, "It was interrupted.")
