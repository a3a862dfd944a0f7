"""Causes named from observations: planted in a simulator in virtual time, and made by hand where a simulator cannot plant them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from asked import SELF, lost, made
from bench.planted import NOTHING, PLANTS, Plant, diagnosed

from probes.bucket import BucketSettings
from probes.diagnosis import KINDS, Cause, Job, Surroundings, diagnose, failed, remarks
from probes.diagnosis.base import surer
from probes.observation import Observation, Outcome
from probes.simulator.settings import TOKEN, Fault

JOB = Job((SELF,))


def kinds(plant: Plant, seed: int = 1) -> list[str]:
    return [cause.kind for cause in diagnosed(plant, seed)]


def alone(count: int, **more: Any) -> list[Observation]:
    facts = {"phase": "alone", "together": 1, **more.pop("facts", {})}
    return [made(scenario="diagnose", at_s=float(n), facts=dict(facts), **more) for n in range(count)]


def causes(observations: list[Observation], job: Job = JOB, **around: Any) -> dict[str, Cause]:
    return {cause.kind: cause for cause in diagnose(observations, job, Surroundings(**around))}


def test_every_kind_is_planted() -> None:
    """The matrix plants every cause of the closed list."""
    assert set(PLANTS) == set(KINDS)
    assert len(KINDS) == 15


@pytest.mark.untraced
@pytest.mark.parametrize("kind", PLANTS)
def test_planted_alone(kind: str) -> None:
    """What is planted alone is named, and nothing else is blamed; the evidence says for or against."""
    found = diagnosed(PLANTS[kind])
    assert [cause.kind for cause in found] == [kind]
    assert 0.6 <= found[0].confidence <= 1.0
    assert found[0].advice
    assert found[0].evidence
    assert all(line.startswith(("for: ", "against: ")) for line in found[0].evidence)


PAIRS = [
    ("network", "slow_call"),
    ("capacity", "slow_call"),
    ("slow_call", "timeout_too_short"),
    ("network", "timeout_too_short"),
    ("shared_token", "throttle"),
    ("shared_token", "permission"),
    ("credentials", "wrong_url"),
    ("tls", "timeout_too_short"),
    ("edge", "maintenance"),
    ("client", "dns"),
    ("capacity", "shared_token"),
    ("no_user_agent", "slow_call"),
]


@pytest.mark.untraced
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_planted_in_pairs(a: str, b: str) -> None:
    """Of two causes at once both are named (all pairs: tests/bench/diagnose.py)."""
    assert {a, b} <= set(kinds(PLANTS[a].also(PLANTS[b])))


@pytest.mark.untraced
@pytest.mark.parametrize("seed", range(5))
def test_nothing_planted(seed: int) -> None:
    """With nothing planted nothing is blamed."""
    assert kinds(NOTHING, seed) == []


ODD: dict[str, tuple[Plant, list[str]]] = {
    "connections reset": (Plant(faults=(Fault("reset", every=4),)), ["network"]),
    "answers cut short": (Plant(faults=(Fault("truncated_body", every=3),)), ["network"]),
    "everything hangs": (Plant(faults=(Fault("hang"),)), ["network"]),
    "some hang": (Plant(faults=(Fault("hang", path="/api/v1/users/self", every=5),), instance={"timeout_s": 5.0}), ["network"]),
    "some hang for long": (Plant(faults=(Fault("hang", path="/api/v1/users/self", every=5),)), ["network"]),
    "one call hangs": (Plant(faults=(Fault("hang", path="/api/v1/users/self"),)), ["slow_call"]),
    "works ten times as long": (Plant(faults=(Fault("slow_backend"),)), ["slow_call"]),
    "waits for something else": (Plant(faults=(Fault("waiting", seconds=2.0),)), ["slow_call"]),
    "web pages now and then": (Plant(faults=(Fault("html", every=4),)), ["edge"]),
    "web pages only": (Plant(faults=(Fault("html"),)), ["wrong_url"]),
    "sent elsewhere": (Plant(faults=(Fault("redirect"),)), ["wrong_url"]),
    "maintenance all the time": (Plant(simulator={"maintenance": True}), ["maintenance"]),
    "bad token": (Plant(instance={"secret": "nobody"}), ["credentials"]),
    "blocked token": (Plant(simulator={"blocked": (TOKEN,)}), ["throttle"]),
    "refusals that are not the bucket's": (Plant(faults=(Fault("throttled", every=7),)), ["throttle"]),
    "odd headers": (Plant(faults=(Fault("remaining_jump", every=8),)), []),
    "a small bucket and one worker": (Plant(simulator={"bucket": BucketSettings(100.0, 133.0, 10.0, 50.0)}), []),
    "no headers at all": (Plant(simulator={"quota_headers": False, "canvas_meta": False}), []),
    "short of slots, and silent on it": (Plant(simulator={"quota_headers": False, "canvas_meta": False, "slots": 1}), ["capacity"]),
    "eleven workers": (Plant(job={"workers": 11}), []),
    "thirteen workers": (Plant(job={"workers": 13}), ["throttle"]),
}


@pytest.mark.untraced
@pytest.mark.parametrize("what", ODD)
def test_other_plants(what: str) -> None:
    """Other ways for things to go wrong, or to look so."""
    plant, expected = ODD[what]
    assert kinds(plant) == expected


def after(good: list[Observation], bad: list[Observation]) -> list[Observation]:
    """The bad ones after the good ones, a second apart."""
    late = [dataclasses.replace(o, due_s=100.0 + n, sent_s=100.0 + n) for n, o in enumerate(bad)]
    return [*good, *late]


SILENT = [lost(Outcome.READ_TIMEOUT, scenario="diagnose", facts={"phase": "alone", "together": 1}) for _ in range(2)]


def test_it_stops_answering_after_some_calls() -> None:
    """Connections stand and answers end: said with after how many calls, with what speaks against the way, and unsure of whose fault."""
    seen = after(alone(12, reused=False, connect_s=0.001), SILENT)
    found = causes(seen, Job((SELF,), timeout_s=60.0), well=("sandbox",))["network"]
    assert found.confidence == 0.5
    assert found.says == "test took 2 of 14 requests and never answered them. It began after 12 answered calls."
    assert found.evidence == (
        "for: 2 of 14 answers never came (read_timeout 2)",
        "for: 12 calls answered before the first of them, 0 after it",
        "against: connections are made in 1 ms: the way itself stands",
        "against: sandbox answered at the same time from this machine",
    )
    assert found.advice.startswith("Ask whoever runs test, or a firewall or proxy before it, whether so many calls")


@pytest.mark.parametrize(
    ("status", "outcome", "says"),
    [
        (200, Outcome.READ_TIMEOUT, "test took 2 of 14 requests and stood still half-way through the answers."),
        (None, Outcome.PROTOCOL_ERROR, "test took 2 of 14 requests and broke them off."),
        (200, Outcome.PROTOCOL_ERROR, "test took 2 of 14 requests and broke them off."),
    ],
)
def test_answers_that_do_not_come_whole(status: int | None, outcome: Outcome, says: str) -> None:
    """A body that stands still, a reset and a body cut short are told as what they are; with answers after them no count is told."""
    bad = [made(scenario="diagnose", status=status, received_s=None, outcome=outcome, facts={"phase": "alone"}) for _ in range(2)]
    found = causes([*alone(12), *bad], Job((SELF,), timeout_s=60.0))["network"]
    assert (found.says, found.confidence) == (says, 0.65)


@pytest.mark.parametrize("connect_s", [0.004, None])
def test_a_handshake_that_nobody_answers(connect_s: float | None) -> None:
    """A connection that comes about and whose TLS handshake does not is no matter of the way; without the connection it is."""
    late = {"outcome": Outcome.CONNECT_TIMEOUT, "sent_s": None, "received_s": None, "status": None, "tls_s": None, "connect_s": connect_s}
    found = causes([made(scenario="diagnose", facts={"phase": "alone"}, **late)] * 3, Job((SELF,)))
    assert list(found) == ["tls" if connect_s else "network"]
    if connect_s:
        assert found["tls"].says == "The TLS handshake with test was not ended in time on 3 of 3 requests."
        assert found["tls"].evidence == ("for: the connection itself came about in 4 ms",)


def test_maintenance_that_says_how_long() -> None:
    """Retry-After of a 503 is evidence, the longest of them."""
    bad = [
        dataclasses.replace(one, retry_after_s=wait_s)
        for wait_s in (30.0, 120.0)
        for one in alone(1, status=503, outcome=Outcome.MAINTENANCE)
    ]
    assert "for: it asks for 2 min of patience (Retry-After)" in causes(bad, Job((SELF,)))["maintenance"].evidence


@pytest.mark.parametrize("reused", [True, False])
def test_connections_that_the_other_end_had_closed(reused: bool) -> None:
    """Where only connections that had carried calls before are lost, it is no matter of the way: a new connection helps."""
    facts = {"phase": "alone"}
    bad = [made(scenario="diagnose", status=None, received_s=None, outcome=Outcome.PROTOCOL_ERROR, reused=reused, facts=facts)] * 3
    found = causes([*alone(12, reused=True), *alone(4, reused=False), *bad], Job((SELF,)))["network"]
    assert found.advice.startswith("The other end closes connections that the job takes for open still") is reused
    sign = "for: all 3 on connections that had carried calls before, of 4 new connections none"
    assert (sign in found.evidence) is reused


@pytest.mark.parametrize(
    ("status", "error"),
    [(200, "DecodingError: Error -3 while decompressing data: incorrect header check"), (None, "RemoteProtocolError: bad Content-Length")],
)
def test_answers_that_are_no_sound_http(status: int | None, error: str) -> None:
    """What came and is not to be understood is the edge's doing, or another service's: no connection broke."""
    facts = {"phase": "alone"}
    bad = [made(scenario="diagnose", status=status, received_s=None, outcome=Outcome.PROTOCOL_ERROR, error=error, facts=facts)] * 2
    found = causes([*alone(12), *bad], Job((SELF,)))
    assert list(found) == ["edge"]
    assert found["edge"].says == "2 of 14 requests to test brought what is no sound HTTP, or is packed otherwise than it says."
    assert found["edge"].evidence == (
        f"for: 'GET /api/v1/users/self' 2 times, {'status 200' if status else 'no status'}",
        f"for: {error}",
        "against: 12 other answers were whole",
    )


def test_connections_that_fail_weigh_the_neighbour() -> None:
    """Where no connection comes about the way is to blame, and another instance that answers from here is told beside it."""
    found = causes([lost(Outcome.CONNECT_TIMEOUT)] * 4, well=("sandbox",))["network"]
    assert found.says == "The way to test costs the job its answers: 4 of 4 connections failed (connect_timeout 4)."
    assert found.evidence[-1] == "against: sandbox answered at the same time from this machine"


def test_slow_at_times() -> None:
    """A call some of whose answers take many times the median is named, though the median shows nothing."""
    seen = [*alone(40, flight_s=0.05, server_time_s=0.05), *alone(17, flight_s=2.8, server_time_s=2.8)]
    found = causes(seen)
    assert list(found) == ["slow_call"]
    assert found["slow_call"].says == f"'{SELF}' works 2.8 s at test on 17 of 57 calls and 50 ms on the others: it comes and goes."
    assert found["slow_call"].evidence == ("for: 17 of the 17 slow ones were made one at a time",)
    assert causes([*alone(55, flight_s=0.05), *alone(2, flight_s=2.8)]) == {}, "two of 57 may be chance"
    crowd = [made(scenario="diagnose", flight_s=2.8, at_s=float(n), facts={"phase": "group", "together": 8}) for n in range(17)]
    assert "slow_call" not in causes([*alone(40, flight_s=0.05), *crowd]), "what only a crowd slows is no slow call"


def crowded(inside_s: float, queue_s: float = 0.001) -> list[Observation]:
    """Ten calls alone, thrice eight together; `inside_s` is what the crowd adds to the server's own time."""
    own = {"queue_s": queue_s, "cpu_s": 0.2, "db_s": 0.1, "scenario": "diagnose"}
    group = [
        made(at_s=50.0 + n, flight_s=0.41 + inside_s * (n % 8) / 7, server_time_s=0.4 + inside_s * (n % 8) / 7, **own) for n in range(24)
    ]
    return [
        *alone(10, flight_s=0.41, server_time_s=0.4, **{key: value for key, value in own.items() if key != "scenario"}),
        *[dataclasses.replace(o, facts={"phase": "group", "together": 8}) for o in group],
    ]


