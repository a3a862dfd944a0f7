from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from probes.client import Client
from probes.config import Instance
from probes.errors import ConfigError, CredentialsError, ExitCode, GuardStop, RunFolderError
from probes.jobs.session import (
    Settings,
    Told,
    client_for,
    credentials_refused,
    cut_short,
    how_ended,
    open_run,
    reckoning,
    run_async,
    to_raise,
)
from probes.observation import Observation, Outcome
from probes.runs import Run

TOKEN = "1234~abcdefghijklmnopqrstuvwxyz0123456789"
BETA = Instance("beta", "https://school.beta.instructure.com")
ONE = Observation("beta", "latency", "GET /a", "GET", "/a", 0.0, 0.001, 0.2, 200, Outcome.OK)
DENIED = dataclasses.replace(ONE, status=401, outcome=Outcome.UNAUTHORIZED)


def ended(run: Run) -> object:
    return Run.open(run.folder).manifest["ended"]


def ends_by(raised: BaseException, settings: Settings) -> object:
    def block() -> None:
        with open_run(settings, ["rate"], [BETA]) as run:
            runs.append(run)
            run.append(ONE)
            raise raised

    runs: list[Run] = []
    with pytest.raises(type(raised)):
        block()
    assert list(Run.open(runs[0].folder).observations()) == [ONE]
    return ended(runs[0])


def test_a_run_that_is_done(tmp_path: Path) -> None:
    """A block that ends well leaves `done`; one that said itself how it ended keeps its word."""
    settings = Settings(out=tmp_path)
    with open_run(settings, ["rate"], [BETA]) as run:
        assert ended(run) is None
    assert ended(run) == "done"
    with open_run(settings, ["rate"], [BETA]) as run:
        run.finish("guard: budget spent")
    assert ended(run) == "guard: budget spent"


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ({"dialect": "canvass"}, "There is no dialect 'canvass': did you mean canvas?"),
        ({"token_env": "NOT_SET_ANYWHERE"}, "Instance 'odd' takes its token from NOT_SET_ANYWHERE, which is not set: export it first."),
    ],
)
def test_no_folder_for_what_cannot_be_asked(lacking: dict[str, str], message: str, tmp_path: Path) -> None:
    """An unknown dialect or a missing token, be it of one instance of several, is told before a run folder is made."""
    odd = dataclasses.replace(BETA, name="odd", **lacking)  # type: ignore[arg-type] # text fields only
    with pytest.raises(ConfigError, match=re.escape(message)), open_run(Settings(out=tmp_path / "results"), ["rate"], [BETA, odd]):
        pytest.fail("the block must not begin")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("raised", "word"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (asyncio.CancelledError(), "interrupted"),
        (GuardStop("one refusal"), "guard: one refusal"),
        (ConfigError(f"no {TOKEN}"), "failed: no [token]"),
        (ValueError("a detail that is nobody's business"), "failed: ValueError"),
        (SystemExit(1), "failed: SystemExit"),
    ],
)
def test_how_a_run_ended_is_kept(raised: BaseException, word: str, tmp_path: Path) -> None:
    """However a block ends, the manifest says how, the observations stay, and the exception goes on."""
    assert ends_by(raised, Settings(out=tmp_path, quiet=True)) == word


