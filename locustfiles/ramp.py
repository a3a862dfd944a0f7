"""Up by small steps to the first sign of trouble: `--from 1 --rate 20 --step 1 --hold 10s`; a guard stops it there."""

from __future__ import annotations

from _users import ProbeUser, install

install("ramp")


class Ramp(ProbeUser):
    """Takes the next due time."""
