"""Every kind of the closed list is reached, and says what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    "rate_unknown": lambda: seen(rates=[{**RATE, "safe": None}]),
    "refused": lambda: seen(made(status=429, outcome=Outcome.THROTTLED), made()),
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


def test_no_cause_where_calls_failed() -> None:
    """A diagnosis without a cause that saw failures warns, and says what was not tried beside it."""
    entry = {"instance": "test", "causes": [], "n": 57, "failed": {"server_error": 56}, "remarks": ["Whether so many go is not known."]}
    (finding,) = judged(seen(causes=[entry]))
    assert (finding.severity, finding.evidence) == (Severity.WARNING, ("Whether so many go is not known.",))
    assert finding.says == "No cause was found at test, though 56 of 57 requests failed (server_error 56)."


SAYS = {
    "no_answer": "test answered none of 2 requests: dns_error 2.",
    "credentials": "test refused the token: 1 of 1 request ended with 401.",
    "answers": "test answers in 0.20 s (test, revision 2026), as user 7; n = 1.",
    "server_errors": "test failed on 2 of 2 requests: 502 once, 500 once.",
    "connections_lost": "test gave no answer to 1 of 2 requests: the connection broke.",
    "latency": f"'{SELF}' takes 0.20 s at test in the median (0.20 s to 0.20 s), 95th percentile 0.20 s (0.20 s to 0.20 s); n = 80.",
    "slow": f"'{SELF}' takes 3.0 s at test in the median (3.0 s to 3.0 s); 8 calls carry no 95th percentile; n = 8.",
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


def test_nothing_seen_nothing_said() -> None:
    """No observation, no finding."""
    assert findings.judge([]) == []


@pytest.mark.parametrize(
    ("kind", "started", "fits"),
    [
        ("test", "2026-11-21", True),
        ("test", "2026-11-07", False),
        ("production", "2026-11-05", True),
        ("production", "2026-11-06", False),
        ("sandbox", "2026-11-07", False),
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
        (0.2, 3.0, "The database works on it: ask for fewer items or includes, and keep what you got."),
        (3.0, 0.2, "The server computes: ask for fewer includes, and keep what you got."),
        (0.2, 0.2, "The server waits for something else (another service, a cache, a queue): few at a time, with a long timeout."),
        (None, None, "Ask for it rarely and keep what you got."),
    ],
)
def test_dear_call_names_what_works(cpu: float | None, db: float | None, advice: str) -> None:
    """The advice on a dear call follows what the server spends its time on."""
    dear = several(5, scenario="endpoints", call=ANALYTICS, flight_s=4.0, server_time_s=4.0, cpu_s=cpu, db_s=db)
    found = findings.judge([*dear, *several(5, scenario="endpoints")])
    assert [finding.advice for finding in found if finding.kind == "dear_call"] == [advice]


def test_the_best_page_size_is_the_greatest_of_those_as_cheap() -> None:
    """Where a list of 26 comes whole with per_page=50 and with 100, 100 is named: the advice of the list's own finding."""
    pages = [page(size, items=min(size, 26), per_page=size) for size in (1, 50, 100) for _ in range(3)]
    (best,) = [f for f in judged(seen(page(None, total=26), *pages)) if f.kind == "best_page_size"]
    assert best.advice == "Ask for per_page=100."


def test_ladder_is_ranked() -> None:
    """The ladder lists the dearest first and leaves out what was answered fewer than three times."""
    lines = [rung.call for rung in endpoints.ladder([*rungs(), made(scenario="endpoints", call="GET /x")])]
    assert lines == [ANALYTICS, SELF]
    assert (
        endpoints.ladder(rungs())[0].line
        == f"'{ANALYTICS}': 4.0 s, cost 3, CPU 12 %, database 75 %, 500 bytes, 20 items, 0.20 s each; n = 5"
    )
