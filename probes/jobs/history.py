"""`probes history`: runs over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from probes.jobs.session import Settings, Told
from probes.jobs.terminal import table
from probes.wording import plural

MOST_ROWS = 30
NOTHING = {1: "A change needs two runs.", 2: "Nothing changed that two runs can show: what scatters needs a third."}
"""What is said where nothing changed, by the number of runs."""


def history(settings: Settings, folder: Path) -> Told:
    """Compares the runs in `folder`, writes `history.html` and `history.json` there and tells what changed; with `--json` writes nothing.

    Raises RunFolderError when it holds no run, or cannot be written.
    """
    from probes import history as told

    document = told.document(folder)
    if settings.as_json:
        return Told(document, "")
    from probes.report.chronicle import write_history

    paths = write_history(folder, document, told.TITLES)
    return Told(document, text(document, paths[0]))


def text(document: dict[str, Any], page: Path) -> str:
    """What changed, then the newest numbers as a table of at most 80 columns."""
    runs = document["runs"]
    lines = [f"{plural(len(runs), 'run')} from {_day(runs[0])} to {_day(runs[-1])}."]
    if document["skipped"]:
        lines.append(_left_out(document["skipped"]))
    lines += ["", *(document["changes"] or [NOTHING.get(len(runs), "Nothing changed by more than noise.")])]
    rows = [
        [
            one["instance"],
            one["call"],
            " ".join(filter(None, [one["scenario"], one["how"]])),
            one["what"],
            one["points"][0]["value"],
            one["points"][-1]["value"],
            len(one["points"]),
            one["changed"],
        ]
        for one in sorted(document["series"], key=lambda one: not one["changed"])
    ]
    if rows:
        lines += ["", table("", ["instance", "call", "asked for", "what", "first", "last", "runs", "changed"], rows[:MOST_ROWS])]
    if len(rows) > MOST_ROWS:
        lines.append(f"and {len(rows) - MOST_ROWS} more on the page")
    return "\n".join([*lines, "", f"History: {page}"])


def _left_out(skipped: list[dict[str, str]]) -> str:
    """How many folders are left out, and why the first of them is."""
    first = "" if len(skipped) == 1 else f", {Path(skipped[0]['run']).name} for one"
    return f"{plural(len(skipped), 'folder')} left out{first}: {skipped[0]['why'].rstrip('.')}."


def _day(run: dict[str, Any]) -> str:
    return str(run["started_at"])[:10]
