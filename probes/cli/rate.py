"""`probes rate` and `probes plan`: words and options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from probes.cli.options import RESULTS, AsJson, ConfigFile, FailOn, Out, Quiet, SingleInstance, settings, tell_then_end


def register(app: typer.Typer) -> None:
    """Adds this module's commands to `app`."""
    app.command("rate")(rate)
    app.command("plan")(plan)


def rate(
    instance: SingleInstance,
    call: Annotated[
        list[str] | None, typer.Option("--call", metavar="CALL", help="As 'GET /api/v1/users/self' (default); may repeat.")
    ] = None,
    calls_file: Annotated[Path | None, typer.Option("--calls-file", metavar="FILE", help="Calls, one a line; needed for writes.")] = None,
    job: Annotated[int, typer.Option("--job", metavar="N", help="How many calls the job to come will make.")] = 1000,
    budget: Annotated[int, typer.Option("--budget", metavar="N", help="At most so many requests now, --confirm beside.")] = 400,
    longest: Annotated[str | None, typer.Option("--for", metavar="TIME", help="Stops asking after about so long: 10m; usually 5m.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Test the answer by Locust at the recommended rate and workers.")] = False,
    production: Annotated[
        str | None, typer.Option("--production", metavar="NAME", help="A production instance's name, again, to --confirm there.")
    ] = None,
    config: ConfigFile = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    fail_on: FailOn = None,
) -> None:
    """The safe call rate of a job, from the server's own budget headers; where it sends none, from a few refusals."""
    from probes.arrivals import seconds
    from probes.jobs import rate as job_rate

    common = settings(config, out, as_json=as_json, quiet=quiet, fail_on=fail_on)
    longest_s = None if longest is None else seconds(longest)
    asked = job_rate.Asked(instance, call or [], calls_file, job, budget, confirm, production, longest_s)
    told, stopped = job_rate.do(common, asked)
    tell_then_end(common, told, stopped)


def plan(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that 'probes rate' made.")],
    calls: Annotated[int, typer.Option("--calls", metavar="N", help="How many calls to make.")],
    instance: Annotated[
        str | None, typer.Option("-i", "--instance", metavar="NAME", help="Which instance of the run; default the only one.")
    ] = None,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Run the recommended plan against the simulator with the estimated bucket.")
    ] = False,
    config: ConfigFile = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    fail_on: FailOn = None,
) -> None:
    """How to make N calls: one by one, at an even rate, by workers or level-aware; finish time and odds of a refusal of each."""
    from probes.jobs import plan as job_plan

    common = settings(config, out, as_json=as_json, quiet=quiet, fail_on=fail_on)
    told, interrupt = job_plan.do(common, run, calls, instance, rehearse)
    tell_then_end(common, told, interrupt)
