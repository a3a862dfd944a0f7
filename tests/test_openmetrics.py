from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from report_data import full_run, instance, observed
from typer.testing import CliRunner
from werkzeug import Request, Response

from probes import report
from probes.cli import app
from probes.errors import ProbesError, UsageError
from probes.observation import Outcome
from probes.report import openmetrics as module
from probes.report.families import Family, Sample, family_lines
from probes.report.material import material
from probes.report.openmetrics import openmetrics, push, textfile
from probes.runs import Run

TOOLS = str(Path.home() / ".cache" / "canvas-probes" / "bin")
PROMTOOL = shutil.which("promtool") or shutil.which("promtool", path=TOOLS)
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool cannot be had here")
START_S = 1_795_586_400  # 2026-11-25T06:00:00Z


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return full_run(tmp_path_factory.mktemp("om"))


def small(place: Path, name: str = "beta") -> Run:
    """Two answers and a refusal, a page's worth of the rest; half a minute long."""
    run = Run.create(place, ["rate"], [instance(name)])
    lines = [
        observed(name, "throttling", 14.75, late_s=0.0, flight_s=0.25, remaining=550.0, cost=0.4),
        observed(name, "throttling", 20.0, late_s=0.0, flight_s=0.75, remaining=500.0, cost=0.4),
        observed(name, "throttling", 20.0, late_s=0.0, flight_s=0.01, remaining=40.5, status=429, outcome=Outcome.THROTTLED),
    ]
    run.append_lines(o.line() for o in lines)
    number = {"value": 17.9, "low": 17.0, "high": 18.8, "n": 220}
    one = {
        "instance": name,
        "call": "GET /a",
        "regime": "headers",
        "bucket": None,
        "cost": None,
        "safe": {"rate_per_s": number, "in_flight": 10},
    }
    run.note(started_at="2026-11-25T06:00:00.000+00:00", rates=[one])
    run.finish("done")
    return run


def test_the_whole_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters rise from 0 at the start through scrapes every 15 s to the end, the level is the least of each span; facts come last."""
    monkeypatch.setattr(module, "EDGES_S", (0.5,))
    where, at = 'canvas_instance="beta"', (f"{START_S}.000", f"{START_S + 15}.000", f"{START_S + 20}.751")
    ok, refused = (f'canvas_probe_requests_total{{{where},scenario="throttling",outcome="{outcome}"}}' for outcome in ("ok", "throttled"))
    latency = "canvas_probe_latency_seconds"
    labels = f'{{{where},scenario="throttling"'
    told = openmetrics(material(small(tmp_path)))
    facts = told[told.index("# HELP canvas_probe_safe_calls") :]
    assert told[: -len(facts)].splitlines() == [
        "# HELP canvas_probe_requests Requests that were sent, by how they ended.",
        "# TYPE canvas_probe_requests counter",
        f"{ok} 0 {at[0]}",
        f"{ok} 1 {at[1]}",
        f"{ok} 2 {at[2]}",
        f"{refused} 0 {at[0]}",
        f"{refused} 0 {at[1]}",
        f"{refused} 1 {at[2]}",
        f"# HELP {latency} From when a call was due to its last byte, of calls answered as asked.",
        f"# TYPE {latency} histogram",
        f'{latency}_bucket{labels},le="0.5"}} 0 {at[0]}',
        f'{latency}_bucket{labels},le="+Inf"}} 0 {at[0]}',
        f"{latency}_count{labels}}} 0 {at[0]}",
        f"{latency}_sum{labels}}} 0 {at[0]}",
        f'{latency}_bucket{labels},le="0.5"}} 1 {at[1]}',
        f'{latency}_bucket{labels},le="+Inf"}} 1 {at[1]}',
        f"{latency}_count{labels}}} 1 {at[1]}",
        f"{latency}_sum{labels}}} 0.25 {at[1]}",
        f'{latency}_bucket{labels},le="0.5"}} 1 {at[2]}',
        f'{latency}_bucket{labels},le="+Inf"}} 2 {at[2]}',
        f"{latency}_count{labels}}} 2 {at[2]}",
        f"{latency}_sum{labels}}} 1 {at[2]}",
        "# HELP canvas_probe_quota_remaining_units The least that an answer since the last scrape said remained.",
        "# TYPE canvas_probe_quota_remaining_units gauge",
        f"canvas_probe_quota_remaining_units{{{where}}} 550 {at[1]}",
        f"canvas_probe_quota_remaining_units{{{where}}} 40.5 {at[2]}",
    ]
    end = f"{START_S + 20}.750"
    assert facts.splitlines()[:7] == [
        "# HELP canvas_probe_safe_calls_per_second Safe call rate of a job from rest; low is the recommended one.",
        "# TYPE canvas_probe_safe_calls_per_second gauge",
        f'canvas_probe_safe_calls_per_second{{{where},call="GET /a",bound="low"}} 17 {end}',
        f'canvas_probe_safe_calls_per_second{{{where},call="GET /a",bound="value"}} 17.9 {end}',
        f'canvas_probe_safe_calls_per_second{{{where},call="GET /a",bound="high"}} 18.8 {end}',
        "# HELP canvas_probe_safe_in_flight_calls Safe number of calls in flight.",
        "# TYPE canvas_probe_safe_in_flight_calls gauge",
    ]
    assert facts.splitlines()[-1] == "# EOF"


def test_histograms_are_not_mixed() -> None:
    """Points of one histogram stand together in order of time, whatever other histograms of the family had points between them."""
    points = [(call, at) for at in (1.0, 2.0) for call in ("a", "b")]
    buckets = [Sample((("call", call), ("le", "+Inf")), at, at, "_bucket") for call, at in points]
    counts = [Sample((("call", call),), at, at, "_count") for call, at in points]
    mixed = tuple(sample for pair in zip(buckets, counts, strict=True) for sample in pair)
    family = Family("f", "histogram", "Help.", mixed)
    lines = [line.split("{call=")[1] for line in family_lines(family, timed=True) if not line.startswith("#")]
    assert lines == [
        '"a",le="+Inf"} 1 1.000',
        '"a"} 1 1.000',
        '"a",le="+Inf"} 2 2.000',
        '"a"} 2 2.000',
        '"b",le="+Inf"} 1 1.000',
        '"b"} 1 1.000',
        '"b",le="+Inf"} 2 2.000',
        '"b"} 2 2.000',
    ]


def test_a_textfile_has_no_time(tmp_path: Path) -> None:
    """node_exporter takes no timestamps: the last state alone, a counter's family with its suffix, no end mark."""
    lines = textfile(material(small(tmp_path))).splitlines()
    assert lines[:4] == [
        "# HELP canvas_probe_requests_total Requests that were sent, by how they ended.",
        "# TYPE canvas_probe_requests_total counter",
        'canvas_probe_requests_total{canvas_instance="beta",scenario="throttling",outcome="ok"} 2',
        'canvas_probe_requests_total{canvas_instance="beta",scenario="throttling",outcome="throttled"} 1',
    ]
    assert 'canvas_probe_quota_remaining_units{canvas_instance="beta"} 40.5' in lines
    assert f'canvas_probe_last_run_timestamp_seconds{{canvas_instance="beta"}} {START_S + 20.75}' in lines
    assert 'canvas_probe_last_run_success{canvas_instance="beta"} 1' in lines
    assert "# EOF" not in lines


