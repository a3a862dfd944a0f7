from __future__ import annotations

import csv
import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from report_data import SELF, full_run, instance, latency, observed, overlapping, pages, pair, rate, small_run
from typer.testing import CliRunner

from probes import report
from probes.cli import app
from probes.errors import RunFolderError, UsageError
from probes.jobs import report as job
from probes.jobs.session import Settings
from probes.observation import Outcome, plain
from probes.report import latencies, tables
from probes.report.tables import Table
from probes.runs import Run

SCHEMAS = Path(__file__).parent.parent / "probes" / "schemas"
DATA = Path(__file__).parent / "data" / "report"


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}-1.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return full_run(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def told(full: Run) -> dict[str, Any]:
    return report.document(full)


def made(place: Path, *lines: str, **facts: Any) -> Run:
    run = Run.create(place, ["run"], [instance("beta")])
    run.append_lines(lines)
    run.note(**facts)
    return run


def texts(value: Any) -> Iterator[str]:
    """Every text in a document."""
    if isinstance(value, dict):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


def test_the_document_keeps_its_schema(told: dict[str, Any], full: Run) -> None:
    """`probes.report/1`, the manifest and a line of every kind are as their published schemas say."""
    jsonschema.validate(json.loads(json.dumps(told)), schema("report"))
    jsonschema.validate(full.manifest, schema("run"))
    line = jsonschema.Draft202012Validator(schema("observation"))
    shapes = {
        (o.scenario, o.outcome, *sorted(o.facts), *(key for key, value in o.facts.items() if value is None)): o for o in full.observations()
    }
    assert {key[0] for key in shapes} == {"latency", "throttling", "pagination", "load"}
    for observation in shapes.values():
        line.validate(json.loads(observation.line()))


def test_one_line_for_each_instance(told: dict[str, Any]) -> None:
    """Rate (the recommended, rounded down), in flight, what binds, and how much slower than the fastest."""
    assert [one["says"] for one in told["answers"]] == [
        "test: 12.5 calls/s, 9 in flight, bound by reservations; 1.8 times slower than sandbox",
        "beta: 17 calls/s, 10 in flight, bound by reservations; 1.4 times slower than sandbox",
        "sandbox: 23.1 calls/s, 11 in flight, bound by outflow",
    ]


def test_latency_is_traced_to_its_observations(told: dict[str, Any], full: Run) -> None:
    """The lines and field values of a row pick out exactly the observations that make its median again."""
    row = next(row for row in told["latency"] if row["instance"] == "beta" and row["call"] == SELF)
    where = row["source"]["where"]
    picked = [
        (number, o)
        for number, o in full.numbered()
        if o.instance == where["instance"]
        and o.scenario == where["scenario"]
        and o.call == where["call"]
        and o.ok
        and not o.facts.get("cold")
    ]
    times = [o.latency_s for _, o in picked if o.latency_s is not None]
    assert row["n"] == len(times) == row["source"]["n"] == 79
    assert row["p50_s"] == pytest.approx(float(np.median(times)), rel=1e-5)
    assert row["source"]["lines"] == [picked[0][0], picked[-1][0]]
    middle = dict(picked)[row["source"]["median_line"]]
    assert middle.latency_s == pytest.approx(row["p50_s"], rel=1e-5)
    assert (row["failed"], row["refused"]) == (2, 0)


@pytest.mark.parametrize(
    ("n", "carried"), [(5, []), (6, ["p50_s"]), (71, ["p50_s"]), (72, ["p50_s", "p95_s"]), (368, ["p50_s", "p95_s", "p99_s"])]
)
def test_no_percentile_that_n_cannot_carry(tmp_path: Path, n: int, carried: list[str]) -> None:
    """A median needs 6, a 95th percentile 72, a 99th 368 observations; below that they are null."""
    run = made(tmp_path, *(observed("beta", "latency", float(number), flight_s=0.1 + number / 1000).line() for number in range(n)))
    (row,) = report.document(run)["latency"]
    assert [name for name in ("p50_s", "p95_s", "p99_s") if row[name] is not None] == carried


def test_calls_made_alone_tell_the_latency_best(tmp_path: Path) -> None:
    """A call asked by `latency` and under load is told from `latency`; one seen under load only from there; cold calls do not count."""
    lines = [observed("beta", "load", float(n), flight_s=3.0).line() for n in range(20)]
    lines += [observed("beta", "latency", 30.0 + n, flight_s=0.2, late_s=0.0, facts={"cold": n < 4}).line() for n in range(10)]
    lines += [observed("beta", "load", 50.0 + n, call="GET /b", flight_s=1.0, late_s=0.0).line() for n in range(6)]
    found = [(row["call"], row["scenario"], row["n"], row["p50_s"]) for row in report.document(made(tmp_path, *lines))["latency"]]
    assert found == [(SELF, "latency", 6, 0.2), ("GET /b", "load", 6, 1.0)]


def test_pagination_of_each_list(told: dict[str, Any]) -> None:
    """Default and greatest size, style, `last`, total, and what each size costs."""
    rows = [row for row in told["pagination"] if row["instance"] == "test"]
    keys = ("call", "default_per_page", "max_per_page", "style", "has_last", "total")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        ("GET /api/v1/courses", 10, 100, "link", True, 430),
        ("GET /api/v1/courses/1/enrollments", 10, 50, "bookmark", False, None),
    ]
    assert [(size["items"], size["pages"], size["n"]) for size in rows[0]["sizes"]] == [(1, 430, 4), (10, 43, 4), (50, 9, 3), (100, 5, 4)]
    assert rows[0]["sizes"][3]["whole_s"] == pytest.approx(5 * rows[0]["sizes"][3]["page_s"], rel=1e-4)
    assert rows[0]["sizes"][3]["item_s"] == pytest.approx(rows[0]["sizes"][3]["page_s"] / 100, rel=1e-4)


