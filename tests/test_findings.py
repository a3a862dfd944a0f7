"""Every kind of the closed list is reached, and says what it says."""

from __future__ import annotations

import random
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from asked import SELF, lost, made

from probes import findings
from probes.findings import KINDS, Finding, Severity
from probes.observation import Observation, Outcome
from probes.rules import endpoints

ANALYTICS = "GET /api/v1/courses/1/analytics/activity"
RATE: dict[str, Any] = {
    "instance": "test",
    "call": SELF,
    "regime": "headers",
    "bucket": {"high_water_mark": {"value": 600.0, "low": 600.0, "high": 600.0, "n": 24}},
    "safe": {
        "rate_per_s": {"value": 17.1, "low": 16.2, "high": 17.9, "n": 220},
        "in_flight": 11,
        "burst": 11,
        "bound_by": "reservations",
        "job_calls": 1000,
        "odds": 0.05,
    },
}
CONTRADICTED = {"rate_per_s": 16.2, "workers": 11, "calls": 10, "refused": 1, "contradicted": True, "at_rate": {"calls": 10, "refused": 1}}
GITHUB = {"budget_of": "github", "budget_headers": "x-ratelimit-limit, x-ratelimit-remaining"}
PAIR: dict[str, Any] = {
    "a": "test",
    "b": "sandbox",
    "call": SELF,
    "ratio_of_medians": {"value": 1.8, "low": 1.7, "high": 1.9, "n": 190},
    "differs": True,
    "says": "test takes 1.80 times as long as sandbox.",
    "shift": [{"q": 0.5, "seconds": {"value": 0.2, "low": 0.18, "high": 0.22, "n": 190}}],
}
CAUSE = {"kind": "capacity", "confidence": 0.97, "says": "test is short of slots.", "evidence": ["for: x"], "advice": "Fewer."}


def several(count: int, **more: Any) -> list[Observation]:
    return [made(at_s=float(n), **more) for n in range(count)]


def times_of(times: Sequence[float], **more: Any) -> list[Observation]:
    """One call a second; the order by chance, yet the same each time."""
    order = random.Random(7).sample(list(times), len(times))
    return [made(at_s=float(n), flight_s=time_s, **more) for n, time_s in enumerate(order)]


def page(asked: int | None, **facts: Any) -> Observation:
    base = {
        "list": "/api/v1/courses",
        "items": 10,
        "per_page": 10,
        "per_page_asked": asked,
        "style": "link",
        "has_last": True,
        "rels": "next",
    }
    return made(scenario="pagination", call="GET /api/v1/courses", facts={**base, **facts})


def check(name: str, **facts: Any) -> Observation:
    outcome = facts.pop("outcome", Outcome.OK)
    about = {"check": name, "type": "StudentEnrollment", "named": True, "course": "1", "user": "5", "now_s": 1.8e9}
    return made(scenario="enrollment", outcome=outcome, facts={**about, **facts})


def enrolment(**changes: Any) -> list[Observation]:
    """All checks of an enrolment whose mail would go; `course={...}` changes the facts of one check."""
    facts: dict[str, dict[str, Any]] = {
        "course": {"workflow_state": "available", "concluded": False},
        "settings": {"restrict_student_future_view": False},
        "sections": {"sections": [], "more": False},
        "user": {"user_id": 5},
        "logins": {"logins": 1},
        "channels": {"emails": {"active": 1}},
        "enrollments": {"enrolled": []},
    }
    kind = changes.pop("type", "StudentEnrollment")
    return [check(name, **{"type": kind, **base, **changes.get(name, {})}) for name, base in facts.items()]


def imports(**changes: Any) -> Observation:
    facts = {"imports": 10, "waits_s": [60.0] * 10, "runs_s": [90.0] * 10, "waiting": 0, "running": 0, "queue": [], **changes}
    return made(scenario="queue", facts=facts)


OVER: dict[str, Any] = {"ended": True, "wait_s": 60.0, "run_s": 90.0}


def rungs() -> list[Observation]:
    told = {"cost": 3.0, "server_time_s": 4.0, "cpu_s": 0.5, "db_s": 3.0, "size_bytes": 500}
    dear = several(5, scenario="endpoints", call=ANALYTICS, flight_s=4.1, facts={"items": 20}, **told)
    return dear + several(5, scenario="endpoints", flight_s=0.2, server_time_s=0.18, size_bytes=90)


def words(field: str, counts: Mapping[str, int], thing: str = "channel") -> list[Observation]:
    return [made(scenario="vocabulary", facts={"thing": thing, field: dict(counts)})]


def late(alive: bool) -> list[Observation]:
    probe = f"{SELF} after a timeout"
    probes = [made(scenario="timeouts", call=probe)] if alive else [lost(Outcome.CONNECT_TIMEOUT, scenario="timeouts", call=probe)]
    return [lost(Outcome.READ_TIMEOUT, scenario="timeouts", at_s=3.0), made(scenario="timeouts", call=ANALYTICS), *probes]


Told = tuple[list[Observation], dict[str, Any]]


def seen(*observations: Observation, **documents: Any) -> Told:
    return list(observations), documents


