from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
import trustme
from bench.server import Running, running
from commanded import command as here
from commanded import configured

from probes.calls import parse
from probes.config import Instance, Kind
from probes.errors import ProbesError
from probes.guards import GuardLimits
from probes.load import LoadOutcome, LoadPlan, LoadProgress, run_load
from probes.load.processes import locustfiles
from probes.runs import Run

pytestmark = pytest.mark.slow

SELF = parse("GET /api/v1/users/self")
TOKEN = "4512~" + "abcdefghij" * 3
SCHEMA = json.loads((Path(__file__).parent.parent / "probes" / "schemas" / "load-1.json").read_text())


def instance(server: Running, **more: Any) -> Instance:
    return Instance("sim", server.url, Kind.SIMULATED, allow_load=True, secret=TOKEN, **more)


def even(rate: float) -> dict[str, Any]:
    return {"kind": "even", "rate_per_s": rate}


class Loaded:
    """One load, what it came to, and what the server saw of it."""

    def __init__(self, folder: Path, plan: LoadPlan, server: Running, **how: Any) -> None:
        self.run = Run.create(folder, ["load"], [plan.instance])
        self.outcome: LoadOutcome = run_load(plan, self.run, **how)
        self.seen = server.report()
        self.records = [json.loads(line) for line in (self.run.folder / "observations.jsonl").read_text().splitlines()]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Requests by the outcome, by the records, by the server: they must agree."""
        return self.outcome.requests, len(self.records), len(self.seen["arrivals"])


def test_an_even_rate(tmp_path: Path) -> None:
    """A steady load: as many requests as asked, evenly, at the rate that progress tells; one record each, the token nowhere written."""
    origin, heard = time.monotonic(), list[LoadProgress]()
    with running(delay_s=0.01) as server:
        plan = LoadPlan(instance(server), (SELF,), even(50), 2.0)
        loaded = Loaded(tmp_path, plan, server, origin_s=origin, progress=heard.append)
    assert loaded.counts == (100, 100, 100)
    assert max(progress.offered_per_s or 0.0 for progress in heard) == pytest.approx(50.0, rel=0.2)
    assert (loaded.outcome.offered_per_s, loaded.outcome.achieved_per_s, loaded.outcome.stopped_by) == (50.0, 50.0, None)
    dues = sorted(record["due_s"] for record in loaded.records)
    assert dues == pytest.approx([dues[0] + n / 50 for n in range(100)], abs=1e-5)
    # the child reads the clock that the parent gave it: what the server saw lies right behind what was sent
    sent = sorted(record["sent_s"] for record in loaded.records)
    delays = [arrived - origin - at for arrived, at in zip(sorted(loaded.seen["arrivals"]), sent, strict=True)]
    assert 0.0 < statistics.median(delays) < 0.1
    assert loaded.seen["authorizations"] == [f"Authorization: Bearer {TOKEN}"]
    written = "".join(path.read_text() for path in loaded.run.folder.iterdir() if path.is_file())
    assert TOKEN not in written
    one = loaded.records[80]
    assert (one["call"], one["status"], one["outcome"], one["remaining"], one["cost"]) == ("GET /api/v1/users/self", 200, "ok", 600.0, 0.4)
    assert (one["server_time_s"], one["request_id"], one["size_bytes"], one["facts"]) == (0.01, "1f0c", 8, {})
    assert min(record["send_s"] + record["wait_s"] for record in loaded.records) == pytest.approx(0.01, abs=0.005)
    document = loaded.outcome.document("x")
    jsonschema.validate(document, SCHEMA)


def test_a_refusal_stops_and_nothing_is_lost(tmp_path: Path) -> None:
    """The first refusal beyond the limit ends the sending at once; what flew has its record; the outcome names the guard."""
    with running(delay_s=0.05, refuse=(20, 10**9)) as server:
        loaded = Loaded(tmp_path, LoadPlan(instance(server), (SELF,), even(40), 20.0, limits=GuardLimits(max_refusals=1)), server)
    outcome = loaded.outcome
    assert len(set(loaded.counts)) == 1
    assert (outcome.stopped_by, outcome.why) == ("refusals", "2 calls were refused; 1 allowed.")
    assert outcome.refused == outcome.outcomes["throttled"] >= 2
    assert loaded.seen["arrivals"][-1] - loaded.seen["arrivals"][21] < 1.0
    assert 18 <= outcome.outcomes["ok"] <= 20


def test_in_flight_is_obeyed_and_the_shortfall_told(tmp_path: Path) -> None:
    """Four in flight at 0.2 s carry 20/s: never a fifth, and the outcome says at which rate the limit was reached: what was achieved."""
    with running(delay_s=0.2) as server:
        plan = LoadPlan(instance(server, max_in_flight=4), (SELF,), even(40), 1.5, grace_s=0.5)
        loaded = Loaded(tmp_path, plan, server)
    outcome = loaded.outcome
    assert loaded.seen["peak"] == 4
    assert len(set(loaded.counts)) == 1
    assert outcome.offered_per_s == 40.0
    assert outcome.limit_per_s == round(outcome.achieved_per_s, 2)
    assert 0.0 < outcome.limit_per_s <= 21.5  # a busy machine carries less, never more
    assert outcome.requests + outcome.unsent == 60
    assert outcome.unsent > 10
    assert outcome.late_share > 0.9
    assert outcome.latency_s["p95"] is None  # it falls among those that were never sent


def test_requests_in_all_and_a_rate_at_its_ceiling(tmp_path: Path) -> None:
    """An instance's max_requests is sent exactly; at max_rate no second holds more than that many."""
    with running(delay_s=0.001) as server:
        plan = LoadPlan(instance(server, max_requests=45, max_rate=30.0), (SELF,), even(30), 10.0)
        loaded = Loaded(tmp_path, plan, server)
    assert loaded.counts == (45, 45, 45)
    assert (loaded.outcome.stopped_by, loaded.outcome.why) == ("requests", "45 requests were sent, which is the limit of the run.")
    sent = sorted(record["sent_s"] for record in loaded.records)
    assert all(later - earlier > 0.9 for earlier, later in zip(sent, sent[30:], strict=False))  # a busy machine delays what left in time


