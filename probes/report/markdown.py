"""The report as Markdown: the first screen, then every table that carries something, with the pictures beside it as files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from probes.report import tables
from probes.report.facts import SEVERITIES
from probes.report.sections import SECTIONS, Section

if TYPE_CHECKING:
    from probes.charts.style import Picture

MOST_ROWS = 40


def markdown(document: dict[str, Any], pictures: Sequence[Picture] = ()) -> str:
    """The whole text. Everything that came from a server is escaped, so that it stays text."""
    made = tables.tables(document)
    drawn = {picture.name: picture for picture in pictures}
    parts = [
        "# " + safe(document["title"]),
        _about(document),
        *_answers(document),
        *_notes(document),
        *_findings(document),
        *_next(document),
    ]
    for section in SECTIONS:
        parts += _section(section, made, drawn)
    parts.append(
        f"Every number can be traced: the column *observations* names the lines of `observations.jsonl`. Made by {safe(document['tool'])}."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def safe(text: object) -> str:
    """`text` on one line, with everything escaped that Markdown or HTML in it would act on."""
    line = " ".join(str(text).split())
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", line).replace("&", "&amp;")


def code(text: object) -> str:
    """`text` as code."""
    line = " ".join(str(text).split())
    fence = "`" * (max((len(run) for run in re.findall(r"`+", line)), default=0) + 1)
    pad = " " if "`" in line else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _about(document: dict[str, Any]) -> str:
    return " · ".join(safe(part) for part in document["about"])


def _answers(document: dict[str, Any]) -> list[str]:
    return ["\n".join(f"- **{safe(one['instance'])}**{safe(one['says'].removeprefix(one['instance']))}" for one in document["answers"])]


def _notes(document: dict[str, Any]) -> list[str]:
    return ["\n".join(f"> {safe(note)}" for note in document["notes"])]


def _findings(document: dict[str, Any]) -> list[str]:
    if not document["findings"]:
        return []
    parts = ["## Findings"]
    for severity in SEVERITIES:
        lines = [line for one in document["findings"] if one["severity"] == severity for line in _finding(one)]
        if lines:
            parts += [f"### {severity.capitalize()}", "\n".join(lines)]
    return parts


def _finding(one: dict[str, Any]) -> list[str]:
    lines = [f"- **{safe(one['instance'])}**: {safe(one['says'])}"]
    if one["advice"]:
        lines.append(f"  - *Do:* {safe(one['advice'])}")
    return lines + [f"  - {safe(evidence)}" for evidence in one["evidence"][:6]]


def _next(document: dict[str, Any]) -> list[str]:
    if not document["next"]:
        return []
    return [
        "## What to do next",
        "\n".join(f"{number}. {safe(one['says'])} {code(one['command'])}" for number, one in enumerate(document["next"], 1)),
    ]


def _section(section: Section, made: dict[str, tables.Table], drawn: dict[str, Picture]) -> list[str]:
    shown = [made[name] for name in section.tables if name in made]
    images = [drawn[name] for name in section.pictures if name in drawn]
    if not shown and not images:
        return []
    parts = [f"## {section.title}", f"*How it was measured:* {section.how}"]
    parts += [f"![{safe(image.title)}](charts/{image.name}.png)\n\n{safe(image.says)}" for image in images]
    for table in shown:
        parts += [f"### {table.title}", _table(table.shortened(MOST_ROWS))]
    return parts


def _table(table: tables.Table) -> str:
    rows = [[safe(tables.cell(row.get(column.key), column.kind)) for column in table.columns] for row in table.rows]
    head = "| " + " | ".join(column.label for column in table.columns) + " |"
    rule = "|" + "|".join(" --- " if column.kind in ("text", "truth", "source") else " ---: " for column in table.columns) + "|"
    lines = [head, rule, *("| " + " | ".join(row) + " |" for row in rows)]
    if table.hidden:
        lines += ["", f"{table.left_out}. All stand in `report.json`."]
    return "\n".join(lines)
