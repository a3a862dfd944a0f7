from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
FILES = ROOT / "locustfiles"
sys.path.insert(0, str(FILES))

import gevent  # noqa: E402 # the folder of the locustfiles is on the path when Locust loads one, and only then
from _attempt import Answer, ask  # noqa: E402
from _book import Book, Member, even_shares  # noqa: E402
from _byhand import _schedule, settings  # noqa: E402
from _dispatcher import Dispatcher  # noqa: E402
from _engine import Engine  # noqa: E402
from _gate import FlightGate, RateGate  # noqa: E402
from _records import Appender, Batch, Tally, line_of  # noqa: E402
from _settings import LoadSettings, of_document  # noqa: E402
from _wire import Wire  # noqa: E402
from _work import Inactivation, Mix, Walk, next_page  # noqa: E402
from bench.server import Running, running  # noqa: E402
from gevent.server import StreamServer  # noqa: E402

from probes.calls import Call, parse  # noqa: E402
from probes.config import Instance, Kind  # noqa: E402
from probes.errors import UsageError  # noqa: E402
from probes.guards import GuardLimits  # noqa: E402
from probes.load.plan import LoadPlan  # noqa: E402
from probes.observation import Observation, Outcome  # noqa: E402

SELF = parse("GET /api/v1/users/self")
ORIGIN = "http://127.0.0.1:5"
PACKED = gzip.compress(b'{"id": 7}', mtime=0)


def observation(**more: Any) -> Observation:
    values: dict[str, Any] = {
        "instance": "sim",
        "scenario": "load",
        "call": SELF.name,
        "method": "GET",
        "path": SELF.path,
        "due_s": 1.0,
        "sent_s": 1.0,
        "received_s": 1.25,
        "status": 200,
        "outcome": Outcome.OK,
        **more,
    }
    return Observation(**values)


def answer(call: Call, *, body: bytes = b"[]", link: str = "", **more: Any) -> Answer:
    return Answer(observation(call=call.name, method=call.method, path=call.path, **more), {"link": link} if link else {}, body)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(delay_s=0.005, pages=3) as served:
        yield served


def test_a_mix_keeps_its_weights_over_any_stretch() -> None:
    """Weights 3 and 1: in any four calls three of the one and one of the other, never three of a kind more than that in a row."""
    mix = Mix((parse("3 GET /a"), parse("GET /b")))
    paths = [mix.next().path for _ in range(12)]
    assert all(Counter(paths[start : start + 4]) == {"/a": 3, "/b": 1} for start in range(9))


def test_a_walk_follows_pages_and_begins_anew() -> None:
    """Known pages come before new lists; the last page ends a walk."""
    walk = Walk((parse("GET /api/v1/courses?per_page=10"),), ORIGIN)
    first = walk.next()
    walk.seen(first, answer(first, link=f'<{ORIGIN}/api/v1/courses?page=2>; rel="next"'))
    second = walk.next()
    assert second.path == "/api/v1/courses?page=2"
    walk.seen(second, answer(second, link=f'<{ORIGIN}/api/v1/courses?page=1>; rel="first"'))
    assert walk.next() == first


@pytest.mark.parametrize(
    ("link", "path"),
    [
        (f'<{ORIGIN}/a?page=1>; rel="current",<{ORIGIN}/a?page=2>; rel="next"', "/a?page=2"),
        (f"<{ORIGIN}/a>; rel=next", "/a"),
        ('<http://elsewhere.example/a?page=2>; rel="next"', None),
        (f'<{ORIGIN}/a?include[]=x,y&page=2>; rel="next last"', "/a?include[]=x,y&page=2"),
        ('</a?page=2>; title="a, b; rel=prev"; rel=next', "/a?page=2"),
        (f'<{ORIGIN}/a?page=9>; rel="last"', None),
        ("", None),
    ],
)
def test_next_pages_stay_at_home(link: str, path: str | None) -> None:
    """The `next` link of this origin; none that leads elsewhere, where the token must not go."""
    assert next_page(answer(SELF, link=link), "http://127.0.0.1:5") == path


