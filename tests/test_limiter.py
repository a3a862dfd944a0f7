from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from probes import Limiter
from probes.bucket import BucketSettings
from probes.buckets import bucket_of_run
from probes.clock import run_virtually
from probes.config import Instance
from probes.errors import RunFolderError, UsageError
from probes.pace import Pace
from probes.runs import Run

BUCKET = {"high_water_mark": {"value": 900.0}, "outflow_per_s": {"value": 12.0}, "up_front_cost": {"value": 30.0}}


def run_folder(tmp_path: Path, *rates: Any) -> Path:
    """A run folder whose manifest holds these rates."""
    run = Run.create(tmp_path, ["rate"], [Instance("production", "https://canvas.example")])
    if rates:
        run.note(rates=list(rates))
    return run.folder


def full(**options: Any) -> Limiter:
    """A limiter that lets two calls through at once."""
    return Limiter(**{"max_in_flight": 2, **options})


def test_constants_that_no_bucket_has() -> None:
    """A reservation beyond the mark, no outflow or an infinite mark are refused in words."""
    for mark, outflow, reservation in ((50.0, 10.0, 50.0), (600.0, 0.0, 50.0), (float("inf"), 10.0, 50.0), (600.0, 10.0, -1.0)):
        with pytest.raises(UsageError, match="A limiter needs 0 < up_front_cost < high_water_mark"):
            Limiter(mark, outflow, reservation)


def test_the_bucket_that_a_limiter_keeps_the_book_of() -> None:
    """Constants stand as given, Canvas's own where not; a bucket holds a third more than its mark, as Canvas's does."""
    assert Limiter().ledger.settings == BucketSettings(600.0, 800.0, 10.0, 50.0)
    assert Limiter(900.0, 12.0, 30.0).ledger.settings == BucketSettings(900.0, 1200.0, 12.0, 30.0)
    assert Limiter.canvas(high_water_mark=900.0).ledger.settings == BucketSettings(900.0, 1200.0, 5.0, 300.0)


def test_tickets_that_nobody_releases_fill_no_ceiling_for_ever() -> None:
    """Five minutes after they were sent calls count against `max_in_flight` no more, and a withdrawn one at once."""
    now = [0.0]
    limiter = full(clock=lambda: now[0])
    limiter.release(limiter.acquire(), cost=0.0, remaining=600.0)
    tickets = [limiter.acquire(), limiter.acquire()]
    limiter.withdraw(tickets[0])
    limiter.acquire()
    assert (limiter.in_flight, limiter._delay()) == (2, 300.0)
    now[0] = 300.0
    limiter.acquire()
    assert limiter.in_flight == 1


def test_ceilings_and_margins_that_let_nothing_through() -> None:
    """No call in flight, or a margin that leaves no room for one, are refused in words."""
    for most in (0, -1):
        with pytest.raises(UsageError, match="max_in_flight must be a whole number of calls, 1 or more"):
            Limiter(max_in_flight=most)
    for margin in (float("nan"), 1e9, -100.0, 550.0):
        with pytest.raises(UsageError, match="margin must leave room for one call"):
            Limiter(margin=margin)


def test_a_ticket_is_released_whatever_happens() -> None:
    """An exception between sending and booking leaves no call in flight for ever; what was booked in the block is booked once."""
    limiter = Limiter.canvas()
    for _ in range(3):
        with pytest.raises(ValueError, match="mine"), limiter.ticket():
            raise ValueError("mine")
    assert limiter.in_flight == 0
    known = Limiter()
    with known.ticket() as number:
        known.release(number, cost=0.3, remaining=549.7)
    assert (known.in_flight, known.ledger.hearing.headers) == (0, 1)


def test_a_block_that_fails_is_no_answer() -> None:
    """Where headers are usual eight blocks that end with an exception are lost calls, and no sign that headers stopped."""
    limiter = Limiter()
    limiter.release(limiter.acquire(), cost=0.1, remaining=600.0)
    for _ in range(8):
        with pytest.raises(TimeoutError), limiter.ticket():
            raise TimeoutError
    assert list(limiter.ledger.hearing.bare) == [False]
    assert limiter.ledger.level == pytest.approx(400.0, abs=2.0)


def test_a_block_of_a_coroutine() -> None:
    """`async with limiter.ticket()` waits without holding up the loop: another task gives the ticket back that it waits for."""
    limiter = full(max_in_flight=1)

    async def job() -> None:
        first = limiter.acquire()
        asyncio.get_running_loop().call_later(0.05, limiter.release, first, 0.1, 600.0)
        async with asyncio.timeout(2.0), limiter.ticket() as second:
            assert (first, second, limiter.in_flight) == (1, 2, 1)

    asyncio.run(job())
    assert limiter.in_flight == 0


