"""Where an answer was made, and whether a crowd or chance met it: read off observations made by hand."""

from __future__ import annotations

from typing import Any

import pytest
from asked import SELF, lost, made

from probes.diagnosis import Cause, Job, Surroundings, diagnose, remarks
from probes.observation import Observation, Outcome

JOB = Job((SELF,))
APP: dict[str, Any] = {"request_id": "r"}
GONE: dict[str, Any] = {"status": 503, "outcome": Outcome.MAINTENANCE}


def alone(count: int, from_s: float = 0.0, **more: Any) -> list[Observation]:
    facts = {"phase": "alone", "together": 1, **more.pop("facts", {})}
    return [made(scenario="diagnose", at_s=from_s + n, facts=dict(facts), **more) for n in range(count)]


def together(size: int, at_s: float = 50.0, **more: Any) -> list[Observation]:
    facts = {"phase": "group", "together": size, **more.pop("facts", {})}
    return [made(scenario="diagnose", at_s=at_s, facts=dict(facts), **more) for _ in range(size)]


def causes(seen: list[Observation], job: Job = JOB, **around: Any) -> dict[str, Cause]:
    return {cause.kind: cause for cause in diagnose(seen, job, Surroundings(**around))}


def test_503_of_a_crowd_is_no_maintenance() -> None:
    """503 to calls made together only, where none of ten made alone met it, is an instance that turns calls away."""
    crowd = [*together(4, **APP), *together(4, **GONE), *together(4, 60.0, **APP)]
    found = causes([*alone(10, **APP), *crowd])
    assert list(found) == ["capacity"]
    assert found["capacity"].says == "test turns calls away when several come at once: it answered 503 to 4 of 22 requests."
    assert found["capacity"].evidence == ("for: they came to 4 of those made 4 at once; to none of 10 calls made alone",)


def test_503_that_by_chance_met_a_crowd_alone() -> None:
    """Where too few calls were made alone to have met it, 503 is maintenance still."""
    assert list(causes([*alone(3, **APP), *together(4, **APP), *together(4, **GONE)])) == ["maintenance"]


def test_503_that_began_and_did_not_end() -> None:
    """Where none of the last crowd was served it began and did not end: maintenance, though none made alone met it before."""
    seen = [*alone(10, **APP), *together(8, **APP)[:4], *together(8, **GONE)[:4], *together(8, 60.0, **GONE)]
    assert list(causes(seen)) == ["maintenance"]
    assert list(causes([*seen[:-1], *together(8, 60.0, **APP)[:1]])) == ["capacity"]


def test_503_that_comes_and_goes() -> None:
    """Calls answered between two that met 503 speak against maintenance: no two hours of patience are advised."""
    seen = [*alone(1, **GONE), *alone(5, 1.0, **APP), *alone(1, 9.0, **GONE)]
    found = causes(seen)["maintenance"]
    assert found.says == "test answered 503 to 2 of 7 requests, and 5 calls between them well: one of several servers is down, or all full."
    assert found.evidence[-1] == "against: 5 calls were answered between them: maintenance does not come and go"
    assert found.advice.startswith("Ask again after a second or two")
    assert causes([*alone(5, **APP), *alone(3, 9.0, **GONE)])["maintenance"].confidence == 0.97


def test_gateway_errors_of_a_crowd() -> None:
    """502 to calls made together only is told with the numbers, and fewer at once are advised."""
    found = causes([*alone(10, **APP), *together(8, **APP)[:4], *together(8, status=502, outcome=Outcome.GATEWAY_ERROR)[:4]])["edge"]
    assert "for: they came to 4 of those made 8 at once; to none of 10 calls made alone" in found.evidence
    assert found.advice.startswith("Fewer calls at once: alone none was lost.")


