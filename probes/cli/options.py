"""Options that several commands share, as Annotated types; `settings` gathers the common ones, `tell` ends a command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from probes.jobs.session import Settings, Told


def instance_names(incomplete: str) -> list[str]:
    """For shell completion: the configured instances that begin so; none where no configuration can be read."""
    from probes.config import load
    from probes.errors import ProbesError

    try:
        return [one.name for one in load(None).pick([]) if one.name.startswith(incomplete)]
    except ProbesError:
        return []


Instances = Annotated[
    list[str],
    typer.Option("-i", "--instance", metavar="NAME", help="An instance of the configuration; may repeat.", autocompletion=instance_names),
]
SingleInstance = Annotated[
    list[str],
    typer.Option("-i", "--instance", metavar="NAME", help="The instance of the configuration to ask.", autocompletion=instance_names),
]
"""As `Instances`, so that a second name is refused in words, by the job."""
ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Configuration; default ./probes.toml, then the user's.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where run folders are made.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No talk on stderr.")]
FailOn = Annotated[
    str | None, typer.Option("--fail-on", metavar="SEVERITY", help="Exit 3 on a finding of info, warning or error and above.")
]
RESULTS = Path("results")


def settings(config: Path | None, out: Path, *, as_json: bool = False, quiet: bool = False, fail_on: str | None = None) -> Settings:
    """The common options as the jobs take them. Raises UsageError for an unknown severity."""
    from probes.errors import UsageError
    from probes.findings import Severity
    from probes.jobs.session import Settings

    if fail_on is not None and fail_on not in list(Severity):
        raise UsageError(f"--fail-on {fail_on}: use one of {', '.join(Severity)}.")
    return Settings(config, out, as_json, quiet, Severity(fail_on) if fail_on else None)


def tell(common: Settings, told: Told) -> None:
    """Prints what a job tells, JSON or text, and exits 3 when a finding reaches --fail-on."""
    import json

    from probes.errors import ExitCode, RunFolderError
    from probes.tokens import redact

    printed(redact(json.dumps(told.document, indent=2) if common.as_json else told.text))
    if told.unkept:
        raise RunFolderError(told.unkept)
    limit = common.fail_on
    if limit is not None and any(finding.reaches(limit) for finding in told.findings):
        raise typer.Exit(ExitCode.FINDING)


def tell_then_end(common: Settings, told: Told, ends: BaseException | None) -> None:
    """Prints what was found; then a guard, refused credentials or an interrupt give the exit code, else the findings do."""
    import dataclasses

    tell(common if ends is None else dataclasses.replace(common, fail_on=None), told)
    if ends is not None:
        raise ends


def printed(text: str) -> bool:
    """Writes `text` to stdout; False when nobody reads any more, as after `| head`. What is still buffered then goes nowhere.

    Raises OSError when it cannot be written, as on a full disk.
    """
    try:
        typer.echo(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace").decode(sys.stdout.encoding or "utf-8"))
    except BrokenPipeError:
        drop_output()
        return False
    return True


def drop_output() -> None:
    """From now on stdout goes nowhere, so that the interpreter does not stumble over what is left in its buffer."""
    import contextlib
    import os

    with contextlib.suppress(OSError):  # an output that is no file has nothing to stumble over
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