def test_calls_that_wait_inside_the_application() -> None:
    """Where the queue that is told does not grow but the server's own time does, calls wait inside the application."""
    found = causes(crowded(1.2))
    assert list(found) == ["capacity"]
    assert "against: the queue that it tells holds calls for 1 ms alone: they wait inside the application" in found["capacity"].evidence
    assert causes(crowded(0.05)) == {}


def test_a_permission_that_comes_and_goes() -> None:
    """A call that is refused at times and answered at others has its permission: no administrator is to be asked."""
    refused = [made(scenario="diagnose", status=403, outcome=Outcome.FORBIDDEN, facts={"phase": "alone"}) for _ in range(17)]
    found = causes([*alone(39), *refused])["permission"]
    assert found.confidence == 0.5
    assert found.says == "test refused 17 of 56 requests for want of a permission that the same call has at other times."
    assert found.evidence == (
        f"for: '{SELF}' 17 times, status 403",
        "against: the very same call was answered 39 times: a permission does not come and go",
    )
    assert "Ask an administrator" not in found.advice


def test_busy_machine() -> None:
    """A loop that wakes late is our own side."""
    found = causes(alone(10), lag_s=(0.3,) * 100)
    assert list(found) == ["client"]
    assert found["client"].says == (
        "Our own side holds the job back: our own loop woke 0.30 s late in one of ten cases, 0.30 s at the longest, n = 100: "
        "this machine is busy, or the process stood still."
    )
    assert causes(alone(10), lag_s=(0.005,) * 100) == {}


