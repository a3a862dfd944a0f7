"""What a finding is, and the View of a run that every rule reads."""

from __future__ import annotations

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
