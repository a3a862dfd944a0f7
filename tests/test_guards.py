from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from probes.calls import parse
from probes.config import Instance, Kind
from probes.errors import UsageError
from probes.guards import Guard, GuardLimits, GuardName, Stop, refuse_above_ceilings, refuse_unless_allowed, refuse_writes
from probes.observation import Observation, Outcome

BETA = Instance("beta", "https://school.beta.instructure.com", Kind.BETA, max_rate=20.0, max_in_flight=12, allow_load=True)
PRODUCTION = replace(BETA, name="live", kind=Kind.PRODUCTION)


def seen(
    outcome: Outcome = Outcome.OK, flight_s: float | None = 0.1, remaining: float | None = None, status: int | None = 200
) -> Observation:
    return Observation(
        "beta",
        "load",
        "GET /x",
        "GET",
        "/x",
        0.0,
        0.0,
        flight_s,
        None if flight_s is None else status,
        outcome,
        remaining=remaining,
    )


def test_one_refusal_beyond_the_allowed_stops() -> None:
    """With two refusals allowed the third stops the run, and says so."""
    guard = Guard(GuardLimits(max_refusals=2))
    assert [guard.see(seen(Outcome.THROTTLED, status=429)) for _ in range(3)] == [
        None,
        None,
        Stop(GuardName.REFUSALS, "3 calls were refused; 2 allowed."),
    ]


def test_the_first_reason_stays() -> None:
    """What comes after the first reason changes nothing."""
    guard = Guard(GuardLimits(max_refusals=0, margin=50.0))
    first = guard.see(seen(Outcome.THROTTLED, status=429))
    assert first is not None
    assert first.why == "1 call was refused; 0 allowed."
    assert guard.see(seen(remaining=10.0)) is first
    late = Guard(GuardLimits(max_requests=1, max_seconds=1.0))
    stop = late.spent(5, 9.0)
    assert stop == Stop(GuardName.REQUESTS, "5 requests were sent, which is the limit of the run.")
    assert (late.spent(6, 9.0), late.see(seen(Outcome.THROTTLED, status=429))) == (stop, stop)


def test_a_share_of_errors_stops_once_enough_were_seen() -> None:
    """Nineteen failures of nineteen say nothing yet, the twentieth does; refusals are no errors."""
    guard = Guard(GuardLimits(max_refusals=None))
    assert [guard.see(seen(Outcome.SERVER_ERROR, status=500)) for _ in range(19)] == [None] * 19
    assert guard.see(seen(Outcome.SERVER_ERROR, status=500)) == Stop(GuardName.ERRORS, "20 of the last 20 calls failed; 20 % allowed.")
    patient = Guard(GuardLimits(max_refusals=None))
    assert [patient.see(seen(Outcome.THROTTLED, status=429)) for _ in range(30)] == [None] * 30


def test_old_errors_are_forgotten() -> None:
    """Only the last answers count: errors that lie behind the window stop nothing."""
    guard = Guard(GuardLimits(window=20, max_error_share=0.2))
    outcomes = [Outcome.NOT_FOUND] * 3 + [Outcome.OK] * 20 + [Outcome.NOT_FOUND] * 4
    assert [guard.see(seen(outcome)) for outcome in outcomes] == [None] * 27
    assert guard.see(seen(Outcome.NOT_FOUND)) == Stop(GuardName.ERRORS, "5 of the last 20 calls failed; 20 % allowed.")


def test_latency_beyond_the_objective_stops() -> None:
    """More than 5 of 100 answers above the objective stop; a call without an answer counts as above it."""
    guard = Guard(GuardLimits(objective_s=1.0, max_error_share=None))
    assert [guard.see(seen(flight_s=0.9)) for _ in range(95)] == [None] * 95
    assert [guard.see(seen(flight_s=1.1)) for _ in range(4)] == [None] * 4
    assert guard.see(seen(Outcome.READ_TIMEOUT, flight_s=None)) is None
    assert guard.see(seen(flight_s=1.1)) == Stop(
        GuardName.LATENCY, "6 of the last 100 calls took longer than the objective of 1 s or brought no answer."
    )


def test_maintenance_stops_at_once() -> None:
    """A 503 stops, whatever the dialect makes of it, unless that guard is off."""
    stop = Stop(GuardName.MAINTENANCE, "The instance answered 503: it is in maintenance or overloaded.")
    assert Guard(GuardLimits()).see(seen(Outcome.MAINTENANCE, status=503)) == stop
    assert Guard(GuardLimits()).see(seen(Outcome.SERVER_ERROR, status=503)) == stop
    assert Guard(GuardLimits(maintenance=False)).see(seen(Outcome.MAINTENANCE, status=503)) is None


