"""`probes run` as a user gives it, and its parts in virtual time."""

from __future__ import annotations

import itertools
import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from asked import made, place
from commanded import command, configured
from test_diagnose import Server

from probes import findings
from probes.calls import Call
from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance, Kind
from probes.errors import GuardStop
from probes.findings import Finding, Severity
from probes.jobs import run as job
from probes.observation import Observation
from probes.runs import Run
from probes.scenarios import Options, chosen
from probes.simulator.app import create_app
from probes.simulator.network import DelayedTransport
from probes.simulator.profiles import profile
from probes.simulator.settings import Fault, SimulatorSettings


def measured(
    tmp_path: Path,
    words: list[str],
    worlds: dict[str, SimulatorSettings],
    options: Options | None = None,
    urls: dict[str, str] | None = None,
    **more: Any,
) -> tuple[list[Observation], list[GuardStop], list[str]]:
    """What `run` measures of simulators in virtual time; by default each at an origin of its own."""
    urls = urls or {name: f"http://127.0.0.1:{8000 + n}" for n, name in enumerate(worlds)}
    instances = [place(name, url=urls[name], kind=Kind.SIMULATED, **more) for name in worlds]
    folder = Run.create(tmp_path / "results", ["run", *words], instances)
    said: list[str] = []

    def make(one: Instance, run: Run) -> Client:
        way = DelayedTransport(httpx.ASGITransport(create_app(worlds[one.name])), 0.02, 0.0)
        return Client(one, record=run.append, transport=way, origin_s=0.0)

    stops = run_virtually(job.measure(folder, chosen(words), instances, options or Options(repeat=8), said.append, make))
    return list(folder.observations()), stops, said


@pytest.mark.untraced
@pytest.mark.slow
def test_all_within_the_stated_budget(tmp_path: Path) -> None:
    """`all` on three instances: every read-only scenario, within its budget, interleaved, read-only, no refusal."""
    lines, stops, said = measured(tmp_path, ["all"], {name: profile(name) for name in ("test", "beta", "sandbox")})
    assert stops == []
    assert [line.partition(":")[0] for line in said] == [one.name for one in chosen(["all"])]
    for one in chosen(["all"]):
        for name in ("test", "beta", "sandbox"):
            assert 1 <= sum(o.scenario == one.name and o.instance == name for o in lines) <= one.budget(Options(repeat=8))
    assert {o.method for o in lines} == {"GET"}
    assert "throttled" not in {o.outcome for o in lines}
    latency = [o.instance for o in lines if o.scenario == "latency"]
    assert len(set(latency[:6])) == 3, "instances are asked in the same minutes, not one after another"


def test_same_origin_takes_turns(tmp_path: Path) -> None:
    """Two instances of one origin may share a bucket: their calls alternate and never overlap."""
    urls = {"a": "http://127.0.0.1:8000", "b": "http://127.0.0.1:8000"}
    lines, _, _ = measured(tmp_path, ["latency"], {"a": profile("sandbox"), "b": profile("sandbox")}, urls=urls)
    assert [o.instance for o in lines] == ["a", "b"] * (len(lines) // 2)
    assert all(later.sent_s >= earlier.received_s for earlier, later in itertools.pairwise(lines) if later.sent_s and earlier.received_s)


def test_lost_instance_is_left(tmp_path: Path) -> None:
    """An instance that answers nothing is not asked by later scenarios; the others go on."""
    dead = profile("test").changed(faults=(Fault("reset"),))
    lines, _, said = measured(tmp_path, ["reach", "latency"], {"dead": dead, "fine": profile("sandbox")})
    assert [o.scenario for o in lines if o.instance == "dead"] == ["reach", "reach"]
    assert sum(o.instance == "fine" for o in lines) == 2 + 11
    assert said[1] == "dead: none of 2 requests was answered (protocol_error); what is left of its scenarios is left out."


def test_guard_stops_one_instance(tmp_path: Path) -> None:
    """max_requests ends an instance's scenarios with what it has, and the stop is told."""
    lines, stops, _ = measured(tmp_path, ["reach", "latency"], {"a": profile("sandbox")}, max_requests=5)
    assert len(lines) == 5
    assert len(stops) >= 1


def test_stated_budget() -> None:
    """The sentence before the first request counts each scenario, and says what a ceiling will cut."""
    instances = [place("a"), place("b", max_requests=20)]
    assert job.stated_budget(chosen(["reach", "latency"]), instances, Options()) == (
        "At most 47 requests to each of a, b (reach 2, latency 45).\nb allows 20 requests a run: its later scenarios will be cut short."
    )


def test_told_line() -> None:
    """A finding on a terminal: severity, instance, sentence, advice below."""
    assert job.told_line(Finding("slow", Severity.WARNING, "a", "Slow.", (), "Wait.")) == "warning  a: Slow.\n    Wait."
    assert job.told_line(Finding("slow", Severity.INFO, "a", "Slow.")) == "info     a: Slow."


def test_run_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawing: None) -> None:
    """Data on stdout: the report document; talk on stderr: the budget first. Every request sent has its line, the report pictures."""
    with Server(told={"X-Rate-Limit-Remaining": "600.0", "X-Request-Cost": "0.1", "X-Runtime": "0.005"}) as server:
        configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t"})
        ended = command(tmp_path, "run", "reach", "latency", "throttling", "pagination", "-i", "test", "--repeat", "10", "--json")
    assert ended.code == 0, ended.err
    assert ended.document["schema"] == "probes.report/1"
    assert ended.err.startswith("At most 127 requests to each of test (reach 2, latency 13, throttling 90, pagination 22).")
    assert len(ended.lines()) == len(server.seen)
    assert {o.scenario for o in ended.lines()} == {"reach", "latency", "throttling", "pagination"}
    assert [path.name for path in sorted(ended.run.folder.glob("report.*"))] == ["report.html", "report.json", "report.md"]
    assert {"latency.png", "tank.png"} <= {path.name for path in (ended.run.folder / "charts").iterdir()}
    assert (ended.run.folder / "report.html").read_text(encoding="utf-8").count("<svg role=") >= 2
    assert ended.run.manifest["ended"] == "done"
    assert ended.run.manifest["command"] == ["run", "reach", "latency", "throttling", "pagination", "-i", "test", "--repeat", "10"]
    assert {"rates", "findings"} <= set(ended.run.manifest)


