from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from report_data import SELF, instance, observed, rate
from typer.testing import CliRunner

from probes import history, report
from probes.cli import app
from probes.errors import RunFolderError
from probes.history import Key, Point, Series
from probes.runs import Run

SCHEMA = json.loads((Path(__file__).parent.parent / "probes" / "schemas" / "history-1.json").read_text(encoding="utf-8"))


def one_run(out: Path, day: int, median_s: float, seed: int, greatest: int = 100, safe: float = 17.9) -> Run:
    """A day's run: forty calls, a list, a rate."""
    source = random.Random(seed)
    run = Run.create(out, ["run"], [instance("beta")])
    calls = [observed("beta", "latency", float(n), late_s=0.0, flight_s=median_s * source.lognormvariate(0, 0.25)) for n in range(40)]
    run.append_lines(o.line() for o in calls)
    facts = {"list": "/a", "items": greatest, "per_page": greatest, "per_page_asked": 100_000, "style": "link", "has_last": True}
    run.append(observed("beta", "pagination", 60.0, call="GET /a?per_page=100000", facts=facts))
    run.note(started_at=f"2026-11-{day:02d}T06:00:00.000+00:00", rates=[rate("beta", safe, 10)])
    run.finish("done")
    return run


def series(*values: tuple[float, float], exact: bool = False) -> Series:
    """A series of (value, relative half-width of its interval)."""
    points = [
        Point(f"run{n}", f"2026-11-{n + 1:02d}T06:00:00+00:00", value, value * (1 - half), value * (1 + half), 40)
        for n, (value, half) in enumerate(values)
    ]
    return Series(Key("max_per_page" if exact else "median_s", "beta", "GET /a"), points)


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        ([(0.40, 0.1), (0.42, 0.1), (0.39, 0.1), (0.41, 0.1)], []),
        ([(0.40, 0.1), (0.42, 0.1), (0.39, 0.1), (0.80, 0.1), (0.78, 0.1)], [3]),
        ([(0.40, 0.1), (0.80, 0.1), (0.41, 0.1)], []),
        ([(0.40, 0.1)] * 6 + [(0.80, 0.1)] * 3 + [(0.41, 0.1)] * 6, [6, 9]),
        ([(0.40, 0.5), (0.60, 0.5)], []),
        ([(0.40, 0.001), (0.42, 0.001)], []),
        ([(0.40, 0.001), (0.48, 0.001)], []),
        ([(0.40, 0.001), (0.80, 0.001)], []),
        ([(0.40, 0.001), (0.80, 0.001), (0.81, 0.001)], [1]),
        ([(0.40, 0.001)] * 6 + [(0.48, 0.001)], [6]),
        ([(0.30, 0.01), (0.45, 0.01), (0.30, 0.01), (0.46, 0.01), (0.38, 0.01)], []),
        ([(0.0010, 0.01), (0.0018, 0.01)], []),
    ],
    ids=[
        "steady",
        "slower",
        "one-odd-run",
        "there-and-back",
        "wide-intervals",
        "within-the-least-noise",
        "two-runs-may-differ-so",
        "one-against-one",
        "one-against-two",
        "nor-do-seven-alike",
        "restless",
        "below-the-noise-floor",
    ],
)
def test_where_a_level_begins(values: list[tuple[float, float]], changes: list[int]) -> None:
    """A new level is what lies off the one before by more than intervals and the spread of runs explain at any place; less is noise."""
    assert series(*values).changes() == changes


def test_runs_that_differ_among_themselves_widen_the_noise() -> None:
    """Where runs of one level spread by 10 %, a run 20 % off is noise; where they agree to 1 %, it is a change."""
    restless = [(0.40, 0.01), (0.42, 0.01), (0.41, 0.01), (0.39, 0.01), (0.425, 0.01), (0.385, 0.01)]
    calm = [(0.40, 0.01), (0.401, 0.01), (0.402, 0.01), (0.399, 0.01), (0.40, 0.01), (0.401, 0.01)]
    assert series(*restless, (0.45, 0.01)).changes() == []
    assert series(*calm, (0.45, 0.01)).changes() == [6]