def test_what_is_no_number_or_no_ticket() -> None:
    """Constants that are no numbers are refused in words; a ticket that is not out, and `refused=None`, change nothing."""
    wrong: tuple[tuple[str, Any], ...] = (("high_water_mark", "600"), ("max_in_flight", "5"), ("max_rate", "5"), ("margin", True))
    for name, value in wrong:
        with pytest.raises(UsageError, match=f"A limiter's {name} must be a number, not"):
            Limiter(**{name: value})
    with pytest.raises(UsageError, match="max_in_flight must be a whole number"):
        Limiter(max_in_flight=2.5)  # type: ignore[arg-type]
    limiter = Limiter.canvas(high_water_mark=700)
    limiter.release(77, refused=True)
    limiter.release(limiter.acquire(), cost=0.1, remaining=700.0, refused=None)  # type: ignore[arg-type]
    assert (limiter.refused, limiter.in_flight) == (0, 0)


def test_how_a_limiter_shows_itself() -> None:
    """Its constants, and how things stand."""
    limiter = Limiter(clock=lambda: 0.0)
    limiter.acquire()
    assert repr(limiter) == ("<Limiter known: mark 600, outflow 10/s, reservation 50; level 50, in flight 1, waiting 0 for 2 s, refused 0>")


def test_headers_may_be_given_as_they_came() -> None:
    """Text is read as the number it holds; what is no number counts as not given, and the ticket is back all the same."""
    limiter, exact = Limiter(), Limiter()
    limiter.release(limiter.acquire(), cost="0.3", remaining="549.7", retry_after_s="Wed, 21 Oct 2026 07:28:00 GMT")
    exact.release(exact.acquire(), cost=0.3, remaining=549.7)
    assert limiter.ledger.level == pytest.approx(exact.ledger.level, abs=0.05)
    assert (limiter.ledger.hearing.headers, limiter.in_flight) == (1, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork is not there on this system")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")  # that is what is tested
def test_a_forked_child_starts_with_a_queue_of_its_own() -> None:
    """A lock that a thread of the parent held, and the parent's waiters, hold up no child; the level stays."""
    limiter = full()
    limiter.release(limiter.acquire(), cost=0.1, remaining=600.0)
    for _ in range(2):
        limiter.acquire()
    waiting = threading.Thread(target=limiter.acquire, daemon=True)
    waiting.start()
    with limiter._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            level = limiter.ledger.level
            limiter.acquire()
            os._exit(0 if level > 90.0 and limiter.in_flight == 1 else 1)
        _, status = os.waitpid(child, 0)
    for ticket in tuple(limiter.ledger.out):
        limiter.release(ticket)
    waiting.join(5)
    assert os.waitstatus_to_exitcode(status) == 0


def test_in_flight_counts_tickets() -> None:
    """What was acquired and not released is in flight; a ticket released twice counts once."""
    limiter = Limiter()
    tickets = [limiter.acquire() for _ in range(3)]
    limiter.release(tickets[0], cost=0.2, remaining=500.0)
    limiter.release(tickets[0], cost=0.2, remaining=500.0)
    assert limiter.in_flight == 2


def test_tickets_in_the_order_of_asking() -> None:
    """Tasks get their tickets first come, first served."""
    order: list[int] = []

    async def ask(limiter: Limiter, number: int) -> None:
        ticket = await limiter.acquire_async()
        order.append(number)
        await asyncio.sleep(1.0)
        limiter.release(ticket, cost=0.1, remaining=550.0)

    async def main() -> None:
        limiter = full()
        await asyncio.gather(*(ask(limiter, number) for number in range(40)))

    run_virtually(main())
    assert order == list(range(40))


def test_a_cancelled_wait_loses_no_ticket() -> None:
    """Waiting tasks that are cancelled, also at the very moment when their ticket comes, leave the book as it was."""

    async def main() -> tuple[int, float]:
        limiter = full()
        held = [await limiter.acquire_async() for _ in range(2)]
        waiting = [asyncio.ensure_future(limiter.acquire_async()) for _ in range(10)]
        await asyncio.sleep(0.1)
        waiting[5].cancel()
        limiter.release(held[0], cost=0.1, remaining=550.0)  # the first one's ticket is on its way
        waiting[0].cancel()
        await asyncio.sleep(0.1)
        assert [task.done() for task in waiting[:3]] == [True, True, False]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        limiter.release(held[1], cost=0.1, remaining=550.0)
        limiter.release(waiting[1].result(), cost=0.1, remaining=550.0)
        return limiter.in_flight, await asyncio.wait_for(limiter.acquire_async(), 1.0)

    in_flight, ticket = run_virtually(main())
    assert in_flight == 0
    assert ticket > 0


