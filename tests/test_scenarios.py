"""Each scenario against the simulator in the good case, and against answers that are missing, refused or odd."""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import outside
import pytest
import trustme
from asked import SELF, made, place, seen
from simulated import answer

from probes import findings
from probes.calls import Call, Round
from probes.client import Client
from probes.clock import run_virtually
from probes.config import Kind
from probes.errors import GuardStop, UsageError
from probes.observation import Observation, Outcome
from probes.scenarios import BUILT_IN, Options, chosen, names, scenario
from probes.scenarios.asking import first_id, items_of, with_query
from probes.scenarios.latency import order
from probes.scenarios.throttling import affordable
from probes.simulator.app import create_app
from probes.simulator.network import DelayedTransport
from probes.simulator.profiles import profile
from probes.simulator.settings import Fault


def nothing_there(request: httpx.Request) -> httpx.Response:
    return httpx.Response(404, json={"errors": [{"message": "The specified resource does not exist."}]}, request=request)


def not_permitted(request: httpx.Request) -> httpx.Response:
    body = {"status": "unauthorized", "errors": [{"message": "user not authorized to perform that action"}]}
    return httpx.Response(401, json=body, request=request)


def kinds(observations: list[Observation], **facts: Any) -> set[str]:
    return {finding.kind for finding in findings.judge(observations, facts=facts)}


@pytest.mark.parametrize("name", BUILT_IN)
def test_scenario_is_a_literal(name: str) -> None:
    """Each file has one Scenario of its own name, read-only, with a question and a budget."""
    one = scenario(name)
    assert (one.name, one.writes) == (name, False)
    assert one.asks.endswith(("?", "."))
    assert one.budget(Options()) >= 1


def test_how_much_is_said_beforehand() -> None:
    """`probes run all` says these most requests of each, and more where jobs are followed: 40 polls of five at most, ten looks."""
    said = {name: scenario(name).budget(Options()) for name in BUILT_IN}
    assert said == {
        "reach": 2,
        "latency": 45,
        "throttling": 90,
        "pagination": 22,
        "timeouts": 90,
        "queue": 6,
        "endpoints": 76,
        "enrollment": 8,
        "vocabulary": 13,
    }
    followed = [Options(extra={"progress": ("1",) * count}) for count in (3, 99)]
    assert [scenario("queue").budget(one) for one in followed] == [6 + 3 * 40, 6 + 5 * 40]
    assert [scenario("vocabulary").budget(one) for one in followed] == [13 + 3, 13 + 10]


@pytest.mark.parametrize("script", [nothing_there, not_permitted])
@pytest.mark.parametrize("name", BUILT_IN)
def test_bare_server_is_no_error(name: str, script: Any) -> None:
    """A server that lacks every route, or permits none, gives observations within the budget and no exception."""
    assert seen(name, script=script, options=Options(repeat=4))


@pytest.mark.parametrize("name", BUILT_IN)
def test_server_that_breaks_off_is_left_soon(name: str) -> None:
    """When nothing is answered a scenario stops after a few requests."""

    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    lines = seen(name, script=broken)
    assert {o.outcome for o in lines} == {Outcome.CONNECT_ERROR}
    assert len(lines) <= 12


def test_chosen() -> None:
    """`all` is every read-only scenario once; unknown words and none at all are usage errors, which offer the nearest name."""
    assert [one.name for one in chosen(["reach", "all"])] == list(names())
    with pytest.raises(UsageError, match=r"^There is no scenario 'rech': did you mean reach\?$"):
        chosen(["rech"])
    with pytest.raises(UsageError, match=r"^There is no scenario 'nonsense': known are all, reach, latency, "):
        chosen(["nonsense"])
    with pytest.raises(UsageError, match="Name a scenario: all, reach"):
        chosen([])


OUTSIDE = """
from probes.scenarios import Scenario, scenario

SCENARIO = Scenario("other", "Other?", lambda _: 1, scenario("reach").observe, writes=True)
"""