def test_the_bulk_job_lists_first_then_inactivates_each_once() -> None:
    """Two pages are read before the first enrolment is touched; each id once, spelt `task=inactivate`; then it has ended."""
    job = Inactivation("7", ORIGIN)
    first = job.next()
    assert first is not None
    assert first.path == "/api/v1/courses/7/enrollments?state[]=active&per_page=100"
    assert job.next() is None  # nothing to do while the page is on its way
    job.seen(first, answer(first, body=b'[{"id": 1}, {"id": 2}, {"no": 3}]', link=f'<{ORIGIN}/more?page=2>; rel="next"'))
    second = job.next()
    assert second is not None
    job.seen(second, answer(second, body=b'[{"id": 9}]'))
    deletions = [call for call in iter(job.next, None) if call]
    assert [call.name for call in deletions] == [f"DELETE /api/v1/courses/7/enrollments/{n}?task=inactivate" for n in (1, 2, 9)]
    assert not job.ended
    for call in deletions:
        job.seen(call, answer(call))
    assert (job.ended, job.listed, job.done) == (True, 3, 3)


@pytest.mark.parametrize(("body", "link"), [(b"[", ""), (b"[]", '<http://elsewhere.example/?page=2>; rel="next"')])
def test_the_bulk_job_needs_its_list_whole(body: bytes, link: str) -> None:
    """A page that cannot be read, or whose next one is elsewhere, is asked again a few times; then nothing is inactivated."""
    job = Inactivation("7", ORIGIN)
    first = job.next()
    assert first is not None
    job.seen(first, answer(first, body=b'[{"id": 1}, {"id": 1}]', link=f'<{ORIGIN}/more?page=2>; rel="next"'))
    tries = 0
    while (call := job.next()) is not None:
        tries += 1
        job.seen(call, answer(call, body=body, link=link))
    assert (tries, job.listed, job.ended) == (4, 1, True)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("GET /a?page=2&per_page=5", "GET /a?per_page=5"),
        ("GET /a?per_page=5&page=bookmark:x", "GET /a?per_page=5"),
        ("GET /a?page=1", "GET /a"),
        ("DELETE /c/1/enrollments/23?task=inactivate", "DELETE /c/1/enrollments/:id?task=inactivate"),
    ],
)
def test_calls_of_one_kind_have_one_name(call: str, name: str) -> None:
    """Pages and ids are no part of a call's name: a report has a row for each kind, not for each page."""
    assert Walk((SELF,), ORIGIN).name(parse(call)) == Inactivation("1", ORIGIN).name(parse(call)) == name


def test_the_rate_gate() -> None:
    """Sends that bunch up are spread so that no second holds more than the ceiling; the order stays."""
    now = [0.0]
    gate = RateGate(20.0, lambda: now[0])
    for _ in range(20):
        gate.wait()
    assert now[0] == 0.0
    began = time.monotonic()
    gate = RateGate(20.0, time.monotonic)
    for _ in range(21):
        gate.wait()
    assert 0.98 < time.monotonic() - began < 5.0  # how punctual it is the load bench measures
    RateGate(None, lambda: 0.0).wait()


def test_the_rate_gate_remembers() -> None:
    """A ceiling told again, or another one, forgets nothing that was sent: a worker hears its share ten times a second."""
    now = [0.0]
    gate = RateGate(4.0, lambda: now[0])
    for _ in range(4):
        gate.set((4, 1.0))
        gate.wait()
    gate.set((2, 1.0))
    began = gate._sent
    assert (list(began), gate._sent[0] + gate._window_s) == ([0.0, 0.0], 1.0)
    gate.set((2, 1.0))
    assert gate._sent is began


@pytest.mark.parametrize(("rate", "most", "window_s"), [(0.5, 1, 2.0), (9.75, 10, 10 / 9.75)])
def test_a_ceiling_that_is_no_whole_number(rate: float, most: int, window_s: float) -> None:
    """The window is longer than a second, so that none holds more than the next whole number: late requests cannot bunch up twice."""
    gate = RateGate(rate, lambda: 0.0)
    assert (gate._most, gate._window_s) == (most, window_s)


@pytest.mark.parametrize(("calls", "seconds"), [(10, 1.0), (10, 10 / 9.75), (2, 1.0), (1, 2.0)])
def test_shares_of_a_ceiling_never_exceed_it(calls: int, seconds: float) -> None:
    """Workers share a ceiling in whole calls: as they come and go no window holds more of them than the ceiling, and none is lost."""
    book, now, held = Book(), 0.0, []
    for step in range(400):
        now += 0.1
        name = f"w{step // 40 % 4}"
        if step % 40 == 0:  # one comes; one that is there goes, by dying or in good order
            if name in book.members:
                book.members[name].gone = not book.members[name].gone
            else:
                book.members[name] = Member(name, now)
        book.pace(calls, seconds, now)
        held.append((now, {one.name: one.paced for one in book.members.values()}))
        recent = [shares for at, shares in held if at > now - seconds]
        assert sum(max(shares.get(one, 0) for shares in recent) for one in book.members) <= calls
        live = book.live()
        if step % 40 == 39 and live:
            assert sorted(one.paced for one in live) == sorted(even_shares(calls, len(live)))


