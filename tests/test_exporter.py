from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from asked import place
from commanded import run_here
from exporting import Exporting, exporting
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from probes.client import Client
from probes.clock import run_virtually
from probes.config import Instance
from probes.errors import ConfigError, UsageError
from probes.exporter import site
from probes.exporter.exporter import Exporter
from probes.exporter.newest import Newest
from probes.exporter.rounds import Timed
from probes.exporter.server import Address
from probes.exporter.site import create_app
from probes.jobs import export as job
from probes.observation import Observation
from probes.runs import Run
from probes.scenarios import scenario
from probes.simulator.network import DelayedTransport
from probes.simulator.profiles import profile
from probes.simulator.server import Served

TOKEN = "7~" + "a" * 40
ANSWER = {"X-Rate-Limit-Remaining": "600.0", "X-Request-Cost": "0.1"}


class World:
    """Instances in this process; those in `hangs` never answer in time."""

    def __init__(self, *hangs: str, rtt_s: float = 0.1, status: int = 200) -> None:
        self.hangs, self.rtt_s, self.status = hangs, rtt_s, status
        self.sent: list[tuple[float, str]] = []

    def client(self, instance: Instance, record: Callable[[Observation], None]) -> Client:
        """A client whose answers come from here."""

        def answer(_: httpx.Request) -> httpx.Response:
            self.sent.append((round(asyncio.get_running_loop().time(), 3), instance.name))
            return httpx.Response(self.status, json={"id": 1}, headers=ANSWER)

        delay_s = 1000.0 if instance.name in self.hangs else self.rtt_s
        return Client(instance, record=record, transport=DelayedTransport(httpx.MockTransport(answer), delay_s, 0.0))


def exported(
    world: World,
    instances: list[Instance],
    for_s: float,
    *,
    every_s: float = 15.0,
    then: Callable[[Exporter, httpx.AsyncClient], Coroutine[Any, Any, Any]] | None = None,
    said: list[str] | None = None,
    results: Path = Path("nowhere"),
) -> Exporter:
    """An exporter after `for_s` seconds of virtual time, and after what a test does with it and its pages."""

    async def main() -> Exporter:
        lines = [] if said is None else said
        exporter = Exporter(lambda: instances, [Timed(scenario("reach"), every_s)], results, make=world.client, say=lines.append)
        await exporter.start()
        await asyncio.sleep(for_s)
        if then is not None:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(exporter)), base_url="http://exporter") as client:
                await then(exporter, client)
        await exporter.close()
        return exporter

    return run_virtually(main())


def value(exporter: Exporter, name: str, **labels: str) -> float | None:
    return exporter.metrics.registry.get_sample_value(f"canvas_probe_{name}", labels)


def rounds(exporter: Exporter, name: str) -> float | None:
    return value(exporter, "rounds_total", canvas_instance=name, scenario="reach")


def test_schedule() -> None:
    """The first round starts at once, starts of instances lie apart, the next come after one interval each."""
    world = World()
    exporter = exported(world, [place("a"), place("b")], 31.0)
    assert [at for at, name in world.sent if name == "a"] == [0.05, 15.05, 30.05]
    assert [at for at, name in world.sent if name == "b"] == [0.3, 15.3, 30.3]
    assert rounds(exporter, "a") == 3.0
    call = {"canvas_instance": "a", "scenario": "reach", "call": "GET /api/v1/users/self"}
    assert value(exporter, "requests_total", **call, outcome="ok") == 3.0
    assert value(exporter, "quota_remaining_units", canvas_instance="a") == 600.0


@pytest.mark.untraced
def test_many_instances_are_spread() -> None:
    """Three hundred instances start evenly over one interval, none twice, none left out."""
    world = World()
    exporter = exported(world, [place(f"i{n}") for n in range(300)], 29.0, every_s=15.0)
    starts = sorted(at for at, _ in world.sent if at < 15.0)
    assert max(sum(second <= at < second + 1 for at in starts) for second in range(15)) <= 42
    metrics = exporter.metrics
    assert {metrics.rounds.labels(f"i{n}", "reach")._value.get() for n in range(270)} == {2.0}
    assert {metrics.missed.labels(f"i{n}", "reach")._value.get() for n in range(300)} == {0.0}


