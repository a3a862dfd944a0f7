"""What stands before the application: load balancer and content network. Their answers carry no X-Request-Context-Id and cost nothing."""

from __future__ import annotations

import asyncio

from probes.simulator import replies
from probes.simulator.asks import Ask
from probes.simulator.replies import Reply
from probes.simulator.settings import Fault

FOREVER_S = 86_400.0
PERIOD_S = 10.0


class BrokenError(ConnectionError):
    """The connection ends here, without a proper answer: `reset` or closed."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


async def stopped(ask: Ask, headers: dict[str, str]) -> Reply | None:
    """The edge's answer, when the request does not get past it. Raises BrokenError where it hangs up."""
    if ask.faults:
        planned = await _planned(ask)
        if planned is not None:
            return planned
    if ask.world.settings.maintenance:
        return replies.maintenance()
    if ask.world.settings.require_user_agent and not headers.get("user-agent", "").strip():
        return replies.no_user_agent()
    return None


def _stalled_s(fault: Fault, now_s: float) -> float:
    """Seconds until the stall is over; 0 outside of one."""
    return max(0.0, fault.seconds - now_s % (fault.number or PERIOD_S))


async def _planned(ask: Ask) -> Reply | None:
    faults = ask.faults
    for kind in ("latency", "reset", "close", "edge_error"):
        if kind in faults:
            await asyncio.sleep(faults[kind].seconds)
    if "stall" in faults:
        await asyncio.sleep(_stalled_s(faults["stall"], ask.world.now_s()))
    if "hang" in faults:
        await asyncio.sleep(FOREVER_S)
    for kind in ("reset", "close"):
        if kind in faults:
            raise BrokenError(kind)
    if "edge_error" in faults:
        return replies.edge_error(int(faults["edge_error"].number) or 502)
    if "maintenance" in faults:
        return replies.maintenance()
    return replies.no_user_agent() if "no_user_agent" in faults else None
