"""`probes rate` as a user gives it: over sockets once, else in virtual time against the simulator."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import signal
import time
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from asked import place
from commanded import command, configured
from test_diagnose import Server
from worlds import observed

from probes.calls import Call
from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance, Kind
from probes.design import Design
from probes.errors import GuardStop, ProbesError, RunFolderError
from probes.jobs import plan as plan_job
from probes.jobs import rate as job
from probes.jobs.rate_asking import may_be_refused, telling
from probes.jobs.session import Settings, Told
from probes.observation import Observation, Outcome
from probes.runs import Run
from probes.simulator.app import create_app
from probes.simulator.network import in_process
from probes.simulator.profiles import profile
from probes.simulator.settings import Fault, Service, SimulatorSettings
from probes.wording import rounded_down

SCHEMA = json.loads((Path(job.__file__).parents[1] / "schemas" / "rate-1.json").read_text(encoding="utf-8"))
SELF = Call("GET", "/api/v1/users/self")
QUIET = Settings(quiet=True)
SHORT = 300
"""Calls of a job."""
QUICK = SimulatorSettings(services={"*": Service(0.2, 0.3, cost_mean=0.6)}, slots=1000)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What one `rate` came to in virtual time."""

    measured: job.Measured
    run: Run
    seen: list[Observation]
    instance: Instance
    documents: list[dict[str, Any]]

    @property
    def entry(self) -> dict[str, Any]:
        """The only call's entry."""
        (one,) = self.documents
        return one

    @cached_property
    def told(self) -> Told:
        """Document, text and findings, its report written."""
        told = job.concluded(self.run, self.instance, self.documents, self.measured)
        jsonschema.validate(json.loads(json.dumps(told.document)), SCHEMA)
        return told

    @property
    def refused(self) -> int:
        """Calls that were refused."""
        return sum(o.outcome is Outcome.THROTTLED for o in self.seen)

    @property
    def signs(self) -> list[str]:
        """Kinds of its signs."""
        return [sign["kind"] for sign in self.entry["signs"]]


def rated(
    tmp_path: Path,
    settings: SimulatorSettings = QUICK,
    budget: int = 120,
    calls: tuple[Call, ...] = (SELF,),
    said: Settings = QUIET,
    append: Callable[[Run, Observation], None] = Run.append,
    job_calls: int = SHORT,
    **more: Any,
) -> Asked:
    """`rate` against the simulator in virtual time; `said` may let it talk, `append` is what becomes of an observation.

    The rate is for a job of `job_calls`: a short one is replayed in a fraction of the time, and all but the numbers is the same.
    """
    instance = place("test", **more)
    run = Run.create(tmp_path / "results", ["rate"], [instance])
    app = create_app(settings)

    def make(one: Instance, folder: Run) -> Client:
        return Client(one, record=partial(append, folder), transport=in_process(app, 0.04, 0.001), origin_s=0.0)

    asked = job.Asked(["test"], [], budget=budget, job=job_calls)
    measured = run_virtually(job.measure(said, instance, calls, asked, run, make))
    seen = list(run.observations())
    documents = job.documents_of(measured, seen, calls, job_calls, instance)
    return Asked(measured, run, seen, instance, documents)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """What all that is asked by default comes to."""
    return rated(tmp_path_factory.mktemp("plain"), job_calls=1000)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """The same under a ceiling of one call at a time."""
    return rated(tmp_path_factory.mktemp("one"), budget=40, max_in_flight=1)


@pytest.mark.untraced
def test_against_the_simulator(plain: Asked) -> None:
    """Client, scenario, design and estimate together: the simulator's bucket exactly, within the budget, no refusal; all of it noted."""
    bucket = {name: number["value"] for name, number in plain.entry["bucket"].items()}
    assert bucket == {
        name: pytest.approx(value, rel=0.003) for name, value in [("high_water_mark", 600), ("outflow_per_s", 10), ("up_front_cost", 50)]
    }
    assert plain.entry["regime"] == "headers"
    assert plain.entry["safe"]["burst"] == 11
    assert plain.entry["cost"]["value"] == pytest.approx(0.6, rel=0.15)
    spent = plain.told.document["spent"]
    assert (spent["requests"], spent["refused"], len(plain.seen)) == (120, 0, 120)
    assert spent["identify"]["requests"] <= 60
    assert plain.run.manifest["rates"] == [{"instance": "test", **plain.entry}]
    assert (plain.run.folder / "report.html").is_file()


