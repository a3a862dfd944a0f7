"""What somebody at a terminal sees while a long command works: a bar with rate and remaining budget, and what does not disturb it."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.simulator.server import Served
from probes.simulator.settings import Service, SimulatorSettings

EXAMPLE = Path(__file__).parents[1] / "results" / "example"
CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
CONFIG = '[instances.{name}]\nurl = "{url}"\ntoken_env = "SIMULATOR_TOKEN"\nkind = "sandbox"\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a configuration of two names for one quick simulator."""
    folder = tmp_path_factory.mktemp("watching")
    with Served(SimulatorSettings(services={"*": Service(0.02, 0.05)}, slots=100)) as served:
        text = "".join(CONFIG.format(name=name, url=served.url) for name in ("a", "b"))
        (folder / "probes.toml").write_text(text, encoding="utf-8")
        yield folder


def at_a_terminal(place: Path, *words: str, stdout_too: bool = False) -> tuple[int, str, str]:
    """(exit code, stdout, what a terminal of 100 columns on stderr got) of `probes WORDS`; `stdout_too`: stdout is that terminal."""
    master, slave = pty.openpty()
    seen: list[bytes] = []

    def read() -> None:
        try:
            while part := os.read(master, 65536):
                seen.append(part)
        except OSError:
            pass

    outer = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}}
    command = [sys.executable, "-m", "probes", *words]
    reader = threading.Thread(target=read)
    reader.start()
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=slave if stdout_too else subprocess.PIPE,
            stderr=slave,
            text=True,
            timeout=120,
            check=False,
            cwd=place,
            env={**outer, "TERM": "xterm", "COLUMNS": "100", "SIMULATOR_TOKEN": "simulator-token", "PYTHONPATH": str(Path.cwd())},
        )
    finally:
        os.close(slave)
        reader.join(10)
        os.close(master)
    return done.returncode, done.stdout or "", CODES.sub("", b"".join(seen).decode())


LONG = [
    (["run", "latency", "-i", "a", "--repeat", "8"], "asking", "a remaining"),
    (["compare", "-i", "a", "-i", "b", "--repeat", "8"], "comparing", "b remaining"),
    (["diagnose", "-i", "a"], "diagnosing", "a remaining"),
    (["rate", "-i", "a", "--budget", "12"], "rate of a", "a remaining"),
    (["roster", "-i", "a", "--course", "1"], "course 1", "of 231 users, a remaining"),
    (["fetch", "/api/v1/courses?per_page=1", "-i", "a", "--all"], "pages of", "items, a remaining"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "title", "text"), LONG, ids=lambda value: value[0] if isinstance(value, list) else "")
def test_a_bar_with_the_budget(place: Path, words: list[str], title: str, text: str) -> None:
    """A long command shows on a terminal how many calls are done, how many a second, and what remains of the budget."""
    code, _, shown = at_a_terminal(place, *words)
    assert code == 0
    assert title in shown
    assert text in shown
    assert re.search(r"\d+/(\d+|\?) +[\d.]+/s", shown)


@pytest.mark.slow
def test_items_beside_a_bar(place: Path) -> None:
    """The bar of fetch is on stderr alone: stdout holds the items, one JSON object a line."""
    _, out, shown = at_a_terminal(place, "fetch", "/api/v1/courses?per_page=5", "-i", "a", "--all")
    assert [json.loads(line)["id"] for line in out.splitlines()] == list(range(1, 27))
    assert '"id"' not in shown


@pytest.mark.slow
def test_no_bar_among_items(place: Path) -> None:
    """Where the items run down the same terminal there is no bar between them."""
    _, _, shown = at_a_terminal(place, "fetch", "/api/v1/courses?per_page=5", "-i", "a", "--all", stdout_too=True)
    lines = [line for line in shown.splitlines() if line.startswith("{")]
    assert [json.loads(line)["id"] for line in lines] == list(range(1, 27))
    assert "remaining" not in shown


@pytest.mark.slow
def test_quiet_on_a_terminal(place: Path) -> None:
    """With --quiet a terminal sees nothing of the work."""
    assert at_a_terminal(place, "run", "reach", "-i", "a", "--quiet")[2] == ""


@pytest.mark.slow
def test_a_rehearsal_is_watched(place: Path) -> None:
    """A rehearsal moves a bar to its last call."""
    run = shutil.copytree(EXAMPLE, place / "example")
    _, _, shown = at_a_terminal(place, "plan", str(run), "-i", "sandbox", "--calls", "300", "--rehearse")
    assert "rehearsing" in shown
    assert "300/300" in shown


def piped(shell: str, place: Path) -> tuple[int, str]:
    """(exit code of `probes`, stderr) of a line of bash in which `$P` is the program."""
    program = f"{sys.executable} -m probes"
    done = subprocess.run(
        ["bash", "-c", f"P='{program}'; {shell}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=place,
        env={**os.environ, "SIMULATOR_TOKEN": "simulator-token", "PYTHONPATH": str(Path.cwd())},
    )
    return done.returncode, done.stderr


@pytest.mark.slow
def test_a_full_disk_behind_stdout(place: Path) -> None:
    """Data that cannot be written end the command with 1 and one sentence, and no traceback."""
    assert piped("$P list > /dev/full", place) == (1, "probes: It could not be done: No space left on device.\n")
    code, said = piped("$P fetch /api/v1/courses -i a --quiet > /dev/full", place)
    assert (code, said) == (1, "probes: It could not be done: No space left on device.\n")


@pytest.mark.slow
def test_a_reader_that_went_away(place: Path) -> None:
    """A command whose reader has had enough ends with 0 and says nothing of it."""
    assert piped("$P run reach -i a --quiet | true", place) == (0, "")


@pytest.mark.slow
def test_a_workbook_that_is_no_file(place: Path) -> None:
    """A device is not replaced by a workbook: refused before anything is asked."""
    code, said = piped("$P roster -i a --course 1 --xlsx /dev/null", place)
    assert (code, said) == (2, "probes: --xlsx /dev/null is no file: name one to write.\n")
