"""What all jobs share: the words of the command, an open run that is ended properly, clients that write into it, what a job tells."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from probes.config import Config, Instance, load
from probes.dialects import dialect
from probes.errors import CredentialsError, GuardStop, ProbesError, RunFolderError
from probes.findings import Finding, Severity
from probes.observation import Observation, Outcome
from probes.runs import Run
from probes.tokens import redact

if TYPE_CHECKING:
    from probes.client import Client
    from probes.limiter import Limiter

T = TypeVar("T")


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
        settings.say(f"Interrupted. What was measured is kept in {run.folder}: probes report {run.folder}")
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


def write_report(run: Run) -> None:
    """The run's report; what cannot be written is said in `unkept`."""
    from probes import report

    try:
        report.write(run)
    except RunFolderError as error:
        run.unkept = run.unkept or str(error)


def client_for(
    instance: Instance, run: Run, limiter: Limiter | None = None, on_answer: Callable[[Observation], None] | None = None
) -> Client:
    """A client for `instance` that writes each observation into `run`; all times of a run count from its first client's start."""
    from probes.client import Client

    if run.origin_s is None:
        run.origin_s = asyncio.get_running_loop().time()
    return Client(instance, record=run.append, limiter=limiter, origin_s=run.origin_s, on_answer=on_answer)


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` to its end; Ctrl-C cancels it, waits for its clean-up and raises KeyboardInterrupt."""
    return asyncio.run(main)


def require_credentials(observations: Sequence[Observation]) -> None:
    """Raises CredentialsError when there are calls and every one was refused for its credentials."""
    if observations and all(o.outcome is Outcome.UNAUTHORIZED for o in observations):
        names = ", ".join(sorted({o.instance for o in observations}))
        raise CredentialsError(f"Every call to {names} was refused for its credentials (401): check the token; probes diagnose says more.")
