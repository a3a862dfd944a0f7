"""Points of time as servers and runs write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(seconds: float) -> datetime:
    """Seconds since 1970 as a point of time. `datetime.fromtimestamp` asks the system, and Windows knows no year after 3000.

    Raises OverflowError beyond the year 9999.
    """
    return EPOCH + timedelta(seconds=seconds)


def seconds_of(text: Any) -> float | None:
    """ISO 8601 as seconds since 1970; None where `text` is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