def test_users_without_pause(tmp_path: Path) -> None:
    """A closed loop: so many users, all starting at one instant, so many calls, each sent when the last has returned."""
    with running(delay_s=0.05) as server:
        plan = LoadPlan(instance(server), (SELF,), duration_s=20.0, users=5, requests=60)
        loaded = Loaded(tmp_path, plan, server)
    assert loaded.counts == (60, 60, 60)
    assert loaded.seen["peak"] == 5
    assert loaded.outcome.asked_per_s is None
    first = sorted(record["sent_s"] for record in loaded.records)[:5]
    assert first[-1] - first[0] < 0.04


@pytest.mark.parametrize(
    ("server", "outcomes"),
    [
        ({"drop_from": 25}, {"ok": 25, "protocol_error": 7}),
        ({"delay_s": 30.0}, {"read_timeout": 20}),
        ({"drip_s": 0.1}, {"read_timeout": 20}),
    ],
)
def test_failures_are_data(tmp_path: Path, server: dict[str, Any], outcomes: dict[str, int]) -> None:
    """A server that drops connections, hangs or drips: each request has one record, none is sent twice, the error guard ends it."""
    with running(**server) as served:
        plan = LoadPlan(instance(served, timeout_s=0.3), (SELF,), even(40), 1.5)
        loaded = Loaded(tmp_path, plan, served)
    assert len(set(loaded.counts)) == 1
    assert loaded.outcome.stopped_by == "errors"
    assert set(loaded.outcome.outcomes) == set(outcomes)
    assert all(loaded.outcome.outcomes[name] >= n for name, n in outcomes.items())


def test_interim_answers_are_no_answers(tmp_path: Path) -> None:
    """A 103 before each answer harms nothing: every request is answered well, on connections that are used again."""
    with running(hints=True, delay_s=0.05) as server:
        loaded = Loaded(tmp_path, LoadPlan(instance(server), (SELF,), even(60), 1.0), server)
    assert loaded.counts == (60, 60, 60)
    assert (loaded.outcome.stopped_by, loaded.outcome.outcomes) == (None, {"ok": 60})
    assert loaded.seen["connections"] < 30


def test_nobody_listens(tmp_path: Path) -> None:
    """Where nobody listens every attempt is a connect error that was never sent."""
    nobody = Instance("sim", "http://127.0.0.1:9", Kind.SIMULATED, allow_load=True)
    run = Run.create(tmp_path, ["load"], [nobody])
    outcome = run_load(LoadPlan(nobody, (SELF,), even(60), 5.0), run)
    assert set(outcome.outcomes) == {"connect_error"}
    assert outcome.stopped_by == "errors"
    assert all(seen.sent_s is None and seen.latency_s is None for seen in run.observations())