def test_an_interrupt_says_what_was_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C tells where the measured part is, and how to report it, on stderr."""
    ends_by(KeyboardInterrupt(), Settings(out=tmp_path))
    (folder,) = tmp_path.iterdir()
    assert capsys.readouterr() == ("", f"Interrupted. What was measured is kept in {folder}: probes report {folder}\n")


def test_a_folder_that_cannot_be_made_is_told_before_the_block(tmp_path: Path) -> None:
    """Where no run folder can be made the block is not entered."""
    (tmp_path / "results").touch()
    with pytest.raises(RunFolderError), open_run(Settings(out=tmp_path / "results"), ["rate"], [BETA]):
        pytest.fail("the block was entered")


def test_talk(capsys: pytest.CaptureFixture[str]) -> None:
    """Talk goes to stderr without tokens, and not at all with --quiet."""
    Settings().say(f"hello {TOKEN}")
    Settings(quiet=True).say("hello")
    assert capsys.readouterr() == ("", "hello [token]\n")


def test_settings_load_the_configuration(data: Path) -> None:
    """The configuration is the one that --config names."""
    assert sorted(Settings(config=data / "config" / "whole.toml").load().instances) == ["beta", "local", "school"]


@pytest.mark.parametrize("observations", [[], [ONE], [DENIED, ONE], [dataclasses.replace(DENIED, outcome=Outcome.FORBIDDEN)]])
def test_credentials_that_are_good_enough(observations: list[Observation]) -> None:
    """Nothing asked, or anything but 401 among the answers, is no credentials error."""
    assert credentials_refused(observations) is None


def test_credentials_refused_throughout() -> None:
    """When every answer is 401 the error names the instances and ends with exit code 5."""
    error = credentials_refused([DENIED, dataclasses.replace(DENIED, instance="alpha"), DENIED])
    assert isinstance(error, CredentialsError)
    assert error.exit_code is ExitCode.CREDENTIALS
    assert str(error) == ("Every call to alpha, beta was refused for its credentials (401): check the token; probes diagnose says more.")


def test_run_async_returns_and_raises() -> None:
    """What the coroutine returns comes back, what it raises comes out."""

    async def value(give: Callable[[], int]) -> int:
        return give()

    assert run_async(value(lambda: 5)) == 5
    with pytest.raises(GuardStop):
        run_async(value(_stop))


def _stop() -> int:
    raise GuardStop("x")


def test_a_client_writes_into_the_run(tmp_path: Path) -> None:
    """What the client of a run records is a line of its folder."""

    async def made(run: Run) -> Client:
        return client_for(BETA, run)

    with open_run(Settings(out=tmp_path), ["run"], [BETA]) as run:
        client = asyncio.run(made(run))
        assert isinstance(client, Client)
        assert client.instance is BETA


def test_told_has_no_findings_by_default() -> None:
    """A job that found nothing tells its document and its text."""
    assert Told({"schema": "x/1"}, "text") == Told({"schema": "x/1"}, "text", ())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_control_c(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, or SIGTERM, while a server hangs ends with 130 at once; the request that was in flight has its line."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {**os.environ, "CANVAS_API_URL": f"http://127.0.0.1:{silent.getsockname()[1]}", "CANVAS_API_TOKEN": TOKEN}
        command = [sys.executable, "-m", "probes", "run", "latency", "--out", str(tmp_path)]
        child = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        silent.settimeout(30)
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(3) == b"GET"
            child.send_signal(number)
            out, talk = child.communicate(timeout=10)
    assert (child.returncode, out) == (130, "")
    (folder,) = tmp_path.iterdir()
    assert f"What was measured is kept in {folder}" in talk
    assert "Traceback" not in talk
    assert TOKEN not in talk
    run = Run.open(folder)
    assert run.manifest["ended"] == "interrupted"
    assert [o.outcome for o in run.observations()] == [Outcome.CANCELLED]


@pytest.mark.slow
def test_sigterm_where_control_c_is_ignored(tmp_path: Path) -> None:
    """Behind `&` in a script SIGINT is ignored: SIGTERM still ends a command with 130, what was measured kept."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {**os.environ, "CANVAS_API_URL": f"http://127.0.0.1:{silent.getsockname()[1]}", "CANVAS_API_TOKEN": TOKEN}
        command = ["sh", "-c", f"trap '' INT; exec {sys.executable} -m probes run latency --quiet --out {tmp_path}"]
        child = subprocess.Popen(command, env=environment, cwd=tmp_path)
        silent.settimeout(30)
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(3) == b"GET"
            child.terminate()
            assert child.wait(timeout=10) == 130
    (folder,) = tmp_path.iterdir()
    assert Run.open(folder).manifest["ended"] == "interrupted"


@pytest.mark.slow
def test_control_c_is_not_lost_where_python_can_raise_nothing() -> None:
    """Ctrl-C that meets a finalizer, as it may meet an import of C, ends the command a moment later, without a traceback."""
    lines = [
        "import signal, time, weakref",
        "from probes import cli",
        "class Thing: pass",
        "def command():",
        "    thing = Thing()",
        "    ref = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))",
        "    del thing",
        "    time.sleep(5)",
        "cli.app = command",
        "cli.main()",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("stop", "ended", "why"),
    [
        (None, "done", None),
        (GuardStop("Too many."), "guard: Too many.", "Too many."),
        (RunFolderError("It is full."), "failed: It is full.", "It is full."),
        (KeyboardInterrupt(), "interrupted", "Interrupted before all was asked."),
    ],
)
def test_what_stopped_the_asking(stop: GuardStop | RunFolderError | KeyboardInterrupt | None, ended: str, why: str | None) -> None:
    """As the manifest says it, and as a sentence; an interrupt alone is raised when all is told."""
    assert (how_ended(stop), cut_short(stop)) == (ended, why)
    run = Run(Path("results/x"), {})
    assert isinstance(stop, GuardStop) or to_raise(stop, run) is (stop if ended == "interrupted" else None)


def test_an_interrupt_while_all_is_reckoned(tmp_path: Path) -> None:
    """With --json it waits until what was measured is told, and is raised then; a second one does not wait; nor does one without --json."""
    run, json_, text = Run(tmp_path, {}), Settings(as_json=True), Settings()
    with reckoning(json_, run):
        signal.raise_signal(signal.SIGINT)
    assert isinstance(to_raise(None, run), KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt), reckoning(json_, run):  # noqa: PT012 # the first goes by, the second is raised
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), reckoning(text, run):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
