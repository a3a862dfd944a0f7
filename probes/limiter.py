"""The level-aware gate that a user's own job sends through. One Limiter is one bucket, shared by all threads and tasks of a process.

    limiter = Limiter.from_run("results/...")
    client = httpx.Client(transport=limiter.transport())
    session.mount("https://", limiter.requests_adapter())

It follows the live headers, uses the bucket's credit, keeps a margin and retries nothing by itself.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from probes.admission import Turn
from probes.book.learner import CAUTIOUS_OUTFLOW_PER_S, CAUTIOUS_SHARE
from probes.book.ledger import Ledger
from probes.bucket import CANVAS, BucketSettings
from probes.buckets import bucket_of_run, ceilings_of_run, together_of_run, warns_of_run
from probes.clock import now_s
from probes.errors import RunFolderError, UsageError
from probes.hosts import Hosts
from probes.pace import Pace
from probes.runs import Run
from probes.waiters import Queue, TaskWaiter, ThreadWaiter, Waiter

if TYPE_CHECKING:
    import httpx

SHORTEST_WAIT_S = 0.001
"""The first in the queue looks at the book no more often than this."""


class Limiter:
    """A gate before one bucket. `acquire` waits until one more call cannot be refused, `release` books its answer.

    Constants in units and units/s; `known=False` takes them for a first, cautious guess and learns them from the headers.
    `max_in_flight` (calls) and `max_rate` (calls in any second) are further ceilings.
    """

    def __init__(
        self,
        high_water_mark: float = CANVAS.high_water_mark,
        outflow_per_s: float = CANVAS.outflow_per_s,
        up_front_cost: float = CANVAS.up_front_cost,
        *,
        margin: float = 2.0,
        known: bool = True,
        max_in_flight: int | None = None,
        max_rate: float | None = None,
        clock: Callable[[], float] = now_s,
    ) -> None:
        _refuse_nonsense(high_water_mark, outflow_per_s, up_front_cost, margin, max_in_flight, max_rate)
        settings = BucketSettings.of(high_water_mark, outflow_per_s, up_front_cost)
        self.ledger = Ledger(settings, known=known, margin=margin, touched_s=-math.inf)  # the clock is the loop's, which may not run yet
        self.hosts = Hosts()
        self.refused = 0
        self._max_in_flight = max_in_flight
        self._pace = Pace(max_rate)
        self._clock = clock
        self._lock = threading.RLock()
        self._waiting = Queue()
        _LIMITERS.add(self)

    @classmethod
    def canvas(cls, **options: Any) -> Limiter:
        """For a Canvas whose bucket is not known: careful at first, it learns the constants from its own calls."""
        mark = options.get("high_water_mark", CANVAS.high_water_mark)
        guess = {"high_water_mark": mark, "outflow_per_s": CAUTIOUS_OUTFLOW_PER_S, "up_front_cost": mark * CAUTIOUS_SHARE, "known": False}
        return cls(**{**guess, **options})

    @classmethod
    def from_run(cls, folder: str | Path, instance: str | None = None, **options: Any) -> Limiter:
        """With the bucket that a run estimated (the only instance, unless named) and the ceilings that its instance had then.

        Where no header told one: no more calls at one time than the run found safe, fewer after a refusal. A bucket that `--confirm`
        contradicted is not taken: warned of, and learnt anew as by `canvas`. Raises RunFolderError when the run found neither.
        """
        try:
            asked, bucket = bucket_of_run(Path(folder), instance)
        except RunFolderError as missing:
            return cls._by_refusals(Path(folder), instance, options, missing)
        ceilings = {**ceilings_of_run(Run.open(Path(folder)), asked), **options}
        return cls.canvas(**ceilings) if warns_of_run(Path(folder), asked) else cls(**{**bucket.constants, **ceilings})

    @classmethod
    def _by_refusals(cls, folder: Path, instance: str | None, options: Mapping[str, Any], missing: RunFolderError) -> Limiter:
        try:
            asked, (together, slow) = together_of_run(folder, instance)
        except RunFolderError:
            raise missing from None
        warns_of_run(folder, asked)
        slowly = {} if slow is None else {"max_rate": slow}
        limiter = cls.canvas(**{**ceilings_of_run(Run.open(folder), asked), **slowly, **options})
        limiter.ledger.expect_silence(together)
        return limiter

    def __repr__(self) -> str:
        """Its constants and how things stand, for a person."""
        with self._lock:
            bucket, now = self.ledger.settings, self._clock()
            return (
                f"<Limiter {'known' if self.ledger.known else 'learning'}: mark {bucket.high_water_mark:.5g}, outflow "
                f"{bucket.outflow_per_s:.4g}/s, reservation {bucket.up_front_cost:.4g}; level {self.ledger.level_at(now):.4g}, in flight "
                f"{self.in_flight}, waiting {len(self._waiting)} for {self._delay():.3g} s, refused {self.refused}>"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Raises TypeError: the book of one process is of no use in another, nor is a copy of it."""
        raise TypeError(
            "A Limiter belongs to one process: make one in each, with its share as max_in_flight, or send everything through one."
        )

    @property
    def in_flight(self) -> int:
        """Calls sent and not yet answered."""
        return self.ledger.unanswered

    def acquire(self) -> int:
        """Blocks the thread until one more call may be sent; the ticket to release it with."""
        waiter = ThreadWaiter()
        try:
            self._join(waiter)
            while waiter.ticket is None:
                waiter.wait(self._wait_of(waiter))
                self._pump(waiter)
        except BaseException:  # Ctrl-C while it waits
            self._leave(waiter)
            raise
        return waiter.ticket

    def ticket(self) -> Turn:
        """`acquire` for a block: `with limiter.ticket() as number`, in a coroutine `async with`.

        A ticket that the block did not release is released at its end; as lost, where an exception ends it.
        """
        return Turn(self)

    async def acquire_async(self) -> int:
        """Waits until one more call may be sent; the ticket to release it with. A cancelled wait leaves the queue."""
        waiter = TaskWaiter(asyncio.get_running_loop())
        try:
            self._join(waiter)
            while waiter.ticket is None:
                await waiter.wait(self._wait_of(waiter))
                self._pump(waiter)
        except BaseException:
            self._leave(waiter)
            raise
        return waiter.ticket

    def release(
        self,
        ticket: int,
        cost: float | str | None = None,
        remaining: float | str | None = None,
        refused: bool = False,
        retry_after_s: float | str | None = None,
        lost: bool = False,
    ) -> None:
        """Books the answer to a call: its cost and Remaining as the headers gave them (units), None where they gave none.

        What is no number counts as not given. `lost`: no answer came, the server may be at it still; without it an answer that brought
        neither cost nor Remaining is taken for such a one where others bring them.
        """
        with self._lock:
            self.refused += bool(refused) and self.ledger.holds(ticket)
            self.ledger.answer(
                ticket,
                self._clock(),
                cost=_number(cost),
                remaining=_number(remaining),
                refused=bool(refused),
                retry_after_s=_number(retry_after_s),
                lost=bool(lost),
            )
        self._pump()

    def withdraw(self, ticket: int) -> None:
        """Hands a ticket back unused: its call never left, since there was no connection, say."""
        with self._lock:
            self.ledger.unsend(ticket, self._clock())
        self._pump()

    def transport(self, inner: httpx.BaseTransport | None = None, **options: Any) -> httpx.BaseTransport:
        """An httpx transport that sends through this gate; `options` go to httpx.HTTPTransport when no inner one is given."""
        from probes.gates import sync_transport

        return sync_transport(self, inner, **options)

    def async_transport(self, inner: httpx.AsyncBaseTransport | None = None, **options: Any) -> httpx.AsyncBaseTransport:
        """The same for httpx.AsyncClient."""
        from probes.gates import async_transport

        return async_transport(self, inner, **options)

    def requests_adapter(self, **options: Any) -> Any:
        """A requests adapter that sends through this gate: `session.mount("https://", limiter.requests_adapter())`.

        `options` go to requests' HTTPAdapter; each of its `max_retries` waits for a ticket as well.
        """
        from probes.adapter import Gate

        return Gate(self, **options)

    def _join(self, waiter: Waiter) -> None:
        with self._lock:
            self._waiting.join(waiter)
        self._pump()

    def _leave(self, waiter: Waiter) -> None:
        """Takes a cancelled waiter out; a ticket it was just given is handed back unused."""
        with self._lock:
            self._waiting.leave(waiter)
        self.withdraw(-1 if waiter.ticket is None else waiter.ticket)

    def _wait_of(self, waiter: Waiter) -> float | None:
        """Seconds until the first in the queue should look again; None for everybody else whom the pump alone wakes."""
        with self._lock:
            if self._waiting.first() is not waiter:
                return self._waiting.behind_s
            return max(self._delay(), SHORTEST_WAIT_S)

    def _delay(self) -> float:
        now = self._clock()
        if self._max_in_flight is not None and self.in_flight >= self._max_in_flight:
            return self.ledger.forgotten_s(now)
        return max(self.ledger.wait_s(now), self._pace.wait_s(now))

    def _pump(self, awake: Waiter | None = None) -> None:
        """Hands out tickets in the order of asking while the bucket allows, then wakes the first that waits, unless it calls."""
        with self._lock:
            self.ledger.expire(self._clock())
            while (first := self._waiting.first()) is not None and self._delay() <= 0.0:
                self._waiting.leave(first)
                first.ticket = self.ledger.send(self._clock())
                self._pace.sent(self._clock())
                if not first.wake():
                    self.ledger.unsend(first.ticket, self._clock())
            self._waiting.wake(awake)

    def _forked(self) -> None:
        """In a child process: those who waited or hold tickets are in the parent; the level they left is as good as it was there."""
        self._lock = threading.RLock()
        self._waiting = Queue()
        self.ledger.out.clear()
        self.ledger.overdue.waiting.clear()