def test_a_share_that_sank_to_nothing_still_lets_out_what_was_leased() -> None:
    """A worker with due times of its own keeps one call of the ceiling until they are accounted for; it is given no more of them."""
    book = Book(members={"b": Member("b", 0.0)})
    book.pace(1, 1.0, 0.0)
    book.members["b"].leased = 1
    book.members["a"] = Member("a", 0.0)
    book.pace(1, 1.0, 1.0)
    assert [(one.name, one.paced) for one in book.live()] == [("a", 0), ("b", 1)]
    book.members["b"].lines = 1
    book.pace(1, 1.0, 1.1)
    book.pace(1, 1.0, 2.7)
    assert [(one.name, one.paced) for one in book.live()] == [("a", 1), ("b", 0)]


def test_the_flight_gate() -> None:
    """A lowered limit holds for every request that begins later; what flies yet is still held."""
    gate = FlightGate(2)
    gate.enter()
    gate.enter()
    waiting = gevent.spawn(gate.enter)
    gevent.sleep(0.02)
    assert (gate.flying, gate.held) == (2, 2)
    gate.set(1)
    assert gate.held == 2
    gate.leave()
    gevent.sleep(0.02)
    assert gate.flying == 1
    gate.leave()
    waiting.join(1.0)
    assert (gate.flying, gate.held) == (1, 1)


def test_the_dispatcher_is_punctual() -> None:
    """Due times are handed out in order, none early, and not one after the other is late: how punctual it is the load bench measures."""
    dispatcher = Dispatcher(time.monotonic)
    start = time.monotonic() + 0.01
    handed: list[tuple[tuple[int, float], float]] = []

    def take() -> None:
        while len(handed) < 50:
            slot = dispatcher.slots.get()
            handed.append((slot, time.monotonic()))

    taker = gevent.spawn(take)
    dispatcher.run([(n, n * 0.01) for n in range(50)], start, lambda: True)
    taker.join(10.0)
    assert [slot[0] for slot, _ in handed] == list(range(50))
    late = sorted(at - due for (_, due), at in handed)
    assert late[0] >= 0.0
    assert late[25] < 0.05
    assert (dispatcher.handed, dispatcher.ended) == (50, True)


def test_the_dispatcher_stops_when_told() -> None:
    """No due time is handed out after the word."""
    dispatcher = Dispatcher(lambda: 0.0)
    dispatcher.run([(n, 0.0) for n in range(10)], 0.0, lambda: dispatcher.handed < 3)
    assert dispatcher.handed == 3


def test_lines_are_those_of_the_observation() -> None:
    """The quick writer writes what `Observation.line` writes."""
    seen = observation(remaining=float("nan"), facts={"items": 3}, error="é")
    assert json.loads(line_of(seen)) == json.loads(seen.line())
    assert line_of(seen).endswith(b"}\n")


def test_a_batch_hands_on_no_token() -> None:
    """A token that stands in a call's path is not written, whatever its shape."""
    written: list[bytes] = []
    batch = Batch(written.append)
    Instance("a", "http://127.0.0.1:1", secret="no-usual-token").token()
    batch.add(b'{"path":"/x?access_token=no-usual-token"}\n')
    batch.flush()
    assert written == [b'{"path":"/x?access_token=[token]"}\n']


def test_a_batch_keeps_what_could_not_be_written(tmp_path: Path) -> None:
    """A sink that fails loses nothing: the lines go with the next flush, in order."""
    full = [True]
    append = Appender(tmp_path / "lines")

    def sink(data: bytes) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        append(data)

    batch = Batch(sink, most=100)
    batch.add(b"a\n")
    with pytest.raises(OSError, match="No space"):
        batch.flush()
    batch.add(b"b\n")
    full[0] = False
    batch.flush()
    assert (tmp_path / "lines").read_bytes() == b"a\nb\n"