def test_certificates_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unlike FastHttpUser's default: a certificate of an unknown authority is a TLS error, one of a known authority is well."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    cert, key, known = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(known)
    with running(cert=str(cert), key=str(key)) as server:
        stranger = run_load(LoadPlan(instance(server), (SELF,), even(20), 0.5), Run.create(tmp_path, ["load"], []))
        assert set(stranger.outcomes) == {"tls_error"}
        monkeypatch.setenv("SSL_CERT_FILE", str(known))
        friend = run_load(LoadPlan(instance(server), (SELF,), even(20), 0.5), Run.create(tmp_path, ["load"], []))
        assert friend.outcomes == {"ok": 10}


def _once_after(seconds: float, act: Callable[[psutil.Process], None]) -> Callable[[LoadProgress], None]:
    done: list[bool] = []

    def hear(progress: LoadProgress) -> None:
        if progress.elapsed_s > seconds and not done:
            done.append(True)
            workers = [child for child in psutil.Process().children() if "--worker" in child.cmdline()]
            act(workers[0])

    return hear


def test_workers_share_the_load_and_may_leave(tmp_path: Path) -> None:
    """Three workers, one of which is told to go: the total is right, all ceilings hold for all of them together, no record is lost."""
    with running(delay_s=0.05) as server:
        plan = LoadPlan(instance(server, max_in_flight=7, max_requests=100, max_rate=46.0), (SELF,), even(40), 6.0, workers=3)
        loaded = Loaded(tmp_path, plan, server, progress=_once_after(1.0, lambda worker: worker.terminate()))
    assert loaded.counts == (100, 100, 100)
    assert (loaded.outcome.stopped_by, loaded.outcome.unsent, loaded.outcome.lost) == ("requests", 0, [])
    assert loaded.seen["peak"] <= 7
    arrivals = loaded.seen["arrivals"]
    assert all(later - earlier > 0.9 for earlier, later in zip(arrivals, arrivals[46:], strict=False))  # a busy machine delays some
    assert len(loaded.seen["arrivals"]) / (loaded.seen["arrivals"][-1] - loaded.seen["arrivals"][0]) == pytest.approx(40.0, rel=0.25)


def test_a_worker_that_is_killed_costs_little_and_is_told(tmp_path: Path) -> None:
    """The other goes on; what is missing is at most the last report interval, and the outcome says so."""
    with running(delay_s=0.02) as server:
        plan = LoadPlan(instance(server), (SELF,), even(40), 4.5, workers=2)
        loaded = Loaded(tmp_path, plan, server, progress=_once_after(1.0, lambda worker: worker.kill()))
    missing = len(loaded.seen["arrivals"]) - len(loaded.records)
    assert 0 <= missing <= 20 * 0.5
    assert len(loaded.outcome.lost) == 1
    assert "unaccounted for" in loaded.outcome.lost[0]
    late = [at for at in loaded.seen["arrivals"] if at > loaded.seen["arrivals"][0] + 2.5]
    assert max(sum(start <= at < start + 1.0 for at in late) for start in late) > 30  # of 40, not the 20 of one worker; in its best second
    assert loaded.outcome.limit_per_s is None