def test_the_greatest_size_is_unknown_until_it_was_asked_for(tmp_path: Path) -> None:
    """Sizes of 10 and 50 say nothing of the most; garbage in the facts is not a number."""
    facts = {"list": "/a", "items": 50, "per_page": 50, "per_page_asked": 50, "style": "link", "has_last": True}
    lines = [observed("beta", "pagination", 1.0, call="GET /a?per_page=50", facts=facts).line()]
    lines.append(
        observed("beta", "pagination", 2.0, call="GET /a", facts={**facts, "per_page_asked": None, "per_page": True, "total": "7"}).line()
    )
    (row,) = report.document(made(tmp_path, *lines))["pagination"]
    assert (row["default_per_page"], row["max_per_page"], row["total"]) == (None, None, None)


def test_outcomes_and_what_was_spent(tmp_path: Path) -> None:
    """Counted by instance, the most frequent first; spent comes from the observations where no job said it."""
    lines = [observed("beta", "latency", float(n), outcome=Outcome.THROTTLED, status=429).line() for n in range(3)]
    told = report.document(made(tmp_path, *lines, observed("beta", "latency", 3.0, late_s=0.0, flight_s=0.5).line()))
    assert told["outcomes"] == {"beta": {"throttled": 3, "ok": 1}}
    assert told["spent"] == {"requests": 4, "refused": 3, "seconds": 3.5}


def test_findings_are_not_doubled(full: Run, told: dict[str, Any]) -> None:
    """A finding that a job noted and the rules make again is told once, the gravest first."""
    count = len(told["findings"])
    again = Run(full.folder, {**full.manifest, "findings": told["findings"][:5]})
    found = report.document(again)["findings"]
    assert len(found) == count == len({(one["kind"], one["instance"], one["says"]) for one in found})
    older = [{**one, "says": f"{one['says']} In the words of an earlier version."} for one in told["findings"][:5]]
    assert report.document(Run(full.folder, {**full.manifest, "findings": older}))["findings"] == found
    ranks = [("error", "warning", "info").index(one["severity"]) for one in found]
    assert ranks == sorted(ranks)


@pytest.mark.untraced
def test_rates_are_inferred_where_no_job_noted_them(tmp_path: Path) -> None:
    """From overlapping calls through Canvas's bucket its constants come out again; an empty list that a job noted stays empty."""
    run = made(tmp_path, *(o.line() for o in overlapping("beta", random.Random(1), rates=(6, 9))))
    (found,) = report.document(run)["rates"]
    assert found["instance"] == "beta"
    assert found["bucket"]["high_water_mark"]["value"] == pytest.approx(600.0, rel=0.01)
    assert found["bucket"]["up_front_cost"]["value"] == pytest.approx(50.0, rel=0.02)
    assert report.document(Run(run.folder, {**run.manifest, "rates": []}))["rates"] == []


