"""Requests at one instant: `--size 5 --every 60s --count 3`."""

from __future__ import annotations

from _users import ProbeUser, install

install("burst")


class Burst(ProbeUser):
    """Takes the next due time."""