SATURDAY = {"facts": {"started_at": "2026-11-07T10:00:00+00:00", "instances": [{"name": "test", "kind": "beta"}]}}
CASES: dict[str, Callable[[], Told]] = {
    "no_answer": lambda: seen(lost(Outcome.DNS_ERROR, error="no such name"), lost(Outcome.DNS_ERROR)),
    "credentials": lambda: seen(made(status=401, outcome=Outcome.UNAUTHORIZED, facts={"challenge": "Bearer"})),
    "no_user_agent": lambda: seen(made(status=403, outcome=Outcome.NO_USER_AGENT)),
    "permission": lambda: seen(made(status=403, outcome=Outcome.FORBIDDEN)),
    "redirected": lambda: seen(made(status=302, outcome=Outcome.REDIRECTED, facts={"location": "https://login.example"})),
    "wrong_url": lambda: seen(made(status=404, outcome=Outcome.NOT_FOUND, facts={"html": True})),
    "maintenance": lambda: seen(made(status=503, outcome=Outcome.MAINTENANCE), made()),
    "server_errors": lambda: seen(
        made(status=502, outcome=Outcome.GATEWAY_ERROR), made(status=500, outcome=Outcome.SERVER_ERROR, request_id="r1")
    ),
    "connections_lost": lambda: seen(made(), made(status=None, outcome=Outcome.PROTOCOL_ERROR, error="Server disconnected")),
    "answers": lambda: seen(made(scenario="reach", facts={"kind": "test", "revision": "2026", "user_id": 7})),
    "certificate_ends": lambda: seen(made(scenario="reach", facts={"certificate_days": 12.4})),
    "kind_differs": lambda: seen(made(scenario="reach", facts={"kind": "production", "kind_by_host": "beta"})),
    "latency": lambda: seen(*several(80)),
    "slow": lambda: seen(*several(8, flight_s=3.0)),
    "stalls": lambda: seen(*times_of([0.05] * 17 + [2.0] * 3)),
    "two_speeds": lambda: seen(*times_of([0.05, 0.25] * 10)),
    "changed": lambda: seen(*[made(at_s=float(n), flight_s=0.1 if n < 20 else 0.3) for n in range(40)]),
    "own_wait": lambda: seen(*several(8, pool_s=0.5)),
    "queue_share": lambda: seen(*several(8, queue_s=0.1)),
    "cold_connection": lambda: seen(*several(4, reused=False, connect_s=0.2, tls_s=0.3)),
    "timeouts": lambda: seen(*late(alive=True)),
    "timeout_to_set": lambda: seen(*several(80, scenario="timeouts")),
    "slow_but_alive": lambda: seen(*late(alive=True)),
    "dead": lambda: seen(*late(alive=False)),
    "refresh_day": lambda: seen(*late(alive=True), **SATURDAY),
    "safe_rate": lambda: seen(rates=[RATE]),
    "bound_by_latency": lambda: seen(rates=[{**RATE, "safe": {**RATE["safe"], "bound_by": "latency"}}]),
    "contradicted": lambda: seen(rates=[{**RATE, "confirmed": CONTRADICTED}]),
    "rate_unknown": lambda: seen(rates=[{**RATE, "safe": None}]),
    "refused": lambda: seen(made(status=429, outcome=Outcome.THROTTLED), made()),
    "window_counter": lambda: seen(
        rates=[{**RATE, "safe": None, "signs": [{"kind": "window_counter", "says": "4,970 of 5,000 are left."}]}]
    ),
    "wrong_dialect": lambda: seen(*several(4, scenario="throttling", facts=GITHUB)),
    "no_budget_headers": lambda: seen(*several(3, scenario="throttling")),
    "unthrottled": lambda: seen(rates=[{**RATE, "regime": "unthrottled", "safe": None}]),
    "not_enforced": lambda: seen(rates=[{**RATE, "regime": "not_enforced", "safe": None}]),
    "blocked": lambda: seen(rates=[{**RATE, "regime": "blocked", "safe": None}]),
    "shared_token": lambda: seen(rates=[{**RATE, "signs": [{"kind": "shared_token", "says": "12 % of 90 headers are not ours."}]}]),
    "page_size": lambda: seen(page(None, total=26), page(100_000, per_page=100), page(1, items=1, per_page=1)),
    "page_size_unknown": lambda: seen(page(None, per_page=None, rels="", style="none", items=3)),
    "page_clamped": lambda: seen(page(None), page(100_000, per_page=100), page(0, per_page=1)),
    "bookmarks": lambda: seen(page(None, style="bookmark")),
    "no_last": lambda: seen(page(None, has_last=False)),
    "pages_cut": lambda: seen(page(None, rels="current"), page(100_000, per_page=100, items=26, rels="current")),
    "circular_next": lambda: seen(page(None, next_at="itself")),
    "foreign_next": lambda: seen(page(None, next_at="http://inner:8080")),
    "empty_beyond": lambda: seen(page(None), page(None, page_asked=99_999, items=0)),
    "best_page_size": lambda: seen(page(None), *[page(1, items=1, per_page=1)] * 3, *[page(50, items=50, per_page=50)] * 3),
    "no_list": lambda: seen(page(None, items=None)),
    "queue_wait": lambda: seen(imports()),
    "no_imports": lambda: seen(imports(waits_s=[], imports=0)),
    "queue_empty": lambda: seen(imports()),
    "backlog": lambda: seen(imports(waiting=1, running=1, queue=[[7, "importing", 30.0, 40], [8, "created", 20.0, 0]])),
    "import_stuck": lambda: seen(imports(waiting=1, queue=[[8, "created", 5000.0, 0]])),
    "import_failed": lambda: seen(imports(ended={"imported": 9, "failed": 1}, unwell=[[6, "failed"]], last_ended=6)),
    "import_place": lambda: seen(imports(mine="6", **{"import": {**OVER, "standing": [6, "imported", None, 100]}})),
    "queue_unreadable": lambda: seen(made(scenario="queue", status=401, outcome=Outcome.FORBIDDEN)),
    "progress": lambda: seen(made(scenario="queue", facts={"progress": 3, "state": "queued", "age_s": 42.0, "completion": 0})),
    "ladder": lambda: seen(*rungs()),
    "dear_call": lambda: seen(*rungs()),
    "slow_first": lambda: seen(*first_slow()),
    "endpoint_unanswered": lambda: seen(
        *several(3, scenario="endpoints", call=ANALYTICS, flight_s=2.5, status=504, outcome=Outcome.GATEWAY_ERROR)
    ),
    "endpoint_missing": lambda: seen(made(scenario="endpoints", status=404, outcome=Outcome.NOT_FOUND)),
    "observer_no_mail": lambda: seen(*enrolment(type="ObserverEnrollment")),
    "mail_stopped": lambda: seen(*enrolment(course={"workflow_state": "unpublished"})),
    "condition_unknown": lambda: seen(*enrolment(channels={"outcome": Outcome.FORBIDDEN})),
    "mail_would_go": lambda: seen(*enrolment()),
    "mail_unknown": lambda: seen(*enrolment(course={"outcome": Outcome.FORBIDDEN})),
    "enrollment_unchecked": lambda: seen(made(scenario="enrollment", facts={"check": "example"})),
    "undocumented_value": lambda: seen(*words("workflow_state", {"active": 2, "retired": 1})),
    "unknown_value": lambda: seen(*words("workflow_state", {"zombie": 1})),
    "words_known": lambda: seen(*words("workflow_state", {"queued": 1}, "progress")),
    "hidden_value": lambda: seen(*words("workflow_state", {"active": 2})),
    "values_unread": lambda: seen(
        made(
            scenario="vocabulary", status=400, outcome=Outcome.CLIENT_ERROR, facts={"thing": "enrollment", "said": "Invalid state deleted"}
        )
    ),
    "nothing_seen": lambda: seen(*words("workflow_state", {})),
    "differs": lambda: seen(comparisons=[PAIR]),
    "no_difference": lambda: seen(comparisons=[{**PAIR, "differs": False}]),
    "not_comparable": lambda: seen(comparisons=[{**PAIR, "ratio_of_medians": None, "differs": False}]),
    "compare_with_care": lambda: seen(comparisons=[{**PAIR, "flags": ["They run different revisions."]}]),
    "capacity_sign": lambda: seen(comparisons=[{**PAIR, "queue_share": {"a": 0.4, "b": 0.0}}]),
    "cause": lambda: seen(causes=[{"instance": "test", "causes": [CAUSE]}]),
    "no_cause": lambda: seen(causes=[{"instance": "test", "causes": [], "n": 60}]),
}


def judged(told: Told) -> list[Finding]:
    observations, documents = told
    return findings.judge(observations, **documents)


def of_kind(kind: str) -> Finding:
    return next(finding for finding in judged(CASES[kind]()) if finding.kind == kind)


def test_every_kind_has_its_case() -> None:
    """The cases of this file reach each kind of the closed list, in its order."""
    assert list(CASES) == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_kind_is_reached(kind: str) -> None:
    """Each case gives a finding of its kind: one sentence that names an instance or both, ended by a full stop."""
    finding = of_kind(kind)
    assert finding.says.rstrip(")").endswith((".", "%"))
    assert finding.instance in ("test", "sandbox")


def test_nothing_found_reaches_no_severity() -> None:
    """That a diagnosis found nothing wrong counts for no --fail-on; that no cause of failures was found does, as all other findings."""
    nothing, failed = of_kind("no_cause"), replace(of_kind("no_cause"), severity=Severity.WARNING)
    other = of_kind("queue_empty")
    assert [one.reaches(Severity.INFO) for one in (nothing, failed, other)] == [False, True, True]
    assert [one.reaches(Severity.ERROR) for one in (nothing, failed, other)] == [False, False, False]


def test_no_cause_where_calls_failed() -> None:
    """A diagnosis without a cause that saw failures warns; what was not tried is said in either case, and nothing called well then."""
    entry = {"instance": "test", "causes": [], "n": 57, "failed": {"server_error": 56}, "remarks": ["Whether so many go is not known."]}
    (finding,) = judged(seen(causes=[entry]))
    assert (finding.severity, finding.evidence) == (Severity.WARNING, ("Whether so many go is not known.",))
    assert finding.says == "No cause was found at test, though 56 of 57 requests failed (server_error 56)."
    (finding,) = judged(seen(causes=[{**entry, "failed": {}}]))
    assert (finding.severity, finding.evidence) == (Severity.INFO, ())
    assert finding.says == "No cause was found at test by 57 observations. Whether so many go is not known."


ERRORS = "no_answer credentials no_user_agent maintenance dead blocked import_stuck contradicted".split()
WARNINGS = (
    "permission redirected wrong_url server_errors connections_lost certificate_ends kind_differs slow own_wait queue_share timeouts "
    "slow_but_alive bound_by_latency rate_unknown refused not_enforced shared_token page_size backlog progress dear_call observer_no_mail "
    "mail_stopped unknown_value differs not_comparable capacity_sign cause endpoint_unanswered "
    "import_failed mail_unknown wrong_dialect circular_next foreign_next slow_first pages_cut stalls changed"
).split()


@pytest.mark.parametrize("kind", KINDS)
def test_severity(kind: str) -> None:
    """How much each kind matters, as `--fail-on` counts it."""
    severity = Severity.ERROR if kind in ERRORS else Severity.WARNING if kind in WARNINGS else Severity.INFO
    assert of_kind(kind).severity is severity


def dear(long_s: float, short_s: float) -> list[Observation]:
    long = several(3, scenario="endpoints", call=ANALYTICS, flight_s=long_s)
    return long + several(3, scenario="endpoints", flight_s=short_s)


def certificate(days: float) -> list[Observation]:
    return [made(scenario="reach", facts={"certificate_days": days})]


def paged(small_s: float, large_s: float, rounds: int = 2) -> list[Observation]:
    """One and ten items a page, so many rounds each, at so many seconds an item."""
    sized = ((1, small_s), (10, 10 * large_s))
    pages = [replace(page(size, items=size, per_page=size), received_s=time_s) for size, time_s in sized for _ in range(rounds)]
    return [page(None), *pages]