def test_outside_scenarios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outside package adds a scenario by the entry-point group; one that writes is not part of `all`."""
    outside.install(tmp_path, monkeypatch, "[probes.scenarios]\nother = added:SCENARIO\n", OUTSIDE)
    assert names()[-1] == "other"
    assert "other" not in [one.name for one in chosen(["all"])]
    assert [one.name for one in chosen(["other"])] == ["other"]


def test_reach() -> None:
    """Reach asks the health page without the token, then who the token is; facts tell revision, user and kind."""
    health, me = seen("reach", instance=place(kind=Kind.BETA))
    assert (health.path, me.path) == ("/health_check.json", "/api/v1/users/self")
    assert health.facts["revision"] == profile("production").revision
    assert (me.facts["user_id"], me.facts["kind"], me.facts["kind_by_host"], me.facts["json"]) == (1, "beta", "simulated", True)


def test_reach_keeps_the_token_to_itself() -> None:
    """The health page is asked without credentials."""
    asked: list[str | None] = []

    def script(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("authorization"))
        return httpx.Response(200, json={}, request=request)

    seen("reach", script=script)
    assert [value is None for value in asked] == [True, False]


def test_reach_says_how_it_was_refused() -> None:
    """A bad token gives 401 with the challenge noted, and the finding that names it."""
    lines = seen("reach", instance=place(secret="nobody"))
    assert lines[1].outcome is Outcome.UNAUTHORIZED
    assert lines[1].facts["challenge"].startswith("Bearer")
    assert "credentials" in kinds(lines)


@pytest.mark.parametrize("health", [(404, "text/html", {}), (403, "text/plain", {}), (302, "text/html", {"location": "/login"})])
def test_a_health_page_that_is_kept_to_the_operator(health: tuple[int, str, dict[str, str]]) -> None:
    """An instance that answers the token and does not show its health page is well: nothing warns, and the page is told as not shown."""
    status, kind, more = health

    def script(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/users/self":
            return httpx.Response(200, json={"id": 7}, request=request)
        return httpx.Response(status, content=b"<html></html>", headers={"content-type": kind, **more}, request=request)

    (found,) = findings.judge(seen("reach", script=script))
    assert (found.kind, found.severity, found.evidence[0].startswith("its public health page does not show")) == ("answers", "info", True)


@pytest.mark.parametrize(
    ("words", "kind", "advice"),
    [
        ("Insufficient scopes on access token.", "permission", "Ask whoever keeps the developer key"),
        ("user not authorized to perform that action", "permission", "Ask an administrator for the permission"),
    ],
)
def test_reach_tells_the_servers_own_words(words: str, kind: str, advice: str) -> None:
    """What a 401 says is evidence, a missing scope is no matter of permissions, and a token that may not ask who it is is a warning."""

    def script(request: httpx.Request) -> httpx.Response:
        status = 200 if "health" in request.url.path else 401
        return httpx.Response(status, json={"errors": [{"message": words}]}, request=request)

    found = next(one for one in findings.judge(seen("reach", script=script)) if one.kind == kind)
    assert (found.evidence, found.severity) == ((f"it says: {words}",), "warning")
    assert found.advice.startswith(advice)


@pytest.mark.parametrize(
    ("status", "paths"),
    [
        (200, ["/api/v1/users/self"]),
        (429, ["/api/v1/users/self"]),
        (401, ["/api/v1/users/self", "/health_check.json"]),
        (503, ["/api/v1/users/self", "/health_check.json"]),
    ],
)
def test_reach_in_brief(status: int, paths: list[str]) -> None:
    """In brief the read alone is asked, and the health page where that failed: a refusal of the throttle is an answer."""

    def script(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json={}, request=request)

    assert [o.path for o in seen("reach", script=script, options=Options(brief=True))] == paths


def test_reach_looks_at_a_certificate_now_and_then(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its days stand in each read; a handshake for it alone is made at the first only, and while it cannot be seen not at the next."""
    ends = datetime.now(UTC) + timedelta(days=30.5)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", not_after=ends).configure_cert(context)
    handshakes: list[object] = []

    async def served(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handshakes.append(writer)
        writer.close()

    async def main() -> list[float | None]:
        async with await asyncio.start_server(served, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            inner = httpx.MockTransport(lambda request: httpx.Response(200, json={"id": 1}, request=request))
            days: list[float | None] = []
            for trusted in (True, False):
                if trusted:
                    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
                else:
                    monkeypatch.delenv("SSL_CERT_FILE")
                async with Client(place(url=f"https://localhost:{port}"), transport=inner) as client:
                    for _ in range(2):
                        lines = [o async for o in scenario("reach").observe(client, Options(brief=True))]
                        days.append(lines[0].facts.get("certificate_days"))
            return days

    first, second, *unseen = asyncio.run(main())
    assert first == pytest.approx(30.5, abs=0.02)
    assert second == first
    assert unseen == [None, None]
    assert len(handshakes) == 1


def test_latency_tells_cold_from_warm() -> None:
    """40 warm calls and 5 cold ones, spread by chance and the same for all."""
    lines = seen("latency")
    assert [o.facts["cold"] for o in lines].count(True) == 5
    assert [o.facts["cold"] for o in lines] == order(40)
    assert len(lines) == 45


def test_latency_of_several_calls() -> None:
    """Each block makes each call once."""
    calls = (Call("GET", "/api/v1/users/self"), Call("GET", "/api/v1/courses"))
    lines = seen("latency", options=Options(calls=calls, repeat=3))
    blocks = {o.facts["block"] for o in lines}
    assert all(sorted(o.call for o in lines if o.facts["block"] == block) == sorted(call.name for call in calls) for block in blocks)


def test_latency_stops_at_a_refusal() -> None:
    """The first refusal of the throttle ends it."""
    lines = seen("latency", profile("production").changed(faults=(Fault("throttled", after=4),)))
    assert [o.outcome for o in lines][-2:] == [Outcome.OK, Outcome.THROTTLED]
    assert len(lines) == 5


def test_throttling_alone_identifies_without_refusal() -> None:
    """The built-in design goes from one call to several together, within its budget, and no call is refused."""
    lines = seen("throttling")
    assert {o.outcome for o in lines} == {Outcome.OK}
    assert min(o.remaining or 0.0 for o in lines) < 500.0
    assert len(lines) <= 90


@pytest.mark.parametrize(("mark", "reservation"), [(300.0, 100.0), (1200.0, 20.0), (160.0, 50.0), (600.0, 50.0)])
def test_throttling_never_causes_a_refusal(mark: float, reservation: float) -> None:
    """Whatever the bucket, the built-in design keeps off its mark."""
    from probes.bucket import BucketSettings

    lines = seen("throttling", profile("production").changed(bucket=BucketSettings.of(mark, 10.0, reservation)))
    assert {o.outcome for o in lines} == {Outcome.OK}


def test_calls_keep_their_distances_where_this_side_stood_still() -> None:
    """What was due while the event loop was held up for two seconds is put off, and does not go out at one instant."""
    call = Call("GET", "/api/v1/users/self")
    rounds = iter([Round(tuple((0.2 * n, call) for n in range(20)))])

    def held_up() -> None:
        asyncio.get_running_loop()._jumping.now_s += 2.0  # type: ignore[attr-defined] # as a callback that takes so long

    def decide(so_far: Any) -> Round | None:
        if not so_far:
            asyncio.get_running_loop().call_later(1.1, held_up)
        return next(rounds, None)

    sent = sorted(o.sent_s or 0.0 for o in seen("throttling", options=Options(decide=decide)))
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert gaps == pytest.approx([0.2] * 5 + [2.1] + [0.2] * 13, abs=0.001)


def test_throttling_obeys_its_design() -> None:
    """A design decides each round from what was seen; the rest of a round is unsent once Remaining falls below its floor."""
    call = Call("GET", "/api/v1/users/self")
    counts: list[int] = []

    def decide(so_far: Any) -> Round | None:
        counts.append(len(so_far))
        offsets = tuple((0.2 * n, call) for n in range(10))
        return Round(offsets, after_s=1.0, stop_below=590.0) if len(counts) == 1 else None

    lines = seen("throttling", options=Options(decide=decide))
    assert counts[0] == 0
    assert counts[1] == len(lines) < 10


def test_throttling_obeys_its_number_in_flight() -> None:
    """The rest of a round is unsent once a call's turn comes while as many others are on their way as may be."""
    call = Call("GET", "/api/v1/users/self")
    round_ = Round(tuple((0.001 * n, call) for n in range(10)), most_in_flight=4)
    lines = seen("throttling", options=Options(decide=lambda so_far: None if so_far else round_))
    assert len(lines) == 4


def test_throttling_budget_cuts_rounds() -> None:
    """No more calls than the budget are made, though a round asks for more."""
    call = Call("GET", "/api/v1/users/self")
    lines = seen("throttling", options=Options(budget=3, decide=lambda _: Round(((0.0, call),) * 2)))
    assert len(lines) == 3


def test_throttling_waits_for_those_in_flight() -> None:
    """Where max_requests ends a round, the calls that are on their way come back before the guard is told: none is cut off."""
    call = Call("GET", "/api/v1/users/self")
    options = Options(decide=lambda _: Round(tuple((0.01 * n, call) for n in range(9))))
    lines: list[Observation] = []

    async def main() -> None:
        transport = DelayedTransport(httpx.ASGITransport(create_app(profile("production"))), 0.02, 0.0)
        async with Client(place(max_requests=4), record=lines.append, transport=transport, origin_s=0.0) as client:
            with pytest.raises(GuardStop, match="allows max_requests = 4 a run, and that many were sent"):
                [o async for o in scenario("throttling").observe(client, options)]

    run_virtually(main())
    assert [o.outcome for o in lines] == [Outcome.OK] * 4
    assert all(o.received_s is not None and o.received_s > 0.04 for o in lines), "each was still on its way when the fifth was due"


def test_affordable() -> None:
    """How many may start together: one at first, three without headers, fewer the nearer the mark."""
    assert affordable([]) == 1
    assert affordable([made(), made()]) == 3
    assert affordable([made(remaining=600.0)]) == 1
    assert affordable([made(remaining=600.0)] * 2) == 2
    low = [made(remaining=600.0)] * 2 + [made(remaining=550.0, flight_s=0.1), made(remaining=100.0)]
    assert affordable(low) == 0


def test_pagination_of_the_course_list() -> None:
    """Default 10, greatest 100 by asking for 100,000, 0 is taken as 1, the total shows at size 1; numbered links with `last`."""
    lines = [o for o in seen("pagination") if o.facts["list"] == "/api/v1/courses"]
    facts = {o.facts["per_page_asked"]: o.facts for o in lines if "page_asked" not in o.facts}
    assert (facts[None]["per_page"], facts[None]["items"]) == (10, 10)
    assert facts[100_000]["per_page"] == 100
    assert (facts[0]["per_page"], facts[0]["total"]) == (1, 26)
    assert (facts[None]["style"], facts[None]["has_last"], facts[None]["rels"]) == ("link", True, "current,next,first,last")
    assert lines[-1].facts["page_asked"] == 99_999
    assert lines[-1].facts["items"] == 0


def test_pagination_of_other_canvas_lists() -> None:
    """Enrolments page by bookmarks without `last`, the activity stream has a default of 21."""
    by_list: dict[str, list[Observation]] = {}
    for o in seen("pagination"):
        by_list.setdefault(o.facts["list"], []).append(o)
    enrolments = by_list["/api/v1/courses/1/enrollments"]
    assert [(o.facts["style"], o.facts["has_last"], o.facts["per_page"]) for o in enrolments] == [
        ("bookmark", False, 10),
        ("bookmark", False, 100),
    ]
    assert by_list["/api/v1/users/self/activity_stream"][0].facts["per_page"] == 21


def paged(most: int, *, copies: bool, total: int = 250) -> Any:
    """A server that pages by number; `copies` repeats the asked size in its links although it gives at most `most`."""

    def script(request: httpx.Request) -> httpx.Response:
        asked = int(request.url.params.get("per_page", 30))
        page = int(request.url.params.get("page", 1))
        size = max(1, min(asked, most))
        items = [{"id": n} for n in range((page - 1) * size, min(page * size, total))]
        url = f"http://127.0.0.1:8000{request.url.path}?per_page={asked if copies else size}&page="
        link = f'<{url}{page + 1}>; rel="next", <{url}1>; rel="first"' if page * size < total else f'<{url}1>; rel="first"'
        return httpx.Response(200, json=items, headers={"Link": link}, request=request)

    return script


@pytest.mark.parametrize("copies", [True, False])
def test_pagination_of_an_unknown_server(copies: bool) -> None:
    """The greatest size is found although links repeat what was asked for, by the length of a page that has a next one."""
    options = Options(calls=(Call("GET", "/things?x=1"),))
    lines = seen("pagination", script=paged(40, copies=copies), options=options)
    facts = {o.facts["per_page_asked"]: o.facts for o in lines if "page_asked" not in o.facts}
    assert (facts[None]["per_page"], facts[100_000]["per_page"], facts[10]["per_page"]) == (30, 40, 10)
    assert facts[None]["has_last"] is False


def test_pagination_without_a_limit_in_sight() -> None:
    """When all items come at once and links repeat what was asked for, the greatest size is unknown, not 100,000."""
    lines = seen("pagination", script=paged(10**6, copies=True), options=Options(calls=(Call("GET", "/things"),)))
    assert next(o for o in lines if o.facts["per_page_asked"] == 100_000).facts["per_page"] is None


@pytest.mark.parametrize(
    ("link", "at"),
    [("https://inner:8443/things?page=2", "https://inner:8443"), ("", "itself"), ("?page=2", None), ("ftp://x/", "no URL")],
)
def test_pagination_whose_next_links_lead_astray(link: str, at: str | None) -> None:
    """A next link to another origin, or to the page itself, is noted: who follows it tells the token elsewhere, or never ends."""

    def script(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[{"id": 1}], headers={"Link": f'<{link or request.url}>; rel="next"'}, request=request)

    lines = seen("pagination", script=script, options=Options(calls=(Call("GET", "/things"),)))
    assert {o.facts.get("next_at") for o in lines} == {at}


def test_pagination_of_what_is_no_list() -> None:
    """One answer shows that a call brings no list: nothing more is asked."""
    lines = seen("pagination", options=Options(calls=(Call("GET", "/api/v1/users/self"),)))
    assert (len(lines), kinds(lines)) == (1, {"no_list"})


def test_pagination_of_other_dialects() -> None:
    """A dialect without a page-size parameter is asked once."""

    def script(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"Items": [{"id": 1}], "PagingInfo": {}}, request=request)

    lines = seen("pagination", script=script, instance=place(dialect="brightspace"))
    assert [o.facts["items"] for o in lines] == [1]


def test_timeouts_tell_alive_from_dead() -> None:
    """After a call that times out the health page is asked; three in a row end that call."""
    settings = profile("production").changed(faults=(Fault("hang", path="/api/v1/courses"),))
    lines = seen("timeouts", settings, Options(repeat=10))
    late = [o for o in lines if o.outcome is Outcome.READ_TIMEOUT]
    alive = [o for o in lines if o.call.endswith("after a timeout")]
    assert [o.call for o in late] == ["GET /api/v1/courses"] * 3
    assert [o.status for o in alive] == [200] * 3
    assert {"timeouts", "slow_but_alive"} <= kinds(lines)
    assert sum(o.call == SELF for o in lines) == 10


def test_timeouts_of_a_dead_server() -> None:
    """When the health page hangs as well the finding says dead, and no more than six calls are tried."""
    lines = seen("timeouts", profile("production").changed(faults=(Fault("hang"),)))
    assert len([o for o in lines if not o.call.endswith("after a timeout")]) == 6
    assert "dead" in kinds(lines)


def test_timeouts_of_a_quick_server() -> None:
    """Without a timeout the scenario says which to set."""
    assert kinds(seen("timeouts")) >= {"timeout_to_set"}


def test_queue_of_the_simulator() -> None:
    """Waits and runs of past imports, the queue oldest first, without writing."""
    lines = seen("queue", profile("beta"))
    facts = lines[0].facts
    assert [o.method for o in lines] == ["GET", "GET"]
    assert len(facts["waits_s"]) >= 20
    assert facts["waiting"] == 3
    assert facts["running"] == 1
    assert facts["queue"][0][1] == "importing"
    assert kinds(lines) >= {"queue_wait", "backlog"}


def test_queue_empty() -> None:
    """With nothing queued the scenario says so."""
    assert kinds(seen("queue", profile("sandbox"))) >= {"queue_wait", "queue_empty"}


def test_queue_without_permission() -> None:
    """No permission: the queue is unknown and the permission named."""
    lines = seen("queue", script=not_permitted)
    assert len(lines) == 1
    assert [f.says for f in findings.judge(lines) if f.kind == "queue_unreadable"] == [
        "The import queue of test is unknown: needs permission 'Import SIS data' (401)."
    ]


def progresses(*states: str) -> Any:
    left = list(states)

    def script(request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and "sis_imports" in request.url.path:
            return httpx.Response(
                200, json={"sis_imports": [{"id": 1, "workflow_state": "created", "created_at": "nonsense"}, 7]}, request=request
            )
        state = left.pop(0) if len(left) > 1 else left[0]
        body = {
            "id": 9,
            "workflow_state": state,
            "completion": 5,
            "created_at": "2026-11-02T08:00:00Z",
            "updated_at": "2026-11-02T08:01:00Z",
        }
        return httpx.Response(200, json=body, headers={"Date": "Mon, 02 Nov 2026 08:02:00 GMT"}, request=request)

    return script


def test_queue_follows_progress() -> None:
    """A Progress is polled until it is done; its age counts by the server's own clock."""
    lines = seen("queue", script=progresses("queued", "queued", "running", "completed"), options=Options(extra={"progress": ("9",)}))
    polls = [o.facts for o in lines if "progress" in o.facts]
    assert [facts["state"] for facts in polls] == ["queued", "queued", "running", "completed"]
    assert polls[0]["age_s"] == 120.0
    assert "it was queued for at least 2 min" in next(f.says for f in findings.judge(lines) if f.kind == "progress")


def test_queue_gives_up_on_a_progress_that_stays() -> None:
    """Polling ends after its number of polls."""
    lines = seen("queue", script=progresses("queued"), options=Options(extra={"progress": ("9",)}))
    assert len([o for o in lines if "progress" in o.facts]) == 40


def test_queue_write_probe_needs_both_words() -> None:
    """The harmless job is started only when asked for with a course, and the client refuses it where writes are not allowed."""
    options = Options(allow_writes=True, course="1")
    lines = seen("queue", script=progresses("completed"), options=options, instance=place(allow_writes=True))
    assert [o.method for o in lines] == ["GET", "GET", "POST", "GET"]
    with pytest.raises(UsageError, match="writes"):
        seen("queue", script=progresses("completed"), options=options)


def test_endpoints_ladder() -> None:
    """Each rung five times on the instance's own course; the missing one once; the dearest is named."""
    settings = profile("production").changed(analytics=False)
    lines = seen("endpoints", settings)
    counts = {call: sum(o.call == call for o in lines) for call in {o.call for o in lines}}
    assert counts["GET /api/v1/courses/1/sections"] == 5
    assert counts["GET /api/v1/courses/1/analytics/activity"] == 1
    assert {"ladder", "endpoint_missing"} <= kinds(lines)


@pytest.mark.parametrize("name", ["endpoints", "pagination"])
def test_a_course_of_the_schools_own_id_is_one_segment(name: str) -> None:
    """An id with a slash, a blank or a question mark asks for that course, and for nothing else."""
    lines = seen(name, options=Options(course="sis_course_id:BIO 1/2?x"), script=lambda _: httpx.Response(200, json=[]))
    mine = [o.path for o in lines if o.path.startswith("/api/v1/courses/")]
    assert len(mine) >= 1
    assert all(path.startswith("/api/v1/courses/sis_course_id:BIO%201%2F2%3Fx") for path in mine)


def test_endpoints_leave_room_in_the_bucket() -> None:
    """A call that costs a third of the bucket is asked no more when the level has no room for it; nothing is refused for the ladder."""
    level = [600.0]

    def script(request: httpx.Request) -> httpx.Response:
        cost = 200.0 if "analytics" in request.url.path else 0.05
        level[0] -= cost
        headers = {"X-Request-Cost": str(cost), "X-Rate-Limit-Remaining": str(level[0])}
        return httpx.Response(200 if level[0] > 0.0 else 429, json=[], headers=headers)

    calls = tuple(Call("GET", path) for path in ("/api/v1/users/self", "/api/v1/courses/1/analytics/activity"))
    lines = seen("endpoints", options=Options(calls=calls), script=script)
    assert [line.call.rpartition("/")[2] for line in lines] == ["self", "activity", "self", "activity", "self", "self", "self"]
    assert all(line.ok for line in lines)


def test_endpoints_of_chosen_calls() -> None:
    """Calls given replace the ladder."""
    lines = seen("endpoints", options=Options(calls=(Call("GET", "/api/v1/courses"),)))
    assert [o.call for o in lines] == ["GET /api/v1/courses"] * 5


def test_endpoints_of_another_dialect() -> None:
    """Other dialects have a ladder of two calls."""
    lines = seen("endpoints", script=paged(10, copies=False), instance=place(dialect="github"))
    assert len({o.call for o in lines}) == 2


def test_enrollment_reads_every_condition() -> None:
    """Course, settings, sections, user, logins, channels, enrolments; the teacher of course 1 has a mail coming on a sandbox."""
    lines = seen("enrollment", options=Options(course="1", extra={"type": "TaEnrollment"}))
    assert [o.facts["check"] for o in lines] == ["course", "settings", "sections", "user", "logins", "channels", "enrollments"]
    assert {o.method for o in lines} == {"GET"}
    assert "mail_would_go" in kinds(lines)


def test_enrollment_for_a_section() -> None:
    """A section names its course; both are read."""
    number = str(answer("/api/v1/courses/2/sections").json()[0]["id"])
    lines = seen("enrollment", options=Options(section=number))
    assert [o.facts["check"] for o in lines][:2] == ["section", "course"]
    assert lines[0].path == f"/api/v1/sections/{number}"
    assert lines[1].facts["course"] == "2"
    assert kinds(seen("enrollment", options=Options(section="999999"))) >= {"enrollment_unchecked"}


def test_enrollment_without_anything_named() -> None:
    """With nothing named the first course serves as an example, and says so: no warning comes of it."""
    lines = seen("enrollment", instance=place(kind=Kind.BETA))
    assert lines[0].facts["check"] == "example"
    found = findings.judge(lines, facts={"instances": [{"name": "test", "kind": "beta"}]})
    assert [f.severity.value for f in found if f.kind == "mail_stopped"] == ["info"]


def test_enrollment_of_a_course_that_is_not_there() -> None:
    """A course that does not exist makes its conditions unknown, with the permission that would show it."""
    lines = seen("enrollment", options=Options(course="99999"))
    unknown = [f.says for f in findings.judge(lines) if f.kind == "condition_unknown"]
    course = "whether the course is published and whether the course has concluded and whether the course has begun is not known"
    assert any(f"{course}: /api/v1/courses/99999 does not exist, or needs permission to read this course." in says for says in unknown)


def test_enrollment_ends_when_the_server_does() -> None:
    """A network failure in the middle ends the reads."""

    def script(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("settings"):
            raise httpx.ReadError("reset", request=request)
        return httpx.Response(200, json={"id": 1}, request=request)

    assert len(seen("enrollment", script=script, options=Options(course="1"))) == 2


def test_vocabulary_counts_values() -> None:
    """States and types are counted by thing and field, and judged against what is documented."""

    def script(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/courses"):
            return httpx.Response(200, json=[{"id": 3}], request=request)
        if path.endswith("/enrollments"):
            return httpx.Response(
                200, json=[{"user_id": 8, "type": "StudentEnrollment", "enrollment_state": "pending_invited"}], request=request
            )
        if path.endswith("communication_channels"):
            return httpx.Response(200, json=[{"workflow_state": "retired", "type": "carrier_pigeon"}], request=request)
        return httpx.Response(200, json={"sis_imports": [{"workflow_state": "imported"}]}, request=request)

    lines = seen("vocabulary", script=script)
    assert [o.path for o in lines if "channels" in o.path] == [f"/api/v1/users/{user}/communication_channels" for user in ("self", "8")]
    assert {"undocumented_value", "unknown_value", "words_known"} <= kinds(lines)


def test_vocabulary_of_an_empty_course() -> None:
    """Where the lists hold nothing that is said, with what was looked for; of a list that cannot be read nothing is."""

    def script(request: httpx.Request) -> httpx.Response:
        bad = "sis_imports" in request.url.path
        return httpx.Response(403 if bad else 200, json={} if bad else [], request=request)

    found = findings.judge(seen("vocabulary", script=script, options=Options(course="1")))
    assert [f.says for f in found if f.kind != "permission"] == [
        "No enrolments or communication channels were seen at test, so there is no value to compare; n = 2 answers."
    ]


def test_vocabulary_follows_progress_ids() -> None:
    """Progress objects given by id are counted too."""
    lines = seen("vocabulary", script=progresses("waiting_for_external_tool"), options=Options(course="1", extra={"progress": ("9",)}))
    says = [f.says for f in findings.judge(lines) if f.kind == "undocumented_value"]
    known = "The workflow_state of Progress objects at test has values that the documentation does not name but the source does:"
    assert says == [f"{known} waiting_for_external_tool; n = 1."]


@pytest.mark.parametrize(
    ("path", "changes", "result"),
    [
        ("/a", {"per_page": 5}, "/a?per_page=5"),
        ("/a?per_page=10&x=1", {"per_page": 5}, "/a?x=1&per_page=5"),
        ("/a?per_page=10&state[]=b", {"per_page": None}, "/a?state[]=b"),
        ("/a?empty=", {}, "/a?empty="),
    ],
)
def test_with_query(path: str, changes: dict[str, Any], result: str) -> None:
    """Query parameters are set, replaced and removed; the rest stays."""
    assert with_query(path, **changes) == result


@pytest.mark.parametrize(
    ("body", "items"),
    [([1], [1]), ({"sis_imports": [1], "total": 3}, [1]), ({"a": [], "b": []}, None), ({"a": 1}, None), (None, None), ("text", None)],
)
def test_items_of(body: Any, items: Any) -> None:
    """A list is found bare or alone in its envelope."""
    assert items_of(json.loads(json.dumps(body))) == items


def test_first_id() -> None:
    """The first item with an id counts; others are passed over."""
    assert first_id([3, {"id": None}, {"id": 5}]) == "5"
    assert first_id({"errors": "no"}) is None


def test_certificate_days_of_a_dead_host() -> None:
    """Where no handshake is possible the days are unknown, not an error."""
    from probes.scenarios.reach import certificate_days

    assert asyncio.run(certificate_days(place(url="https://127.0.0.1:1"))) is None


def test_endpoints_ask_dear_calls_less_often() -> None:
    """A rung that takes more than 2 s is asked three times only."""
    lines = seen("endpoints")
    assert sum("analytics/activity" in o.call for o in lines) == 3
