"""What a finding is, and the View of a run that every rule reads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from probes.observation import Observation


class Severity(StrEnum):
    """How much a finding matters; `--fail-on` takes one of these and counts it and everything above it."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """Order of severities: 0 for info."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """`says` is one sentence of fact with numbers and n; `evidence` what stands behind it; `advice` one sentence on what to do."""

    kind: str
    severity: Severity
    instance: str
    says: str
    evidence: tuple[str, ...] = ()
    advice: str = ""

    def reaches(self, limit: Severity) -> bool:
        """Whether `--fail-on` that severity counts it; that a diagnosis found nothing wrong counts for none."""
        nothing = self.kind == "no_cause" and self.severity is Severity.INFO
        return self.severity.rank >= limit.rank and not nothing

    def document(self) -> dict[str, Any]:
        """As JSON carries it (contract, `report.json`)."""
        return {**asdict(self), "severity": self.severity.value, "evidence": list(self.evidence)}


Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """All that is known of a run: observations in order of their lines, and the documents made from them (shapes: contract).

    `facts` is the manifest: `started_at`, `instances`, whatever jobs noted.
    """

    observations: Sequence[Observation]
    rates: Sequence[Document] = ()
    comparisons: Sequence[Document] = ()
    causes: Sequence[Document] = ()
    facts: Document = field(default_factory=dict)

    def instances(self) -> list[str]:
        """Names of the instances that were asked, in order of their first observation."""
        return list(dict.fromkeys(o.instance for o in self.observations))

    def of(self, instance: str, scenario: str | None = None) -> list[Observation]:
        """The observations of one instance, of one scenario where it is named."""
        return [o for o in self.observations if o.instance == instance and scenario in (None, o.scenario)]

    def each(self, scenario: str | None = None) -> Iterator[tuple[str, list[Observation]]]:
        """(instance, its observations of `scenario`) where there are any."""
        for name in self.instances():
            found = self.of(name, scenario)
            if found:
                yield name, found

    def kind_of(self, instance: str) -> str | None:
        """The kind that the configuration gave an instance, where the manifest tells it."""
        return next((str(one.get("kind")) for one in self.facts.get("instances", []) if one.get("name") == instance), None)


def rounded_down(value: float) -> str:
    """A recommended rate, never rounded up: three digits, all digits before the point."""
    if value >= 100.0:
        return f"{math.floor(value):,}"
    if value <= 0.0:
        return "0"
    scale = 10 ** (2 - math.floor(math.log10(value)))
    return f"{math.floor(round(value * scale, 6)) / scale:g}"


def seconds(value: float) -> str:
    """A time for people: 12 ms, 0.34 s, 3.1 s, 2 min, 1.5 h."""
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    if value < 9.95:
        return f"{value:.2f} s" if value < 0.995 else f"{value:.1f} s"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def times(count: int) -> str:
    """`once`, `3 times`."""
    return "once" if count == 1 else f"{count:,} times"


def plural(count: int, word: str, many: str | None = None) -> str:
    """`1 call`, `3 calls`."""
    return f"{count:,} {word if count == 1 else many or word + 's'}"
