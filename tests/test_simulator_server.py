from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from worlds import Law, World

from probes.calls import Call
from probes.design import Design
from probes.errors import ProbesError, RunFolderError
from probes.jobs.simulate import bucket_of, chosen, do
from probes.runs import Run
from probes.simulator.profiles import profile
from probes.simulator.server import Served, serve
from probes.simulator.settings import Fault, Service, SimulatorSettings

pytestmark = pytest.mark.slow
SELF = "/api/v1/users/self"
QUICK = SimulatorSettings(services={"*": Service(0.002, 0.0)})


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served(QUICK) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, headers={"authorization": f"Bearer {served.token}"}, timeout=3.0) as found:
        found.post("/_simulator/reset")
        yield found
        found.post("/_simulator/faults", json=[])


def test_ready_when_the_block_begins(served: Served, client: httpx.Client) -> None:
    """It answers at once at its URL with its token, and its child lives."""
    assert client.get(SELF).json()["id"] == 1
    assert psutil.pid_exists(served.pid)
    assert client.get("/_simulator/state").json()["requests"] == 1


def test_starts_quickly_and_leaves_nothing() -> None:
    """It starts in under 1.5 s of its own work, and its child is gone after the block."""
    with Served(QUICK) as running:
        pid = running.pid
        spent = psutil.Process(pid).cpu_times()
        assert spent.user + spent.system < 1.5
    assert not psutil.pid_exists(pid)
    running.stop()


def test_answers_go_out_at_once(client: httpx.Client) -> None:
    """A kept-alive answer takes no 40 ms for an acknowledgement: TCP_NODELAY is on."""
    times = []
    for _ in range(20):
        start = time.perf_counter()
        client.get(SELF)
        times.append(time.perf_counter() - start)
    assert sorted(times)[5] < 0.03


def test_dates_are_todays(client: httpx.Client) -> None:
    """Over TCP the school lives today."""
    newest = client.get("/api/v1/accounts/1/sis_imports").json()["sis_imports"][0]["created_at"]
    assert abs(time.mktime(time.strptime(newest, "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.gmtime())) < 300.0


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset", httpx.ReadError),
        ("reset_body", httpx.ReadError),
        ("close", httpx.RemoteProtocolError),
        ("truncated_body", httpx.RemoteProtocolError),
        ("wrong_content_length", httpx.RemoteProtocolError),
        ("garbage", httpx.RemoteProtocolError),
        ("hang", httpx.ReadTimeout),
    ],
)
def test_broken_connections(client: httpx.Client, kind: str, error: type[Exception]) -> None:
    """Each broken connection over TCP is the error that it should be, and the next request is served."""
    client.post("/_simulator/faults", json=[{"kind": kind, "until": 1}])
    with pytest.raises(error):
        client.get("/api/v1/courses?per_page=100", timeout=0.5)
    assert client.get(SELF).status_code == 200


def test_too_short_a_length_leaves_the_rest(served: Served, client: httpx.Client) -> None:
    """A Content-Length that is too small cuts the body."""
    whole = len(client.get(SELF).content)
    client.post("/_simulator/faults", json=[{"kind": "wrong_content_length", "number": -7, "until": 1}])
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=3)
    connection.request("GET", SELF, headers={"Authorization": f"Bearer {served.token}", "User-Agent": "t"})
    body = connection.getresponse().read()
    connection.close()
    assert len(body) == whole - 7


def test_slow_body_drips(client: httpx.Client) -> None:
    """A slow body comes in pieces over its time."""
    client.post("/_simulator/faults", json=[{"kind": "slow_body", "seconds": 0.3}])
    start, pieces = time.perf_counter(), 0
    with client.stream("GET", SELF) as told:
        for _ in told.iter_raw():
            pieces += 1
    assert pieces >= 5
    assert time.perf_counter() - start > 0.25


def test_huge_body_streams(served: Served, client: httpx.Client) -> None:
    """A huge body is streamed: the server's memory stays flat, also when the client goes away in its middle."""
    client.post("/_simulator/faults", json=[{"kind": "huge_body", "number": 200_000_000, "until": 1}])
    before = psutil.Process(served.pid).memory_info().rss
    seen = 0
    with client.stream("GET", SELF) as told:
        for piece in told.iter_raw():
            seen += len(piece)
            if seen > 20_000_000:
                break
    assert psutil.Process(served.pid).memory_info().rss - before < 50_000_000
    assert client.get(SELF).status_code == 200


