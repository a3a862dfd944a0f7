"""Commands that tell what was measured: report, history. Neither asks a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from probes.cli.options import RESULTS, AsJson, ConfigFile, FailOn, Out, Quiet, settings, tell

Formats = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="LIST",
        help="html, md, json, csv, xlsx, openmetrics, textfile; several parted by commas. Default: html,md,json.",
    ),
]


def register(app: typer.Typer) -> None:
    """Adds this module's commands to `app`."""
    app.command()(report)
    app.command()(history)


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    formats: Formats = None,
    charts: Annotated[bool, typer.Option("--charts/--no-charts", help="Pictures as files in charts/.")] = True,
    push: Annotated[str | None, typer.Option("--push", metavar="URL", help="Also put the last state into this Pushgateway.")] = None,
    config: ConfigFile = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    fail_on: FailOn = None,
) -> None:
    """Tells a run again, whole or half; files go into the run folder."""
    common = settings(config, out, as_json=as_json, quiet=quiet, fail_on=fail_on)
    from probes.jobs.report import report as job

    tell(common, job(common, run, formats, charts, push))


def history(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder in which the run folders are.")] = RESULTS,
    config: ConfigFile = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    fail_on: FailOn = None,
) -> None:
    """Runs over time: what changed, since when, and whether it is more than noise."""
    common = settings(config, out, as_json=as_json, quiet=quiet, fail_on=fail_on)
    from probes.jobs.history import history as job

    tell(common, job(common, folder))
