"""Servers whose Remaining counts calls in a window: no bucket is fitted, and what the headers do tell is told."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from asked import place
from worlds import observed

from probes import Limiter, findings
from probes.bounds import Bounds
from probes.calls import Call
from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance
from probes.errors import ProbesError, RunFolderError
from probes.estimate import estimate
from probes.jobs import confirm
from probes.jobs import plan as plan_job
from probes.jobs import rate as job
from probes.jobs.session import Settings, Told
from probes.observation import Observation
from probes.rates import rate_document, rate_documents
from probes.runs import Run
from probes.simulator.network import DelayedTransport
from probes.windows import Window, counts_down, window_of

SCHEMA = json.loads((Path(job.__file__).parents[1] / "schemas" / "rate-1.json").read_text(encoding="utf-8"))
WHOLE = Window(4970.0, 5000.0, 3550.0, 3600.0, n=12, flight_s=0.25, together=3)


def counter(told: dict[str, str]) -> httpx.MockTransport:
    """A server of 5,000 calls a window, of which each call takes one; `{left}` in a header is what is left."""
    left = [5000]

    def answer(request: httpx.Request) -> httpx.Response:
        left[0] -= 1
        headers = {name: text.replace("{left}", str(left[0])) for name, text in told.items()}
        return httpx.Response(200, json={}, headers=headers, request=request)

    return httpx.MockTransport(answer)


def rated(tmp_path: Path, dialect: str, told: dict[str, str]) -> tuple[dict[str, Any], Told, Run]:
    """`probes rate` against such a server, in virtual time."""
    instance, call = place("test", dialect=dialect), Call("GET", "/a")
    run = Run.create(tmp_path / "results", ["rate"], [instance])

    def make(one: Instance, folder: Run) -> Client:
        return Client(one, record=folder.append, transport=DelayedTransport(counter(told), 0.05, 0.0), origin_s=0.0)

    settings = Settings(quiet=True)
    measured = run_virtually(job.measure(settings, instance, [call], job.Asked(["test"], []), run, make))
    (document,) = job.documents_of(measured, list(run.observations()), [call], 1000, instance)
    ended = job.concluded(run, instance, [document], measured)
    jsonschema.validate(json.loads(json.dumps(ended.document)), SCHEMA)
    return document, ended, run


IETF = {"RateLimit-Policy": '"d";q=5000;w=3600', "RateLimit": '"d";r={left};t=3550'}
GITLAB = {
    "RateLimit-Limit": "5000",
    "RateLimit-Remaining": "{left}",
    "RateLimit-Reset": "1800000000",
    "Date": "Fri, 15 Jan 2027 07:00:00 GMT",
}
BRIGHTSPACE = {"X-Rate-Limit-Remaining": "{left}", "X-Rate-Limit-Reset": "60", "X-Request-Cost": "1"}


def test_limit_and_length_are_told(tmp_path: Path) -> None:
    """Where headers name the limit and the window's length the rate that lasts is told, after a dozen calls, and no bucket."""
    document, ended, run = rated(tmp_path, "ietf", IETF)
    assert (document["regime"], document["bucket"]) == ("headers", None)
    assert document["window"] == {"left": 4988.0, "limit": 5000.0, "reset_s": 3550.0, "length_s": 3600.0}
    assert document["safe"]["rate_per_s"] == {"value": 1.38861, "low": 1.38861, "high": 1.38889, "n": 12}
    assert (document["safe"]["in_flight"], document["safe"]["burst"], document["safe"]["bound_by"]) == (0, 2, "outflow")
    says = (
        "4,988 of 5,000 are left for the next 59 min: a window counter, not a bucket that leaks. A job that takes no more than is left "
        "meets no refusal; in the long run 1.38 a second, 5,000 in 60 min pass."
    )
    assert ended.text.splitlines() == [
        "test: GET /a: go at 1.38 calls/s, bound by what a window holds.",
        "  No worker may go without a pause; at one instant at most 2 calls.",
        f"  Note: {says}",
        f"Spent 12 requests, 0 refused, in {ended.document['spent']['seconds']:.0f} s.",
        f"Report: {run.folder / 'report.html'}",
        f"Next: probes report {run.folder}",
    ]
    assert [(f.kind, f.says) for f in ended.findings] == [("window_counter", f"At test {says}")]


