"""What the experiment behind `probes diagnose` makes of a bucket that is not empty when it starts, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from probes.calls import Call
from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance, Kind
from probes.diagnosis import Job, Surroundings, diagnose
from probes.jobs.diagnose import measure
from probes.observation import Observation, Outcome
from probes.runs import Run
from probes.scenarios.suspects import LOOKS

SELF = Call("GET", "/api/v1/users/self")
INSTANCE = Instance("test", "http://127.0.0.1:9", Kind.SIMULATED, secret="t")


def seen(place: Path, level: Callable[[float], float]) -> list[Observation]:
    """What is seen of a bucket of 600 units whose level is `level(seconds)` beside our own calls, each of which takes 0.1 s."""

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.1)
        filled = 0.0 if request.url.path == "/health_check.json" else level(asyncio.get_running_loop().time())
        return httpx.Response(
            429 if filled >= 600.0 else 200,
            json={"id": 1},
            headers={"X-Rate-Limit-Remaining": f"{600.0 - filled}", "X-Request-Cost": "0.05", "X-Runtime": "0.1"},
        )

    async def all_of_it() -> None:
        await measure(run, [INSTANCE], [SELF], None, lambda one, run: Client(one, record=run.append, transport=way, origin_s=0.0))

    way, run = httpx.MockTransport(answer), Run.create(place, ["diagnose"], [INSTANCE])
    run_virtually(all_of_it())
    return list(run.observations())


def left(units: float, leak_per_s: float = 10.0) -> Callable[[float], float]:
    """What something before left there, and what of it is there still."""
    return lambda at_s: max(0.0, units - leak_per_s * at_s)


def neighbour(at_s: float) -> float:
    """One call after another, each holding 50 units, which leak: until the bucket is empty as one ends and the next one starts anew."""
    return 50.0 - 10.0 * ((at_s + 0.7) % 4.7)


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("level", "kinds", "looks"),
    [
        (neighbour, ["shared_token"], LOOKS),
        (lambda _: 0.0, [], 0),
        (left(60.0), [], 3),
        (left(60.0, 7.0), [], 3),
        (left(300.0), [], 2),
        (left(5.0), [], 0),
        (lambda at_s: 600.0 if 0.5 < at_s < 0.7 else 60.0, ["throttle"], 0),
    ],
    ids=[
        "a job beside ours",
        "nothing",
        "left before",
        "left before in a slow bucket",
        "left before, much",
        "left before, soon gone",
        "a refusal",
    ],
)
def test_a_neighbour_is_told_from_what_was_left(tmp_path: Path, level: Callable[[float], float], kinds: list[str], looks: int) -> None:
    """What was left falls and is gone when looked at again; what another job holds is there again. After a refusal nobody looks."""
    found = seen(tmp_path, level)
    assert [cause.kind for cause in diagnose(found, Job((SELF.name,), total=1), Surroundings())] == kinds
    assert sum(o.facts["phase"] == "again" for o in found) == looks


def test_a_server_that_hangs_is_given_up_soon(tmp_path: Path) -> None:
    """Where nothing ever answers one long wait is enough, however many calls were asked for: 50 s with a timeout of 2 s and three calls."""

    async def hang(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(1000.0)
        raise AssertionError

    async def all_of_it() -> float:
        calls = [SELF, Call("GET", "/a"), Call("GET", "/b")]
        await measure(run, [INSTANCE], calls, 2.0, lambda one, run: Client(one, record=run.append, transport=way, origin_s=0.0))
        return asyncio.get_running_loop().time()

    way, run = httpx.MockTransport(hang), Run.create(tmp_path, ["diagnose"], [INSTANCE])
    assert run_virtually(all_of_it()) == pytest.approx(8.0 + 3 * 2 * 2.0 + 30.0, abs=0.1)
    assert [o.outcome for o in run.observations()] == [Outcome.READ_TIMEOUT] * 8


@pytest.mark.parametrize(
    ("level", "rest_s", "looks"),
    [
        (neighbour, 5.0, LOOKS),
        (left(60.0), 1.5 * 39.0 / 10.0, 3),
        (left(60.0, 7.0), 1.5 * 45.3 / 7.0, 3),
        (left(300.0), 15.0, 2),
        (lambda at_s: left(60.0)(at_s) + 0.1 * at_s % 1.0, 1.5 * 39.2 / 9.9, 3),
    ],
    ids=["hardly filled", "leaks 10 a second", "leaks 7 a second", "longer than it waits", "a level that is never still"],
)
def test_when_it_looks_again(tmp_path: Path, level: Callable[[float], float], rest_s: float, looks: int) -> None:
    """After half as long again as what stood there needs to leak, 5 s at least and 15 s at most, then every second."""
    found = seen(tmp_path, level)
    again = [o for o in found if o.facts["phase"] == "again"]
    ends = [o.received_s or 0.0 for o in found][-looks - 1 :]
    waits = [(o.sent_s or 0.0) - end for o, end in zip(again, ends, strict=False)]
    assert waits == pytest.approx([rest_s, *[1.0] * (looks - 1)], abs=0.01)


@pytest.mark.parametrize(
    ("slots", "hangs", "kinds", "seconds"),
    [(1, 0, ["capacity", "timeout_too_short"], 22.6), (99, 5, ["network"], 41.6)],
    ids=["one slot", "every fifth call hangs"],
)
def test_late_together(tmp_path: Path, slots: int, hangs: int, kinds: list[str], seconds: float) -> None:
    """Calls that are late in a group are waited for in the next ones: a queue shows itself as one. Calls that hang are waited for once."""
    free, met = asyncio.Semaphore(slots), [0]

    async def answer(request: httpx.Request) -> httpx.Response:
        met[0] += request.url.path == SELF.path
        if hangs and met[0] > 10 and met[0] % hangs == 0:
            await asyncio.sleep(1000.0)
        async with free:
            await asyncio.sleep(0.4)
        return httpx.Response(200, json={"id": 1}, headers={"X-Rate-Limit-Remaining": "600.0", "X-Request-Cost": "0.05"})

    async def all_of_it() -> float:
        await measure(run, [INSTANCE], [SELF], 1.0, lambda one, run: Client(one, record=run.append, transport=way, origin_s=0.0))
        return asyncio.get_running_loop().time()

    way, run = httpx.MockTransport(answer), Run.create(tmp_path, ["diagnose"], [INSTANCE])
    took_s = run_virtually(all_of_it())
    found = diagnose(list(run.observations()), Job((SELF.name,), timeout_s=1.0), Surroundings())
    assert sorted(cause.kind for cause in found) == kinds
    assert took_s == pytest.approx(seconds, abs=0.1)
    assert all({"phase", "together"} <= set(o.facts) for o in run.observations())