def test_counts_change_when_they_differ() -> None:
    """A page size has no noise: 100 and then 50 is a change."""
    assert series((100, 0), (100, 0), (50, 0), exact=True).changes() == [2]


@pytest.mark.parametrize("seed", range(6))
def test_noise_alone_is_no_change(tmp_path: Path, seed: int) -> None:
    """Eight runs of an instance that did not change: nothing changed."""
    for day in range(8):
        one_run(tmp_path, day + 1, 0.4, 100 * seed + day)
    assert history.document(tmp_path)["changes"] == []


def test_what_changed_and_since_when(tmp_path: Path) -> None:
    """A median that rose by half on the fifth, a page size that fell on the third, a rate that stayed; the document keeps its schema."""
    for day in range(1, 9):
        one_run(tmp_path, day, 0.4 if day < 5 else 0.6, day, 100 if day < 3 else 50)
    told = history.document(tmp_path)
    jsonschema.validate(json.loads(json.dumps(told)), SCHEMA)
    assert [run["started_at"][8:10] for run in told["runs"]] == [f"{day:02d}" for day in range(1, 9)]
    changed = {one["what"]: one["changes"] for one in told["series"] if one["changed"]}
    assert sorted(changed) == ["max_per_page", "median_s"]
    assert [change["since"][:10] for change in changed["median_s"]] == ["2026-11-05"]
    assert changed["max_per_page"][0]["says"] == (
        "beta, GET /a: greatest page size 100 before, 50 since 2026-11-03 06:00 UTC (n = 2 and 6 runs)."
    )
    assert told["changes"][0].startswith(f"beta, {SELF}, asked for latency: median time of a call 0.4")
    assert "since 2026-11-05 06:00 UTC, 1." in told["changes"][0]
    assert told["changes"][0].endswith("times (n = 4 and 4 runs).")


def test_a_report_that_stands_there_is_read(tmp_path: Path) -> None:
    """A report newer than the observations is taken as it is; an older one, or one of another version, is made again."""
    run = one_run(tmp_path, 1, 0.4, 1)
    one_run(tmp_path, 2, 0.4, 2)
    report.write(run, ("json",), charts=False)
    path = run.folder / "report.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    told["latency"][0]["p50_interval"]["value"] = 77.0
    path.write_text(json.dumps(told), encoding="utf-8")

    def first() -> Any:
        return next(one for one in history.document(tmp_path)["series"] if one["what"] == "median_s")["points"][0]["value"]

    assert first() == 77.0
    path.write_text(json.dumps({**told, "schema": "probes.report/0"}), encoding="utf-8")
    assert first() == pytest.approx(0.4, rel=0.2)
    path.write_text("{", encoding="utf-8")
    assert first() == pytest.approx(0.4, rel=0.2)


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    """A run without an observation, or without a start, does not count and is named with its reason; other folders are no runs."""
    one_run(tmp_path, 1, 0.4, 1)
    empty = Run.create(tmp_path, ["run"], [])
    startless = one_run(tmp_path, 2, 0.4, 2)
    (startless.folder / "manifest.json").write_text("{", encoding="utf-8")
    (tmp_path / "notes").mkdir()
    told = history.document(tmp_path)
    assert len(told["runs"]) == 1
    assert {one["run"]: one["why"] for one in told["skipped"]} == {
        str(empty.folder): "it holds no observation",
        str(startless.folder): "it does not say when it started",
    }


def test_a_folder_without_runs(tmp_path: Path) -> None:
    """One sentence that says what to name; so for what is no folder."""
    with pytest.raises(RunFolderError, match=r"holds no run that can be read: name the folder in which the run folders are, as results\.$"):
        history.document(tmp_path)
    with pytest.raises(RunFolderError, match=r"nowhere is not a folder: name the one"):
        history.document(tmp_path / "nowhere")


