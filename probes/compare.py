"""One instance against another: ratio of medians and shift of quantiles, each with an interval, from interleaved pairs of the same call.

Whether two differ is decided by the signed-rank interval of the log ratios within pairs: a drift that both share cancels, and no
distribution is assumed. Its level is a little stricter than the 95 % that is told, so that comparing an instance with itself cries wolf
less than 5 times in 100.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from probes.calls import asked_by
from probes.observation import Observation, Outcome
from probes.stats import Interval, bootstrap, median, point, pseudo_median, short
from probes.wording import percent, plural, quoted, seconds

SCENARIO = "compare"
DECISION = 0.965
"""Level of the interval that decides: 35 false alarms in 1,000 comparisons of an instance with itself."""
LEAST_PAIRS = 8
QUANTILES = (0.5, 0.75, 0.9)
TAIL, HEAVIER, CLEARLY = 0.9, 1.5, 0.25
"""A tail is heavier where that quantile is so many times the other's beyond the ratio of medians, and surely by such a share of it."""
DATA_DIFFERS = 1.25
"""Answers of the same call whose sizes are this many times apart do not carry the same data."""
NEGLIGIBLE_S = 0.0005
"""A difference of medians below this is below what the tool can measure, whatever the statistics say."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A quantile of `a` minus the same of `b`, seconds, with its interval over resampled pairs."""

    q: float
    seconds: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """`a` against `b` for one call.

    `ratio` is a/b of medians; None with fewer than 8 pairs. `flags` are sentences that limit what it means.
    """

    a: str
    b: str
    call: str
    ratio: Interval | None
    differs: bool
    medians_s: tuple[float, float] | None
    shifts: tuple[Shift, ...] = ()
    cold_ratio: Interval | None = None
    cold_medians_s: tuple[float, float] | None = None
    queue_share: tuple[float | None, float | None] = (None, None)
    failed: tuple[int, int] = (0, 0)
    flags: tuple[str, ...] = field(default=())
    tails_s: tuple[float, float] | None = None
    """The 0.9 quantiles of both, where they lie much further apart than the medians."""

    @property
    def says(self) -> str:
        """The answer in one sentence, with its numbers and n."""
        return _sentence(self)

    def document(self) -> dict[str, Any]:
        """One entry of `pairs` (contract), with more beside it."""
        return {
            "a": self.a,
            "b": self.b,
            "call": self.call,
            "ratio_of_medians": None if self.ratio is None else self.ratio.document(),
            "differs": self.differs,
            "says": self.says,
            "medians_s": _pair(self.medians_s),
            "shift": [{"q": shift.q, "seconds": shift.seconds.document()} for shift in self.shifts],
            "cold": {
                "ratio_of_medians": None if self.cold_ratio is None else self.cold_ratio.document(),
                "medians_s": _pair(self.cold_medians_s),
            },
            "queue_share": _pair(self.queue_share),
            "failed": _pair(self.failed),
            "tails_s": _pair(self.tails_s),
            "flags": list(self.flags),
        }


def comparisons(observations: Iterable[Observation], order: Sequence[str] = ()) -> list[Comparison]:
    """Every pair of instances for every call, from observations of scenario `compare`; in `order`, else as they were first asked."""
    seen = [o for o in observations if o.scenario == SCENARIO]
    asked = dict.fromkeys(o.instance for o in seen)
    names = [name for name in order if name in asked] or list(asked)
    timed = [o for o in seen if "block" in o.facts]
    calls = list(dict.fromkeys(o.call for o in timed))
    return [compared(seen, a, b, call) for call in calls for a, b in itertools.combinations(names, 2)]