WORTH: dict[str, tuple[Callable[[], list[Observation]], str, bool]] = {
    "a median of 2 s": (lambda: several(8, flight_s=2.0), "slow", False),
    "a median above 2 s": (lambda: several(8, flight_s=2.01), "slow", True),
    "20 ms of our own before a quick call": (lambda: several(8, flight_s=0.1, pool_s=0.02), "own_wait", False),
    "21 ms of our own before a quick call": (lambda: several(8, flight_s=0.1, pool_s=0.021), "own_wait", True),
    "a tenth of our own before a long call": (lambda: several(8, flight_s=3.0, pool_s=0.3), "own_wait", False),
    "more of our own before a long call": (lambda: several(8, flight_s=3.0, pool_s=0.31), "own_wait", True),
    "29 ms of 100 in its queue": (lambda: several(8, flight_s=0.1, queue_s=0.029), "queue_share", False),
    "a tenth of a second in its queue": (lambda: several(8, flight_s=1.0, queue_s=0.1), "queue_share", False),
    "31 ms of 200 in its queue": (lambda: several(8, flight_s=0.2, queue_s=0.031), "queue_share", True),
    "two new connections": (lambda: several(2, reused=False, connect_s=0.2, tls_s=0.3), "cold_connection", False),
    "new connections of 0.14 s": (lambda: several(3, reused=False, connect_s=0.04, tls_s=0.1), "cold_connection", False),
    "new connections of 0.16 s": (lambda: several(3, reused=False, connect_s=0.04, tls_s=0.12), "cold_connection", True),
    "new connections of which only TLS is told": (lambda: several(3, reused=False, tls_s=0.3), "cold_connection", False),
    "1 s, ten times the cheapest": (lambda: dear(1.0, 0.1), "dear_call", False),
    "4 s, five times the cheapest": (lambda: dear(4.0, 0.8), "dear_call", False),
    "4.1 s, more than five times the cheapest": (lambda: dear(4.1, 0.8), "dear_call", True),
    "a certificate of three weeks": (lambda: certificate(21.0), "certificate_ends", False),
    "a certificate of less": (lambda: certificate(20.9), "certificate_ends", True),
    "an import that waits 15 min": (lambda: [imports(queue=[[8, "created", 900.0, 0]])], "import_stuck", False),
    "an import that waits longer": (lambda: [imports(queue=[[8, "created", 901.0, 0]])], "import_stuck", True),
    "an import that runs for an hour": (lambda: [imports(running=1, queue=[[8, "importing", 3600.0, 0]])], "import_stuck", False),
    "an import that runs for longer": (lambda: [imports(running=1, queue=[[8, "importing", 3601.0, 0]])], "import_stuck", True),
    "too few past imports": (lambda: [imports(waits_s=[60.0] * 7, queue=[[8, "created", 901.0, 0]])], "import_stuck", False),
    "twice the past waits": (lambda: [imports(waits_s=[500.0] * 8, queue=[[8, "created", 1000.0, 0]])], "import_stuck", False),
    "more than twice": (lambda: [imports(waits_s=[500.0] * 8, queue=[[8, "created", 1001.0, 0]])], "import_stuck", True),
    "sizes that cost nearly the same": (lambda: paged(0.109, 0.1), "best_page_size", False),
    "sizes that do not": (lambda: paged(0.111, 0.1), "best_page_size", True),
    "sizes whose times meet": (
        lambda: [*paged(0.13, 0.1), replace(page(10, items=10, per_page=10), received_s=1.4)],
        "best_page_size",
        False,
    ),
    "sizes of which the worse was as quick once": (
        lambda: [*paged(0.13, 0.1), replace(page(1, items=1, per_page=1), received_s=0.1)],
        "best_page_size",
        False,
    ),
    "two sizes that bring the same page": (
        lambda: [
            page(None),
            *[
                replace(page(size, items=26, per_page=size), received_s=26 * time_s)
                for size, time_s in ((50, 0.05), (100, 0.03))
                for _ in "ab"
            ],
        ],
        "best_page_size",
        False,
    ),
    "sizes tried once": (lambda: paged(0.2, 0.1, rounds=1), "best_page_size", False),
}


@pytest.mark.parametrize("what", WORTH)
def test_what_is_worth_a_word(what: str) -> None:
    """A finding is made beyond its threshold and not at it."""
    make, kind, worth = WORTH[what]
    assert (kind in [finding.kind for finding in findings.judge(make())]) is worth


def test_a_token_that_is_refused_at_times() -> None:
    """No new token is advised where the very same call was answered after the refusal; where it only was before, the token has ended."""
    denied = {"status": 401, "outcome": Outcome.UNAUTHORIZED}
    for refused_at_s, advice in ((1.0, "No new token helps: one of several servers,"), (3.0, "Make a new token in Account > Settings")):
        seen = [made(at_s=0.0), made(at_s=refused_at_s, **denied), made(at_s=2.0)]
        assert next(one for one in findings.judge(seen) if one.kind == "credentials").advice.startswith(advice)


def test_commands_in_advice_can_be_copied() -> None:
    """A name with a blank and a path with a quote are quoted where they stand in a command, and only there."""
    dead = made(instance="our beta", status=None, received_s=None, outcome=Outcome.CONNECT_ERROR)
    (found,) = (one for one in findings.judge([dead]) if one.kind == "no_answer")
    assert found.says.startswith("our beta answered none of 1 request")
    assert found.advice.endswith("probes diagnose -i 'our beta'")
    call = "GET /api/v1/users?search_term=O'Brien"
    (slow,) = (one for one in findings.judge(several(8, call=call, flight_s=3.0)) if one.kind == "slow")
    assert slow.says.startswith(f"'{call}' takes 3.0 s")
    assert shlex.split(slow.advice)[-5:] == ["diagnose", "-i", "test", "--call", call]


@pytest.mark.parametrize(
    ("call", "advised"),
    [
        (SELF, f"--call '{SELF}'"),
        ("GET /api/v1/users/:id", "--calls-file FILE"),
        ("mix of 2 calls: 75 % GET /a, 25 % GET /b", "--calls-file FILE"),
    ],
)
def test_a_kind_of_calls_is_no_call_to_copy(call: str, advised: str) -> None:
    """Where calls of a kind, or a mix of them, need to be asked again, the advice names their file, as `:id` is no path to ask."""
    (found,) = judged(seen(made(scenario="throttling", remaining=600.0), rates=[{**RATE, "call": call, "safe": None}]))
    assert found.advice == f"Spend more calls on it by a greater --budget: probes rate -i test {advised}"


def test_a_token_that_was_not_sent_is_not_called_refused() -> None:
    """A public page that wants a token says nothing of the token; where none is configured the finding says so."""
    denied = {"status": 401, "outcome": Outcome.UNAUTHORIZED}
    public = made(call="GET /health_check.json", facts={"no_token": "none sent"}, **denied)
    assert "credentials" not in {one.kind for one in findings.judge([public, made()])}
    bare = made(facts={"no_token": "none configured"}, **denied)
    (found,) = (one for one in findings.judge([public, bare]) if one.kind == "credentials")
    assert found.says == "No token was sent to test: 1 of 2 requests ended with 401."


def test_an_answer_without_data_is_no_good_news() -> None:
    """Where what came for the token is no JSON the instance is not said to answer well."""
    (found,) = (one for one in findings.judge([made(scenario="reach", facts={"json": False})]) if one.kind == "answers")
    assert (found.severity, found.says) == (
        Severity.WARNING,
        "test answers in 0.20 s, and what came for the token holds no data (status 200).",
    )
    assert found.advice == "Ask why: probes diagnose -i test"


def test_a_certificate_of_four_days_is_an_error() -> None:
    """Below four days the end of a certificate is an error, before that a warning."""
    found = [findings.judge(certificate(days)) for days in (4.0, 3.9)]
    ends = [next(one for one in each if one.kind == "certificate_ends") for each in found]
    assert [one.severity for one in ends] == [Severity.WARNING, Severity.ERROR]


def test_long_waits_of_imports_warn() -> None:
    """Imports that waited more than 15 min in the median are a warning."""
    found = [findings.judge([imports(waits_s=[wait_s] * 6)]) for wait_s in (900.0, 901.0)]
    assert [next(one.severity for one in each if one.kind == "queue_wait") for each in found] == [Severity.INFO, Severity.WARNING]


@pytest.mark.parametrize("started", [None, "yesterday"])
def test_a_run_that_does_not_tell_its_day(started: str | None) -> None:
    """Without the day of a run no refresh is thought of."""
    facts = {"started_at": started, "instances": [{"name": "test", "kind": "beta"}]}
    kinds = [finding.kind for finding in findings.judge(late(alive=True), facts=facts)]
    assert ("timeouts" in kinds, "refresh_day" in kinds) == (True, False)


def test_request_ids_are_evidence() -> None:
    """Of server errors the ids of those that have one are told, three at most."""
    bad = [made(status=500, outcome=Outcome.SERVER_ERROR, request_id=name) for name in (None, "r1", "r2", "r3", "r4")]
    found = next(one for one in findings.judge(bad) if one.kind == "server_errors")
    assert found.evidence[1:] == ("X-Request-Context-Id r1", "X-Request-Context-Id r2", "X-Request-Context-Id r3")
    assert found.says == "test failed on 5 of 5 requests: 500 5 times."