@pytest.mark.parametrize(
    ("bad", "sign"),
    [
        ({"outcome": Outcome.PROTOCOL_ERROR, "facts": {"html": True, "title": "Scheduled Maintenance"}}, "the page calls itself"),
        ({"status": 302, "outcome": Outcome.REDIRECTED, "facts": {"location": "/maintenance.html"}}, "sent on to /maintenance.html"),
        (
            {"status": 302, "outcome": Outcome.REDIRECTED, "facts": {"location": "https://status.school.example"}},
            "sent on to https://status",
        ),
    ],
    ids=["a page", "a path", "a status page"],
)
def test_maintenance_without_503(bad: dict[str, Any], sign: str) -> None:
    """A page that calls itself maintenance is that, whatever its status, and no wrong address."""
    found = causes(alone(4, **bad))
    assert list(found) == ["maintenance"]
    assert any(line.startswith(f"for: {sign}") for line in found["maintenance"].evidence)
    assert list(causes([*alone(4), *alone(4, 9.0, request_id="r", **bad)])) != ["maintenance"], "the application's own page"


def test_a_refusal_that_no_application_made() -> None:
    """403 as JSON without a request id, where the application's answers carry one, is a gateway's: no permission is to be asked."""
    refused = {"status": 403, "outcome": Outcome.FORBIDDEN, "facts": {"said": "Forbidden"}}
    found = causes([*alone(4, **APP), *alone(3, 9.0, **refused)])
    assert list(found) == ["edge"]
    assert "for: the answer says: Forbidden" in found["edge"].evidence
    assert found["edge"].advice.startswith("No permission of the token is at fault")
    assert list(causes([*alone(4), *alone(3, 9.0, call="GET /x", **refused)], Job((SELF, "GET /x")))) == ["permission"]
    assert list(causes([*alone(4, **APP), *alone(3, 9.0, call="GET /x", **refused, **APP)], Job((SELF, "GET /x")))) == ["permission"]


def test_another_login_before_the_application() -> None:
    """401 that asks for a user and a password is no bad token."""
    seen = alone(4, status=401, outcome=Outcome.UNAUTHORIZED, facts={"challenge": 'Basic realm="staff"'})
    found = causes(seen)["credentials"]
    assert found.says == "test wants a user and a password (Basic) on 4 of 4 requests (401): a web server or proxy before Canvas asks."
    assert found.advice.startswith("A new token does not help")


def test_a_login_that_catches_all_calls() -> None:
    """Where every call is sent on to a login page, and only the health page is answered, the path is not called wrong."""
    health = made(scenario="diagnose", call="GET /health_check.json", facts={"phase": "health"}, **APP)
    sent_on = alone(4, status=302, outcome=Outcome.REDIRECTED, facts={"location": "https://sso.school.example"})
    found = causes([health, *sent_on])["wrong_url"]
    assert found.says == "A login catches calls to test: it sent on 4 of 5 requests to https://sso.school.example, and answered none."
    assert "the path is not at fault" in found.advice


def test_a_limit_of_the_edge() -> None:
    """429 as a web page, or without a request id, is a limit before the application: the token's bucket is not what is full."""
    for facts in ({"html": True}, {}):
        seen = [*alone(4, **APP), *alone(1, 9.0, status=429, outcome=Outcome.THROTTLED, facts=facts, retry_after_s=30.0)]
        assert causes(seen)["throttle"].advice.startswith("Send fewer calls at once and a minute")
    assert "probes.Limiter" in causes(alone(2, status=429, outcome=Outcome.THROTTLED))["throttle"].advice


OUTSIDE: dict[str, Any] = {"server_time_s": 0.1, "queue_s": 0.001}


def queued(*waits_s: tuple[float, float]) -> list[Observation]:
    """Ten calls alone, then eight together so often: three of the eight stand so long outside the application, five the second time."""
    groups = [[made(at_s=50.0 + 9 * n, flight_s=0.12 + wait[k > 2], **OUTSIDE) for k in range(8)] for n, wait in enumerate(waits_s)]
    crowd = [o for group in groups for o in group]
    for o in crowd:
        o.facts.update(phase="group", together=8)
    return [*alone(10, flight_s=0.12, **OUTSIDE), *crowd]