@pytest.mark.untraced
def test_slow_instances_delay_no_other() -> None:
    """More hanging instances than working places: the others keep their schedule, and only theirs are left out and counted."""
    hanging = [f"h{n}" for n in range(200)]
    world = World(*hanging)
    instances = [*(place(name, timeout_s=40.0) for name in hanging), place("fine")]
    said: list[str] = []
    exporter = exported(world, instances, 99.0, every_s=10.0, said=said)
    fine = [at for at, name in world.sent if name == "fine"]
    assert all(abs(at - fine[0] - 10.0 * n) < 1e-6 for n, at in enumerate(fine))
    assert rounds(exporter, "fine") == 9.0
    assert value(exporter, "rounds_missed_total", canvas_instance="fine", scenario="reach") == 0.0
    assert (value(exporter, "rounds_missed_total", canvas_instance="h0", scenario="reach") or 0) >= 3.0
    assert value(exporter, "success", canvas_instance="h0", scenario="reach") == 0.0


def test_max_requests_hold_for_a_round() -> None:
    """An instance that allows one request a run gets one a round; where two were needed that is told once, not every round."""
    world, said = World(status=500), list[str]()
    exporter = exported(world, [place("a", max_requests=1, max_rate=5.0)], 46.0, said=said)
    assert [at for at, _ in world.sent] == [0.05, 15.05, 30.05, 45.05]
    assert rounds(exporter, "a") == 4.0
    assert said == ["a, reach: Instance 'a' allows max_requests = 1 a run, and that many were sent."]


def test_max_rate_holds_from_round_to_round() -> None:
    """Rounds that are runs of their own keep a ceiling of one request in five seconds together, though one is due every two."""
    world = World()
    exported(world, [place("a", max_requests=1, max_rate=0.2)], 21.0, every_s=2.0)
    sent = [at for at, _ in world.sent]
    assert len(sent) == 5
    assert all(later - earlier >= 5.0 for earlier, later in pairwise(sent))


def test_a_failed_read_is_looked_into() -> None:
    """A round is one request, and a second, to the health page, only where the read fails."""
    world = World(status=500)
    exporter = exported(world, [place("a")], 1.0)
    assert [at for at, _ in world.sent] == [0.05, 0.15]
    for call in ("GET /api/v1/users/self", "GET /health_check.json"):
        assert value(exporter, "requests_total", canvas_instance="a", scenario="reach", call=call, outcome="server_error") == 1.0


def test_reload() -> None:
    """A reload drops who has gone with all series, keeps the counters of who stays, starts who is new; a bad file changes nothing."""
    instances, world, said = [place("a"), place("b")], World(), list[str]()

    async def then(exporter: Exporter, client: httpx.AsyncClient) -> None:
        instances[:] = [place("b"), place("c")]
        answer = await client.post("/-/reload")
        assert (answer.status_code, answer.text) == (200, "Reloaded\n")
        await asyncio.sleep(1.0)
        assert [rounds(exporter, name) for name in "abc"] == [None, 1.0, 1.0]
        exporter._read = broken
        answer = await client.post("/-/reload")
        assert (answer.status_code, answer.text) == (500, "probes.toml is not valid TOML: [token].\n")
        assert exporter._others.get_sample_value("canvas_probe_config_last_reload_successful") == 0.0
        assert list(exporter.rounds.places) == ["b", "c"]
        assert (await client.get("/-/reload")).status_code == 405

    def broken() -> list[Instance]:
        raise ConfigError(f"probes.toml is not valid TOML: {TOKEN}.")

    exported(world, instances, 1.0, then=then, said=said)
    assert said == ["Configuration read again: 2 instances.", "The old configuration is kept. probes.toml is not valid TOML: [token]."]


