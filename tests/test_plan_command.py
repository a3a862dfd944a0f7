"""`probes plan` as a user gives it, on runs made from recorded traces and worlds."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from asked import place
from commanded import Ended, run_here
from worlds import SELF, Law, World, recorded

from probes import findings
from probes.bounds import Bounds
from probes.design import Design
from probes.estimate import estimate
from probes.jobs import plan as job
from probes.mixture import mixture
from probes.observation import Observation, Outcome
from probes.runs import Run
from probes.search.ratio_rates import refusal_document
from probes.search.refusals import RefusalDesign
from probes.untold import with_unanswered

SCHEMA = json.loads((Path(job.__file__).parents[1] / "schemas" / "plan-1.json").read_text(encoding="utf-8"))


def run_of(tmp_path: Path, seen: list[Observation], **more: Any) -> Path:
    """A finished run that holds these observations."""
    names = sorted({o.instance for o in seen}) or ["test"]
    run = Run.create(tmp_path / "results", ["rate"], [place(name, **more) for name in names])
    for observation in seen:
        run.append(observation)
    run.finish("done")
    return run.folder


def command(*words: str) -> Ended:
    """`probes plan WORDS`, which takes no configuration."""
    return run_here("plan", *words)


@pytest.fixture(scope="module")
def priced() -> list[Observation]:
    """A default bucket asked and priced as the design does it."""
    world = World(law=Law(0.3, 0.8), seed=4)
    world.carry_out(Design((SELF,), 110))
    return world.seen


@pytest.fixture(scope="module")
def hidden() -> tuple[World, dict[str, Any]]:
    """A default bucket whose headers are hidden, found by refusals; and what `probes rate` told of it."""
    world = World(law=Law(0.3, 0.8), seed=4, headers=False)
    design = RefusalDesign((SELF,), 400)
    world.carry_out(design)
    design.finish(world.seen)
    return world, refusal_document(design, SELF.name, 1000, Bounds())


def hidden_run(tmp_path: Path, hidden: tuple[World, dict[str, Any]]) -> Path:
    """That run's folder."""
    folder = run_of(tmp_path, hidden[0].seen)
    Run.open(folder).note(rates=[{"instance": "test", **hidden[1]}])
    return folder


@pytest.mark.untraced
@pytest.mark.slow
def test_a_limit_known_by_refusals_alone(tmp_path: Path, hidden: tuple[World, dict[str, Any]]) -> None:
    """Where no header told the bucket a job is planned by refusals: what is recommended keeps its odds on the true bucket; rehearsed."""
    ended = command(str(hidden_run(tmp_path, hidden)), "--calls", "600", "--rehearse", "--json")
    assert (ended.code, ended.document["calls"]) == (0, 600)
    jsonschema.validate(ended.document, SCHEMA)
    told = {one["name"]: one for one in ended.document["strategies"]}
    assert list(told) == ["one_by_one", "even_rate", "workers"]
    truth = hidden[0].law.twin(hidden[0].bucket)
    assert ended.document["recommended"] == "workers"
    assert truth.workers_odds(told["workers"]["in_flight"], 600, 0.05) <= 0.05
    assert truth.even_odds(told["even_rate"]["rate_per_s"], 600) <= 0.05
    assert told["workers"]["in_flight"] >= 5
    assert ended.document["rehearsal"]["refused"] == 0
    assert ended.document["rehearsal"]["seconds"] == pytest.approx(told["workers"]["seconds"], rel=0.06)


def test_a_plan_by_refusals_obeys_ceilings(tmp_path: Path, hidden: tuple[World, dict[str, Any]]) -> None:
    """max_rate and max_in_flight of the run's instance bound every strategy of such a plan too."""
    run = Run.create(tmp_path / "results", ["rate"], [place("test", max_rate=2.0, max_in_flight=3)])
    for observation in hidden[0].seen:
        run.append(observation)
    run.note(rates=[{"instance": "test", **hidden[1]}])
    strategies = {one["name"]: one for one in command(str(run.folder), "--calls", "60", "--json").document["strategies"]}
    assert strategies["even_rate"]["rate_per_s"] == 2.0
    assert strategies["workers"]["in_flight"] == 3
    assert min(one["seconds"] for one in strategies.values()) == pytest.approx(29.8, abs=0.5)


