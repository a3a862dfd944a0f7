"""`probes report`: tells a run again, from its folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from probes.errors import UsageError
from probes.findings import Finding, Severity
from probes.jobs.session import Settings, Told
from probes.report.formats import DEFAULT_FORMATS, check_formats
from probes.runs import Run

MOST_FINDINGS = 12


def report(settings: Settings, folder: Path, formats: str | None, charts: bool = True, push: str | None = None) -> Told:
    """Writes the report of the run in `folder` in the `formats` named (parted by commas) and tells its first screen.

    Without `formats`, `--json` writes nothing: it tells the document. `push`: a Pushgateway that gets the last state as well.
    What cannot be written is said after that. Raises RunFolderError, UsageError for an unknown format, ProbesError when the Pushgateway
    does not take it.
    """
    from probes.report.files import write_files

    wanted = _wanted(formats, settings)
    check_formats(wanted)
    if push is not None:
        from probes.report.openmetrics import check_address

        check_address(push)
    made, paths, unwritten = write_files(Run.open(folder), wanted, charts and bool({"html", "md"} & set(wanted)))
    for path in paths:
        if path.parent.name != "charts":
            settings.say(f"Wrote {path}")
    if push is not None:
        from probes.report.openmetrics import push as push_to

        for group in push_to(made, push):
            settings.say(f"Pushed to {group}")
    return Told(made.document, text(made.document, paths), findings(made.document), unwritten)


def _wanted(formats: str | None, settings: Settings) -> tuple[str, ...]:
    if formats is None:
        return () if settings.as_json else DEFAULT_FORMATS
    found = tuple(dict.fromkeys(word.strip() for word in formats.split(",") if word.strip()))
    if not found:
        raise UsageError("--format names no format.")
    return found


def findings(document: dict[str, Any]) -> list[Finding]:
    """The document's findings as --fail-on looks at them."""
    return [
        Finding(one["kind"], Severity(one["severity"]), one["instance"], one["says"], tuple(one["evidence"]), one["advice"])
        for one in document["findings"]
    ]


def text(document: dict[str, Any], paths: Sequence[Path] = ()) -> str:
    """The first screen for a terminal: notes, one line for each instance, the gravest findings, what to do next, where the report is."""
    lines = [one["says"] for one in document["answers"]]
    lines += [f"Note: {note}" for note in document["notes"]]
    grave = [one for one in document["findings"] if one["severity"] != "info"]
    shown = (grave or document["findings"])[:MOST_FINDINGS]
    if shown:
        lines += ["", *(f"{one['severity']:<8} {one['says']}" + (f"\n         {one['advice']}" if one["advice"] else "") for one in shown)]
    if len(document["findings"]) > len(shown):
        lines.append(f"and {len(document['findings']) - len(shown)} more in the report")
    if document["next"]:
        lines += ["", "Next:", *(f"  {one['command']}\n      {one['says']}" for one in document["next"][:3])]
    page = next((path for path in paths if path.name == "report.html"), None)
    files = [page] if page else [path for path in paths if path.parent.name not in ("charts", "csv")]
    return "\n".join([*lines, *([""] if files else []), *(f"Report: {path}" for path in files)])
