"""`probes diagnose` as a user gives it: over sockets where only sockets can go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Self

import jsonschema
import pytest
import trustme
from asked import place
from commanded import Ended, command, configured
from pytest_httpserver import HTTPServer

from probes import diagnosis
from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance
from probes.diagnosis.base import Surroundings
from probes.jobs.diagnose import Kept, conclude, measure, where
from probes.observation import Outcome
from probes.runs import Run
from probes.simulator.app import create_app
from probes.simulator.network import in_process
from probes.simulator.profiles import profile

SCHEMA = json.loads((Path(diagnosis.__file__).parents[1] / "schemas" / "diagnosis-1.json").read_text(encoding="utf-8"))
CALL = "GET /api/v1/things"


class Server:
    """A small Canvas-like server that lacks most routes; `wait_s` is how long it works, `told` its headers.

    `stalls_s`: so long its bodies stand still after the first byte; `most`: after so many calls it takes them and answers none;
    `status` of what it has.
    """

    def __init__(
        self,
        wait_s: float = 0.005,
        told: dict[str, str] | None = None,
        context: ssl.SSLContext | None = None,
        stalls_s: float = 0.0,
        most: int = 1_000,
        status: int = 200,
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            seen: ClassVar[list[str]] = []

            def do_GET(self) -> None:
                self.seen.append(self.path)
                if self.seen.count("/api/v1/things") > most:
                    time.sleep(1.5)
                    self.close_connection = True
                    return
                time.sleep(wait_s if "things" in self.path or wait_s < 0.1 else 0.005)
                found = "things" in self.path or self.path.endswith("/self")
                body = b'{"id": 1}' if found else b'{"errors": []}'
                self.send_response((status if "things" in self.path else 200) if found else 404)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(told or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body[:1])
                time.sleep(stalls_s if "things" in self.path else 0.0)
                with contextlib.suppress(OSError):  # who waits no longer has gone
                    self.wfile.write(body[1:])

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.seen = Handler.seen
        if context is not None:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.http.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What else this machine does is told as a cause, rightly; only where that is the question may it be told here."""
    if request.function is not test_busy_loop:
        monkeypatch.setattr("probes.diagnosis.times.LAG_S", 60.0)
        monkeypatch.setattr("probes.diagnosis.times.LAG_SHARE", 1.0)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


def causes(ended: Ended, instance: str = "test") -> list[str]:
    assert ended.code == 0, ended.err
    jsonschema.validate(ended.document, SCHEMA)
    return [cause["kind"] for entry in ended.document["instances"] if entry["instance"] == instance for cause in entry["causes"]]


def kinds(run: Run, instance: Instance, around: dict[str, Surroundings]) -> list[str]:
    """The causes that a run shows of a job of 100 calls."""
    ((entry,), _) = conclude(run, [instance], [], around, 1, 100, None)
    return [cause["kind"] for cause in entry["causes"]]


def test_nothing_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, drawing: None) -> None:
    """A server that lacks most routes and tells nothing of itself is not blamed; no more is sent than was said before."""
    configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t"})
    ended = command(tmp_path, "diagnose", "-i", "test", "--json")
    assert causes(ended) == []
    assert ended.err.startswith("At most 77 requests to each of test, one at a time first, then up to 8 together.")
    assert len(server.seen) == len(ended.lines()) <= 69
    assert ended.run.manifest["diagnosis"] == ended.document["instances"]
    assert (ended.run.folder / "report.html").is_file()
    assert (ended.run.folder / "charts" / "latency.png").is_file()


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port on which nobody listens is told as such; the command ends at once and well."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        configured(tmp_path, monkeypatch, test={"url": f"http://127.0.0.1:{taken.getsockname()[1]}", "token": "t"})
        ended = command(tmp_path, "diagnose", "--json", "--quiet")
    assert causes(ended) == ["network"]
    assert ended.document["instances"][0]["causes"][0]["says"].startswith("Nothing listens at test: ")
    assert ended.err == ""