def test_a_budget_below_the_margin_stops() -> None:
    """Remaining at the margin is well, below it is not."""
    guard = Guard(GuardLimits(margin=50.0))
    assert guard.see(seen()) is None
    assert guard.see(seen(remaining=50.0)) is None
    assert guard.see(seen(remaining=49.5)) == Stop(GuardName.REMAINING, "The remaining budget fell to 49.5, below the margin of 50.")


def test_cancelled_requests_say_nothing() -> None:
    """What we cancelled ourselves is no error of the server."""
    guard = Guard(GuardLimits())
    assert [guard.see(seen(Outcome.CANCELLED, flight_s=None)) for _ in range(50)] == [None] * 50
    assert guard.seen == 0


def test_requests_and_seconds_in_all() -> None:
    """The limits hold before one more request is sent."""
    assert Guard(GuardLimits(max_requests=10)).spent(9, 1e9) is None
    assert Guard(GuardLimits(max_requests=10)).spent(10, 0.0) == Stop(
        GuardName.REQUESTS, "10 requests were sent, which is the limit of the run."
    )
    assert Guard(GuardLimits(max_seconds=5.0)).spent(0, 5.0) == Stop(GuardName.SECONDS, "5.0 s passed, which is the limit of the run.")


def test_limits_travel_as_json() -> None:
    """Limits are the same after they went to another process."""
    limits = GuardLimits(max_refusals=3, max_error_share=1.0, objective_s=2.0, margin=5.0, max_requests=7)
    assert GuardLimits.from_document(limits.document()) == limits


@pytest.mark.parametrize(
    ("instance", "production", "says"),
    [
        (replace(BETA, allow_load=False), None, "Instance 'beta' may not be loaded: set allow_load = true in [instances.beta]."),
        (
            replace(PRODUCTION, allow_load=False),
            "live",
            "Instance 'live' may not be loaded: set allow_load = true in [instances.live] and say --production live.",
        ),
        (PRODUCTION, None, "Instance 'live' is a production instance: repeat its name with --production live to load it."),
        (PRODUCTION, "beta", "Instance 'live' is a production instance: repeat its name with --production live to load it."),
    ],
)
def test_load_needs_permission(instance: Instance, production: str | None, says: str) -> None:
    """Load needs the configuration's word, and for production the command's as well."""
    with pytest.raises(UsageError) as error:
        refuse_unless_allowed(instance, production)
    assert str(error.value) == says


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"max_error_share": 7.0}, "between 0 and 1, not 7"),
        ({"max_error_share": float("nan")}, "between 0 and 1, not nan"),
        ({"margin": float("nan")}, "must be 0 or more, not nan"),
        ({"margin": float("inf")}, "must be 0 or more, not inf"),
        ({"max_refusals": -1}, "Refusals allowed must be 0 or more"),
        ({"max_requests": 0}, "requests in all 1 or more"),
    ],
)
def test_limits_that_make_no_sense(limits: dict[str, Any], says: str) -> None:
    """A limit that would never stop anything is refused when it is made, whoever makes it."""
    with pytest.raises(UsageError, match=says):
        GuardLimits(**limits)


def test_permission_given() -> None:
    """A beta instance that allows it, and a production instance that is named twice, may be loaded."""
    refuse_unless_allowed(BETA, None)
    refuse_unless_allowed(PRODUCTION, "live")


def test_writes_need_permission_and_a_known_task() -> None:
    """A call that writes is refused without allow_writes; a task that Canvas does not know is refused always."""
    call = parse("DELETE /api/v1/courses/1/enrollments/2?task=inactivate")
    with pytest.raises(UsageError, match="writes, which instance 'beta' does not allow: set allow_writes"):
        refuse_writes(BETA, [call])
    refuse_writes(replace(BETA, allow_writes=True), [call])
    refuse_writes(BETA, [parse("GET /api/v1/users/self")])


def test_ceilings_are_named() -> None:
    """More than a ceiling is refused with its name; as much as the ceiling is well."""
    refuse_above_ceilings(BETA, 20.0, 12)
    refuse_above_ceilings(BETA, None, None)
    with pytest.raises(UsageError, match=r"^25 requests/s is above max_rate = 20 of instance 'beta'\.$"):
        refuse_above_ceilings(BETA, 25.0, None)
    with pytest.raises(UsageError, match=r"^13 in flight is above max_in_flight = 12 of instance 'beta'\.$"):
        refuse_above_ceilings(BETA, None, 13)
