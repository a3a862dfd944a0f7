"""The scenarios by name; one file and one line in `BUILT_IN` each. Outside packages add theirs by the entry points `probes.scenarios`."""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.metadata import entry_points

from probes.calls import Round
from probes.errors import UsageError
from probes.scenarios.base import Decide, Options, Scenario

__all__ = ["BUILT_IN", "Decide", "Options", "Round", "Scenario", "chosen", "names", "scenario"]

BUILT_IN = ("reach", "latency", "throttling", "pagination", "timeouts", "queue", "endpoints", "enrollment", "vocabulary")
"""In the order in which `all` asks them: first whether anybody is there, the throttle while the bucket is at rest, dear calls late."""


def names() -> list[str]:
    """Names of all scenarios, ours in their order, then those of outside packages."""
    return [*BUILT_IN, *sorted(point.name for point in entry_points(group="probes.scenarios"))]


def scenario(name: str) -> Scenario:
    """The scenario of that name. Raises UsageError when there is none."""
    if name in BUILT_IN:
        found = import_module(f"probes.scenarios.{name}").SCENARIO
        assert isinstance(found, Scenario)
        return found
    for point in entry_points(group="probes.scenarios"):
        if point.name == name:
            return point.load()  # type: ignore[no-any-return] # whatever the outside package offers
    known = ["all", *names()]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
    raise UsageError(f"There is no scenario '{name}': {hint}")


def chosen(words: list[str]) -> list[Scenario]:
    """The scenarios that `words` name, once each; `all` is every read-only one. Raises UsageError for an unknown word or none."""
    if not words:
        raise UsageError(f"Name a scenario: all, {', '.join(names())}.")
    picked: dict[str, Scenario] = {}
    for word in words:
        for name in names() if word == "all" else [word]:
            found = scenario(name)
            if word != "all" or (found.in_all and not found.writes):
                picked.setdefault(name, found)
    return list(picked.values())