def test_the_command(tmp_path: Path) -> None:
    """`probes history DIR`: what changed, the numbers in 80 columns, where the page is; `--json` prints the document and writes nothing."""
    for day in range(1, 5):
        one_run(tmp_path, day, 0.4 if day < 3 else 0.7, day)
    document = CliRunner().invoke(app, ["history", str(tmp_path), "--json"])
    jsonschema.validate(json.loads(document.stdout), SCHEMA)
    assert not (tmp_path / "history.html").exists()
    done = CliRunner().invoke(app, ["history", str(tmp_path)])
    lines = done.stdout.splitlines()
    assert lines[0] == "4 runs from 2026-11-01 to 2026-11-04."
    assert lines[2].startswith(f"beta, {SELF}, asked for latency: median time of a call")
    table = lines[lines.index("") + 3 :]
    assert max(len(line) for line in table if not line.startswith("History")) <= 80
    assert lines[-1] == f"History: {tmp_path / 'history.html'}"
    assert json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))["schema"] == "probes.history/1"


def test_one_call_asked_for_several_things(tmp_path: Path) -> None:
    """The same call asked for by two scenarios is two rows, and the change of one names it: the other's did not change."""
    for day in range(1, 5):
        one_run(tmp_path, day, 0.4 if day < 3 else 0.8, day)
        run = Run.create(tmp_path, ["diagnose"], [instance("beta")])
        run.append_lines(observed("beta", "diagnose", float(n), flight_s=0.4 + n / 1000).line() for n in range(9))
        run.note(started_at=f"2026-11-{day:02d}T07:00:00.000+00:00")
    lines = CliRunner().invoke(app, ["history", str(tmp_path)]).stdout.splitlines()
    assert [line.split(":")[0] for line in lines if "before" in line] == [f"beta, {SELF}, asked for latency"]
    rows = [line.split() for line in lines if "median_s" in line]
    assert [(row[2], row[-1]) for row in rows] == [("latency", "yes"), ("diagnose", "no")]


def test_another_load_is_no_change(tmp_path: Path) -> None:
    """Loads of one rate, or of so many users, are a series of their own; a rate that was never tried is none."""
    for day, asked in enumerate((5.0, 5.0, 5.0, 60.0, 60.0, 60.0, None, None), 1):
        run = Run.create(tmp_path, ["load"], [instance("beta")])
        run.append_lines(observed("beta", "load", float(n), flight_s=0.4 if asked == 5.0 else 3.0).line() for n in range(9))
        untried = {**rate("beta", 5.0 if day < 4 else 20.0, 10), "signs": [{"kind": "untried", "says": "So."}]}
        load = {"instance": "beta", "asked_per_s": asked, "in_flight": 8, "requests": 9}
        run.note(started_at=f"2026-11-{day:02d}T07:00:00.000+00:00", loads=[load], rates=[untried])
    told = history.document(tmp_path)
    assert told["changes"] == []
    assert [(one["scenario"], one["how"], len(one["points"])) for one in told["series"]] == [
        ("load", "at 5/s", 3),
        ("load", "at 60/s", 3),
        ("load", "by 8 users", 2),
    ]


def test_two_runs_are_too_few_for_what_scatters(tmp_path: Path) -> None:
    """A median twice as long in the second of two runs is told as no change that two runs can show."""
    one_run(tmp_path, 1, 0.4, 1)
    one_run(tmp_path, 2, 0.8, 2)
    lines = CliRunner().invoke(app, ["history", str(tmp_path)]).stdout.splitlines()
    assert lines[2] == "Nothing changed that two runs can show: what scatters needs a third."


