"""`probes demo`: words and options."""

from __future__ import annotations

import typer

from probes.cli.options import RESULTS, AsJson, FailOn, Out, Quiet, settings, tell


def register(app: typer.Typer) -> None:
    """Adds this module's command to `app`."""
    app.command("demo")(demo)


def demo(out: Out = RESULTS, as_json: AsJson = False, quiet: Quiet = False, fail_on: FailOn = None) -> None:
    """The whole job against three simulated instances: no account, no network, about two minutes."""
    from dataclasses import replace

    from probes.jobs import demo as job

    common = settings(None, out, as_json=as_json, quiet=quiet, fail_on=fail_on)
    told, interrupt = job.demo(common)
    tell(common if interrupt is None else replace(common, fail_on=None), told)
    if interrupt is not None:
        raise interrupt