_LIMITERS: WeakSet[Limiter] = WeakSet()


def _after_fork() -> None:
    for limiter in tuple(_LIMITERS):
        limiter._forked()  # noqa: SLF001 - a class's own module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _refuse_nonsense(
    high_water_mark: float, outflow_per_s: float, up_front_cost: float, margin: float, max_in_flight: int | None, max_rate: float | None
) -> None:
    """Raises UsageError for options that are no numbers, or that no bucket and no ceiling can have."""
    constants = {"high_water_mark": high_water_mark, "outflow_per_s": outflow_per_s, "up_front_cost": up_front_cost, "margin": margin}
    ceilings = {name: most for name, most in (("max_in_flight", max_in_flight), ("max_rate", max_rate)) if most is not None}
    for name, given in {**constants, **ceilings}.items():
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise UsageError(f"A limiter's {name} must be a number, not {given!r}.")
    if max_rate is not None and not 0.0 < max_rate < math.inf:
        raise UsageError("max_rate must be a positive number of calls per second.")
    if not (0.0 < up_front_cost < high_water_mark < math.inf and 0.0 < outflow_per_s < math.inf):
        raise UsageError("A limiter needs 0 < up_front_cost < high_water_mark and outflow_per_s > 0, all finite.")
    if not 0.0 <= margin < high_water_mark - up_front_cost:
        raise UsageError("A limiter's margin must leave room for one call: 0 <= margin < high_water_mark - up_front_cost.")
    if max_in_flight is not None and (max_in_flight < 1 or max_in_flight != int(max_in_flight)):
        raise UsageError("max_in_flight must be a whole number of calls, 1 or more.")


def _number(value: float | str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None
