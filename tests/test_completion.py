"""Shell completion: what a shell is told when TAB is pressed, and the script that teaches it to ask."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = '[instances.beta]\nurl = "https://school.beta.instructure.com"\n[instances.basic]\nurl = "https://x.example"\n'
PROGRAM = "import sys; sys.argv[0] = 'probes'; from probes.cli import main; main()"


def asked(place: Path, *words: str, **environment: str) -> str:
    """What the program prints to a shell that asks it in `place`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("COMP_", "_PROBES", "CANVAS_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=place,
        env={**clean, "PYTHONPATH": str(Path.cwd()), **environment},
    )
    assert done.stderr == ""
    return done.stdout


def completed(place: Path, line: str) -> list[str]:
    """What bash is offered for the last word of `line`."""
    words = line.split(" ")
    return asked(place, _PROBES_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1)).split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("probes ra", ["rate"]),
        ("probes rate --job", ["--job"]),
        ("probes run la", ["latency"]),
        ("probes run latency p", ["pagination"]),
        ("probes run queue --im", ["--import"]),
        ("probes rate -i b", ["beta", "basic"]),
        ("probes fetch /api/v1/courses -i be", ["beta"]),
    ],
)
def test_completion(tmp_path: Path, line: str, offered: list[str]) -> None:
    """Commands, options, scenarios and the configured instances are offered."""
    (tmp_path / "probes.toml").write_text(CONFIG, encoding="utf-8")
    assert completed(tmp_path, line) == offered


def test_completion_without_a_configuration(tmp_path: Path) -> None:
    """Where no configuration can be read no instance is offered, and nothing is complained of."""
    (tmp_path / "probes.toml").write_text("broken", encoding="utf-8")
    assert completed(tmp_path, "probes rate -i b") == []


def test_the_script_for_a_shell(tmp_path: Path) -> None:
    """--show-completion prints what the shell that it runs in has to source."""
    script = asked(tmp_path, "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert script.rstrip().endswith("complete -o default -F _probes_completion probes")
