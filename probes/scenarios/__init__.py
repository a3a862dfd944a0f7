"""The scenarios by name; one file and one line in `BUILT_IN` each. Outside packages add theirs by the entry points `probes.scenarios`."""

from __future__ import annotations

from probes.calls import Round
from probes.errors import UsageError
from probes.extensions import Extensions
from probes.scenarios.base import Decide, Options, Scenario
from probes.wording import meant

__all__ = ["BUILT_IN", "Decide", "Options", "Round", "Scenario", "chosen", "names", "scenario"]

BUILT_IN = ("reach", "latency", "throttling", "pagination", "timeouts", "queue", "endpoints", "enrollment", "vocabulary")
"""In the order in which `all` asks them: first whether anybody is there, the throttle while the bucket is at rest, dear calls late."""
SCENARIOS = Extensions("probes.scenarios", "SCENARIO", Scenario, BUILT_IN)


def names() -> list[str]:
    """Names of all scenarios, ours in their order, then those of outside packages."""
    return [*BUILT_IN, *SCENARIOS.outside()]


def scenario(name: str) -> Scenario:
    """The scenario of that name. Raises UsageError when there is none."""
    found = SCENARIOS.find(name)
    if found is None:
        raise UsageError(f"There is no scenario '{name}': {meant(name, ['all', *names()])}")
    return found


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
