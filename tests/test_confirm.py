"""`--confirm`: Locust at the recommended rate and workers, over sockets against the simulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asked import made, place

from probes.bucket import BucketSettings
from probes.calls import Call
from probes.config import Instance, Kind
from probes.errors import UsageError
from probes.jobs import confirm as job
from probes.jobs.session import Settings
from probes.load import LoadOutcome
from probes.runs import Run
from probes.simulator.server import Served
from probes.simulator.settings import Fault, Service, SimulatorSettings

CALL = Call("GET", "/api/v1/users/self")
QUIET = Settings(quiet=True)
BUCKET = BucketSettings(600.0, 800.0, 100.0, 50.0)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """Quick calls that cost next to nothing, a bucket that drains in seconds: 11 may be in flight."""
    with Served(SimulatorSettings(bucket=BUCKET, services={"*": Service(0.1, 0.05, cost_mean=0.01)}, slots=1000)) as one:
        yield one


def entry(low: float, workers: int, bound: str = "reservations", high: float | None = None) -> dict[str, Any]:
    """A rate entry that recommends `low` calls/s or so many workers."""
    number = {"value": low, "low": low, "high": high or low, "n": 100}
    constants = {"high_water_mark": 600.0, "outflow_per_s": 100.0, "up_front_cost": 50.0}
    return {
        "call": CALL.name,
        "bucket": {name: {"value": value, "low": value, "high": value, "n": 9} for name, value in constants.items()},
        "safe": {"rate_per_s": number, "in_flight": workers, "burst": 11, "bound_by": bound, "job_calls": 1000, "odds": 0.05},
        "confirmed": None,
    }


def confirmed(tmp_path: Path, served: Served, document: dict[str, Any], **more: Any) -> tuple[dict[str, Any], Run]:
    instance = Instance("sim", served.url, Kind.SIMULATED, secret=served.token, **more)
    run = Run.create(tmp_path / "results", ["rate"], [instance])
    job.confirm(QUIET, instance, [CALL], [document], run)
    return document["confirmed"], run


@pytest.mark.slow
def test_a_good_answer(tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate and workers that the bucket carries: 326 clean calls each, not contradicted; each load is noted in the run."""
    monkeypatch.setattr(job, "CLEAN_CALLS", 60)
    told, run = confirmed(tmp_path, served, entry(40.0, 5))
    assert (told["rate_per_s"], told["workers"], told["calls"], told["refused"], told["contradicted"]) == (40.0, 5, 120, 0, False)
    assert told["beyond"] is None, "the instance does not allow load beyond what is recommended"
    assert [load["requests"] for load in run.manifest["loads"]] == [60, 60]
    assert [o.scenario for o in run.observations()] == ["confirm"] * 120


@pytest.mark.slow
def test_a_bad_answer(tmp_path: Path, served: Served) -> None:
    """A rate that holds 20 reservations at once is refused: contradicted, stopped at the first refusal, and no worker is tried."""
    told, _ = confirmed(tmp_path, served, entry(200.0, 30))
    assert told["contradicted"] is True
    assert 1 <= told["refused"] <= 30
    assert told["by_workers"] is None
    assert told["calls"] < 326


