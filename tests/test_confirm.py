"""`--confirm`: Locust at the recommended rate and workers, over sockets against the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asked import place

from probes.bucket import BucketSettings
from probes.calls import Call
from probes.config import Instance, Kind
from probes.errors import UsageError
from probes.jobs import confirm as job
from probes.jobs.session import Settings
from probes.load import LoadOutcome
from probes.runs import Run
from probes.simulator.server import Served
from probes.simulator.settings import Service, SimulatorSettings

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
    """A rate that holds 20 reservations at once is refused: contradicted, stopped after a few refusals, and no worker is tried."""
    told, _ = confirmed(tmp_path, served, entry(200.0, 30))
    assert told["contradicted"] is True
    assert 2 <= told["refused"] <= 30
    assert told["calls"] < 326


@pytest.mark.slow
def test_beyond(tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where load is allowed 15 % beyond the estimate's upper end shows that the limit is real."""
    monkeypatch.setattr(job, "CLEAN_CALLS", 40)
    told, _ = confirmed(tmp_path, served, entry(40.0, 0, high=200.0), allow_load=True)
    assert told["beyond"]["rate_per_s"] == pytest.approx(230.0)
    assert told["beyond"]["refused"] >= 1
    assert (told["refused"], told["contradicted"]) == (0, False)


def outcome(requests: int, refused: int) -> LoadOutcome:
    values: dict[str, Any] = dict.fromkeys(LoadOutcome.__dataclass_fields__)
    return LoadOutcome(**{**values, "requests": requests, "refused": refused})


@pytest.mark.parametrize(
    ("requests", "refused", "contradicted"), [(326, 0, False), (326, 1, False), (60, 1, True), (326, 2, True), (652, 3, True)]
)
def test_when_an_answer_is_contradicted(requests: int, refused: int, contradicted: bool) -> None:
    """Two refusals contradict, or one among few calls; one in 326 does not."""
    told = job._document(10.0, 3, [outcome(requests, refused)], None, entry(10.0, 3))
    assert (told["calls"], told["refused"], told["contradicted"]) == (requests, refused, contradicted)


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
