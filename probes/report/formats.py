"""The formats a report can be written in."""

from __future__ import annotations

from collections.abc import Sequence

from probes.errors import UsageError

FORMATS = ("html", "md", "json", "csv", "xlsx", "openmetrics", "textfile")
DEFAULT_FORMATS = ("html", "md", "json")


def check_formats(formats: Sequence[str]) -> None:
    """Raises UsageError for a format that does not exist."""
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"'{name}' is not a format of reports: use one or more of {', '.join(FORMATS)}, parted by commas.")
