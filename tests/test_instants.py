from __future__ import annotations

from typing import Any

import pytest

from probes.instants import seconds_of


@pytest.mark.parametrize(
    ("text", "told"),
    [("1970-01-01T00:01:00Z", 60.0), ("1970-01-01T01:00:00+01:00", 0.0), ("soon", None), ("", None), (None, None), (12, None)],
)
def test_iso_times(text: Any, told: float | None) -> None:
    """A time with its zone counts from 1970; whatever is none tells none, and raises nothing."""
    assert seconds_of(text) == told
