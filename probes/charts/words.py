"""What all pictures say beside their lines: n, failures, refusals, when, by which version; which call and which instances they show."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from probes.charts import style

if TYPE_CHECKING:
    from probes.report.material import Material


def foot(material: Material, *parts: str) -> str:
    """The foot of a picture: what was counted, then when and by what."""
    document = material.document
    when = str(document["started_at"] or "start unknown").replace("T", " ")[:16]
    told = [*parts, f"{when} UTC" if document["started_at"] else when, document["tool"]]
    return "  ·  ".join(style.clipped(part, 120) for part in told)


def tally(n: int, failed: int, refused: int, what: str = "answers") -> str:
    """`n = 79 answers, 3 failed, 0 refused`."""
    return f"n = {n:,} {what}, {failed:,} failed, {refused:,} refused"


def main_call(rows: list[dict[str, Any]]) -> str | None:
    """The call that most instances can be compared by: seen at most of them, then with most observations."""
    instances: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for row in rows:
        if row["n"]:
            instances[row["call"]] += 1
            counts[row["call"]] += row["n"]
    return max(instances, key=lambda call: (instances[call], counts[call]), default=None)


def names(material: Material) -> list[str]:
    """The run's instances in the order of its configuration: the order of panels and legends."""
    return [str(one["name"]) for one in material.document["instances"]]


def place(material: Material, name: str) -> int:
    """The instance's number among the run's: its colour, dash and marker in every picture."""
    known = names(material)
    return known.index(name) % style.MOST_SERIES if name in known else 0