def test_the_command_is_kept_whole() -> None:
    """The manifest's command can be given again: instances, options that are not the usual ones; a secret in a call is left out."""
    instances = [Instance(name, "http://127.0.0.1:1", Kind.SIMULATED) for name in ("a", "b")]
    call = Call("GET", "/api/v1/courses?access_token=1234")
    options = Options(repeat=9, course="7", calls=(call,), allow_writes=True, extra={"type": "TaEnrollment", "progress": ("5", "6")})
    assert " ".join(job.words_of(["latency", "queue"], instances, options)) == (
        "run latency queue -i a -i b --repeat 9 --course 7 --type TaEnrollment --progress 5 --progress 6 "
        "--call GET /api/v1/courses?access_token=[redacted] --write-probe"
    )
    assert job.words_of(["reach"], [], Options()) == ["run", "reach"]


def test_run_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As text: findings with their severity, then where the report is; --quiet says nothing on stderr."""
    with Server() as server:
        configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t"})
        ended = command(tmp_path, "run", "reach", "--quiet")
    assert ended.code == 0
    assert ended.err == ""
    assert "info     test: test answers in " in ended.out
    assert ended.out.rstrip().endswith("report.html")


def test_a_report_without_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With CANVAS_PROBES_CHARTS=no a command draws nothing, neither as files nor on the page, which tells the numbers all the same."""
    monkeypatch.setenv("CANVAS_PROBES_CHARTS", "no")
    with Server() as server:
        configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t"})
        folder = command(tmp_path, "run", "latency", "--repeat", "8", "--quiet").run.folder
    page, text = ((folder / name).read_text(encoding="utf-8") for name in ("report.html", "report.md"))
    assert ("<svg role=" in page, "charts/" in text, (folder / "charts").exists()) == (False, False, False)
    assert 'id="table-latency"' in page
    assert "GET /api/v1/users/self" in text


class Refusing(Server):
    """Every call with a token is refused for its credentials."""

    def __init__(self) -> None:
        super().__init__()
        handler: Any = self.http.RequestHandlerClass

        def refuse(self: Any) -> None:
            body = json.dumps({"errors": [{"message": "Invalid access token."}]}).encode()
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Bearer realm="canvas-lms"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        handler.do_GET = refuse


def test_refused_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When every call is refused, latency ends with 5 and says so; reach has that to tell and ends with 0."""
    with Refusing() as server:
        configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t"})
        latency = command(tmp_path, "run", "latency", "--quiet")
        told = command(tmp_path, "run", "reach", "latency", "--quiet")
    assert latency.code == 5
    assert latency.err == "probes: Every call to test was refused for its credentials (401): check the token; probes diagnose says more.\n"
    assert told.code == 0
    assert "error    test: test refused the token" in told.out


@pytest.mark.parametrize(
    "words",
    [
        ("run", "latency", "-i", "a"),
        ("compare", "-i", "a", "-i", "b", "--repeat", "8"),
        ("rate", "-i", "a"),
        ("fetch", "/api/v1/courses", "-i", "a"),
        ("roster", "-i", "a", "--course", "1"),
    ],
    ids=lambda words: words[0],
)
def test_a_run_of_refused_credentials_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    """Whichever command ends with 5: its manifest says that it failed, in the sentence that a person is told."""
    with Refusing() as server:
        url = server.url.replace("127.0.0.1", "localhost")
        configured(tmp_path, monkeypatch, a={"url": server.url, "token": "t"}, b={"url": url, "token": "t"})
        ended = command(tmp_path, *words, "--quiet")
    assert ended.code == 5
    assert ended.run.manifest["ended"] == f"failed: {ended.err.removeprefix('probes: ').rstrip()}"


def test_ceiling_gives_exit_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard ends the command with 4 after it told what it has; the manifest says which."""
    with Server() as server:
        configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t", "max_requests": 6})
        ended = command(tmp_path, "run", "reach", "latency", "--json")
    assert ended.code == 4
    assert ended.document["schema"] == "probes.report/1"
    assert ended.run.manifest["ended"].startswith("guard: ")