def test_what_was_contradicted_is_not_safe() -> None:
    """A rate that a load contradicted is told by that finding alone; who measures again is told what to look for."""
    (found,) = judged(CASES["contradicted"]())
    assert found.says == f"What was found safe for '{SELF}' at test is not: 1 of 10 calls at 16.2/s was refused when it was tried."
    assert found.advice == (
        "Measure again: probes rate -i test --confirm. Was another job on the token, or did the limit change meanwhile?"
    )
    by_workers = {**CONTRADICTED, "at_rate": {"calls": 326, "refused": 0}, "by_workers": {"calls": 90, "refused": 2}}
    (found,) = judged(seen(rates=[{**RATE, "confirmed": by_workers}]))
    assert "is not: 2 of 90 calls by 11 workers were refused when" in found.says


@pytest.mark.parametrize(("beyond", "told"), [(1, []), (0, ["refused"])])
def test_a_refusal_that_was_wanted(beyond: int, told: list[str]) -> None:
    """What is refused beyond the estimate shows that the limit is real, and is no finding; any other refusal while confirming is one."""
    confirmed = {"contradicted": False, "beyond": {"rate_per_s": 23.0, "calls": 2, "refused": beyond}}
    refused = made(scenario="confirm", status=429, outcome=Outcome.THROTTLED)
    found = judged(seen(made(scenario="confirm"), refused, rates=[{**RATE, "confirmed": confirmed}]))
    assert [finding.kind for finding in found if finding.kind in ("safe_rate", "refused")] == [*told, "safe_rate"]
    assert [finding.advice for finding in found if finding.kind == "refused"] == ["Pace by the live headers (probes.Limiter)."] * len(told)


def test_a_header_that_is_no_number() -> None:
    """A budget header that is there and is no number is told by its name and value; it is not said to be missing."""
    told = several(4, scenario="throttling", facts={"budget_unread": "X-Rate-Limit-Remaining: NaN"})
    (found,) = (one for one in judged(seen(*told)) if one.kind == "no_budget_headers")
    assert found.says == "At test X-Rate-Limit-Remaining is no number ('NaN') on 4 of 4 answers: its level cannot be seen."


def test_headers_of_another_dialect() -> None:
    """Budget headers that the configured dialect does not read are named with the dialect that does; none are said to be missing."""
    (found,) = (one for one in judged(CASES["wrong_dialect"]()) if one.kind in ("wrong_dialect", "no_budget_headers"))
    assert found.says == (
        "At test 4 of 4 answers carry X-RateLimit-Limit, X-RateLimit-Remaining: budget headers of the dialect github, which is not the "
        "configured one."
    )
    assert found.advice == 'Set dialect = "github" in [instances.test], then ask again.'
    few = [*several(5, scenario="throttling"), *several(4, scenario="throttling", facts=GITHUB)]
    assert "wrong_dialect" not in [one.kind for one in findings.judge(few)], "fewer than half of the answers"


def test_each_call_has_its_own_time() -> None:
    """Of several calls each is told by its own answers alone, those that failed left out."""
    failed = several(8, call=ANALYTICS, flight_s=9.0, status=500, outcome=Outcome.SERVER_ERROR)
    found = findings.judge([*several(8), *several(8, call=ANALYTICS, flight_s=3.0), *failed])
    few = "8 calls are too few for a 95th percentile (72 needed); n = 8."
    assert [(finding.kind, finding.says) for finding in found if finding.kind in ("slow", "latency")] == [
        ("slow", f"'{ANALYTICS}' takes 3.0 s at test in the median (3.0 s to 3.0 s); {few}"),
        ("latency", f"'{SELF}' takes 0.20 s at test in the median (0.20 s to 0.20 s); {few}"),
    ]


@pytest.mark.parametrize(
    ("times", "kind"),
    [
        ([0.05] * 19 + [9.0], None),
        ([0.05] * 9 + [9.0] * 2, None),
        ([0.05] * 17 + [0.14] * 3, None),
        ([0.01] * 17 + [0.04] * 3, None),
        ([0.05] * 10 + [0.09] * 10, None),
        ([0.05] * 17 + [0.16] * 3, "stalls"),
        ([0.1] * 10 + [0.18] * 10, "two_speeds"),
    ],
)
def test_two_kinds_of_times(times: list[float], kind: str | None) -> None:
    """Two slow calls of twelve at least, apart by 50 ms and thrice the time, or 1.7 times where both kinds are frequent."""
    told = [one.kind for one in findings.judge(times_of(times)) if one.kind in ("stalls", "two_speeds", "changed")]
    assert told == ([kind] if kind else [])


def test_where_a_stall_was() -> None:
    """The server's own time tells whether it took the time itself; a short stall is no warning."""
    lines = {name: times_of([0.05] * 17 + [0.5] * 3, server_time_s=own) for name, own in {"there": 0.45, "before": 0.04}.items()}
    found = {name: next(one for one in findings.judge(seen_) if one.kind == "stalls") for name, seen_ in lines.items()}
    assert found["there"].evidence[1] == "the server itself took the time: 0.45 s in the median of them, by X-Runtime"
    assert found["before"].evidence[1] == "by X-Runtime the server worked 40 ms on them: the rest passed before it, or on the way"
    assert found["there"].severity is Severity.INFO


def test_a_few_calls_are_told_without_a_median() -> None:
    """Five calls carry no median: what they took is told all the same, and how many would."""
    (found,) = findings.judge(several(5, flight_s=0.3))
    assert (found.kind, found.says) == ("latency", f"'{SELF}' took 0.30 s at test; 5 calls are too few for a median (6 needed).")
    assert findings.judge([made(call=f"GET /{n}") for n in range(4)]) == [], "not of each of many calls"


def test_new_connections_take_no_part_in_the_time_of_a_call() -> None:
    """What a call takes is told by warm connections: those that a scenario opened anew are left out."""
    found = findings.judge([*several(8), *several(8, flight_s=9.0, facts={"cold": True})])
    assert [finding.says.partition("n = ")[2] for finding in found if finding.kind == "latency"] == ["8."]


def test_there_is_one_median_of_a_call() -> None:
    """The scenario that tells best, as in the report's table, tells what a call takes; others that asked it too do not."""
    found = findings.judge([*several(9, scenario="compare", flight_s=0.4), *several(8), *several(7, scenario="timeouts", flight_s=0.6)])
    assert [finding.says.partition(";")[0] for finding in found if finding.kind == "latency"] == [
        f"'{SELF}' takes 0.20 s at test in the median (0.20 s to 0.20 s)"
    ]


def test_a_timeout_is_thrice_the_slowest() -> None:
    """The read timeout to set is three times the slowest answer."""
    found = findings.judge([*several(79, scenario="timeouts"), made(scenario="timeouts", flight_s=6.0)])
    finding = next(one for one in found if one.kind == "timeout_to_set")
    assert finding.says.endswith("the slowest of 80 answers took 6.0 s.")
    assert finding.advice == "Set the read timeout to 18 s: three times the slowest, and 10 s at least."


def test_evidence_holds_words_only() -> None:
    """A connection that broke without a word adds nothing to the evidence, and each word stands there once."""
    broken = [lost(Outcome.CONNECT_ERROR, error=error) for error in (None, "reset", "reset", "refused")]
    found = findings.judge([made(), *broken])
    assert next(finding.evidence for finding in found if finding.kind == "connections_lost") == ("reset", "refused")
    none = findings.judge(broken)
    assert next(finding.evidence for finding in none if finding.kind == "no_answer") == ("reset", "refused")


def test_imports_of_unknown_age() -> None:
    """An import that does not tell since when it waits stands in the queue all the same, and is not told to be stuck."""
    found = findings.judge([imports(waiting=1, queue=[[8, "created", None, None], [9, "created", 20.0, 0]])])
    backlog = next(finding for finding in found if finding.kind == "backlog")
    assert backlog.evidence == ("import 8: created", "import 9: created for 20 s, 0 %")
    assert backlog.says == "The import queue of test now: 2 waiting, 0 running; a new one would wait about 3 min (by 10 past runs)."
    assert "import_stuck" not in [finding.kind for finding in found]


def test_failures_are_no_part_of_the_tail() -> None:
    """The timeout to set is told by answers as asked: errors that come quickly, or late, are none."""
    bad = several(40, scenario="timeouts", flight_s=30.0, status=500, outcome=Outcome.SERVER_ERROR)
    found = findings.judge([*bad, *several(80, scenario="timeouts")])
    assert next(finding.says for finding in found if finding.kind == "timeout_to_set") == (
        "95 of 100 answers of test to 'GET /api/v1/users/self' come within 0.20 s (0.20 s to 0.20 s), "
        "the slowest of 80 answers took 0.20 s."
    )


