"""Points of time as servers and runs write them."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def seconds_of(text: Any) -> float | None:
    """ISO 8601 as seconds since 1970; None where `text` is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
