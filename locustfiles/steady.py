"""A steady rate: calls due at even times, whatever the server does."""

from __future__ import annotations

from _users import ProbeUser, install

install("steady")


class Steady(ProbeUser):
    """Takes the next due time."""