def test_no_list_though_a_try_failed() -> None:
    """What answered once with something else than a list is no list, also where another try failed; without an answer nothing is said."""
    failed = replace(page(None, items=None), status=500, outcome=Outcome.SERVER_ERROR)
    assert "no_list" in [finding.kind for finding in findings.judge([page(None, items=None), failed])]
    assert "no_list" not in [finding.kind for finding in findings.judge([failed])]


def test_the_shift_of_quantiles_is_evidence() -> None:
    """By how much which quantile differs stands beside the sentence, in ms with its interval and n."""
    assert of_kind("differs").evidence == ("quantile 0.5: test minus sandbox +200 ms (+180 to +220 ms, n = 190)",)


@pytest.mark.parametrize(
    ("facts", "waited"),
    [
        ({"state": "queued", "age_s": 42.0}, "it was queued for at least 42 s"),
        ({"state": "running", "age_s": 9.0, "at_most_s": 3.0}, "it was done or at work at the first look, so it waited 3.0 s at most"),
        ({"state": "running"}, "how long it waited is not known"),
        ({"state": "queued", "age_s": None}, "how long it waited is not known"),
    ],
)
def test_how_long_a_job_waited(facts: dict[str, Any], waited: str) -> None:
    """What polling a Progress tells of its wait: at least, at most, or nothing."""
    poll = made(scenario="queue", facts={"progress": 3, "completion": 0, **facts})
    finding = next(one for one in findings.judge([poll]) if one.kind == "progress")
    assert finding.says == f"Background job 3 of test is {facts['state']} at 0 %; {waited}; n = 1 poll."


def test_a_failed_job_names_its_error() -> None:
    """Where the message of a job names an error's ID, that is to be quoted."""
    poll = made(scenario="queue", facts={"progress": 3, "state": "failed", "completion": 40, "message": "Unexpected error, ID: 77."})
    (finding,) = (one for one in findings.judge([poll]) if one.kind == "progress")
    assert finding.says.startswith("Background job 3 of test failed at 40 %: Unexpected error, ID: 77; ")
    assert finding.advice == "Quote the error's ID to the vendor's support."


@pytest.mark.parametrize(("count", "told"), [(3, "GET /0, GET /1, GET /2"), (4, "GET /0, GET /1, GET /2 ...")])
def test_calls_that_are_not_permitted(count: int, told: str) -> None:
    """Three of the calls that the token may not make are named, and whether there are more."""
    seen_there = [made(call=f"GET /{n}", status=403, outcome=Outcome.FORBIDDEN) for n in range(count)]
    finding = next(one for one in findings.judge(seen_there) if one.kind == "permission")
    assert finding.says == f"test does not let this token make {count} kinds of call: {told}."


@pytest.mark.parametrize(
    ("kind", "guess", "differs"),
    [
        ("production", "beta", True),
        ("test", "sandbox", True),
        ("beta", "beta", False),
        ("test", "production", False),
        (None, "beta", False),
    ],
)
def test_a_kind_that_the_host_contradicts(kind: str | None, guess: str, differs: bool) -> None:
    """A host name that looks like another kind than configured is told, but not one that looks like nothing in particular."""
    found = findings.judge([made(scenario="reach", facts={"kind": kind, "kind_by_host": guess})])
    assert ("kind_differs" in [finding.kind for finding in found]) is differs


def test_words_stand_in_order() -> None:
    """Several values that nobody names are told in the order of the alphabet, the most frequent first in the evidence."""
    (unknown, *_) = findings.judge(words("workflow_state", {"zombie": 1, "active": 5, "alien": 2}))
    assert unknown.says.endswith("names: alien, zombie; n = 8.")
    assert unknown.evidence == ("active: 5", "alien: 2", "zombie: 1")


def test_redirections_name_their_places_once() -> None:
    """Where several redirections point is told once each, in order."""
    places = ("https://sso.example", "https://login.example", "https://id.example", "https://sso.example")
    seen_there = [made(status=302, outcome=Outcome.REDIRECTED, facts={"location": place}) for place in places]
    finding = next(one for one in findings.judge(seen_there) if one.kind == "redirected")
    told = "https://id.example, https://login.example, https://sso.example"
    assert finding.says == f"test redirected 4 requests to {told}; the token was not sent there."


@pytest.mark.parametrize(
    ("ratio", "slower", "severity"),
    [(1.5, "test", Severity.INFO), (1.51, "test", Severity.WARNING), (0.67, "sandbox", Severity.INFO), (0.66, "sandbox", Severity.WARNING)],
)
def test_the_slower_one_is_named(ratio: float, slower: str, severity: Severity) -> None:
    """A difference is the slower instance's, and a warning from half as long again; rates are to be measured on it."""
    pair = {**PAIR, "ratio_of_medians": {**PAIR["ratio_of_medians"], "value": ratio}}
    (finding,) = judged(seen(comparisons=[pair]))
    assert (finding.instance, finding.severity) == (slower, severity)
    assert finding.advice == f"Rates found on {slower} are not those of the other; measure each: probes rate -i {slower}"


@pytest.mark.parametrize(("tails", "heavier"), [((2.0, 0.5), "test"), ((0.5, 2.0), "sandbox")])
def test_the_one_with_the_heavier_tail_is_named(tails: tuple[float, float], heavier: str) -> None:
    """Where medians are alike and tails are not, the difference is that of the instance whose slow calls take longer."""
    (found,) = judged(seen(comparisons=[{**PAIR, "differs": False, "tails_s": dict(zip("ab", tails, strict=True))}]))
    assert (found.kind, found.instance) == ("differs", heavier)
    assert found.advice.endswith(f"probes diagnose -i {heavier} --call '{SELF}'")


def test_each_instance_is_judged_by_its_own_observations() -> None:
    """What one instance answers counts for no other."""
    refused = several(2, instance="beta", status=401, outcome=Outcome.UNAUTHORIZED)
    found = [(one.kind, one.instance) for one in findings.judge([*several(2), *refused]) if one.severity is Severity.ERROR]
    assert found == [("credentials", "beta")]


def test_capacity_signs_of_either_side() -> None:
    """Each side that spends more than 15 % in its own queue is named; a side that does not tell is not."""
    told = [{**PAIR, "queue_share": shares} for shares in ({"a": 0.15, "b": 0.16}, {"a": 0.16, "b": None}, {})]
    found = [[one.instance for one in judged(seen(comparisons=[pair])) if one.kind == "capacity_sign"] for pair in told]
    assert found == [["sandbox"], ["test"], []]


