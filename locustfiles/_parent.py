"""What the process that started this one wants: its word on our stdin, or the end of it, which comes where it has gone."""

from __future__ import annotations

import os
import sys

from _engine import INTERRUPTED
from _settings import LoadSettings
from gevent import monkey

from probes.guards import GuardName, Stop
from probes.system import orphaned

END = b"end"
_heard: list[bytes] = []
start_thread = monkey.get_original("_thread", "start_new_thread")


def attend() -> None:
    """From now on its words are heard; stdout carries reports to it and nothing else."""
    sys.stdout = sys.stderr
    start_thread(_hear, ())


def wish(settings: LoadSettings) -> Stop | None:
    """Why the load shall stop, as far as the parent is concerned; None while it shall go on, and where there is no parent."""
    if _heard and _heard[0].startswith(END):
        return INTERRUPTED
    return Stop(GuardName.PARENT, "The process that started the load has gone.") if gone(settings) else None


def gone(settings: LoadSettings) -> bool:
    """Whether the process that started this one has ended."""
    return settings.parent_pid is not None and (b"" in _heard or orphaned(settings.parent_pid))


def _hear() -> None:
    """In a thread of the system's own: no event loop of Windows can wait for a pipe."""
    while not _heard or _heard[-1]:
        _heard.append(os.read(0, 64))