def test_a_queue_before_the_one_that_is_told() -> None:
    """Where neither work nor queue grows and calls stand outside all the same, it is a proxy's queue; one crowd of three shows none."""
    found = causes(queued((0.0, 0.9), (0.0, 0.9), (0.0, 0.9)))
    assert list(found) == ["capacity"]
    assert "against: neither its work nor the queue that it tells grows: they wait before it, at a load balancer or a proxy" in (
        found["capacity"].evidence
    )
    assert "capacity" not in causes(queued((0.03, 0.03), (0.03, 0.03), (0.0, 0.9)))
    assert "capacity" not in causes(queued((0.9, 0.9), (0.9, 0.9), (0.9, 0.9))), "all stood as long: no queue does that"


def test_a_way_that_stands_at_times() -> None:
    """Of ten calls alone and more together so many stand on the way that it is no chance; not where only a crowd's do."""
    late = [made(scenario="diagnose", at_s=90.0 + n, flight_s=1.5, facts={"phase": "alone", "together": 1}, **OUTSIDE) for n in range(2)]
    usual, some = together(4, flight_s=0.12, **OUTSIDE), together(1, flight_s=1.5, **OUTSIDE)
    found = causes([*alone(8, flight_s=0.12, **OUTSIDE), *late, *usual, *usual, *some])["network"]
    assert (
        found.says
        == "The way to test costs the job its time: the way is unsteady: 3 of 19 calls take 1.4 s outside the server, the median 19 ms."
    )
    assert causes([*alone(10, flight_s=0.12, **OUTSIDE), *usual, *usual, *together(3, flight_s=1.5, **OUTSIDE)]) == {}
    assert causes([*alone(9, flight_s=0.12, **OUTSIDE), *late[:1], *usual, *usual, *some]) == {}
    some_of_all = [*together(8, flight_s=1.5, **OUTSIDE)[:6], *together(8, flight_s=0.12, **OUTSIDE)[:2]]
    assert "network" not in causes([*alone(9, flight_s=0.12, **OUTSIDE), *late[:1], *usual, *some_of_all])
    all_of_one = causes([*alone(9, flight_s=0.12, **OUTSIDE), *late[:1], *usual, *together(8, 60.0, flight_s=1.5, **OUTSIDE)])
    assert list(all_of_one) == ["network"]
    stood_still = causes([*alone(8, flight_s=0.12, **OUTSIDE), *late, *usual, *usual, *some], lag_s=(0.0,) * 9 + (0.6,))
    assert "network" not in stood_still


def test_a_handshake_that_is_broken_off() -> None:
    """A connection that comes about and ends in its TLS handshake is no matter of the way; the error is told."""
    bad = lost(Outcome.CONNECT_ERROR, sent_s=None, connect_s=0.01, tls_s=None, error="ConnectError: reset", facts={"phase": "alone"})
    found = causes([bad] * 3)
    assert list(found) == ["tls"]
    assert found["tls"].says == "The TLS handshake with test was broken off on 3 of 3 requests."
    assert found["tls"].evidence == ("for: the connection itself came about in 10 ms", "for: ConnectError: reset")


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        ("ConnectError: [Errno 24] Too many open files", "client", "See what this machine's system says"),
        ("ConnectError: [Errno 99] Cannot assign requested address", "client", "See what this machine's system says"),
        ("ConnectError: [Errno 101] Network is unreachable", "network", "This machine knows no way there"),
        ("ConnectError: [Errno 110] Connection timed out", "network", "Try from another network"),
    ],
)
def test_whose_connections_fail(error: str, kind: str, advice: str) -> None:
    """What this machine's system refuses is our own side; the error stands in the evidence, and the advice is about it."""
    found = causes([lost(Outcome.CONNECT_ERROR, sent_s=None, error=error)] * 3)
    assert list(found) == [kind]
    assert any(error in line for line in found[kind].evidence)
    assert found[kind].advice.startswith(advice)