def test_a_process_that_stood_still() -> None:
    """Of a loop that was late seldom and for long the share of the time and the longest are told."""
    found = causes(alone(10), lag_s=(*(0.004,) * 198, 3.0, 3.0))
    assert found["client"].evidence == (
        "for: our own loop was late for 63 % of the time, 3.0 s at the longest, n = 200: this machine is busy, or the process stood still",
    )


def test_nobody_listens() -> None:
    """Connections that are all refused end where nothing listens; one that fails otherwise leaves it to the way."""
    refused = lost(Outcome.CONNECT_ERROR, error="ConnectError: [Errno 111] Connect call failed ('127.0.0.1', 1)")
    found = causes([refused] * 2, well=("sandbox",))["network"]
    assert (found.says, found.confidence) == ("Nothing listens at test: 2 of 2 requests found the connection refused.", 0.9)
    assert found.evidence == (
        "for: ConnectError: [Errno 111] Connect call failed ('127.0.0.1', 1)",
        "against: sandbox answered at the same time from this machine",
    )
    assert found.advice == (
        "Check the host and the port in the url of test, whether the server runs, and whether a firewall turns this machine away."
    )
    assert "against: 9 requests were answered: it listens at times" in causes([*alone(9), refused, refused])["network"].evidence
    mixed = causes([refused, lost(Outcome.CONNECT_ERROR, error="[Errno 113] No route to host")])["network"]
    assert mixed.says == "The way to test costs the job its answers: 2 of 2 connections failed (connect_error 2)."


def test_a_port_without_tls() -> None:
    """A handshake that fails for no certificate may meet a port that speaks no TLS."""
    found = causes([lost(Outcome.TLS_ERROR, error="ConnectError: [SSL: WRONG_VERSION_NUMBER] wrong version number")])["tls"]
    assert found.advice.startswith("The other end may not speak TLS at this port: check the port in url")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("certificate has expired", "The certificate has ended: look at the clock of this machine first, then"),
        ("Hostname mismatch, certificate is not valid for 'localhost'", "The certificate is for another host: check the host in url;"),
        ("self-signed certificate in certificate chain", "Nobody this machine trusts signed the certificate: a company proxy, or"),
        ("unable to get local issuer certificate", "This machine does not know who signed the certificate: a company proxy,"),
        ("certificate signature failure", "Look at the certificate: ended, for another host, or signed by a company proxy"),
    ],
)
def test_what_is_wrong_with_a_certificate(error: str, advice: str) -> None:
    """The advice is that of the very thing that is wrong with the certificate."""
    assert causes([lost(Outcome.TLS_ERROR, error=f"ConnectError: [SSL: CERTIFICATE_VERIFY_FAILED] {error}")])["tls"].advice.startswith(
        advice
    )


CHALLENGE = {"html": True, "title": "Just a moment..."}


def test_a_login_page_in_place_of_everything() -> None:
    """Where nothing but web pages came no path is called wrong: another site, or a login page before it, and what it calls itself."""
    found = causes(alone(5, outcome=Outcome.PROTOCOL_ERROR, facts={"html": True, "title": "Sign in"}))["wrong_url"]
    assert found.says == "No API answers at test: a web page came to 5 of 5 requests, and no data to any."
    assert found.evidence[1:] == ("for: 5 were answered by a web page", "for: the page calls itself 'Sign in'")
    assert found.advice.startswith(
        "Open the url of test in a browser of this machine. A login page of a proxy or a network: sign in there,"
    )


@pytest.mark.parametrize("place", ["/login/saml", "nowhere"])
def test_everything_is_sent_within_the_instance(place: str) -> None:
    """A page of the instance's own is no new address of it."""
    found = causes(alone(5, status=302, outcome=Outcome.REDIRECTED, facts={"location": place}))["wrong_url"]
    assert f"for: sent on to {place}" in found.evidence
    assert found.advice.startswith("It is sent to no other site: open the url of test in a browser.")


def test_everything_is_sent_elsewhere() -> None:
    """Where every call is sent on, the place may be the instance's new one or a login page that catches them."""
    found = causes(alone(5, status=302, outcome=Outcome.REDIRECTED, facts={"location": "http://portal.example"}))["wrong_url"]
    assert found.says == (
        "The address is wrong, or something on the way catches calls: test sent on 5 of 5 requests to http://portal.example."
    )
    assert "for: sent on to http://portal.example" in found.evidence
    assert found.advice.startswith("If http://portal.example is where the instance lives now, write it into url of [instances.test].")


@pytest.mark.parametrize(
    "bad",
    [
        {"status": 503, "outcome": Outcome.MAINTENANCE, "facts": CHALLENGE},
        {"status": 503, "outcome": Outcome.MAINTENANCE, "facts": {"html": True, "barrier": "challenge"}},
        {"status": 403, "outcome": Outcome.FORBIDDEN, "facts": CHALLENGE},
        {"status": 451, "outcome": Outcome.CLIENT_ERROR},
        {"status": 511, "outcome": Outcome.SERVER_ERROR},
    ],
    ids=["503", "503 by its header", "403", "451", "511"],
)
def test_a_barrier_that_no_job_passes(bad: dict[str, Any]) -> None:
    """A page that lets browsers through only is no maintenance, no permission and no wrong address: waiting does not help."""
    found = causes(alone(4, **bad))
    assert list(found) == ["edge"]
    assert found["edge"].advice.startswith("No job passes such a page: waiting does not help.")


