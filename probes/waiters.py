"""Those who wait for a limiter's ticket: a thread, or a task of some event loop."""

from __future__ import annotations

import asyncio
import threading


class Waiter:
    """One who waits for a ticket."""

    ticket: int | None = None

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
        self._loop = loop
        self._event = asyncio.Event()

    def wake(self) -> bool:
        """Lets it look again; False when its loop was closed while it waited."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._event.set()
            return True
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
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