SAYS = {
    "no_answer": "test answered none of 2 requests: dns_error 2.",
    "credentials": "test refused the token: 1 of 1 request ended with 401.",
    "answers": "test answers in 0.20 s (test, revision 2026), as user 7; n = 1.",
    "server_errors": "test failed on 2 of 2 requests: 502 once, 500 once.",
    "connections_lost": "test gave no whole answer to 1 of 2 requests: the connection broke.",
    "latency": f"'{SELF}' takes 0.20 s at test in the median (0.20 s to 0.20 s), 95th percentile 0.20 s (0.20 s to 0.20 s); n = 80.",
    "slow": f"'{SELF}' takes 3.0 s at test in the median (3.0 s to 3.0 s); 8 calls are too few for a 95th percentile (72 needed); n = 8.",
    "timeouts": "1 of 3 requests to test timed out (6 % to 79 %): 1 while waiting for the answer.",
    "refresh_day": "The 1 timeout of test fell on Saturday, 07 November: beta is overwritten from production every Saturday.",
    "safe_rate": f"'{SELF}' is safe at test up to 16.2 a second (best estimate 17.1), or with 11 in flight: a job of 1,000 calls then"
    " meets a refusal with odds of 5 %; what calls in flight reserve binds; n = 220.",
    "page_size": "'/api/v1/courses' at test gives 10 items a page of 26 in all unless asked for more, at most 100.",
    "page_clamped": "test does not say so when it gives less than asked: per_page=100000 gave 100, per_page=0 gave 1.",
    "best_page_size": "'/api/v1/courses' at test is cheapest with per_page=50: an item takes 50 times as long with per_page=1.",
    "queue_wait": "SIS imports of test waited 60 s in the median (60 s to 60 s), then ran for 90 s; the longest wait was 60 s; n = 10.",
    "backlog": "The import queue of test now: 1 waiting, 1 running; a new one would wait about 2 min (by 10 past runs).",
    "import_stuck": "Import 8 of test has waited 83 min, and nothing is at work that it waits for; the longest of 10 past waits was 60 s.",
    "import_failed": "Of 10 past SIS imports of test not all ended well: 1 failed; the last import that ended is 6, failed.",
    "import_place": "Import 6 of test is over, imported: it waited 60 s, then ran for 90 s.",
    "queue_unreadable": "The import queue of test is unknown: needs permission 'Import SIS data' (401).",
    "progress": "Background job 3 of test is queued at 0 %; it was queued for at least 42 s; n = 1 poll.",
    "dear_call": f"'{ANALYTICS}' takes 4.0 s at test, 22 times '{SELF}'; 1,000 of "
    "them cost 67 min one by one and 3,000 units of the bucket;"
    " n = 5.",
    "endpoint_unanswered": "1 call of the ladder brought no whole answer at test, and may be the dearest.",
    "pages_cut": "'/api/v1/courses' at test gives 10 items when no size is asked for and names no next page, though it holds 26 at least: "
    "who follows the links misses the rest, without an error.",
    "slow_first": f"'{ANALYTICS}' took 4.0 s at test the first time it was asked, and 80 ms when asked again "
    "(4 times): it looks as if the answer is made once and kept for a while.",
    "values_unread": "The enrolments of test could not be read (400: Invalid state deleted): their values are unknown.",
    "stalls": f"3 of 20 calls '{SELF}' at test took 2.0 s, the others 50 ms at most: a few stand still.",
    "two_speeds": f"'{SELF}' at test has two speeds: 10 of 20 calls took 0.25 s, the others 50 ms.",
    "changed": f"'{SELF}' at test became slower while it was measured: 0.10 s in the median of the first 20 calls, "
    "0.30 s in that of the 20 after them.",
    "timeout_to_set": (
        "95 of 100 answers of test to 'GET /api/v1/users/self' come within 0.20 s (0.20 s to 0.20 s), "
        "the slowest of 80 answers took 0.20 s."
    ),
    "slow_but_alive": "test is alive: after 1 of 1 timeout its health page answered, though the call did not.",
    "mail_stopped": "StudentEnrollment of user 5 in course 1 at test: no mail would be "
    "sent, as the course is unpublished: the enrolment stays"
    " creation_pending, and no mail follows when it is published later.",
    "condition_unknown": "StudentEnrollment of user 5 in course 1 at test: whether the user has an e-mail address that counts is not known:"
    " needs permission to read this user's communication channels.",
    "mail_would_go": "StudentEnrollment of user 5 in course 1 at test: nothing that was read stops the mail (9 of 9 conditions hold).",
    "mail_unknown": "StudentEnrollment of user 5 in course 1 at test: nothing can be said of the mail, as the course could not be read"
    " (6 of 9 conditions hold).",
    "nothing_seen": "No communication channels were seen at test, so there is no value to compare; n = 1 answer.",
    "undocumented_value": "The workflow_state of communication channels at test has values "
    "that the documentation does not name but the source does:"
    " retired; n = 3.",
    "cause": "test is short of slots. (cause capacity, confidence 97 %)",
    "no_cause": "Nothing slows or stops such a job at test by 60 observations.",
}


@pytest.mark.parametrize("kind", SAYS)
def test_sentence(kind: str) -> None:
    """The sentence carries its numbers and n."""
    assert of_kind(kind).says == SAYS[kind]


@pytest.mark.parametrize(
    ("changes", "kind", "stopped_by"),
    [
        ({"course": {"concluded": True}}, "production", "the course has concluded"),
        ({"course": {"workflow_state": "deleted"}}, "production", "the course is deleted"),
        ({"course": {"term_end_at": "2020-01-01T00:00:00Z"}}, "production", "the dates of the term are over"),
        (
            {"course": {"restrict_enrollments_to_course_dates": True, "end_at": "2020-01-01T00:00:00Z"}},
            "production",
            "the dates of the course are over",
        ),
        (
            {"course": {"term_start_at": "2040-01-01T00:00:00Z"}, "settings": {"restrict_student_future_view": True}},
            "production",
            "the course has not begun and hides itself from students until then",
        ),
        (
            {"channels": {"emails": {"unconfirmed": 1}}},
            "production",
            "the user has no active e-mail address (1 unconfirmed; retired ones are hidden from the list)",
        ),
        (
            {"channels": {"emails": {}}},
            "production",
            "the user has no active e-mail address (none at all; retired ones are hidden from the list)",
        ),
        (
            {"enrollments": {"enrolled": [["StudentEnrollment", "active"]]}},
            "production",
            "the user is active in this role already, and posting it again changes nothing",
        ),
        ({}, "beta", "beta instances of hosted Canvas send no mail at all"),
    ],
)
def test_each_condition_stops_the_mail(changes: dict[str, Any], kind: str, stopped_by: str) -> None:
    """One condition that fails is the only one named, with a remedy."""
    facts = {"instances": [{"name": "test", "kind": kind}]}
    found = [finding for finding in findings.judge(enrolment(**changes), facts=facts) if finding.kind == "mail_stopped"]
    assert [finding.says.partition(", as ")[2] for finding in found] == [stopped_by + "."]
    assert found[0].severity is Severity.WARNING
    assert found[0].advice


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        (
            {"type": "TeacherEnrollment", "course": {"workflow_state": "unpublished"}},
            "the course is not published; staff get their mail all the same",
        ),
        ({"course": {"term_start_at": "2040-01-01T00:00:00Z"}}, "the course has not begun, but students may see it before"),
        (
            {"enrollments": {"enrolled": [["StudentEnrollment", "creation_pending"]]}},
            "an enrolment waits as creation_pending: post it again now that the rest holds",
        ),
        ({"enrollments": {"enrolled": [["TeacherEnrollment", "active"]]}}, "the user has no live enrolment in this role"),
    ],
)
def test_conditions_that_hold(changes: dict[str, Any], holds: str) -> None:
    """What looks like an obstacle and is none does not stop the mail."""
    found = findings.judge(enrolment(**changes))
    assert not [finding for finding in found if finding.kind == "mail_stopped"]
    assert f"holds: {holds}" in next(finding for finding in found if finding.kind == "mail_would_go").evidence


@pytest.mark.parametrize(
    ("check_name", "permission"),
    [
        ("course", "to read this course"),
        ("logins", "'Users - view login IDs', as an account administrator"),
        ("user", "to read this user's profile ('Users - view list' or the user's own token)"),
        ("enrollments", "'Courses - view list of users' in this course"),
    ],
)
def test_unreadable_condition_names_its_permission(check_name: str, permission: str) -> None:
    """A read that is not permitted makes its condition unknown and names the permission, rather than guess."""
    found = findings.judge(enrolment(**{check_name: {"outcome": Outcome.FORBIDDEN}}))
    unknown = [finding.says for finding in found if finding.kind == "condition_unknown"]
    assert unknown
    assert all(permission in says for says in unknown)


def test_section_dates_count() -> None:
    """Where a section restricts its dates, those stop the mail and not the term's."""
    section = check("section", restrict_enrollments_to_section_dates=True, end_at="2020-01-01T00:00:00Z")
    found = findings.judge([section, *enrolment()])
    assert any(finding.says.endswith("as the dates of the section are over.") for finding in found)


def test_observer_comes_first_and_unregistered_ones_get_mail() -> None:
    """The observer's case is said before everything else about the enrolment; of one without logins it is not said."""
    found = [finding.kind for finding in judged(CASES["observer_no_mail"]())]
    assert found[0] == "observer_no_mail"
    unregistered = findings.judge(enrolment(type="ObserverEnrollment", logins={"logins": 0}, channels={"emails": {"unconfirmed": 1}}))
    assert [finding.kind for finding in unregistered] == ["condition_unknown", "condition_unknown", "mail_would_go"]


def test_order_by_severity() -> None:
    """The gravest comes first, and a document tells severity and evidence plainly."""
    found = findings.judge([made(status=503, outcome=Outcome.MAINTENANCE), *several(8), made(status=429, outcome=Outcome.THROTTLED)])
    ranks = [finding.severity.rank for finding in found]
    assert ranks == sorted(ranks, reverse=True)
    assert found[0].document() == {
        "kind": "maintenance",
        "severity": "error",
        "instance": "test",
        "says": "test answered 503 to 1 of 10 requests: it is in maintenance, or being refreshed.",
        "evidence": [],
        "advice": found[0].advice,
    }


def test_states_of_one_thing_are_not_those_of_another() -> None:
    """A state that jobs have is a strange one of a channel, and only where a channel has it."""
    both = [*words("workflow_state", {"active": 2}), *words("workflow_state", {"queued": 1}, "progress")]
    assert "unknown_value" not in [finding.kind for finding in findings.judge(both)]
    strange = [*both, *words("workflow_state", {"queued": 1})]
    (found,) = (finding for finding in findings.judge(strange) if finding.kind == "unknown_value")
    assert found.says.endswith("names: queued; n = 3.")


def test_nothing_seen_nothing_said() -> None:
    """No observation, no finding."""
    assert findings.judge([]) == []