def test_text(plain: Asked) -> None:
    """For a person: the recommendation first, which is the low end; then the estimate, workers, bucket, what was spent, what to do next."""
    rate, lines = plain.entry["safe"]["rate_per_s"], plain.told.text.splitlines()
    assert (
        lines[0] == f"test: GET /api/v1/users/self: go at {rounded_down(rate['low'])} calls/s, bound by {plain.entry['safe']['bound_by']}."
    )
    assert lines[1].startswith(f"  Best estimate {rate['value']:.3g} [{rounded_down(rate['low'])} .. {rate['high']:.3g}], n ")
    assert lines[2] == f"  Or {plain.entry['safe']['in_flight']} workers without pause; at one instant at most 11 calls."
    assert lines[3] == "  Bucket: mark 600, reservation 50, outflow/s 10." or lines[3].startswith(
        "  Bucket: mark 600, reservation 50, outflow/s 9.99"
    )
    assert lines[-1] == f"Next: probes plan {plain.run.folder} --calls 10000"


@pytest.mark.untraced
def test_long_pricing_is_announced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once the bucket is known it is said, once, how long pricing takes, where that is long."""
    settings = QUICK.changed(services={"*": Service(1.0, 0.3, cost_mean=5.0)})
    one = rated(tmp_path, settings, 90, said=Settings())
    line = re.fullmatch(r"The bucket is known after (\d+) calls; pricing takes about (\d+) s more\.\n", capsys.readouterr().err)
    assert line is not None
    requests, seconds = one.told.document["spent"]["identify"].values()
    assert int(line[1]) == requests
    assert int(line[2]) == pytest.approx(one.measured.seconds - seconds, rel=0.25)
    rated(tmp_path, budget=70, said=Settings())
    assert capsys.readouterr().err == "", "short pricing speaks for itself"


def test_a_wait_for_the_bucket_is_announced() -> None:
    """How long a bucket that other calls had filled is waited for is said before the wait."""
    said: list[str] = []
    decide = telling(Design((SELF,)), said.append)
    seen = [observed(n, n + 0.5, remaining=400.0 + 9.5 * n, cost=0.5) for n in range(2)]
    decide(seen[:1])
    assert said == []
    decide(seen)
    assert said == ["The bucket still drains what other calls left in it: waiting 19 s until it is at rest."]


@pytest.mark.untraced
def test_several_calls(tmp_path: Path) -> None:
    """Several calls share one bucket: identified once, each priced; a call named twice has one entry."""
    dear = Call("GET", "/api/v1/courses")
    settings = QUICK.changed(
        services={"GET /api/v1/users/self": Service(0.2, 0.3, cost_mean=0.2), "GET /api/v1/courses": Service(0.4, 0.3, cost_mean=3.0)}
    )
    one = rated(tmp_path, settings, 110, (SELF, dear, SELF))
    entries = one.told.document["calls"]
    assert [entry["call"] for entry in entries] == [SELF.name, dear.name]
    assert entries[0]["bucket"] == entries[1]["bucket"]
    assert entries[1]["cost"]["value"] > 5 * entries[0]["cost"]["value"]
    assert entries[1]["safe"]["rate_per_s"]["low"] < entries[0]["safe"]["rate_per_s"]["low"]


@pytest.mark.untraced
def test_weights(tmp_path: Path) -> None:
    """Calls of a file are made by their weights; the job they make up has a rate of its own in `mix`, between those of its calls."""
    file = tmp_path / "calls.txt"
    file.write_text(f"9 {SELF.name}\n1 GET /api/v1/courses\n", encoding="utf-8")
    settings = QUICK.changed(
        services={"GET /api/v1/users/self": Service(0.2, 0.3, cost_mean=0.2), "GET /api/v1/courses": Service(0.4, 0.3, cost_mean=8.0)}
    )
    one = rated(tmp_path, settings, 200, job._calls(place("w"), job.Asked(["w"], [], file, budget=200)))
    document = one.told.document
    mix, (often, rare) = document["mix"], document["calls"]
    assert [o.call for o in one.seen].count("GET /api/v1/courses") == pytest.approx(20, abs=1)
    assert (mix["call"], mix["mix"]) == (
        "mix of 2 calls: 90 % GET /api/v1/users/self, 10 % GET /api/v1/courses",
        {SELF.name: 0.9, "GET /api/v1/courses": 0.1},
    )
    assert mix["cost"]["value"] == pytest.approx(0.9 * often["cost"]["value"] + 0.1 * rare["cost"]["value"], rel=0.05)
    assert rare["safe"]["rate_per_s"]["value"] < 0.7 * mix["safe"]["rate_per_s"]["value"] < 0.9 * often["safe"]["rate_per_s"]["value"]
    assert one.told.text.startswith(f"test: {mix['call']}: go at {rounded_down(mix['safe']['rate_per_s']['low'])} calls/s")
    planned = plan_job.do(Settings(config=None, quiet=True), one.run.folder, SHORT, None, False)[0].document
    even = next(strategy for strategy in planned["strategies"] if strategy["name"] == "even_rate")
    assert even["rate_per_s"] == pytest.approx(mix["safe"]["rate_per_s"]["low"], rel=0.02)


@pytest.mark.untraced
def test_thousands_of_lines(tmp_path: Path) -> None:
    """A calls file whose thousands of lines differ in ids only is priced as two kinds, drawn from all over it, in its proportions."""
    file = tmp_path / "calls.txt"
    lines = [f"GET /api/v1/users/{number}/profile" for number in range(1, 231)] * 10
    lines += [f"GET /api/v1/courses/{1 + number % 26}/sections" for number in range(600)]
    file.write_text("\n".join(lines), encoding="utf-8")
    calls = job._calls(place("w"), job.Asked(["w"], [], file, budget=100))
    one = rated(tmp_path, QUICK, 100, calls)
    assert [(entry["call"], entry["safe"] is not None) for entry in one.told.document["calls"]] == [
        ("GET /api/v1/users/:id/profile", True),
        ("GET /api/v1/courses/:id/sections", True),
    ]
    profiles = [o.path for o in one.seen if o.call == "GET /api/v1/users/:id/profile"]
    assert len(profiles) == pytest.approx(len(one.seen) * 2300 / 2900, abs=3)
    assert len(set(profiles)) > 60
    assert max(int(path.split("/")[4]) for path in profiles) > 200


def header(name: str, text: str, every: int) -> SimulatorSettings:
    return QUICK.changed(faults=(Fault("header", header=name, text=text, every=every),))


def right_or_unknown(entry: dict[str, Any]) -> bool:
    """Whether every constant that is told is right to 2 %."""
    truth = {"high_water_mark": 600.0, "outflow_per_s": 10.0, "up_front_cost": 50.0}
    told = entry["bucket"] or {}
    return all(number is None or abs(number["value"] / truth[name] - 1.0) < 0.02 for name, number in told.items())


@pytest.mark.untraced
@pytest.mark.parametrize("cost", ["nan", "-3", "", "1e308"])
def test_bad_cost_header(tmp_path: Path, cost: str) -> None:
    """A cost header that is nan, negative, absent or absurd on every third answer: said, and no wrong number."""
    one = rated(tmp_path, header("X-Request-Cost", cost, 3), 80)
    assert right_or_unknown(one.entry)
    assert "cost_missing" in one.signs
    assert one.entry["cost"]["value"] == pytest.approx(0.6, rel=0.2)


def test_cost_never_told(tmp_path: Path) -> None:
    """Without any cost header nothing is priced: no safe rate, no bucket, and the sentence says why."""
    one = rated(tmp_path, header("X-Request-Cost", "", 1))
    assert (one.entry["safe"], one.entry["cost"]) == (None, None)
    assert "cost_missing" in one.signs


@pytest.mark.untraced
def test_remaining_jumps(tmp_path: Path) -> None:
    """Remaining that jumps by 600 on some answers ends in no wrong constant and in no refusal."""
    one = rated(tmp_path, QUICK.changed(faults=(Fault("remaining_jump", every=9),)), 80)
    assert right_or_unknown(one.entry)
    assert one.refused == 0


@pytest.mark.untraced
def test_shared_token(tmp_path: Path) -> None:
    """A token whose bucket somebody else uses meanwhile: said, or no constant is wrong."""
    one = rated(tmp_path, QUICK.changed(cross_traffic_per_s=3.0, cross_traffic_cost=1.5), 70)
    assert "shared_token" in one.signs or right_or_unknown(one.entry)


@pytest.mark.untraced
def test_headers_stop(tmp_path: Path) -> None:
    """A server that stops sending headers: no wrong constant, no endless asking."""
    one = rated(tmp_path, QUICK.changed(faults=(Fault("no_quota_headers", after=20),)))
    assert right_or_unknown(one.entry)
    assert len(one.seen) <= 120


def test_slow_as_30_s(tmp_path: Path) -> None:
    """Latency of 30 s: identified all the same, in its time."""
    one = rated(tmp_path, QUICK.changed(services={"*": Service(30.0, 0.05, cost_mean=3.0)}), 60, timeout_s=120.0)
    assert right_or_unknown(one.entry)
    assert one.entry["server_time_s"]["value"] == pytest.approx(30.0, rel=0.05)


@pytest.mark.parametrize("kind", ["html", "unauthorized", "server_error", "maintenance", "reset"])
def test_calls_that_fail(tmp_path: Path, kind: str) -> None:
    """Web pages, 401, 500, maintenance, a broken connection on every call: a few requests, no safe rate, a finding that says what came."""
    one = rated(tmp_path, QUICK.changed(faults=(Fault(kind),)))
    assert one.entry["safe"] is None
    assert len(one.seen) <= 6
    assert one.told.findings


def test_call_that_is_not_there(tmp_path: Path) -> None:
    """A call that answers 404 is not priced: no safe rate, no word of a regime that nothing showed, and the finding names it."""
    one = rated(tmp_path, calls=(Call("GET", "/api/v1/users/123456789"),))
    assert (one.entry["safe"], one.entry["cost"]) == (None, None)
    assert {o.outcome for o in one.seen} == {Outcome.NOT_FOUND}
    assert [f.advice for f in one.told.findings if f.kind == "rate_unknown"] == [
        "No call was answered as asked; ask why: probes diagnose -i test"
    ]
    n = len(one.seen)
    assert n <= 6
    said = f"No call was answered as asked: the last of {n} ended with 404 (not_found): The specified resource does not exist."
    assert one.entry["signs"] == [{"kind": "no_answer", "says": said}]
    assert one.told.text.splitlines()[0] == "test: GET /api/v1/users/123456789: no safe rate can be told."


@pytest.mark.untraced
def test_low_ceiling(alone: Asked) -> None:
    """One call at a time cannot show the reservation, which is not guessed; that pace lasts where each call drains before the next."""
    assert alone.entry["bucket"]["up_front_cost"] is None
    assert alone.entry["bucket"]["high_water_mark"]["value"] == pytest.approx(600.0)
    assert alone.entry["cost"]["value"] == pytest.approx(0.6, rel=0.4)
    safe, flights = alone.entry["safe"], [o.flight_s for o in alone.seen if o.flight_s is not None]
    assert (safe["in_flight"], safe["burst"], safe["bound_by"]) == (1, 1, "ceiling")
    assert safe["rate_per_s"]["value"] == pytest.approx(len(flights) / sum(flights), rel=1e-4)
    assert alone.entry["signs"] == [
        {
            "kind": "under_ceiling",
            "says": f"Under max_in_flight = 1 no two of {len(alone.seen)} calls overlapped, and each had drained before the next: that "
            "pace lasts. What is safe beyond it is not known, nor what a call reserves.",
        }
    ]
    assert alone.told.text.splitlines()[-1] == f"Next: probes report {alone.run.folder}", "there is no bucket to plan by"


def test_a_plan_where_only_a_ceiling_is_told(alone: Asked) -> None:
    """No bucket to plan with, but the pace that the run told; it does not ask for the run that was just made."""
    pace = rounded_down(alone.told.document["calls"][0]["safe"]["rate_per_s"]["low"])
    said = f"only that {pace} calls/s are safe under its ceilings: go at that, or raise them and measure again."
    with pytest.raises(ProbesError, match=re.escape(said)):
        plan_job.do(Settings(quiet=True), alone.run.folder, 500, None, False)


@pytest.mark.untraced
def test_low_ceiling_of_calls_that_fill_the_bucket(tmp_path: Path) -> None:
    """One call after another that leaves the bucket fuller each time would meet a refusal in the end: nothing is called safe."""
    one = rated(tmp_path, QUICK.changed(services={"*": Service(0.2, 0.3, cost_mean=4.0)}), budget=40, max_in_flight=1)
    assert one.entry["safe"] is None


@pytest.mark.parametrize("dialect", ["github", "gitlab", "ietf", "brightspace", "blackboard"])
def test_wrong_dialect(tmp_path: Path, dialect: str) -> None:
    """Canvas configured as another API: after a few calls its headers and the dialect to set are named; no rate, no window."""
    one = rated(tmp_path, dialect=dialect)
    assert len(one.seen) <= 6
    assert (one.entry["safe"], one.signs, "window" in one.entry) == (None, ["wrong_dialect"], False)
    (found,) = (one for one in one.told.findings if one.severity.rank > 0)
    n = len(one.seen)
    assert found.says == (
        f"At test {n} of {n} answers carry X-Rate-Limit-Remaining, X-Request-Cost: budget headers of the dialect canvas, which is not the "
        "configured one."
    )
    assert found.advice == 'Set dialect = "canvas" in [instances.test], then ask again.'
    assert one.told.text.splitlines()[0] == f"test: {SELF.name}: no safe rate can be told."


@pytest.mark.untraced
def test_contradicted(tmp_path: Path) -> None:
    """What a load contradicted is told as unsafe, in text and report, and what helps on is to measure again, not to plan."""
    one = rated(tmp_path, budget=30)
    half = {"calls": 10, "refused": 1, "failed": 0}
    one.entry["confirmed"] = {
        "rate_per_s": 22.1,
        "workers": 11,
        "calls": 10,
        "refused": 1,
        "contradicted": True,
        "at_rate": half,
        "by_workers": None,
        "ended_early": None,
        "beyond": None,
    }
    lines = one.told.text.splitlines()
    assert lines[0] == f"test: {SELF.name}: what was found safe is not: 1 of 10 calls at 22.1/s was refused when it was tried."
    assert "  Contradicted by Locust: 10 calls at 22.1/s, 1 refused." in lines
    assert "go at" not in one.told.text
    assert lines[-1] == "Next: probes rate -i test --confirm"
    assert "safe_rate" not in [found.kind for found in one.told.findings]
    report = json.loads((one.run.folder / "report.json").read_text(encoding="utf-8"))
    (answer,) = report["answers"]
    assert answer["says"] == "test: no rate is safe by this run: 1 of 10 calls at 22.1/s was refused where none was to be"
    assert (answer["rate_per_s"], answer["in_flight"]) == (None, None)
    assert [step["command"].split()[1] for step in report["next"]] == ["rate", "history"]


def test_confirming_takes_time() -> None:
    """The seconds spent are those of confirming too; an interrupt there ends it, and with --json what was measured is told."""
    measured = job.Measured(Design((SELF,)), None, 10.0)
    began = time.monotonic()
    spent = job.with_more(measured, lambda: time.sleep(0.05), as_json=False).seconds
    assert 10.05 <= spent <= 10.0 + time.monotonic() - began

    def interrupted() -> None:
        raise KeyboardInterrupt

    ended = job.with_more(measured, interrupted, as_json=True)
    assert (isinstance(ended.stopped, KeyboardInterrupt), ended.design) == (True, measured.design)
    with pytest.raises(KeyboardInterrupt):
        job.with_more(measured, interrupted, as_json=False)


@pytest.mark.untraced
def test_stopped_by_failures(tmp_path: Path) -> None:
    """Calls that begin to fail end the asking, and the text says so beside the rate that was found before."""
    one = rated(tmp_path, QUICK.changed(faults=(Fault("unauthorized", after=40),)), 60)
    assert one.signs[-1] == "credentials_ended"
    says = f"Asking stopped after {len(one.seen)} of 60 calls: from the 41st on the credentials were refused (401)."
    assert f"  Note: {says}" in one.told.text.splitlines()
    (safe,) = (found for found in one.told.findings if found.kind == "safe_rate")
    assert safe.evidence[-1] == says


@pytest.mark.untraced
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """Observations that can be written no longer end the asking: what is known by then is told, then why, for exit 1."""
    written = itertools.count(1)

    def full(run: Run, observation: Observation) -> None:
        if next(written) > 40:
            raise RunFolderError("observations.jsonl cannot be written: No space left on device.")
        run.append(observation)

    one = rated(tmp_path, append=full)
    assert len(one.seen) == 40
    assert one.entry["signs"][-1] == {
        "kind": "stopped",
        "says": "Stopped, as observations.jsonl cannot be written: No space left on device: the answer rests on 40 requests.",
    }
    assert one.told.unkept == "observations.jsonl cannot be written: No space left on device."
    assert one.run.manifest["ended"] == "failed: observations.jsonl cannot be written: No space left on device."


@pytest.mark.untraced
def test_rate_ceiling_binds(tmp_path: Path) -> None:
    """A ceiling of 2 calls/s is kept and binds, where calls are so slow that they overlap all the same."""
    one = rated(tmp_path, QUICK.changed(services={"*": Service(2.0, 0.2, cost_mean=0.5)}), budget=60, max_rate=2.0)
    assert (one.entry["safe"]["bound_by"], one.entry["safe"]["rate_per_s"]["low"]) == ("ceiling", 2.0)
    sent = [o.sent_s for o in one.seen if o.sent_s is not None]
    assert all(later - earlier > 0.99 for earlier, later in zip(sorted(sent), sorted(sent)[2:], strict=False))


def test_rate_ceiling_below_identification(tmp_path: Path) -> None:
    """A ceiling under which no two calls overlap: mark and price are told, the reservation is not guessed, the text says why."""
    one = rated(tmp_path, budget=40, max_rate=2.0)
    assert one.entry["safe"] is None
    assert one.entry["bucket"]["up_front_cost"] is None
    assert one.signs == ["no_overlap"]
    assert "while another call was in flight: the reservation and the safe rate are unknown." in one.told.text
    assert [f.kind for f in one.told.findings if f.evidence] == ["rate_unknown"]
    assert [f.advice for f in one.told.findings if f.kind == "rate_unknown"] == [
        "Allow more in flight, a higher rate or a greater --budget, or ask with a call of about a second."
    ]


@pytest.mark.untraced
def test_few_requests_allowed(tmp_path: Path) -> None:
    """max_requests ends it after as many, all of which come back; what is known is told, and what ended it."""
    one = rated(tmp_path, max_requests=9)
    assert isinstance(one.measured.stopped, GuardStop)
    assert [o.outcome for o in one.seen] == [Outcome.OK] * 9
    assert one.entry["signs"][-1] == {"kind": "stopped", "says": "Stopped by max_requests = 9: the answer rests on 9 requests."}
    assert one.told.document["spent"]["requests"] == len(one.seen)
    assert one.run.manifest["ended"].startswith("guard: ")
    assert right_or_unknown(one.entry)


@pytest.mark.untraced
def test_without_headers(tmp_path: Path) -> None:
    """No budget headers: by a few refusals, the number in flight exactly; bucket null, ratios in its place."""
    settings = QUICK.changed(quota_headers=False, services={"*": Service(1.5, 0.2, cost_mean=0.2)})
    one = rated(tmp_path, settings, 400)
    assert (one.entry["regime"], one.entry["bucket"]) == ("refusals", None)
    assert one.entry["ratios"]["in_flight_limit"] == 11
    assert one.refused <= 5
    assert one.entry["safe"]["burst"] == 11


def test_no_limit_under_the_ceilings(tmp_path: Path) -> None:
    """Without headers and a refusal under max_in_flight the highest rate that passed is told, and no plan is offered."""
    one = rated(tmp_path, QUICK.changed(quota_headers=False), 80, max_in_flight=3)
    assert (one.entry["regime"], one.entry["safe"]["bound_by"], one.entry["safe"]["burst"]) == ("unthrottled", "ceiling", 3)
    assert one.told.text.splitlines()[-1] == f"Next: probes report {one.run.folder}"
    assert [f.advice for f in one.told.findings if f.kind == "safe_rate"] == ["Send through probes.Limiter, or keep to 2 workers."]


def test_few_calls_without_headers(tmp_path: Path) -> None:
    """A budget of 20 calls, spent before any rate was tried: no rate is told."""
    one = rated(tmp_path, QUICK.changed(quota_headers=False), 20)
    assert (one.entry["regime"], one.entry["safe"], one.refused) == ("unthrottled", None, 0)
    assert one.told.document["spent"]["requests"] <= 20


def test_without_headers_on_production(tmp_path: Path) -> None:
    """On production no refusal is provoked that was not allowed by name."""
    one = rated(tmp_path, QUICK.changed(quota_headers=False), 400, kind=Kind.PRODUCTION)
    assert one.refused == 0
    assert len(one.seen) <= 14
    assert (one.entry["regime"], one.entry["safe"]) == ("unthrottled", None)
    assert may_be_refused(place("x", kind=Kind.PRODUCTION, allow_load=True))


@pytest.mark.parametrize(
    ("more", "regime", "sign"),
    [
        ({"approved": ("simulator-token",)}, "unthrottled", "approve_listed"),
        ({"blocked": ("simulator-token",)}, "blocked", "blocked"),
    ],
)
def test_signatures(tmp_path: Path, more: dict[str, Any], regime: str, sign: str) -> None:
    """An approve-listed and a blocked token are named as such."""
    one = rated(tmp_path, QUICK.changed(**more))
    assert (one.entry["regime"], one.signs) == (regime, [sign])


@pytest.mark.untraced
@pytest.mark.slow
def test_over_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole command over TCP, a small budget: the document on stdout, each request its line, none refused."""
    from probes.simulator.server import Served

    with Served(profile("sandbox")) as served:
        configured(tmp_path, monkeypatch, sim={"url": served.url, "token": served.token})
        ended = command(tmp_path, "rate", "-i", "sim", "--budget", "50", "--json", "--quiet")
    assert ended.code == 0, ended.err
    jsonschema.validate(ended.document, SCHEMA)
    (entry,) = ended.document["calls"]
    assert entry["bucket"]["high_water_mark"]["value"] == pytest.approx(600.0, rel=0.01)
    assert entry["bucket"]["up_front_cost"]["value"] == pytest.approx(50.0, rel=0.01)
    assert entry["safe"]["burst"] == 11
    assert ended.document["spent"]["requests"] == len(ended.lines()) <= 50
    assert ended.document["spent"]["refused"] == 0


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of one instance that is never asked."""
    configured(
        tmp_path,
        monkeypatch,
        test={"url": "http://127.0.0.1:9", "token": "t"},
        writer={"url": "http://127.0.0.1:9", "token": "t", "allow_writes": True},
    )
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-i", "nobody"], "There is no instance 'nobody'"),
        (["-i", "test", "-i", "writer"], "'probes rate' asks one instance, not 2: say -i NAME once."),
        (["-i", "test", "--budget", "0"], "--job and --budget must be at least 1."),
        (["-i", "test", "--call", "nonsense"], "'nonsense' is not a call"),
        (
            ["-i", "test", "--call", "DELETE /api/v1/courses/1/enrollments/2"],
            "does not allow: set allow_writes = true in [instances.test].",
        ),
        (["-i", "writer", "--call", "DELETE /api/v1/courses/1/enrollments/2?task=inactivate"], "name it in a file with --calls-file"),
        (
            ["-i", "writer", "--call", "DELETE /api/v1/courses/1/enrollments/2?task=inactive"],
            "is unknown to Canvas, which would conclude the enrolment",
        ),
        (["-i", "test", "--calls-file", "nowhere.txt"], "nowhere.txt cannot be read: No such file or directory."),
    ],
)
def test_bad_words(nowhere: Path, words: list[str], message: str) -> None:
    """Bad words end with 2 and one sentence before anything is sent or written."""
    ended = command(nowhere, "rate", *words)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not ended.results.exists()


def test_calls_file_that_is_no_text(nowhere: Path) -> None:
    """A calls file that is no text is named."""
    (nowhere / "calls.txt").write_bytes(b"\xff\xfe\x00")
    ended = command(nowhere, "rate", "-i", "test", "--calls-file", str(nowhere / "calls.txt"))
    assert ended.code == 2
    assert ended.err.endswith("calls.txt cannot be read: it is not text.\n")


def test_confirming_production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--confirm where load is not allowed is refused before anything is measured."""
    configured(tmp_path, monkeypatch, live={"url": "https://school.example", "token": "t"})
    ended = command(tmp_path, "rate", "-i", "live", "--confirm")
    assert ended.code == 2
    assert ended.err == "probes: --confirm loads 'live', which does not allow it: set allow_load = true for it, or leave --confirm out.\n"
    assert not ended.results.exists()