def test_a_proxy_that_wants_credentials() -> None:
    """407 is about our own proxy, not about the address."""
    found = causes(alone(4, status=407, outcome=Outcome.CLIENT_ERROR))
    assert list(found) == ["client"]
    assert found["client"].evidence == ("for: 4 answers came from a proxy that wants credentials of its own (407)",)
    assert found["client"].advice.startswith("Give the proxy its user and password in the variable that names it: HTTPS_PROXY=")


def test_answers_that_hold_no_data() -> None:
    """Status 200 is no answer where nothing came, or what is called JSON and is none."""
    found = causes([*alone(6), *alone(3, facts={"unreadable": "nothing"}), *alone(1, facts={"unreadable": "no JSON"})])["edge"]
    assert found.says == "4 of 10 requests to test were answered with status 200 and hold no data."
    assert found.evidence == (
        f"for: '{SELF}' 4 times, status 200",
        "for: 3 times nothing came where JSON should have",
        "for: once no JSON came where JSON should have",
        "against: 6 other answers were whole",
    )
    ids = [
        made(scenario="diagnose", request_id="r", facts={"unreadable": "nothing", "phase": "alone"}),
        *alone(3, facts={"unreadable": "nothing"}),
    ]
    assert (
        causes([*alone(6), *ids])["edge"].evidence[-1] == "against: they carry a request id: the application itself may have sent them so"
    )


def test_a_token_that_is_refused_at_times() -> None:
    """A token does not go bad and good again: no new one is advised where the very same call was answered."""
    bad = alone(3, status=401, outcome=Outcome.UNAUTHORIZED)
    found = causes([*bad, *alone(6)])["credentials"]
    assert found.confidence == 0.6
    assert found.evidence[-1] == "against: the very same call was answered 5 times after that: a token does not go bad and good again"
    assert found.advice.startswith("Ask again before you make a new token: one of several servers, or something before them,")
    ended = causes([*alone(6), *(dataclasses.replace(o, due_s=o.due_s + 10.0) for o in bad)])["credentials"]
    assert ended.advice.startswith("Make a new token on this very instance"), "it was good once, and has ended"


def test_a_slow_name_is_no_long_way() -> None:
    """The time that a name takes is in each new connection: it is taken off before the way is called long."""
    seen = [one for _ in range(4) for one in (*alone(1, reused=False, connect_s=2.02), *alone(1))]
    assert list(causes(seen, dns_s=(2.0, 2.0, 2.0))) == ["dns"]
    assert list(causes(seen)) == ["network"]


def test_bodies_that_trickle() -> None:
    """A body that comes byte by byte is the way's, or its sender's, not the call's work; at times too."""
    trickling = {"flight_s": 21.0, "receive_s": 20.9}
    always, at_times = causes(alone(6, **trickling)), causes([*alone(9, receive_s=0.01), *alone(3, **trickling)])
    assert (list(always), list(at_times)) == (["network"], ["network"])
    assert always["network"].evidence == ("for: the body takes 21 s to come, n = 6",)
    assert at_times["network"].evidence == ("for: the body of 3 of 12 answers takes 21 s to come",)


def test_no_token_was_sent() -> None:
    """Where no token is configured a 401 is no token's fault: it is said that none was sent, and which setting is missing."""
    found = causes(alone(4, status=401, outcome=Outcome.UNAUTHORIZED), tokenless=True)["credentials"]
    assert found.says == "No token was sent to test: it answered 401 to 4 of 4 requests."
    assert found.advice == (
        "Name where the token stands: token_env or token_file is missing at [instances.test] in probes.toml; without a configuration file "
        "it is the variable CANVAS_API_TOKEN."
    )


def test_a_scope_that_is_missing() -> None:
    """The server's own sentence is quoted; one on scopes sends to the developer key, not to a permission."""
    refused = {"status": 401, "outcome": Outcome.FORBIDDEN}
    found = causes(alone(2, **refused, facts={"said": "Insufficient scopes on access token."}))["permission"]
    assert found.evidence == (f"for: '{SELF}' 2 times, status 401", "for: the answer says: Insufficient scopes on access token.")
    assert found.advice.startswith("The developer key of this token lacks the scope of this call, whatever its user may do:")
    other = causes(alone(2, **refused, facts={"said": "user not authorized to perform that action"}))["permission"]
    assert other.advice.startswith("Ask an administrator for the permission")


@pytest.mark.parametrize(
    ("levels_seen", "apart_s", "never"), [((40.0, 40.0), 5.0, True), ((40.0, 40.0), 1.0, False), ((0, 45.0), 5.0, False)]
)
def test_a_bucket_too_small_for_one_call(levels_seen: tuple[float, ...], apart_s: float, never: bool) -> None:
    """Where no call passes and the level stands while we wait, waiting is not advised."""
    seen = [
        made(at_s=apart_s * n, remaining=level, status=429, outcome=Outcome.THROTTLED, facts={"phase": "alone", "together": 1})
        for n, level in enumerate(levels_seen)
    ]
    assert causes(seen)["throttle"].advice.startswith("Waiting does not help, in probes.Limiter or elsewhere:") is never
    answered = made(at_s=-1.0, remaining=40.0, facts={"phase": "alone", "together": 1})
    assert causes([answered, *seen])["throttle"].advice.startswith("Send through probes.Limiter")


def test_failures_inside_the_application_are_quoted() -> None:
    """Calls that fail inside the application have no cause of the list: status and request ids are told, three at most."""
    bad = [made(status=500, outcome=Outcome.SERVER_ERROR, request_id=f"r{n}", facts={"phase": "alone"}) for n in range(5)]
    assert remarks([*alone(5), *bad], JOB) == [
        "The application itself failed on 5 of 10 requests (status 500); quote the request ids to support: r0, r1, r2."
    ]
    assert remarks(alone(2, status=500, outcome=Outcome.SERVER_ERROR), JOB) == [
        "The application itself failed on 2 of 2 requests (status 500); they carry no request id: tell support the times."
    ]


