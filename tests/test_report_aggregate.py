from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from report_data import instance, observed

from probes.errors import RunFolderError
from probes.observation import Outcome
from probes.report import aggregate as module
from probes.report.aggregate import OTHER_CALLS, Aggregate, Names
from probes.runs import OBSERVATIONS, Run


def run_of(place: Path, *lines: str) -> Run:
    run = Run.create(place, ["run"], [instance("beta")])
    run.append_lines(lines)
    return run


def test_columns_hold_what_was_seen(tmp_path: Path) -> None:
    """Times are as written, what was not seen is NaN or -1, latency counts from due and only where an answer came."""
    lost = observed("test", "reach", 2.0, status=None, received_s=None, outcome=Outcome.READ_TIMEOUT, reused=None)
    run = run_of(tmp_path, observed("beta", "latency", 1.0, flight_s=0.5, facts={"cold": True}).line(), lost.line())
    columns = Aggregate(run)
    assert len(columns) == 2
    assert columns.number("due_s").tolist() == [1.0, 2.0]
    assert columns.latency_s[0] == pytest.approx(0.546)
    assert np.isnan(columns.latency_s[1])
    assert columns.count("status").tolist() == [200, -1]
    assert columns.count("cold").tolist() == [1, -1]
    assert columns.count("reused").tolist() == [0, -1]
    assert columns.count("line").tolist() == [1, 2]
    assert columns.ok.tolist() == [True, False]
    assert columns.outcomes(columns.of("test")) == {"read_timeout": 1}
    assert columns.instances.words == ["beta", "test"]


def test_groups_in_order_of_first_appearance(tmp_path: Path) -> None:
    """Each (instance, scenario, call) once, with the lines of its observations."""
    seen = [("beta", "latency", "GET /a"), ("test", "latency", "GET /a"), ("beta", "latency", "GET /a"), ("beta", "load", "GET /b")]
    run = run_of(tmp_path, *(observed(name, scenario, float(n), call=call).line() for n, (name, scenario, call) in enumerate(seen)))
    columns = Aggregate(run)
    groups = [(name, scenario, call, columns.count("line")[part].tolist()) for name, scenario, call, part in columns.groups()]
    assert groups == [("beta", "latency", "GET /a", [1, 3]), ("test", "latency", "GET /a", [2]), ("beta", "load", "GET /b", [4])]


def test_broken_lines_are_counted_and_left_out(tmp_path: Path) -> None:
    """What is no observation is named by its line; a last line without its end is cut; the rest keeps its line numbers."""
    good = observed("beta", "latency", 1.0).line()
    text_for_a_time = json.dumps({**json.loads(good), "due_s": "soon"}) + "\n"
    unknown = json.dumps({**json.loads(good), "outcome": "vanished"}) + "\n"
    number_for_a_name = json.dumps({**json.loads(good), "instance": 7}) + "\n"
    facts = json.dumps({**json.loads(good), "facts": 7}) + "\n"
    run = run_of(tmp_path, "[1]\n", "null\n", "{}\n", good, text_for_a_time, unknown, number_for_a_name, facts, "\n", good, good[:-9])
    columns = Aggregate(run)
    assert columns.broken == [1, 2, 3, 5, 6, 7, 8, 9]
    assert columns.cut
    assert columns.count("line").tolist() == [4, 10]
    assert [line for line, _ in columns.kept] == [4, 10]


def test_as_the_run_reads_it(tmp_path: Path) -> None:
    """The same lines count as for `Run.numbered`."""
    good = observed("beta", "latency", 1.0).line()
    run = run_of(tmp_path, good, '{"instance": "beta"}\n', good, "x\n", good[:40])
    assert Aggregate(run).count("line").tolist() == [number for number, _ in run.numbered()]


def test_an_empty_run(tmp_path: Path) -> None:
    """No group, no outcome, no error."""
    columns = Aggregate(run_of(tmp_path))
    assert (len(columns), list(columns.groups()), columns.outcomes(columns.of("beta")), columns.span(np.array([], dtype=int))) == (
        0,
        [],
        {},
        None,
    )


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    """One sentence that names the file."""
    run = run_of(tmp_path)
    (run.folder / OBSERVATIONS).unlink()
    with pytest.raises(RunFolderError, match=r"observations\.jsonl cannot be read: No such file or directory\.$"):
        Aggregate(run)


def test_many_calls_become_one_group() -> None:
    """Past the most that are told apart, names share one."""
    names = Names(2)
    assert [names.number(word) for word in ("a", "b", "c", "a", "d")] == [0, 1, 2, 0, 2]
    assert names.words == ["a", "b", OTHER_CALLS]


def test_only_so_many_are_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those under load have a fifth of the room, and what is left out is counted by scenario; the columns hold all."""
    monkeypatch.setattr(module, "MOST_KEPT", 10)
    lines = [observed("beta", scenario, float(n)).line() for scenario in ("load", "latency") for n in range(14)]
    columns = Aggregate(run_of(tmp_path, *lines))
    assert len(columns) == 28
    assert columns.left_out == {"load": 12, "latency": 4}
    assert len(columns.kept) == 12


def test_half_an_emoji_costs_no_line(tmp_path: Path) -> None:
    """A line whose text holds a lone surrogate, as JSON may, counts like any other: what cannot be told becomes a question mark."""
    columns = Aggregate(run_of(tmp_path, observed("beta", "latency", 0.0, call="GET /\ud83d").line()))
    assert (len(columns), columns.broken, columns.calls.words) == (1, [], ["GET /?"])
