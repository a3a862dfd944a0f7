from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probes.cli import speak_utf8
from probes.jobs.session import Settings
from probes.jobs.terminal import json_line, progress, table, watched

SHOWN = """
import sys, time
from probes.jobs.session import Settings
from probes.jobs.terminal import progress
with progress(Settings(quiet={quiet}), "rate beta", {total}) as bar:
    for number in range(4):
        bar.advance(1, f"remaining {{600 - 50 * number}}")
        time.sleep(0.15)
print("rich" in sys.modules)
"""


def on_a_terminal(quiet: bool = False, total: float | None = 4, **environment: str) -> tuple[str, str]:
    """(stdout, what a terminal on stderr got) of a few steps of progress."""
    master, slave = pty.openpty()
    outer = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    code = SHOWN.format(quiet=quiet, total=total)
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
        timeout=60,
        check=True,
        env={**outer, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
        cwd=Path(__file__).parent.parent,
    )
    os.close(slave)
    time.sleep(0.05)
    os.set_blocking(master, False)
    seen = b""
    try:
        while part := os.read(master, 65536):
            seen += part
    except OSError:
        pass
    os.close(master)
    return done.stdout, seen.decode()


def test_a_table_as_text() -> None:
    """Numbers stand right, None is a dash, truth is a word, long words fold; nothing beyond 80 columns."""
    rows: list[list[object]] = [
        ["beta", "GET /api/v1/users/self", 17.123456, 10, True],
        ["sandbox", "GET /api/v1/accounts/1/courses?per_page=100&include[]=teachers&include[]=total_students", None, 3, False],
    ]
    text = table("Safe rates", ["instance", "call", "calls/s", "in flight", "confirmed"], rows)
    assert text.splitlines() == [
        "Safe rates",
        "",
        "instance  call                                     calls/s  in flight  confirmed",
        "--------------------------------------------------------------------------------",
        "beta      GET /api/v1/users/self                     17.12         10  yes",
        "sandbox   GET                                            -          3  no",
        "          /api/v1/accounts/1/courses?per_page=100",
        "          &include[]=teachers&include[]=total_stu",
        "          dents",
    ]


def test_a_table_fits() -> None:
    """Ten columns of long words still fit 80 columns, and no character of a cell is lost."""
    text = table("", [f"column{number}" for number in range(6)], [["abcdefghij" * 4] * 6])
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "".join(text.splitlines()[2:]).replace(" ", "").count("j") == 24


def test_a_table_of_text_that_looks_like_markup() -> None:
    """Square brackets, control characters and line ends in a cell stay text on their row."""
    text = table("", ["call"], [["[red]GET[/red] /a\n/b\x1b[31m"]])
    assert text.splitlines()[-1] == "[red]GET[/red] /a /b [31m"


def test_a_table_without_rows() -> None:
    """Only the heading is left."""
    assert table("", ["a", "b"], []).splitlines()[0] == "a  b"


def test_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    """Where stderr is no terminal progress says nothing."""
    with progress(Settings(), "rate", 10) as bar:
        bar.advance(3, "remaining 500")
    assert capsys.readouterr() == ("", "")
    assert not watched(Settings())


def test_a_bar_on_a_terminal() -> None:
    """A terminal sees title, done of total, rate and the last text; stdout gets none of it."""
    out, err = on_a_terminal()
    assert out == "True\n"
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", err)
    assert "rate beta" in shown
    assert "4/4" in shown
    assert "remaining 450" in shown
    assert re.search(r"\d(\.\d+)?/s", shown)


def test_no_color() -> None:
    """NO_COLOR takes all colour away; without it there is some."""
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-9]|38;5;\d+)m")
    assert colour.search(on_a_terminal()[1])
    assert not colour.search(on_a_terminal(NO_COLOR="1")[1])


@pytest.mark.parametrize(("quiet", "term"), [(True, "xterm"), (False, "dumb")])
def test_silence(quiet: bool, term: str) -> None:
    """With --quiet, and on a terminal that cannot move its cursor, nothing is drawn and rich is not loaded."""
    assert on_a_terminal(quiet, TERM=term) == ("False\n", "")


def test_an_unknown_total() -> None:
    """Without a total the count goes on."""
    assert "4/?" in on_a_terminal(total=None)[1]


def test_data_are_utf8_whatever_the_code_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Into a file or a pipe goes UTF-8 where the system's code page is another; where PYTHONIOENCODING chose it, JSON is ASCII."""
    there = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(there, encoding="cp1252"))
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    speak_utf8()
    assert json_line({"name": "Zoë"}) == r'{"name": "Zo\u00eb"}'
    monkeypatch.delenv("PYTHONIOENCODING")
    speak_utf8()
    sys.stdout.write(json_line({"name": "Zoë 王"}))
    sys.stdout.flush()
    assert there.getvalue() == '{"name": "Zoë 王"}'.encode()
