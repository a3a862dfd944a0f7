"""`probes load`: words and options of a controlled load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from probes.cli.options import RESULTS, AsJson, ConfigFile, FailOn, Out, Quiet, SingleInstance, settings, tell_then_end


def register(app: typer.Typer) -> None:
    """Adds `probes load` to `app`."""
    app.command("load")(load)


def load(
    instance: SingleInstance,
    rate: Annotated[float | None, typer.Option("--rate", metavar="R", help="Requests a second, due whatever the server does.")] = None,
    duration: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 60s, 2m, 1h.")] = "60s",
    call: Annotated[list[str] | None, typer.Option("--call", metavar="CALL", help="As 'GET /api/v1/users/self'; may repeat.")] = None,
    calls_file: Annotated[
        Path | None, typer.Option("--calls-file", metavar="FILE", help="Calls, one a line, a weight before each.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Locust worker processes beside a master; 0: one process.")] = 0,
    max_refusals: Annotated[int, typer.Option("--max-refusals", metavar="N", help="Refusals allowed; one more stops the run.")] = 0,
    max_in_flight: Annotated[int | None, typer.Option("--max-in-flight", metavar="N", help="Never more at one time.")] = None,
    max_requests: Annotated[
        int | None, typer.Option("--max-requests", metavar="N", help="Requests in all; one more stops the run.")
    ] = None,
    max_errors: Annotated[float, typer.Option("--max-errors", metavar="SHARE", help="Share of failed calls that is allowed.")] = 0.2,
    objective: Annotated[
        str, typer.Option("--objective", metavar="TIME", help="Stop when over 5 % of the last 100 answers take longer.")
    ] = "10s",
    margin: Annotated[float | None, typer.Option("--margin", metavar="UNITS", help="Stop when less of the budget remains.")] = None,
    arrivals: Annotated[str, typer.Option("--arrivals", metavar="KIND", help="even, poisson, or ramp (from --from to --rate).")] = "even",
    start: Annotated[float, typer.Option("--from", metavar="R", help="The first rate of a ramp.")] = 0.0,
    users: Annotated[
        int | None, typer.Option("--users", metavar="N", help="Instead of --rate: N users, each sends when its last call has returned.")
    ] = None,
    production: Annotated[
        str | None, typer.Option("--production", metavar="NAME", help="A production instance's name, again, to load it.")
    ] = None,
    config: ConfigFile = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    fail_on: FailOn = None,
) -> None:
    """Controlled load by Locust under guards: sends the calls asked for and no others.

    Over many machines run Locust itself, with the locustfiles of this project (locustfiles/ of a checkout, probes/_locustfiles of an
    installed package): `locust -f steady.py --master --headless --expect-workers 4 --instance NAME --rate 40 --for 5m` on one machine,
    `locust -f steady.py --worker --master-host HOST` on each of the others. Each needs probes.toml and the token; all other words come
    from the master, and the rate is the total. `probes deploy load.service` and `probes deploy load-kubernetes.yaml` print units for it.
    """
    from probes.jobs import load as job

    common = settings(config, out, as_json=as_json, quiet=quiet, fail_on=fail_on)
    asked = job.Asked(
        names=instance,
        rate_per_s=rate,
        duration=duration,
        calls=tuple(call or ()),
        calls_file=calls_file,
        workers=workers,
        max_refusals=max_refusals,
        max_in_flight=max_in_flight,
        max_requests=max_requests,
        max_error_share=max_errors,
        objective=objective,
        margin=margin,
        arrivals=arrivals,
        start_per_s=start,
        users=users,
        production=production,
    )
    told, stop = job.do(common, asked)
    tell_then_end(common, told, stop)
