"""Why asking stopped before its budget was spent."""

from __future__ import annotations

from typing import Any

import pytest
from asked import lost, made

from probes.endings import ended_early, out_of_time
from probes.observation import Observation, Outcome


def several(count: int, **more: Any) -> list[Observation]:
    return [made(at_s=float(n), **{"remaining": 600.0, **more}) for n in range(count)]


BAD = {"status": 500, "outcome": Outcome.SERVER_ERROR}
UNKNOWN_TOKEN = {"status": 401, "outcome": Outcome.UNAUTHORIZED}
DOWN = {"status": 503, "outcome": Outcome.MAINTENANCE, "remaining": None}
REFUSED = {"status": 429, "outcome": Outcome.THROTTLED}
CASES: dict[str, tuple[list[Observation], str, str]] = {
    "failures in a row": (
        [*several(2, **BAD), *several(28), *several(4, **BAD)],
        "failing",
        "Asking stopped after 34 of 400 calls: 4 in a row failed, 6 in all (500 6 times).",
    ),
    "answers that were on their way when calls failed": (
        [*several(20), *several(3, status=502, outcome=Outcome.GATEWAY_ERROR), *several(2), lost(Outcome.CONNECT_ERROR), *several(1)],
        "failing",
        "Asking stopped after 27 of 400 calls: 3 in a row failed, 4 in all (502 3 times, connect_error once).",
    ),
    "pages in place of JSON": (
        [*several(80), *several(4, outcome=Outcome.PROTOCOL_ERROR)],
        "failing",
        "Asking stopped after 84 of 400 calls: 4 in a row failed, 4 in all (protocol_error 4 times).",
    ),
    "a token that ended": (
        [*several(99), *(made(at_s=100.0 + n, **UNKNOWN_TOKEN) for n in range(5)), made(at_s=99.0, flight_s=9.0)],
        "credentials_ended",
        "Asking stopped after 105 of 400 calls: from the 101st on the credentials were refused (401).",
    ),
    "maintenance": (
        [*several(3), *several(1, **DOWN)],
        "maintenance",
        "Asking stopped after 4 of 400 calls: 1 of them was answered 503, maintenance or a refresh.",
    ),
    "calls that were on their way when maintenance began": (
        [*several(3), made(at_s=3.0, **DOWN), *(made(at_s=2.0 + n / 10.0, flight_s=2.0) for n in range(8))],
        "maintenance",
        "Asking stopped after 12 of 400 calls: 1 of them was answered 503, maintenance or a refresh.",
    ),
    "headers that stopped": (
        [*several(86), *several(20, remaining=None)],
        "headers_ended",
        "Asking stopped after 106 of 400 calls: none of the last 20 answers carried a budget header, as others before them had.",
    ),
    "refusals": (
        [*several(5), *several(3, **REFUSED)],
        "refusals_ended",
        "Asking stopped after 8 of 400 calls: 3 of them were refused for the rate limit.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_why(case: str) -> None:
    """What ended the asking is said with its numbers, and how much of the budget was asked."""
    seen, kind, says = CASES[case]
    sign = ended_early(seen, 400)
    assert sign is not None
    assert (sign.kind, sign.says) == (kind, says)


@pytest.mark.parametrize("case", CASES)
def test_a_budget_that_was_spent(case: str) -> None:
    """Where all of the budget was asked nothing ended it early, however the last calls ended."""
    seen, _, _ = CASES[case]
    assert ended_early(seen, len(seen)) is None


@pytest.mark.parametrize(
    "seen",
    [
        [],
        several(60),
        [*several(30), *several(2, **BAD), *several(30)],
        [*several(3, **BAD), *several(40)],
        [*several(20, remaining=None), *several(3, remaining=None, **REFUSED)],
        [*several(1, **DOWN), *several(10)],
    ],
    ids=["nothing", "all well", "two failures", "long ago", "refusals that were asked for", "maintenance that ended"],
)
def test_when_enough_was_known(seen: list[Observation]) -> None:
    """Asking that ended by itself is not said to have been stopped."""
    assert ended_early(seen, 400) is None


def test_out_of_time() -> None:
    """Asking that its time cut short says how long it would have to go on; not where nine of ten calls of the budget were made."""
    sign = out_of_time(several(105), 400, 300.0)
    assert sign is not None
    assert sign.kind == "time_spent"
    assert sign.says == "Asking ended after 5 min, with 105 of 400 calls made: --for 20m tells it more closely."
    assert out_of_time(several(360), 400, 300.0) is None
    assert out_of_time([], 400, 300.0) is None