def compared(seen: Sequence[Observation], a: str, b: str, call: str) -> Comparison:
    """`a` against `b` for one call."""
    of_a, of_b = ([o for o in seen if o.instance == name and o.call == call] for name in (a, b))
    flags = _flags(seen, a, b, of_a, of_b)
    failed = (sum(1 for o in of_a if not o.ok), sum(1 for o in of_b if not o.ok))
    paired, cold = pairs(of_a, of_b), pairs(of_a, of_b, cold=True)
    if len(paired) < LEAST_PAIRS:
        return Comparison(a, b, call, ratio=None, differs=False, medians_s=None, failed=failed, flags=flags)
    ratio, differs = ratio_of_medians(paired)
    cold_ratio = ratio_of_medians(cold)[0] if len(cold) >= LEAST_PAIRS else None
    shifts = _shifts(paired)
    return Comparison(
        a,
        b,
        call,
        ratio,
        differs,
        medians_s=_medians(paired),
        shifts=shifts,
        cold_ratio=cold_ratio,
        cold_medians_s=_medians(cold),
        queue_share=(_queue_share(of_a), _queue_share(of_b)),
        failed=failed,
        flags=flags,
        tails_s=_tails(paired, shifts, ratio.value),
    )


def pairs(of_a: Sequence[Observation], of_b: Sequence[Observation], *, cold: bool = False) -> list[tuple[float, float]]:
    """(seconds at a, seconds at b) of the same block; blocks where either failed are left out.

    All blocks by the time from first byte to last, handshakes left out; with `cold` the blocks on new connections, handshakes counted.
    """
    times = [
        {
            o.facts["block"]: _time_s(o, cold)
            for o in side
            if o.ok and o.flight_s and "block" in o.facts and (o.facts.get("cold") or not cold)
        }
        for side in (of_a, of_b)
    ]
    return [(time, times[1][block]) for block, time in times[0].items() if block in times[1]]


def _time_s(o: Observation, cold: bool) -> float:
    return (o.flight_s or 0.0) + ((o.connect_s or 0.0) + (o.tls_s or 0.0) if cold else 0.0)


def ratio_of_medians(paired: Sequence[tuple[float, float]]) -> tuple[Interval, bool]:
    """The ratio of medians of at least 8 pairs with its interval, and whether the two differ.

    The interval is the signed-rank one, the sharpest where one side is the other stretched; where it does not hold the sample's own ratio
    (their shapes differ) it is the bootstrap's over pairs.
    """
    a, b = [x for x, _ in paired], [y for _, y in paired]
    value = median(a) / median(b)
    centre = pseudo_median([math.log(x / y) for x, y in paired], DECISION)
    assert centre is not None
    low, high = math.exp(centre.low), math.exp(centre.high)
    if not low <= value <= high:
        low, high = _bootstrapped_ratio(paired)
    differs = not low <= 1.0 <= high and abs(median(a) - median(b)) > NEGLIGIBLE_S
    return Interval(value, low, high, len(paired)), differs


def _bootstrapped_ratio(paired: Sequence[tuple[float, float]]) -> tuple[float, float]:
    import numpy as np

    times = np.asarray(paired)
    return bootstrap(len(times), lambda drawn: float(np.divide(*np.median(times[drawn], axis=0))), confidence=DECISION)


def _shifts(paired: Sequence[tuple[float, float]]) -> tuple[Shift, ...]:
    """Shifts of the quantiles that n carries: at least 8 values above each."""
    import numpy as np

    times = np.asarray(paired)
    found = []
    for q in QUANTILES:
        if len(times) * (1.0 - q) >= LEAST_PAIRS:
            low, high = bootstrap(len(times), lambda drawn, q=q: float(np.subtract(*np.quantile(times[drawn], q, axis=0))))  # type: ignore[misc]
            value = point([x for x, _ in paired], q) - point([y for _, y in paired], q)
            found.append(Shift(q, Interval(value, low, high, len(times))))
    return tuple(found)


def _tails(paired: Sequence[tuple[float, float]], shifts: Sequence[Shift], ratio: float) -> tuple[float, float] | None:
    """The 0.9 quantiles of both sides, where one is surely and far heavier than the medians tell."""
    shift = next((one.seconds for one in shifts if one.q == TAIL), None)
    a, b = (point([pair[side] for pair in paired], TAIL) for side in (0, 1))
    surely = 0.0 if shift is None else max(shift.low, -shift.high)
    expected = max(1.0, ratio if a > b else 1.0 / ratio)
    return (a, b) if surely > CLEARLY * min(a, b) and max(a / b, b / a) > HEAVIER * expected else None