def test_a_resolver_that_is_dead_at_times() -> None:
    """One name of three that takes three seconds is a resolver given up; surer where connections stood as long. A second is none."""
    found = causes(alone(4), dns_s=(0.01, 3.0, 0.01))["dns"]
    assert (found.says, found.confidence) == ("Finding the name of test took 3.0 s on 1 of 3 tries; else 10 ms.", 0.6)
    stood = causes([*alone(4), *alone(1, 9.0, reused=False, connect_s=3.01)], dns_s=(0.01, 3.0, 0.01))["dns"]
    assert (stood.evidence[-1], stood.confidence) == ("for: 1 new connection stood as long", 0.8)
    assert causes(alone(4), dns_s=(1.0, 0.01, 0.01)) == {}


@pytest.mark.parametrize(("workers", "found"), [(2, []), (3, ["throttle"])])
def test_workers_that_hold_more_than_the_mark(workers: int, found: list[str]) -> None:
    """Where two calls already fill half of a small bucket, three workers are refused, though no twin can be fitted to two."""
    levels = [*alone(4, remaining=100.0, cost=0.1), *together(2, remaining=60.0, cost=0.1)[:1], *together(2, remaining=100.0, cost=0.1)[:1]]
    assert list(causes(levels, Job((SELF,), workers=workers))) == found


def test_late_in_a_crowd() -> None:
    """Calls that are late only where several are made at once, and come later, are the timeout's, with the crowd as evidence."""
    late = [lost(Outcome.READ_TIMEOUT, at_s=50.0, facts={"phase": "group", "together": 4}) for _ in range(3)]
    seen = [*alone(10, flight_s=0.3), *together(4)[:1], *late, *together(4, 60.0, flight_s=2.0)]
    found = causes(seen, Job((SELF,), timeout_s=1.0))
    assert "network" not in found
    assert found["timeout_too_short"].evidence == (
        "for: with more patience 4 answers took longer than that, the slowest 2.0 s",
        "for: they came to 3 of those made 4 at once; to none of 10 calls made alone",
    )
    assert remarks(seen, JOB) == []


@pytest.mark.parametrize(
    "bad",
    [GONE, {"status": 502, "outcome": Outcome.GATEWAY_ERROR}, {"status": 403, "outcome": Outcome.FORBIDDEN}],
    ids=["503", "502", "403"],
)
def test_a_health_page_alone(bad: dict[str, Any]) -> None:
    """What becomes of the health page stops no job whose calls are answered."""
    health = made(scenario="diagnose", call="GET /health_check.json", facts={"phase": "health"}, **bad)
    assert causes([health, *alone(4, **APP)]) == {}
    assert list(causes([health, *alone(2, **bad)])) != []


def test_an_answer_quicker_than_a_connection() -> None:
    """A connection that takes far longer than the quickest answer is no long way: its first address may not answer."""
    cold = {"reused": False, "connect_s": 0.27}
    found = causes([*alone(8, flight_s=0.1), *alone(2, 9.0, flight_s=0.1, **cold)])["network"]
    assert "a new connection takes 0.27 s, n = 2, though an answer came in 0.10 s: the first address of the name may not" in found.says
    assert found.advice.startswith("See which addresses the name has")
    assert "round trip" in causes([*alone(8, flight_s=0.3), *alone(2, 9.0, flight_s=0.3, **cold)])["network"].says


def test_a_record_that_is_not_there() -> None:
    """404 as data is a path that is known and an id that is not; as a web page, or from elsewhere, it may be the path."""
    gone = {"status": 404, "outcome": Outcome.NOT_FOUND}
    found = causes(
        [*alone(4, **APP), *alone(2, 9.0, call="GET /x", facts={"said": "does not exist"}, **gone, **APP)], Job((SELF, "GET /x"))
    )
    assert found["wrong_url"].says == "What is asked for is not there: test knows the path and has no such record, on 2 of 6 requests."
    assert found["wrong_url"].evidence[-1] == "for: the answer says: does not exist"
    page = causes([*alone(4, **APP), *alone(2, 9.0, call="GET /x", facts={"html": True}, **gone, **APP)], Job((SELF, "GET /x")))
    assert page["wrong_url"].says.startswith("The address is wrong")
