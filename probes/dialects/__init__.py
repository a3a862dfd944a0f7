"""The dialects by name: one small file and one line in `BUILT_IN` each.

Outside packages add theirs through the entry-point group `probes.dialects`.
"""

from __future__ import annotations

from probes.dialects.base import Dialect, Headers, ServerAccount
from probes.errors import ConfigError
from probes.extensions import Extensions
from probes.wording import meant

__all__ = ["BUILT_IN", "Dialect", "Headers", "ServerAccount", "dialect", "names", "refuse_unknown"]

BUILT_IN = ("canvas", "brightspace", "blackboard", "ietf", "github", "gitlab")
DIALECTS = Extensions("probes.dialects", "DIALECT", Dialect, BUILT_IN)


def names() -> list[str]:
    """Names of all dialects that can be configured."""
    return sorted({*BUILT_IN, *DIALECTS.outside()})


def dialect(name: str) -> Dialect:
    """The dialect of that name. Raises ConfigError when there is none."""
    found = DIALECTS.find(name)
    if found is None:
        raise ConfigError(f"There is no dialect '{name}': {meant(name, names())}")
    return found


def refuse_unknown(name: str, where: str) -> None:
    """Raises ConfigError, with the nearest name, where no dialect is called so; loads none."""
    if name not in BUILT_IN and name not in names():
        raise ConfigError(f"{where} is '{name}': {meant(name, names())}")