@contextlib.contextmanager
def command(folder: Path, server: Running, *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    table = {"url": f'"{server.url}"', "allow_load": "true", **more}
    (folder / "probes.toml").write_text("[instances.sim]\n" + "".join(f"{key} = {value}\n" for key, value in table.items()))
    line = [sys.executable, "-m", "probes", "load", "-i", "sim", *words]
    with subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_child_ends_with_its_parent(tmp_path: Path, how: signal.Signals) -> None:
    """Ctrl-C: exit 130, with --json after one document. Parent killed: the child ends by itself. Either way each request has its record."""
    with (
        running(delay_s=0.3) as server,
        command(tmp_path, server, "--rate", "30", "--for", "60s", "--call", "GET /x", "--json") as process,
    ):
        deadline = time.monotonic() + 20.0
        while len(server.report()["arrivals"]) < 20 and time.monotonic() < deadline:
            time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
        signalled = time.monotonic()
        os.kill(process.pid, how)
        out, _ = process.communicate(timeout=20)
        _, alive = psutil.wait_procs(children, timeout=10)
        seen = server.report()
    assert (process.returncode, alive) == (130 if how is signal.SIGINT else -signal.SIGKILL, [])
    assert max(seen["arrivals"]) - signalled < 1.0
    (folder,) = (tmp_path / "results").iterdir()
    assert len((folder / "observations.jsonl").read_text().splitlines()) == len(seen["arrivals"])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["ended"] == ("interrupted" if how is signal.SIGINT else None)
    assert manifest["command"] == ["load", "-i", "sim", "--rate", "30", "--for", "60s", "--call", "GET /x"]
    if how is signal.SIGINT:
        told = json.loads(out)
        assert (told["requests"], told["stopped_by"], told["why"]) == (len(seen["arrivals"]), "interrupted", "It was interrupted.")


def test_the_command(tmp_path: Path, drawing: None) -> None:
    """`probes load --json`: one document on stdout by the schema; a guard's stop exits 4 with its sentence; the run folder has a report."""
    words = ("--rate", "40", "--for", "10s", "--call", "GET /a", "--call", "GET /b?c=1", "--json")
    with running(status_from=(30, 503)) as server, command(tmp_path, server, *words) as process:
        out, err = process.communicate(timeout=30)
    document = json.loads(out)
    jsonschema.validate(document, SCHEMA)
    assert (process.returncode, document["stopped_by"], document["asked_per_s"]) == (4, "maintenance", 40.0)
    why = "Stopped by guard 'maintenance': The instance answered 503: it is in maintenance or overloaded."
    assert err.splitlines() == [
        f"Loading sim ({server.url}), 40 requests/s for 10 s; in flight at most 160.",
        f"probes: {why}",
    ]
    manifest = json.loads((tmp_path / document["run"] / "manifest.json").read_text())
    assert manifest["ended"] == f"guard: {why}"
    assert manifest["loads"] == [{"instance": "sim", **document}]
    report = json.loads((tmp_path / document["run"] / "report.json").read_text())
    assert [(one["kind"], one["severity"]) for one in report["findings"]] == [("server_errors", "warning")]
    assert (tmp_path / document["run"] / "charts" / "latency.png").is_file()


def test_credentials_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every call is answered 401 the command exits 5, after its document."""
    words = ("--rate", "40", "--for", "5s", "--call", "GET /a", "--quiet", "--json")
    with running(status_from=(0, 401)) as server:
        configured(tmp_path, monkeypatch, sim={"url": server.url, "allow_load": True})
        ended = here(tmp_path, "load", "-i", "sim", *words)
    assert (ended.code, ended.document["outcomes"]) == (5, {"unauthorized": ended.document["requests"]})
    assert ended.err.startswith("probes: Every call to sim was refused for its credentials (401)")


def test_a_load_that_cannot_start(tmp_path: Path) -> None:
    """A locustfile that is not there: one sentence, with what Locust said."""
    nobody = Instance("sim", "http://127.0.0.1:9", Kind.SIMULATED, allow_load=True)
    plan = LoadPlan(nobody, (SELF,), even(5), 1.0, locustfile="no_such_file")
    with pytest.raises(ProbesError, match=r"^The load did not start: .*no_such_file"):
        run_load(plan, Run.create(tmp_path, ["load"], []))


def _locust(signal_number: int) -> Callable[[LoadProgress], None]:
    done: list[bool] = []

    def hear(progress: LoadProgress) -> None:
        if progress.requests > 10 and not done:
            done.append(True)
            (child,) = [one for one in psutil.Process().children() if "locust" in one.cmdline()]
            child.send_signal(signal_number)

    return hear


def test_a_child_that_is_killed(tmp_path: Path) -> None:
    """What was written until then makes the outcome, which says what happened; at most the last tenth of a second is missing."""
    with running(delay_s=0.01) as server:
        plan = LoadPlan(instance(server), (SELF,), even(40), 20.0)
        loaded = Loaded(tmp_path, plan, server, progress=_locust(signal.SIGKILL))
    assert (loaded.outcome.stopped_by, loaded.outcome.requests) == ("killed", len(loaded.records))
    assert 0 <= len(loaded.seen["arrivals"]) - len(loaded.records) <= 8


def test_a_child_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that outlives its time is killed, and the guard of the seconds is named."""
    monkeypatch.setattr("probes.load.child.START_S", 3.0)
    monkeypatch.setattr("probes.load.child.END_S", 0.5)
    with running(delay_s=0.01) as server:
        plan = LoadPlan(instance(server, timeout_s=0.2), (SELF,), even(40), 1.0, grace_s=0.1)
        loaded = Loaded(tmp_path, plan, server, progress=_locust(signal.SIGSTOP))
    assert (loaded.outcome.stopped_by, loaded.outcome.why) == ("seconds", "The load outlived its time and was ended.")


def test_the_folder_of_the_locustfiles() -> None:
    """In a checkout they stand beside the package."""
    assert (locustfiles() / "steady.py").is_file()
