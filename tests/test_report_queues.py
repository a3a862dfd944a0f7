"""Import queues in a report: rows, their gauges, the text for Prometheus, the table of the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from report_data import instance, observed

from probes.exporter.newest import Newest
from probes.report.material import material
from probes.report.openmetrics import textfile
from probes.report.queues import GAUGES, labelled, rows, told
from probes.report.tables import tables
from probes.runs import Run

NOTED = {
    "imports": 6,
    "waits_s": [40.0, 60.0, 3600.0],
    "runs_s": [],
    "waiting": 2,
    "running": 1,
    "queue": [[9, "importing", 5.0, 20], [10, "created", 750.5, 0], [11, "initializing", 12.0, 0], [12, "created", None, 0]],
}
ROW = {
    "waiting": 2,
    "running": 1,
    "oldest_wait_s": 750.5,
    "median_wait_s": 60.0,
    "max_wait_s": 3600.0,
    "median_run_s": None,
    "max_run_s": None,
    "n": 3,
}
LIST = "GET /api/v1/accounts/self/sis_imports?per_page=100"


def queued(out: Path) -> Run:
    """A run that looked twice at the queue of test, and was refused at that of beta."""
    run = Run.create(out, ["run"], [instance("test"), instance("beta")])
    first = {**NOTED, "waiting": 7}
    seen = [observed("test", "queue", 0.0, call=LIST, facts=first), observed("test", "queue", 9.0, call=LIST, facts=NOTED)]
    run.append_lines(o.line() for o in [*seen, observed("beta", "queue", 1.0, call=LIST, status=403)])
    run.finish("done")
    return run


def test_what_a_look_at_the_queue_tells() -> None:
    """States counted, the oldest of those that wait, median and longest of past waits; null for what no import tells."""
    assert told(NOTED) == ROW


def test_odd_notes_do_no_harm() -> None:
    """Notes without a queue, or with values that are no numbers, tell zeros and nulls."""
    empty: dict[str, Any] = {**dict.fromkeys(ROW), "waiting": 0, "running": 0, "oldest_wait_s": 0.0, "n": 0}
    assert told({"waits_s": [None, "soon", True], "queue": None}) == empty


def test_the_newest_look_of_each_instance_counts() -> None:
    """Of two looks the later one is told, with its line; other scenarios are none of it."""
    looks = [observed("test", "queue", 0.0, facts={**NOTED, "waiting": 7}), observed("test", "latency", 1.0, facts=NOTED)]
    assert rows([(1, looks[0]), (2, looks[1]), (3, observed("test", "queue", 2.0, facts=NOTED))]) == [
        {"instance": "test", **ROW, "source": {"where": {"instance": "test", "scenario": "queue"}, "lines": [3, 3], "n": 1}}
    ]


def test_gauges_of_rows() -> None:
    """What is known stands there once, with the instance among its labels; what is not is left out."""
    found = {gauge.name: values for gauge, values in labelled([{"instance": "test", **ROW}])}
    who = ("canvas_instance", "test")
    assert found == {
        "queue_imports": [((who, ("state", "waiting")), 2.0), ((who, ("state", "running")), 1.0)],
        "queue_oldest_wait_seconds": [((who,), 750.5)],
        "queue_wait_seconds": [((who, ("statistic", "median")), 60.0), ((who, ("statistic", "max")), 3600.0)],
        "queue_run_seconds": [],
    }
    assert [gauge.name for gauge in GAUGES] == list(found)


def test_a_run_tells_its_queues(tmp_path: Path) -> None:
    """The report's JSON is as its schema says, and the same numbers stand in its table and in the text for Prometheus."""
    made = material(queued(tmp_path))
    schema = json.loads((Path(__file__).parents[1] / "probes" / "schemas" / "report-1.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(made.document)) == []
    assert [{key: row[key] for key in ROW} for row in made.document["queues"]] == [ROW]
    assert tables(made.document)["queues"].rows[0]["max_wait_s"] == 3600.0
    lines = [line for line in textfile(made).splitlines() if line.startswith("canvas_probe_run_queue")]
    assert lines == [
        'canvas_probe_run_queue_imports{canvas_instance="test",state="waiting"} 2',
        'canvas_probe_run_queue_imports{canvas_instance="test",state="running"} 1',
        'canvas_probe_run_queue_oldest_wait_seconds{canvas_instance="test"} 750.5',
        'canvas_probe_run_queue_wait_seconds{canvas_instance="test",statistic="median"} 60',
        'canvas_probe_run_queue_wait_seconds{canvas_instance="test",statistic="max"} 3600',
    ]


def test_the_exporter_tells_the_newest_run_that_looked(tmp_path: Path) -> None:
    """A newer run without a queue does not hide the older one's; an instance that is not configured is left out."""
    older, newer = queued(tmp_path), tmp_path / "29991231-000000-run-zzzz"
    (older.folder / "report.json").write_text(json.dumps(material(older).document), encoding="utf-8")
    newer.mkdir()
    (newer / "manifest.json").write_text(json.dumps({"instances": [{"name": "test"}]}), encoding="utf-8")
    (newer / "report.json").write_text(json.dumps({"queues": [{"instance": "gone", **ROW}]}), encoding="utf-8")
    samples = [sample for family in Newest(tmp_path, lambda: ["test"]).collect() for sample in family.samples]
    assert {(s.name, *s.labels.values()): s.value for s in samples if "queue" in s.name} == {
        ("canvas_probe_run_queue_imports", "test", "waiting"): 2.0,
        ("canvas_probe_run_queue_imports", "test", "running"): 1.0,
        ("canvas_probe_run_queue_oldest_wait_seconds", "test"): 750.5,
        ("canvas_probe_run_queue_wait_seconds", "test", "median"): 60.0,
        ("canvas_probe_run_queue_wait_seconds", "test", "max"): 3600.0,
    }
