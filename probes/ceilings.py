"""The ceilings of an instance, obeyed by every sender in this process: requests per second, requests per run, no writes unless allowed."""

from __future__ import annotations

import asyncio

from probes.calls import Call
from probes.config import Instance
from probes.errors import GuardStop
from probes.guards import refuse_writes
from probes.pace import Pace


class Ceilings:
    """Lets requests to one instance pass, no more than `max_rate` in any second and `max_requests` in all. Times are the loop's."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.admitted = 0
        self._pace = Pace(instance.max_rate)

    def admit(self, call: Call) -> None:
        """Counts one request. Raises UsageError for a write where writes are not allowed, GuardStop when `max_requests` are spent."""
        refuse_writes(self.instance, [call])
        most = self.instance.max_requests
        if most is not None and self.admitted >= most:
            raise GuardStop(f"Instance '{self.instance.name}' allows max_requests = {most} a run, and that many were sent.")
        self.admitted += 1

    async def pace(self) -> None:
        """Waits until one more request keeps `max_rate` in every window of one second; first come, first served."""
        now = asyncio.get_running_loop().time()
        at = self._pace.next_s(now)
        self._pace.sent(at)
        while now < at:
            await asyncio.sleep(at - now)
            now = asyncio.get_running_loop().time()