def test_a_folder_that_takes_no_more() -> None:
    """Where a line cannot be written the load stops for that reason, and the answer itself still counts."""

    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    place = Instance("sim", "http://127.0.0.1:9", Kind.SIMULATED)
    engine = Engine(LoadSettings(place, (SELF,), {}, 60.0, 3, GuardLimits(max_refusals=9), None, 0.0), Mix((SELF,)), full)
    engine._record(observation(outcome=Outcome.THROTTLED, status=429))
    assert engine.stopping is not None
    assert (engine.stopping.guard, engine.stopping.why) == ("folder", "Observations cannot be written: No space left on device.")
    assert (engine.tally.requests, engine.guard.refused) == (1, 1)
    engine.wire.close()


def test_the_tally() -> None:
    """Counts, the least budget, late ones, and a p95 once 72 latencies carry it."""
    tally = Tally()
    for n in range(71):
        tally.add(observation(received_s=1.0 + n / 100, remaining=600.0 - n, pool_s=0.02))
    assert tally.recent_p95_s is None
    tally.add(observation(outcome=Outcome.THROTTLED, status=429, pool_s=0.0))
    assert tally.recent_p95_s == pytest.approx(0.67)
    document = tally.document()
    assert {key: document[key] for key in ("requests", "refused", "late", "remaining", "least_remaining")} == {
        "requests": 72,
        "refused": 1,
        "late": 71,
        "remaining": 530.0,
        "least_remaining": 530.0,
    }


def test_grants_are_given_only_when_free() -> None:
    """A worker that comes gets its share only after the others have given it back; one that goes silent frees its own."""
    book = Book({"a": Member("a", 0.0), "b": Member("b", 0.0)})
    book.grant(5)
    assert [(member.limit, member.seq) for member in book.live()] == [(3, 1), (2, 1)]
    for member in book.live():
        member.held = member.limit
    book.members["c"] = Member("c", 0.0)
    book.grant(5)
    assert [member.limit for member in book.live()] == [2, 2, 0]  # a may still use three
    book.members["a"].held = 2
    book.grant(5)
    assert [member.limit for member in book.live()] == [2, 2, 1]
    book.members["c"].heard_s = book.members["a"].heard_s = 10.0
    book.silence(11.0)
    book.grant(5)
    assert [(member.name, member.limit) for member in book.live()] == [("a", 3), ("c", 2)]


def test_turns_follow_the_limits() -> None:
    """Workers take turns by what they may have in flight."""
    a, b = Member("a", 0.0, limit=4), Member("b", 0.0, limit=2)
    assert [Book.turn([a, b]).name for _ in range(6)] == ["a", "b", "a", "a", "b", "a"]


def test_settings_travel(tmp_path: Path) -> None:
    """What the parent's plan writes the child reads, the token beside it."""
    plan = LoadPlan(Instance("sim", ORIGIN, Kind.SIMULATED, max_rate=9.0), (SELF,), {"kind": "even", "rate_per_s": 5.0}, 3.0)
    document = json.loads(json.dumps(plan.document(observations=str(tmp_path / "o"), origin_s=1.5, parent_pid=None, report_fd=None)))
    settings = of_document(document, "secret")
    assert (settings.instance.token(), settings.instance.max_rate, settings.calls, settings.limits) == ("secret", 9.0, (SELF,), plan.limits)
    assert (settings.schedule, settings.max_in_flight, settings.origin_s) == (plan.schedule, 64, 1.5)


WISHES = f"""
import json, os, sys, time
sys.path.insert(0, {str(FILES)!r})
import _parent
from _settings import LoadSettings
from probes.guards import GuardLimits
settings = LoadSettings(None, (), {{}}, 1.0, 1, GuardLimits(), None, 0.0, parent_pid=os.getppid())
said = os.dup(1)
_parent.attend()
print("talk")
os.write(said, json.dumps(str(_parent.wish(settings))).encode() + b"\\n")
while (stop := _parent.wish(settings)) is None:
    time.sleep(0.01)
os.write(said, stop.guard.value.encode())
"""