NOT_MORE = "a window counter, not a bucket that leaks. A job that takes no more than is left meets no refusal; how"


@pytest.mark.parametrize(
    ("dialect", "told", "says"),
    [
        ("gitlab", GITLAB, f"4,988 of 5,000 are left for the next 60 min: {NOT_MORE} long the window of 5,000 is no header tells."),
        ("brightspace", BRIGHTSPACE, f"4,988 are left for the next 60 s: {NOT_MORE} many a window holds no header tells."),
    ],
)
def test_they_are_not_told(tmp_path: Path, dialect: str, told: dict[str, str], says: str) -> None:
    """Where headers do not name them no rate is told: what is left is, and what is not known."""
    document, ended, _ = rated(tmp_path, dialect, told)
    assert (document["safe"], document["bucket"]) == (None, None)
    assert ended.text.splitlines()[:2] == ["test: GET /a: no safe rate can be told (regime headers).", f"  {says}"]
    assert [f.kind for f in ended.findings] == ["window_counter"]
    assert ended.document["spent"]["requests"] == 12


def test_plan_and_limiter_say_why_not(tmp_path: Path) -> None:
    """What plans by a bucket, or follows one, ends in one sentence; nothing is confirmed, as a load would spend the window."""
    document, _, run = rated(tmp_path, "ietf", IETF)
    with pytest.raises(ProbesError, match=r"shows no bucket to plan by at 'test': 4,988 of 5,000 are left for the next 59 min: a window"):
        plan_job.do(Settings(quiet=True), run.folder, 1000, None, rehearse=False)
    for name in (None, "test"):
        with pytest.raises(RunFolderError) as caught:
            Limiter.from_run(run.folder, name)
        assert str(caught.value) == (
            f"{run.folder} shows a window counter at 'test' and no bucket to follow: spread what is left over the time until it resets."
        )
    confirm.confirm(Settings(quiet=True), place("test"), [Call("GET", "/a")], [document], run)
    assert document["confirmed"] is None


def test_a_run_of_scenarios_tells_it_as_well(tmp_path: Path) -> None:
    """A report made from the observations alone tells the counter; a level of Canvas is none."""
    _, _, run = rated(tmp_path, "gitlab", GITLAB)
    seen = list(run.observations())
    assert [(one["call"], one["window"]["left"], one["safe"]) for one in rate_documents(seen)] == [("GET /a", 4988.0, None)]
    assert window_of([observed(0.0, 0.1, remaining=600.0, cost=0.1, limit=600.0, reset_s=3.0)]) is None


@pytest.mark.parametrize(
    ("dialect", "told", "headline"),
    [
        ("ietf", IETF, "1.38 calls/s, no worker without a pause, bound by outflow"),
        ("gitlab", GITLAB, "it counts calls in a window, 12 of 12 calls answered as asked"),
    ],
)
def test_its_report_sends_nobody_after_a_bucket(tmp_path: Path, dialect: str, told: dict[str, str], headline: str) -> None:
    """The report says how it counts, and advises neither to measure, confirm nor plan by a bucket that is not there."""
    _, _, run = rated(tmp_path, dialect, told)
    document = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
    assert f"**test**: {headline}" in (run.folder / "report.md").read_text(encoding="utf-8")
    assert [step["command"].split()[1] for step in document["next"]] == ["history"]


def test_the_rate_that_lasts() -> None:
    """One call less than the limit a window; from now on no more than what is left until the reset; by the price of a call."""
    rate = WHOLE.rate_per_s()
    assert rate is not None
    assert (rate.value, rate.low, rate.high, rate.n) == (4999.0 / 3600.0, 4999.0 / 3600.0, 5000.0 / 3600.0, 12)
    spent = dataclasses.replace(WHOLE, left=355.0).rate_per_s()
    dear = dataclasses.replace(WHOLE, per_call=10.0).rate_per_s()
    assert spent is not None
    assert dear is not None
    assert spent.low == pytest.approx(0.1)
    assert dear.value == pytest.approx(499.0 / 3600.0)
    assert dataclasses.replace(WHOLE, length_s=None).rate_per_s() is None
    assert dataclasses.replace(WHOLE, limit=None).rate_per_s() is None


