"""Rounds: one scenario at one instance, again and again, each on a schedule of its own; and one alone, for `/probe`.

A round holds one of WORKING places while it works, and for LENT_S at most: a slow instance gives its place back and waits on, so that it
delays no other. Two rounds of one scenario at one instance never overlap; what would is left out and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field

from probes.client import Client
from probes.config import Instance
from probes.errors import ProbesError
from probes.metrics import Metrics
from probes.observation import Observation
from probes.scenarios import Options, Scenario
from probes.wire import Wire

WORKING = 64
"""Rounds that work at the same time."""
LENT_S = 1.0
"""Longest time that a round holds its place."""
APART_S = 0.25
"""Starts of two instances lie at most so far apart; with many instances they are spread evenly over the interval."""
OPTIONS = Options(repeat=1, brief=True)
"""The exporter asks little and often."""

MakeClient = Callable[[Instance, Callable[[Observation], None]], Client]
_SINK: ContextVar[Callable[[Observation], None]] = ContextVar("_SINK")
"""Where the observations of the round at hand go; tasks that a scenario starts inherit it."""


def make_client(instance: Instance, record: Callable[[Observation], None]) -> Client:
    """A client over the network. Raises ConfigError when its token cannot be had."""
    return Client(instance, record=record, connect=Wire)


@dataclass(frozen=True, slots=True)
class Timed:
    """A scenario and every how many seconds it is asked."""

    scenario: Scenario
    every_s: float


@dataclass(slots=True)
class Place:
    """An instance with its one client, so that its ceilings hold for the schedule and for `/probe` together."""

    instance: Instance
    make: MakeClient
    token: str | None = field(repr=False)
    client: Client | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    free_at_s: float = 0.0

    @contextlib.asynccontextmanager
    async def lent(self) -> AsyncIterator[Client]:
        """The client for one round. An instance with `max_requests` gets a new one: there each round is a run, one after another."""
        if self.instance.max_requests is None:
            yield self._kept()
            return
        async with self.turn:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, self.free_at_s - loop.time()))
            async with self.make(self.instance, _record) as client:
                yield client
            rate = self.instance.max_rate or math.inf
            self.free_at_s = loop.time() + max(1.0, 1.0 / rate)

    def _kept(self) -> Client:
        if self.client is None:
            self.client = self.make(self.instance, _record)
        return self.client

    async def close(self) -> None:
        """Closes its connections."""
        if self.client is not None:
            await self.client.__aexit__(None, None, None)


@dataclass(frozen=True, slots=True)
class Ended:
    """One round: what was seen, how long it took, why it was cut short (None when it was not)."""

    observations: list[Observation]
    took_s: float
    cut: str | None = None


async def one_round(place: Place, scenario: Scenario, timeout_s: float | None = None) -> Ended:
    """Asks once; never raises for the network, the configuration or the scenario: what went wrong is told in `cut`.

    Each is awaited in a task of its own (the schedule's, the request's): whose observations they are stands in that task's context.
    """
    loop = asyncio.get_running_loop()
    seen: list[Observation] = []
    begun_s, cut = loop.time(), None
    try:
        async with asyncio.timeout(timeout_s):
            await _asked(place, scenario, seen)
    except TimeoutError:
        cut = f"it took longer than {timeout_s:g} s"
    except ProbesError as error:
        cut = str(error)
    except Exception as error:  # noqa: BLE001 # a scenario of an outside package must not end the schedule
        cut = f"scenario {scenario.name} failed: {type(error).__name__}"
    return Ended(seen, loop.time() - begun_s, cut)


async def _asked(place: Place, scenario: Scenario, seen: list[Observation]) -> None:
    _SINK.set(seen.append)
    async with place.lent() as client:
        async for _ in scenario.observe(client, OPTIONS):
            pass


def _record(observation: Observation) -> None:
    _SINK.get()(observation)


class Rounds:
    """The schedule over all instances. `say` gets a sentence when an instance's rounds begin to be cut short, and when that is over."""

    def __init__(
        self, metrics: Metrics, timed: Iterable[Timed], make: MakeClient = make_client, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.metrics = metrics
        self.places: dict[str, Place] = {}
        self._timed = tuple(timed)
        self._make = make
        self._say = say
        self._working = asyncio.Semaphore(WORKING)
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}
        self._cuts: dict[tuple[str, str], str] = {}

    async def configure(self, instances: Iterable[Instance]) -> None:
        """Goes on with these instances: those that did not change, nor their tokens, are left alone; counters of the others go on.

        Raises ConfigError, with nothing changed, when a token cannot be had.
        """
        wanted = {instance.name: (instance, instance.token()) for instance in instances}
        gone = [name for name, place in self.places.items() if wanted.get(name) != (place.instance, place.token)]
        await asyncio.gather(*(self._drop(name, forget=name not in wanted) for name in gone))
        new = [pair for name, pair in wanted.items() if name not in self.places]
        for number, (instance, token) in enumerate(new):
            self._add(Place(instance, self._make, token), number, len(new))

    async def close(self) -> None:
        """Ends all rounds; what was under way is cancelled."""
        await asyncio.gather(*(self._drop(name, forget=False) for name in list(self.places)))

    async def probe(self, name: str, scenario: Scenario, timeout_s: float) -> Ended:
        """One round outside the schedule, for a scrape that asks for it."""
        return await one_round(self.places[name], scenario, timeout_s)

    def _add(self, place: Place, number: int, count: int) -> None:
        name = place.instance.name
        self.places[name] = place
        for timed in self._timed:
            self.metrics.create(place.instance, timed.scenario.name)
            first_s = number * min(timed.every_s / count, APART_S)
            self._tasks.setdefault(name, []).append(asyncio.create_task(self._repeat(place, timed, first_s)))

    async def _drop(self, name: str, *, forget: bool) -> None:
        place, tasks = self.places.pop(name), self._tasks.pop(name, [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await place.close()
        if forget:
            self.metrics.forget(name)

    async def _repeat(self, place: Place, timed: Timed, first_s: float) -> None:
        """Round n is due at first_s + n * every_s; rounds that were due while one ran are left out and counted."""
        loop = asyncio.get_running_loop()
        origin_s, number = loop.time() + first_s, 0
        while True:
            await asyncio.sleep(max(0.0, origin_s + number * timed.every_s - loop.time()))
            await self._round(place, timed.scenario)
            following = max(number + 1, math.ceil((loop.time() - origin_s) / timed.every_s - 1e-9))
            self.metrics.missed.labels(place.instance.name, timed.scenario.name).inc(following - number - 1)
            number = following

    async def _round(self, place: Place, scenario: Scenario) -> None:
        await self._working.acquire()
        lent = [self._working]

        def give_back() -> None:
            if lent:
                lent.pop().release()

        late = asyncio.get_running_loop().call_later(LENT_S, give_back)
        try:
            ended = await one_round(place, scenario)
        finally:
            late.cancel()
            give_back()
        for observation in ended.observations:
            self.metrics.observe(observation)
        self.metrics.conclude(place.instance.name, scenario.name, ended.observations, ended.took_s, time.time())
        self._tell(place.instance.name, scenario.name, ended.cut)

    def _tell(self, name: str, scenario: str, cut: str | None) -> None:
        """Says a change once, not every round."""
        before = self._cuts.pop((name, scenario), None)
        if cut is not None:
            self._cuts[name, scenario] = cut
        if cut != before:
            self._say(f"{name}, {scenario}: {cut or 'goes on as it should.'}")
