"""A weighted mix of calls: `--calls-file FILE`, one call a line, its weight before it."""

from __future__ import annotations

from _users import ProbeUser, install

install("mix")


class MixedCalls(ProbeUser):
    """Takes the next due time."""