@pytest.mark.parametrize(
    ("kind", "started", "fits"),
    [
        ("test", "2026-11-21", True),
        ("test", "2026-08-15", True),
        ("test", "2026-11-07", False),
        ("test", "2026-11-14", False),
        ("test", "2026-08-22", False),
        ("beta", "2026-11-06", False),
        ("production", "2026-11-05", True),
        ("production", "2026-05-07", True),
        ("production", "2026-10-15", True),
        ("production", "2026-05-21", True),
        ("production", "2026-10-08", False),
        ("production", "2026-10-22", False),
        ("production", "2026-11-06", False),
        ("sandbox", "2026-11-07", False),
        ("sandbox", "2026-11-05", False),
    ],
)
def test_refresh_days(kind: str, started: str, fits: bool) -> None:
    """Test is refreshed on the third Saturday; production is maintained on the first and third Thursday; a sandbox on neither."""
    facts = {"started_at": f"{started}T03:00:00+00:00", "instances": [{"name": "test", "kind": kind}]}
    found = findings.judge(late(alive=True), facts=facts)
    assert ("refresh_day" in [finding.kind for finding in found]) is fits


@pytest.mark.parametrize(
    ("cpu", "db", "advice"),
    [
        (0.2, 3.0, "The database works on it: ask for it rarely, and keep what you got."),
        (3.0, 0.2, "The server computes: ask for it rarely, and keep what you got."),
        (0.2, 0.2, "The server waits for something else (another service, a cache, a queue): few at a time, with a long timeout."),
        (None, None, "Ask for it rarely and keep what you got."),
    ],
)
def test_dear_call_names_what_works(cpu: float | None, db: float | None, advice: str) -> None:
    """The advice on a dear call follows what the server spends its time on."""
    dear = several(5, scenario="endpoints", call=ANALYTICS, flight_s=4.0, server_time_s=4.0, cpu_s=cpu, db_s=db)
    found = findings.judge([*dear, *several(5, scenario="endpoints")])
    assert [finding.advice for finding in found if finding.kind == "dear_call"] == [advice]


@pytest.mark.parametrize(
    ("default", "greatest", "cut"),
    [
        ({"rels": "", "per_page": None}, {"items": 26, "rels": ""}, True),
        ({"rels": "current,next"}, {"items": 26}, False),
        ({"rels": "current", "items": 9}, {"items": 26}, False),
        ({"rels": "current"}, {"items": 11}, False),
    ],
)
def test_pages_that_stop_before_the_list_does(default: dict[str, Any], greatest: dict[str, Any], cut: bool) -> None:
    """A full page without rel=next is cut where another one brought two items more; one item may have been added meanwhile."""
    told = findings.judge([page(None, **default), page(100_000, per_page=100, **greatest)])
    assert ("pages_cut" in [one.kind for one in told]) is cut


def test_a_list_that_gives_no_more_than_it_does() -> None:
    """A list that does not mind per_page and goes on is worth a warning, though its total is not known: asking for more brings nothing."""
    lines = [page(size) for size in (None, 100_000, 0, 1)]
    found = next(one for one in findings.judge(lines) if one.kind == "page_size")
    assert (found.severity, found.says) == (Severity.WARNING, "'/api/v1/courses' at test gives 10 items a page whatever is asked for.")
    assert found.advice == "Follow rel=next until there is none."
    unknown = next(one for one in findings.judge([page(None, total=26)]) if one.kind == "page_size")
    assert unknown.advice == "Follow rel=next until there is none."


def test_an_empty_list_is_told_as_such() -> None:
    """A list that holds nothing now has page sizes all the same."""
    found = next(one for one in findings.judge([page(None, items=0, total=0, rels="current")]) if one.kind == "page_size")
    assert found.says.endswith("a greatest size that does not show; it holds none now.")


def test_what_holds_for_several_lists_is_said_once() -> None:
    """Lists that clamp alike make one finding, with their paths as evidence."""
    lines = [page(100_000, per_page=100, list=path) for path in ("/a", "/b")]
    assert [one.evidence for one in findings.judge(lines) if one.kind == "page_clamped"] == [("'/a'", "'/b'")]


def test_the_best_page_size_is_the_greatest_of_those_as_cheap() -> None:
    """Where a list of 26 comes whole with per_page=50 and with 100, 100 is named: the advice of the list's own finding."""
    pages = [page(size, items=min(size, 26), per_page=size) for size in (1, 50, 100) for _ in range(3)]
    (best,) = [f for f in judged(seen(page(None, total=26), *pages)) if f.kind == "best_page_size"]
    assert best.advice == "Ask for per_page=100."


def test_the_best_page_size_is_one_that_is_given() -> None:
    """Where per_page=100 brings 50, as on old installations, 50 is named."""
    pages = [page(size, items=min(size, 50), per_page=min(size, 50)) for size in (1, 50, 100) for _ in range(3)]
    (best,) = [f for f in judged(seen(page(None, total=260), *pages)) if f.kind == "best_page_size"]
    assert best.advice == "Ask for per_page=50."


def test_the_total_is_the_greatest_that_was_seen() -> None:
    """A list without any next link came with 10 items, and with 26 where more were asked for: these are all, as far as it shows."""
    found = judged(seen(page(None, total=10), page(100, items=26, per_page=100, total=26)))
    (size,) = [f for f in found if f.kind == "page_size"]
    assert size.says.startswith("'/api/v1/courses' at test gives 10 items a page of 26 in all unless asked for more")


@pytest.mark.parametrize(
    ("query", "less"),
    [
        ("?include[]=term&per_page=100", "ask for fewer includes"),
        ("?per_page=100", "ask for smaller pages"),
        ("", "ask for it rarely"),
    ],
)
def test_a_dear_call_is_asked_for_less_of_what_it_has(query: str, less: str) -> None:
    """Fewer includes are advised where there are includes, smaller pages where there are pages."""
    call = f"GET /api/v1/courses{query}"
    dear = several(5, scenario="endpoints", call=call, flight_s=4.0, server_time_s=4.0, cpu_s=3.0)
    found = findings.judge([*dear, *several(5, scenario="endpoints")])
    assert [finding.advice for finding in found if finding.kind == "dear_call"] == [f"The server computes: {less}, and keep what you got."]


def test_a_quick_call_may_be_dear() -> None:
    """A surcharge that no time shows is named by what it leaves in the bucket."""
    dear = several(2, scenario="endpoints", call=ANALYTICS, flight_s=0.05, cost=200.2, remaining=400.0)
    found = findings.judge([*dear, *several(5, scenario="endpoints", cost=0.04, remaining=600.0)])
    assert [finding.says for finding in found if finding.kind == "dear_call"] == [
        f"'{ANALYTICS}' costs 200 units of the bucket at test in 50 ms: 3 in a row fill it; n = 2."
    ]


def test_a_ladder_of_calls_that_take_the_same() -> None:
    """Where no call stands out none is called dear; where all are slow it is the instance."""
    for flight_s, severity in ((0.05, Severity.INFO), (1.6, Severity.WARNING)):
        seen_all = several(5, scenario="endpoints", flight_s=flight_s) + several(5, scenario="endpoints", call=ANALYTICS, flight_s=flight_s)
        (ladder,) = [finding for finding in findings.judge(seen_all) if finding.kind == "ladder"]
        assert ladder.severity is severity
        assert ladder.says.startswith("The 2 calls at test take much the same: ")
    assert ladder.advice == "Even the cheapest call is slow, so it is the instance and not the call: probes diagnose -i test"


def first_slow(cost: float | None = 3.0, **first: Any) -> list[Observation]:
    """A call that takes 4 s and costs 3 units once, 80 ms and 0.06 units when asked again."""
    again = several(4, scenario="endpoints", call=ANALYTICS, flight_s=0.08, cost=None if cost is None else 0.06)
    return [made(scenario="endpoints", call=ANALYTICS, flight_s=4.0, cost=cost, **first), *again]


def test_a_call_that_is_slow_the_first_time_only() -> None:
    """A first answer that took long and cost much, or that never came, is told with what a job pays for it; one that stood still is not."""
    told = {
        name: [one for one in findings.judge(lines) if one.kind == "slow_first"]
        for name, lines in {
            "worked": first_slow(),
            "untold": first_slow(cost=None),
            "lost": first_slow(cost=None, status=504, outcome=Outcome.GATEWAY_ERROR),
            "stood still": first_slow(cost=0.06),
            "later": first_slow()[1:] + first_slow()[:1],
        }.items()
    }
    assert {name: len(found) for name, found in told.items()} == {"worked": 1, "untold": 1, "lost": 1, "stood still": 0, "later": 0}
    assert "for each: 67 min for 1,000 of them one by one" in told["worked"][0].advice
    assert told["lost"][0].advice.startswith("A job over many courses or users loses the first call for each: ask again a little later")
    assert told["lost"][0].says.startswith(f"'{ANALYTICS}' ended with 504 after 4.0 s at test the first time it was asked, and 80 ms")