def test_fail_on_gives_exit_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finding at or above --fail-on gives 3; one below does not."""
    with Server() as server:
        configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t"})
        assert command(tmp_path, "run", "reach", "--quiet", "--fail-on", "info").code == 3
        assert command(tmp_path, "run", "reach", "--quiet", "--fail-on", "error").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "There is no scenario 'nonsense': known are all, reach, latency"),
        (["reach", "-i", "nobody"], "There is no instance 'nobody'"),
        (["latency", "--call", "what"], "'what' is not a call"),
    ],
)
def test_bad_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str) -> None:
    """Bad words end with 2 and one sentence before anything is sent or written."""
    configured(tmp_path, monkeypatch, test={"url": "http://127.0.0.1:9", "token": "t"})
    ended = command(tmp_path, "run", *words)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not ended.results.exists()


def test_missing_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is not where the configuration says ends with 2 and names the variable."""
    configured(tmp_path, monkeypatch, test={"url": "http://127.0.0.1:9", "token": "t"})
    monkeypatch.delenv("TOKEN_TEST")
    ended = command(tmp_path, "run", "reach", "--quiet")
    assert ended.code == 2
    assert ended.err == "probes: Instance 'test' takes its token from TOKEN_TEST, which is not set: export it first.\n"


def test_reach_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over https reach tells how many days the certificate has left, and warns when they are few."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    soon = datetime.now(UTC) + timedelta(days=10.5)
    authority.issue_cert("127.0.0.1", not_after=soon.replace(tzinfo=None)).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with Server(context=context) as server:
        configured(tmp_path, monkeypatch, test={"url": server.url, "token": "t"})
        ended = command(tmp_path, "run", "reach", "--quiet")
    me = ended.lines()[1]
    assert me.ok, me.error
    assert 10.4 < me.facts["certificate_days"] < 10.6
    assert "warning  test: The certificate of test ends in 10 days." in ended.out


def told(found: list[Finding], tmp_path: Path) -> list[str]:
    return job._text(Run.create(tmp_path, ["run"], []), found).splitlines()[:-2]


def test_few_findings_are_told_whole(tmp_path: Path) -> None:
    """What a scenario alone has to tell stands on the terminal with its evidence, remarks too: it was asked for."""
    words = Finding("words_known", Severity.INFO, "a", "2 values, all documented.", ("active: 9", "invited: 1"))
    assert told([words], tmp_path) == ["info     a: 2 values, all documented.", "    - active: 9", "    - invited: 1"]


def test_of_many_findings_the_answers_are_told(tmp_path: Path) -> None:
    """Of many findings the warnings and the answers asked for are told; how many are left is said."""
    remark = Finding("words_known", Severity.INFO, "a", "All documented.", ("active: 9",))
    answer = Finding("queue_empty", Severity.INFO, "a", "Nothing waits.")
    slow = Finding("slow", Severity.WARNING, "a", "Slow.", ("x",))
    assert told([remark] * 8 + [answer, slow], tmp_path) == [
        "info     a: Nothing waits.",
        "warning  a: Slow.",
        "8 more remarks stand in the report.",
    ]
    assert told([remark] + [answer] * 8, tmp_path)[-1] == "1 more remark stands in the report."


def test_a_safe_rate_says_where_it_was_never_tried() -> None:
    """A rate far above what was answered within any second stands with that beside it, and with the command that tries it."""
    seen = [made(at_s=at * 0.11, flight_s=0.3) for at in range(30)]
    number = {"value": 19.4, "low": 18.7, "high": 22.1, "n": 90}
    safe = {"rate_per_s": number, "in_flight": 11, "burst": 11, "bound_by": "reservations", "job_calls": 1000, "odds": 0.05}
    rate = {"instance": "test", "call": "GET /api/v1/users/self", "regime": "headers", "safe": safe, "signs": []}
    (told,) = job.told_where_untried([rate], seen)
    assert told["signs"] == [
        {
            "kind": "untried",
            "says": "No more than 10 calls/s were tried: probes rate -i test shows whether the server keeps its pace at 18.7.",
        }
    ]
    found = findings.judge(seen, rates=[told])
    assert next(one.says for one in found if one.kind == "safe_rate").endswith(told["signs"][0]["says"])