def test_without_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    """Where no token is configured, and the server wants one, it is said that none was sent; its own words are quoted."""
    body = {"status": "unauthenticated", "errors": [{"message": "user authorization required"}]}
    httpserver.expect_request(re.compile("/.*")).respond_with_json(body, status=401)
    configured(tmp_path, monkeypatch, test={"url": httpserver.url_for("").rstrip("/"), "max_in_flight": 1})
    found = command(tmp_path, "diagnose", "--json", "--quiet").document["instances"][0]["causes"][0]
    assert found["says"].startswith("No token was sent to test: it answered 401 to ")
    assert "for: the answer says: user authorization required" in found["evidence"]


def test_name_that_does_not_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without an address is named as dns, with the host."""
    configured(tmp_path, monkeypatch, test={"url": "https://nowhere.invalid", "token": "t"})
    ended = command(tmp_path, "diagnose", "--json")
    assert causes(ended) == ["dns"]
    assert "nowhere.invalid" in ended.document["instances"][0]["causes"][0]["evidence"][0]


def test_slow_names(tmp_path: Path) -> None:
    """A resolver that takes its time is named as dns, though everything is answered."""
    instance, app = place("test"), create_app(profile("production"))
    run = Run.create(tmp_path, ["diagnose"], [instance])

    async def slow(_host: str, _port: int) -> None:
        await asyncio.sleep(0.6)

    def make(one: Instance, folder: Run) -> Client:
        return Client(one, record=folder.append, transport=in_process(app, 0.02), origin_s=0.0)

    around, _ = run_virtually(measure(run, [instance], [], None, make, resolve=slow))
    assert kinds(run, instance, around) == ["dns"]
    assert {o.outcome for o in run.observations()} == {Outcome.OK}


def test_certificate_of_a_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that this machine does not trust is named as tls."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with Server(context=context) as one:
        configured(tmp_path, monkeypatch, test={"url": one.url, "token": "t"})
        assert causes(command(tmp_path, "diagnose", "--json")) == ["tls"]


def test_proxy_that_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that fail by way of a proxy are our own side, and the proxy is named."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{taken.getsockname()[1]}")
        configured(tmp_path, monkeypatch, test={"url": "https://school.example", "token": "t"})
        ended = command(tmp_path, "diagnose", "--json")
    assert causes(ended) == ["client"]
    assert "by way of the proxy http://127.0.0.1:" in ended.document["instances"][0]["causes"][0]["evidence"][0]


def test_busy_loop(tmp_path: Path) -> None:
    """A machine that does other work in our loop is named as our own side."""

    async def busy() -> None:
        while True:
            time.sleep(0.06)  # noqa: ASYNC251 # what is planted
            await asyncio.sleep(0.02)

    async def beside(asking: Awaitable[Kept]) -> Kept:
        working = asyncio.create_task(busy())
        try:
            return await asking
        finally:
            working.cancel()

    with Server(wait_s=0.03) as one:
        instance = place("test", url=one.url)
        run = Run.create(tmp_path, ["diagnose"], [instance])
        around, _ = asyncio.run(beside(measure(run, [instance], [], None)))
    assert kinds(run, instance, around) == ["client"]


@pytest.mark.slow
def test_timeout_and_slow_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that works 1.05 s against a timeout of 0.5 s: both are named, with the timeout to set."""
    with Server(wait_s=1.05) as one:
        configured(tmp_path, monkeypatch, test={"url": one.url, "token": "t", "max_in_flight": 1})
        ended = command(tmp_path, "diagnose", "--call", CALL, "--timeout", "0.5", "--json")
    assert set(causes(ended)) == {"timeout_too_short", "slow_call"}
    advice = {cause["kind"]: cause["advice"] for cause in ended.document["instances"][0]["causes"]}
    assert advice["timeout_too_short"] == "Set the timeout to 10 s: three times the slowest seen, and 10 s at least."