def test_calls_that_cannot_be_asked_say_why() -> None:
    """Each of them stands in the evidence with the answer it got, however many they are."""
    lines = [made(scenario="endpoints", call=f"GET /{n}", status=404, outcome=Outcome.NOT_FOUND) for n in range(6)]
    lines += [made(scenario="endpoints", call="GET /7", status=401, outcome=Outcome.FORBIDDEN)]
    (found,) = [one for one in findings.judge(lines) if one.kind == "endpoint_missing"]
    assert found.evidence == (*(f"GET /{n}: not there (404)" for n in range(6)), "GET /7: not permitted (401)")


def test_calls_that_were_never_answered_are_named() -> None:
    """Each with how it ended, after how long and how often; one that was answered once is not among them."""
    found = of_kind("endpoint_unanswered")
    assert found.evidence == (f"'{ANALYTICS}': 504 gateway_error after 2.5 s, 3 times",)
    mixed = [*CASES["endpoint_unanswered"]()[0], made(scenario="endpoints", call=ANALYTICS)]
    assert "endpoint_unanswered" not in [finding.kind for finding in findings.judge(mixed)]


def test_a_timeout_of_the_gateway_is_told() -> None:
    """A 504 tells its call, how long it took, and that a longer timeout on our side does not help."""
    (found,) = findings.judge(several(3, call=ANALYTICS, flight_s=30.1, status=504, outcome=Outcome.GATEWAY_ERROR))
    assert found.says == "test failed on 3 of 3 requests: 504 3 times (what stands before it gave up waiting for it, after 30 s)."
    assert found.evidence == (f"'{ANALYTICS}': 3 times",)
    assert found.advice.startswith("A longer timeout on our side does not help against a 504: ask for less at a time. ")
    quick = made(flight_s=0.1, status=500, outcome=Outcome.SERVER_ERROR)  # whose time is not the gateway's patience
    late = made(call=ANALYTICS, flight_s=30.1, status=504, outcome=Outcome.GATEWAY_ERROR)
    told = "500 3 times, 504 once (what stands before it gave up waiting for it, after 30 s)."
    assert findings.judge([late, quick, quick, quick])[0].says == f"test failed on 4 of 4 requests: {told}"


PUBLIC_PAGE: dict[str, Any] = {"call": "GET /health_check.json", "facts": {"public": True, "html": True}}
NOT_THERE: dict[str, Any] = {"status": 404, "outcome": Outcome.NOT_FOUND}
BROKEN: dict[str, Any] = {"status": 500, "outcome": Outcome.SERVER_ERROR}


@pytest.mark.parametrize(
    ("answers", "kinds"),
    [
        ([made(**NOT_THERE)], []),
        ([made(facts={"html": True}, **NOT_THERE)], ["wrong_url"]),
        ([made(), made(**PUBLIC_PAGE, **NOT_THERE)], []),
        ([made(**BROKEN), made(**PUBLIC_PAGE, **NOT_THERE)], ["wrong_url", "server_errors"]),
        ([made(), made(**PUBLIC_PAGE, **BROKEN)], ["server_errors"]),
    ],
    ids=["no such thing", "a web page", "a health page that is kept", "the same where nothing answers", "a health page that fails"],
)
def test_which_page_is_out_of_place(answers: list[Observation], kinds: list[str]) -> None:
    """A web page in place of JSON is told, a 404 in JSON is not, nor that an operator keeps the health page of an instance that is well."""
    assert [finding.kind for finding in findings.judge(answers) if finding.kind != "latency"] == kinds


def test_an_answer_that_broke_off() -> None:
    """An answer whose body ends too early has a status and is lost all the same."""
    found = findings.judge([made(), made(status=200, received_s=None, outcome=Outcome.PROTOCOL_ERROR)])
    assert [finding.says for finding in found if finding.kind == "connections_lost"] == [
        "test gave no whole answer to 1 of 2 requests: the connection broke; 1 of the answers broke off half-way."
    ]


def test_answers_that_are_no_sound_http() -> None:
    """Where what came is not to be understood no connection is said to have broken; beside others they are counted."""
    garbled = made(status=200, received_s=None, outcome=Outcome.PROTOCOL_ERROR, error="RemoteProtocolError: illegal chunk header: zz")
    broken = made(status=None, received_s=None, outcome=Outcome.PROTOCOL_ERROR, error="ReadError: reset")
    told = [
        [one.says for one in findings.judge([made(), *bad]) if one.kind == "connections_lost"] for bad in ([garbled], [garbled, broken])
    ]
    assert told == [
        ["test gave no whole answer to 1 of 2 requests: what came was no sound HTTP."],
        ["test gave no whole answer to 2 of 3 requests: the connection broke; 1 of what came was no sound HTTP."],
    ]


def censored(waited_s: float, **more: Any) -> list[Observation]:
    """80 quick answers, and 8 calls that ran out of time."""
    facts = {"gave_up_after_s": waited_s}
    late_ones = [lost(Outcome.READ_TIMEOUT, scenario="timeouts", at_s=3.0, facts=facts) for _ in range(8)]
    return [*several(80, scenario="timeouts", **more), *late_ones, made(scenario="timeouts", call=f"{SELF} after a timeout", flight_s=9.0)]


def test_a_slower_call_of_another_scenario_counts_for_the_timeout() -> None:
    """A read timeout holds for all calls of a client: the slowest answer that the run saw sets it, and is named."""
    dear = several(3, scenario="endpoints", call="GET /dear", flight_s=16.0)
    found = timeout_to_set([*several(80, scenario="timeouts"), *dear])
    assert found.says.endswith(" come within 0.20 s (0.20 s to 0.20 s), the slowest of 80 answers took 0.20 s. 'GET /dear' took 16 s.")
    assert found.advice.startswith("Set the read timeout to 48 s: ")


def timeout_to_set(observations: list[Observation]) -> Finding:
    return next(finding for finding in findings.judge(observations) if finding.kind == "timeout_to_set")


def test_no_timeout_is_advised_that_is_known_to_fail() -> None:
    """Where calls ran out of time the slowest answers are not known: no timeout is advised, and none below what failed."""
    found = timeout_to_set(censored(12.0))
    assert found.severity is Severity.WARNING
    assert found.says == (
        "How long the slowest answers of test take is not known: 8 of 88 calls brought no answer within 12 s; "
        "the slowest answer that came took 0.20 s."
    )
    assert found.advice == f"Set no timeout below 12 s; wait longer to learn it: probes diagnose -i test --call '{SELF}' --timeout 12"
    assert timeout_to_set(censored(60.0)).advice == "Set no timeout below 60 s; raise timeout_s of test to learn it, and ask again"


def test_a_few_answers_advise_a_timeout_for_now() -> None:
    """Too few answers for a 95th percentile still tell the slowest that was seen."""
    found = timeout_to_set(several(12, scenario="timeouts", flight_s=5.0))
    assert found.says == "By now the slowest of 12 answers took 5.0 s at test: 12 calls are too few for a 95th percentile (72 needed)."
    assert found.advice == "Set the read timeout to 15 s: three times the slowest, and 10 s at least."


def test_an_answer_that_stands_still() -> None:
    """A body that stands still is told as such, and more patience is not advised; where slow answers came it is."""
    stalled = made(scenario="timeouts", received_s=None, outcome=Outcome.READ_TIMEOUT, facts={"gave_up_after_s": 2.0}, at_s=0.59)
    probe = made(scenario="timeouts", call=f"{SELF} after a timeout")
    found = {finding.kind: finding for finding in findings.judge([made(scenario="timeouts"), stalled, probe])}
    assert found["timeouts"].says.endswith(": 1 while the answer stood still half-way.")
    assert found["timeouts"].evidence[-1] == "the first of them 0.59 s into the run"
    assert found["slow_but_alive"].advice.startswith("Waiting longer does not bring an answer that stands still")
    assert found["timeout_to_set"].advice == "Set the read timeout to 10 s: three times the slowest, and 10 s at least."
    advice = [next(one for one in findings.judge(censored(12.0, flight_s=t)) if one.kind == "slow_but_alive").advice for t in (0.2, 6.0)]
    assert advice[0].startswith("Whether these calls work long or hang is not told by this")
    assert advice[1].startswith("Wait longer rather than ask again")


def test_ladder_is_ranked() -> None:
    """The ladder lists the dearest first and leaves out what was answered fewer than three times."""
    lines = [rung.call for rung in endpoints.ladder([*rungs(), made(scenario="endpoints", call="GET /x")])]
    assert lines == [ANALYTICS, SELF]
    assert (
        endpoints.ladder(rungs())[0].line
        == f"'{ANALYTICS}': 4.0 s, cost 3, CPU 12 %, database 75 %, 500 bytes, 20 items, 0.20 s each; n = 5"
    )