@pytest.mark.parametrize("when", ["yesterday", "", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59-23:00", "2026-11-03T06:00:00", 5])
def test_a_start_that_is_none(tmp_path: Path, when: object) -> None:
    """A run whose manifest, or report, names no point of time that can be reckoned with is left out, and the others are told."""
    for day in (1, 2):
        one_run(tmp_path, day, 0.4, day)
    odd = one_run(tmp_path, 3, 0.4, 3)
    odd.note(started_at=when)
    report.write(odd, ("json",), charts=False)
    for _ in ("by its manifest", "by its report"):
        done = CliRunner().invoke(app, ["history", str(tmp_path), "--json"])
        assert (done.exit_code, done.exception) == (0, None)
        told = json.loads(done.stdout)
        assert [run["started_at"][:10] for run in told["runs"]] == ["2026-11-01", "2026-11-02"]
        assert told["skipped"] == [{"run": str(odd.folder), "why": "it does not say when it started"}]
        told = json.loads((odd.folder / "report.json").read_text(encoding="utf-8"))
        (odd.folder / "report.json").write_text(json.dumps({**told, "started_at": when}), encoding="utf-8")


def test_folders_left_out(tmp_path: Path) -> None:
    """Several folders that are left out are counted, and why is said of one by its name."""
    one_run(tmp_path, 1, 0.4, 1)
    empty = sorted(Run.create(tmp_path, ["run"], [instance("beta")]).folder.name for _ in range(3))
    line = CliRunner().invoke(app, ["history", str(tmp_path)]).stdout.splitlines()[1]
    assert line == f"3 folders left out, {empty[0]} for one: it holds no observation."


def test_another_zone(tmp_path: Path) -> None:
    """A start told in another zone is put in order, and told, by UTC."""
    one_run(tmp_path, 3, 0.4, 1)
    one_run(tmp_path, 2, 0.4, 2).note(started_at="2026-11-03T07:30:00+02:00")
    assert [run["started_at"] for run in history.document(tmp_path)["runs"]] == [
        "2026-11-03T05:30:00.000+00:00",
        "2026-11-03T06:00:00.000+00:00",
    ]


def test_one_run_is_no_history(tmp_path: Path) -> None:
    """A single run is told as such, on the page as well, and the run folder itself may be named."""
    run = one_run(tmp_path, 1, 0.4, 1)
    done = CliRunner().invoke(app, ["history", str(run.folder)])
    assert "A change needs two runs." in done.stdout
    assert "there is one run, and a change needs two" in (run.folder / "history.html").read_text(encoding="utf-8")


def test_the_page(tmp_path: Path) -> None:
    """Small multiples of each number, changes marked, in one page that asks the network for nothing."""
    evil = "<script>alert(1)</script>"
    for day in range(1, 5):
        run = one_run(tmp_path, day, 0.4 if day < 3 else 0.7, day)
        run.append_lines(observed(evil, "latency", 70.0 + n, flight_s=0.2).line() for n in range(8))
    told = history.document(tmp_path)
    from probes.report.chronicle import history_page

    page = history_page(told, history.TITLES)
    assert page.count("<svg role=") == 3
    assert page.count("<script") == 2
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src 'none'" in page


@pytest.mark.untraced
def test_many_series(tmp_path: Path) -> None:
    """Thirty calls: two dozen panels, those that changed first, and the rest is said to stand elsewhere."""
    for day in (1, 2, 3):
        run = Run.create(tmp_path, ["run"], [instance("beta")])
        for number in range(30):
            base = 0.4 if day == 1 or number != 29 else 2.0
            run.append_lines(
                observed("beta", "latency", float(n), call=f"GET /{number}", flight_s=base + n / 1000).line() for n in range(7)
            )
        run.note(started_at=f"2026-11-{day:02d}T06:00:00.000+00:00", rates=[])
    from probes.charts.trends import trends

    told = history.document(tmp_path)
    picture = trends("median", "Median", told["series"], "n = 3 runs")
    panels = [axis for axis in picture.figure.axes if axis.get_visible()]
    assert len(panels) == 24
    assert panels[0].get_title(loc="left") == "beta, latency\n/29"
    assert "6 more series are in history.json" in picture.svg()