def test_every_call_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    """Where all calls end with 500 there is no cause of the list, and neither the text nor the finding says that nothing is wrong."""
    httpserver.expect_request(re.compile("/api/.*")).respond_with_json({"errors": []}, status=500, headers={"X-Request-Context-Id": "r"})
    httpserver.expect_request("/health_check.json").respond_with_json({"status": 200})
    configured(tmp_path, monkeypatch, test={"url": httpserver.url_for("").rstrip("/"), "token": "t", "max_in_flight": 1})
    ended = command(tmp_path, "diagnose")
    assert ended.out.splitlines()[0] == "test: no cause found, though 10 of 11 requests failed (server_error 10)."
    finding = next(finding for finding in ended.run.manifest["findings"] if finding["kind"] == "no_cause")
    assert finding["severity"] == "warning"
    assert finding["says"] == "No cause was found at test, though 10 of 11 requests failed (server_error 10)."
    quote = "The application itself failed on 10 of 11 requests (status 500); quote the request ids to support: r."
    assert f"    {quote}" in ended.out.splitlines()
    (entry,) = ended.run.manifest["diagnosis"]
    assert entry.pop("span_s") < 30.0
    assert entry == {"instance": "test", "causes": [], "n": 11, "failed": {"server_error": 10}, "remarks": [quote]}


@pytest.mark.parametrize(
    ("body", "kind", "title", "sign"),
    [
        ("", "application/json", None, "nothing came where JSON should have"),
        ('{"id": 1, "na', "application/json", None, "what is called JSON and is none came where JSON should have"),
        ("hello", "text/plain", None, "no JSON came where JSON should have"),
        ("<html><title>Log in &amp; go</title></html>", "text/html", "Log in & go", "the page calls itself 'Log in & go'"),
    ],
)
def test_answers_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer, body: str, kind: str, title: str | None, sign: str
) -> None:
    """An answer with status 200 that holds no data is seen as such, and so is what a web page calls itself."""
    httpserver.expect_request("/api/v1/users/self").respond_with_data(body, content_type=kind)
    configured(tmp_path, monkeypatch, test={"url": httpserver.url_for("").rstrip("/"), "token": "t", "max_requests": 6})
    ended = command(tmp_path, "diagnose", "--json", "--quiet")
    (cause,) = ended.document["instances"][0]["causes"]
    assert cause["kind"] == ("edge" if title is None else "wrong_url")
    assert any(line.endswith(sign) for line in cause["evidence"])
    assert [o.facts.get("title") for o in ended.lines()[1:]] == [title] * 5


def test_a_body_that_stalls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that stalls is asked for twice with more patience, then given up: the network's, with no timeout to set."""
    monkeypatch.setattr("probes.scenarios.suspects.PATIENT_S", 0.4)
    with Server(stalls_s=1.5) as one:
        configured(tmp_path, monkeypatch, test={"url": one.url, "token": "t"})
        ended = command(tmp_path, "diagnose", "--call", CALL, "--timeout", "0.1", "--json")
    assert causes(ended) == ["slow_call"]
    assert [o.facts["phase"] for o in ended.lines() if o.call == CALL] == ["alone", "alone", "patient", "patient"]


def test_it_stops_answering_beside_a_neighbour_that_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """An instance that stops after eight calls: after how many is told, and that another one answered from here meanwhile."""
    monkeypatch.setattr("probes.scenarios.suspects.PATIENT_S", 0.4)
    with Server(most=8) as one:
        configured(tmp_path, monkeypatch, test={"url": one.url, "token": "t"}, other={"url": server.url, "token": "t"})
        ended = command(tmp_path, "diagnose", "--call", CALL, "--timeout", "0.3")
    assert ended.out.startswith("test: network (50 %): test took ")
    assert " and never answered them. It began after 12 answered calls.\n" in ended.out
    assert "\n    against: other answered at the same time from this machine\n" in ended.out
    where_line = "Not every instance is alike: test: network (the way between: distance, loss, resets); other is well."
    assert f"\n{where_line}\n" in ended.out