def test_no_limit_was_met(tmp_path: Path) -> None:
    """A run that met no limit leaves nothing to plan by, and the error says so."""
    world = World(law=Law(0.3, 0.8), seed=4, headers=False)
    world.round([0.0] * 5)
    folder = run_of(tmp_path, world.seen)
    ended = command(str(folder), "--calls", "50")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"probes: {folder} met no limit at 'test' in 5 calls: there is nothing to plan by; keep to the rate it told.\n"


@pytest.mark.untraced
def test_what_was_contradicted_is_not_planned(tmp_path: Path, priced: list[Observation]) -> None:
    """A run whose rate a load contradicted makes no plan: exit 1, what was refused, and what to do."""
    folder = run_of(tmp_path, priced)
    half = {"calls": 10, "refused": 1, "failed": 0}
    confirmed = {"rate_per_s": 22.1, "workers": 11, "calls": 10, "refused": 1, "contradicted": True, "at_rate": half}
    Run.open(folder).note(rates=[{"instance": "test", "call": SELF.name, "bucket": None, "safe": None, "confirmed": confirmed}])
    ended = command(str(folder), "--calls", "50", "--json")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        f"probes: What {folder} found safe at 'test' is not: 1 of 10 calls at 22.1/s was refused when it was tried; measure again with "
        "'probes rate -i test'.\n"
    )


@pytest.mark.untraced
def test_json(tmp_path: Path, priced: list[Observation]) -> None:
    """The document against its schema; the plan is noted in the run, a second one beside it."""
    folder = run_of(tmp_path, priced)
    ended = command(str(folder), "--calls", "500", "--json")
    assert (ended.code, ended.err) == (0, "")
    jsonschema.validate(ended.document, SCHEMA)
    assert (ended.document["calls"], ended.document["rehearsal"]) == (500, None)
    command(str(folder), "--calls", "50", "--json")
    plans = Run.open(folder).manifest["plans"]
    assert [(plan["instance"], plan["calls"]) for plan in plans] == [("test", 500), ("test", 50)]
    assert plans[0] == {"instance": "test", **ended.document}


@pytest.mark.untraced
def test_text(tmp_path: Path, priced: list[Observation]) -> None:
    """A table, the recommendation first, the limiter's line last."""
    folder = run_of(tmp_path, priced)
    lines = command(str(folder), "--calls", "500").out.splitlines()
    assert re.fullmatch(r"test: 500 calls, best (level-aware|workers|even-rate)\.", lines[0])
    assert [line.split()[0] for line in lines[3:7]] == ["one_by_one", "even_rate", "workers", "level_aware"]
    assert lines[6].endswith("through probes.Limiter")
    assert lines[-1] == f'Next: limiter = probes.Limiter.from_run("{folder}")'


@pytest.mark.slow
def test_a_rate_that_was_never_tried_is_noted(tmp_path: Path, priced: list[Observation]) -> None:
    """Where the run did not see the server keep the rate, the plan says that the calls may take longer."""
    folder = run_of(tmp_path, priced)
    sign = {"kind": "untried", "says": "No more than 5 calls/s were tried: --confirm shows whether the server keeps its pace at 20."}
    Run.open(folder).keep(rates=[{"instance": "test", "call": "GET /api/v1/users/self", "signs": [sign, {"kind": "other"}]}])
    note = f"{sign['says']} Where it does not, the calls take longer than foretold."
    assert command(str(folder), "--calls", "20").out.splitlines()[-3] == f"Note: {note}"
    assert Run.open(folder).manifest["plans"][0]["notes"] == [note]


@pytest.mark.untraced
def test_rehearsed(tmp_path: Path, priced: list[Observation]) -> None:
    """A rehearsal under the ceilings of the run's instance, told with refusals and finish time."""
    ended = command(str(run_of(tmp_path, priced, max_rate=9.0)), "--calls", "300", "--rehearse")
    assert ended.code == 0
    assert ended.err.startswith("Rehearsing ")
    assert re.search(r"Rehearsed 300 calls: 0 refused, \d+\.\d s \(forecast \d+\.\d s\)\.", ended.out)