def test_half_a_run(tmp_path: Path, full: Run) -> None:
    """Killed in the middle of a line, with a manifest that says nothing of an end: everything until then is told, and that it ended so."""
    half = made(tmp_path, rates=[])
    data = (full.folder / "observations.jsonl").read_bytes()
    (half.folder / "observations.jsonl").write_bytes(data[: len(data) // 4])
    told = report.document(half)
    assert told["observations"] == data[: len(data) // 4].count(b"\n")
    assert told["notes"] == [
        "The run did not end by itself (it was killed, or it is still going on): this is what it had measured by then.",
        "The last line is cut short and does not count.",
    ]


def test_a_run_that_failed(tmp_path: Path) -> None:
    """An end that is a sentence of its own keeps its one full stop."""
    run = made(tmp_path)
    run.finish("failed: Instance 'beta' takes its token from T, which is not set: export it first.")
    ended = "The run did not end as planned: failed: Instance 'beta' takes its token from T, which is not set: export it first."
    assert report.document(run)["notes"][0] == ended


def test_an_empty_run(tmp_path: Path) -> None:
    """Every format can be written of a run without an observation, and the notes say that there is none."""
    run = made(tmp_path)
    run.finish("interrupted")
    paths = report.write(run, report.FORMATS)
    assert sorted(path.name for path in paths) == ["report.html", "report.json", "report.md", "report.om", "report.prom", "report.xlsx"]
    assert report.document(run)["notes"] == [
        "The run did not end as planned: interrupted.",
        "There is no observation: nothing was asked, or nothing was written.",
    ]
    assert report.document(run)["answers"][0]["says"] == "beta: was not asked"


def test_a_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    """The observations alone make a report; the instance's name comes from them."""
    run = made(tmp_path, *(observed("beta", "latency", float(n)).line() for n in range(8)))
    (run.folder / "manifest.json").write_text("{ half a", encoding="utf-8")
    told = report.document(Run.open(run.folder))
    assert told["answers"][0]["says"] == "beta: safe rate not measured, 8 of 8 calls answered as asked, median 0.30 s"
    assert "The manifest cannot be read: times are seconds since the run's start, whenever that was." in told["notes"]


@pytest.mark.untraced
def test_a_manifest_of_strange_shapes(tmp_path: Path) -> None:
    """Whatever a manifest holds, the report of the observations is told; what the rules cannot judge is said."""
    strange: dict[str, Any] = {
        "rates": [3, {"instance": "beta", "call": "c", "safe": {"rate_per_s": {"low": 1.0}}, "bucket": "x"}],
        "comparisons": [{"a": 1}, {"a": "x", "b": "y", "call": "z"}],
        "loads": [{"requests": 1}, {"requests": "x", "offered_per_s": 3.0, "latency_s": {"p50": "x"}}],
        "plans": [{"strategies": [1, {"name": "x"}]}],
        "diagnosis": [{"instance": "beta", "causes": [{"kind": "dns", "says": "x"}]}],
        "findings": [{"kind": "a", "severity": "grave", "instance": "b", "says": "c"}, "d"],
        "spent": [1],
        "command": "run",
        "instances": ["beta"],
    }
    run = made(tmp_path, *(observed("beta", "latency", float(n)).line() for n in range(8)), **strange)
    report.write(run, ("html", "md", "json", "csv"), charts=False)
    told = report.document(run)
    assert told["rates"][0]["safe"] is None
    assert told["findings"] == []
    assert told["notes"][1].startswith("Something in this run has a shape that the rules do not know")


@pytest.mark.parametrize(
    ("outcomes", "regime", "says"),
    [
        ([Outcome.UNAUTHORIZED] * 7, None, "beta: none of 7 calls was answered as asked (unauthorized 7)"),
        ([Outcome.OK] * 3, "unthrottled", "beta: no sign of a limit up to the ceilings, 3 of 3 calls answered as asked"),
        (
            [Outcome.OK] * 2 + [Outcome.READ_TIMEOUT],
            "not_enforced",
            "beta: its limit is counted, not enforced, 2 of 3 calls answered as asked",
        ),
    ],
)
def test_answers_without_a_rate(tmp_path: Path, outcomes: list[Outcome], regime: str | None, says: str) -> None:
    """Where there is no safe rate the line says what there is."""
    rates = [] if regime is None else [{"instance": "beta", "call": SELF, "regime": regime, "safe": None}]
    run = made(tmp_path, *(observed("beta", "reach", float(n), outcome=outcome).line() for n, outcome in enumerate(outcomes)), rates=rates)
    assert report.document(run)["answers"][0]["says"] == says


def test_slower_by_medians_whose_intervals_are_apart(tmp_path: Path) -> None:
    """Without a comparison in blocks an instance is called slower only where the intervals of the medians do not meet."""
    run = Run.create(tmp_path, ["run"], [instance("a"), instance("b"), instance("c")])
    speeds = {"a": 0.2, "b": 0.4, "c": 0.202}
    run.append_lines(
        observed(name, "latency", float(n), flight_s=flight + 0.001 * n).line() for n in range(12) for name, flight in speeds.items()
    )
    assert [one["slower"] for one in report.document(run)["answers"]] == [None, "2.0 times slower than a", None]


def test_what_to_do_next(tmp_path: Path) -> None:
    """Failures are diagnosed first, then rates measured or confirmed, a job planned, instances compared, runs put side by side."""
    lines = [observed("test", "latency", float(n), outcome=Outcome.SERVER_ERROR, status=500).line() for n in range(3)]
    run = Run.create(tmp_path, ["run"], [instance("test"), instance("beta")])
    run.append_lines([*lines, observed("beta", "latency", 5.0).line()])
    run.note(rates=[{**rate("beta", 17.9, 10), "confirmed": None}])
    assert [step["command"] for step in report.document(run)["next"]] == [
        "probes diagnose -i test",
        f"probes rate -i beta --call '{SELF}' --confirm",
        f"probes plan {run.folder} -i beta --calls 12000",
        "probes compare -i test -i beta",
        f"probes history {tmp_path}",
    ]
    run.note(rates=[{**rate("beta", 17.9, 10), "confirmed": None, "call": "mix of 2 calls: 75 % GET /a, 25 % GET /b", "mix": {}}])
    assert report.document(run)["next"][1]["command"] == "probes rate -i beta --calls-file FILE --confirm"


def test_after_a_demo(tmp_path: Path) -> None:
    """No step asks an instance of a demo, which is gone: one's own Canvas is to be named, and a job can be planned by the run."""
    run = Run.create(tmp_path, ["demo"], [instance("test"), instance("sandbox")])
    run.append(observed("test", "latency", 1.0, outcome=Outcome.SERVER_ERROR, status=500))
    run.note(rates=[{**rate("test", 9.7, 4), "confirmed": None}, {**rate("sandbox", 31.1, 11), "confirmed": None}])
    steps = report.document(run)["next"]
    assert [step["command"] for step in steps] == [
        "probes run reach latency pagination -i default",
        "probes rate -i default --call 'GET /api/v1/users/self' --job 1000",
        f"probes plan {run.folder} -i sandbox --calls 12000",
    ]
    assert steps[0]["says"].startswith("The instances of this demo are gone. Name your own Canvas by CANVAS_API_URL and CANVAS_API_TOKEN")


def test_phases_need_some_cold_calls(told: dict[str, Any], tmp_path: Path) -> None:
    """Medians of each phase for cold and warm connections; two cold calls are too few to tell."""
    row = next(row for row in told["phases"] if row["instance"] == "beta" and row["connection"] == "cold")
    assert (row["n"], row["connect_s"], row["tls_s"]) == (9, 0.018, 0.027)
    run = made(tmp_path, *(observed("beta", "latency", float(n), facts={"cold": n < 2}).line() for n in range(9)))
    assert [(row["connection"], row["n"]) for row in report.document(run)["phases"]] == [("warm", 7)]


def test_the_whole_markdown(tmp_path: Path) -> None:
    """The text of a small run, every character of it."""
    run = small_run(tmp_path)
    report.write(run, ("md",), charts=False)
    text = (run.folder / "report.md").read_text(encoding="utf-8").replace(str(tmp_path), "results")
    assert text == (DATA / "small.md").read_text(encoding="utf-8")


@pytest.mark.untraced
def test_files_of_every_format(tmp_path: Path) -> None:
    """Each format writes its file, csv one for each table, charts are PNG; JSON is the document."""
    full = full_run(tmp_path, ("beta",))
    paths = report.write(full, report.FORMATS)
    names = {str(path.relative_to(full.folder)) for path in paths}
    assert {
        "report.html",
        "report.md",
        "report.json",
        "report.xlsx",
        "report.om",
        "report.prom",
        "csv/latency.csv",
        "csv/pagination.csv",
    } <= names
    assert {f"charts/{name}.png" for name in ("latency", "tank", "safe-rate", "page-sizes")} <= names
    assert json.loads((full.folder / "report.json").read_text(encoding="utf-8")) == plain(report.document(full))
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in paths if path.suffix == ".png")
    with zipfile.ZipFile(full.folder / "report.xlsx") as book:
        assert 'name="Safe rates"' in book.read("xl/workbook.xml").decode()
        made_at = f"{full.manifest['started_at'][:19]}Z</dcterms:created>"
        assert made_at in book.read("docProps/core.xml").decode()


def test_intervals_become_columns(full: Run) -> None:
    """In CSV an interval is three columns, the source two, a unit stands in the name; the values are those of the document."""
    report.write(full, ("csv",), charts=False)
    with (full.folder / "csv" / "latency.csv").open(encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["instance"] == "beta" and row["call"] == SELF)
    told = next(row for row in report.document(full)["latency"] if row["instance"] == "beta" and row["call"] == SELF)
    assert float(row["p50_s"]) == told["p50_interval"]["value"]
    assert float(row["p50_s_low"]) == told["p50_interval"]["low"]
    assert [int(row["first_line"]), int(row["last_line"])] == told["source"]["lines"]
    assert row["p99_s"] == ""
    with (full.folder / "csv" / "rates.csv").open(encoding="utf-8", newline="") as file:
        assert {"recommended_per_s", "rate_per_s", "rate_per_s_low", "rate_per_s_high"} < set(next(csv.reader(file)))


def test_a_cell_is_never_a_formula(tmp_path: Path) -> None:
    """Text from a server that a spreadsheet would run gets a quote before it."""
    lines = [observed("beta", "latency", float(n), call="=cmd|' /C calc'!A0").line() for n in range(6)]
    run = made(tmp_path, *lines)
    report.write(run, ("csv",), charts=False)
    assert ",'=cmd" in (run.folder / "csv" / "latency.csv").read_text(encoding="utf-8")


def test_no_token_in_any_file(tmp_path: Path) -> None:
    """What has the shape of a token is left out of every text file, wherever it came from."""
    token = "7~" + "aB3" * 20
    finding = {"kind": "a", "severity": "error", "instance": "beta", "says": f"it said {token}", "evidence": [token], "advice": ""}
    run = made(tmp_path, observed("beta", "latency", 1.0).line())
    told = Run(run.folder, {**run.manifest, "findings": [finding]})
    for path in report.write(told, ("html", "md", "json", "csv"), charts=False):
        assert token not in path.read_text(encoding="utf-8")


def test_an_unknown_format(full: Run) -> None:
    """It is refused with the names of those that exist, before anything is written."""
    with pytest.raises(
        UsageError, match=r"^'pdf' is not a format of reports: use one or more of html, md, json, csv, xlsx, openmetrics, textfile"
    ):
        report.write(full, ("html", "pdf"))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """One sentence that names the file."""
    run = made(tmp_path, observed("beta", "latency", 1.0).line())
    (run.folder / "report.md").mkdir()
    with pytest.raises(RunFolderError, match=r"report\.md cannot be written: Is a directory\.$"):
        report.write(run, ("md",), charts=False)
    (run.folder / "charts").write_text("in the way", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"charts/\S+\.png cannot be written: "):
        report.write(made_again(run), ("json",))
    assert (run.folder / "report.json").is_file(), "what can be written is"


def test_telling_a_run_whose_folder_is_full(tmp_path: Path) -> None:
    """What `probes report` cannot write it says after the text, with exit 1; the other files are there."""
    run = made(tmp_path, observed("beta", "latency", 1.0).line())
    (run.folder / "report.html").mkdir()
    told = job.report(Settings(quiet=True), run.folder, None, charts=False)
    assert told.unkept == f"{run.folder / 'report.html'} cannot be written: Is a directory."
    assert told.text.startswith("beta: ")
    assert (run.folder / "report.json").is_file()
    ended = CliRunner().invoke(app, ["report", str(run.folder), "--no-charts", "--quiet"])
    assert (ended.exit_code, ended.stdout.startswith("beta: "), str(ended.exception)) == (1, True, told.unkept)


def made_again(run: Run) -> Run:
    run.append_lines(o.line() for o in pages("beta", random.Random(1)))
    return run


def test_rows_left_out_are_counted(tmp_path: Path) -> None:
    """Of a call that was asked often enough and two that were not one row is shown: of three, and why."""
    run = Run.create(tmp_path, ["run"], [instance("beta")])
    run.append_lines(observed("beta", "latency", float(n)).line() for n in range(8))
    run.append_lines(observed("beta", "latency", 9.0 + n, call=f"GET /{n}").line() for n in range(2))
    told = "1 of 3 rows; of 2 others too few calls were made for a median"
    latency = tables.tables(report.document(run))["latency"]
    assert (latency.shortened(1).left_out, latency.shortened(40).hidden) == (told, 2)
    assert Table("a", "A", (), tuple({"p50_s": 1.0} for _ in range(5))).shortened(2).left_out == "2 of 5 rows, the first ones"


def test_cells() -> None:
    """Values as people read them; the low end of a rate is the recommended one and so rounded down as that is."""
    number = {"value": 0.5234, "low": 0.4, "high": 0.61, "n": 9}
    assert tables.cell(number, "seconds_interval") == "0.52 s (0.40 s–0.61 s)"  # noqa: RUF001
    rate = {"value": 23.4487, "low": 22.5582, "high": 25.258, "n": 9}
    assert tables.cell(rate, "rate_interval") == "23.4 (22.5–25.3)"  # noqa: RUF001
    assert tables.cell(rate["low"], "rate") == "22.5"
    assert tables.cell({**number, "value": 1234.5}, "interval") == "1,234 (0.4–0.61)"  # noqa: RUF001
    assert [
        tables.cell(value, kind)
        for value, kind in ((None, "count"), ("x", "interval"), (True, "truth"), (0.0001, "share"), (0.05, "share"))
    ] == [
        "\N{EN DASH}",
        "\N{EN DASH}",
        "yes",
        "below 0.1 %",
        "5 %",
    ]
    assert [tables.cell(value, kind) for value, kind in ((12345, "count"), (0.25, "seconds"), ("a", "number"), (1.5, "text"))] == [
        "12,345",
        "0.25 s",
        "a",
        "1.5",
    ]


def test_the_command_tells_the_first_screen(full: Run) -> None:
    """`probes report RUN`: the answers first on stdout, then warnings, what is next, where the page is; talk on stderr."""
    done = CliRunner().invoke(app, ["report", str(full.folder), "--no-charts", "--format", "md,json"])
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0] == "test: 12.5 calls/s, 9 in flight, bound by reservations; 1.8 times slower than sandbox"
    assert lines[-2:] == [f"Report: {full.folder / 'report.md'}", f"Report: {full.folder / 'report.json'}"]
    assert f"Wrote {full.folder / 'report.json'}" in done.stderr


def test_the_command_prints_the_document(full: Run) -> None:
    """`--json`: one document on stdout, nothing written; `--fail-on warning` makes it exit 3."""
    before = sorted(full.folder.rglob("*"))
    done = CliRunner().invoke(app, ["report", str(full.folder), "--json", "--fail-on", "warning"])
    assert done.exit_code == 3
    jsonschema.validate(json.loads(done.stdout), schema("report"))
    assert sorted(full.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "nowhere"], "nowhere is not a run folder: there is no such folder."),
        (["report", "{run}", "--format", "pdf"], "'pdf' is not a format of reports"),
        (["report", "{run}", "--format", ","], "--format names no format."),
    ],
)
def test_what_the_command_refuses(full: Run, words: list[str], message: str) -> None:
    """One sentence; nothing is told."""
    done = CliRunner().invoke(app, [word.format(run=full.folder) for word in words])
    assert str(done.exception).startswith(message)


