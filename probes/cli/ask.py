"""Commands that ask instances: run, compare, diagnose; and list, which says what there is to ask."""

from __future__ import annotations

from typing import Annotated

import typer

from probes.cli.options import RESULTS, AsJson, ConfigFile, FailOn, Instances, Out, Quiet, settings, tell_then_end

Calls = Annotated[list[str], typer.Option("--call", metavar="CALL", help="A call, as 'GET /api/v1/users/self'; may repeat.")]
Repeat = Annotated[int | None, typer.Option("--repeat", min=1, metavar="N", help="How many calls of each kind; default 40, compare 190.")]


def register(app: typer.Typer) -> None:
    """Adds this module's commands to `app`."""
    app.command()(run)
    app.command()(compare)
    app.command()(diagnose)
    app.command(name="list")(list_)


def scenario_names(incomplete: str) -> list[str]:
    """For shell completion: the scenarios that begin so."""
    from probes.scenarios import names

    return [name for name in ("all", *names()) if name.startswith(incomplete)]


def run(
    scenario: Annotated[list[str], typer.Argument(metavar="SCENARIO...", help="Scenarios, or all.", autocompletion=scenario_names)],
    instance: Instances = [],  # noqa: B006 # typer copies it
    call: Calls = [],  # noqa: B006
    repeat: Repeat = None,
    budget: Annotated[
        int | None, typer.Option("--budget", min=1, metavar="N", help="Most requests of the throttling scenario; default 90.")
    ] = None,
    course: Annotated[
        str | None, typer.Option("--course", metavar="ID", help="The course that enrollment, endpoints ... ask about.")
    ] = None,
    section: Annotated[str | None, typer.Option("--section", metavar="ID", help="The section that enrollment asks about.")] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="The user that enrollment asks about.")] = None,
    role: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="The enrolment's type, as StudentEnrollment, or a role's name.")
    ] = None,
    sis_import: Annotated[
        str | None, typer.Option("--import", metavar="ID", help="The SIS import whose place in the queue is asked.")
    ] = None,
    progress: Annotated[list[str], typer.Option("--progress", metavar="ID", help="A Progress object that queue follows; may repeat.")] = [],  # noqa: B006
    write_probe: Annotated[
        bool, typer.Option("--write-probe", help="Let queue start a harmless background job where writes are allowed.")
    ] = False,
    config: ConfigFile = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    fail_on: FailOn = None,
) -> None:
    """Scenarios against instances, interleaved; sends what they state beforehand and nothing else."""
    from probes.calls import parse
    from probes.jobs import run as job
    from probes.scenarios import Options

    common = settings(config, out, as_json=as_json, quiet=quiet, fail_on=fail_on)
    extra = {"type": _enrollment_type(role), "import": sis_import, "progress": tuple(progress)}
    options = Options(
        calls=tuple(parse(text) for text in call),
        repeat=repeat or Options().repeat,
        course=course,
        section=section,
        user=user,
        budget=budget,
        allow_writes=write_probe,
        extra={key: value for key, value in extra.items() if value},
    )
    told, ends = job.run(common, scenario, instance, options)
    tell_then_end(common, told, ends)


def _enrollment_type(text: str | None) -> str | None:
    """`text`, which is a type of enrolment or may be a role of the account. Raises UsageError for a slip of the pen."""
    from probes.errors import UsageError
    from probes.words import ENROLLMENT_TYPES, slip

    meant = None if text is None else slip(text)
    if meant is not None:
        raise UsageError(
            f"--type {text}: write {meant}. Types are {', '.join(ENROLLMENT_TYPES)}; a role of the account is taken by its name."
        )
    return text


def compare(
    instance: Instances,
    call: Calls = [],  # noqa: B006
    repeat: Repeat = None,
    config: ConfigFile = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    fail_on: FailOn = None,
) -> None:
    """Latency of the same calls at two or more instances, interleaved, with intervals."""
    from probes.calls import parse
    from probes.jobs import compare as job

    common = settings(config, out, as_json=as_json, quiet=quiet, fail_on=fail_on)
    told, ends = job.compare(common, instance, [parse(text) for text in call], repeat)
    tell_then_end(common, told, ends)


def diagnose(
    instance: Instances = [],  # noqa: B006
    call: Calls = [],  # noqa: B006
    workers: Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Workers of the job that is asked about.")] = 1,
    calls: Annotated[int, typer.Option("--calls", min=1, metavar="N", help="Calls of that job.")] = 100,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0.05, metavar="SECONDS", help="The job's read timeout; default the instance's timeout_s."),
    ] = None,
    config: ConfigFile = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    fail_on: FailOn = None,
) -> None:
    """Why such a job is slow, stalls or fails: our side, the network, the instance, a limit."""
    from probes.calls import parse
    from probes.jobs import diagnose as job

    common = settings(config, out, as_json=as_json, quiet=quiet, fail_on=fail_on)
    told, ends = job.diagnose(common, instance, [parse(text) for text in call], workers, calls, timeout)
    tell_then_end(common, told, ends)


def list_(config: ConfigFile = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Scenarios, dialects, instances, kinds of finding."""
    from probes.jobs.listing import listing

    common = settings(config, RESULTS, as_json=as_json, quiet=quiet)
    tell_then_end(common, *listing(common))