def test_no_free_slot_and_a_dead_proxy() -> None:
    """Pool timeouts and connections that fail behind a proxy are our own side; the network is not blamed for the proxy."""
    found = causes([*alone(4), *[lost(Outcome.POOL_TIMEOUT)] * 3])
    assert found["client"].evidence == ("for: 3 calls found no free slot of ours in time",)
    proxied = causes([lost(Outcome.CONNECT_ERROR)] * 5, proxy="http://proxy.example:3128")
    assert list(proxied) == ["client"]
    assert "http://proxy.example:3128" in proxied["client"].evidence[0]


def test_name_not_found() -> None:
    """A name that does not resolve is told with the resolver's own words."""
    found = causes([lost(Outcome.DNS_ERROR, error="[Errno -2] Name or service not known")] * 3)
    assert list(found) == ["dns"]
    assert found["dns"].evidence == ("for: [Errno -2] Name or service not known",)


def test_far_away() -> None:
    """TCP handshakes tell the round trip; behind a proxy they do not."""
    seen = alone(8, reused=False, connect_s=0.6, flight_s=0.8, server_time_s=0.1)
    assert list(causes(seen)) == ["network"]
    assert "one round trip takes 0.60 s by the TCP handshakes, n = 8" in causes(seen)["network"].evidence[0]
    assert "TCP" not in causes(seen, proxy="http://p:1")["network"].evidence[0]


def test_held_between_the_connection_and_the_application() -> None:
    """A near peer behind which calls stand outside the server's account is an edge, with the round trip that shows it near."""
    found = causes(alone(8, reused=False, connect_s=0.001, flight_s=0.75, server_time_s=0.15))
    assert list(found) == ["edge"]
    assert found["edge"].says == (
        "0.60 s of the 0.75 s that a call takes at test pass neither in the application "
        "nor on the way to what answers the connection, n = 8."
    )
    assert found["edge"].evidence == ("for: one round trip takes 1 ms by the TCP handshakes, n = 8",)


@pytest.mark.parametrize(
    "seen",
    [
        {"connect_s": 0.001, "flight_s": 0.35, "server_time_s": 0.15},
        {"connect_s": 0.24, "flight_s": 0.68, "server_time_s": 0.15},
        {"connect_s": 0.001, "flight_s": 2.0, "server_time_s": 1.5},
        {"connect_s": 0.001, "flight_s": 0.9},
    ],
)
def test_not_held(seen: dict[str, Any]) -> None:
    """No edge is blamed for 0.2 s, for what the round trip explains, for a small share of a long call, without the server's account."""
    assert "edge" not in causes(alone(8, reused=False, **seen))


def test_pages_of_403_and_nothing_else() -> None:
    """Web pages of 403 without any request id are an edge that bars us; with ids, or of data, they are not."""
    barred = {"status": 403, "outcome": Outcome.FORBIDDEN}
    found = causes(alone(10, **barred, facts={"html": True}))
    assert list(found) == ["edge"]
    assert found["edge"].says == "Something before the application answered 10 of 10 requests to test in its place."
    assert found["edge"].evidence == (
        f"for: '{SELF}' 10 times, status 403",
        "for: 10 of 10 carry no request id, so never reached the application",
    )
    assert list(causes(alone(10, **barred))) == ["permission"]
    assert causes(alone(10, **barred, facts={"html": True}, request_id="r")) == {}
    assert list(causes(alone(10, outcome=Outcome.PROTOCOL_ERROR, facts={"html": True}))) == ["wrong_url"]


def test_a_health_page_is_no_answer_of_the_application() -> None:
    """An edge that bars us is blamed although the health page is answered; not where another call is."""
    barred = alone(10, status=403, outcome=Outcome.FORBIDDEN, facts={"html": True})
    health = made(scenario="diagnose", call="GET /health_check.json", facts={"phase": "health"})
    other = made(scenario="diagnose", call="GET /api/v1/courses", facts={"phase": "alone"})
    assert list(causes([health, *barred])) == ["edge"]
    assert list(causes([health, other, *barred])) == []


def test_our_own_patience_is_no_answer() -> None:
    """A body that stalls until we give up is no answer: neither a slow transfer nor a timeout too short for it."""
    late = {"status": 200, "outcome": Outcome.READ_TIMEOUT, "flight_s": 30.0, "receive_s": 30.0}
    seen = [*alone(4, **late), *alone(2, **late, facts={"phase": "patient"})]
    found = causes(seen, Job((SELF,), timeout_s=4.0))
    assert list(found) == ["network"]
    assert found["network"].says == "test took 6 of 6 requests and stood still half-way through the answers."
    assert found["network"].evidence[0] == "for: 6 of 6 answers stood still half-way (read_timeout 6)"
    assert "its time" not in found["network"].says


def test_late_answers_are_not_lost_ones() -> None:
    """Calls that ran into the timeout are the timeout's, not the way's, where the same call came later than that at any time."""
    late = lost(Outcome.READ_TIMEOUT, facts={"phase": "alone"})
    quick = made(scenario="diagnose", flight_s=0.1, facts={"phase": "patient"})
    seen = [late, late, quick, *alone(4, flight_s=0.5, server_time_s=0.45)]
    assert list(causes(seen, Job((SELF,), timeout_s=0.2))) == ["timeout_too_short"]


def test_failures_are_counted() -> None:
    """Failures of the job's own calls are counted by outcome, the most frequent first; cancelled ones and other calls are not."""
    bad = alone(3, status=500, outcome=Outcome.SERVER_ERROR)
    gone = lost(Outcome.READ_TIMEOUT)
    other = made(call="GET /health_check.json", status=404, outcome=Outcome.NOT_FOUND, facts={"phase": "health"})
    assert failed([gone, *bad, *alone(2), other, lost(Outcome.CANCELLED)], JOB) == {"server_error": 3, "read_timeout": 1}
    assert failed(alone(4), JOB) == {}


def test_what_was_not_tried_is_said() -> None:
    """More workers than calls made together are a question that stays open: whether they are refused, or how quick they are."""
    seen = [*alone(4), *crowd(4)]
    assert remarks(seen, Job((SELF,), workers=30)) == [
        "Whether 30 at once are refused is not known: no header tells the budget, and at most 4 were tried together."
    ]
    assert remarks(seen, Job((SELF,), workers=4)) == []
    assert remarks([made(facts={"phase": "health"})], Job((SELF,), workers=30)) == []
    told = [*alone(4, remaining=600.0), *crowd(4)]
    assert remarks(told, Job((SELF,), workers=30)) == ["How quick 30 at once are is not known: at most 4 were tried together."]
    assert remarks(alone(4, remaining=600.0), Job((SELF,), workers=8, total=1)) == []
    assert remarks([*seen, *alone(1, status=429, outcome=Outcome.THROTTLED)], Job((SELF,), workers=30)) == []


