from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FIVE_LINES = """
import typer
app = typer.Typer()
@app.command()
def hello(name: str = "you") -> None: print("hello", name)
app()
"""
PROBES = "from probes.cli import main; main()"
MOST = 1.8
TRIES = 30
"""At most: on a busy machine the least of a few is not the least there is."""


def cpu_s(code: str, *words: str, folder: Path) -> float:
    """CPU seconds of one program, its start included: what the machine's other work changes least."""
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    child = subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=folder, env=unmeasured, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, usage = os.wait4(child.pid, 0)
    assert child.stderr is not None
    said = child.stderr.read().decode()
    child.stderr.close()
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, said
    return usage.ru_utime + usage.ru_stime


@pytest.mark.slow
def test_help_and_list_start_quickly(tmp_path: Path) -> None:
    """`probes --help` and `probes list` take at most 1.8 times what `--help` of a five-line typer program takes."""
    programs = {"five lines": (FIVE_LINES, "--help"), "help": (PROBES, "--help"), "list": (PROBES, "list")}
    least = dict.fromkeys(programs, float("inf"))
    for _ in range(TRIES):
        for name, (code, word) in programs.items():
            least[name] = min(least[name], cpu_s(code, word, folder=tmp_path))
        if max(least["help"], least["list"]) <= MOST * least["five lines"]:
            return
    raise AssertionError(least)


def test_the_command_line_of_httpx_is_left_out(tmp_path: Path) -> None:
    """A command imports httpx without that library's own command line, which would bring three more."""
    told = "import httpx; print(sys.modules['httpx._main'], httpx.AsyncClient.__name__)"
    code = f"import sys\ntry: {PROBES}\nexcept SystemExit: pass\n{told}"
    line = [sys.executable, "-c", code, "run", "reach", "-i", "nobody"]
    ended = subprocess.run(line, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert ended.stdout == "None AsyncClient\n"


def test_help_that_nobody_reads() -> None:
    """`probes --help | head -1` ends with 0 and says nothing on stderr, as other output does into a pipe that was closed."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", PROBES, "--help"], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=30, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
