"""A run told to people and programs: `document` is `probes.report/1`, `write` makes the files of a run folder.

Reading order: aggregate (one pass over the observations), material, answers (the first screen), then page, markdown, tables, openmetrics.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from probes.errors import RunFolderError
from probes.report.formats import DEFAULT_FORMATS, FORMATS
from probes.runs import Run

__all__ = ["DEFAULT_FORMATS", "FORMATS", "document", "write"]


def document(run: Run) -> dict[str, Any]:
    """`probes.report/1` of a run, whole or half. Raises RunFolderError when it cannot be read."""
    from probes.report.material import material

    return material(run).document


def write(run: Run, formats: Iterable[str] = DEFAULT_FORMATS, charts: bool = True) -> list[Path]:
    """Writes the report into the run folder in each of `formats` and, with `charts`, its pictures as `charts/*.png`; the paths written.

    Raises RunFolderError when the folder cannot be read or written, UsageError for a format that does not exist.
    """
    from probes.report.files import write_files

    _, paths, unwritten = write_files(run, tuple(formats), charts)
    if unwritten is not None:
        raise RunFolderError(unwritten)
    return paths