def test_slow_transfer_and_unsteady_way() -> None:
    """A body that drips and a tail outside the server are the network's."""
    assert "the body takes" in causes(alone(8, flight_s=2.0, receive_s=1.8))["network"].evidence[0]
    unsteady = alone(12, flight_s=0.2, server_time_s=0.1) + alone(3, flight_s=1.5, server_time_s=0.1)
    assert "the way is unsteady" in causes(unsteady)["network"].evidence[0]


def test_slow_and_broken_handshakes() -> None:
    """A TLS handshake far longer than the TCP one before it is named; one that fails is named with its reason."""
    slow = causes(alone(8, reused=False, connect_s=0.02, tls_s=1.2))
    assert list(slow) == ["tls"]
    assert slow["tls"].evidence == ("for: the TCP handshake before it takes 20 ms",)
    assert causes([lost(Outcome.TLS_ERROR, error="certificate has expired")])["tls"].evidence == ("for: certificate has expired",)
    assert causes(alone(8, reused=False, connect_s=0.2, tls_s=0.41)) == {}


def test_queue_at_once() -> None:
    """A queue that stands already when one call is made at a time needs no growth to be named."""
    found = causes(alone(8, flight_s=0.6, queue_s=0.4, server_time_s=0.15))
    assert list(found) == ["capacity"]
    assert found["capacity"].says == "test is short of backend slots: alone a call stands 0.40 s in its queue, n = 8."


def crowd(size: int, **more: Any) -> list[Observation]:
    return [made(scenario="diagnose", at_s=50.0, facts={"phase": "group", "together": size}, **more) for _ in range(size)]


def test_work_that_grows_speaks_against_slots() -> None:
    """When CPU and database time grow with concurrency as well, that stands against scarce slots."""
    few = alone(10, queue_s=0.0, cpu_s=0.1, db_s=0.1, server_time_s=0.2)
    many = crowd(8, flight_s=1.5, queue_s=0.6, cpu_s=0.5, db_s=0.5, server_time_s=0.9)
    evidence = causes(few + many)["capacity"].evidence
    assert evidence[-1] == "against: CPU and database time rise as well: 0.20 s alone, 1.0 s with 8 at once"
    steady = causes(few + crowd(8, flight_s=0.9, queue_s=0.6, cpu_s=0.1, db_s=0.1, server_time_s=0.2))["capacity"].evidence
    assert steady[-1] == "for: CPU and database time stay the same: 0.20 s alone, 0.20 s with 8 at once"


def test_a_queue_that_is_not_told_is_read_from_the_call_made_together() -> None:
    """Where no queue is told, times grow by what the very call takes longer that was made together, however often others were made."""
    few = [*alone(8, flight_s=0.2), *alone(20, call="GET /api/v1/other", flight_s=0.5)]
    found = causes(few + crowd(8, flight_s=0.9))["capacity"]
    assert found.evidence == (
        "for: alone a call stands 0 ms beyond its usual time, n = 8",
        "for: with 8 at once one in four stands 0.70 s or longer, n = 8 (p = 5e-05 that it does not rise)",
        "against: it does not tell its queue time: this is read from the times alone",
    )


def test_credentials_with_another_call_that_works() -> None:
    """A 401 on one call while others are answered keeps its confidence lower and says so."""
    other = "GET /api/v1/other"
    seen = [*alone(4), *alone(3, call=other, status=401, outcome=Outcome.UNAUTHORIZED, facts={"challenge": "Bearer"})]
    found = causes(seen, Job((SELF, other)))["credentials"]
    assert found.confidence == 0.8
    assert found.evidence[-1] == "against: 4 other calls were answered with the same token"
    assert "credentials" not in causes(seen, JOB), "a call that is not the job's does not matter while the job's own works"


BAD: dict[str, tuple[dict[str, Any], tuple[float, float]]] = {
    "edge": ({"status": 502, "outcome": Outcome.GATEWAY_ERROR}, (0.75, 0.95)),
    "maintenance": ({"status": 503, "outcome": Outcome.MAINTENANCE}, (0.85, 0.97)),
    "no_user_agent": ({"status": 403, "outcome": Outcome.NO_USER_AGENT}, (0.9, 0.98)),
    "permission": ({"status": 403, "outcome": Outcome.FORBIDDEN}, (0.85, 0.85)),
    "credentials": ({"status": 401, "outcome": Outcome.UNAUTHORIZED}, (0.98, 0.98)),
    "wrong_url": ({"status": 404, "outcome": Outcome.NOT_FOUND}, (0.85, 0.85)),
    "throttle": ({"status": 429, "outcome": Outcome.THROTTLED}, (0.99, 0.99)),
}


@pytest.mark.parametrize("kind", BAD)
def test_how_sure_an_answer_makes(kind: str) -> None:
    """What one answer and two make of a cause that they name themselves."""
    more, sure = BAD[kind]
    assert tuple(causes(alone(count, **more))[kind].confidence for count in (1, 2)) == sure


def test_what_makes_surer() -> None:
    """A permission is surer where the token is good for another call, an address where a web page or a redirection came."""
    other = made(scenario="diagnose", call="GET /api/v1/courses", facts={"phase": "alone"})
    assert causes([other, *alone(1, status=403, outcome=Outcome.FORBIDDEN)])["permission"].confidence == 0.96
    assert causes(alone(1, status=404, outcome=Outcome.NOT_FOUND, facts={"html": True}))["wrong_url"].confidence == 0.95
    assert causes(alone(1, status=302, outcome=Outcome.REDIRECTED))["wrong_url"].confidence == 0.95


def test_a_queue_where_the_crowd_tells_no_work() -> None:
    """Where calls made together do not tell CPU and database time nothing is said of it, for or against."""
    few = alone(10, queue_s=0.0, cpu_s=0.1, db_s=0.1, server_time_s=0.2)
    evidence = causes(few + crowd(8, flight_s=0.9, queue_s=0.6, server_time_s=0.2))["capacity"].evidence
    assert [line for line in evidence if "CPU" in line] == []


