"""Which clock instants are read from: `time.perf_counter()`, everywhere; and event loops that go by it, or by one that jumps.

On Linux and macOS it is the clock of `time.monotonic()`, which on Windows, before Python 3.13, stands still for 16 ms at a time. All
processes of a machine agree on it. Code in an event loop reads `loop.time()`.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from probes.system import keep_time

if sys.platform == "win32":
    from asyncio import ProactorEventLoop as SystemLoop
else:
    from asyncio import SelectorEventLoop as SystemLoop

T = TypeVar("T")


class Loop(SystemLoop):
    """The system's own event loop, whose `time()` is `time.perf_counter()`."""

    def __init__(self) -> None:
        super().__init__()
        self._clock_resolution = time.get_clock_info("perf_counter").resolution  # no timer comes before its time by more

    def time(self) -> float:
        """Seconds of the clock that everything is measured by."""
        return time.perf_counter()


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in such a loop, whose timers are as punctual as the system can be."""
    keep_time()
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main)


def now_s() -> float:
    """The instant, wherever this is asked: in a thread, in a loop of anybody's; in a virtual loop its own."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return time.perf_counter()
    return loop.time() if isinstance(loop, VirtualLoop) else time.perf_counter()


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that never sleeps: where it would wait it moves the loop's clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("virtual time: nothing is due and nothing can become ready")
            self.now_s += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer: hours of waiting in milliseconds, every timer exact. `time()` starts at 0.

    For applications in this process only (httpx over its ASGI transport, the simulator): while a real socket or a thread is outstanding
    the clock would jump past it.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._jumping.now_s


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` on a loop whose clock jumps; what it returns or raises."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
