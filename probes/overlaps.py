"""Calls that were in the bucket together, as far as the client can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probes.fit.identify import Fit
from probes.fit.touches import Touch

BELOW = 0.5
"""Units, beyond what its call paid, from which a header shows that another call was there."""
SURELY_S = 0.02
"""Two calls were surely in the bucket together where they were so by more than this, and by more than the network blurs their instants."""


def overlapped(touches: Sequence[Touch], margin_s: float = SURELY_S) -> int:
    """How many calls left the bucket while another was surely in flight."""
    return sum(
        any(o is not t and o.arrived_s < t.departed_s - margin_s and o.departed_s > t.departed_s + margin_s for o in touches)
        for t in touches
    )


def together(touches: Sequence[Touch]) -> int:
    """The greatest number of calls that were in flight at one time."""
    return max(sum(o.arrived_s <= t.arrived_s < o.departed_s for o in touches) for t in touches)


def no_overlap(fitted: Fit, touches: Sequence[Touch]) -> str:
    """Why the reservation is unknown."""
    beside, crossed = int(np.sum(fitted.solution.beside)), overlapped(touches)
    top = max(t.remaining for t in touches if t.remaining is not None)
    below = sum(t.remaining is not None and top - t.remaining > t.cost + BELOW for t in touches)
    if crossed > 2 * below:
        shown = {0: "none shows", 1: "only 1 shows"}.get(below, f"only {below} show")
        return (
            f"{crossed} of {fitted.n} headers were read while another call was in flight, but {shown} what that reserves: it leaks before "
            "the answer comes. The reservation and the safe rate are unknown."
        )
    if beside > fitted.n // 2:
        return (
            f"The {beside} headers read while other calls were in flight do not agree on a reservation: it and the safe rate are unknown."
        )
    few = {0: "None of {} headers was", 1: "Only 1 of {} headers was"}.get(beside, f"Only {beside} of {{}} headers were").format(fitted.n)
    read = f"{few} read while another" if fitted.n > 1 else "The only header was read while no other"
    return f"{read} call was in flight: the reservation and the safe rate are unknown."
