"""What a median does not tell of the times of a call: calls that stand still now and then, two speeds, a change half-way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from probes.calls import asked_by
from probes.observation import Observation
from probes.rules.base import Finding, Severity
from probes.stats import median
from probes.wording import plural, quoted, seconds

GAP, GAP_BETWEEN_MANY, GAP_S = 3.0, 1.7, 0.05
"""Times between which none lies, so many times and seconds apart, are of two kinds; less is enough where both kinds are frequent."""
LEAST, LEAST_FEW = 12, 2
"""So many calls in all, and so many of the rarer kind, at least: one slow call may be anything."""
RARE = 0.2
"""Share of the calls up to which slow ones are exceptions."""
GRAVE_S = 1.0
"""A stall from which timeouts of a job are in danger."""
CHANGED, CHANCE = 1.5, 0.001
"""By what factor the median changed, and how seldom chance would show such an order of times."""


def shape(name: str, call: str, good: Sequence[Observation]) -> Iterator[Finding]:
    """One finding at most: of a change half-way, which makes two kinds of times by itself, else of the two kinds."""
    ordered = sorted((o for o in good if o.latency_s is not None), key=lambda o: o.due_s)
    if len(ordered) < LEAST:
        return
    place = _change([o.latency_s or 0.0 for o in ordered])
    if place is not None:
        yield _changed(name, call, ordered, place)
        return
    limit = _gap(sorted(o.latency_s or 0.0 for o in ordered))
    if limit is not None:
        slow = [o for o in ordered if (o.latency_s or 0.0) >= limit]
        quick = [o for o in ordered if (o.latency_s or 0.0) < limit]
        yield (_stalls if len(slow) <= RARE * len(ordered) else _two_speeds)(name, call, slow, quick)


def _gap(times: Sequence[float]) -> float | None:
    """The least of the slow times, where a gap parts them from the others; `times` ascend."""
    parted = [
        (high / max(low, 1e-6) / (GAP_BETWEEN_MANY if RARE < count / len(times) < 1.0 - RARE else GAP), high)
        for count, (low, high) in enumerate(pairwise(times), start=1)
        if LEAST_FEW <= count <= len(times) - LEAST_FEW and high - low >= GAP_S
    ]
    widest, high = max(parted, default=(0.0, 0.0))
    return high if widest >= 1.0 else None


def _change(times: Sequence[float]) -> int | None:
    """Index from which times are others than before, by Pettitt's test on their ranks, which no single slow call sways."""
    n = len(times)
    ranks = [sum(other < one for other in times) + 0.5 * (sum(other == one for other in times) + 1) for one in times]
    sums = [abs(2.0 * total - number * (n + 1)) for number, total in enumerate(accumulate(ranks), start=1)]
    place = max(range(1, n), key=lambda number: sums[number - 1])
    chance = 2.0 * math.exp(-6.0 * sums[place - 1] ** 2 / (n**3 + n**2))
    before, after = median(times[:place]), median(times[place:])
    apart = max(before, after) > CHANGED * min(before, after) and abs(before - after) >= GAP_S
    return place if chance < CHANCE and apart else None


def _ends(seen: Sequence[Observation]) -> str:
    return " to ".join(dict.fromkeys((seconds(min(_times(seen))), seconds(max(_times(seen))))))


def _times(seen: Sequence[Observation]) -> list[float]:
    return [o.latency_s or 0.0 for o in seen]


def _stalls(name: str, call: str, slow: Sequence[Observation], quick: Sequence[Observation]) -> Finding:
    says = (
        f"{len(slow)} of {plural(len(slow) + len(quick), 'call')} '{call}' at {name} took {_ends(slow)}, the others "
        f"{seconds(max(_times(quick)))} at most: a few stand still."
    )
    severity = Severity.WARNING if max(_times(slow)) >= GRAVE_S else Severity.INFO
    advice = f"Set timeouts by these and not by the median. Ask why: probes diagnose -i {quoted(name)} {asked_by(call)}"
    return Finding("stalls", severity, name, says, (*_when(slow), *_where(slow)), advice)


def _two_speeds(name: str, call: str, slow: Sequence[Observation], quick: Sequence[Observation]) -> Finding:
    says = (
        f"'{call}' at {name} has two speeds: {len(slow)} of {plural(len(slow) + len(quick), 'call')} took {_ends(slow)}, "
        f"the others {_ends(quick)}."
    )
    advice = "The median alone misleads then: reckon with both. Often some answers come from a cache, or one of several servers is slower."
    return Finding("two_speeds", Severity.INFO, name, says, _where(slow), advice)


def _changed(name: str, call: str, ordered: Sequence[Observation], place: int) -> Finding:
    before, after = median(_times(ordered[:place])), median(_times(ordered[place:]))
    word = "slower" if after > before else "quicker"
    says = (
        f"'{call}' at {name} became {word} while it was measured: {seconds(before)} in the median of the first {place} calls, "
        f"{seconds(after)} in that of the {len(ordered) - place} after them."
    )
    when = f"the change came {seconds(ordered[place].due_s)} into the run"
    return Finding("changed", Severity.WARNING, name, says, (when,), "Measure again at another hour before you reckon with either.")


def _when(slow: Sequence[Observation]) -> tuple[str, ...]:
    told = ", ".join(seconds(o.due_s) for o in slow[:5])
    return (f"{told}{' ...' if len(slow) > 5 else ''} into the run",)


def _where(slow: Sequence[Observation]) -> tuple[str, ...]:
    """Whether the server itself took the time, where it tells its own."""
    told = [(o.server_time_s, o.latency_s or 0.0) for o in slow if o.server_time_s is not None]
    if not told:
        return ()
    own = median([server for server, _ in told])
    if own > 0.5 * median([whole for _, whole in told]):
        return (f"the server itself took the time: {seconds(own)} in the median of them, by X-Runtime",)
    return (f"by X-Runtime the server worked {seconds(own)} on them: the rest passed before it, or on the way",)