@pytest.mark.untraced
def test_thousands_wait_cheaply() -> None:
    """A job of 4,000 tasks that all wait at once takes seconds of processor time, not minutes: one answer wakes one or two."""
    done = 0

    async def ask(limiter: Limiter) -> None:
        nonlocal done
        ticket = await limiter.acquire_async()
        await asyncio.sleep(0.4)
        limiter.release(ticket, cost=0.1, remaining=None)
        done += 1

    async def main() -> float:
        limiter = Limiter()
        await asyncio.gather(*(ask(limiter) for _ in range(4000)))
        return asyncio.get_running_loop().time()

    began = time.process_time()
    seconds = run_virtually(main())
    assert done == 4000
    assert seconds < 4000 * 0.4 / 11
    assert time.process_time() - began < 5.0


def test_waiting_does_not_poll() -> None:
    """While nothing can happen the first in the queue sleeps until the bucket has leaked; it looks at the book a few times."""
    looks = 0

    async def main() -> float:
        nonlocal looks
        limiter = Limiter()
        inner = limiter.ledger.wait_s

        def counted(now_s: float) -> float:
            nonlocal looks
            looks += 1
            return inner(now_s)

        object.__setattr__(limiter, "ledger", _Counting(limiter.ledger, counted))
        while limiter.in_flight < 9:
            await limiter.acquire_async()
        return asyncio.get_running_loop().time()

    assert 0.0 < run_virtually(main()) < 60.0
    assert looks < 200


class _Counting:
    """A book whose looks are counted."""

    def __init__(self, inner: Any, wait_s: Any) -> None:
        self._inner = inner
        self.wait_s = wait_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_made_before_the_loop_runs() -> None:
    """A limiter made outside a loop works in one whose clock begins at another time."""
    limiter = Limiter()

    async def main() -> float:
        for _ in range(12):
            limiter.release(await limiter.acquire_async(), cost=40.0, remaining=600.0)
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) < 12 * 40.0 / 10.0


