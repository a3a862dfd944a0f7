"""One statement with evidence, severity and advice, of a closed list of kinds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


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

    def document(self) -> dict[str, Any]:
        """As JSON carries it (contract, `report.json`)."""
        return {**asdict(self), "severity": self.severity.value, "evidence": list(self.evidence)}