def test_workers_and_a_ceiling() -> None:
    """As many workers as keep the rate, no more than were tried at one time; the configuration's ceiling binds where it is lower."""
    facts = {"window_s": 60.0}
    answers = [observed(0.1 * n, 0.1 * n + 0.25, remaining=600.0 - n, limit=600.0, reset_s=60.0, facts=facts) for n in range(12)]
    told = rate_document(_found(answers), "GET /api/v1/users/self")["safe"]
    assert (told["rate_per_s"]["low"], told["in_flight"], told["burst"], told["bound_by"]) == (pytest.approx(9.81667), 2, 3, "outflow")
    under = rate_document(_found(answers), "GET /api/v1/users/self", 1000, Bounds(max_rate=2.0))["safe"]
    assert (under["rate_per_s"]["low"], under["in_flight"], under["bound_by"]) == (2.0, 0, "ceiling")


def test_a_counter_that_does_not_count() -> None:
    """What is left that never changes though calls were made is no counter of them: no window is told, and no rate by it."""
    facts = {"window_s": 60.0}
    answers = [observed(0.1 * n, 0.1 * n + 0.25, remaining=600.0, limit=600.0, reset_s=60.0, facts=facts) for n in range(12)]
    document = rate_document(_found(answers), "GET /api/v1/users/self")
    assert document["safe"] is None
    says = "Remaining stayed 600 in 12 answers: no counter of these calls, and what limits them no header tells."
    assert document["signs"][0] == {"kind": "still_counter", "says": says}
    (found,) = findings.judge(answers, rates=[{"instance": "test", **document}])
    assert (found.kind, found.evidence[0]) == ("rate_unknown", says)
    assert found.advice == "Ask whoever runs it for its limits; until then go one by one, and wait as long as Retry-After says."


def _found(answers: list[Observation]) -> Any:
    return estimate(answers)


def counted(leaks_per_s: float = 0.0, first_left: float = 500.0, n: int = 30) -> list[Observation]:
    """Calls one after another, each of one unit, of which so many leak; `Remaining` never above where it began."""
    left, seen = first_left, list[Observation]()
    for call in range(n):
        left = min(first_left, left + 0.3 * leaks_per_s) - 1.0
        seen.append(observed(0.3 * call, 0.3 * call + 0.2, remaining=left, cost=1.0, server_time_s=0.15))
    return seen


def test_a_counter_that_no_header_names_is_told_and_no_bucket_fitted() -> None:
    """Remaining that falls by just what calls pay for 8.7 s is a counter: its own sentence, no constants, no rate, whatever the dialect."""
    says = (
        "Remaining fell from 499 to 470 by just what the calls paid, and nothing came back in 8.7 s: a counter of some window, not a "
        "bucket that leaks. Is the dialect of this instance right?"
    )
    assert counts_down(counted()) == says
    found = estimate(counted())
    assert found is not None
    document = rate_document(found, "GET /api/v1/users/self")
    assert (document["bucket"], document["safe"], document["signs"]) == (None, None, [{"kind": "counts_down", "says": says}])


@pytest.mark.parametrize(
    "seen",
    [
        counted(leaks_per_s=0.5),  # the slowest bucket there is leaks as slowly as this
        counted(n=3),
        [dataclasses.replace(o, remaining=500.0) for o in counted()],
        [dataclasses.replace(o, sent_s=o.sent_s - 0.25) for o in counted() if o.sent_s is not None],  # always one beside another
        # a level that a proxy rounds
        [dataclasses.replace(o, remaining=500.0 - (n >= 5), cost=1 / (len(counted()) - 1)) for n, o in enumerate(counted())],
        # 3-ms calls that cost more than leaks meanwhile: each header reads 0.02 below the mark
        [dataclasses.replace(o, remaining=499.98, cost=0.05) for o in counted()[1:]] + [observed(9.5, 9.6, remaining=499.97, cost=0.05)],
        # a bucket at rest, whose last header was overtaken on its way and holds by chance about what all calls before paid
        [dataclasses.replace(o, remaining=600.0 - 29.5 * (n == 29)) for n, o in enumerate(counted())],
    ],
)
def test_what_is_no_counter(seen: list[Observation]) -> None:
    """A slow leak, too few headers, a level that stands, headers never read alone, calls of almost no cost, and one odd header are none."""
    assert counts_down(seen) is None
