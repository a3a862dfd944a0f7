"""Commands about lists and links: explain, fetch, roster."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from probes.cli.options import (
    RESULTS,
    AsJson,
    ConfigFile,
    FailOn,
    Instances,
    Out,
    Quiet,
    drop_output,
    instance_names,
    settings,
    tell,
    tell_then_end,
)

OneInstance = Annotated[
    str, typer.Option("-i", "--instance", metavar="NAME", help="The instance of the configuration to ask.", autocompletion=instance_names)
]


def register(app: typer.Typer) -> None:
    """Adds this module's commands to `app`."""
    app.command(context_settings={"ignore_unknown_options": True})(explain)
    app.command()(fetch)
    app.command()(roster)


def explain(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="URL-or-curl-line", help="A URL, a path or a curl line, in quotes; - reads it from stdin.")
    ] = None,
    instance: Instances = [],  # noqa: B006 # typer copies it
    question: Annotated[
        str | None, typer.Option("--question", metavar="NAME", help="A question from the list, as current-courses.")
    ] = None,
    term: Annotated[
        str, typer.Option("--term", metavar="all|current", help="For current-courses: every term, or the running one.")
    ] = "all",
    config: ConfigFile = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    fail_on: FailOn = None,
) -> None:
    """What is wrong with a URL or a curl line, what the headers say, the right URL."""
    import shlex

    from probes.jobs import explain as job

    common = settings(config, out, as_json=as_json, quiet=quiet, fail_on=fail_on)
    given = words or []
    text = _stdin() if given == ["-"] else given[0] if len(given) == 1 else shlex.join(given)
    tell_then_end(common, *job.run(common, text, instance, question, term))


def _stdin() -> str:
    """What stands on stdin. Raises UsageError where it is closed or no text."""
    from probes.errors import UsageError

    if sys.stdin is None or sys.stdin.closed:
        raise UsageError("There is nothing to explain: stdin is closed.")
    try:
        text = sys.stdin.read()
    except UnicodeDecodeError:
        text = "\0"
    if re.search("[\0-\x08\x0e-\x1b\x7f\ud800-\udfff]", text):  # surrogates stand for bytes that could not be decoded
        raise UsageError("What stands on stdin is no text: give a URL or a curl line.")
    return text


def fetch(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A list, as /api/v1/courses or its whole URL.")],
    instance: OneInstance = "",
    every_page: Annotated[bool, typer.Option("--all", help="Every page, not the first alone.")] = False,
    config: ConfigFile = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    fail_on: FailOn = None,
) -> None:
    """Items of a list, one item a line (JSON), every page with --all, paced."""
    from probes.jobs import fetch as job
    from probes.jobs.session import Told

    common = settings(config, out, as_json=as_json, quiet=quiet, fail_on=fail_on)
    fetched = job.fetch(common, path, instance, every_page=every_page, line=_line)
    if as_json:
        tell(common, Told(fetched.document(), "", unkept=fetched.unkept))
    job.end(common, fetched, instance)


def _line(text: str) -> None:
    """One line to stdout. Raises BrokenPipeError when nobody reads any more, once: what is still buffered then goes nowhere."""
    try:
        typer.echo(text)
    except BrokenPipeError:
        drop_output()
        raise


def roster(
    course: Annotated[str, typer.Option("--course", metavar="N", help="The course's number, or sis_course_id:ID.")],
    instance: OneInstance = "",
    xlsx: Annotated[Path | None, typer.Option("--xlsx", metavar="FILE", help="Write a workbook instead of JSON lines.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV of the users instead of JSON lines; for Excel take --xlsx.")] = False,
    config: ConfigFile = None,
    out: Out = RESULTS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    fail_on: FailOn = None,
) -> None:
    """Users and students of a course with their channels."""
    from probes.jobs import roster as job

    common = settings(config, out, as_json=as_json, quiet=quiet, fail_on=fail_on)
    told, bad_end = job.run(common, instance, course, xlsx, as_csv=as_csv)
    tell_then_end(common, told, bad_end)