def test_several_instances(tmp_path: Path, priced: list[Observation]) -> None:
    """With several instances one must be named; an unknown one is an error that names those that are there."""
    folder = run_of(tmp_path, [*priced, *(dataclasses.replace(o, instance="beta") for o in priced)])
    ended = command(str(folder), "--calls", "50")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"probes: {folder} has several instances (beta, test): say which with -i NAME.\n"
    planned = command(str(folder), "--calls", "50", "-i", "beta").out
    assert planned.startswith("beta: 50 calls")
    assert planned.splitlines()[-1] == f'Next: limiter = probes.Limiter.from_run("{folder}", instance="beta")'
    unknown = command(str(folder), "--calls", "50", "-i", "nobody")
    assert (unknown.code, unknown.err) == (2, f"probes: {folder} has no instance 'nobody': it has beta, test.\n")


def test_a_call_that_was_never_answered(tmp_path: Path, priced: list[Observation]) -> None:
    """One of two calls that was never answered as asked leaves the job without a rate and a plan, and each says so."""
    lost: dict[str, Any] = {"call": "GET /gone", "outcome": Outcome.NOT_FOUND, "status": 404, "facts": {"reason": "no such page."}}
    seen = [dataclasses.replace(o, **lost) if n % 4 == 3 and n > 40 else o for n, o in enumerate(priced)]
    shares = {SELF.name: 0.75, "GET /gone": 0.25}
    names = SELF.name, "GET /gone", "mix of 2 calls"
    told: list[dict[str, Any]] = [
        {"call": name, "safe": {}, "signs": [], **({"mix": shares} if name == names[2] else {})} for name in names
    ]
    good, gone, mix = with_unanswered(told, seen, shares)
    assert (good, gone["safe"], mix["safe"]) == (told[0], None, None)
    failed = sum(o.call == "GET /gone" for o in seen)
    assert gone["signs"][0]["says"] == f"No call was answered as asked: the last of {failed} ended with 404 (not_found): no such page."
    assert mix["signs"][0]["says"] == "No call was answered as asked of GET /gone: of a job with it nothing can be told."
    rates = [{"instance": "test", "regime": "headers", **one} for one in (good, gone, mix)]
    advice = [one.advice for one in findings.judge([], rates=rates[1:]) if one.kind == "rate_unknown"]
    assert advice == [
        "No call was answered as asked; ask why: probes diagnose -i test --call 'GET /gone'",
        "Mend these calls, or ask without them.",
    ]
    folder = run_of(tmp_path, seen)
    Run.open(folder).note(rates=rates)
    ended = command(str(folder), "--calls", "50")
    assert ended.code == 1
    assert ended.err == (
        f"probes: {folder} has no price to plan by of GET /gone, which 'test' never answered as asked; measure again without: "
        "'probes rate -i test'.\n"
    )


def test_no_bucket(tmp_path: Path) -> None:
    """A run that does not identify the bucket ends with 1 and says what to do."""
    _, seen = recorded("sequential-dear")
    folder = run_of(tmp_path, seen)
    ended = command(str(folder), "--calls", "50")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"probes: {folder} does not identify the bucket of 'test' (headers): make a run with 'probes rate -i test'.\n"


def test_nothing_answered(tmp_path: Path) -> None:
    """A run without an answer ends with 1."""
    ended = command(str(run_of(tmp_path, [])), "--calls", "50")
    assert ended.code == 1
    assert ended.err.endswith("holds no answered call to plan with: make a run with 'probes rate -i NAME'.\n")


@pytest.mark.parametrize(("words", "code"), [(["nowhere", "--calls", "5"], 1), (["nowhere", "--calls", "0"], 2), (["nowhere"], 2)])
def test_bad_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int) -> None:
    """A folder that is no run ends with 1, a number of calls below 1 or none with 2; nothing on stdout, no traceback."""
    monkeypatch.chdir(tmp_path)
    ended = command(*words)
    assert (ended.code, ended.out) == (code, "")
    assert "Traceback" not in ended.err


