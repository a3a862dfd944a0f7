"""`probes roster`: users and students of a course with their channels, as a workbook, CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.config import Instance
from probes.errors import GuardStop, ProbesError, UsageError
from probes.jobs.fetch import limiter_of, one_instance
from probes.jobs.session import (
    Halt,
    Settings,
    Told,
    client_for,
    cut_short,
    how_ended,
    open_run,
    reckoning,
    run_until,
    to_raise,
    write_report,
)
from probes.jobs.terminal import Bar, answers_to, json_line, progress
from probes.runs import Run

if TYPE_CHECKING:
    from probes.roster import Roster

SCHEMA = "probes.roster/1"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings that a spreadsheet takes for a formula when it opens a CSV file."""


def run(
    settings: Settings, name: str, course: str, xlsx: Path | None, *, as_csv: bool
) -> tuple[Told, ProbesError | KeyboardInterrupt | None]:
    """Reads the roster of `course`, writes the workbook where one is wanted, tells it otherwise.

    What ends the command badly (a guard, a list that is not whole, with --json an interrupt) comes back beside what was read, so that it
    can be told first.
    Raises UsageError, ConfigError, RunFolderError; without --json what kept the course itself from being read: there is nothing to tell.
    """
    if not re.fullmatch(r"\d+(?:~\d+)?|[a-z_:]+:.*[^\s].*", course) or not course.isprintable():
        raise UsageError(f"--course {course}: give the course's number, or sis_course_id:ITS-SIS-ID.")
    instance = one_instance(settings, name)
    if instance.dialect != "canvas":
        raise UsageError(f"roster knows Canvas only, and instance '{instance.name}' speaks {instance.dialect}.")
    if xlsx is not None and as_csv:
        raise UsageError("--csv and --xlsx FILE are two forms of the same: give one of them.")
    if xlsx is not None and not xlsx.absolute().parent.is_dir():
        raise UsageError(f"--xlsx {xlsx}: there is no folder {xlsx.absolute().parent}.")
    if xlsx is not None and xlsx.exists() and not xlsx.is_file():
        raise UsageError(f"--xlsx {xlsx} is no file: name one to write.")
    with open_run(settings, ["roster", "--course", course], [instance]) as folder:
        roster, halt = _read(settings, instance, folder, course)
        with reckoning(settings, folder):
            folder.finish(how_ended(halt or roster.stopped))
            write_report(folder)
        if _nothing(roster) and roster.stopped is not None and not settings.as_json:
            raise roster.stopped
    return _told(settings, roster, instance, folder, xlsx, as_csv=as_csv), to_raise(halt, folder) or _bad_end(roster)


def _read(settings: Settings, instance: Instance, folder: Run, course: str) -> tuple[Roster, Halt | None]:
    from probes.roster import Roster

    read = Roster(course)
    with progress(settings, f"course {course}", None) as bar:
        roster, halt = run_until(settings, folder, _asked(instance, folder, read, bar), read)
    roster.broken += [why for why in (cut_short(halt),) if why]
    for note in (*roster.unknown, *roster.broken):
        settings.say(note)
    return roster, halt


async def _asked(instance: Instance, folder: Run, roster: Roster, bar: Bar) -> Roster:
    from probes.roster import read_roster

    doing = [""]
    async with client_for(instance, folder, limiter_of(instance), answers_to(bar, lambda: doing[-1])) as client:
        return await read_roster(client, roster, doing.append)


def _told(settings: Settings, roster: Roster, instance: Instance, folder: Run, xlsx: Path | None, *, as_csv: bool) -> Told:
    from probes.roster_tables import people, sheets, user_rows
    from probes.spreadsheet import write_workbook

    persons = people(roster)
    counts = f"{len(persons)} users, {sum(person['student'] for person in persons)} of them students"
    if _nothing(roster):  # a workbook of an earlier day is worth more than an empty one
        return Told(_document(roster, instance, folder, [], None), "", unkept=folder.unkept)
    if xlsx is not None:
        write_workbook(xlsx, sheets(roster, instance.name))
        settings.say(f"{counts}, in {xlsx}. Calls are kept in {folder.folder}.")
        text = str(xlsx)
    else:
        settings.say(f"{counts}. Calls are kept in {folder.folder}.")
        text = csv_text(user_rows(roster)) if as_csv else "\n".join(json_line(person) for person in persons)
    return Told(_document(roster, instance, folder, persons, xlsx), text, unkept=folder.unkept)


def _document(roster: Roster, instance: Instance, folder: Run, persons: list[dict[str, Any]], xlsx: Path | None) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "run": folder.place,
        "instance": instance.name,
        "course": roster.course_id,
        "complete": not roster.broken and roster.stopped is None,
        "unknown": roster.unknown,
        "not_whole": [*roster.broken, *(() if roster.stopped is None else (str(roster.stopped),))],
        "xlsx": None if xlsx is None else str(xlsx),
        "users": persons,
    }


def _nothing(roster: Roster) -> bool:
    """Whether the course itself could not be read, so that nobody was asked for."""
    return roster.stopped is not None and not isinstance(roster.stopped, GuardStop)


def _bad_end(roster: Roster) -> ProbesError | None:
    if roster.stopped is not None:
        return roster.stopped
    return ProbesError(f"The roster is not whole: {' '.join(roster.broken)}") if roster.broken else None


def csv_text(rows: list[dict[str, Any]]) -> str:
    """`rows` as CSV (RFC 4180); text that a spreadsheet would take for a formula gets a ' before it."""
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _harmless(value) for name, value in row.items()} for row in rows)
    return out.getvalue().rstrip("\n")


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