def test_a_lost_token_keeps_the_old_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload that cannot have a token changes nothing; a new token is taken by the next reload."""
    monkeypatch.setenv("T", "one")
    one = place("a", secret=None, token_env="T")

    async def then(exporter: Exporter, client: httpx.AsyncClient) -> None:
        monkeypatch.delenv("T")
        assert (await client.post("/-/reload")).status_code == 500
        assert exporter.rounds.places["a"].token == "one"
        monkeypatch.setenv("T", "two")
        assert (await client.post("/-/reload")).status_code == 200
        assert exporter.rounds.places["a"].token == "two"
        assert rounds(exporter, "a") == 1.0

    exported(World(), [one], 1.0, then=then)


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ("", 400, "Name an instance: /probe?target=NAME&module=SCENARIO.\n"),
        ("?target=http://127.0.0.1/", 404, "There is no instance of that name in the configuration.\n"),
        ("?target=a&module=nothing", 404, "There is no scenario of that name: known are reach, latency, "),
    ],
)
def test_probe_refuses(query: str, code: int, text: str) -> None:
    """Only configured names and known scenarios; nothing is sent for others."""
    world = World()

    async def then(_: Exporter, client: httpx.AsyncClient) -> None:
        answer = await client.get(f"/probe{query}")
        assert (answer.status_code, answer.text[: len(text)]) == (code, text)

    exported(world, [place("a")], 1.0, then=then)
    assert len(world.sent) == 1


def test_probe() -> None:
    """One round in a registry of its own: the exporter's own counters do not move."""

    async def then(exporter: Exporter, client: httpx.AsyncClient) -> None:
        told = samples((await client.get("/probe?target=a&module=latency")).text)
        call = 'canvas_instance="a",scenario="latency",call="GET /api/v1/users/self"'
        assert told[f'canvas_probe_requests_total{{{call},outcome="ok"}}'] == 2.0
        assert told["probe_success{}"] == 1.0
        assert told["probe_duration_seconds{}"] == pytest.approx(0.2)
        assert value(exporter, "rounds_total", canvas_instance="a", scenario="latency") is None

    exported(World(), [place("a")], 1.0, then=then)


