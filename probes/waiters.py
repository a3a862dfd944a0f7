"""Those who wait for a limiter's ticket: a thread, or a task of some event loop; and their queue."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, OrderedDict

DEAF_S = 0.5
"""A task that has not looked again so long after it was woken sits in a loop that something else holds up."""
BEHIND_S = 0.5
"""Those behind in a queue of several loops look so often whether the loop of the first still runs."""


class Waiter:
    """One who waits for a ticket."""

    ticket: int | None = None
    loop: asyncio.AbstractEventLoop | None = None
    """The loop that it waits in; None for a thread."""

    def there(self) -> bool:
        """Whether it could make use of a ticket now."""
        return True

    def wake(self) -> bool:
        """Lets it look again; False when nobody is there any more."""
        raise NotImplementedError


class ThreadWaiter(Waiter):
    """A thread that waits."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def wake(self) -> bool:
        """Lets it look again; a thread is always there."""
        self._event.set()
        return True

    def wait(self, seconds: float | None) -> None:
        """Until it is woken, `seconds` at most (None: for as long as it takes)."""
        if self.ticket is None:
            self._event.wait(seconds)
            self._event.clear()


class TaskWaiter(Waiter):
    """A task of `loop` that waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self._event = asyncio.Event()
        self._woken_s: float | None = None

    def there(self) -> bool:
        """Not while its loop stands still, or is held up; one that was closed is found out when it is woken."""
        deaf = self._woken_s is not None and time.perf_counter() - self._woken_s > DEAF_S
        return self.loop.is_closed() or (self.loop.is_running() and not deaf)

    def wake(self) -> bool:
        """Lets it look again; False when its loop was closed while it waited."""
        if self.loop.is_closed():
            return False
        if self._woken_s is None:
            self._woken_s = time.perf_counter()
            return self._call()
        return True

    def _call(self) -> bool:
        if _running() is self.loop:
            self._event.set()
            return True
        try:
            self.loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # closed meanwhile
            return False
        return True

    async def wait(self, seconds: float | None) -> None:
        """Until it is woken, `seconds` at most (None: for as long as it takes)."""
        if self.ticket is not None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            pass
        self._event.clear()
        self._woken_s = None


class Queue:
    """Those who wait, in the order of asking. Not locked: its owner does that."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Waiter, None] = OrderedDict()
        self._loops: Counter[asyncio.AbstractEventLoop | None] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, waiter: Waiter) -> None:
        """At the end; but a thread that holds up a loop goes first, since the tasks of that loop cannot go before it."""
        self._waiting[waiter] = None
        self._loops[waiter.loop] += 1
        if waiter.loop is None and _running() is not None:
            self._waiting.move_to_end(waiter, last=False)

    def leave(self, waiter: Waiter) -> None:
        """Takes it out, if it is still there."""
        if waiter in self._waiting:
            del self._waiting[waiter]
            self._loops[waiter.loop] -= 1
            self._loops += Counter()  # those of whom none waits are forgotten, and with them their loop

    def first(self) -> Waiter | None:
        """The first that can go; those whose loop stands still keep their place."""
        return next((waiter for waiter in self._waiting if waiter.there()), None)

    def wake(self, awake: Waiter | None) -> None:
        """Wakes the first that can go, unless it is `awake`, and those before it for when their loop runs again."""
        gone = []
        for waiter in self._waiting:
            there = waiter.there()
            if waiter is not awake and not waiter.wake():
                gone.append(waiter)
            elif there:
                break
        for waiter in gone:
            self.leave(waiter)

    @property
    def behind_s(self) -> float | None:
        """How often those behind look, seconds; None where only threads wait, or one loop's tasks: a pump wakes them."""
        return BEHIND_S if len(self._loops) > 1 else None


def _running() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
