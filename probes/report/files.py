"""Writes a report's files into the run folder, in the formats asked for; each file appears whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.errors import ProbesError, RunFolderError
from probes.instants import instant, seconds_of
from probes.observation import plain
from probes.report import tables
from probes.report.formats import check_formats
from probes.report.material import Material, material
from probes.runs import Run, write_atomically
from probes.tokens import redact

if TYPE_CHECKING:
    from probes.charts.style import Picture


def write_files(run: Run, formats: Sequence[str], charts: bool, *, drawn: bool = True) -> tuple[Material, list[Path], str | None]:
    """What was told, the paths written (the formats in their order, csv one file a table, then charts), and which could not be, why.

    The others are written all the same. Unless `drawn` the page has no picture either. Raises RunFolderError when the run cannot be read,
    UsageError for an unknown format.
    """
    check_formats(formats)
    made = material(run)
    pictures: Mapping[str, Picture] = {}
    if drawn and (charts or "html" in formats):
        from probes import charts as charting

        pictures = charting.pictures(made)
    steps = [partial(_write, made, name, pictures, charts) for name in formats]
    steps += [partial(_write_picture, picture, run.folder / "charts") for picture in pictures.values() if charts]
    paths: list[Path] = []
    unwritten: str | None = None
    for step in steps:
        try:
            paths += step()
        except ProbesError as error:
            unwritten = unwritten or str(error)
    return made, paths, unwritten


def _write_picture(picture: Picture, folder: Path) -> list[Path]:
    return [picture.write_png(folder)]


def _write(made: Material, name: str, pictures: Mapping[str, Picture], charts: bool) -> list[Path]:
    folder = made.run.folder
    if name == "csv":
        return [write_text(folder / "csv" / f"{table.name}.csv", _csv(table)) for table in tables.tables(made.document).values()]
    if name == "xlsx":
        return [_write_xlsx(folder / "report.xlsx", made.document)]
    file, text = _text(made, name, pictures, charts)
    return [write_text(folder / file, text)]


def _text(made: Material, name: str, pictures: Mapping[str, Picture], charts: bool) -> tuple[str, str]:
    """(file name, text) of a format that is one text file."""
    from probes.report import markdown, openmetrics, page

    texts: dict[str, tuple[str, Callable[[], str]]] = {
        "html": ("report.html", lambda: page.page(made, pictures)),
        "md": ("report.md", lambda: markdown.markdown(made.document, list(pictures.values()) if charts else [])),
        "json": ("report.json", lambda: as_json(made.document)),
        "openmetrics": ("report.om", lambda: openmetrics.openmetrics(made)),
        "textfile": ("report.prom", lambda: openmetrics.textfile(made)),
    }
    file, text = texts[name]
    return file, text()


def as_json(document: dict[str, Any]) -> str:
    """A document as its file holds it."""
    return json.dumps(plain(document), indent=2, allow_nan=False) + "\n"


def write_text(path: Path, text: str) -> Path:
    """Writes a file whole, with nothing in it that looks like a token. Raises RunFolderError when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, redact(text).encode("utf-8", "replace").decode("utf-8"))
    except OSError as error:
        raise RunFolderError(f"{path} cannot be written: {error.strerror}.") from None
    return path


def _csv(table: tables.Table) -> str:
    rows = tables.flat(table)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _harmless(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets a quote before it (OWASP, CSV injection)."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _write_xlsx(path: Path, document: dict[str, Any]) -> Path:
    from probes.spreadsheet import write_workbook

    sheets = {table.title: tables.flat(table) for table in tables.tables(document).values()}
    run = [{"field": key, "value": document[key]} for key in ("run", "tool", "started_at", "ended", "observations", "seconds")]
    begun_s = seconds_of(document["started_at"])
    write_workbook(path, {"Run": run, **sheets}, None if begun_s is None else instant(begun_s))
    return path
