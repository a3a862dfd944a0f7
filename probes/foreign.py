"""Answers whose budget headers belong to another dialect than the configured one: nothing they tell is believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from probes.observation import Observation
from probes.signatures import Sign

ENOUGH = 3
"""So many answers in a row that agree are sure of it."""


def foreign_budget(seen: Sequence[Observation]) -> Sign | None:
    """A sign that names the headers that were seen and the dialect they belong to; None where fewer than half of the answers carry them."""
    answered = [o for o in seen if o.status is not None]
    found = Counter((str(o.facts["budget_of"]), str(o.facts.get("budget_headers"))) for o in answered if "budget_of" in o.facts)
    if sum(found.values()) < max(ENOUGH, 0.5 * len(answered)):
        return None
    (whose, names), _ = found.most_common(1)[0]
    told = ", ".join(name.title().replace("Ratelimit", "RateLimit") for name in names.split(", "))
    carry = f"{sum(found.values())} of {len(answered)} answers carry {told}"
    return Sign("wrong_dialect", f"{carry}: budget headers of the dialect {whose}, which is not the configured one.")


def dialect_of(seen: Sequence[Observation]) -> str | None:
    """The dialect that most of these headers belong to; None without any."""
    found = Counter(str(o.facts["budget_of"]) for o in seen if "budget_of" in o.facts)
    return found.most_common(1)[0][0] if found else None