def _medians(paired: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    return (median([x for x, _ in paired]), median([y for _, y in paired])) if paired else None


def _queue_share(observations: Sequence[Observation]) -> float | None:
    """The part of the time that requests stood in the instance's own queue; None where it does not tell."""
    told = [(o.queue_s, o.flight_s) for o in observations if o.ok and o.queue_s is not None and o.flight_s]
    return sum(queue for queue, _ in told) / sum(flight for _, flight in told) if told else None


def _flags(seen: Sequence[Observation], a: str, b: str, of_a: Sequence[Observation], of_b: Sequence[Observation]) -> tuple[str, ...]:
    flags = []
    revisions = [next((str(o.facts["revision"]) for o in seen if o.instance == name and o.facts.get("revision")), None) for name in (a, b)]
    if all(revisions) and revisions[0] != revisions[1]:
        flags.append(f"They run different revisions: {a} {revisions[0]}, {b} {revisions[1]}.")
    sizes = [sorted(o.size_bytes for o in side if o.ok and o.size_bytes) for side in (of_a, of_b)]
    if all(sizes):
        middle = [median(side) for side in sizes]
        if max(middle) > DATA_DIFFERS * min(middle):
            flags.append(f"They do not hold the same data: the answer has {middle[0]:,.0f} bytes at {a}, {middle[1]:,.0f} at {b}.")
    for name, side in ((a, of_a), (b, of_b)):
        bad = [o for o in side if not o.ok and o.outcome is not Outcome.CANCELLED]
        if bad:
            how = ", ".join(sorted({str(o.outcome) for o in bad}))
            flags.append(
                f"{len(bad)} of {plural(len(side), 'call')} to {name} failed ({how}), left out here; "
                f"ask why: probes diagnose -i {quoted(name)} {asked_by(bad[0].call)}"
            )
    return tuple(flags)


def _pair(values: tuple[float | None, float | None] | None) -> dict[str, float | None] | None:
    if values is None:
        return None
    return {key: None if value is None else short(value) for key, value in zip("ab", values, strict=True)}


def _sentence(one: Comparison) -> str:
    if one.ratio is None or one.medians_s is None:
        return f"{one.a} and {one.b} cannot be compared: fewer than {LEAST_PAIRS} pairs of '{one.call}' were answered by both."
    interval = f"{one.ratio.low:.2f} to {one.ratio.high:.2f}, n = {one.ratio.n} pairs"
    if one.differs:
        slower, faster, ratio = (one.a, one.b, one.ratio.value) if one.ratio.value > 1.0 else (one.b, one.a, 1.0 / one.ratio.value)
        told = f"ratio {one.a}/{one.b} {one.ratio.value:.2f}, {interval}"
        return f"{slower} takes {ratio:.2f} times as long as {faster} for '{one.call}' ({told}).{_of_tails(one)}"
    visible = max(one.ratio.high / one.ratio.value, one.ratio.value / one.ratio.low) - 1.0
    return (
        f"No difference between {one.a} and {one.b} for '{one.call}' that n can show: ratio of medians {one.ratio.value:.2f} ({interval}); "
        f"one of {percent(max(visible, 0.01))} or more would have shown.{_of_tails(one)}"
    )


def _of_tails(one: Comparison) -> str:
    """What the medians hide, as a sentence of its own."""
    if one.tails_s is None:
        return ""
    shift = next(shift.seconds for shift in one.shifts if shift.q == TAIL)
    (slow, slow_s), (quick, quick_s) = sorted(zip((one.a, one.b), one.tails_s, strict=True), key=lambda side: -side[1])
    near, far = sorted((abs(shift.low), abs(shift.high)))
    return (
        f" But one call in ten takes {seconds(slow_s)} or longer at {slow}, {seconds(quick_s)} at {quick}: "
        f"{seconds(near)} to {seconds(far)} more, n = {shift.n} pairs."
    )