def test_refusal_tells_retry_after() -> None:
    """The evidence of refusals: status, level, how long to wait."""
    refused = alone(2, status=429, outcome=Outcome.THROTTLED, remaining=12.0, retry_after_s=4.0)
    evidence = causes([*alone(4), *refused])["throttle"].evidence
    assert evidence[:3] == ("for: status 429 2 times", "for: Remaining on the refusals 12", "for: Retry-After 4 s")


@pytest.mark.parametrize(("together", "said"), [(1, True), (2, False)])
def test_refusals_of_calls_made_one_at_a_time(together: int, said: bool) -> None:
    """Where refused calls were made one at a time it is said that their number fills no bucket."""
    refused = alone(2, status=429, outcome=Outcome.THROTTLED, remaining=0.0, facts={"together": together})
    line = "for: they came to calls made one at a time: what fills the bucket is not the number of our calls in flight"
    assert (line in causes(refused)["throttle"].evidence) is said


def test_what_a_slow_call_works_on() -> None:
    """Of a slow call it is told which part is CPU and database time; that little is, or that nothing tells it, speaks against it."""
    slow = {"flight_s": 2.1, "server_time_s": 2.0}
    busy = causes([*alone(2, cpu_s=0.4, db_s=1.2, **slow), *alone(2, call="GET /x", server_time_s=0.1)])["slow_call"]
    assert busy.evidence == (
        "for: CPU and database make 80 % of it, the database 60 %",
        "for: other calls take 0.10 s at the same time, n = 2",
    )
    idle = causes(alone(2, cpu_s=0.2, db_s=0.2, **slow))["slow_call"]
    assert idle.evidence == (
        "for: CPU and database make 20 % of it, the database 10 %",
        "against: little of it is CPU or database time: it waits for something else inside",
    )
    assert causes(alone(2, **slow))["slow_call"].evidence == ("against: the instance does not tell CPU and database time",)


def test_a_window_of_calls_is_no_shared_bucket() -> None:
    """An API that counts down a window (it tells its reset) is not taken for a bucket that others fill."""
    seen = [
        made(scenario="diagnose", at_s=float(n), remaining=5000.0 - 30 * n, reset_s=900.0, cost=1.0, facts={"phase": "alone"})
        for n in range(10)
    ]
    assert causes(seen) == {}


def lags(late_s: float, count: int = 20) -> tuple[float, ...]:
    return (late_s,) * count


def handshakes(count: int, connect_s: float, tls_s: float) -> list[Observation]:
    return alone(count, reused=False, connect_s=connect_s, tls_s=tls_s)


def unsteady(late: int, late_s: float) -> list[Observation]:
    """Twelve calls that take 0.1 s outside the server, `late` of them `late_s`."""
    usual = alone(12 - late, flight_s=0.2, server_time_s=0.1)
    return usual + alone(late, flight_s=0.1 + late_s, server_time_s=0.1)


def tokens(odd: int, gap: float) -> list[Observation]:
    """Ten calls made alone and far apart, `odd` of which find the bucket fuller by `gap` units than their own cost explains."""
    levels = [600.0] * (10 - odd) + [600.0 - gap] * odd
    return [
        made(scenario="diagnose", at_s=100.0 * n, remaining=level, cost=0.0, facts={"phase": "alone"}) for n, level in enumerate(levels)
    ]


def levels(*remaining: float, apart_s: float = 0.5) -> list[Observation]:
    """Calls made alone, so many seconds apart, with these levels and hardly any cost."""
    return [
        made(scenario="diagnose", at_s=apart_s * n, remaining=level, cost=0.05, facts={"phase": "alone"})
        for n, level in enumerate(remaining)
    ]


def paid(cost: float, apart_s: float, back_per_s: float = 0.0) -> list[Observation]:
    """Ten calls made alone; the third pays `cost`, and the bucket is fuller by 70 units from then on, less what comes back."""
    seen = levels(600.0, 600.0, *(530.0 + back_per_s * apart_s * n for n in range(8)), apart_s=apart_s)
    return [dataclasses.replace(o, cost=cost if n == 2 else 0.0) for n, o in enumerate(seen)]


def given_up() -> list[Observation]:
    """Two calls that we gave up, each of which holds its reservation while the next one is answered."""
    seen = levels(600.0, 600.0, 600.0, 552.0, 600.0, 600.0, 551.0, 600.0)
    late = [dataclasses.replace(lost(Outcome.READ_TIMEOUT, facts={"phase": "alone"}), sent_s=seen[n].sent_s) for n in (3, 6)]
    return [*seen, *late]