def test_best_sources_are_scenarios_or_jobs() -> None:
    """The names by which latency is chosen are those that observations carry."""
    from probes.scenarios import names

    assert set(latencies.BEST_SOURCES) - set(names()) <= {"compare", "diagnose", "rate", "confirm", "load"}


def test_a_run_of_two_calls_tells_the_tightest(tmp_path: Path) -> None:
    """With several rates the line is that of the lowest, and says so; a comparison counts only where it differs."""
    rates = [rate("beta", 17.9, 10), rate("beta", 3.1, 4, "outflow", "GET /dear")]
    run = made(tmp_path, *(o.line() for o in latency("beta", random.Random(2), 20)), rates=rates)
    run.note(comparisons=[{**pair("beta", "x", 1.7), "differs": False}])
    assert report.document(run)["answers"][0]["says"] == "beta: 2.94 calls/s, 4 in flight, bound by outflow, the tightest of 2 calls"


def test_a_plan_that_is_none(tmp_path: Path) -> None:
    """What somebody wrote into a manifest in place of a plan is left out of the tables."""
    run = Run.create(tmp_path, ["plan"], [instance("test")])
    run.append_lines([observed("test", "latency", 0.0).line()])
    run.note(plans=[{"strategies": None}, {"strategies": ["even"]}, {}])
    assert "plans" not in tables.tables(report.document(run))
