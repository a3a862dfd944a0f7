"""`probes list`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonschema
import pytest
from commanded import command, configured
from typer.testing import CliRunner

from probes import __version__, scenarios
from probes.cli import app, main
from probes.errors import ConfigError, UsageError
from probes.findings import KINDS
from probes.jobs.listing import listing
from probes.jobs.session import Settings

SCHEMA = json.loads((Path(scenarios.__file__).parents[1] / "schemas" / "list-1.json").read_text(encoding="utf-8"))


def test_list_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenarios with their budgets, dialects, instances without tokens, all kinds of finding; by the published schema."""
    configured(tmp_path, monkeypatch, test={"url": "http://127.0.0.1:9", "token": "secret-word"})
    ended = command(tmp_path, "list", "--json")
    assert ended.code == 0
    jsonschema.validate(ended.document, SCHEMA)
    assert [one["name"] for one in ended.document["scenarios"]] == list(scenarios.names())
    assert ended.document["scenarios"][0]["requests"] == 2
    assert {"name": "canvas", "title": "Canvas LMS"} in ended.document["dialects"]
    assert ended.document["instances"] == [{"name": "test", "url": "http://127.0.0.1:9", "kind": "simulated", "dialect": "canvas"}]
    assert [one["kind"] for one in ended.document["findings"]] == list(KINDS)
    assert "secret-word" not in ended.out


def test_list_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for a person."""
    configured(tmp_path, monkeypatch, test={"url": "http://127.0.0.1:9", "token": "t"})
    out = command(tmp_path, "list").out
    assert out.startswith("Scenarios (probes run NAME, or all):\n  reach        Does it answer")
    assert "\n  test         http://127.0.0.1:9 (simulated, canvas)\n" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json", "run", "latency"], "--json follows the command's name: probes run --json"),
        (["-i", "beta", "diagnose"], "-i follows the command's name: probes diagnose -i"),
        (["--out=x"], "--out follows the command's name: probes list --out"),
    ],
)
def test_common_options_follow_the_command(words: list[str], message: str) -> None:
    """A common option before the command's name is told where it belongs."""
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == message


@pytest.mark.parametrize("words", [["-h"], ["list", "-h"], ["rate", "-h"]])
def test_help_is_also_short(words: list[str]) -> None:
    """`-h` is `--help`, of every command."""
    runner = CliRunner()
    assert runner.invoke(app, words).stdout == runner.invoke(app, [*words[:-1], "--help"]).stdout != ""


def test_the_version() -> None:
    """`probes --version`: one line, exit 0."""
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"canvas-probes {__version__}\n")


def test_list_without_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a configuration there is no instance, and it says what to do; one that was named must exist."""
    monkeypatch.chdir(tmp_path)
    told, wrong = listing(Settings())
    assert (told.document["instances"], wrong) == ([], None)
    assert "Instances: none. No configuration: " in told.text
    assert isinstance(listing(Settings(config=tmp_path / "gone.toml"))[1], ConfigError)


def test_list_with_a_broken_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs no instance is listed all the same, then what is wrong is said on stderr, exit 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "probes.toml").write_text("[instances.x", encoding="utf-8")
    ended = command(tmp_path, "list", "--json")
    assert (ended.code, ended.document["instances"], len(ended.document["dialects"])) == (2, [], 6)
    assert ended.err == f"probes: {ended.document['source']}\n"
    assert "probes.toml is not valid TOML: " in ended.err


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_was_closed(stream: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With stdout closed (`>&-`) one sentence says so, exit 1; with stderr closed what is said goes nowhere, never onto stdout."""
    monkeypatch.setattr(sys, "argv", ["probes", "list" if stream == "stdout" else "deploy", *([] if stream == "stdout" else ["nonsense"])])
    monkeypatch.setattr(sys, stream, None)
    with pytest.raises(SystemExit) as end:
        main()
    getattr(sys, stream).close()
    monkeypatch.undo()
    told = capsys.readouterr()
    assert (end.value.code, told.out) == (1 if stream == "stdout" else 2, "")
    assert told.err == ("probes: It could not be done: stdout is closed.\n" if stream == "stdout" else "")
