from __future__ import annotations

import asyncio
import time

import pytest

from probes.clock import now_s, run, run_virtually


def test_hours_pass_in_no_time() -> None:
    """A day of sleeping takes no time, and every timer is exact."""

    async def day() -> list[float]:
        loop = asyncio.get_running_loop()
        seen = [loop.time()]
        for _ in range(24):
            await asyncio.sleep(3600.0)
            seen.append(loop.time())
        return seen

    started = time.perf_counter()
    assert run_virtually(day()) == [3600.0 * n for n in range(25)]
    assert time.perf_counter() - started < 5.0


def test_tasks_interleave_in_the_order_of_their_timers() -> None:
    """Tasks wake in the order of their timers, as in real time."""
    seen: list[tuple[float, str]] = []

    async def ticks(name: str, every_s: float) -> None:
        for _ in range(3):
            await asyncio.sleep(every_s)
            seen.append((asyncio.get_running_loop().time(), name))

    async def both() -> None:
        await asyncio.gather(ticks("slow", 2.0), ticks("quick", 0.75))

    run_virtually(both())
    assert seen == [(0.75, "quick"), (1.5, "quick"), (2.0, "slow"), (2.25, "quick"), (4.0, "slow"), (6.0, "slow")]


def test_time_limits_strike() -> None:
    """`wait_for` and `timeout` end what takes longer, at the exact instant."""

    async def limited() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(100.0), 1.5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.sleep(100.0)
        return asyncio.get_running_loop().time()

    assert run_virtually(limited()) == 4.0


def test_waiting_for_what_cannot_come_is_an_error() -> None:
    """Where nothing is due and nothing can become ready, a real loop would hang: this one says so."""
    with pytest.raises(RuntimeError, match=r"^virtual time: nothing is due and nothing can become ready$"):
        run_virtually(asyncio.Event().wait())


def test_what_is_raised_comes_out() -> None:
    """An exception of the coroutine reaches the caller."""

    async def fails() -> None:
        await asyncio.sleep(1.0)
        raise ValueError("x")

    with pytest.raises(ValueError, match=r"^x$"):
        run_virtually(fails())


def test_callbacks_from_threads_are_seen() -> None:
    """What another thread hands in wakes the loop before its clock jumps further."""

    async def handed_in() -> str:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str] = loop.create_future()
        loop.call_soon_threadsafe(done.set_result, "here")
        return await asyncio.wait_for(done, 10.0)

    assert run_virtually(handed_in()) == "here"


def test_one_clock_everywhere() -> None:
    """Loops of ours, loops of others and threads tell the same instant, that of `perf_counter`; a virtual loop tells its own."""

    async def told() -> tuple[float, float]:
        return asyncio.get_running_loop().time(), now_s()

    before = time.perf_counter()
    instants = [*run(told()), asyncio.run(told())[1], now_s(), time.perf_counter()]
    assert before <= instants[0]
    assert instants == sorted(instants)
    assert run_virtually(told()) == (0.0, 0.0)