@pytest.mark.parametrize("ended", ["interrupted", "guard: 2 calls were refused; 0 allowed.", None])
def test_a_run_that_did_not_end_as_planned_is_no_success(tmp_path: Path, ended: str | None) -> None:
    """An alert on the last run sees an interrupt, a guard and a kill."""
    run = small(tmp_path)
    run.note(ended=ended)
    assert 'canvas_probe_last_run_success{canvas_instance="beta"} 0' in textfile(material(run)).splitlines()


@needs_promtool
@pytest.mark.slow
def test_promtool_makes_blocks(full: Run, tmp_path: Path) -> None:
    """Prometheus takes the text of a whole run into its database, and the counter has its value there."""
    assert PROMTOOL
    report.write(full, ("openmetrics", "textfile"), charts=False)
    words = [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", str(full.folder / "report.om"), str(tmp_path / "tsdb")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "tsdb" / "wal").mkdir()  # promtool reads it of a running database
    dump = [
        PROMTOOL,
        "tsdb",
        "dump",
        '--match={__name__="canvas_probe_requests_total",outcome="throttled",scenario="throttling",canvas_instance="beta"}',
    ]
    said = subprocess.run([*dump, str(tmp_path / "tsdb")], capture_output=True, text=True, timeout=60, check=True).stdout
    values = [float(line.rsplit("}", 1)[1].split()[0]) for line in said.splitlines() if line.startswith("{")]
    assert values[0] == 0.0
    assert values[-1] == 21.0
    assert values == sorted(values)


@needs_promtool
@pytest.mark.slow
def test_promtool_finds_nothing_to_say(full: Run) -> None:
    """`promtool check metrics` is silent about the textfile of a whole run, and of one whose names are evil."""
    assert PROMTOOL
    for told in (textfile(material(full)), textfile(material(evil(full.folder.parent)))):
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=told, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def evil(place: Path) -> Run:
    return small(place, 'a"b\\c\nd\re\u2028')


def test_labels_are_escaped(tmp_path: Path) -> None:
    """Quotes, backslashes and line ends in a name stay inside its label."""
    told = textfile(material(evil(tmp_path)))
    assert 'canvas_probe_requests_total{canvas_instance="a\\"b\\\\c\\nd e\u2028",scenario="throttling",outcome="ok"} 2' in told.split("\n")


def test_a_long_run_has_wider_steps(tmp_path: Path) -> None:
    """Ten hours give at most so many scrapes, evenly spread, and the counter still ends at its value."""
    run = Run.create(tmp_path, ["load"], [instance("beta")])
    run.append_lines(observed("beta", "load", n * 360.0).line() for n in range(101))
    run.note(started_at="2026-11-25T06:00:00.000+00:00", rates=[])
    samples = module.families(material(run))[0].samples
    assert len(samples) <= module.MOST_STEPS + 2
    assert samples[1].at_s - samples[0].at_s == 165.0
    assert samples[-1].value == 101.0


def test_requests_without_an_answer_count_when_they_were_sent(tmp_path: Path) -> None:
    """A request that brought nothing stands at its sending, one that was never sent at its due time."""
    run = Run.create(tmp_path, ["run"], [instance("beta")])
    lost = {"status": None, "received_s": None, "outcome": Outcome.READ_TIMEOUT}
    run.append_lines([observed("beta", "reach", 10.0, **lost).line(), observed("beta", "reach", 40.0, **lost, sent_s=None).line()])
    run.note(started_at="2026-11-25T06:00:00.000+00:00")
    counter = module.families(material(run))[0]
    assert [(round(sample.at_s - START_S, 3), sample.value) for sample in counter.samples] == [
        (0.0, 0.0),
        (15.0, 1.0),
        (30.0, 1.0),
        (40.001, 2.0),
    ]


def test_a_run_without_a_start(tmp_path: Path) -> None:
    """Without a start nothing can be placed in time: one sentence."""
    run = small(tmp_path)
    with pytest.raises(ProbesError, match=r"does not say when it started: its metrics cannot be placed in time\.$"):
        openmetrics(material(Run(run.folder, {})))


def test_a_push_replaces_the_last(tmp_path: Path) -> None:
    """Each instance is put under job and instance, never under the run, so that a later run replaces it."""
    seen: list[tuple[str, str, str]] = []

    def take(request: Request) -> Response:
        seen.append((request.method, request.path, request.get_data(as_text=True)))
        return Response("", 202)

    run = small(tmp_path)
    run.append(observed("a/b", "reach", 21.0))
    with HTTPServer(port=0) as server:
        server.expect_request(re.compile("/metrics/.*")).respond_with_handler(take)
        groups = push(material(run), server.url_for("/"))
    assert [(method, path) for method, path, _ in seen] == [
        ("PUT", "/metrics/job/canvas_probes/canvas_instance/beta"),
        ("PUT", "/metrics/job/canvas_probes/canvas_instance@base64/YS9i"),
    ]
    assert [group.partition("/metrics/")[2] for group in groups] == [path.partition("/metrics/")[2] for _, path, _ in seen]
    assert 'canvas_instance="a/b"' not in seen[0][2]
    assert "canvas_probe_last_run_timestamp_seconds" in seen[0][2]
    assert 'scenario="reach",outcome="ok"} 1' in seen[1][2]


def test_a_pushgateway_that_refuses(tmp_path: Path) -> None:
    """What it says comes back in one sentence; so does that nobody listens; an address that is none is a word that is wrong."""
    told = material(small(tmp_path))
    with HTTPServer(port=0) as server:
        server.expect_request(re.compile("/.*")).respond_with_data("pushed metrics are\ninvalid", 400)
        with pytest.raises(
            ProbesError, match=r"^The Pushgateway at http://\S+ did not take the metrics of beta: 400 pushed metrics are invalid$"
        ):
            push(told, server.url_for(""))
        address = server.url_for("")
    with pytest.raises(ProbesError, match=r"cannot be reached: .*Connection refused\.$"):
        push(told, address)
    with pytest.raises(UsageError, match=r"^'file:///etc' is not the address of a Pushgateway"):
        push(told, "file:///etc")


def test_the_command_writes_and_pushes(tmp_path: Path) -> None:
    """`probes report RUN --format openmetrics --push URL`: the file is named on stdout, the group on stderr."""
    run = small(tmp_path)
    with HTTPServer(port=0) as server:
        server.expect_request("/metrics/job/canvas_probes/canvas_instance/beta").respond_with_data("", 200)
        done = CliRunner().invoke(app, ["report", str(run.folder), "--format", "openmetrics", "--push", server.url_for("")])
    assert done.exit_code == 0, done.output
    assert f"Report: {run.folder / 'report.om'}" in done.stdout
    assert f"Pushed to {server.url_for('/metrics/job/canvas_probes/canvas_instance/beta')}" in done.stderr


def test_page_sizes_and_findings(full: Run) -> None:
    """Default and greatest page size, the bucket's constants, findings by severity with zeros for none."""
    lines = textfile(material(full)).splitlines()
    assert 'canvas_probe_page_size_items{canvas_instance="test",call="GET /api/v1/courses/1/enrollments",bound="max"} 50' in lines
    assert 'canvas_probe_bucket_outflow_units_per_second{canvas_instance="beta",call="GET /api/v1/users/self",bound="value"} 10' in lines
    assert 'canvas_probe_findings{canvas_instance="beta",severity="error"} 0' in lines