def samples(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            order = ["canvas_instance", "scenario", "call", "outcome"]
            pairs = sorted(sample.labels.items(), key=lambda pair: order.index(pair[0]) if pair[0] in order else 9)
            found[sample.name + "{" + ",".join(f'{key}="{word}"' for key, word in pairs) + "}"] = sample.value
    return found


@pytest.mark.parametrize(("header", "took_s"), [("5", 4.5), ("0.1", 0.05), ("60", 8.0), (None, 8.0)])
def test_probe_ends_before_the_scrape_does(header: str | None, took_s: float) -> None:
    """The time is the scrape's less half a second, capped by the instance's own timeout; what was cut is a failure."""

    async def then(_: Exporter, client: httpx.AsyncClient) -> None:
        headers = {} if header is None else {"X-Prometheus-Scrape-Timeout-Seconds": header}
        told = samples((await client.get("/probe?target=a", headers=headers)).text)
        assert told["probe_success{}"] == 0.0
        assert told["probe_duration_seconds{}"] == pytest.approx(took_s)

    exported(World("a"), [place("a", timeout_s=8.0)], 1.0, then=then)


@pytest.mark.parametrize("header", ["soon", "-1", "nan", "inf"])
def test_probe_with_a_timeout_that_is_none(header: str) -> None:
    """A timeout that is no number is refused, not guessed."""

    async def then(_: Exporter, client: httpx.AsyncClient) -> None:
        answer = await client.get("/probe?target=a", headers={"X-Prometheus-Scrape-Timeout-Seconds": header})
        assert (answer.status_code, answer.text) == (400, "x-prometheus-scrape-timeout-seconds must be a number of seconds.\n")

    exported(World(), [place("a")], 1.0, then=then)


@pytest.mark.parametrize(
    ("accept", "told"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ],
)
def test_formats(accept: str, told: str) -> None:
    """Both pages are OpenMetrics for who asks for it, which ends with # EOF and holds the same families, else text 0.0.4."""

    async def then(exporter: Exporter, client: httpx.AsyncClient) -> None:
        answer = await client.get("/probe?target=a", headers={"Accept": accept})
        for text, content_type in ((answer.content, answer.headers["content-type"]), exporter.exposed(accept)):
            assert content_type.startswith(told)
            parse = openmetrics_families if "openmetrics" in told else text_string_to_metric_families
            kinds = {family.name: family.type for family in parse(text.decode())}
            assert kinds["canvas_probe_requests"] == "counter"
            assert kinds["canvas_probe_latency_seconds"] == "histogram"
            assert text.endswith(b"# EOF\n") is ("openmetrics" in told)

    exported(World(), [place("a")], 1.0, then=then)


def test_large_metrics_are_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape that takes gzip gets it where there is much to send, and the same text; who does not, and a small answer, plain text."""
    exporter = exported(World(), [place("a")], 1.0)
    packed, headers = site._exposed(exporter, {"accept-encoding": "gzip"})
    plain, told = site._exposed(exporter, {})
    assert (headers["content-encoding"], headers["vary"]) == ("gzip", "Accept-Encoding")
    assert samples(gzip.decompress(packed).decode()).keys() == samples(plain.decode()).keys()
    assert 5 * len(packed) < len(plain) > site.LARGE
    assert "content-encoding" not in told
    monkeypatch.setattr(site, "LARGE", 10_000_000)
    assert "content-encoding" not in site._exposed(exporter, {"accept-encoding": "gzip"})[1]


@pytest.mark.parametrize(
    ("accept", "takes"),
    [("", False), ("gzip", True), ("deflate, GZIP;q=0.5", True), ("gzip;q=0", False), ("gzip; q=0.000, br", False), ("x-gzip", False)],
)
def test_who_takes_gzip(accept: str, takes: bool) -> None:
    """Gzip by name, unless its weight is 0."""
    assert site.takes_gzip(accept) is takes


def test_debug_hides_secrets() -> None:
    """Log, metrics and configuration as text, the token in none of them."""

    async def then(_: Exporter, client: httpx.AsyncClient) -> None:
        text = (await client.get("/probe?target=a&debug=true")).text
        assert TOKEN not in text
        assert "GET /api/v1/users/self  200 ok" in text
        assert "\nMetrics:\n# HELP canvas_probe_requests_total" in text
        assert text.endswith("token = <secret> (from: environment)\n")

    exported(World(), [place("a", secret=TOKEN, token_env="T")], 1.0, then=then)


def test_landing_page() -> None:
    """The page names each instance, escaped, and the schedule."""

    async def then(_: Exporter, client: httpx.AsyncClient) -> None:
        text = (await client.get("/")).text
        assert "<td>a&lt;b&gt;</td>" in text
        assert '"/probe?target=a%3Cb%3E&amp;module=reach"' in text
        assert "Every 15 s: reach." in text
        assert (await client.get("/-/healthy")).text == "Healthy\n"

    exported(World(), [place("a<b>")], 1.0, then=then)


def number(middle: float) -> dict[str, float]:
    return {"value": middle, "low": middle - 1, "high": middle + 1, "n": 9}


def run(results: Path, name: str, rate: float | None, pages: int | None = None) -> None:
    folder = results / name
    folder.mkdir(parents=True)
    safe = {"rate_per_s": number(rate), "in_flight": 11, "burst": 10, "bound_by": "outflow"} if rate else None
    rates = [
        {"instance": "a", "call": "GET /api/v1/courses/7", "safe": safe, "bucket": {"outflow_per_s": number(10.0)}, "cost": number(2.0)}
    ]
    manifest = {
        "instances": [{"name": "a"}, {"name": "z"}],
        "rates": rates if rate else [],
        "ended": "done",
        "ended_at": "2026-11-02T08:00:00+00:00",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "observations.jsonl").touch()
    if pages:
        rows = [{"instance": "a", "call": "GET /api/v1/courses", "default_per_page": 10, "max_per_page": pages}]
        latency = [{"instance": "a", "call": "GET /api/v1/courses", "p50_interval": number(3.0)}]
        findings = [{"kind": "slow", "severity": "warning", "instance": "a", "says": "It is slow."}]
        queues = [{"instance": name, "waiting": waiting} for name, waiting in (("a", 4), ("z", 9))]
        report = {"pagination": rows, "latency": latency, "findings": findings, "queues": queues}
        (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


def test_newest_runs(tmp_path: Path) -> None:
    """Each number comes from the newest run that has it; broken runs and instances that are not configured are left out."""
    run(tmp_path, "20261101-000000-rate-aaaa", 15.0, pages=50)
    run(tmp_path, "20261102-000000-rate-bbbb", 17.0)
    run(tmp_path, "20261103-000000-run-cccc", None, pages=100)
    (tmp_path / "20261104-000000-run-dddd").mkdir()
    (tmp_path / "20261104-000000-run-dddd" / "manifest.json").write_text("{", encoding="utf-8")
    (tmp_path / "20261105-000000-run-eeee").mkdir()
    (tmp_path / "20261105-000000-run-eeee" / "manifest.json").write_text("[]", encoding="utf-8")
    told = {
        (sample.name.removeprefix("canvas_probe_"), *sorted(sample.labels.values())): sample.value
        for family in Newest(tmp_path, lambda: ["a"]).collect()
        for sample in family.samples
    }
    call = "GET /api/v1/courses/:id"
    assert [told["safe_calls_per_second", call, "a", bound] for bound in ("low", "value", "high")] == [16.0, 17.0, 18.0]
    assert told["safe_in_flight_calls", call, "a"] == 11.0
    assert told["safe_bound_info", call, "a", "outflow"] == 1.0
    assert told["bucket_outflow_units_per_second", call, "a", "value"] == 10.0
    assert told["call_cost_units", call, "a", "low"] == 1.0
    assert told["page_size_items", "GET /api/v1/courses", "a", "max"] == 100.0
    assert told["latency_median_seconds", "GET /api/v1/courses", "a", "high"] == 4.0
    assert told["run_queue_imports", "a", "waiting"] == 4.0
    assert [told["findings", "a", severity] for severity in ("error", "warning", "info")] == [0.0, 1.0, 0.0]
    assert told["last_run_timestamp_seconds", "a"] == 1793606400.0
    assert not [key for key in told if "z" in key]


def test_a_report_that_comes_later(tmp_path: Path) -> None:
    """A run is read again when its report was made, also when its manifest stays."""
    run(tmp_path, "20261101-000000-rate-aaaa", 15.0)
    newest = Newest(tmp_path, lambda: ["a"])
    assert newest.found().pages == {}
    rows = [{"instance": "a", "call": "GET /api/v1/courses", "default_per_page": 10, "max_per_page": 100}]
    (tmp_path / "20261101-000000-rate-aaaa" / "report.json").write_text(json.dumps({"pagination": rows}), encoding="utf-8")
    assert newest.found().pages == {("a", "GET /api/v1/courses"): rows[0]}


def test_a_run_that_was_removed(tmp_path: Path) -> None:
    """What was read of a run is forgotten with its folder: an exporter that runs for months keeps nothing of old runs."""
    for name in ("20261101-000000-rate-aaaa", "20261102-000000-rate-bbbb"):
        run(tmp_path, name, 15.0)
    newest = Newest(tmp_path, lambda: ["a"])
    newest.found()
    shutil.rmtree(tmp_path / "20261101-000000-rate-aaaa")
    newest.found()
    assert [folder.name for folder in newest._read] == ["20261102-000000-rate-bbbb"]


def test_no_results_folder(tmp_path: Path) -> None:
    """Without any run there is no number, and no error."""
    assert [family.samples for family in Newest(tmp_path / "none", lambda: ["a"]).collect() if family.samples] == []
    Run.create(tmp_path, ["run"], [place("a")])
    assert [family.samples for family in Newest(tmp_path, lambda: ["a"]).collect() if family.samples] == []


@pytest.mark.parametrize(("text", "told"), [("15s", 15.0), ("500ms", 0.5), ("2m", 120.0), ("1.5h", 5400.0), ("7", 7.0)])
def test_intervals(text: str, told: float) -> None:
    """Intervals as Prometheus writes them; a bare number is seconds."""
    assert job.seconds(text, "--every") == told


@pytest.mark.parametrize("text", ["", "0s", "50ms", "-1s", "soon", "1w"])
def test_intervals_that_are_none(text: str) -> None:
    """Anything else is one sentence."""
    with pytest.raises(UsageError, match=r"write an interval of at least 0\.1 s, as 15s or 2m"):
        job.seconds(text, "--every")


def test_timetable() -> None:
    """A scenario may have an interval of its own; an unknown one is refused."""
    told = job.timetable(["reach", "throttling=1h"], "15s")
    assert [(one.scenario.name, one.every_s) for one in told] == [("reach", 15.0), ("throttling", 3600.0)]
    with pytest.raises(UsageError, match="There is no scenario 'nothing'"):
        job.timetable(["nothing"], "15s")


@pytest.mark.parametrize(
    ("text", "host", "port", "again"),
    [("127.0.0.1:9777", "127.0.0.1", 9777, "127.0.0.1:9777"), (":0", "", 0, ":0"), ("[::1]:80", "::1", 80, "[::1]:80")],
)
def test_addresses(text: str, host: str, port: int, again: str) -> None:
    """HOST:PORT as other exporters take it."""
    assert (Address.parse(text), str(Address.parse(text))) == (Address(host, port), again)


@pytest.mark.parametrize("text", ["9777", "localhost", "a:b", "a:99999"])
def test_addresses_that_are_none(text: str) -> None:
    """Anything else is one sentence."""
    with pytest.raises(UsageError, match="write it as HOST:PORT"):
        Address.parse(text)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporting]:
    with (
        Served(profile("sandbox").changed(time_scale=0.05)) as simulator,
        exporting(tmp_path_factory.mktemp("export"), simulator.url, simulator.token) as one,
    ):
        yield one


@pytest.mark.slow
def test_over_a_socket(served: Exporting) -> None:
    """`probes export` asks at once and serves text that the library parses; no token in it."""
    text = served.when(lambda told: 'canvas_probe_rounds_total{canvas_instance="beta",scenario="reach"} 1' in told)
    assert {family.name for family in text_string_to_metric_families(text)} >= {
        "canvas_probe_requests",
        "process_cpu_seconds",
        "python_info",
    }
    assert served.token not in text
    answer = httpx.get(f"{served.url}/metrics", headers={"Accept": "application/openmetrics-text"}, trust_env=False)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.headers["content-encoding"] == "gzip"
    assert "canvas_probe_rounds" in {family.name for family in openmetrics_families(answer.text)}  # type: ignore[no-untyped-call]


@pytest.mark.slow
def test_reload_by_signal(served: Exporting) -> None:
    """SIGHUP reads the configuration again; a bad one keeps the old and sets the gauge to 0."""
    good = served.config.read_text(encoding="utf-8")
    served.config.write_text("[instances.beta\n", encoding="utf-8")
    served.process.send_signal(signal.SIGHUP)
    served.when(lambda told: "canvas_probe_config_last_reload_successful 0.0" in told)
    served.config.write_text(good, encoding="utf-8")
    served.process.send_signal(signal.SIGHUP)
    served.when(lambda told: "canvas_probe_config_last_reload_successful 1.0" in told)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """SIGTERM ends well, Ctrl-C is 130, neither with a traceback, also while an instance hangs."""
    with socket.create_server(("127.0.0.1", 0)) as silent, exporting(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}", "t") as one:
        one.process.send_signal(number)
        assert one.process.wait(15) == code
        assert "Traceback" not in one.rest()


@pytest.mark.slow
def test_port_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A taken port is one sentence and exit 1; a missing token and an unknown instance are exit 2."""
    (tmp_path / "probes.toml").write_text('[instances.a]\nurl = "http://127.0.0.1:1"\ntoken_env = "NOT_THERE"\n', encoding="utf-8")

    monkeypatch.chdir(tmp_path)

    def ended(*words: str) -> tuple[int, str]:
        done = run_here("export", *words)
        return done.code, done.err

    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        assert ended("--listen", at) == (
            1,
            f"probes: {at} cannot be used: Address already in use; choose another with --listen HOST:PORT.\n",
        )
    code, said = ended("--listen", "127.0.0.1:0")
    assert (code, said) == (2, "probes: Instance 'a' takes its token from NOT_THERE, which is not set: export it first.\n")
    code, said = ended("--listen", "127.0.0.1:0", "-i", "b")
    assert (code, said) == (2, "probes: There is no instance 'b' in probes.toml: it names a.\n")