def test_failures_without_a_cause_are_advised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that fail inside the application have no cause of the list; what to do with them is said all the same."""
    with Server(status=500) as one:
        configured(tmp_path, monkeypatch, test={"url": one.url, "token": "t"})
        ended = command(tmp_path, "diagnose", "--call", CALL)
    advice = "Times, errors and request ids stand in observations.jsonl: give them to whoever runs the instance."
    assert re.match(r"test: no cause found, though \d+ of \d+ requests failed \(server_error \d+\)\.$", ended.out.splitlines()[0])
    assert ended.out.splitlines()[1] == f"    {advice}"


def test_more_workers_than_were_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Thirty workers at a server without budget headers: that nothing is wrong with them is not known, and is not said."""
    configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t"})
    ended = command(tmp_path, "diagnose", "--workers", "30")
    untold = "Whether 30 at once are refused is not known: no header tells the budget, and at most 4 were tried together."
    assert ended.out.splitlines()[:2] == ["test: no cause found by 33 observations.", f"    {untold}"]
    assert ended.run.manifest["findings"][0]["says"] == f"No cause was found at test by 33 observations. {untold}"


def test_told_to_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """As text: each cause with its evidence and advice, and whether every instance has it."""
    configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t"}, other={"url": server.url, "token": "t"})
    ended = command(tmp_path, "diagnose", "--call", "GET /api/v2/courses")
    assert ended.out.startswith("test: wrong_url (85 %): The address is wrong: test has nothing for it at ")
    assert "\n    for: 'GET /api/v2/courses' 32 times, status 404\n" in ended.out
    assert "\nEvery instance shows wrong_url.\n" in ended.out
    assert ended.out.rstrip().endswith("report.html")


def test_fail_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """A cause that reaches --fail-on gives exit 3."""
    configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t"})
    assert command(tmp_path, "diagnose", "--call", "GET /gone", "--fail-on", "error", "--json").code == 3


def test_ceiling_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """max_requests stops the experiment with exit 4; what was seen is told and kept."""
    configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t", "max_requests": 14})
    ended = command(tmp_path, "diagnose", "--json")
    assert ended.code == 4
    assert ended.document["instances"][0]["causes"] == []
    assert len(ended.lines()) == 14
    assert ended.run.manifest["ended"].startswith("guard: ")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["-i", "nobody"], 2, "There is no instance 'nobody'"),
        (
            ["--call", "DELETE /x"],
            2,
            "probes: 'DELETE /x' writes: a diagnosis repeats calls that read; give one that reads and is as dear.",
        ),
        (["--call", "nonsense"], 2, "probes: 'nonsense' is not a call: write it as 'GET /api/v1/users/self'."),
    ],
)
def test_bad_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, message: str) -> None:
    """Bad words give one sentence, exit 2, and nothing is sent."""
    configured(tmp_path, monkeypatch, test={"url": "http://127.0.0.1:9", "token": "t"})
    ended = command(tmp_path, "diagnose", *words)
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not ended.results.exists()


def entry(name: str, *kinds: str) -> dict[str, Any]:
    return {"instance": name, "causes": [{"kind": kind} for kind in kinds], "n": 1}


@pytest.mark.parametrize(
    ("entries", "lines"),
    [
        ([entry("a", "dns")], []),
        ([entry("a"), entry("b")], []),
        ([entry("a", "dns", "throttle"), entry("b", "dns")], ["Every instance shows dns: look on this side first."]),
        ([entry("a", "throttle"), entry("b", "throttle")], ["Every instance shows throttle."]),
        (
            [entry("a", "capacity"), {**entry("b"), "failed": {"server_error": 3}}],
            ["Not every instance is alike: a: capacity (too few backend slots: requests queue); b: calls failed, no cause found."],
        ),
        (
            [entry("a", "capacity"), entry("b")],
            ["Not every instance is alike: a: capacity (too few backend slots: requests queue); b is well."],
        ),
    ],
)
def test_where(entries: list[dict[str, Any]], lines: list[str]) -> None:
    """My end, this instance or every instance: one sentence when several were asked and something is wrong."""
    assert where(entries) == lines
