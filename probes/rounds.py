"""How a round of calls begins and ends: the rest before it, and the Remaining below which it stops."""

from __future__ import annotations

from collections.abc import Sequence

from probes.estimate import Estimate
from probes.observation import Observation

MARGIN = 0.2
"""Share of the mark that stays free in every forecast."""
RESTED = 0.1
"""Share of the mark down to which the level may fall before the next round."""


def floor_of(found: Estimate | None) -> float | None:
    """Remaining below which a round stops, None while the bucket is not known: a part of the mark.

    Where a call was seen to pay more than it reserves, room for one more of the dearest.
    """
    if found is None or found.fit is None:
        return None
    bucket = found.fit.bucket
    dearest = max((float(prices.costs.max()) for prices in found.prices.values() if prices.n), default=0.0)
    dear = dearest + bucket.up_front_cost if dearest > bucket.up_front_cost else 0.0
    return max(MARGIN / 3 * bucket.high_water_mark, min(dear, (1.0 - 2.0 * RESTED) * bucket.high_water_mark))


def rest_s(found: Estimate | None, seen: Sequence[Observation]) -> float:
    """Seconds until the level is down to a tenth of the mark; 0.05 when it is there."""
    if found is None or found.fit is None:
        return 0.05 if len(seen) < 2 else 0.3
    bucket = found.fit.bucket
    last = max((o for o in seen if o.remaining is not None), key=lambda o: o.received_s or 0.0, default=None)
    level = bucket.high_water_mark - (last.remaining or 0.0) if last is not None else 0.0
    excess = level - RESTED * bucket.high_water_mark
    return min(60.0, 0.05 + max(0.0, excess) / max(bucket.outflow_per_s, 0.5)) if excess > 0.0 else 0.05


def elapsed_s(seen: Sequence[Observation]) -> float:
    """Seconds from the first sending to the last answer."""
    ends = [o.received_s for o in seen if o.received_s is not None]
    starts = [o.sent_s for o in seen if o.sent_s is not None]
    return max(ends) - min(starts) if ends and starts else 0.0
