"""The dialects by name: one small file and one line in `BUILT_IN` each.

Outside packages add theirs through the entry-point group `probes.dialects`.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.metadata import entry_points

from probes.dialects.base import Dialect, Headers, ServerAccount
from probes.errors import ConfigError

__all__ = ["BUILT_IN", "Dialect", "Headers", "ServerAccount", "dialect", "names", "refuse_unknown"]

BUILT_IN = ("canvas", "brightspace", "blackboard", "ietf", "github", "gitlab")


def names() -> list[str]:
    """Names of all dialects that can be configured."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group="probes.dialects"))})


def dialect(name: str) -> Dialect:
    """The dialect of that name. Raises ConfigError when there is none."""
    if name in BUILT_IN:
        found = import_module(f"probes.dialects.{name}").DIALECT
        assert isinstance(found, Dialect)
        return found
    for point in entry_points(group="probes.dialects"):
        if point.name == name:
            return point.load()  # type: ignore[no-any-return] # whatever the outside package offers
    raise ConfigError(f"There is no dialect '{name}': {_meant(name)}")


def refuse_unknown(name: str, where: str) -> None:
    """Raises ConfigError, with the nearest name, where no dialect is called so; loads none."""
    if name not in BUILT_IN and name not in names():
        raise ConfigError(f"{where} is '{name}': {_meant(name)}")


def _meant(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), names(), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(names())}."