def test_child_dies_with_its_parent() -> None:
    """A child whose parent was killed ends by itself, also while other processes hold its pipes."""
    code = (
        "import os, subprocess, sys, time\n"
        "from probes.simulator.server import Served\n"
        "served = Served()\n"
        "served.start()\n"
        "print(served.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10.0
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_port_in_use() -> None:
    """A port in use is one sentence, from Served and from the command."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = f"Port {port} on 127.0.0.1 cannot be used: Address already in use; choose another with --port, or 0 for any."
        with pytest.raises(ProbesError) as raised, Served(QUICK, port=port):
            pass
        assert str(raised.value) == words
        done = _command("--port", str(port))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"probes: {words}\n")


def test_wrong_settings_do_not_start() -> None:
    """Settings that make no sense end in a sentence, and leave no child."""
    with pytest.raises(ProbesError, match="There is no fault 'nonsense'"), Served(QUICK.changed(faults=(Fault("nonsense"),))):
        pass


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "probes", "simulate", *words], capture_output=True, text=True, timeout=30, check=False)


def test_command_serves_until_stopped(tmp_path: Path) -> None:
    """The command prints URL, token and an example configuration, serves the chosen profile, and ends on Ctrl-C with 130."""
    command = [sys.executable, "-m", "probes", "simulate", "--profile", "beta", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("allow_writes"):
        lines.append(process.stdout.readline())
        assert lines[-1] or len(lines) < 30
    url = lines[0].split()[-1]
    assert lines[0].startswith("A simulated Canvas (beta) answers at http://127.0.0.1:")
    assert "[instances.simulated]\n" in lines
    assert f'url = "{url}"\n' in lines
    assert httpx.get(f"{url}/_simulator/state").json()["profile"] == "beta"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, "", "")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--profile", "sandbx"), 2, "probes: There is no profile 'sandbx': did you mean sandbox?\n"),
        (("--settings", "none.toml"), 2, "probes: none.toml cannot be read: No such file or directory.\n"),
        (("--like", "nowhere"), 1, "probes: nowhere is not a run folder: there is no such folder.\n"),
    ],
)
def test_command_refuses_nonsense(words: tuple[str, ...], code: int, message: str) -> None:
    """A wrong word gives one sentence and the contract's exit code."""
    done = _command(*words)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", message)


def rates(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return list(entries)


def test_like_a_run(tmp_path: Path) -> None:
    """--like takes the bucket of a run's rates, of the instance named or of the first that has one; without one it says what to do."""
    run = Run.create(tmp_path, ["rate"], [])
    with pytest.raises(RunFolderError, match="holds no estimated bucket: make one with 'probes rate', or choose a --profile"):
        bucket_of(run.folder)
    one = {"high_water_mark": {"value": 700.0}, "outflow_per_s": {"value": 12.0}, "up_front_cost": {"value": 40.0}}
    run.note(
        rates=rates({"instance": "beta", "bucket": None}, {"instance": "beta", "bucket": one}, {"instance": "test", "bucket": {"x": 1}})
    )
    found = chosen("test", run.folder, None)
    assert (found.name, found.bucket.high_water_mark, found.bucket.outflow_per_s, found.bucket.up_front_cost) == ("test", 700.0, 12.0, 40.0)
    assert bucket_of(run.folder, "test") == {"x": 1}
    with pytest.raises(RunFolderError, match="holds no estimated bucket of instance 'sandbox'"):
        bucket_of(run.folder, "sandbox")


def test_like_a_run_that_was_killed(tmp_path: Path) -> None:
    """A run that did not come to note its rates gives the bucket that its observations show."""
    world = World(law=Law(0.3, 0.8), seed=4)
    world.carry_out(Design((Call("GET", SELF),), 110))
    run = Run.create(tmp_path, ["rate"], [])
    for observation in world.seen:
        run.append(observation)
    bucket = chosen(None, run.folder, None).bucket
    assert bucket.high_water_mark == pytest.approx(600.0, rel=0.01)
    assert bucket.up_front_cost == pytest.approx(50.0, rel=0.01)


def test_settings_file_over_profile(tmp_path: Path) -> None:
    """A settings file changes the profile that the command names; neither gives production."""
    (tmp_path / "s.toml").write_text("slots = 2")
    assert chosen("beta", None, tmp_path / "s.toml") == profile("beta", slots=2)
    assert chosen(None, None, None) == profile("production")


def test_serves_in_this_process() -> None:
    """`serve` calls back with its port, answers, and stops when told; without talk it prints the URL alone."""
    stop, ready, ports = threading.Event(), threading.Event(), []

    def told(port: int) -> None:
        ports.append(port)
        ready.set()

    thread = threading.Thread(target=serve, args=(QUICK, 0, told, stop))
    thread.start()
    assert ready.wait(10.0)
    assert httpx.get(f"http://127.0.0.1:{ports[0]}/health_check.json").json()["status"] == "canvas ok"
    stop.set()
    thread.join(10.0)
    assert not thread.is_alive()


def test_quiet_prints_the_url(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet the URL is all that is said."""
    monkeypatch.setattr("probes.jobs.simulate.serve", lambda _settings, _port, ready: ready(4711))
    do("sandbox", 0, None, None, None, quiet=True)
    assert capsys.readouterr().out == "http://127.0.0.1:4711\n"