def test_threads_and_tasks_share_one_bucket() -> None:
    """Threads and a loop's tasks together never hold more than the limiter allows, and all get their turn."""
    limiter, most, done = full(max_in_flight=3), 0, []
    lock = threading.Lock()

    def note(name: str) -> None:
        nonlocal most
        with lock:
            most = max(most, limiter.in_flight)
            done.append(name)

    def work() -> None:
        for _ in range(10):
            ticket = limiter.acquire()
            note("thread")
            time.sleep(0.002)
            limiter.release(ticket, cost=0.001, remaining=600.0)

    async def ask() -> None:
        for _ in range(10):
            ticket = await limiter.acquire_async()
            note("task")
            await asyncio.sleep(0.002)
            limiter.release(ticket, cost=0.001, remaining=600.0)

    async def main() -> None:
        await asyncio.gather(*(ask() for _ in range(4)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    asyncio.run(main())
    for thread in threads:
        thread.join(20.0)
    assert most <= 3
    assert (done.count("thread"), done.count("task"), limiter.in_flight) == (40, 40, 0)


def test_a_loop_that_was_closed_holds_nobody_up() -> None:
    """Tasks whose loop is gone lose their turn, and the others get theirs."""
    limiter = full(max_in_flight=1)
    held = limiter.acquire()
    loop = asyncio.new_event_loop()
    task = loop.create_task(limiter.acquire_async())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    limiter.release(held, cost=0.1, remaining=600.0)
    ticket = limiter.acquire()
    limiter.release(ticket, cost=0.1, remaining=600.0)
    assert limiter.in_flight == 0
    assert not task.done()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is meant to be left


def waiting_in(loop: asyncio.AbstractEventLoop, limiter: Limiter, count: int) -> list[asyncio.Task[int]]:
    """So many tasks of a loop that has stopped and is not closed wait for a ticket."""

    async def begin() -> list[asyncio.Task[int]]:
        tasks = [loop.create_task(limiter.acquire_async()) for _ in range(count)]
        await asyncio.sleep(0.01)
        return tasks

    return loop.run_until_complete(begin())


def test_a_loop_that_stands_still_holds_nobody_up() -> None:
    """Tasks of a stopped loop keep their place at the head and a thread goes past them; when the loop runs again they get their tickets."""
    limiter = full()
    held = [limiter.acquire(), limiter.acquire()]
    loop = asyncio.new_event_loop()
    tasks = waiting_in(loop, limiter, 2)
    threading.Timer(0.05, limiter.release, (held[0],), {"cost": 0.0, "remaining": 600.0}).start()
    limiter.release(limiter.acquire(), cost=0.0, remaining=600.0)
    limiter.release(held[1], cost=0.0, remaining=600.0)
    assert len(limiter._waiting) == 2
    assert sorted(loop.run_until_complete(asyncio.wait_for(asyncio.gather(*tasks), 2.0))) == [4, 5]
    loop.close()


def test_a_loop_that_stops_meanwhile_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that waits behind a task finds out by itself that the task's loop has stopped."""
    monkeypatch.setattr("probes.waiters.BEHIND_S", 0.05)
    limiter = full()
    held = [limiter.acquire(), limiter.acquire()]
    loop, got = asyncio.new_event_loop(), []
    thread = threading.Thread(target=lambda: got.append(limiter.acquire()), daemon=True)

    async def begin() -> asyncio.Task[int]:
        task = loop.create_task(limiter.acquire_async())
        await asyncio.sleep(0.01)
        thread.start()
        await asyncio.sleep(0.1)
        limiter.ledger.unsend(held[0], time.monotonic())  # room comes by itself, as by a leak: nobody is woken for it
        return task

    task = loop.run_until_complete(begin())
    thread.join(2.0)
    assert got == [3]
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()


def test_a_thread_that_holds_up_a_loop_goes_before_its_tasks() -> None:
    """A synchronous acquire inside a running loop, as in a notebook, gets the next ticket although a task of the loop came first."""

    async def job() -> tuple[int, int]:
        limiter = full()
        held = [limiter.acquire(), limiter.acquire()]
        task = asyncio.create_task(limiter.acquire_async())
        await asyncio.sleep(0.01)
        threading.Timer(0.05, limiter.release, (held[0],), {"cost": 0.0, "remaining": 600.0}).start()
        ticket = limiter.acquire()
        limiter.release(ticket, cost=0.0, remaining=600.0)
        return ticket, await task

    got: list[tuple[int, int]] = []
    thread = threading.Thread(target=lambda: got.append(asyncio.run(job())), daemon=True)
    thread.start()
    thread.join(3.0)
    assert got == [(3, 4)]


def test_a_loop_that_is_held_up_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that waits for a thread which waits behind its tasks: the thread goes past them."""
    monkeypatch.setattr("probes.waiters.BEHIND_S", 0.02)
    monkeypatch.setattr("probes.waiters.DEAF_S", 0.05)
    limiter = full(max_in_flight=1)
    first = limiter.acquire()
    got: list[int] = []

    def work() -> None:
        got.append(limiter.acquire())

    async def job() -> None:
        task = asyncio.create_task(limiter.acquire_async())
        await asyncio.sleep(0.01)
        thread = threading.Thread(target=work, daemon=True)
        threading.Timer(0.3, limiter.release, (first,), {"cost": 0.0, "remaining": 600.0}).start()
        thread.start()
        thread.join(2.0)
        assert (got, task.done()) == ([2], False)
        limiter.release(2, cost=0.0, remaining=600.0)
        assert await task == 3

    asyncio.run(job())


def test_an_interrupted_thread_leaves_the_queue() -> None:
    """A wait that ends by an exception, as Ctrl-C makes one, leaves nobody in the queue."""
    limiter = full(max_in_flight=1)
    limiter.acquire()

    def broken(_: Any) -> float:
        raise KeyboardInterrupt

    limiter._wait_of = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        limiter.acquire()
    assert len(limiter._waiting) == 0


def test_an_interrupt_while_it_joins_the_queue() -> None:
    """Ctrl-C right after a thread joined the queue leaves nobody in it: the next would wait behind it for ever."""
    limiter = full(max_in_flight=1)
    first = limiter.acquire()
    clock = limiter._clock

    def broken() -> float:
        limiter._clock = clock
        raise KeyboardInterrupt

    limiter._clock = broken
    with pytest.raises(KeyboardInterrupt):
        limiter.acquire()
    assert (len(limiter._waiting), limiter.in_flight) == (0, 1)
    limiter.release(first)


def test_refusals_are_counted_and_waited_for() -> None:
    """After a refusal with Retry-After the next call leaves when that has passed."""

    async def main() -> tuple[int, float]:
        limiter = Limiter()
        limiter.release(await limiter.acquire_async(), remaining=20.0, refused=True, retry_after_s=90.0)
        await limiter.acquire_async()
        return limiter.refused, asyncio.get_running_loop().time()

    refused, now = run_virtually(main())
    assert refused == 1
    assert now == pytest.approx(90.0, abs=0.01)


def test_from_a_run(tmp_path: Path) -> None:
    """The bucket that a run estimated; it is taken for known."""
    folder = run_folder(tmp_path, {"instance": "production", "bucket": BUCKET})
    limiter = Limiter.from_run(folder)
    settings = limiter.ledger.settings
    assert (settings.high_water_mark, settings.outflow_per_s, settings.up_front_cost) == (900.0, 12.0, 30.0)
    assert limiter.ledger.known


def test_from_a_run_that_was_contradicted(tmp_path: Path) -> None:
    """A bucket that a load contradicted is warned of, and learnt anew from the live headers."""
    half = {"calls": 10, "refused": 1}
    confirmed = {"contradicted": True, "rate_per_s": 22.1, "workers": 11, "at_rate": half}
    folder = run_folder(tmp_path, {"instance": "production", "bucket": BUCKET, "confirmed": confirmed})
    with pytest.warns(UserWarning, match="is not: 1 of 10 calls at 22.1/s was refused when it was tried. Measure again") as warned:
        limiter = Limiter.from_run(folder)
    assert warned[0].filename == __file__
    assert (limiter.ledger.known, limiter.ledger.settings) == (False, Limiter.canvas().ledger.settings)


def test_from_a_run_obeys_its_ceilings(tmp_path: Path) -> None:
    """max_in_flight and max_rate of the instance, as the run recorded them, hold in the limiter too, unless others are given."""
    place = Instance("production", "https://canvas.example", max_rate=4.0, max_in_flight=3)
    run = Run.create(tmp_path, ["rate"], [Instance("other", "https://other.example", max_rate=1.0), place])
    run.note(rates=[{"instance": "production", "bucket": BUCKET}])

    async def sent_by(limiter: Limiter, most: int) -> list[float]:
        at = []
        for _ in range(20):
            ticket = await limiter.acquire_async()
            at.append(asyncio.get_running_loop().time())
            asyncio.get_running_loop().call_later(0.1, limiter.release, ticket, 0.1, 850.0)
            assert limiter.in_flight <= most
        return at

    at = run_virtually(sent_by(Limiter.from_run(run.folder), 3))
    assert max(sum(one <= other < one + 1.0 for other in at) for one in at) == 4
    at = run_virtually(sent_by(Limiter.from_run(run.folder, max_rate=None, max_in_flight=None), 20))
    assert max(sum(one <= other < one + 1.0 for other in at) for one in at) > 15


def test_ceilings_of_a_run_that_was_edited(tmp_path: Path) -> None:
    """A safe rate that is no object, and a ceiling of 2**70 calls a second, are no ceilings."""
    run = Run.create(tmp_path, ["rate"], [Instance("test", "https://canvas.example")])
    run.note(rates=[{"instance": "test", "bucket": BUCKET, "safe": {"bound_by": "latency", "rate_per_s": 50, "in_flight": None}}])
    limiter = Limiter.from_run(run.folder, max_rate=2**70)
    limiter.release(limiter.acquire(), cost=0.1, remaining=900.0)
    assert [limiter.acquire() for _ in range(3)] == [2, 3, 4]
    assert Pace(2**70).wait_s(0.0) == 0.0


def test_rate_ceilings_that_are_none() -> None:
    """A rate ceiling that is no positive number is refused in words; one below 1 spaces the calls."""
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="max_rate must be a positive number"):
            Limiter(max_rate=rate)

    async def two() -> float:
        limiter = Limiter(max_rate=0.25)
        for _ in range(2):
            limiter.release(await limiter.acquire_async(), 0.1, 600.0)
        return asyncio.get_running_loop().time()

    assert run_virtually(two()) == pytest.approx(4.0, abs=0.01)


@pytest.mark.parametrize(("in_flight", "most", "seconds"), [(11, 11, 9.4), (40, 40, 3.0), (0, 1, 198.0)])
def test_from_a_run_without_headers(tmp_path: Path, in_flight: int, most: int, seconds: float) -> None:
    """Where refusals alone told a limit, as many calls are out as the run found safe; where not even one, no more a second than it told."""
    safe = {"in_flight": in_flight, "burst": 12, "rate_per_s": {"value": 0.6, "low": 0.5, "high": 0.7, "n": 100}, "bound_by": "refusals"}
    folder = run_folder(tmp_path, {"instance": "production", "bucket": None, "safe": safe})

    async def calls() -> tuple[int, float]:
        limiter, out = Limiter.from_run(folder), []

        async def call() -> None:
            ticket = await limiter.acquire_async()
            out.append(limiter.in_flight)
            await asyncio.sleep(1.0)
            limiter.release(ticket)

        await asyncio.gather(*(call() for _ in range(100)))
        return max(out), asyncio.get_running_loop().time()

    found, took = run_virtually(calls())
    assert found == most
    assert took == pytest.approx(seconds, rel=0.1)


def test_from_a_run_without_headers_after_a_refusal(tmp_path: Path) -> None:
    """A refusal where the run found eleven safe: never so many at one time again."""
    safe = {"in_flight": 11, "burst": 11, "rate_per_s": {"value": 9.0, "low": 8.0, "high": 9.5, "n": 100}, "bound_by": "refusals"}
    clock = [0.0]
    limiter = Limiter.from_run(run_folder(tmp_path, {"instance": "production", "bucket": None, "safe": safe}), clock=lambda: clock[0])
    tickets = [limiter.acquire() for _ in range(11)]
    limiter.release(tickets[0], refused=True)
    for ticket in tickets[1:]:
        limiter.release(ticket)
    clock[0] = 100.0
    while limiter.ledger.wait_s(clock[0]) <= 0.0:
        limiter.acquire()
    assert limiter.in_flight == 10


def test_from_a_run_with_two_buckets(tmp_path: Path) -> None:
    """With two instances one must be named; calls of one instance share one bucket."""
    other = {**BUCKET, "up_front_cost": {"value": 60.0}}
    rates = [
        {"instance": "production", "bucket": BUCKET},
        {"instance": "production", "bucket": BUCKET},
        {"instance": "beta", "bucket": other},
    ]
    folder = run_folder(tmp_path, *rates)
    with pytest.raises(RunFolderError, match="holds buckets of beta, production: name one with instance="):
        Limiter.from_run(folder)
    assert bucket_of_run(folder, "beta")[1].up_front_cost == 60.0


@pytest.mark.parametrize(
    "entry",
    [
        {"instance": "production", "bucket": None},
        {"instance": "production", "bucket": {**BUCKET, "outflow_per_s": None}},
        {"instance": "production", "bucket": {**BUCKET, "outflow_per_s": {"value": None}}},
        {"instance": "production", "bucket": {**BUCKET, "up_front_cost": {"value": 900.0}}},
        {"instance": "production"},
        "nothing",
    ],
)
def test_from_a_run_without_a_bucket(tmp_path: Path, entry: Any) -> None:
    """A bucket that the data could not carry is none: the error says what to do."""
    with pytest.raises(RunFolderError, match="holds no estimated bucket: make one with 'probes rate -i NAME'"):
        Limiter.from_run(run_folder(tmp_path, entry))


def test_from_a_run_by_an_unknown_name(tmp_path: Path) -> None:
    """The name of an instance that the run did not ask is in the error."""
    with pytest.raises(RunFolderError, match="holds no estimated bucket of 'gamma'"):
        Limiter.from_run(run_folder(tmp_path, {"instance": "production", "bucket": BUCKET}), "gamma")


def test_from_a_folder_that_is_none(tmp_path: Path) -> None:
    """A folder that is no run folder is an error of its own."""
    with pytest.raises(RunFolderError):
        Limiter.from_run(tmp_path / "nowhere")


def test_from_the_report_of_a_run(tmp_path: Path) -> None:
    """Where the manifest holds no rates those of report.json count; a broken report counts as none."""
    folder = run_folder(tmp_path)
    for broken in ("[]", '{"rates": 3}', "{"):
        (folder / "report.json").write_text(broken, encoding="utf-8")
        with pytest.raises(RunFolderError, match="no estimated bucket"):
            Limiter.from_run(folder)
    (folder / "report.json").write_text(json.dumps({"rates": [{"instance": "a", "bucket": BUCKET}]}), encoding="utf-8")
    assert Limiter.from_run(folder, "a").ledger.settings.high_water_mark == 900.0