def test_what_confirming_will_send(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent --confirm says how many requests it takes at most: two calls and their mix are three answers."""
    configured(tmp_path, monkeypatch, test={"url": "http://127.0.0.1:9", "token": "t"})
    ended = command(tmp_path, "rate", "-i", "test", "--confirm", "--job", "20", "--call", "GET /a", "--call", "GET /b")
    assert ended.err.splitlines()[0] == (
        "--confirm sends at most 120 requests more than the budget: 20 at the rate found, 20 by the workers, for each of 3 answers."
    )


def test_every_call_unauthorized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When every call is refused for its credentials the command ends with 5, after its document, which tells why; a report is there."""
    with Server() as server:
        handler: Any = server.http.RequestHandlerClass

        def refuse(self: Any) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Bearer realm="canvas-lms"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        handler.do_GET = refuse
        configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t"})
        ended = command(tmp_path, "rate", "-i", "test", "--quiet", "--json", "--confirm")
    assert ended.code == 5
    assert [(one["safe"], [sign["kind"] for sign in one["signs"]]) for one in ended.document["calls"]] == [(None, ["no_answer"])]
    assert "refused for its credentials (401)" in ended.err
    assert (ended.run.folder / "report.html").is_file()
    assert len(ended.lines()) <= 6


def test_stopped_by_a_ceiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """max_requests tells what is known, then ends with 4, whatever --fail-on finds."""
    with Server(told={"X-Rate-Limit-Remaining": "600.0", "X-Request-Cost": "0.1"}) as server:
        configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t", "max_requests": 3})
        ended = command(tmp_path, "rate", "-i", "test", "--json", "--quiet", "--fail-on", "info")
    assert ended.code == 4
    jsonschema.validate(ended.document, SCHEMA)
    assert ended.document["spent"]["requests"] == 3


def test_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --json an interrupt ends the asking: one document of what was seen, the run marked, exit 130."""
    with Server(told={"X-Rate-Limit-Remaining": "600.0", "X-Request-Cost": "0.1"}) as server:
        handler: Any = server.http.RequestHandlerClass
        answer, numbers = handler.do_GET, itertools.count(1)

        def interrupt(self: Any) -> None:
            number = next(numbers)
            answer(self)
            if number == 8:  # a second interrupt would end it without a word
                os.kill(os.getpid(), signal.SIGINT)

        handler.do_GET = interrupt
        configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t"})
        ended = command(tmp_path, "rate", "-i", "test", "--json", "--quiet")
    assert ended.code == 130
    jsonschema.validate(ended.document, SCHEMA)
    n = len(ended.lines())
    assert ended.document["calls"][0]["signs"][-1] == {"kind": "stopped", "says": f"Interrupted: the answer rests on {n} requests."}
    assert ended.run.manifest["ended"] == "interrupted"


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port on which nobody listens: an entry that says so, exit 0."""
    configured(tmp_path, monkeypatch, test={"url": "http://127.0.0.1:9", "token": "t"})
    ended = command(tmp_path, "rate", "-i", "test", "--json", "--quiet")
    assert ended.code == 0, ended.err
    jsonschema.validate(ended.document, SCHEMA)
    assert ended.document["calls"][0]["signs"] == [{"kind": "no_answer", "says": "No call was answered (connect_error)."}]
    assert ended.document["calls"][0]["safe"] is None


def test_a_write_from_a_file(tmp_path: Path) -> None:
    """A write that is allowed and named in a file is priced as any call."""
    file = tmp_path / "calls.txt"
    file.write_text("# inactivate\nDELETE /api/v1/courses/1/enrollments/2?task=inactivate\n", encoding="utf-8")
    (call,) = job._calls(place("w", allow_writes=True), job.Asked(["w"], [], file))
    assert (call.method, call.writes) == ("DELETE", True)


def test_many_writes_keep_their_order(tmp_path: Path) -> None:
    """Writes are made in the order of the file; a rare call beside them still gets one turn in twenty."""
    file = tmp_path / "calls.txt"
    writes = [f"DELETE /api/v1/courses/1/enrollments/{number}?task=inactivate" for number in range(1000)]
    file.write_text("\n".join([*writes, "GET /api/v1/users/self"]), encoding="utf-8")
    calls = job._calls(place("w", allow_writes=True), job.Asked(["w"], [], file, budget=40))
    assert [call.path for call in calls if call.writes] == [line.split()[1] for line in writes[:38]]
    assert sum(not call.writes for call in calls) == 2


def test_few_lines_keep_their_names(tmp_path: Path) -> None:
    """Ten calls that differ in ids are ten calls."""
    words = [f"GET /api/v1/users/{number}" for number in range(10)]
    assert [call.name for call in job._calls(place("w"), job.Asked(["w"], words))] == words


def test_confirming_production_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--confirm on production wants its name again, as load does, though load is allowed there; nothing is sent before."""
    configured(tmp_path, monkeypatch, live={"url": "https://school.example", "token": "t", "allow_load": True})
    for words in ([], ["--production", "other"]):
        ended = command(tmp_path, "rate", "-i", "live", "--confirm", *words)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == (
            "probes: --confirm loads 'live', a production instance: repeat its name with --production live, or leave --confirm out.\n"
        )
        assert not ended.results.exists()


@pytest.mark.parametrize("words", [["rate", "--budget", "12"], ["run", "latency", "--repeat", "3"], ["diagnose"]])
def test_answer_that_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """A run folder that can be written no longer when all is measured: the answer is told all the same, then the reason, exit 1."""
    with Server(told={"X-Rate-Limit-Remaining": "600", "X-Request-Cost": "0.1", "X-Runtime": "0.004"}) as server:
        handler: Any = server.http.RequestHandlerClass
        answer = handler.do_GET

        def spoil(self: Any) -> None:
            for manifest in (tmp_path / "results").glob("*/manifest.json"):
                if manifest.is_file():
                    manifest.rename(manifest.with_name("was.json"))
                    (manifest / "in the way").mkdir(parents=True)
            answer(self)

        handler.do_GET = spoil
        configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t"})
        ended = command(tmp_path, *words, "-i", "test", "--json", "--quiet")
    assert ended.code == 1
    assert Path(ended.document["run"]).name == ended.run.folder.name
    assert ended.err == f"probes: {ended.run.folder / 'manifest.json'} cannot be written: Is a directory.\n"
    assert not list(ended.run.folder.glob(".manifest*"))


@pytest.mark.untraced
def test_the_last_round_counts_where_no_header_tells(tmp_path: Path) -> None:
    """Of a budget that is hardly left over every call made is in the answer, those of the last round too."""
    one = rated(tmp_path, QUICK.changed(quota_headers=False), 160)
    by_refusals = one.measured.by_refusals
    assert by_refusals is not None
    asked = len(one.seen) - (160 - by_refusals.budget)
    (says,) = [sign["says"] for sign in one.entry["signs"] if sign["kind"] == "no_headers"]
    assert 140 < len(one.seen) <= 160
    assert f" in {asked} calls." in says
