"""`report.html`: one file by jinja2, pictures as inline SVG, aggregates as JSON inside; it asks the network for nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.observation import plain
from probes.report import tables
from probes.report.facts import SEVERITIES
from probes.report.sections import SECTIONS

if TYPE_CHECKING:
    from jinja2 import Environment

    from probes.charts.style import Picture
    from probes.report.material import Material

TEMPLATES = Path(__file__).parent.parent / "templates"
MOST_ROWS = 200
MOST_EMBEDDED = 1_000
MOST_FINDINGS = 200
LONG_LISTS = ("latency", "pagination", "findings", "rates", "loads", "comparisons")


@cache
def environment() -> Environment:
    """jinja2 with everything escaped that a template does not call safe; an unknown name is an error, not an empty place."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["embedded"] = embedded_json
    made.globals.update(cell=tables.cell, sort_value=tables.plain)
    return made


def page(material: Material, pictures: Mapping[str, Picture]) -> str:
    """The page of a run."""
    document = material.document
    made = {name: table.shortened(MOST_ROWS) for name, table in tables.tables(document).items()}
    sections = [
        {
            "key": section.key,
            "title": section.title,
            "how": section.how,
            "pictures": [shown_picture(pictures[name]) for name in section.pictures if name in pictures],
            "tables": [made[name] for name in section.tables if name in made],
        }
        for section in SECTIONS
    ]
    return (
        environment()
        .get_template("report.html")
        .render(
            document=document,
            sections=[section for section in sections if section["pictures"] or section["tables"]],
            findings=_by_severity(document["findings"][:MOST_FINDINGS]),
            findings_hidden=max(0, len(document["findings"]) - MOST_FINDINGS),
            aggregates=_shortened(document),
            places={str(one["name"]): number % 6 + 1 for number, one in enumerate(document["instances"])},
        )
    )


def shown_picture(picture: Picture) -> dict[str, Any]:
    """A picture as templates show it."""
    return {"name": picture.name, "title": picture.title, "says": picture.says, "svg": picture.svg()}


def _by_severity(findings: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    found = [(severity, [one for one in findings if one["severity"] == severity]) for severity in SEVERITIES]
    return [(severity, ones) for severity, ones in found if ones]


def _shortened(document: dict[str, Any]) -> dict[str, Any]:
    """What is embedded: the document, its longest lists cut; `report.json` holds them whole."""
    cut = {name: len(document[name]) for name in LONG_LISTS if len(document[name]) > MOST_EMBEDDED}
    return {**document, **{name: document[name][:MOST_EMBEDDED] for name in cut}, **({"cut": cut} if cut else {})}


def embedded_json(value: Any) -> str:
    """JSON fit to stand inside a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029")):
        text = text.replace(character, escape)
    return text
