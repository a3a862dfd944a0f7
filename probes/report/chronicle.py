"""`history.html`: what changed over runs, in words first, then small multiples and tables; one file, as the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from probes.charts import trends
from probes.report.files import as_json, write_text
from probes.report.page import environment, shown_picture
from probes.report.tables import Column, Table

SERIES = (
    Column("instance", "instance"),
    Column("call", "call"),
    Column("runs", "runs", "count"),
    Column("first", "first", "number"),
    Column("last", "last", "number"),
    Column("changed", "changed", "truth"),
    Column("since", "since"),
    Column("scenario", "asked for"),
)
RUNS = (
    Column("started_at", "start, UTC"),
    Column("command", "command"),
    Column("observations", "requests", "count"),
    Column("ended", "ended"),
    Column("run", "folder"),
)
MOST_ROWS = 200


def write_history(folder: Path, document: dict[str, Any], titles: dict[str, str]) -> list[Path]:
    """Writes `history.html` and `history.json` into the folder of the runs. Raises RunFolderError when it cannot be written."""
    return [write_text(folder / "history.html", history_page(document, titles)), write_text(folder / "history.json", as_json(document))]


def history_page(document: dict[str, Any], titles: dict[str, str]) -> str:
    """The page of a `probes.history/1`; `titles` by kind of series."""
    runs = document["runs"]
    first, last = (str(runs[index]["started_at"])[:16].replace("T", " ") for index in (0, -1))
    parts = []
    for what, title in titles.items():
        series = [one for one in document["series"] if one["what"] == what]
        if series:
            drawn = trends.trends(what.replace("_", "-"), title, series, f"n = {len(runs)} runs, {first} to {last} UTC")
            parts.append((shown_picture(drawn), _table(what, series).shortened(MOST_ROWS)))
    rows = tuple({**one, "command": " ".join(one["command"])} for one in reversed(runs))
    return (
        environment()
        .get_template("history.html")
        .render(
            document=document,
            runs=runs,
            first=first,
            last=last,
            parts=parts,
            runs_table=Table("runs", "Newest first", RUNS, rows).shortened(MOST_ROWS),
        )
    )


def _table(what: str, series: list[dict[str, Any]]) -> Table:
    rows = tuple(
        {
            **one,
            "scenario": " ".join(filter(None, [one["scenario"], one.get("how")])) or None,
            "runs": len(one["points"]),
            "first": one["points"][0]["value"],
            "last": one["points"][-1]["value"],
            "since": str(one["changes"][-1]["since"])[:16].replace("T", " ") if one["changes"] else None,
        }
        for one in sorted(series, key=lambda one: not one["changed"])
    )
    kind = "seconds" if what == "median_s" else "number"
    columns = tuple(Column(column.key, column.label, kind) if column.key in ("first", "last") else column for column in SERIES)
    return Table(what, "Numbers", columns, rows)
