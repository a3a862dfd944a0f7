"""`probes demo`, small: three simulated instances over TCP, measured, compared, reported."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jsonschema
import pytest

from probes.cli import main
from probes.findings import Finding, Severity
from probes.jobs import demo as job
from probes.jobs.session import Settings
from probes.runs import Run

SCHEMA = json.loads((Path(job.__file__).parents[1] / "schemas" / "report-1.json").read_text(encoding="utf-8"))
SMALL = job.Size(("reach", "latency"), repeat=2, pairs=4, rate_budget=46, confirmed=False)


def entry(**more: Any) -> dict[str, Any]:
    safe = {"rate_per_s": {"value": 12.0, "low": 11.5, "high": 12.5, "n": 90}, "in_flight": 9, "bound_by": "outflow"}
    return {"instance": "beta", "regime": "headers", "safe": safe, "confirmed": None, **more}


@pytest.mark.untraced
@pytest.mark.slow
def test_the_command(tmp_path: Path, drawing: None) -> None:
    """The command, small: exit 0, a report document by its schema, three buckets identified, everything in one run folder, read-only."""
    out, err, code = StringIO(), StringIO(), 0
    argv = ["probes", "demo", "--out", str(tmp_path), "--json"]
    with patch.object(sys, "argv", argv), patch.object(job.demo, "__defaults__", (SMALL,)), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    assert code == 0, err.getvalue()
    document = json.loads(out.getvalue())
    jsonschema.validate(document, SCHEMA)
    assert [rate["instance"] for rate in document["rates"]] == ["test", "beta", "sandbox"]
    for rate in document["rates"]:
        assert rate["bucket"]["high_water_mark"]["value"] == pytest.approx(600.0, rel=0.01), rate["instance"]
        assert rate["bucket"]["up_front_cost"]["value"] == pytest.approx(50.0, rel=0.01), rate["instance"]
    assert {(pair["a"], pair["b"]) for pair in document["comparisons"]} == {("test", "beta"), ("test", "sandbox"), ("beta", "sandbox")}
    (folder,) = tmp_path.iterdir()
    run = Run.open(folder)
    assert run.manifest["ended"] == "done"
    assert {o.method for o in run.observations()} == {"GET"}
    assert "throttled" not in {o.outcome for o in run.observations()}
    assert (folder / "report.html").is_file()
    assert {"safe-rate", "tank", "latency"} <= {path.stem for path in (folder / "charts").iterdir()}
    assert err.getvalue().startswith("Starting three simulated instances: test, beta and sandbox.\n")


class Interrupting(Settings):
    """Ctrl-C comes when the second scenario begins."""

    def say(self, text: str) -> None:
        """Talk that goes nowhere."""
        if text.startswith("latency: "):
            os.kill(os.getpid(), signal.SIGINT)


def test_interrupted(tmp_path: Path) -> None:
    """With --json an interrupt ends the asking only: the document of what was seen, and the run knows."""
    told, interrupt = job.demo(Interrupting(out=tmp_path, as_json=True), SMALL)
    jsonschema.validate(told.document, SCHEMA)
    assert isinstance(interrupt, KeyboardInterrupt)
    (folder,) = tmp_path.iterdir()
    run = Run.open(folder)
    assert (run.manifest["ended"], {o.scenario for o in run.observations() if o.ok}) == ("interrupted", {"reach"})
    assert {finding.instance for finding in told.findings if finding.kind == "answers"} == {"test", "beta", "sandbox"}


def test_instances_end_with_the_block() -> None:
    """Three instances answer within the block, under the names that the comparison uses; only the last may be loaded."""
    import httpx

    with job.instances() as served:
        told = [(one.name, one.kind.value, one.allow_load) for one in served]
        urls = [one.url for one in served]
        statuses = [httpx.get(f"{url}/_simulator/count").status_code for url in urls]
    assert told == [("test", "test", False), ("beta", "beta", False), ("sandbox", "sandbox", True)]
    assert statuses == [200, 200, 200]
    with pytest.raises(httpx.ConnectError):
        httpx.get(urls[0])


def test_lines() -> None:
    """One line an instance: the rate that is recommended, in flight, what binds, and how it was confirmed; or why there is none."""
    assert job._line(entry()) == "  beta      11.5 calls/s, 9 in flight, bound by outflow"
    confirmed = {"calls": 652, "refused": 0}
    assert job._line(entry(confirmed=confirmed)).endswith("bound by outflow; 652 calls by Locust, 0 refused")
    assert job._line(entry(safe=None)) == "  beta     unknown (headers)"
    assert job._line(entry(safe={"rate_per_s": None, "in_flight": 11})) == "  beta     no limit at any rate, 11 in flight"


def test_text(tmp_path: Path) -> None:
    """The answers first, what deserves attention, then where the report is and what to do next."""
    run = Run.create(tmp_path, ["demo"], [])
    found = [Finding("slow", Severity.WARNING, "test", "Slow.", (), "Wait."), Finding("safe_rate", Severity.INFO, "beta", "Fine.")]
    assert job.text(run, [entry()], found).splitlines() == [
        "",
        "How fast may a job of 1,000 calls go?",
        "  beta      11.5 calls/s, 9 in flight, bound by outflow",
        "",
        "What deserves attention:",
        "  warning  test: Slow.",
        "    Wait.",
        "",
        f"Report: {run.folder / 'report.html'}",
        f"Next: probes plan {run.folder} -i sandbox --calls 10000",
    ]
    assert "What deserves attention:" not in job.text(run, [entry()], found[1:])


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A results folder that cannot be made ends it before anything is asked."""
    from probes.errors import RunFolderError

    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RunFolderError):
        job.demo(Settings(out=tmp_path / "file", quiet=True), SMALL)
