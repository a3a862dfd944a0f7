"""What all jobs share: the words of the command, an open run that is ended properly, clients that write into it, what a job tells."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from probes import clock
from probes.config import Config, Instance, load
from probes.dialects import dialect
from probes.errors import CredentialsError, GuardStop, ProbesError, RunFolderError
from probes.findings import Finding, Severity
from probes.observation import Observation, Outcome
from probes.runs import Run
from probes.tokens import redact
from probes.wording import quoted

if TYPE_CHECKING:
    from probes.client import Client
    from probes.limiter import Limiter

T = TypeVar("T")
CHARTS = "CANVAS_PROBES_CHARTS"
"""The environment variable that leaves pictures out of the reports of commands: drawing is most of what a short command costs."""
Halt = RunFolderError | KeyboardInterrupt
"""What ends the asking from outside, a full disk or Ctrl-C, and leaves something to tell."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The options common to all commands."""

    config: Path | None = None
    out: Path = Path("results")
    as_json: bool = False
    quiet: bool = False
    fail_on: Severity | None = None

    def load(self) -> Config:
        """The configuration. Raises ConfigError."""
        return load(self.config)

    def say(self, text: str) -> None:
        """Talk goes to stderr, and not at all with --quiet; never with a token in it."""
        if not self.quiet:
            print(redact(text), file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Told:
    """What a job tells: its JSON document, the same as text for a person, the findings that --fail-on looks at."""

    document: dict[str, Any]
    text: str
    findings: Sequence[Finding] = field(default=())
    unkept: str | None = None
    """What of it could not be written, one sentence: said after it is told, and exit 1."""


@contextmanager
def open_run(settings: Settings, command: list[str], instances: Sequence[Instance]) -> Iterator[Run]:
    """A run folder for the time of the block; how the block ended is written into its manifest, whatever happens.

    Raises ConfigError before there is a folder when an instance's dialect is unknown or its token missing, RunFolderError when the folder
    cannot be written.
    """
    for instance in instances:
        dialect(instance.dialect)
        instance.token()
    run = Run.create(settings.out, command, instances)
    try:
        yield run
    except (KeyboardInterrupt, asyncio.CancelledError):
        run.finish("interrupted")
        settings.say(f"Interrupted. What was measured is kept in {run.folder}: probes report {quoted(run.place)}")
        raise
    except GuardStop as stop:
        run.finish(f"guard: {stop}")
        raise
    except BaseException as error:
        run.finish(f"failed: {redact(str(error)) if isinstance(error, ProbesError) else type(error).__name__}")
        raise
    else:
        if run.manifest.get("ended") is None:
            run.finish("done")
            if run.unkept:
                raise RunFolderError(run.unkept)


@contextmanager
def reckoning(settings: Settings, run: Run) -> Iterator[None]:
    """The time in which what was measured is reckoned and written: with --json Ctrl-C then waits until it is told; a second one does not.

    What a script asked for is one document. The interrupt that waits is in `run.interrupt`.
    """
    if not settings.as_json or threading.current_thread() is not threading.main_thread():
        yield
        return

    def wait(*_: object) -> None:
        run.interrupt = KeyboardInterrupt()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, wait)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def write_report(run: Run) -> dict[str, Any]:
    """Writes the run's report and returns its document; what cannot be written is said in `unkept`. No picture where CHARTS says "no"."""
    from probes.report.files import write_files
    from probes.report.formats import DEFAULT_FORMATS

    drawn = os.environ.get(CHARTS) != "no"
    made, _, unwritten = write_files(run, DEFAULT_FORMATS, charts=drawn, drawn=drawn)
    run.unkept = run.unkept or unwritten
    return made.document


def client_for(
    instance: Instance, run: Run, limiter: Limiter | None = None, on_answer: Callable[[Observation], None] | None = None
) -> Client:
    """A client for `instance` that writes each observation into `run`; all times of a run count from its first client's start."""
    from probes.client import Client

    if run.origin_s is None:
        run.origin_s = asyncio.get_running_loop().time()
    return Client(instance, record=run.append, limiter=limiter, origin_s=run.origin_s, on_answer=on_answer)


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` to its end; Ctrl-C cancels it, waits for its clean-up and raises KeyboardInterrupt.

    Of tasks that fail together each with a ProbesError the first error is raised.
    """
    try:
        return clock.run(main)
    except BaseExceptionGroup as errors:
        known, others = errors.split(ProbesError)
        if known is None or others is not None:
            raise
        raise _first(known) from None


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def run_until(settings: Settings, run: Run, main: Coroutine[Any, Any, T], otherwise: T) -> tuple[T, Halt | None]:
    """What `main` returns; `otherwise`, and what halted it, where the folder takes no more or, with --json, after Ctrl-C.

    What a script asked for is one document, so what was measured until then is told. Raises KeyboardInterrupt without --json.
    """
    try:
        return run_async(main), None
    except RunFolderError as halt:
        run.unkept = str(halt)
        return otherwise, halt
    except KeyboardInterrupt as halt:
        if not settings.as_json:
            raise
        settings.say(f"Interrupted. What was measured is told, and kept in {run.folder}.")
        return otherwise, halt


def how_ended(stop: ProbesError | KeyboardInterrupt | None) -> str:
    """How a run ended, as its manifest says it."""
    if isinstance(stop, KeyboardInterrupt):
        return "interrupted"
    return "done" if stop is None else f"{'guard' if isinstance(stop, GuardStop) else 'failed'}: {stop}"


def cut_short(stop: ProbesError | KeyboardInterrupt | None) -> str | None:
    """What stopped the asking before it had enough, one sentence; None where nothing did."""
    if stop is None:
        return None
    return "Interrupted before all was asked." if isinstance(stop, KeyboardInterrupt) else str(stop)


def to_raise(halt: Halt | None, run: Run) -> KeyboardInterrupt | None:
    """What is left to be raised when all is told: the interrupt; of a folder that takes no more `Told.unkept` speaks."""
    return halt if isinstance(halt, KeyboardInterrupt) else run.interrupt


def credentials_refused(observations: Sequence[Observation]) -> CredentialsError | None:
    """The error, to be raised when all is told, of calls of which every one was refused for its credentials; None where there are none."""
    if not observations or any(o.outcome is not Outcome.UNAUTHORIZED for o in observations):
        return None
    names = ", ".join(sorted({o.instance for o in observations}))
    return CredentialsError(f"Every call to {names} was refused for its credentials (401): check the token; probes diagnose says more.")