@pytest.mark.parametrize(("word", "guard"), [(b"end\n", b"interrupted"), (b"", b"parent")])
def test_the_parent_is_heard_through_stdin(word: bytes, guard: bytes) -> None:
    """While stdin is open and silent a load goes on; a word on it ends the load, and so does its end; what is printed is no report."""
    child = subprocess.Popen([sys.executable, "-c", WISHES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b'"None"\n'
    out, err = child.communicate(word, timeout=20)
    assert (out, err) == (guard, b"talk\n")


def test_one_attempt(server: Running) -> None:
    """One request gives one observation with its phases; the second reuses the connection; a body is sent as JSON."""
    wire = Wire(Instance("sim", server.url, Kind.SIMULATED, secret="a-token"))
    now = time.monotonic()
    first = ask(wire, SELF, "load", 0.0, now).observation
    second = ask(wire, SELF, "load", 0.0, now).observation
    posted = ask(wire, Call("POST", "/api/v1/ü x?q=ä", {"a": 1}), "load", 0.0, now).observation
    wire.close()
    assert (first.reused, second.reused) == (False, True)
    assert first.connect_s is not None
    assert (second.connect_s, second.tls_s) == (0.0, 0.0)
    assert first.connect_s > 0.0
    for seen in (first, second):
        assert seen.sent_s is not None
        assert seen.received_s is not None
        assert seen.send_s is not None
        assert seen.wait_s is not None
        assert seen.receive_s is not None
        assert seen.received_s - seen.sent_s == pytest.approx(seen.send_s + seen.wait_s + seen.receive_s, abs=1e-5)
        assert seen.send_s + seen.wait_s >= 0.005  # the thread may be put aside between the two
    assert posted.ok
    assert server.report()["lines"][-1] == "POST /api/v1/%C3%BC%20x?q=%C3%A4"


def test_a_body_above_the_cap(server: Running) -> None:
    """What is larger than the cap is not read to its end."""
    wire = Wire(Instance("sim", server.url, Kind.SIMULATED), max_body_bytes=10)
    seen = ask(wire, parse("GET /api/v1/courses?per_page=5"), "load", 0.0, time.monotonic()).observation
    wire.close()
    assert (seen.outcome, seen.status) == (Outcome.TOO_LARGE, 200)


@pytest.mark.parametrize(("master", "worker"), [(True, False), (False, True)])
def test_a_bulk_job_is_not_shared(master: bool, worker: bool) -> None:  # a case of the table
    """Each of several processes would send the whole job: every enrolment as often as there are workers."""
    with pytest.raises(UsageError, match="bulk_enrollments runs in one process"):
        settings("bulk_enrollments", Namespace(master=master), worker=worker)


@pytest.mark.parametrize(("first", "step"), [(5.0, 1.0), (1.0, 0.0), (1.0, -1.0), (1.0, float("nan"))])
def test_a_ramp_that_does_not_rise(first: float, step: float) -> None:
    """One that would begin faster than the rate asked for, or never come to it, is refused."""
    with pytest.raises(UsageError, match="A ramp rises"):
        _schedule("ramp", Namespace(rate=4.0, probes_from=first, step=step, hold="1s"), 60.0)


def asked_of(answer: bytes) -> Answer:
    """What becomes of a call that is answered so; then the server closes the connection."""

    def handle(connection: Any, _peer: Any) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    server = StreamServer(("127.0.0.1", 0), handle)
    server.start()
    wire = Wire(Instance("sim", f"http://127.0.0.1:{server.server_port}", Kind.SIMULATED), max_body_bytes=1000)
    got = ask(wire, SELF, "load", 0.0, time.monotonic())
    wire.close()
    server.stop()
    return got


@pytest.mark.parametrize(
    ("status", "outcome", "told"),
    [
        (b"200 OK", Outcome.PROTOCOL_ERROR, None),
        (b"429 Too Many Requests", Outcome.THROTTLED, 429),
        (b"503 Service Unavailable", Outcome.MAINTENANCE, 503),
    ],
)
def test_an_answer_cut_short(status: bytes, outcome: Outcome, told: int | None) -> None:
    """What the status says counts before what broke afterwards: guards must hear of a refusal that was cut short."""
    seen = asked_of(b"HTTP/1.1 " + status + b"\r\nX-Rate-Limit-Remaining: 12.5\r\nContent-Length: 99\r\n\r\n{").observation
    assert (seen.outcome, seen.status, seen.remaining) == (outcome, told, 12.5 if told else None)
    assert (seen.received_s is not None, seen.error) == (told is not None, "HTTPParseError: Incomplete response.")


@pytest.mark.parametrize(
    ("status", "sent", "outcome", "body"),
    [
        (b"200 OK", PACKED, Outcome.OK, b'{"id": 7}'),
        (b"200 OK", PACKED[:-9], Outcome.PROTOCOL_ERROR, PACKED[:-9]),
        (b"200 OK", b"{}", Outcome.PROTOCOL_ERROR, b"{}"),
        (b"200 OK", gzip.compress(b"0" * 1001, mtime=0), Outcome.TOO_LARGE, b"0" * 1000),
        (b"200 OK", b"", Outcome.OK, b""),
        (b"429 Too Many Requests", PACKED[:-9], Outcome.THROTTLED, PACKED[:-9]),
        (b"403 Forbidden", gzip.compress(b"403 Forbidden (Rate Limit Exceeded)", mtime=0), Outcome.THROTTLED, None),
    ],
    ids=["whole", "cut", "not packed", "too large", "empty", "refusal cut", "refusal packed"],
)
def test_packed_bodies(status: bytes, sent: bytes, outcome: Outcome, body: bytes | None) -> None:
    """A body is unpacked, up to the cap; one that is cut short or packed otherwise is no `ok`; a refusal stays one; budget headers stay."""
    head = b"Content-Type: application/json\r\nContent-Encoding: gzip\r\nX-Rate-Limit-Remaining: 600.0\r\nContent-Length: %d\r\n\r\n"
    got = asked_of(b"HTTP/1.1 " + status + b"\r\n" + head % len(sent) + sent)
    seen = got.observation
    assert (seen.outcome, seen.status, seen.remaining) == (outcome, int(status[:3]), 600.0)
    assert (got.body if body is not None else None, seen.size_bytes) == (body, len(got.body))
    assert (seen.error is None) is (outcome in {Outcome.OK, Outcome.THROTTLED} and sent != PACKED[:-9])


def test_a_killed_user_leaves_its_record(tmp_path: Path) -> None:
    """A request that flies when its user is killed is recorded as cancelled, and the gate is open again."""
    with running(delay_s=5.0) as slow:
        lines: list[bytes] = []
        settings = LoadSettings(
            Instance("sim", slow.url, Kind.SIMULATED),
            (SELF,),
            {},
            60.0,
            3,
            GuardLimits(),
            None,
            time.monotonic(),
            open_loop=False,
        )
        engine = Engine(settings, Mix((SELF,)), lines.append)
        engine.open.set()
        users = [gevent.spawn(engine.turn) for _ in range(3)]
        gevent.sleep(0.2)
        assert engine.flights.flying == 3
        engine.drain(0.05)
        gevent.joinall(users, timeout=2.0)
        engine.batch.flush()
        engine.wire.close()
    records = [json.loads(line) for line in b"".join(lines).splitlines()]
    assert [(record["outcome"], record["status"], record["received_s"]) for record in records] == [("cancelled", None, None)] * 3
    assert (engine.flights.flying, engine.sent) == (0, 3)
    assert all(isinstance(user.value, gevent.GreenletExit) for user in users)


def by_hand(folder: Path, name: str, server: Running, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    table = {"url": f'"{server.url}"', "allow_load": "true", "max_in_flight": "8", **more}
    (folder / "probes.toml").write_text("[instances.sim]\n" + "".join(f"{key} = {value}\n" for key, value in table.items()))
    line = [sys.executable, "-m", "locust", "-f", str(FILES / f"{name}.py"), "--headless", "--only-summary", "--loglevel", "ERROR", *words]
    return subprocess.run(
        line, cwd=folder, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def lines_of(folder: Path) -> list[dict[str, Any]]:
    (run,) = (folder / "results").iterdir()
    return [json.loads(line) for line in (run / "observations.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words", "requests", "paths"),
    [
        ("steady", ("--rate", "20", "--for", "1s"), 20, {"/api/v1/users/self"}),
        ("ramp", ("--from", "5", "--rate", "15", "--step", "5", "--hold", "500ms"), 3 + 5 + 8, {"/api/v1/users/self"}),
        ("ramp", ("--from", "5", "--rate", "15", "--step", "5", "--hold", "500ms", "--for", "450ms"), 3, {"/api/v1/users/self"}),
        ("burst", ("--size", "6", "--every", "500ms", "--count", "2"), 12, {"/api/v1/users/self"}),
        (
            "pages",
            ("--rate", "10", "--for", "1s", "--call", "GET /api/v1/courses?per_page=5"),
            10,
            {"/api/v1/courses?per_page=5", "/api/v1/courses?per_page=5&page=2", "/api/v1/courses?per_page=5&page=3"},
        ),
    ],
)
def test_by_hand(tmp_path: Path, server: Running, name: str, words: tuple[str, ...], requests: int, paths: set[str]) -> None:
    """Plain `locust -f` with a probes.toml: the schedule of the locustfile, a run folder with every request, exit 0."""
    before = len(server.report()["arrivals"])
    done = by_hand(tmp_path, name, server, *words)
    assert done.returncode == 0, done.stderr
    records = lines_of(tmp_path)
    assert len(records) == len(server.report()["arrivals"]) - before == requests
    assert {record["path"] for record in records} == paths
    assert {record["scenario"] for record in records} == {f"load.{name}"}
    (run,) = (tmp_path / "results").iterdir()
    assert json.loads((run / "manifest.json").read_text())["ended"] == "done"


@pytest.mark.slow
def test_the_bulk_job_by_hand(tmp_path: Path, server: Running) -> None:
    """Three pages of five enrolments: three lists, fifteen inactivations, each once, and it ends by itself."""
    done = by_hand(tmp_path, "bulk_enrollments", server, "--course", "7", "--rate", "40", allow_writes="true")
    assert done.returncode == 0, done.stderr
    records = lines_of(tmp_path)
    deletions = [record["path"] for record in records if record["method"] == "DELETE"]
    assert {record["call"] for record in records} == {
        "GET /api/v1/courses/7/enrollments?state[]=active&per_page=100",
        "DELETE /api/v1/courses/7/enrollments/:id?task=inactivate",
    }
    assert (len(records), len(deletions), len(set(deletions))) == (18, 15, 15)
    assert [record["method"] for record in sorted(records, key=lambda record: record["sent_s"])][:3] == ["GET"] * 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "more", "code", "says"),
    [
        ("mix", {}, 2, "A mix needs its calls: --calls-file FILE, one a line, a weight before each."),
        ("bulk_enrollments", {}, 2, "which instance 'sim' does not allow: set allow_writes = true in [instances.sim]."),
        ("steady", {"allow_load": "false"}, 2, "Instance 'sim' may not be loaded: set allow_load = true in [instances.sim]."),
        ("steady", {"max_rate": "5.0"}, 2, "10 requests/s is above max_rate = 5 of instance 'sim'."),
    ],
)
def test_by_hand_refused(tmp_path: Path, server: Running, name: str, more: dict[str, str], code: int, says: str) -> None:
    """What is not allowed is refused with one sentence and the exit code of usage, before anything is sent."""
    done = by_hand(tmp_path, name, server, **more)
    assert (done.returncode, done.stderr.strip().splitlines()[0][-len(says) :]) == (code, says)
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_the_web_page(tmp_path: Path, server: Running) -> None:
    """The page is bound to loopback and has a tab of its own with quota and refusals."""
    import urllib.request

    (tmp_path / "probes.toml").write_text(f'[instances.sim]\nurl = "{server.url}"\nallow_load = true\n')
    line = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        str(FILES / "steady.py"),
        "--autostart",
        "--web-port",
        "0",
        "--rate",
        "40",
        "--for",
        "30s",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment) as process:
        try:
            port = _listening(process.pid)
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read().decode()
            assert '"extended_tabs": [{"key": "quota", "title": "Quota and refusals"}]' in page
            rows = _rows(port)
            deadline = time.monotonic() + 10.0
            while rows["Requests"] in {"-", "0"} and time.monotonic() < deadline:
                time.sleep(0.3)
                rows = _rows(port)
            assert (rows["Remaining budget, last answer"], rows["Refused"]) == ("600", "0")
            assert int(rows["Requests"]) > 0
        finally:
            process.kill()


def _listening(pid: int) -> int:
    import psutil

    deadline = time.monotonic() + 15.0
    while time.monotonic() < deadline:
        found = [one.laddr for one in psutil.Process(pid).net_connections("tcp") if one.status == psutil.CONN_LISTEN]
        if found:
            assert [address.ip for address in found] == ["127.0.0.1"]
            return int(found[0].port)
        time.sleep(0.2)
    raise AssertionError("the web page did not come up")


def _rows(port: int) -> dict[str, str]:
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats/requests", timeout=10) as reply:
        (tab,) = json.load(reply)["extended_stats"]
    return {row["name"]: row["value"] for row in tab["data"]}