OTHERS = (525.0, 426.0, 527.0, 428.0, 429.0, 529.5, 430.5, 531.5, 432.0, 433.0)
"""Levels beside two calls of others every quarter of a second: the mark itself is never seen."""
QUICK = {"flight_s": 0.2, "server_time_s": 0.19}
THRESHOLDS: dict[str, tuple[list[Observation], dict[str, Any], list[str]]] = {
    "a loop 15 ms late": (alone(4), {"lag_s": lags(0.010)}, []),
    "a loop 41 ms late": (alone(4), {"lag_s": lags(0.041)}, ["client"]),
    "a loop seldom looked at": (alone(4), {"lag_s": lags(0.3, 9)}, []),
    "a loop late all the time, by little": (alone(4), {"lag_s": lags(0.012)}, ["client"]),
    "0.1 s for a slot": (alone(4, flight_s=0.05, pool_s=0.1), {}, []),
    "0.11 s for a slot": (alone(4, flight_s=0.05, pool_s=0.11), {}, ["client"]),
    "half of it for a slot": (alone(4, flight_s=0.5, pool_s=0.49), {}, []),
    "more than half for a slot": (alone(4, flight_s=0.5, pool_s=0.51), {}, ["client"]),
    "three calls": (alone(3, flight_s=0.05, pool_s=0.11), {}, []),
    "0.29 s for a slot together": (crowd(6, pool_s=0.29), {}, []),
    "0.31 s for a slot together": (crowd(6, pool_s=0.31), {}, ["client"]),
    "three tenths together": (crowd(6, flight_s=0.9, pool_s=0.38), {}, []),
    "more than three tenths together": (crowd(6, flight_s=0.9, pool_s=0.4), {}, ["client"]),
    "two together": ([one for _ in range(3) for one in crowd(2, pool_s=0.31)], {}, []),
    "a name in half a second": (alone(4), {"dns_s": (0.5, 0.5, 0.5)}, []),
    "a name in more": (alone(4), {"dns_s": (0.4, 0.51, 0.52)}, ["dns"]),
    "one slow TLS handshake": (handshakes(1, 0.02, 1.0), {}, []),
    "TLS in 0.4 s": (handshakes(2, 0.02, 0.4), {}, []),
    "TLS in 0.41 s": (handshakes(2, 0.02, 0.41), {}, ["tls"]),
    "TLS in three round trips": (handshakes(2, 0.2, 0.59), {}, []),
    "TLS in more": (handshakes(2, 0.2, 0.61), {}, ["tls"]),
    "a round trip of 0.25 s": (alone(2, reused=False, connect_s=0.25), {}, []),
    "a round trip of 0.26 s": (alone(2, reused=False, connect_s=0.26), {}, ["network"]),
    "0.24 s outside the server": (alone(4, flight_s=0.25, server_time_s=0.01), {}, []),
    "0.26 s outside the server": (alone(4, flight_s=0.27, server_time_s=0.01), {}, ["network"]),
    "little of it outside the server": (alone(4, flight_s=0.95, server_time_s=0.67), {}, []),
    "0.26 s in its queue": (alone(3, flight_s=0.27, server_time_s=0.01, queue_s=0.26), {}, []),
    "one of twelve late": (unsteady(1, 0.9), {}, []),
    "two of twelve late by 0.4 s": (unsteady(2, 0.5), {}, []),
    "two of twelve late by 0.6 s": (unsteady(2, 0.7), {}, ["network"]),
    "0.39 s of body": (alone(4, flight_s=0.5, receive_s=0.39), {}, []),
    "0.41 s of body": (alone(4, flight_s=0.5, receive_s=0.41), {}, ["network"]),
    "half of it body": (alone(4, flight_s=0.9, receive_s=0.44), {}, []),
    "one of fifty broke off": ([*alone(49), lost(Outcome.PROTOCOL_ERROR)], {}, []),
    "two of fifty broke off": ([*alone(48), *[lost(Outcome.PROTOCOL_ERROR)] * 2], {}, ["network"]),
    "two of sixty broke off": ([*alone(58), *[lost(Outcome.PROTOCOL_ERROR)] * 2], {}, []),
    "0.1 s in the queue alone": (alone(6, flight_s=0.2, queue_s=0.1), {}, []),
    "0.11 s in the queue alone": (alone(6, flight_s=0.2, queue_s=0.11), {}, ["capacity"]),
    "a quarter in the queue alone": (alone(6, flight_s=0.8, queue_s=0.19), {}, []),
    "five in the queue": (alone(5, flight_s=0.6, queue_s=0.4), {}, []),
    "0.14 s more in the queue together": ([*alone(8, **QUICK, queue_s=0.0), *crowd(8, **QUICK, queue_s=0.14)], {}, []),
    "0.16 s more in the queue together": ([*alone(8, **QUICK, queue_s=0.0), *crowd(8, **QUICK, queue_s=0.16)], {}, ["capacity"]),
    "three together in the queue": ([*alone(8, **QUICK, queue_s=0.0), *crowd(3, **QUICK, queue_s=0.5)], {}, []),
    "1 s of work": (alone(2, flight_s=1.1, server_time_s=1.0), {}, []),
    "1.01 s of work": (alone(2, flight_s=1.11, server_time_s=1.01), {}, ["slow_call"]),
    "1.6 s less its queue": (alone(2, flight_s=1.6, queue_s=0.7), {}, []),
    "1.8 s less its queue": (alone(2, flight_s=1.8, queue_s=0.7), {}, ["slow_call"]),
    "1.1 s less a round trip": (alone(2, flight_s=1.1, reused=False, connect_s=0.2), {}, []),
    "1.3 s less a round trip": (alone(2, flight_s=1.3, reused=False, connect_s=0.2), {}, ["slow_call"]),
    "one slow answer": (alone(1, flight_s=3.1, server_time_s=3.0), {}, []),
    "fuller by 9 units": (tokens(2, 9.0), {}, []),
    "fuller by 10 units": (tokens(2, 10.0), {}, ["shared_token"]),
    "fuller from the first": (list(reversed(tokens(2, 10.0))), {}, ["shared_token"]),
    "fuller than what leaked since then": (paid(100.0, 100.0), {}, ["shared_token"]),
    "as full as our own call left it": (paid(100.0, 1.0, back_per_s=3.0), {}, []),
    "as full as something before left it": (levels(*(160.0 + 5.0 * n for n in range(10))), {}, []),
    "as full as something before left it, and soon empty": (levels(570.0, 590.0, *[600.0] * 8, apart_s=2.0), {}, []),
    "kept full by somebody": (levels(*[160.0] * 8, 600.0, 600.0, apart_s=5.0), {}, ["shared_token"]),
    "fuller at times": (levels(*OTHERS), {}, ["shared_token"]),
    "fuller by calls that were given up": (given_up(), {}, ["network"]),
    "fuller once": (tokens(1, 200.0), {}, []),
}


@pytest.mark.parametrize("what", THRESHOLDS)
def test_what_is_blamed(what: str) -> None:
    """A cause is named beyond its threshold, not at it, and not for fewer observations than carry it."""
    seen, around, expected = THRESHOLDS[what]
    assert list(causes(seen, **around)) == expected


def test_nothing_seen() -> None:
    """No observation, no cause; a cancelled one is none."""
    assert diagnose([], JOB) == []
    assert diagnose([lost(Outcome.CANCELLED)], JOB) == []


def test_document() -> None:
    """A cause is told as the contract says."""
    cause = causes(alone(10), lag_s=(0.3,) * 100)["client"]
    assert cause.document() == {
        "kind": "client",
        "confidence": round(cause.confidence, 2),
        "says": cause.says,
        "evidence": list(cause.evidence),
        "advice": cause.advice,
    }


def test_confidence() -> None:
    """Confidence rises with the effect and with n, and never reaches certainty."""
    assert surer(1.0, 1.0, 100) == pytest.approx(0.6, abs=0.01)
    assert surer(2.0, 1.0, 100) < surer(10.0, 1.0, 100) <= 0.99
    assert surer(10.0, 1.0, 1) < surer(10.0, 1.0, 20)
    assert (surer(1e9, 1.0, 10**6), surer(1e9, 1.0, 10**6, 0.85)) == (0.99, 0.85)