@pytest.mark.slow
def test_beyond(tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where load is allowed 15 % beyond the estimate's upper end shows that the limit is real."""
    monkeypatch.setattr(job, "CLEAN_CALLS", 40)
    told, _ = confirmed(tmp_path, served, entry(40.0, 0, high=200.0), allow_load=True)
    assert told["beyond"]["rate_per_s"] == pytest.approx(230.0)
    assert told["beyond"]["refused"] >= 1
    assert (told["refused"], told["contradicted"]) == (0, False)


def outcome(requests: int, refused: int, stopped_by: str | None = None, why: str | None = None, errors: int = 0) -> LoadOutcome:
    values: dict[str, Any] = dict.fromkeys(LoadOutcome.__dataclass_fields__)
    return LoadOutcome(
        **{**values, "requests": requests, "refused": refused, "stopped_by": stopped_by, "why": why, "errors": errors, "start_s": 0.0}
    )


@pytest.mark.parametrize(
    ("requests", "refused", "contradicted"), [(326, 0, False), (326, 1, True), (60, 1, True), (326, 2, True), (652, 0, False)]
)
def test_when_an_answer_is_contradicted(requests: int, refused: int, contradicted: bool) -> None:
    """One refusal contradicts: an answer that keeps its odds meets one in at most 2 % of confirmations."""
    assert 1.0 - 0.95 ** (job.CLEAN_CALLS / 1000) < 0.02
    document = job._document(10.0, 3, [outcome(requests, refused, "refusals" if refused else None)], None, entry(10.0, 3))
    assert (document["calls"], document["refused"], document["contradicted"]) == (requests, refused, contradicted)
    assert document["ended_early"] is None


def said(outcomes: list[LoadOutcome], beyond: dict[str, Any] | None = None, **more: Any) -> list[str]:
    return job.told({**job._document(20.5, 11, outcomes, beyond, entry(20.5, 11)), "slower": False, **more})


def test_what_is_told_of_it() -> None:
    """The two loads apart, as only one went at that rate; what each shows; what came beyond the estimate."""
    (line,) = said([outcome(326, 0), outcome(326, 0)])
    assert line.startswith("  Confirmed by Locust: 326 calls at 20.5/s, 0 refused; 326 calls by 11 workers, 0 refused: not contradicted (")
    assert line.endswith("not contradicted (this cannot prove 5 % odds over a job; the model carries that).")
    assert said([outcome(187, 1, "refusals")]) == ["  Contradicted by Locust: 187 calls at 20.5/s, 1 refused."]
    assert said([outcome(326, 0), outcome(90, 2)], slower=True) == [
        "  Contradicted by Locust: 326 calls at 20.5/s, 0 refused; 90 calls by 11 workers, 2 refused.",
        "  The server slows down at 20.5/s: go slower.",
    ]
    beyond = {"rate_per_s": 23.61, "calls": 300, "refused": 14}
    assert said([outcome(326, 0)], beyond)[1:] == ["  Beyond the estimate, at 23.6/s, 14 of 300 calls refused: so the limit is real."]
    beyond = {"rate_per_s": 23.61, "calls": 1000, "refused": 0}
    assert said([outcome(326, 0)], beyond)[1:] == [
        "  Beyond the estimate, at 23.6/s, 0 of 1,000 calls refused: so the limit lies further up."
    ]


def test_a_load_that_was_stopped_confirms_nothing() -> None:
    """A load that a guard ended for errors tested nothing, and that is what is said."""
    why = "6 of the last 27 calls failed; 20 % allowed."
    assert said([outcome(27, 0, "errors", why, errors=6)]) == [
        f"  Not confirmed by Locust: 27 calls at 20.5/s, 0 refused, 6 failed. The load was stopped before it showed anything: {why}"
    ]


@pytest.mark.slow
def test_errors_end_it(tmp_path: Path) -> None:
    """Calls that fail stop the first load: neither workers nor anything faster are tried, and nothing is confirmed."""
    settings = SimulatorSettings(
        bucket=BUCKET, services={"*": Service(0.05, 0.05, cost_mean=0.01)}, faults=(Fault("edge_error", number=500),)
    )
    with Served(settings) as broken:
        document, run = confirmed(tmp_path, broken, entry(40.0, 5), allow_load=True)
    assert (document["contradicted"], document["by_workers"], document["beyond"]) == (False, None, None)
    assert document["ended_early"].endswith("calls failed; 20 % allowed.")
    assert document["at_rate"]["failed"] == document["at_rate"]["calls"] == len(list(run.observations()))


def flights(run: Run, scenario: str, seconds: float, start_s: float) -> None:
    for n in range(40):
        spread = seconds * (1.0 + 0.2 * (n % 5))
        run.append(dataclasses.replace(made(at_s=start_s + 0.1 * n, flight_s=spread), scenario=scenario))


@pytest.mark.parametrize(("seconds", "slower"), [(0.25, False), (0.6, True)])
def test_whether_the_server_keeps_its_pace(tmp_path: Path, seconds: float, slower: bool) -> None:
    """Calls of the load that fly clearly longer than those that were priced show that the server slows down at that rate."""
    run = Run.create(tmp_path / "results", ["rate"], [place("test")])
    assert job._slower(run, outcome(40, 0)) is None, "nothing to compare"
    flights(run, "throttling", 0.25, 0.0)
    flights(run, "confirm", seconds, 100.0)
    assert job._slower(run, outcome(40, 0)) is slower


def test_who_carries_the_claim() -> None:
    """Where the outflow binds, the test cannot see the limit: the twin carries the claim, and that is said."""
    assert job._document(1.0, 1, [], None, entry(1.0, 1, "outflow"))["claim_carried_by"].startswith("the twin: ")
    assert job._document(1.0, 1, [], None, entry(1.0, 1))["claim_carried_by"] == "this test and the twin"


def test_nothing_to_confirm(tmp_path: Path) -> None:
    """Entries without a safe rate are left as they are, and nothing is sent."""
    instance = place("sim")
    run = Run.create(tmp_path / "results", ["rate"], [instance])
    documents = [
        {"call": CALL.name, "safe": None, "confirmed": None},
        {**entry(1.0, 1), "safe": {**entry(1.0, 1)["safe"], "rate_per_s": None}},
    ]
    job.confirm(QUIET, instance, [CALL], documents, run)
    assert [document["confirmed"] for document in documents] == [None, None]
    assert list(run.observations()) == []


def test_what_it_will_send() -> None:
    """Beforehand: twice the clean calls for each answer, and a thousand beyond the estimate where load is allowed."""
    assert job.stated(place("sim"), 1, 1000) == (
        "--confirm sends at most 652 requests more than the budget: 326 at the rate found, 326 by the workers."
    )
    assert job.stated(place("sim", allow_load=True), 3, 100) == (
        "--confirm sends at most 3,600 requests more than the budget: 100 at the rate found, 100 by the workers, then up to 1,000 at 15 % "
        "beyond the estimate until the first refusal, as allow_load is set, for each of 3 answers."
    )


def test_where_it_is_refused() -> None:
    """An instance that does not allow load is not loaded; a simulated one is."""
    with pytest.raises(UsageError, match="which does not allow it: set allow_load = true"):
        job.refuse_to_confirm(place("beta", kind=Kind.BETA))
    job.refuse_to_confirm(place("beta", kind=Kind.BETA, allow_load=True))
    job.refuse_to_confirm(place("sim"))
    job.refuse_to_confirm(place("live", kind=Kind.PRODUCTION, allow_load=True), "live")