def test_folder_without_a_run(tmp_path: Path) -> None:
    """A folder that holds no run ends with 1 and one sentence."""
    ended = command(str(tmp_path), "--calls", "5")
    assert (ended.code, ended.out) == (1, "")
    assert len(ended.err.strip().splitlines()) == 1


def test_mix_of_calls(priced: list[Observation]) -> None:
    """Several calls make one mix, each as often as it was made."""
    mixed = [dataclasses.replace(o, call="GET /a" if n % 4 else "GET /b") for n, o in enumerate(priced)]
    found = estimate(mixed)
    assert found is not None
    twin, prices = mixture(found) or (None, None)
    assert twin is not None
    assert prices is not None
    assert twin.mean_cost == pytest.approx(0.8, rel=0.15)
    assert len(twin.costs) == pytest.approx(8000, abs=60)
    assert prices.n == pytest.approx(len(mixed), abs=3)


def test_the_prices_of_a_mix_are_those_of_its_parts(priced: list[Observation]) -> None:
    """Mean cost and mean time of a mix are those of its calls, weighted; it carries as many pairs as an even draw would need."""
    dear = [dataclasses.replace(o, call="GET /b") if (o.cost or 0.0) > 0.9 else o for o in priced]
    found = estimate(dear)
    assert found is not None
    shares = {SELF.name: 0.6, "GET /b": 0.4}
    _, prices = mixture(found, shares) or (None, None)
    assert prices is not None
    parts = [(share, found.prices[call]) for call, share in shares.items()]
    assert np.mean(prices.costs) == pytest.approx(sum(share * np.mean(part.costs) for share, part in parts), rel=0.03)
    assert np.mean(prices.times_s) == pytest.approx(sum(share * np.mean(part.times_s) for share, part in parts), rel=0.03)
    assert prices.n == pytest.approx(1.0 / sum(share**2 / part.n for share, part in parts), abs=2)


def test_one_call_is_planned_as_it_was_told(priced: list[Observation]) -> None:
    """Of a single call the plan has the very twin and prices that its rate was told by."""
    found = estimate(priced)
    assert found is not None
    twin, prices = mixture(found) or (None, None)
    told = found.twin(SELF.name)
    assert twin is not None
    assert told is not None
    assert np.array_equal(twin.costs, told.costs)
    assert prices is found.prices[SELF.name]


def test_durations() -> None:
    """Seconds, minutes, hours."""
    assert [job._duration(s) for s in (3.14, 119.0, 150.0, 9000.0)] == ["3.1 s", "119.0 s", "2.5 min", "2.5 h"]


@pytest.mark.untraced
def test_a_plan_goes_no_faster_than_the_server_keeps_its_pace(priced: list[Observation], tmp_path: Path) -> None:
    """Where the run found the rate bound by latency, rate and workers of that run are ceilings of every strategy."""
    folder = run_of(tmp_path, priced)
    run = Run.open(folder)
    safe = {"bound_by": "latency", "rate_per_s": {"value": 5.0, "low": 4.0, "high": 6.0, "n": 100}, "in_flight": 2}
    run.note(rates=[{"instance": "test", "call": SELF.name, "safe": safe}])
    strategies = {one["name"]: one for one in json.loads(command(str(folder), "--calls", "400", "--json").out)["strategies"]}
    assert strategies["even_rate"]["rate_per_s"] == 4.0
    assert strategies["workers"]["in_flight"] == 2
    assert min(one["seconds"] for one in strategies.values()) >= 399 / 4.0


def test_a_long_plan_is_announced(tmp_path: Path, priced: list[Observation], monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan of many calls says beforehand, on stderr, that it takes a while."""
    monkeypatch.setattr(job, "LONG_CALLS", 49)
    folder = str(run_of(tmp_path, priced))
    assert command(folder, "--calls", "50").err == "Replaying 50 calls by each strategy, which takes up to a minute.\n"
