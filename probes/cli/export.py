"""Commands for operators: export serves metrics to Prometheus, deploy prints the files that go beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from probes.cli.options import RESULTS, AsJson, ConfigFile, Instances, Out, Quiet, settings, tell


def register(app: typer.Typer) -> None:
    """Adds this module's commands to `app`."""
    app.command()(export)
    app.command()(deploy)


def export(
    instance: Instances = [],  # noqa: B006 # typer copies it
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where to serve; port 0 takes any.")] = "127.0.0.1:9777",
    every: Annotated[str, typer.Option("--every", metavar="15s", help="Time between two rounds of one instance.")] = "15s",
    scenario: Annotated[
        list[str], typer.Option("--scenario", metavar="NAME[=EVERY]", help="What to ask (reach), with a time of its own; may repeat.")
    ] = [],  # noqa: B006
    results: Annotated[
        Path | None, typer.Option("--results", metavar="DIR", help="Whose newest runs give safe rates; default --out.")
    ] = None,
    web_config: Annotated[
        Path | None, typer.Option("--web-config", metavar="FILE", help="TLS and users, as Prometheus's exporters take them (YAML).")
    ] = None,
    config: ConfigFile = None,
    out: Out = RESULTS,
    quiet: Quiet = False,
) -> None:
    """Prometheus exporter: asks on its own schedule and serves /metrics and /probe until stopped."""
    from probes.jobs import export as job

    job.export(settings(config, out, quiet=quiet), instance, listen, every, scenario, results or out, web_config)


def deploy(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The file to print; without it, which there are.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Print a file for operators: rules, dashboard, unit, manifest, scrape configuration."""
    from probes.jobs import deploy as job

    if name is not None and not as_json:
        typer.echo(job.text(name), nl=False)  # byte by byte
    else:
        tell(settings(None, RESULTS, as_json=as_json, quiet=quiet), job.listing() if name is None else job.one(name))
